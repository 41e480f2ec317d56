//! The server's chunks have the size it has announced.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::Checker;
use super::tap::{Heard, What};
use crate::journal::Observation;
use millstream::time::Instant;

/// Invariant 9 of the reference: a chunk size holds from behind `SetChunkSize` for all later chunks, and no other. A
/// reader of our own goes by that; if the server does not, it finds no messages, or others than the client's session.
#[derive(Default)]
pub struct ChunkSize {
    /// Per tapped connection: media that was read and that the client has not spoken of yet.
    read: BTreeMap<String, VecDeque<(u32, Bytes)>>,
    exercised: u64,
    announced: u64,
}

/// Media of a closed stream is read and never spoken of: what is kept of it.
const KEPT: usize = 4_096;

impl Checker for ChunkSize {
    fn name(&self) -> &'static str {
        "chunks as long as announced"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        match seen {
            Observation::Dials => {
                self.read.remove(who);
            }
            Observation::Received {
                timestamp, payload, ..
            } => {
                // The second play of a connection is read with the first.
                let conn = who.strip_suffix("/2").unwrap_or(who);
                let Some(read) = self.read.get_mut(conn) else {
                    return Ok(());
                };
                let found = read
                    .iter()
                    .position(|(time, bytes)| *time == timestamp.0 && bytes == payload);
                let Some(found) = found else {
                    return Err(format!(
                        "{who} got {} bytes at {} ms that a second reader of its connection did not find",
                        payload.len(),
                        timestamp.0
                    ));
                };
                read.drain(..=found);
            }
            _ => {}
        }
        Ok(())
    }

    fn overhear(&mut self, _: Instant, who: &str, heard: &Heard<'_>) -> Result<(), String> {
        match &heard.what {
            What::Begins => {
                self.read.insert(who.into(), VecDeque::new());
            }
            What::Garbled(error) => {
                return Err(format!("{who} is sent what is no chunk stream: {error}"));
            }
            What::Said(message) => {
                if message.chunks > 1 {
                    self.exercised += 1;
                    self.announced += u64::from(message.chunk_size != 128);
                }
                if matches!(message.type_id, 8 | 9 | 15 | 18)
                    && let Some(read) = self.read.get_mut(who)
                {
                    let payload = Bytes::copy_from_slice(message.values());
                    read.push_back((message.timestamp, payload));
                    if read.len() > KEPT {
                        read.pop_front();
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![("chunks of an announced size", self.announced)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::Message;
    use super::super::testing::{frames, received};
    use super::*;

    fn hear(checker: &mut ChunkSize, what: What<'_>) -> Result<(), String> {
        checker.overhear(Instant::ZERO, "bob", &Heard { sent: 0, what })
    }

    #[test]
    fn both_readers_must_agree() {
        let frames = frames("alice", 0, 5);
        let mut checker = ChunkSize::default();
        assert_eq!(
            checker.observe("bob", &received(&frames[3])),
            Ok(()),
            "not tapped"
        );
        assert_eq!(hear(&mut checker, What::Begins), Ok(()));
        let message = Message {
            type_id: 9,
            stream: 1,
            timestamp: 0,
            payload: frames[3].payload.to_vec(),
            chunks: 2,
            chunk_size: 100,
        };
        assert_eq!(hear(&mut checker, What::Said(&message)), Ok(()));
        assert_eq!(checker.observe("bob", &received(&frames[3])), Ok(()));
        assert!(checker.observe("bob", &received(&frames[3])).is_err());
        assert_eq!(checker.exercised(), 1);
        assert!(hear(&mut checker, What::Garbled("a message of type 99")).is_err());
    }
}
