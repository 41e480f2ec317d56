//! A player can decode from its first message on: headers before media, and pictures start at a keyframe.

use std::collections::BTreeMap;

use super::library::{Entry, Library};
use super::{Checker, Publication, is_servers_own};
use crate::journal::Observation;
use crate::media::Sort;

/// Invariants 3, 4 and 5 of the reference: before any media the newest metadata and sequence headers, the
/// first picture a keyframe, and after a gap a keyframe again.
#[derive(Default)]
pub struct Headers {
    library: Library,
    players: BTreeMap<String, Player>,
    exercised: u64,
    multitrack: u64,
    track_0_less: u64,
}

#[derive(Default)]
struct Player {
    publication: Option<Publication>,
    /// The header in force, per sort and track: its index.
    headers: BTreeMap<(Sort, u8), usize>,
    /// Per track.
    last_picture: BTreeMap<u8, usize>,
}

impl Headers {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }
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
                let tracks = &entry.frame.tracks;
                if !entry.frame.sort.is_header() {
                    self.exercised += 1;
                    self.multitrack += u64::from(tracks.len() > 1);
                    self.track_0_less += u64::from(!tracks.is_empty() && !tracks.contains(&0));
                }
                let player = self.players.entry(who.into()).or_default();
                player.take(who, &entry, &self.library)
            }
            _ => Ok(()),
        }
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }

    fn special_cases(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("headers of all tracks of one message", self.multitrack),
            ("headers of another track than 0", self.track_0_less),
        ]
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
        let frame = &entry.frame;
        if frame.sort.is_header() {
            for track in &frame.tracks {
                self.headers.insert((frame.sort, *track), entry.index);
            }
            return Ok(());
        }
        self.needs(who, entry, (Sort::Metadata, 0), library)?;
        for track in frame.tracks.iter().copied() {
            let headers = if frame.sort.is_picture() {
                self.needs_picture_before(who, entry, track, library)?;
                [Sort::VideoHeader, Sort::Colours]
            } else {
                [Sort::AudioHeader, Sort::Speakers]
            };
            for header in headers {
                self.needs(who, entry, (header, track), library)?;
            }
            if frame.sort.is_picture() {
                self.last_picture.insert(track, entry.index);
            }
        }
        Ok(())
    }

    /// The newest header of that sort and track published before it must be in force; a sequence header from after it
    /// would decode it as little. (Metadata may be younger: it decodes nothing.)
    fn needs(
        &self,
        who: &str,
        entry: &Entry,
        (sort, track): (Sort, u8),
        library: &Library,
    ) -> Result<(), String> {
        let newest = library.newest_before(&entry.publication, &[sort], track, entry.index);
        let got = self.headers.get(&(sort, track)).copied();
        if newest.is_none() || got == newest || (sort == Sort::Metadata && got >= newest) {
            return Ok(());
        }
        // Who joins later gets none, of older frames either.
        let cleared = library.newest_before(&entry.publication, &[Sort::Cleared], 0, usize::MAX);
        if sort == Sort::Metadata && cleared > newest {
            return Ok(());
        }
        let got_what = format!(
            "{who} got #{} ({} of track {track})",
            entry.index,
            entry.frame.sort.name()
        );
        let header = sort.name();
        match got {
            Some(got) if Some(got) > newest => Err(format!(
                "{got_what} under the {header} #{got} that came after it"
            )),
            _ => Err(format!("{got_what} without the {header} before it")),
        }
    }

    /// An inter frame needs the picture of its track just before it.
    fn needs_picture_before(
        &self,
        who: &str,
        entry: &Entry,
        track: u8,
        library: &Library,
    ) -> Result<(), String> {
        if entry.frame.sort == Sort::Key {
            return Ok(());
        }
        let pictures = [Sort::Key, Sort::Inter];
        let before = library.newest_before(&entry.publication, &pictures, track, entry.index);
        let last = self.last_picture.get(&track).copied();
        if last.is_some() && last == before {
            return Ok(());
        }
        Err(format!(
            "{who} got inter frame #{} of track {track} and cannot decode it: the picture before is {before:?}, the last it got {last:?}",
            entry.index
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{broadcast, frames, frames_of, small};
    use super::*;
    use crate::media::{Broadcast, Shape, Tracks};

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
        let shape = Shape {
            headers_every: 3,
            ..small(Tracks::Legacy)
        };
        let mut source = Broadcast::new(shape, "alice", 0);
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

    #[test]
    fn every_track_of_a_message_needs_its_own_header() {
        // 0 metadata, 1 video headers, 2 colours, 3 audio headers, 4 speakers, 5 keyframes, 6 inter.
        let frames = frames_of(Tracks::ManyTracks, "alice", 0, 9);
        let judge = |picks: &[usize]| broadcast(&mut Headers::default(), &frames, picks);
        assert_eq!(judge(&[0, 1, 2, 3, 4, 5, 6, 7]), Ok(()));
        assert!(judge(&[0, 2, 5]).is_err(), "no sequence headers");
        assert!(judge(&[0, 1, 5]).is_err(), "no colours");

        // 0 metadata, 1 and 2 video headers, 3 and 4 colours, 5 to 8 audio, 9 and 10 keyframes.
        let frames = frames_of(Tracks::OneTrack, "alice", 0, 13);
        assert_eq!(frames[10].tracks, [1]);
        let mut checker = Headers::default();
        assert_eq!(
            broadcast(&mut checker, &frames, &[0, 1, 2, 3, 4, 9, 10, 11, 12]),
            Ok(())
        );
        assert_eq!(checker.special_cases()[1].1, 2);
        let judge = |picks: &[usize]| broadcast(&mut Headers::default(), &frames, picks);
        assert!(judge(&[0, 1, 3, 4, 9, 10]).is_err(), "track 1 has none");
        assert!(judge(&[0, 1, 2, 3, 4, 9, 12]).is_err(), "nor a keyframe");
    }
}
