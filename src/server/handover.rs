//! How a publication ends: in good order, without a word, or because somebody else gets its name.
//!
//! A publisher that vanishes may come back ([`OnConflict::Resume`]): its stream waits for it, as if it published, with the
//! lease, the ring and the players; whoever publishes the name then goes on with all that. The next publisher may be on
//! another shard than the last one, and its players on others still. What each of them hears, in order:
//!
//! ```text
//! control → old shard   Yield
//! old shard → players' shards   the last frames, and Ended unless the publisher had vanished
//! old shard → control   Unpublish, with the clock
//! control → new shard   Granted, with the clock
//! new shard → players' shards   Snapshot (Publication or Resumption), then frames
//! ```
//!
//! Mail of the two shards may cross on its way to a third: numbers of publications only grow, and what is older than the
//! newest one known is dropped there.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::message::{ControlMessage, Heritage, ShardMessage};
use super::play::notice_for;
use super::shard::Shard;
use super::stream::{LiveStream, Source};
use crate::config::OnConflict;
use crate::media::directory::{PublicationId, StreamKey};
use crate::media::ring::NoticeKind;
use crate::planted::{Bug, planted};
use crate::runtime::{Runtime, Task};
use crate::time::Instant;

/// The publications of a shard whose publishers have vanished, and until when each is waited for.
#[derive(Default)]
pub(super) struct Graces {
    waiting: RefCell<Vec<Grace>>,
    /// The task that ends them: it runs as long as there are some.
    task: RefCell<Option<Task<()>>>,
    waker: RefCell<Option<Waker>>,
}

/// A timer, and what it is set to.
type Alarm = (Instant, Pin<Box<dyn Future<Output = ()>>>);

#[derive(Clone)]
struct Grace {
    until: Instant,
    key: StreamKey,
    publication: PublicationId,
}

impl Graces {
    /// Returns whether the task runs.
    fn add(&self, grace: Grace) -> bool {
        self.waiting.borrow_mut().push(grace);
        self.wake()
    }

    fn remove(&self, publication: PublicationId) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|grace| grace.publication != publication);
        self.wake();
    }

    fn wake(&self) -> bool {
        let waker = self.waker.borrow();
        waker.as_ref().map(Waker::wake_by_ref).is_some()
    }

    fn earliest(&self) -> Option<Instant> {
        self.waiting.borrow().iter().map(|grace| grace.until).min()
    }

    /// One that is not waited for any more at `now`.
    fn take_due(&self, now: Instant) -> Option<Grace> {
        let mut waiting = self.waiting.borrow_mut();
        let due = waiting.iter().position(|grace| grace.until <= now)?;
        Some(waiting.remove(due))
    }
}

impl<R: Runtime> Shard<R> {
    /// A publication of this shard is over: the players here and elsewhere are told, the lease goes back.
    pub(super) fn end_publication(
        &self,
        stream: &Rc<LiveStream<R::Conn>>,
        publication: PublicationId,
    ) {
        self.give_back(stream, publication, None);
    }

    /// The publisher has vanished. If the stream waits for it, the players hear nothing of that.
    pub(super) fn lose_publication(
        &self,
        stream: &Rc<LiveStream<R::Conn>>,
        publication: PublicationId,
    ) {
        let settings = self.settings();
        let application = settings.applications.of(stream.key.application());
        let grace = application.grace;
        let waits = application.on_conflict == OnConflict::Resume
            && !grace.is_zero()
            && !self.is_draining();
        if !waits {
            return self.end_publication(stream, publication);
        }
        if stream.state.borrow_mut().local(publication).is_none() {
            return self.end_publication(stream, publication); // somebody else publishes the name now
        }
        self.send_tail(stream, publication);
        let told = {
            let state = &mut *stream.state.borrow_mut();
            if let Some(local) = state.local(publication) {
                local.lost = true;
            }
            state.request_pass();
            !state.players.is_empty()
        };
        if told {
            stream.wake_pump(self.runtime());
        }
        tracing::info!(
            stream = %stream.key,
            "the publisher vanished; the stream waits {:?} for it",
            grace
        );
        let runs = self.graces().add(Grace {
            until: self.runtime().now() + grace,
            key: stream.key.clone(),
            publication,
        });
        if !runs {
            let task = self.runtime().spawn("graces", self.clone().keep_graces());
            *self.graces().task.borrow_mut() = Some(task);
        }
    }

