//! The recorder's task: takes what has come a few times a second, and writes it with one write at a time.
//!
//! While the disk is slow, full or broken, the task waits for it, and the stream goes on: what a player would still get is
//! recorded later, and if that does not suffice, the recording has a gap, and goes on in a new file.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;

use super::file::Writing;
use super::held::Held;
use super::segment::{LongTime, Segment, Taken};
use super::tap::{Next, Tap};
use crate::config::{AppSettings, Container, Naming};
use crate::limits;
use crate::media::directory::PublicationId;
use crate::media::frame::FrameKind;
use crate::media::prelude::InForce;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::MediaKind;
use crate::runtime::Runtime;
use crate::runtime::disk::Disk;
use crate::server::event::{Event, Failure, Party, Recorded};
use crate::server::shard::Shard;
use crate::server::stream::LiveStream;
use crate::time::{Instant, Timestamp};

/// Records one stream.
pub(super) struct Recorder<R: Runtime> {
    pub(super) shard: Shard<R>,
    pub(super) stream: Weak<LiveStream<R::Conn>>,
    pub(super) tap: Rc<RefCell<Tap>>,
    pub(super) party: Party,
    pub(super) settings: Arc<AppSettings>,
    container: Container,
    /// Whoever plays this publication is told of the files.
    told: Option<PublicationId>,
    pub(super) dir: PathBuf,
    pub(super) in_force: InForce,
    clock: LongTime,
    has_video: bool,
    /// Made, and not written yet.
    out: Vec<u8>,
    /// The memory of that, while it is being written as well.
    held: Held,
    open: Option<Open<R::Disk>>,
    /// Files begun so far.
    number: u32,
    /// The log has said that something is wrong, and not that it is over.
    trouble: bool,
    /// When the stream was found to be over.
    over_since: Option<Instant>,
    left_out: u64,
}

struct Open<D: Disk> {
    segment: Segment,
    /// The time of its first message, until players have been told of it.
    untold: Option<Timestamp>,
    file: Writing<D>,
    flushed: Instant,
    synced: Instant,
}

/// What is to be done next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// A file is to be made: there is something for it.
    Begin,
    /// The file ends here.
    End,
    /// There is more.
    More,
    /// There is nothing for now.
    Wait,
    /// There is nothing any more.
    Over,
}

impl<R: Runtime> Recorder<R> {
    pub(super) fn new(
        shard: Shard<R>,
        stream: &Rc<LiveStream<R::Conn>>,
        tap: Rc<RefCell<Tap>>,
        party: Party,
        (settings, container): (Arc<AppSettings>, Container),
        dir: PathBuf,
        in_force: InForce,
    ) -> Self {
        let held = shard.held();
        Self {
            shard,
            stream: Rc::downgrade(stream),
            tap,
            party,
            settings,
            container,
            told: None,
            dir,
            in_force,
            clock: LongTime::default(),
            has_video: false,
            out: Vec::new(),
            held,
            open: None,
            number: 0,
            trouble: false,
            over_since: None,
            left_out: 0,
        }
    }

    /// Tells whoever plays `publication` of its files.
    pub(super) fn telling(self, publication: PublicationId) -> Self {
        Self {
            told: Some(publication),
            ..self
        }
    }

    pub(super) async fn run(mut self) {
        self.shard.emit(Event::RecordStart(self.party.clone()));
        loop {
            let turn = self.collect();
            if !self.write().await {
                break;
            }
            match turn {
                Turn::Begin => {
                    if !self.begin().await {
                        break;
                    }
                }
                Turn::End => self.finish().await,
                Turn::More => {}
                Turn::Wait => {
                    self.is_well();
                    self.wait().await;
                }
                Turn::Over => {
                    self.finish().await;
                    break;
                }
            }
        }
        if self.left_out > 0 {
            tracing::info!(
                stream = %self.party.stream,
                messages = self.left_out,
                "the recording's format has no place for some of what was published"
            );
        }
        self.shard.emit(Event::RecordStop(self.party.clone()));
    }

    /// Makes the next bytes of the file from what has come, at most as many as may wait.
    fn collect(&mut self) -> Turn {
        let turn = self.take_frames();
        let now = self.shard.runtime().now();
        if let Some(open) = &mut self.open
            && now.since(open.flushed) >= limits::RECORD_FLUSH
        {
            open.flushed = now;
            open.segment.flush(&mut self.out);
        }
        self.held.set(self.out.capacity());
        turn
    }

