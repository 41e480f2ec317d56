//! Recordings: a stream's frames into files, without that the stream ever waits for a disk.
//!
//! ```text
//! ring ── Tap: a cursor ── Segment: time, cuts, muxer ── Writing: NAME.flv.part → NAME.flv
//!         └────────────── Recorder: a task on the publisher's shard ──────────────┘
//! ```
//!
//! A recorder looks at the ring a few times a second: nothing on the path of a frame knows of it. A publication has at
//! most one for each container; it ends with the publication, whoever takes the name over.
//!
//! On the control thread the [archive] mends what an earlier server has left unfinished, and removes what is too old.

pub(super) mod archive;
pub(super) mod file;
mod held;
mod recorder;
mod segment;
mod tap;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use super::event::Party;
use super::message::ShardMessage;
use super::shard::Shard;
use super::stream::{LiveStream, Local, Source};
use crate::config::Record;
use crate::limits;
use crate::media::directory::{PublicationId, StreamKey};
use crate::media::prelude::InForce;
use crate::media::stream::Stream;
use crate::runtime::{Runtime, SocketAddr, Task};
use crate::time::{Instant, Timestamp};
use recorder::Recorder;
use tap::Tap;

/// What a publication has of its recording: when it goes, the recording is over.
pub(super) struct Recording(Rc<RefCell<Tap>>);

impl Drop for Recording {
    fn drop(&mut self) {
        self.0.borrow_mut().stop();
    }
}

/// The recorders of a shard.
#[derive(Default)]
pub(super) struct Recorders {
    tasks: RefCell<BTreeMap<u64, Task<()>>>,
    next: Cell<u64>,
    /// Where it is known what an earlier server has left: anywhere else its unfinished files would be taken for ours, and
    /// ours for its.
    listed: RefCell<BTreeSet<PathBuf>>,
}

impl Recorders {
    /// Files may be made in `dir` from now on.
    pub(super) fn release(&self, dir: PathBuf) {
        self.listed.borrow_mut().insert(dir);
    }

    fn are_held_in(&self, dir: &Path) -> bool {
        !self.listed.borrow().contains(dir)
    }

    fn keep(&self, task: Task<()>) {
        let tasks = &mut *self.tasks.borrow_mut();
        tasks.retain(|_, task| !task.is_finished());
        tasks.insert(self.next.replace(self.next.get() + 1), task);
    }

    /// How many are at work.
    pub(super) fn len(&self) -> usize {
        let tasks = self.tasks.borrow();
        tasks.values().filter(|task| !task.is_finished()).count()
    }
}

/// Why a stream is not recorded that somebody wants recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotRecorded {
    /// There is no directory for it.
    Nowhere,
    /// Its application records nothing, or only what somebody wants recorded.
    Off,
    /// Nobody publishes it here.
    NotHere,
}

impl<R: Runtime> Shard<R> {
    /// A publication has begun: it is recorded if its application always is, or if it is `wanted` and may be.
    ///
    /// # Errors
    /// Why it is not recorded.
    pub(super) fn begin_recording(
        &self,
        stream: &Rc<LiveStream<R::Conn>>,
        party: &Party,
        wanted: bool,
    ) -> Result<(), NotRecorded> {
        let settings = self.settings();
        let application = settings.applications.of(stream.key.application());
        let due = match application.record {
            Record::Off => false,
            Record::All => true,
            Record::OnDemand => wanted,
        };
        let dir = application.record_dir.path().ok_or(NotRecorded::Nowhere)?;
        if !due {
            return Err(NotRecorded::Off);
        }
        let state = &mut *stream.state.borrow_mut();
        let Source::Local(local) = &mut state.source else {
            return Err(NotRecorded::NotHere);
        };
        if !local.recordings.is_empty() {
            return Ok(());
        }
        for (number, container) in application.record_format.containers().iter().enumerate() {
            let (cursor, prelude) = state.media.join(self.runtime().now());
            let tap = Rc::new(RefCell::new(Tap::new(cursor, self.held())));
            let recorder = Recorder::new(
                self.clone(),
                stream,
                Rc::clone(&tap),
                party.clone(),
                (Arc::clone(application), *container),
                dir.to_owned(),
                InForce::of(&prelude),
            );
            // Who goes back is given one of the two that there may be.
            let recorder = match number {
                0 => recorder.telling(local.publication),
                _ => recorder,
            };
            local.recordings.push(Recording(tap));
            let task = self.runtime().spawn("record", recorder.run());
            self.recorders().keep(task);
        }
        Ok(())
    }

