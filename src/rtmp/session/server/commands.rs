//! What clients ask, and what is answered without asking the shell.

use super::queue::RoleId;
use super::streams::{Change, Role};
use super::{Connection, Event, ServerSession, SessionError};
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::amf::Value;
use crate::rtmp::command::{Command, Play2, PlayOptions, PublishKind, Request, Transition};
use crate::rtmp::session::output::info;
use crate::rtmp::session::{MessageStreamId, Status};
use crate::rtmp::url::{self, Name};

impl ServerSession {
    pub(super) fn on_command(
        &mut self,
        on: MessageStreamId,
        command: &Command,
    ) -> Result<(), SessionError> {
        let request = Request::new(command);
        if !self.is_connected() {
            return self.on_command_before_connect(command, request);
        }
        match request {
            Request::CreateStream => {
                let id = self.streams.create()?;
                self.reply(command, Value::Number(f64::from(id)));
            }
            Request::ReleaseStream | Request::CheckBandwidth => {
                self.reply(command, Value::Undefined);
            }
            Request::FcPublish { name } => self.on_fc_publish(command, name)?,
            Request::FcUnpublish { name } => self.on_fc_unpublish(command, name)?,
            Request::FcSubscribe => {
                self.reply(command, Value::Undefined);
                let info = info(Status::PlayStart, "Subscribed.");
                self.link.output.notify(0, "onFCSubscribe", Some(info));
            }
            Request::GetStreamLength { name } => self.on_get_stream_length(command, name)?,
            Request::DeleteStream { stream } => {
                if let Some(stream) = self.streams.meant(stream.unwrap_or(on)) {
                    let role = self.close_role(stream);
                    self.tell_unpublished(stream, &role);
                    self.streams.remove(stream);
                }
            }
            Request::CloseStream => {
                if let Some(stream) = self.streams.meant(on) {
                    self.stop(stream);
                }
            }
            Request::Close => {
                for stream in self.streams.ids() {
                    self.close_role(stream);
                    self.streams.remove(stream);
                }
            }
            Request::Publish { name, kind } => self.on_publish(on, name, kind)?,
            Request::Play { name, options } => self.on_play(on, name, options, None)?,
            Request::Play2(play) => {
                let Play2 {
                    name,
                    options,
                    transition,
                } = *play;
                self.on_play(on, name, options, Some(transition))?;
            }
            Request::Pause { .. }
            | Request::Seek { .. }
            | Request::ReceiveAudio(_)
            | Request::ReceiveVideo(_) => self.on_steering(on, &request),
            Request::Reply => {}
            Request::Connect(_) | Request::Unknown => self.refuse(command),
        }
        Ok(())
    }

    fn on_command_before_connect(
        &mut self,
        command: &Command,
        request: Request,
    ) -> Result<(), SessionError> {
        match request {
            Request::Connect(connect) => {
                bounded(&connect.app, &connect.query)?;
                self.can_reconnect = connect.can_reconnect();
                self.connection = Connection::Requested {
                    transaction: command.transaction,
                    object_encoding: connect.object_encoding,
                    enhanced: connect.enhanced.is_some(),
                };
                self.events.push(0, Event::ConnectRequested(connect));
            }
            Request::Reply => {}
            _ => self.refuse(command),
        }
        Ok(())
    }

    fn on_publish(
        &mut self,
        on: MessageStreamId,
        name: Option<String>,
        kind: PublishKind,
    ) -> Result<(), SessionError> {
        let Some(name) = self.asked_name(on, name) else {
            return Ok(());
        };
        let Name { path: name, query } = stream_name(&name)?;
        let stream = self.streams.meant_or_new(on)?;
        self.close_role(stream);
        let role = Role::Publish {
            name: name.clone(),
            accepted: false,
        };
        let request = Event::PublishRequested {
            stream,
            name,
            query,
            kind,
        };
        self.open_role(stream, role, request);
        Ok(())
    }

    /// Asked by name, and often before the play: the shell knows what there is.
    fn on_get_stream_length(
        &mut self,
        command: &Command,
        name: Option<String>,
    ) -> Result<(), SessionError> {
        if command.wants_reply() {
            let name = stream_name(&name.unwrap_or_default())?.path;
            let transaction = command.transaction;
            self.events
                .push(0, Event::LengthRequested { transaction, name });
        }
        Ok(())
    }

    /// The name that `publish` or `play` asks for. `false`, or an empty name while the stream does something, stops that
    /// and asks for nothing. An empty name at first is a key forgotten in OBS, or FFmpeg given a URL without a stream:
    /// they wait for an answer, so the shell is asked.
    fn asked_name(&mut self, on: MessageStreamId, name: Option<String>) -> Option<String> {
        let stream = self.streams.meant(on);
        let role = stream.and_then(|stream| self.streams.role(stream));
        let busy = role.is_some_and(|role| *role != Role::Idle);
        let name = name.filter(|name| !busy || !name.is_empty());
        if let (None, Some(stream)) = (&name, stream) {
            self.stop(stream);
        }
        name
    }

