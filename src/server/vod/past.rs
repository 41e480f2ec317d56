//! Players of a live stream that is recorded, while they are back in its past ("live rewind").
//!
//! Such a player keeps its place in the stream, and holds it: what it is sent comes from the files of the recording, one
//! behind the other, in the stream's own time, as fast as it plays. At the recording's end, and when it seeks to what is
//! live by now, it goes on with the stream like one that has held it (`pause`).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::projector::{Place, Projector};
use super::source::{OpenError, Source};
use super::viewing::Item;
use crate::limits;
use crate::media::stream::Stream;
use crate::media::timeline::{Chapter, LongTime, Timeline};
use crate::planted::{Bug, planted};
use crate::runtime::Runtime;
use crate::runtime::disk::Disk as _;
use crate::server::record::file::part_of;
use crate::server::stream::LiveStream;
use crate::time::{Instant, Timestamp};

/// From where, and for how long, of a recording that is `length` long: milliseconds.
///
/// The specification has seconds; librtmp sends milliseconds. What would lie behind the end in seconds, and does not in
/// milliseconds, are those.
pub(in crate::server) fn part(
    (start, duration): (f64, Option<f64>),
    length: Option<u64>,
) -> (u64, Option<u64>) {
    let length = length.map_or(f64::INFINITY, |length| length as f64);
    let unit = match start * 1e3 > length && start <= length {
        true => 1.0,
        false => 1e3,
    };
    let millis = |number: f64| (number * unit) as u64; // saturates
    (millis(start), duration.map(millis))
}

/// The recorded past of a live stream, for one player of it.
pub(in crate::server) struct Past<R: Runtime> {
    stream: Rc<LiveStream<R::Conn>>,
    /// The player's.
    slot: usize,
    /// What it wants first (`play` with a start), in its unit.
    start: Option<(f64, Option<f64>)>,
    /// It is there now, or wants to be.
    away: Cell<bool>,
    /// Which timeline its times are of.
    timeline: Cell<Option<u64>>,
}

/// A file of the past that is being played.
pub(super) struct Part<'a, R: Runtime> {
    past: &'a Past<R>,
    chapter: &'a Chapter,
}

impl<R: Runtime> Clone for Part<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Runtime> Copy for Part<'_, R> {}

impl<R: Runtime> Part<'_, R> {
    /// Whether the file, should it not grow any more, was left as it is: its stream is over, or recorded in another.
    pub(super) fn is_left(&self) -> bool {
        let next = self.past.timeline();
        let next = next.is_some_and(|timeline| timeline.behind(self.chapter).is_some());
        next || !self.past.is_live()
    }
}

impl<R: Runtime> Past<R> {
    /// For the player in `slot` of `stream`, which is away at once if it wants to `start` there.
    pub(in crate::server) fn new(
        stream: Rc<LiveStream<R::Conn>>,
        slot: usize,
        start: Option<(f64, Option<f64>)>,
    ) -> Self {
        let timeline = stream.state.borrow().media.timeline().map(|one| one.id());
        Self {
            stream,
            slot,
            start,
            away: Cell::new(start.is_some()),
            timeline: Cell::new(timeline),
        }
    }

    /// Whether the player is in the past, or on its way.
    pub(in crate::server) fn is_away(&self) -> bool {
        self.away.get()
    }

    /// The player leaves for the past.
    pub(in crate::server) fn leave(&self, timeline: u64) {
        self.timeline.set(Some(timeline));
        self.away.set(true);
    }

    /// As long as it is the one that the player's times are of.
    fn timeline(&self) -> Option<Arc<Timeline>> {
        self.recorded().map(|recorded| recorded.timeline)
    }

    fn is_live(&self) -> bool {
        self.stream.state.borrow().media.is_live()
    }

    /// What is recorded, in the player's times.
    fn recorded(&self) -> Option<Recorded> {
        let recorded = Recorded::of(&self.stream.state.borrow().media)?;
        let id = recorded.timeline.id();
        let known = self.timeline.get().is_none_or(|known| known == id);
        known.then_some(recorded)
    }

    /// Whether `time` is as good as live.
    fn is_now(&self, time: u64) -> bool {
        let recorded = self.recorded();
        recorded.map_or(self.is_live(), |recorded| recorded.is_now(time))
    }
}

/// What is recorded of a live stream.
pub(in crate::server) struct Recorded {
    pub(in crate::server) timeline: Arc<Timeline>,
    /// How far it goes, about.
    edge: LongTime,
    is_live: bool,
}

