//! One stream's clock: 64 bits inside, whatever the publisher's does.
//!
//! A publisher's time goes round at 2^32 (some encoders': at 2^24 or 2^31), and it jumps: an encoder starts anew, a file
//! loops, the next publisher of a name begins at zero. Players get a clock that goes on. What is added to the
//! publisher's time is **one offset for all tracks**, found where the first track jumps; the others take it over where
//! they jump, be it messages later, so that sound and picture keep the distance that the publisher gives them.
//! Everything else is left as it is: gaps, pauses, interleaving, and tracks that begin at different times.
//!
//! A jump is what neither the time that has passed nor the other tracks explain: back by more than
//! [`limits::CLOCK_BACK`], or ahead by more than [`limits::CLOCK_AHEAD`]. A track that was silent for minutes, as video
//! of a still screen, comes back where the sound is by then: no jump.
//!
//! Headers, metadata and other data follow the clock and never move it: OBS and FFmpeg send them with time 0 in the
//! middle of a stream. Where their time is not that of the stream, they get the newest.

use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::MediaKind;
use crate::time::{Duration, Instant, Timestamp};

/// Widths of clocks that go round before RTMP's 32 bits do: encoders that know no extended timestamps, and FLV's signed
/// ones.
const NARROW: [u32; 2] = [1 << 24, 1 << 31];

/// A stream's clock. Times of players in milliseconds, never going round: what leaves are their lower 32 bits.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    audio: Option<Track>,
    video: Option<Track>,
    /// What is added to the publisher's time, modulo 2^32, since the last jump.
    offset: u32,
    /// The newest time of all tracks, each counted from where it began beside the others.
    head: Option<i64>,
    /// The newest time that headers and data had.
    shown: Option<i64>,
    /// The present publication has begun: its offset is known.
    anchored: bool,
    jumps: u64,
}

/// One kind of media. Its tracks, should it have several, have one clock in all encoders.
#[derive(Clone, Copy, Debug)]
struct Track {
    /// What is added to its time: the clock's offset, once it has jumped as well.
    offset: u32,
    /// The newest time it had.
    newest: i64,
    /// How far it began ahead of the others: some encoders count sound and pictures from different moments.
    lead: i64,
    /// When its last message came.
    at: Instant,
    /// That was of the publication before: what its offset was says nothing any more.
    stale: bool,
}

impl Track {
    /// `time` under `offset`, the one of all its readings that is nearest to what the track had last.
    fn place(&self, time: Timestamp, offset: u32) -> i64 {
        nearest(time, offset, self.newest)
    }

    /// How far `place` is from what may come next, milliseconds: 0 if it goes on within the time that has passed, here or
    /// on the other tracks (whose newest time is `head`). And whether that is no jump.
    fn distance(&self, place: i64, head: i64, now: Instant) -> (i64, bool) {
        let passed = millis(now.since(self.at));
        let explained = self
            .newest
            .saturating_add(passed)
            .max(head.saturating_add(self.lead));
        let (back, ahead) = (self.newest - place, place - explained);
        let fits = back <= millis(limits::CLOCK_BACK) && ahead <= millis(limits::CLOCK_AHEAD);
        (back.max(ahead).max(0), fits)
    }
}

impl Clock {
    /// The time that players get for a picture or sound of the publisher's time `time`.
    #[inline]
    pub fn media(&mut self, kind: MediaKind, time: Timestamp, now: Instant) -> Timestamp {
        let Some(track) = self.track(kind) else {
            return self.follower(kind, time);
        };
        // The common case, and the only one that is to be cheap: the next message of a track in good order.
        if let Some(track) = track
            && self.anchored
            && !track.stale
            && track.offset == self.offset
        {
            let place = track.place(time, track.offset);
            if place >= track.newest && place - track.newest <= millis(limits::CLOCK_AHEAD) {
                return self.advance(kind, place, now, track);
            }
        }
        self.judge(kind, time, now, track)
    }

    /// The time that players get for other data, and for what nobody has heard of.
    pub fn follower(&mut self, kind: MediaKind, time: Timestamp) -> Timestamp {
        self.follow(kind, time, millis(limits::CLOCK_BACK))
    }

    /// The same for headers and metadata, which are never older than what came before them.
    pub fn header(&mut self, kind: MediaKind, time: Timestamp) -> Timestamp {
        self.follow(kind, time, 0)
    }

    fn follow(&mut self, kind: MediaKind, time: Timestamp, back: i64) -> Timestamp {
        let place = self.place_of_follower(kind, time, back);
        self.shown = Some(self.shown.map_or(place, |shown| shown.max(place)));
        wire(place)
    }

    fn place_of_follower(&self, kind: MediaKind, time: Timestamp, back: i64) -> i64 {
        let Some(head) = self.head else {
            return nearest(time, self.offset, self.shown.unwrap_or(i64::from(time.0)));
        };
        // What a track was in the publication before says nothing: this one may not have it.
        let track = self.track(kind).flatten().filter(|track| !track.stale);
        let newest = track.map_or(head, |track| track.newest);
        let reached = newest.max(track.map_or(head, |track| head + track.lead));
        if !self.anchored {
            return reached; // behind all of the publication before, and before anything of this one
        }
        let most = millis(limits::CLOCK_BACK);
        let offsets = [track.map(|track| track.offset), Some(self.offset)];
        let near = |offset: u32| {
            let place = nearest(time, offset, newest);
            (newest - back..=reached + most)
                .contains(&place)
                .then_some(place)
        };
        let place = offsets.into_iter().flatten().find_map(near);
        // Its track is silent while others go on: it is about what comes now.
        let now = if reached - newest <= most {
            newest
        } else {
            reached
        };
        place.unwrap_or(now)
    }