    fn take_frames(&mut self) -> Turn {
        let now = self.shard.runtime().now();
        let stream = self.stream.upgrade();
        let state = stream.as_ref().map(|stream| stream.state.borrow());
        let media = state.as_ref().map(|state| &state.media);
        let tap = &mut *self.tap.borrow_mut();
        if let Some(media) = media.filter(|_| self.open.is_none()) {
            tap.begin_anew(media);
        }
        let most = usize::try_from(self.settings.record_buffer).unwrap_or(usize::MAX);
        let most = most.min(self.shard.room_for_out(&self.held));
        loop {
            if self.out.len() >= most {
                return Turn::More;
            }
            match tap.look(media, now) {
                Next::Frame => {}
                Next::Nothing => return Turn::Wait,
                Next::Over => return Turn::Over,
                Next::Gap(prelude) => {
                    self.in_force = InForce::of(&prelude);
                    self.shard.meters().record_gaps.add(1);
                    if !std::mem::replace(&mut self.trouble, true) {
                        tracing::warn!(
                            stream = %self.party.stream,
                            "the disk is too slow for this recording: it has a gap, and goes on in a new file; players \
                             notice nothing"
                        );
                    }
                    if self.open.is_some() {
                        return Turn::End;
                    }
                    continue;
                }
            }
            let Some(frame) = tap.frame() else {
                continue;
            };
            let Some(open) = &mut self.open else {
                if frame.kind != FrameKind::Header {
                    return Turn::Begin;
                }
                self.in_force.note(&frame.message);
                tap.take();
                continue;
            };
            self.has_video |= frame.message.kind() == MediaKind::Video;
            let taken = open
                .segment
                .take(frame, self.has_video, &mut self.clock, &mut self.out);
            if taken == Taken::Cut {
                if planted(Bug::CutLosesFrame) {
                    tap.take();
                }
                return Turn::End;
            }
            self.left_out += u64::from(taken == Taken::LeftOut);
            if frame.kind == FrameKind::Header {
                self.in_force.note(&frame.message);
            }
            tap.take();
        }
    }

    /// Makes a file for the frame that is next; false if that is given up.
    async fn begin(&mut self) -> bool {
        let at = self.shard.runtime().wall();
        let (disk, number) = (self.shard.runtime().disk(), self.number + 1);
        let (dir, settings) = (self.dir.clone(), Arc::clone(&self.settings));
        let key = self.party.stream.clone();
        let (app, stream) = (key.application(), key.name());
        let naming = Naming {
            app,
            stream,
            at,
            number,
        };
        let ending = self.container.word();
        while self.shard.recorders().are_held_in(&dir) {
            if self.gives_up() {
                return false;
            }
            self.wait_for_archive().await;
        }
        let file = loop {
            let pattern = &settings.record_name;
            match Writing::create(&disk, &dir, pattern, &naming, ending).await {
                Ok(file) => break file,
                Err(error) => self.failed("make a file", &error),
            }
            if self.gives_up() {
                return false;
            }
            self.pause().await;
        };
        self.number = number;
        let now = self.shard.runtime().now();
        let (mut segment, mut untold) = (None, None);
        // The disk may have taken its time: what is next now begins the file.
        if let Some(frame) = self.tap.borrow().frame() {
            let prelude = self.in_force.messages();
            untold = Some(frame.message.timestamp());
            let (clock, out) = (&mut self.clock, &mut self.out);
            segment = Some(Segment::begin(
                &settings,
                self.container,
                &prelude,
                &frame.message,
                clock,
                out,
            ));
        }
        if let Some(segment) = segment {
            tracing::info!(stream = %key, file = %file.path.display(), "records");
            self.open = Some(Open {
                segment,
                untold,
                file,
                flushed: now,
                synced: now,
            });
        }
        true
    }

    /// Writes what was made, and makes it safe now and then. False if that is given up.
    async fn write(&mut self) -> bool {
        let Some(mut open) = self.open.take() else {
            return true;
        };
        loop {
            let began = self.shard.runtime().now();
            let bytes = self.out.len() as u64;
            let mut written = open.file.append(&mut self.out).await;
            let now = self.shard.runtime().now();
            if bytes > 0 && written.is_ok() {
                self.out.shrink_to(limits::RECORD_READY);
                self.held.set(self.out.capacity());
                self.tell(&mut open);
                let meters = self.shard.meters();
                let took = u64::try_from(now.since(began).as_micros()).unwrap_or(u64::MAX);
                meters.record_writes.observe(took, 1);
                meters.record_bytes.add(bytes);
            }
            if written.is_ok() && now.since(open.synced) >= limits::RECORD_SYNC {
                written = open.file.sync().await;
                open.synced = now;
            }
            match written {
                Ok(()) => {
                    self.open = Some(open);
                    return true;
                }
                Err(error) => self.failed("write", &error),
            }
            if self.gives_up() {
                return false;
            }
            self.pause().await;
        }
    }

