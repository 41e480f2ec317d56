//! The server acknowledges what it gets, and counts right.

use std::collections::{BTreeMap, VecDeque};

use millstream::limits;
use millstream::time::{Duration, Instant};

use super::Checker;
use super::climate::Climate;
use super::needless::REFUSALS;
use super::tap::{Heard, What};
use crate::journal::Observation;

/// Invariant 13 of the reference. Every acknowledgement lies ahead of the one before and not ahead of what was sent; two
/// follow each other within the window and what one read brings; and when the server has answered the client's FIN, all
/// but a window's worth has been acknowledged of what had come long before it. (What came with the FIN need not be: nobody
/// waits for that.)
#[derive(Default)]
pub struct Acks {
    connections: BTreeMap<String, Connection>,
    stopping: bool,
    /// Where links are good. Elsewhere a last acknowledgement may wait behind others until the connection has gone.
    climate: Option<Climate>,
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
    /// When, and how much it had sent by then, some time apart; of what may be under way still.
    lately: VecDeque<(Instant, u64)>,
    /// Of what it sent, all this had come when it sent its FIN.
    come: Option<u64>,
}

/// What was sent is noted so often.
const NOTED: Duration = Duration::from_millis(50);

/// For the server, which may be busy with others.
const SLACK: Duration = Duration::from_millis(300);

impl Connection {
    /// Notes how much was sent by now.
    fn sends(&mut self, at: Instant, sent: u64) {
        self.sent = sent;
        if self
            .lately
            .back()
            .is_none_or(|(last, _)| at.since(*last) >= NOTED)
        {
            self.lately.push_back((at, sent));
        }
    }

    /// Its FIN is on its way.
    fn half_closes(&mut self, at: Instant, climate: &Climate) {
        let way = climate.carries(self.sent) + SLACK;
        let come = self
            .lately
            .iter()
            .rev()
            .find(|(then, _)| at.since(*then) > way);
        self.come = Some(come.map_or(0, |(_, sent)| *sent));
    }

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

    fn observe_at(&mut self, at: Instant, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Stops => self.stopping = true,
            Observation::Climate(climate) if climate.gentle => {
                self.climate = Some(*climate);
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
            Observation::LetsGo { why: "half-closes" } => {
                if let Some(climate) = &self.climate {
                    connection.half_closes(at, climate);
                }
            }
            Observation::Lost { how: "FIN" } => {
                let (Some(come), false) = (connection.come, connection.excused || self.stopping)
                else {
                    return Ok(());
                };
                self.at_the_end += u64::from(come > u64::from(connection.window));
                // Modulo 2^32: what is acknowledged may lie ahead of that by what came later.
                let open = (come as u32).wrapping_sub(connection.acknowledged) as i32;
                if i64::from(open) > i64::from(connection.window) {
                    return Err(format!(
                        "{who} has sent {come} bytes some time ago, wants an acknowledgement every {}, and {open} are not \
                         acknowledged",
                        connection.window
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn overhear(&mut self, at: Instant, who: &str, heard: &Heard<'_>) -> Result<(), String> {
        if matches!(heard.what, What::Begins) {
            let fresh = Connection {
                window: limits::WINDOW_ACK_SIZE_DEFAULT,
                settled: false,
                acknowledged: 0,
                sent: 0,
                excused: false,
                lately: VecDeque::new(),
                come: None,
            };
            self.connections.insert(who.into(), fresh);
        }
        let Some(connection) = self.connections.get_mut(who) else {
            return Ok(());
        };
        connection.sends(at, heard.sent);
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

    /// A window of 1,000 bytes; then (sent, acknowledged) each, and a good while later the end of the connection.
    fn judge(history: &[(u64, u32)], start: u32, end: u64) -> Result<(), String> {
        let mut checker = Acks::default();
        let climate = Climate {
            latency: Duration::from_millis(10),
            steady: true,
            gentle: true,
            ring_frames: 0,
            full: true,
            downstream: 65_536,
            upstream: 65_536,
            drain: Duration::ZERO,
        };
        checker.observe_at(Instant::ZERO, "world", &Observation::Climate(climate))?;
        let mut at = Instant::ZERO;
        let mut hear = |sent, what: What<'_>| {
            at = at + NOTED;
            checker.overhear(at, "bob", &Heard { sent, what })
        };
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
        let way = climate.carries(end) + SLACK;
        let later = at + way + NOTED;
        checker.observe_at(later, "bob", &Observation::LetsGo { why: "half-closes" })?;
        checker.observe_at(later, "bob", &Observation::Lost { how: "FIN" })
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
        let end = 500 + 1_000;
        assert_eq!(judge(&[(600, 500)], 0, end), Ok(()));
        assert!(judge(&[(600, 500)], 0, end + 1).is_err(), "left out");
    }
}
