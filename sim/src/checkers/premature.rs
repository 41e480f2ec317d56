//! Media only behind the ceremony: handshake, `connect`, and the `play` or `publish` that it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use millstream::time::Instant;

use super::library::Library;
use super::tap::{Heard, What};
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;

/// Invariant 11 of the reference. A player gets media on a message stream only behind the word that it plays there; and
/// nobody ever gets a frame of a publication that was refused.
#[derive(Default)]
pub struct Premature {
    /// Per tapped connection: the message streams that play.
    started: BTreeMap<String, BTreeSet<u32>>,
    library: Library,
    /// Per client: what it asked to publish last.
    asked: BTreeMap<String, Publication>,
    allowed: BTreeSet<Publication>,
    refused: BTreeSet<Publication>,
    /// Seen by somebody before they were allowed, as far as their publishers know.
    seen: BTreeSet<Publication>,
    exercised: u64,
    refused_media: u64,
}

impl Premature {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }
}

impl Checker for Premature {
    fn name(&self) -> &'static str {
        "no media before its time"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::AsksToPublish { publication, .. } => {
                self.asked.insert(who.into(), (who.into(), *publication));
            }
            Observation::Publishes { .. } => {
                self.allowed.extend(self.asked.remove(who));
            }
            Observation::Told { code } if code == "NetStream.Publish.BadName" => {
                if let Some(refused) = self.asked.remove(who) {
                    let was_seen = self.seen.contains(&refused);
                    self.refused_media += u64::from(!self.library.frames(&refused).is_empty());
                    self.refused.insert(refused);
                    if was_seen {
                        return Err(format!("{who} is refused and its media was delivered"));
                    }
                }
            }
            Observation::Received { payload, .. } if !is_servers_own(payload) => {
                let Some(entry) = self.library.find(payload) else {
                    return Ok(());
                };
                let publication = &entry.publication;
                if self.allowed.contains(publication) {
                    return Ok(());
                }
                if self.refused.contains(publication) {
                    return Err(format!(
                        "{who} got #{} of {}, which was refused",
                        entry.index, publication.0
                    ));
                }
                self.seen.insert(publication.clone());
            }
            _ => {}
        }
        Ok(())
    }

    fn overhear(&mut self, _: Instant, who: &str, heard: &Heard<'_>) -> Result<(), String> {
        let message = match &heard.what {
            What::Begins => {
                self.started.insert(who.into(), BTreeSet::new());
                return Ok(());
            }
            What::Said(message) => message,
            _ => return Ok(()),
        };
        let Some(started) = self.started.get_mut(who) else {
            return Ok(());
        };
        match (message.type_id, message.name()) {
            (20, Some(b"onStatus"))
                if message.says("NetStream.Play.Start")
                    || message.says("NetStream.Play.Transition") =>
            {
                started.insert(message.stream);
            }
            (20, Some(b"_result")) => {
                // `createStream` has made it anew.
                if let Some(stream) = created(&message.payload) {
                    started.remove(&stream);
                }
            }
            (8 | 9 | 15 | 18, _) if !is_servers_own(message.values()) => {
                self.exercised += 1;
                if !started.contains(&message.stream) {
                    return Err(format!(
                        "{who} is sent media on message stream {} before it plays there",
                        message.stream
                    ));
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
        vec![("media of refused publications", self.refused_media)]
    }
}

/// The message stream of an answer to `createStream`: name, transaction, null, number.
fn created(payload: &[u8]) -> Option<u32> {
    let number = payload.get(10 + 9 + 1 + 1..)?.try_into().ok()?;
    (payload.get(20) == Some(&0)).then(|| f64::from_be_bytes(number) as u32)
}

#[cfg(test)]
mod tests {
    use super::super::chunks::Message;
    use super::super::testing::{frames, name, received, sent};
    use super::*;

    fn message(type_id: u8, payload: &[u8]) -> Message {
        Message {
            type_id,
            stream: 1,
            timestamp: 0,
            payload: payload.to_vec(),
            chunks: 1,
            chunk_size: 128,
        }
    }

    #[test]
    fn media_before_the_start_and_on_a_stream_made_anew_is_found() {
        let start = message(20, b"\x02\x00\x08onStatus code NetStream.Play.Start");
        let mut anew = b"\x02\x00\x07_result\x00\x40\x10\0\0\0\0\0\0\x05\x00".to_vec();
        anew.extend(1_f64.to_be_bytes());
        let anew = message(20, &anew);
        let media = message(9, &[0x17, 1, 0, 0, 0]);
        let own = message(18, b"\x02\x00\x11|RtmpSampleAccess");
        let judge = |said: &[&Message]| {
            let mut checker = Premature::default();
            let begins = What::Begins;
            checker.overhear(
                Instant::ZERO,
                "bob",
                &Heard {
                    sent: 0,
                    what: begins,
                },
            )?;
            said.iter().try_for_each(|message| {
                let what = What::Said(message);
                checker.overhear(Instant::ZERO, "bob", &Heard { sent: 0, what })
            })
        };
        assert_eq!(judge(&[&anew, &own, &start, &media]), Ok(()));
        assert!(judge(&[&media]).is_err());
        assert!(judge(&[&start, &media, &anew, &media]).is_err());
    }

    #[test]
    fn media_of_a_refused_publication_is_found_whoever_hears_first() {
        let frames = frames("alice", 0, 5);
        let history = [
            Observation::AsksToPublish {
                name: name(),
                publication: 0,
            },
            sent(0, 3, &frames[3]),
        ];
        let refused = Observation::Told {
            code: "NetStream.Publish.BadName".into(),
        };
        for refused_first in [true, false] {
            let mut checker = Premature::default();
            for seen in &history {
                assert_eq!(checker.observe("alice", seen), Ok(()));
            }
            let mut verdicts = Vec::new();
            for refuse in [refused_first, !refused_first] {
                verdicts.push(match refuse {
                    true => checker.observe("alice", &refused),
                    false => checker.observe("bob", &received(&frames[3])),
                });
            }
            assert!(verdicts[0].is_ok() && verdicts[1].is_err(), "{verdicts:?}");
        }
    }
}
