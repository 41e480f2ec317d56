//! The shell's decisions, put into the words clients wait for.

use super::queue::{Heard, RoleId};
use super::streams::{Change, Role};
use super::{Connection, ServerSession};
use crate::planted::{Bug, planted};
use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::chunk::CSID_STREAM;
use crate::rtmp::command::Enhanced;
use crate::rtmp::control::{Limit, ProtocolControl, UserControl};
use crate::rtmp::message;
use crate::rtmp::session::output::{info, info_with, sample_access};
use crate::rtmp::session::{MessageStreamId, Status};
use crate::time::Timestamp;

/// Enhanced RTMP info maps: 1 decode, 2 encode, 4 forward. We forward whatever comes.
const FORWARD: u32 = 4;
/// Enhanced RTMP `capsEx`: 1 reconnect, which we ask for before we stop; 2 multitrack, 4 ModEx, 8 nanosecond offsets, all
/// forwarded as they come.
const CAPS_EX: u32 = 15;

impl ServerSession {
    /// WindowAck, SetPeerBandwidth, StreamBegin 0, SetChunkSize, `_result` (one write), onBWDone. Then reads on in what
    /// was held back. Nothing if no `connect` waits.
    pub fn accept_connect(&mut self) {
        let Connection::Requested {
            transaction,
            object_encoding,
            enhanced,
        } = self.connection
        else {
            return;
        };
        let window = self.config.window_ack_size;
        self.link.flow.announced(window);
        let output = &mut self.link.output;
        output.protocol(ProtocolControl::WindowAckSize(window));
        output.protocol(ProtocolControl::SetPeerBandwidth {
            size: self.config.peer_bandwidth,
            limit: Limit::Dynamic,
        });
        output.user(UserControl::StreamBegin(0));
        // Before any reply longer than 128 bytes, and never again: OBS stops listening once it publishes.
        output.protocol(ProtocolControl::SetChunkSize(self.config.chunk_size));
        output.result(
            transaction,
            server_properties(enhanced),
            connect_info(object_encoding),
        );
        output.notify(0, "onBWDone", None);
        self.connection = Connection::Accepted;
        let mut held = core::mem::take(&mut self.held);
        if planted(Bug::PipelinedLost) {
            held.clear();
        }
        if let Err(error) = self.process(&held) {
            self.fault = Some(error);
        }
    }

    /// `_error` with [`Status::ConnectRejected`] or [`Status::ConnectInvalidApp`]; the caller flushes and closes. What
    /// comes from now on is ignored. Adobe's authentication speaks through the description
    /// (`code=403 need auth; authmod=adobe`, `?reason=needauth&…`).
    pub fn reject_connect(&mut self, status: Status, description: &str) {
        self.refuse_connect(info(status, description));
    }

    /// `_error` NetConnection.Connect.Rejected that sends the client elsewhere (`ex: {code: 302, redirect}`), as SRS and
    /// FMS do; the caller flushes and closes.
    pub fn redirect_connect(&mut self, tc_url: &str, description: &str) {
        let redirect = Value::object([
            ("code", Value::Number(302.0)),
            ("redirect", Value::string(tc_url)),
        ]);
        let info = info(Status::ConnectRejected, description);
        self.refuse_connect(info_with(info, "ex", redirect));
    }

    fn refuse_connect(&mut self, info: Value) {
        if let Connection::Requested { transaction, .. } = self.connection {
            self.link.output.error(transaction, info);
            self.connection = Connection::Rejected;
            self.held = Vec::new();
        }
    }

    /// StreamBegin, onStatus NetStream.Publish.Start, onFCPublish if FCPublish came. Nothing if no publish waits there.
    pub fn accept_publish(&mut self, stream: MessageStreamId) {
        if self.accepts_last(stream).is_none() {
            return;
        }
        let Some(Role::Publish { name, accepted }) = self.streams.role(stream) else {
            return;
        };
        *accepted = true;
        let output = &mut self.link.output;
        output.user(UserControl::StreamBegin(stream));
        let description = format!("{name} is published.");
        output.status(stream, Status::PublishStart, &description);
        let announced = &mut self.announced;
        if let Some(index) = announced.iter().position(|announced| announced == name) {
            announced.remove(index);
            let info = info(Status::PublishStart, &description);
            output.notify(0, "onFCPublish", Some(info));
        }
    }

    /// onStatus, e.g. [`Status::PublishBadName`] or [`Status::PublishDenied`]. The stream stays, without a role.
    pub fn reject_publish(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        self.refuse_role(stream, status, description);
    }

    /// StreamBegin, Play.Reset (if asked), Play.Start, |RtmpSampleAccess; or Play.Transition alone, if it takes the place
    /// of another. Nothing, and false, if no play waits there any more: the client has closed the stream since, or asked
    /// for another, in the read that brought this request. Then nothing may be sent on it.
    pub fn accept_play(&mut self, stream: MessageStreamId) -> bool {
        self.begin_play(stream, false)
    }