impl Recorded {
    /// What is recorded of `media`, if anything is.
    pub(in crate::server) fn of(media: &Stream) -> Option<Self> {
        let timeline = Arc::clone(media.timeline()?);
        Some(Self {
            edge: timeline.long(media.newest()),
            is_live: media.is_live(),
            timeline,
        })
    }

    /// Whether `time` is as good as live.
    pub(in crate::server) fn is_now(&self, time: u64) -> bool {
        let near = i64::try_from(limits::REWIND_MIN.as_millis()).unwrap_or(i64::MAX);
        let is_near = |time: i64| time.saturating_add(near) > self.edge;
        self.is_live && i64::try_from(time).is_ok_and(is_near)
    }
}

/// How being in the past has ended.
enum Return {
    /// The player wants to be elsewhere.
    Sought,
    /// It has had the part that it wanted.
    Enough,
    /// The recording ends there.
    End,
}

/// What one stay in the past has come to.
#[derive(Default)]
struct Stay {
    /// Milliseconds.
    played: u64,
    bytes: u64,
    /// When all of it will have been played.
    end: Option<Instant>,
}

impl Stay {
    fn add(&mut self, place: &Place) {
        self.played += place.played();
        self.bytes += place.sent;
        self.end = place.end().or(self.end);
    }
}

impl<R: Runtime> Projector<R> {
    /// Goes back whenever the player wants to, until it is dropped.
    pub(super) async fn go_back(self, past: Rc<Past<R>>) {
        let mut until = None;
        if let Some(start) = past.start {
            until = self.start(&past, start).await;
        }
        loop {
            self.steer.changed.set(false);
            let Some(time) = self.steer.seek.take() else {
                self.wait(None, false).await;
                continue;
            };
            until = until.filter(|until| *until > time);
            if past.is_now(time) {
                self.go_live(&past).await;
                continue;
            }
            let mut stay = Stay::default();
            match self.relive(&past, time, until, &mut stay).await {
                Ok(Return::Sought) => {}
                Ok(Return::Enough) => self.say_completed(&past, &stay).await,
                Ok(Return::End) => {
                    if !past.is_live() {
                        self.say_completed(&past, &stay).await;
                    }
                    self.go_live(&past).await;
                }
                Err(error) => {
                    self.fail(past.stream.key.as_str(), &error);
                    self.go_live(&past).await;
                }
            }
        }
    }

    /// What a player wants first, once it is known what there is of it: until when. It is sought then.
    async fn start(&self, past: &Past<R>, start: (f64, Option<f64>)) -> Option<u64> {
        let until = self.now() + limits::REWIND_GAP;
        while past.timeline().is_none() && self.now() < until && self.steer.seek.get().is_none() {
            self.steer.changed.set(false);
            self.wait(Some(self.now() + limits::VOD_GROWTH), false)
                .await;
        }
        let recorded = past.recorded();
        past.timeline
            .set(recorded.as_ref().map(|it| it.timeline.id()));
        let length = recorded.map(|it| u64::try_from(it.edge).unwrap_or(0));
        let (from, duration) = part(start, length);
        let metadata = past.stream.state.borrow().media.metadata().cloned();
        if let Some(metadata) = metadata {
            self.send_message(&metadata.restamped(Timestamp(0)));
        }
        if self.steer.seek.get().is_none() {
            self.steer.seek.set(Some(from));
        }
        duration.map(|duration| from.saturating_add(duration))
    }

    /// Says so when the client has played it all, unless it wants to be elsewhere before.
    async fn say_completed(&self, past: &Past<R>, stay: &Stay) {
        while let Some(end) = stay.end
            && self.now() < end
            && self.steer.seek.get().is_none()
        {
            self.steer.changed.set(false);
            self.wait(Some(end), false).await;
        }
        if self.steer.seek.get().is_none() {
            self.completed(past.stream.key.as_str(), stay.played, stay.bytes);
        }
    }

    /// The player goes on with what is live, as soon as it does not hold that.
    async fn go_live(&self, past: &Past<R>) {
        while self.steer.paused.get() && self.steer.seek.get().is_none() {
            self.steer.changed.set(false);
            self.wait(None, false).await;
        }
        if self.steer.seek.get().is_none() {
            past.away.set(false);
            match past.is_live() {
                true => past.stream.rejoin(past.slot, self.now()),
                false => past.stream.hold(past.slot, false, self.now()), // its last word
            }
            past.stream.state.borrow_mut().request_pass();
            past.stream.wake_pump(self.shard.runtime());
        }
    }