    /// Somebody else gets the name: this shard's publisher of it is told, and lets go.
    pub(super) fn yield_name(&self, key: &StreamKey, publication: PublicationId) {
        let Some(stream) = self.known_stream(key) else {
            return; // it has ended by itself meanwhile
        };
        let heir = {
            let state = &mut *stream.state.borrow_mut();
            let Some(local) = state.local(publication) else {
                return;
            };
            if !local.lost && !planted(Bug::TakeoverNotTold) {
                self.wake_taken_over(local.connection);
            }
            Heritage {
                quiet: local.lost,
                clock: state.media.bequeath(),
                timeline: state.media.timeline().cloned(),
            }
        };
        tracing::info!(stream = %key, resumed = heir.quiet, "another publisher takes the name over");
        self.give_back(&stream, publication, Some(heir));
    }

    /// The lease goes back, and with it what its next holder needs, if one waits.
    fn give_back(
        &self,
        stream: &Rc<LiveStream<R::Conn>>,
        publication: PublicationId,
        heritage: Option<Heritage>,
    ) {
        if stream.state.borrow_mut().local(publication).is_none() {
            // Somebody else has it already; the stream here was perhaps made for this one alone.
            return self.forget_if_unused(stream);
        }
        let quiet = heritage.as_ref().is_some_and(|heritage| heritage.quiet);
        self.send_tail(stream, publication);
        if !quiet && !planted(Bug::EndNotTold) {
            self.tell_audience(stream, publication, |route| ShardMessage::Ended { route });
        }
        let told = {
            let state = &mut *stream.state.borrow_mut();
            let connection = state.local(publication).map(|local| local.connection);
            let clock_jumps = match &heritage {
                Some(heritage) => heritage.clock.jumps(),
                None => state.media.clock_jumps(),
            };
            let media = &state.media;
            let first = match std::mem::replace(&mut state.source, Source::None) {
                Source::Local(mut local) => {
                    self.end_recordings(&stream.key, &mut local, media);
                    local.first
                }
                _ => media.ring().head(),
            };
            let meters = self.meters();
            meters.orphans.add(media.orphans());
            meters.headers_left_out.add(media.headers_left_out());
            meters.frames_in.add(media.ring().head() - first);
            meters.clock_jumps.add(clock_jumps);
            tracing::info!(
                connection,
                stream = %stream.key,
                codecs = %media.codecs(),
                pictures_before_a_keyframe = media.orphans(),
                headers_left_out = media.headers_left_out(),
                clock_jumps,
                "published"
            );
            if !quiet {
                let key = stream.key.as_str();
                let chunk_size = self.settings().chunk_size;
                let notice = notice_for(NoticeKind::Ended, 1, key, chunk_size);
                if planted(Bug::EndToldTwice) {
                    state.media.end(notice.clone(), self.runtime().now());
                }
                state.media.end(notice, self.runtime().now());
            }
            !state.players.is_empty()
        };
        self.graces().remove(publication);
        self.tell_control(ControlMessage::Unpublish {
            key: stream.key.clone(),
            publication,
            heritage: heritage.map(Box::new),
        });
        if told {
            // Not here: this runs when a connection is dropped, perhaps by a panic.
            stream.state.borrow_mut().request_pass();
            stream.wake_pump(self.runtime());
        }
        self.forget_if_unused(stream);
    }

    /// Ends what nobody came back to in time, as long as somebody may.
    async fn keep_graces(self) {
        let mut timer: Option<Alarm> = None;
        poll_fn(|cx| {
            *self.graces().waker.borrow_mut() = Some(cx.waker().clone());
            loop {
                while let Some(grace) = self.graces().take_due(self.runtime().now()) {
                    self.end_grace(&grace);
                }
                let Some(at) = self.graces().earliest() else {
                    *self.graces().waker.borrow_mut() = None;
                    return Poll::Ready(());
                };
                let (_, sleep) = match &mut timer {
                    Some(armed) if armed.0 == at => armed,
                    other => other.insert((at, Box::pin(self.runtime().sleep_until(at)))),
                };
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                timer = None;
            }
        })
        .await
    }

    /// Nobody is waited for any more: the shard stops.
    pub(super) fn end_graces(&self) {
        while let Some(grace) = self.graces().take_due(Instant::FAR_FUTURE) {
            self.end_grace(&grace);
        }
        drop(self.graces().task.take());
        *self.graces().waker.borrow_mut() = None;
    }

    fn end_grace(&self, grace: &Grace) {
        if planted(Bug::GraceNeverEnds) {
            return;
        }
        if let Some(stream) = self.known_stream(&grace.key) {
            tracing::info!(stream = %grace.key, "the publisher has not come back in time");
            self.end_publication(&stream, grace.publication);
        }
    }
}