    /// The same for a recording: StreamIsRecorded goes first.
    pub fn accept_recording(&mut self, stream: MessageStreamId) -> bool {
        self.begin_play(stream, true)
    }

    /// A play with `reset` false waits for its turn behind what plays: nothing is said now. False as of
    /// [`Self::accept_play`].
    pub fn accept_append(&mut self, stream: MessageStreamId) -> bool {
        let accepted = self.accepts_last(stream).is_some();
        if let Some(Role::Play {
            accepted: known, ..
        }) = self.streams.role(stream)
        {
            *known |= accepted;
        }
        accepted
    }

    /// The same, of what cannot be played: the client is told `status`, and what plays goes on.
    pub fn refuse_append(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        if self.accept_append(stream) {
            self.link.output.status(stream, status, description);
        }
    }

    fn begin_play(&mut self, stream: MessageStreamId, recorded: bool) -> bool {
        let Some(heard) = self.accepts_last(stream) else {
            return false;
        };
        let is_last = heard.role == self.streams.role_id(stream);
        let Some(Role::Play {
            name,
            reset,
            accepted,
            change,
        }) = self.streams.role(stream)
        else {
            return false;
        };
        let name = match is_last {
            true => name.as_str(),
            false => "the first of a list", // whose next has been asked for already
        };
        *accepted = true;
        let output = &mut self.link.output;
        if heard.changes {
            *change = Change::Begun;
            let description = format!("Changing to {name}.");
            output.status(stream, Status::PlayTransition, &description);
            return true;
        }
        if recorded {
            output.user(UserControl::StreamIsRecorded(stream));
        }
        output.user(UserControl::StreamBegin(stream));
        if *reset {
            let description = format!("Playing and resetting {name}.");
            output.status(stream, Status::PlayReset, &description);
        }
        let description = format!("Started playing {name}.");
        output.status(stream, Status::PlayStart, &description);
        self.send_data(stream, &sample_access());
        true
    }

    /// Data onPlayStatus NetStream.Play.TransitionComplete, once behind an accepted transition; else nothing.
    pub fn complete_transition(&mut self, stream: MessageStreamId) {
        if let Some(Role::Play {
            name,
            accepted: true,
            change: change @ Change::Begun,
            ..
        }) = self.streams.role(stream)
        {
            *change = Change::Made;
            let description = format!("Changed to {name}.");
            let info = info(Status::PlayTransitionComplete, &description);
            let values = [Value::string("onPlayStatus"), info];
            self.send_data(stream, &amf0::encode_all(&values));
        }
    }

    /// onStatus, e.g. [`Status::PlayStreamNotFound`] or [`Status::PlayFailed`]. The stream stays, without a role.
    pub fn reject_play(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        self.refuse_role(stream, status, description);
    }

    /// NetStream.Pause.Notify + StreamEOF / Unpause.Notify + StreamBegin. Nothing, as of all answers to what a player
    /// asks, if the client has left that play meanwhile.
    pub fn confirm_pause(&mut self, stream: MessageStreamId, paused: bool) {
        if !self.still_plays(stream) {
            return;
        }
        let output = &mut self.link.output;
        if paused {
            output.status(stream, Status::PauseNotify, "Paused.");
            output.user(UserControl::StreamEof(stream));
        } else {
            output.status(stream, Status::UnpauseNotify, "Going on.");
            output.user(UserControl::StreamBegin(stream));
        }
    }

    /// NetStream.Seek.Notify + Play.Start: the answer to receiveAudio(true) and receiveVideo(true) by the specification
    /// (RTMP 1.0 §7.2.2.4). To false there is none.
    pub fn confirm_receive(&mut self, stream: MessageStreamId) {
        if !self.still_plays(stream) {
            return;
        }
        let output = &mut self.link.output;
        output.status(stream, Status::SeekNotify, "Going on at the next keyframe.");
        output.status(stream, Status::PlayStart, "Going on.");
    }

    /// StreamIsRecorded (if it is `recorded`, rather than live), StreamBegin, NetStream.Seek.Notify, Play.Start: what plays
    /// goes on at `position` milliseconds, or at the keyframe before that.
    pub fn confirm_seek(&mut self, stream: MessageStreamId, position: f64, recorded: bool) {
        if !self.still_plays(stream) {
            return;
        }
        let description = format!("Going on at {position} ms.");
        let output = &mut self.link.output;
        if recorded {
            output.user(UserControl::StreamIsRecorded(stream));
        }
        output.user(UserControl::StreamBegin(stream));
        output.status(stream, Status::SeekNotify, &description);
        output.status(stream, Status::PlayStart, "Going on.");
    }

    /// `_result` to getStreamLength: seconds; 0 for what is live, or is not there.
    pub fn answer_length(&mut self, transaction: f64, seconds: f64) {
        let output = &mut self.link.output;
        output.result(transaction, Value::Null, Value::Number(seconds));
    }

    /// NetStream.Seek.Failed: what plays is live and not recorded, or cannot be sought in.
    pub fn reject_seek(&mut self, stream: MessageStreamId, description: &str) {
        if !self.still_plays(stream) {
            return;
        }
        let output = &mut self.link.output;
        output.status(stream, Status::SeekFailed, description);
    }

