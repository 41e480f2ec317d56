//! What a client asks for, and what comes of it: events of the session become publications and plays.

use std::pin::Pin;
use std::rc::Rc;

use futures_lite::future::yield_now;

use super::farewell::Close;
use super::{Connection, Role};
use crate::config::Missing;
use crate::media::directory::StreamKey;
use crate::rtmp::session::server::Event;
use crate::rtmp::session::{MessageStreamId, Status};
use crate::runtime::Runtime;
use crate::server::event::Party;
use crate::server::play::Play;
use crate::server::publish::Publication;

/// What is done about something that a client asks for.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<(), Close>> + 'a>>;

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
            Event::PublishRequested { stream, name, .. } => {
                self.publish(stream, &name).await?;
            }
            Event::PlayRequested { stream, name, .. } => {
                self.play(stream, &name).await?;
                self.session.complete_transition(stream); // behind the headers of what plays now
                // One read can hold a thousand, and each costs a set of headers here and on the publisher's
                // shard: the neighbours in between.
                self.reply()?;
                self.flush()?;
                yield_now().await;
            }
            Event::StreamClosed { stream, .. } => {
                if let Some(Role::Publish(publication)) = self.roles.remove(&stream) {
                    publication.close();
                }
            }
            Event::LengthRequested { transaction, .. } => {
                self.session.answer_length(transaction, 0.0); // what is live has none
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
                if let Some(Role::Play(play)) = self.roles.get(&stream) {
                    play.set_paused(paused);
                    self.session.confirm_pause(stream, paused);
                }
            }
            Event::Receive {
                stream,
                audio,
                video,
            } => {
                if let Some(Role::Play(play)) = self.roles.get(&stream) {
                    play.set_wanted(audio, video);
                    if audio == Some(true) || video == Some(true) {
                        self.session.confirm_receive(stream);
                    }
                }
            }
            Event::SeekRequested { stream, .. } => {
                self.session
                    .reject_seek(stream, "a live stream cannot be sought in");
            }
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

    /// Claims the name first and answers then: OBS loops when a Start is followed by a refusal (SRS #4037).
    async fn publish(&mut self, stream: MessageStreamId, name: &str) -> Result<(), Close> {
        let key = self.key(name);
        if name.is_empty() {
            self.session
                .reject_publish(stream, Status::PublishBadName, "a stream needs a name");
            return Err(Close::Refused("publish without a stream name".into()));
        }
        match Publication::claim(&self.shard, self.party(key.clone())).await {
            Ok(publication) => {
                self.session.accept_publish(stream);
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

    async fn play(&mut self, stream: MessageStreamId, name: &str) -> Result<(), Close> {
        if name.is_empty() {
            self.session
                .reject_play(stream, Status::PlayStreamNotFound, "a stream needs a name");
            return Ok(());
        }
        let key = self.key(name);
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
