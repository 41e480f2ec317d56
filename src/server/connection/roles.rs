//! What a client asks for, and what comes of it: events of the session become publications and plays.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use futures_lite::future::yield_now;

use super::farewell::Close;
use super::{Connection, Role};
use crate::config::{Missing, Record};
use crate::limits;
use crate::media::directory::StreamKey;
use crate::rtmp::command::PublishKind;
use crate::rtmp::session::server::{Event, PlayStart};
use crate::rtmp::session::{MessageStreamId, Status};
use crate::runtime::Runtime;
use crate::runtime::disk::Disk as _;
use crate::server::event::Party;
use crate::server::play::Play;
use crate::server::publish::Publication;
use crate::server::record::NotRecorded;
use crate::server::vod::{Item, OpenError, Source, Viewing, part};
use crate::time::Timestamp;

/// What is done about something that a client asks for.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Close>> + 'a>>;

/// What a client wants to play.
struct Wish {
    stream: MessageStreamId,
    name: String,
    start: PlayStart,
    duration: Option<f64>,
}

impl Wish {
    /// From where, and for how long, in the client's unit.
    fn start(&self) -> (f64, Option<f64>) {
        let start = match self.start {
            PlayStart::Recorded(start) => start,
            PlayStart::LiveOrRecorded | PlayStart::Live => 0.0,
        };
        (start, self.duration)
    }
}

impl<R: Runtime> Connection<R> {
    /// Acts on what the session made of the bytes.
    pub(super) async fn act(&mut self) -> Result<(), Close> {
        while let Some(answer) = self.next_answer() {
            answer.await?;
        }
        Ok(())
    }