    /// Plays what is recorded from `time` on.
    async fn relive(
        &self,
        past: &Past<R>,
        time: u64,
        until: Option<u64>,
        stay: &mut Stay,
    ) -> Result<Return, OpenError> {
        let mut found = self.find(past, time).await?;
        let mut at = LongTime::try_from(time).unwrap_or(LongTime::MAX);
        let mut behind = self.steer.behind.take();
        // When which time was due: it goes on so across files.
        let mut due: Option<(Instant, LongTime)> = None;
        while let Some((chapter, item)) = found {
            let within = |time: LongTime| u64::try_from(time - chapter.zero).unwrap_or(0);
            let mut place = Place::at(&item, within(at));
            place.behind = behind.take();
            if planted(Bug::RewindRepeats) {
                place.behind = None;
            }
            place.until = until.map(|until| within(LongTime::try_from(until).unwrap_or(i64::MAX)));
            place.anchor = due.map(|(began, time)| (began, time - chapter.zero));
            let part = Part {
                past,
                chapter: &chapter,
            };
            let played = self.play(&item, &mut place, Some(part)).await;
            stay.add(&place);
            played?;
            if self.steer.seek.get().is_some() {
                return Ok(Return::Sought);
            }
            if place.has_enough() {
                return Ok(Return::Enough);
            }
            found = self.find_next(past, &chapter).await?;
            at = found.as_ref().map_or(at, |(chapter, _)| chapter.zero);
            let end = place.span.map(|(_, to)| to as LongTime + chapter.zero);
            // Who waits for what was never recorded waits for nothing.
            let gap = i64::try_from(limits::REWIND_GAP.as_millis()).unwrap_or(i64::MAX);
            let anchor = place
                .anchor
                .filter(|_| end.is_some_and(|end| at - end < gap));
            due = anchor.map(|(began, time)| (began, time + chapter.zero));
        }
        match self.steer.seek.get() {
            Some(_) => Ok(Return::Sought),
            None => Ok(Return::End),
        }
    }

    /// The file that holds `time`, or the first behind it that is still there: what is too old is removed.
    async fn find(&self, past: &Past<R>, time: u64) -> Result<Option<Found<R>>, OpenError> {
        let Some(timeline) = past.timeline() else {
            return Ok(None);
        };
        let time = LongTime::try_from(time).unwrap_or(LongTime::MAX);
        let chapters = timeline.chapters();
        let first = timeline.index(time);
        let (mut low, mut high, mut probe) = (first, chapters.len(), first);
        let mut found = None;
        while low < high
            && let Some(chapter) = chapters.get(probe)
        {
            match self.open(past, &timeline, chapter).await {
                Ok(item) => {
                    found = Some((Arc::clone(chapter), item));
                    high = probe;
                }
                Err(OpenError::NotFound) => low = probe + 1,
                Err(error) => return Err(error),
            }
            probe = low + (high - low) / 2;
        }
        Ok(found)
    }

    /// The file behind `chapter`, which may be about to be made.
    async fn find_next(
        &self,
        past: &Past<R>,
        chapter: &Chapter,
    ) -> Result<Option<Found<R>>, OpenError> {
        let began = self.now();
        loop {
            let Some(timeline) = past.timeline() else {
                return Ok(None);
            };
            if let Some(next) = timeline.behind(chapter) {
                return self.find(past, next.begin.unsigned_abs()).await;
            }
            self.steer.changed.set(false);
            let patience = match past.is_live() {
                true => limits::REWIND_GAP,
                false => limits::REWIND_END,
            };
            if self.steer.seek.get().is_some() || self.now().since(began) >= patience {
                return Ok(None);
            }
            let again = self.now() + limits::VOD_GROWTH;
            self.wait(Some(again), false).await;
        }
    }

    async fn open(
        &self,
        past: &Past<R>,
        timeline: &Timeline,
        chapter: &Chapter,
    ) -> Result<Item<R>, OpenError> {
        let (whole, unfinished) = (chapter.path.clone(), part_of(&chapter.path));
        // It may be finished while we look.
        let paths = [whole.clone(), unfinished, whole];
        let disk = self.shard.runtime().disk().for_viewers();
        let source: Rc<Source<R::Disk>> = self.shard.library().open_first(&disk, paths).await?;
        let origin: Timestamp = timeline.stamp(chapter.zero);
        Ok(Item {
            name: past.stream.key.as_str().to_owned(),
            source,
            from: 0,
            duration: None,
            origin,
            tells_metadata: false,
        })
    }
}

/// A file of the past, and how it is played.
type Found<R> = (Arc<Chapter>, Item<R>);