    /// What becomes of a recording of what is published on `stream`, or was: [`Status::RecordStart`],
    /// [`Status::RecordStop`], [`Status::RecordNoAccess`], [`Status::RecordFailed`].
    pub fn tell_recording(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        self.link.output.status(stream, status, description);
    }

    /// Graceful stop, publisher's side: onStatus NetStream.Unpublish.Success on `stream`, which has no role any more.
    /// Nothing if it did not publish.
    pub fn end_publish(&mut self, stream: MessageStreamId, description: &str) {
        self.finish_publish(stream, Status::UnpublishSuccess, description);
    }

    /// What was accepted is taken back: onStatus, e.g. [`Status::PublishBadName`] if somebody else publishes the name now.
    /// `stream` has no role any more. Nothing if it did not publish.
    pub fn revoke_publish(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        self.finish_publish(stream, status, description);
    }

    fn finish_publish(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        let Some(heard) = self.events.end(stream, true) else {
            return;
        };
        self.forget_role(stream, heard.role);
        if heard.publishes {
            let output = &mut self.link.output;
            output.status(stream, status, description);
        }
    }

    /// A play that was accepted is over: onStatus `status` on `stream`, which has no role any more. Nothing is said if the
    /// client has left that play meanwhile.
    pub fn end_play(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        let plays = self.still_plays(stream);
        let Some(heard) = self.events.end(stream, true) else {
            return;
        };
        self.forget_role(stream, heard.role);
        if plays {
            self.link.output.status(stream, status, description);
        }
    }

    /// Graceful stop: onStatus NetConnection.Connect.AppShutdown on message stream 0.
    pub fn announce_shutdown(&mut self, description: &str) {
        let output = &mut self.link.output;
        output.status(0, Status::ConnectAppShutdown, description);
    }

    /// onStatus NetConnection.Connect.ReconnectRequest (Enhanced RTMP): the client finishes what it does and connects
    /// anew, to `tc_url` (perhaps a relative one), or where it came from. False, and nothing sent, if its `connect` did
    /// not say that it knows how, or was not accepted.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> bool {
        if !self.can_reconnect || !self.is_connected() {
            return false;
        }
        let info = info(Status::ConnectReconnectRequest, description);
        let info = match tc_url {
            Some(tc_url) => info_with(info, "tcUrl", Value::string(tc_url)),
            None => info,
        };
        self.link.output.notify(0, "onStatus", Some(info));
        true
    }

    fn send_data(&mut self, stream: MessageStreamId, payload: &[u8]) {
        let (csid, time) = (CSID_STREAM, Timestamp(0));
        let output = &mut self.link.output;
        output.message(csid, message::DATA_AMF0, stream, time, payload);
    }

    /// What is accepted, if an acceptance of `stream`'s request is due, and that is still the last one: a client may have
    /// sent the next behind it in the same read.
    fn accepts_last(&mut self, stream: MessageStreamId) -> Option<Heard> {
        self.events.accept(stream, &self.streams.role_ids(stream))
    }

    /// Whether the role the shell has last heard of is the one the client has, and knows to be accepted: it may have
    /// ended it, and begun another, in the read that asked for what is answered now.
    fn still_plays(&self, stream: MessageStreamId) -> bool {
        let current = self.streams.role_ids(stream);
        self.events.speaks_of(stream, &current)
    }

    fn refuse_role(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        if let Some(heard) = self.events.end(stream, false) {
            self.forget_role(stream, heard.role);
            self.link.output.status(stream, status, description);
        }
    }

    /// Ends the role the shell has last heard of. A next request that is queued already has a role of its own, which
    /// stays.
    fn forget_role(&mut self, stream: MessageStreamId, role: RoleId) {
        if self.streams.role_id(stream) == role {
            self.streams.set_role(stream, Role::Idle, 0);
        }
    }
}

/// The first object of `connect`'s `_result`. GStreamer, node-media-server and srs-bench need one. Of Enhanced RTMP it
/// tells those that spoke of it: the others have no use for it.
fn server_properties(enhanced: bool) -> Value {
    let mut properties = vec![
        ("fmsVer".to_owned(), Value::string("FMS/3,0,1,123")),
        ("capabilities".to_owned(), Value::Number(31.0)),
        ("mode".to_owned(), Value::Number(1.0)),
    ];
    if enhanced {
        let any = || vec![("*".to_owned(), FORWARD)];
        let ours = Enhanced {
            four_cc_list: vec!["*".to_owned()],
            video: any(),
            audio: any(),
            caps_ex: CAPS_EX,
        };
        properties.extend(ours.properties());
    }
    Value::Object(properties)
}

fn connect_info(object_encoding: u8) -> Value {
    let info = info(Status::ConnectSuccess, "Connection succeeded.");
    let encoding = Value::Number(f64::from(object_encoding));
    info_with(info, "objectEncoding", encoding)
}