    /// The recording of `publication` goes on in another file ([`Stream::recorded_in`]): whoever plays the stream may go
    /// back to it.
    fn note_recorded(
        &self,
        stream: &LiveStream<R::Conn>,
        publication: PublicationId,
        file: (PathBuf, Timestamp, i64),
    ) {
        let timeline = {
            let state = &mut *stream.state.borrow_mut();
            if state.newest != publication {
                return; // the end of a recording whose stream goes on with another publisher
            }
            state.media.recorded_in(publication, file)
        };
        self.tell_audience(stream, publication, |route| ShardMessage::Recorded {
            route,
            timeline: Arc::clone(&timeline),
        });
    }

    /// The stream ends, or is not to be recorded any more: what is in `media` still is, as far as there is room for it.
    pub(super) fn end_recordings(&self, key: &StreamKey, local: &mut Local, media: &Stream) {
        for recording in local.recordings.drain(..) {
            let room = self.room_for_tail();
            let is_whole = recording
                .0
                .borrow_mut()
                .end(media, self.runtime().now(), room);
            if !is_whole {
                self.meters().record_gaps.add(1);
                tracing::warn!(
                    stream = %key,
                    "the disk was behind when this recorded stream ended: what had not been written is more than may be held \
                     for it ({} bytes, and a quarter of media_bytes in [limits] for all), and the end of it is lost",
                    limits::RECORD_TAIL
                );
            }
        }
    }

    /// Somebody wants the stream `key` recorded from now on, or no more.
    ///
    /// # Errors
    /// Why it is not recorded.
    pub(super) fn record(&self, key: &StreamKey, on: bool) -> Result<(), NotRecorded> {
        let stream = self.known_stream(key).ok_or(NotRecorded::NotHere)?;
        let party = {
            let state = &mut *stream.state.borrow_mut();
            let Source::Local(local) = &mut state.source else {
                return Err(NotRecorded::NotHere);
            };
            if !on {
                self.end_recordings(key, local, &state.media);
                return Ok(());
            }
            local.connection
        };
        let peer = self.connections().get(&party).map(|handle| handle.peer);
        let party = Party {
            stream: key.clone(),
            connection: party,
            // Its publisher has vanished, and is waited for.
            peer: peer.unwrap_or(NOBODY),
        };
        self.begin_recording(&stream, &party, true)
    }

    /// Waits until the recordings of a shard that stops are finished, no longer than until `deadline` (and
    /// [`limits::RECORD_STOP`] more); what is not finished then is repaired at the next start.
    pub(super) async fn recordings_finished(&self, deadline: Instant) {
        let deadline = deadline.max(self.runtime().now()) + limits::RECORD_STOP;
        while self.recorders().len() > 0 && self.runtime().now() < deadline {
            let soon = self.runtime().now() + LOOK;
            self.runtime().sleep_until(soon).await;
        }
        let left = self.recorders().len();
        if left > 0 {
            tracing::error!(
                recordings = left,
                "the disk did not take all in time: they are kept as they are, and repaired at the next start"
            );
        }
        self.recorders().tasks.take();
    }
}

/// The address of a publisher that is not there.
const NOBODY: SocketAddr =
    SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0);

/// How often a shard that stops looks at its recordings.
const LOOK: crate::time::Duration = crate::time::Duration::from_millis(10);
