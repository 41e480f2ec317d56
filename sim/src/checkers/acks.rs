//! The server acknowledges what it gets, and counts right.

use std::collections::BTreeMap;

use millstream::limits;
use millstream::time::Instant;

use super::Checker;
use super::needless::REFUSALS;
use super::tap::{Heard, What};
use crate::journal::Observation;

/// Invariant 13 of the reference. Every acknowledgement lies ahead of the one before and not ahead of what was sent; two
/// follow each other within the window and what one read brings; and when the server has answered the client's FIN, all
/// but a window's worth has been acknowledged.
#[derive(Default)]
pub struct Acks {
    connections: BTreeMap<String, Connection>,
    stopping: bool,
    /// Links are good: a last acknowledgement does not wait behind others until the connection has gone.
    gentle: bool,
    exercised: u64,
    at_the_end: u64,
}

struct Connection {
    /// What the client wants acknowledged at the latest.
    window: u32,
    /// One has come since that was said.
    settled: bool,
    /// Modulo 2^32, as it is sent.
    acknowledged: u32,
    sent: u64,
    /// Its last acknowledgement may have to wait behind media, or the server ends it for a reason of its own.
    excused: bool,
    half_closed: bool,
}

impl Connection {
    fn acknowledges(&mut self, who: &str, value: u32) -> Result<(), String> {
        let step = value.wrapping_sub(self.acknowledged);
        let open = (self.sent as u32).wrapping_sub(self.acknowledged);
        if step == 0 || step > open {
            return Err(format!(
                "{who} has sent {} bytes and gets an acknowledgement of {value} after one of {}",
                self.sent, self.acknowledged
            ));
        }
        let late = u64::from(step) > u64::from(self.window) + limits::SCRATCH_BYTES as u64;
        if late && std::mem::replace(&mut self.settled, true) {
            return Err(format!(
                "{who} wants an acknowledgement every {} bytes and gets one after {step}",
                self.window
            ));
        }
        self.settled = true;
        self.acknowledged = value;
        Ok(())
    }
}

impl Checker for Acks {
    fn name(&self) -> &'static str {
        "acknowledgements"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Stops => self.stopping = true,
            Observation::Climate(climate) => self.gentle = climate.gentle,
            // The next connection need not be tapped.
            Observation::Dials => {
                self.connections.remove(who);
            }
            _ => {}
        }
        let Some(connection) = self.connections.get_mut(who) else {
            return Ok(());
        };
        match seen {
            Observation::AsksToPlay { .. } | Observation::Injected { .. } => {
                connection.excused = true;
            }
            Observation::Told { code } if REFUSALS.contains(&&**code) => connection.excused = true,
            // What nobody understands ends the connection, whatever was to be said yet.
            Observation::Strays {
                how: "half-closes" | "is cut off",
            } => {}
            Observation::Strays { .. } => connection.excused = true,
            Observation::LetsGo { why: "half-closes" } => connection.half_closed = true,
            Observation::Lost { how: "FIN" } if connection.half_closed => {
                let open = (connection.sent as u32).wrapping_sub(connection.acknowledged);
                if !self.gentle || connection.excused || self.stopping {
                    return Ok(());
                }
                self.at_the_end += u64::from(connection.sent > u64::from(connection.window));
                if open > connection.window {
                    return Err(format!(
                        "{who} has sent {} bytes, wants an acknowledgement every {}, and {open} are not acknowledged",
                        connection.sent, connection.window
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn overhear(&mut self, _: Instant, who: &str, heard: &Heard<'_>) -> Result<(), String> {
        if matches!(heard.what, What::Begins) {
            let fresh = Connection {
                window: limits::WINDOW_ACK_SIZE_DEFAULT,
                settled: false,
                acknowledged: 0,
                sent: 0,
                excused: false,
                half_closed: false,
            };
            self.connections.insert(who.into(), fresh);
        }
        let Some(connection) = self.connections.get_mut(who) else {
            return Ok(());
        };
        connection.sent = heard.sent;
        let value = |payload: &[u8]| payload.first_chunk().map_or(0, |b| u32::from_be_bytes(*b));
        match &heard.what {
            What::Babbled => connection.excused = true,
            What::Asked(message) if message.type_id == 5 => {
                let window = value(&message.payload);
                // 0 says nothing.
                if window > 0 {
                    connection.window = window;
                    connection.settled = false;
                }
            }
            What::Said(message) if message.type_id == 3 => {
                self.exercised += 1;
                return connection.acknowledges(who, value(&message.payload));
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("acknowledgements up to the end", self.at_the_end)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::Message;
    use super::*;

    fn control(type_id: u8, value: u32) -> Message {
        Message {
            type_id,
            stream: 0,
            timestamp: 0,
            payload: value.to_be_bytes().into(),
            chunks: 1,
            chunk_size: 128,
        }
    }

    /// A window of 1,000 bytes; then (sent, acknowledged) each, and the end of the connection.
    fn judge(history: &[(u64, u32)], start: u32, end: u64) -> Result<(), String> {
        let mut checker = Acks {
            gentle: true,
            ..Acks::default()
        };
        let mut hear =
            |sent, what: What<'_>| checker.overhear(Instant::ZERO, "bob", &Heard { sent, what });
        hear(0, What::Begins)?;
        hear(16, What::Asked(&control(5, 1_000)))?;
        if start > 0 {
            hear(u64::from(start), What::Said(&control(3, start)))?;
        }
        for (sent, value) in history {
            hear(*sent, What::Said(&control(3, *value)))?;
        }
        let last = control(1, 128);
        hear(end, What::Asked(&last))?;
        checker.observe("bob", &Observation::LetsGo { why: "half-closes" })?;
        checker.observe("bob", &Observation::Lost { how: "FIN" })
    }

    #[test]
    fn what_is_counted_right_passes_across_the_wrap() {
        assert_eq!(judge(&[(600, 500), (1_200, 1_100)], 0, 2_000), Ok(()));
        let wrap = u64::from(u32::MAX) + 1;
        assert_eq!(
            judge(&[(wrap + 400, 300)], u32::MAX - 200, wrap + 500),
            Ok(())
        );
    }

    #[test]
    fn one_too_far_one_again_one_late_and_one_left_out_are_found() {
        assert!(
            judge(&[(600, 601)], 0, 700).is_err(),
            "ahead of what was sent"
        );
        assert!(judge(&[(600, 500), (700, 500)], 0, 700).is_err(), "again");
        let late = 500 + 1_001 + limits::SCRATCH_BYTES as u32;
        let sent = u64::from(late);
        assert!(judge(&[(600, 500), (sent, late)], 0, sent).is_err(), "late");
        let end = 1_500;
        assert_eq!(judge(&[(600, 500)], 0, end), Ok(()));
        assert!(judge(&[(600, 500)], 0, end + 1).is_err(), "left out");
    }

    #[test]
    fn a_connection_that_is_not_heard_is_not_taken_for_the_one_before() {
        let mut checker = Acks {
            gentle: true,
            ..Acks::default()
        };
        let mut hear =
            |sent, what: What<'_>| checker.overhear(Instant::ZERO, "bob", &Heard { sent, what });
        hear(0, What::Begins).unwrap();
        hear(16, What::Asked(&control(5, 1_000))).unwrap();
        hear(5_000, What::Asked(&control(1, 128))).unwrap();
        for seen in [
            Observation::Dials,
            Observation::LetsGo { why: "half-closes" },
            Observation::Lost { how: "FIN" },
        ] {
            assert_eq!(checker.observe("bob", &seen), Ok(()));
        }
    }
}