    /// Passes media on until something else has come: what is to be done about that. Boxed: every player's future would have
    /// room for what few wait for.
    fn next_answer(&mut self) -> Option<Answer<'_>> {
        loop {
            match self.session.poll_event()? {
                Event::Media { stream, message } => {
                    if let Some(Role::Publish(publication)) = self.roles.get(&stream) {
                        publication.push(message);
                    }
                }
                event => return Some(Box::pin(self.answer(event))),
            }
        }
    }

    async fn answer(&mut self, event: Event) -> Result<(), Close> {
        match event {
            Event::ConnectRequested(request) => {
                tracing::debug!(
                    connection = self.id,
                    app = request.app,
                    tc_url = request.tc_url,
                    flash_ver = request.flash_ver,
                    "connect"
                );
                self.handle.app.borrow_mut().clone_from(&request.app);
                self.session.accept_connect();
            }
            Event::PublishRequested {
                stream, name, kind, ..
            } => {
                self.publish(stream, &name, kind).await?;
            }
            Event::PlayRequested {
                stream,
                name,
                start,
                duration,
                ..
            } => {
                let wish = Wish {
                    stream,
                    name,
                    start,
                    duration,
                };
                self.play(wish).await?;
                self.session.complete_transition(stream); // behind the headers of what plays now
                // One read can hold a thousand, and each costs a set of headers here and on the publisher's
                // shard: the neighbours in between.
                self.reply()?;
                self.flush()?;
                yield_now().await;
            }
            Event::StreamClosed { stream, append } => match self.roles.remove(&stream) {
                Some(Role::Publish(publication)) => {
                    if publication.is_recorded_on_demand() {
                        let (status, about) = (Status::RecordStop, "recorded");
                        self.session.tell_recording(stream, status, about);
                    }
                    publication.close();
                }
                Some(Role::View(viewing)) if append => self.list = Some((stream, viewing)),
                _ => {}
            },
            Event::LengthRequested { transaction, name } => {
                let seconds = self.length_of(&name).await;
                self.session.answer_length(transaction, seconds);
            }
            other => self.steer(&other),
        }
        self.reply()
    }

    /// What a client may ask of a role that it has.
    fn steer(&mut self, event: &Event) {
        match *event {
            Event::MetadataCleared { stream } => {
                if let Some(Role::Publish(publication)) = self.roles.get(&stream) {
                    publication.clear_metadata();
                }
            }
            Event::Paused { stream, paused, .. } => {
                match self.roles.get_mut(&stream) {
                    Some(Role::Play(play)) => play.set_paused(paused),
                    Some(Role::View(viewing)) => viewing.controls.set_paused(paused),
                    _ => return,
                }
                self.session.confirm_pause(stream, paused);
            }
            Event::Receive {
                stream,
                audio,
                video,
            } => {
                match self.roles.get(&stream) {
                    Some(Role::Play(play)) => play.set_wanted(audio, video),
                    Some(Role::View(viewing)) => viewing.controls.set_wanted(audio, video),
                    _ => return,
                }
                if audio == Some(true) || video == Some(true) {
                    self.session.confirm_receive(stream);
                }
            }
            Event::SeekRequested { stream, position } => self.seek(stream, position),
            Event::SharedObject(ref object) => {
                tracing::debug!(
                    connection = self.id,
                    name = object.name,
                    events = object.events.len(),
                    "shared objects are not kept here: ignored"
                );
            }
            _ => {}
        }
    }

    fn seek(&mut self, stream: MessageStreamId, position: f64) {
        let recorded = match self.roles.get_mut(&stream) {
            Some(Role::View(viewing)) => {
                viewing.controls.seek(position.max(0.0) as u64); // saturates; NaN is zero
                Some(true)
            }
            Some(Role::Play(play)) => play.seek(position),
            _ => None,
        };
        match recorded {
            Some(recorded) => self.session.confirm_seek(stream, position, recorded),
            None => {
                let why = "nothing is recorded of this live stream: it cannot be sought in";
                self.session.reject_seek(stream, why);
            }
        }
    }

    /// Claims the name first and answers then: OBS loops when a Start is followed by a refusal (SRS #4037).
    async fn publish(
        &mut self,
        stream: MessageStreamId,
        name: &str,
        kind: PublishKind,
    ) -> Result<(), Close> {
        let key = self.key(name);
        if name.is_empty() {
            self.session
                .reject_publish(stream, Status::PublishBadName, "a stream needs a name");
            return Err(Close::Refused("publish without a stream name".into()));
        }
        let is_file = self.shard.settings().file_of(&key).is_some();
        if is_file {
            let description = format!("{key}: what this application plays are files");
            self.session
                .reject_publish(stream, Status::PublishDenied, &description);
            return Err(Close::Refused(description));
        }
        let wants_record = kind != PublishKind::Live;
        match Publication::claim(&self.shard, self.party(key.clone())).await {
            Ok(mut publication) => {
                self.session.accept_publish(stream);
                let recorded = publication.record(wants_record);
                let told = match recorded {
                    Ok(()) => Some((Status::RecordStart, "recording")),
                    Err(NotRecorded::Off) => {
                        Some((Status::RecordNoAccess, "nothing is recorded here"))
                    }
                    // A server that has no place for recordings publishes what is to be recorded like anything else.
                    Err(NotRecorded::Nowhere | NotRecorded::NotHere) => None,
                };
                if let Some((status, about)) = told.filter(|_| wants_record) {
                    self.session.tell_recording(stream, status, about);
                }
                let publication = Box::new(publication);
                self.roles.insert(stream, Role::Publish(publication));
                Ok(())
            }
            Err(why) => {
                let description = format!("{key} {why}");
                self.session
                    .reject_publish(stream, Status::PublishBadName, &description);
                Err(Close::Refused(description))
            }
        }
    }

    async fn play(&mut self, wish: Wish) -> Result<(), Close> {
        let (stream, name) = (wish.stream, wish.name.as_str());
        let list = self.list.take();
        if name.is_empty() {
            self.session
                .reject_play(stream, Status::PlayStreamNotFound, "a stream needs a name");
            return Ok(());
        }
        let key = self.key(name);
        let is_file = self.shard.settings().file_of(&key).is_some();
        if is_file {
            return Box::pin(self.view(wish, key, list)).await;
        }
        // Boxed: every player's future would have room for what few want.
        let wish = match wish.start {
            PlayStart::Recorded(_) => match Box::pin(self.play_recorded(wish, &key)).await? {
                Some(wish) => wish,
                None => return Ok(()),
            },
            PlayStart::LiveOrRecorded | PlayStart::Live => wish,
        };
        let stream = wish.stream;
        let (missing, wait_max) = {
            let settings = self.shard.settings();
            let application = settings.applications.of(key.application());
            (application.missing, application.wait_max)
        };
        // Boxed: every player's future would have room for what few wait for.
        if missing == Missing::Refuse && !Box::pin(self.shard.is_published(&key, self.id)).await {
            let description = format!("nobody publishes {key}");
            self.session
                .reject_play(stream, Status::PlayStreamNotFound, &description);
            return Ok(());
        }
        if !self.session.accept_play(stream) {
            return Ok(()); // its own StreamClosed, or the next request, is behind it
        }
        self.reply()?;
        let play = Play::attach(
            &self.shard,
            self.party(key),
            Rc::clone(&self.outbox),
            stream,
        );
        self.waits.retain(|(_, waits)| *waits != stream);
        if !wait_max.is_zero() && !play.is_live() {
            self.waits.push((self.now() + wait_max, stream));
        }
        self.roles.insert(stream, Role::Play(Box::new(play))); // the GOP follows in the same write as the replies
        Ok(())
    }

    /// Plays what is recorded of the stream `key`: of what is live now, or the newest file of what was. The wish comes back
    /// if there is nothing.
    async fn play_recorded(&mut self, wish: Wish, key: &StreamKey) -> Result<Option<Wish>, Close> {
        let stream = wish.stream;
        let is_recorded = {
            let settings = self.shard.settings();
            let application = settings.applications.of(key.application());
            application.record != Record::Off && application.record_dir.path().is_some()
        };
        if !is_recorded {
            return Ok(Some(wish));
        }
        if Box::pin(self.shard.is_published(key, self.id)).await {
            if self.session.accept_recording(stream) {
                self.reply()?;
                let outbox = Rc::clone(&self.outbox);
                let party = self.party(key.clone());
                let play = Play::attach_back(&self.shard, party, outbox, stream, wish.start());
                self.roles.insert(stream, Role::Play(Box::new(play)));
            }
            return Ok(None);
        }
        match self.open(key).await {
            Err(OpenError::NotFound) => Ok(Some(wish)),
            opened => {
                self.view_opened(wish, key.clone(), None, opened)?;
                Ok(None)
            }
        }
    }

    /// Plays a recording, or appends it to the `list` that plays.
    async fn view(
        &mut self,
        wish: Wish,
        key: StreamKey,
        list: Option<(MessageStreamId, Box<Viewing<R>>)>,
    ) -> Result<(), Close> {
        let list = list.filter(|(of, _)| *of == wish.stream);
        let opened = self.open(&key).await;
        self.view_opened(wish, key, list.map(|(_, list)| list), opened)
    }

    fn view_opened(
        &mut self,
        wish: Wish,
        key: StreamKey,
        list: Option<Box<Viewing<R>>>,
        opened: Result<Rc<Source<R::Disk>>, OpenError>,
    ) -> Result<(), Close> {
        let stream = wish.stream;
        let source = match opened {
            Ok(source) => source,
            Err(error) => {
                tracing::info!(connection = self.id, stream = %key, "not played: {error}");
                let status = match &error {
                    OpenError::NotFound => Status::PlayStreamNotFound,
                    OpenError::File(_) => Status::PlayFileStructureInvalid,
                    OpenError::Empty => Status::PlayNoSupportedTrackFound,
                    OpenError::TooMany | OpenError::Disk(_) => Status::PlayFailed,
                };
                let description = format!("{key}: {error}");
                if let Some(list) = list {
                    self.session.refuse_append(stream, status, &description);
                    self.roles.insert(stream, Role::View(list)); // what plays goes on
                } else {
                    self.session.reject_play(stream, status, &description);
                }
                return Ok(());
            }
        };
        let (from, duration) = part(wish.start(), source.duration());
        let item = Item {
            name: wish.name,
            source,
            from,
            duration,
            origin: Timestamp(0),
            tells_metadata: true,
        };
        if let Some(list) = list {
            if list.append(item) {
                self.session.accept_append(stream);
            } else {
                let why = "as many recordings wait behind this one as may";
                (self.session).refuse_append(stream, Status::PlayFailed, why);
            }
            self.roles.insert(stream, Role::View(list));
            return Ok(());
        }
        if !self.session.accept_recording(stream) {
            return Ok(()); // its own StreamClosed, or the next request, is behind it
        }
        self.reply()?;
        let outbox = Rc::clone(&self.outbox);
        let viewing = Viewing::begin(&self.shard, self.party(key), outbox, stream, item);
        (viewing.controls).heed(self.session.buffer_length(stream));
        self.roles.insert(stream, Role::View(Box::new(viewing)));
        Ok(())
    }

    /// Opens the file that `key` means, or gives up waiting for its disk.
    async fn open(&self, key: &StreamKey) -> Result<Rc<Source<R::Disk>>, OpenError> {
        let runtime = self.shard.runtime();
        let mut open = pin!(self.find(key));
        let mut patience = pin!(runtime.sleep_until(self.now() + limits::VOD_OPEN_TIME));
        poll_fn(|cx| match open.as_mut().poll(cx) {
            Poll::Pending => patience
                .as_mut()
                .poll(cx)
                .map(|()| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())),
            ready => ready,
        })
        .await
    }

    /// Of the files that are played: what its name says. Of a stream that may be recorded: what its name says, or the newest
    /// of its recordings.
    async fn find(&self, key: &StreamKey) -> Result<Rc<Source<R::Disk>>, OpenError> {
        let disk = self.shard.runtime().disk().for_viewers();
        let (directories, name, recorded) = {
            let settings = self.shard.settings();
            match settings.file_of(key) {
                Some(name) => (settings.file_directories(), name, None),
                None => {
                    let application = settings.applications.of(key.application());
                    let dir = application.record_dir.path().ok_or(OpenError::NotFound)?;
                    let pattern = application.record_name.clone();
                    (vec![dir.to_owned()], key.as_str(), Some(pattern))
                }
            }
        };
        let library = self.shard.library();
        match (library.open(&disk, &directories, name).await, recorded) {
            (Err(OpenError::NotFound), Some(pattern)) => {
                let now = || self.now();
                let newest = (library.listings).newest(now, &disk, &directories, &pattern, key);
                let newest = newest.await?;
                library.open_first(&disk, newest).await
            }
            (opened, _) => opened,
        }
    }

    /// How long the recording of that name is, seconds; 0 for what is live, or is not there. Who publishes is not told: what
    /// comes from it meanwhile would wait for the disk.
    async fn length_of(&self, name: &str) -> f64 {
        let publishes = |role: &Role<R>| matches!(role, Role::Publish(_));
        if self.roles.values().any(publishes) {
            return 0.0;
        }
        let key = StreamKey::new(&self.handle.app.borrow(), name);
        let source = self.open(&key).await.ok();
        let duration = source.and_then(|source| source.duration());
        duration.unwrap_or(0) as f64 / 1e3
    }

    /// Players whose stream nobody has published for as long as they may wait are refused.
    pub(super) fn end_waits(&mut self) {
        let now = self.now();
        let (over, waits): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waits)
            .into_iter()
            .partition(|(until, _)| *until <= now);
        self.waits = waits;
        for (_, stream) in over {
            let description = match self.roles.get(&stream) {
                Some(Role::Play(play)) if !play.is_live() => {
                    format!("nobody has published {}", play.key())
                }
                _ => continue,
            };
            self.roles.remove(&stream);
            let status = Status::PlayStreamNotFound;
            self.session.end_play(stream, status, &description);
        }
        self.enter_stage();
    }

    fn key(&self, name: &str) -> StreamKey {
        StreamKey::new(&self.handle.app.borrow(), name)
    }

    fn party(&self, stream: StreamKey) -> Party {
        *self.handle.stream.borrow_mut() = Some(stream.clone());
        Party {
            stream,
            connection: self.id,
            peer: self.handle.peer,
        }
    }
}