    /// `play`, and `play2` with its `transition`: a change if something plays there, else a play like any other, which
    /// is seen when the shell has answered what was asked before.
    fn on_play(
        &mut self,
        on: MessageStreamId,
        name: Option<String>,
        options: PlayOptions,
        transition: Option<Transition>,
    ) -> Result<(), SessionError> {
        let Some(name) = self.asked_name(on, name) else {
            return Ok(());
        };
        let Name { path: name, query } = stream_name(&name)?;
        let stream = self.streams.meant_or_new(on)?;
        let PlayOptions {
            start,
            duration,
            reset,
        } = options;
        let append = !reset && transition.is_none();
        let list = self.list(stream).filter(|_| append);
        self.close_role_for(stream, append);
        let role = Role::Play {
            name: name.clone(),
            reset: list.map_or(reset, |(_, reset)| reset),
            accepted: false,
            change: Change::None,
        };
        let request = Event::PlayRequested {
            stream,
            name,
            query,
            start,
            duration,
            reset,
            transition: transition.map(Box::new),
        };
        self.open_role(stream, role, request);
        if let Some((first, _)) = list {
            self.streams.follows(stream, first);
        }
        Ok(())
    }

    /// The first role of the list that plays on `stream`, and whether that was to end what played before.
    fn list(&mut self, stream: MessageStreamId) -> Option<(RoleId, bool)> {
        match self.streams.role(stream) {
            Some(&mut Role::Play { reset, .. }) => {
                Some((*self.streams.role_ids(stream).start(), reset))
            }
            _ => None,
        }
    }

    /// Remembers the name for onFCPublish, which is due when its publish is accepted.
    fn on_fc_publish(
        &mut self,
        command: &Command,
        name: Option<String>,
    ) -> Result<(), SessionError> {
        self.reply(command, Value::Undefined);
        let name = stream_name(&name.unwrap_or_default())?.path;
        if self.announced.len() >= limits::MESSAGE_STREAMS {
            self.announced.pop_front();
        }
        self.announced.push_back(name);
        Ok(())
    }

    fn on_fc_unpublish(
        &mut self,
        command: &Command,
        name: Option<String>,
    ) -> Result<(), SessionError> {
        let name = stream_name(&name.unwrap_or_default())?.path;
        if let Some(stream) = self.streams.publishing_name(&name) {
            self.stop(stream);
        }
        self.announced.retain(|announced| *announced != name);
        self.reply(command, Value::Undefined);
        let info = info(Status::UnpublishSuccess, "Unpublished.");
        self.link.output.notify(0, "onFCUnpublish", Some(info));
        Ok(())
    }

    /// Ends what `stream` does and tells the client, which stays.
    fn stop(&mut self, stream: MessageStreamId) {
        let role = self.close_role(stream);
        self.tell_unpublished(stream, &role);
        if let Role::Play { accepted: true, .. } = role {
            let output = &mut self.link.output;
            output.status(stream, Status::PlayStop, "Stopped playing.");
        }
    }

    fn tell_unpublished(&mut self, stream: MessageStreamId, role: &Role) {
        if let Role::Publish { accepted: true, .. } = role {
            let output = &mut self.link.output;
            output.status(stream, Status::UnpublishSuccess, "Unpublished.");
        }
    }

    /// What only a player may ask. Others are not answered: nothing waits for it.
    fn on_steering(&mut self, on: MessageStreamId, request: &Request) {
        let Some(stream) = self.streams.meant(on) else {
            return;
        };
        let Some(Role::Play { .. }) = self.streams.role(stream) else {
            return;
        };
        let receive = |audio, video| Event::Receive {
            stream,
            audio,
            video,
        };
        let event = match *request {
            Request::Pause { paused, position } => Event::Paused {
                stream,
                paused,
                position,
            },
            Request::Seek { position } => Event::SeekRequested { stream, position },
            Request::ReceiveAudio(wanted) => receive(Some(wanted), None),
            Request::ReceiveVideo(wanted) => receive(None, Some(wanted)),
            _ => return,
        };
        let role = self.streams.role_id(stream);
        self.events.push(role, event);
    }

    /// `_result` with one value, if the client wants one.
    fn reply(&mut self, command: &Command, value: Value) {
        if command.wants_reply() {
            let output = &mut self.link.output;
            if planted(Bug::AnsweredTwice) {
                output.result(command.transaction, Value::Null, value.clone());
            }
            output.result(command.transaction, Value::Null, value);
        }
    }

    /// `_error` to a call that means nothing here, or not now.
    fn refuse(&mut self, command: &Command) {
        if command.wants_reply() {
            let name: String = command.name.chars().take(64).collect();
            let info = info(Status::CallFailed, &format!("No such call now: {name}"));
            self.link.output.error(command.transaction, info);
        }
    }
}

fn bounded(name: &str, query: &str) -> Result<(), SessionError> {
    match name.len() + query.len() <= limits::NAME_BYTES {
        true => Ok(()),
        false => Err(SessionError::Bound {
            what: "bytes of an application or stream name",
            limit: limits::NAME_BYTES,
        }),
    }
}

fn stream_name(raw: &str) -> Result<Name, SessionError> {
    let name = url::stream_name(raw);
    bounded(&name.path, &name.query)?;
    Ok(name)
}