    /// The file's beginning is written: it can be read.
    fn tell(&self, open: &mut Open<R::Disk>) {
        let Some(first) = open.untold.take() else {
            return;
        };
        if let (Some(publication), Some(stream)) = (self.told, self.stream.upgrade()) {
            let file = (open.file.path.clone(), first, open.segment.lead);
            self.shard.note_recorded(&stream, publication, file);
        }
    }

    /// Ends the file; it is complete then, or left to be repaired at the next start.
    async fn finish(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        if open.segment.is_empty() {
            self.out.clear();
            if let Err(error) = open.file.remove().await {
                self.failed("remove an empty file", &error);
            }
            return;
        }
        let patches = open.segment.finish(&mut self.out);
        for attempt in 1..=limits::RECORD_RETRIES {
            let finished = async {
                open.file.append(&mut self.out).await?;
                open.file.patch(&patches).await?;
                open.file.rename().await
            };
            match finished.await {
                Ok(()) => {
                    let meters = self.shard.meters();
                    meters.record_segments.add(1);
                    let file = Recorded {
                        path: open.file.path,
                        bytes: open.file.len,
                        duration: open.segment.duration(),
                    };
                    return self
                        .shard
                        .emit(Event::RecordSegment(self.party.clone(), file));
                }
                Err(error) => self.failed("finish a file", &error),
            }
            if attempt < limits::RECORD_RETRIES {
                self.pause().await;
            }
        }
        self.count_loss();
        tracing::error!(
            stream = %self.party.stream,
            file = %open.file.path.display(),
            "a recording could not be finished: it is kept as it is, and repaired at the next start"
        );
    }

    /// The disk has refused something.
    fn failed(&mut self, what: &'static str, error: &io::Error) {
        self.shard.meters().record_failures.add(1);
        if std::mem::replace(&mut self.trouble, true) {
            return;
        }
        tracing::error!(
            stream = %self.party.stream,
            dir = %self.dir.display(),
            %error,
            "the recording cannot {what}: it is tried again and again; the stream goes on"
        );
        let failure = Failure {
            what,
            kind: error.kind(),
        };
        self.shard
            .emit(Event::RecordFailure(self.party.clone(), failure));
    }

    /// Everything is written.
    fn is_well(&mut self) {
        if std::mem::take(&mut self.trouble) {
            tracing::info!(stream = %self.party.stream, "the recording goes on");
        }
    }

    /// Whether nothing is to be hoped for any more: the stream has long been over.
    fn gives_up(&mut self) -> bool {
        let now = self.shard.runtime().now();
        let is_over = self.tap.borrow().is_over();
        if !is_over {
            return false;
        }
        let since = *self.over_since.get_or_insert(now);
        let gives_up = now.since(since) >= limits::RECORD_GIVE_UP;
        if gives_up {
            self.count_loss();
            tracing::error!(
                stream = %self.party.stream,
                "the end of a recording is lost: the disk has refused it for too long"
            );
        }
        gives_up
    }

    /// What was made, and is not written, never will be.
    fn count_loss(&mut self) {
        if !self.out.is_empty() {
            self.out.clear();
            self.shard.meters().record_gaps.add(1);
        }
    }

    /// Waits until it may be known what an earlier server has left.
    async fn wait_for_archive(&self) {
        let runtime = self.shard.runtime();
        runtime
            .sleep_until(runtime.now() + limits::RECORD_INTERVAL / 5)
            .await;
    }

    /// Waits until something may be tried again.
    async fn pause(&self) {
        let runtime = self.shard.runtime();
        runtime
            .sleep_until(runtime.now() + limits::RECORD_RETRY)
            .await;
    }

    /// Waits until more may have come, or the stream is over.
    async fn wait(&self) {
        let runtime = self.shard.runtime();
        let mut sleep = pin!(runtime.sleep_until(runtime.now() + limits::RECORD_INTERVAL));
        poll_fn(|cx| {
            let tap = &mut *self.tap.borrow_mut();
            if tap.is_over() {
                return Poll::Ready(());
            }
            tap.wait(cx);
            sleep.as_mut().poll(cx)
        })
        .await;
    }
}