    /// Another publication goes on where this one ends, whatever its publisher's time is.
    pub fn next_publication(&mut self) {
        if planted(Bug::OffsetForgottenOnTakeover) {
            *self = Self::default();
        }
        self.anchored = false;
        self.jumps = 0;
        self.head = self.head.max(self.shown);
        for track in [&mut self.audio, &mut self.video].into_iter().flatten() {
            track.stale = true;
        }
    }

    /// How often the publisher's time jumped in the present publication.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// The track of `kind`, if it has come; none for what has no track.
    #[expect(
        clippy::option_option,
        reason = "no track is possible, or none has come: two things"
    )]
    fn track(&self, kind: MediaKind) -> Option<Option<Track>> {
        match kind {
            MediaKind::Audio => Some(self.audio),
            MediaKind::Video => Some(self.video),
            MediaKind::Data => None,
        }
    }

    /// What is not simply next.
    #[cold]
    fn judge(
        &mut self,
        kind: MediaKind,
        time: Timestamp,
        now: Instant,
        track: Option<Track>,
    ) -> Timestamp {
        self.anchor(time, track);
        let head = self.head.unwrap_or_default();
        let Some(mut track) = track else {
            // It begins: where it stands beside the others is its publisher's affair.
            let low = i64::from(time.0.wrapping_add(self.offset));
            let place = nearest(time, self.offset, self.head.or(self.shown).unwrap_or(low));
            let lead = self.head.map_or(0, |head| place - head);
            let track = Track {
                offset: self.offset,
                newest: place,
                lead: if lead.abs() <= millis(limits::CLOCK_AHEAD) {
                    0
                } else {
                    lead
                },
                at: now,
                stale: false,
            };
            return self.advance(kind, place, now, track);
        };
        let mut candidates = [
            Some(track.offset).filter(|_| !track.stale),
            Some(self.offset),
        ];
        if planted(Bug::ClockRepairedApart) {
            candidates[1] = candidates[0]; // each track finds an offset of its own
        }
        let judged = |offset: u32| {
            let place = track.place(time, offset);
            let (distance, fits) = track.distance(place, head, now);
            fits.then_some((distance, offset, place))
        };
        // The nearer one: where another track has jumped, by little more than the bound, this one may have jumped by
        // little less. Of two alike the first, its own.
        let known = candidates.into_iter().flatten().filter_map(judged);
        let found = known.min_by_key(|(distance, ..)| *distance);
        let (offset, place) = match found {
            Some((_, offset, place)) => (offset, place),
            None => self.jump(&track, time, head, now),
        };
        track.offset = offset;
        track.stale = false;
        self.advance(kind, place, now, track)
    }

    /// The first message of a publication that goes on where another ended finds its offset.
    fn anchor(&mut self, time: Timestamp, track: Option<Track>) {
        if std::mem::replace(&mut self.anchored, true) {
            return;
        }
        if let Some(head) = self.head {
            let lead = track.map_or(0, |track| track.lead);
            self.offset = seam(head, lead).1.wrapping_sub(time.0);
        }
    }

    /// A new offset, and where `time` is under it.
    fn jump(&mut self, track: &Track, time: Timestamp, head: i64, now: Instant) -> (u32, i64) {
        // (What it was, to be compared with what it is: a clock that had more bits has not gone round.)
        let last = wire(track.newest).0.wrapping_sub(track.offset);
        for width in NARROW
            .into_iter()
            .filter(|width| time.0 < last && last < *width)
        {
            let offset = track.offset.wrapping_add(width);
            let place = track.place(time, offset);
            if !track.stale && place >= track.newest && track.distance(place, head, now).1 {
                self.offset = offset; // it has only gone round
                return (offset, place);
            }
        }
        let (place, low) = seam(head, track.lead);
        let offset = low.wrapping_sub(time.0);
        self.offset = offset;
        self.jumps += 1;
        (offset, place)
    }

    #[inline]
    fn advance(
        &mut self,
        kind: MediaKind,
        place: i64,
        now: Instant,
        mut track: Track,
    ) -> Timestamp {
        track.newest = track.newest.max(place);
        track.at = now;
        let reached = track.newest - track.lead;
        self.head = Some(self.head.map_or(reached, |head| head.max(reached)));
        match kind {
            MediaKind::Audio => self.audio = Some(track),
            MediaKind::Video => self.video = Some(track),
            MediaKind::Data => {}
        }
        wire(place)
    }
}

/// Where a track goes on behind a jump: behind everything that players had. And the lower half of that.
fn seam(head: i64, lead: i64) -> (i64, u32) {
    let place = head + lead + millis(limits::CLOCK_SEAM);
    (place, wire(place).0)
}

/// `time` under `offset`, as the moment nearest to `to` that has these 32 bits.
fn nearest(time: Timestamp, offset: u32, to: i64) -> i64 {
    let low = Timestamp(time.0.wrapping_add(offset));
    to + i64::from(low.since(wire(to)))
}

/// The lower 32 bits.
fn wire(time: i64) -> Timestamp {
    Timestamp(time as u32)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
