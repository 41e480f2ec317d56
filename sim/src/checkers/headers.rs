//! A player can decode from its first message on: headers before media, and pictures start at a keyframe.

use std::collections::BTreeMap;

use super::{Checker, Entry, Library, Publication, is_servers_own};
use crate::journal::Observation;
use crate::media::Sort;

/// Invariants 3, 4 and 5 of the reference: before any media the newest metadata and sequence headers, the
/// first picture a keyframe, and after a gap a keyframe again.
#[derive(Default)]
pub struct Headers {
    library: Library,
    players: BTreeMap<String, Player>,
    exercised: u64,
}

#[derive(Default)]
struct Player {
    publication: Option<Publication>,
    /// The header in force, per sort: its index.
    headers: BTreeMap<Sort, usize>,
    last_picture: Option<usize>,
}

impl Checker for Headers {
    fn name(&self) -> &'static str {
        "headers and a keyframe first"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::AsksToPlay { .. } => {
                self.players.insert(who.into(), Player::default());
                Ok(())
            }
            Observation::Received { payload, .. } if !is_servers_own(payload) => {
                // Unknown bytes are the business of `Selection`.
                let Some(entry) = self.library.find(payload) else {
                    return Ok(());
                };
                self.exercised += 1;
                let player = self.players.entry(who.into()).or_default();
                player.take(who, entry, &self.library)
            }
            _ => Ok(()),
        }
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

impl Player {
    fn take(&mut self, who: &str, entry: &Entry, library: &Library) -> Result<(), String> {
        if self.publication.as_ref() != Some(&entry.publication) {
            *self = Self {
                publication: Some(entry.publication.clone()),
                ..Self::default()
            };
        }
        let sort = entry.frame.sort;
        if sort.is_header() {
            self.headers.insert(sort, entry.index);
            return Ok(());
        }
        self.needs(who, entry, Sort::Metadata, library)?;
        if sort.is_picture() {
            self.needs(who, entry, Sort::VideoHeader, library)?;
            self.needs_picture_before(who, entry, library)?;
            self.last_picture = Some(entry.index);
        } else {
            self.needs(who, entry, Sort::AudioHeader, library)?;
        }
        Ok(())
    }

    /// The newest header of `sort` published before it must be in force; a sequence header from after it would
    /// decode it as little. (Metadata may be younger: it decodes nothing.)
    fn needs(&self, who: &str, entry: &Entry, sort: Sort, library: &Library) -> Result<(), String> {
        let newest = library.newest_before(&entry.publication, sort, entry.index);
        let got = self.headers.get(&sort).copied();
        if newest.is_none() || got == newest || (sort == Sort::Metadata && got >= newest) {
            return Ok(());
        }
        if got > newest {
            return Err(format!(
                "{who} got #{} ({}) under the {} #{} that came after it",
                entry.index,
                entry.frame.sort.name(),
                sort.name(),
                got.unwrap_or_default()
            ));
        }
        Err(format!(
            "{who} got #{} ({}) without the {} before it",
            entry.index,
            entry.frame.sort.name(),
            sort.name()
        ))
    }

    /// An inter frame needs the picture just before it.
    fn needs_picture_before(
        &self,
        who: &str,
        entry: &Entry,
        library: &Library,
    ) -> Result<(), String> {
        if entry.frame.sort == Sort::Key {
            return Ok(());
        }
        let before = [Sort::Key, Sort::Inter]
            .into_iter()
            .filter_map(|sort| library.newest_before(&entry.publication, sort, entry.index))
            .max();
        if self.last_picture.is_some() && self.last_picture == before {
            return Ok(());
        }
        Err(format!(
            "{who} got inter frame #{} and cannot decode it: the picture before is {before:?}, the last it got {:?}",
            entry.index, self.last_picture
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{broadcast, frames};
    use super::*;

    fn judge(picks: &[usize]) -> Result<(), String> {
        broadcast(&mut Headers::default(), &frames("alice", 0, 12), picks)
    }

    #[test]
    fn joining_at_a_keyframe_and_skipping_to_one_pass() {
        // 0 metadata, 1 and 2 headers, 3 6 9 keyframes.
        assert_eq!(judge(&[0, 1, 2, 3, 4, 5, 6, 7]), Ok(()));
        assert_eq!(judge(&[0, 1, 2, 6, 7, 9, 10]), Ok(()));
    }

    #[test]
    fn an_orphan_picture_is_found() {
        assert!(judge(&[0, 1, 2, 4]).is_err(), "starts with an inter frame");
        assert!(
            judge(&[0, 1, 2, 3, 5]).is_err(),
            "one inter frame is missing"
        );
        assert!(judge(&[0, 1, 2, 3, 7]).is_err(), "resumes in mid-GOP");
    }

    #[test]
    fn a_header_from_after_the_picture_is_found() {
        let shape = crate::media::Shape {
            gop: 3,
            picture_ms: 40,
            audio_ms: 0,
            picture_bytes: 200,
            start: 0,
            headers_every: 3,
        };
        let mut source = crate::media::Broadcast::new(shape, "alice", 0);
        let frames: Vec<_> = (0..9)
            .map(|_| std::rc::Rc::new(source.next_frame()))
            .collect();
        // 3 keyframe, 4 and 5 inter, 6 the changed header, 7 keyframe.
        assert_eq!(frames[6].sort, Sort::VideoHeader);
        let judge = |picks: &[usize]| broadcast(&mut Headers::default(), &frames, picks);
        assert_eq!(judge(&[0, 6, 2, 7, 8]), Ok(()));
        assert!(judge(&[0, 6, 2, 3]).is_err());
    }

    #[test]
    fn a_missing_header_is_found() {
        assert!(judge(&[0, 2, 3]).is_err(), "no sequence header");
        assert!(judge(&[1, 2, 3]).is_err(), "no metadata");
        assert!(judge(&[3]).is_err());
    }
}
