//! The shell's decisions, put into the words clients wait for.

use super::streams::Role;
use super::{Connection, Event, ServerSession};
use crate::rtmp::amf::Value;
use crate::rtmp::chunk::CSID_STREAM;
use crate::rtmp::control::{Limit, ProtocolControl, UserControl};
use crate::rtmp::message;
use crate::rtmp::session::MessageStreamId;
use crate::rtmp::session::output::{info, sample_access};
use crate::time::Timestamp;

/// Enhanced RTMP info maps: 1 decode, 2 encode, 4 forward. We forward whatever comes.
const FORWARD: f64 = 4.0;
/// Enhanced RTMP `capsEx`: 2 multitrack, 4 ModEx, 8 nanosecond offsets, all forwarded as they come.
const CAPS_EX: f64 = 14.0;

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
        let held = core::mem::take(&mut self.held);
        if let Err(error) = self.process(&held) {
            self.fault = Some(error);
        }
    }

    /// `_error` NetConnection.Connect.Rejected (or InvalidApp); the caller flushes and closes. What comes from now on is
    /// ignored.
    pub fn reject_connect(&mut self, code: &str, description: &str) {
        if let Connection::Requested { transaction, .. } = self.connection {
            self.link.output.error(transaction, code, description);
            self.connection = Connection::Rejected;
            self.held = Vec::new();
        }
    }

    /// StreamBegin, onStatus NetStream.Publish.Start, onFCPublish if FCPublish came. Nothing if no publish waits there.
    pub fn accept_publish(&mut self, stream: MessageStreamId) {
        if !self.answers_last(stream) {
            return;
        }
        let Some(Role::Publish { name, accepted }) = self.streams.role(stream) else {
            return;
        };
        *accepted = true;
        let code = "NetStream.Publish.Start";
        let output = &mut self.link.output;
        output.user(UserControl::StreamBegin(stream));
        let description = format!("{name} is published.");
        output.status(stream, "status", code, &description);
        if let Some(index) = self
            .announced
            .iter()
            .position(|announced| announced == name)
        {
            self.announced.remove(index);
            let info = info("status", code, &description);
            output.notify(0, "onFCPublish", Some(info));
        }
    }

    /// onStatus error `code`, e.g. NetStream.Publish.BadName / Denied. The stream stays, without a role.
    pub fn reject_publish(&mut self, stream: MessageStreamId, code: &str, description: &str) {
        self.refuse_role(stream, code, description);
    }

    /// StreamBegin, Play.Reset (if asked), Play.Start, |RtmpSampleAccess. Nothing if no play waits there.
    pub fn accept_play(&mut self, stream: MessageStreamId) {
        if !self.answers_last(stream) {
            return;
        }
        let Some(Role::Play {
            name,
            reset,
            accepted,
        }) = self.streams.role(stream)
        else {
            return;
        };
        *accepted = true;
        let output = &mut self.link.output;
        output.user(UserControl::StreamBegin(stream));
        let mut status = |code, done: &str| {
            let description = format!("{done} {name}.");
            output.status(stream, "status", code, &description);
        };
        if *reset {
            status("NetStream.Play.Reset", "Playing and resetting");
        }
        status("NetStream.Play.Start", "Started playing");
        let access = sample_access();
        output.message(
            CSID_STREAM,
            message::DATA_AMF0,
            stream,
            Timestamp(0),
            &access,
        );
    }

    /// onStatus error, e.g. NetStream.Play.StreamNotFound / Failed. The stream stays, without a role.
    pub fn reject_play(&mut self, stream: MessageStreamId, code: &str, description: &str) {
        self.refuse_role(stream, code, description);
    }

    /// NetStream.Pause.Notify + StreamEOF / Unpause.Notify + StreamBegin.
    pub fn confirm_pause(&mut self, stream: MessageStreamId, paused: bool) {
        let output = &mut self.link.output;
        if paused {
            output.status(stream, "status", "NetStream.Pause.Notify", "Paused.");
            output.user(UserControl::StreamEof(stream));
        } else {
            output.status(stream, "status", "NetStream.Unpause.Notify", "Going on.");
            output.user(UserControl::StreamBegin(stream));
        }
    }

    /// NetStream.Seek.Failed (live), Seek.Notify later.
    pub fn reject_seek(&mut self, stream: MessageStreamId, description: &str) {
        let code = "NetStream.Seek.Failed";
        self.link.output.status(stream, "error", code, description);
    }

    /// Graceful stop, publisher's side: onStatus NetStream.Unpublish.Success on `stream`, which has no role any more.
    pub fn end_publish(&mut self, stream: MessageStreamId, description: &str) {
        if let Some(Role::Publish { .. }) = self.streams.role(stream) {
            self.forget_role(stream);
            let code = "NetStream.Unpublish.Success";
            self.link.output.status(stream, "status", code, description);
        }
    }

    /// Graceful stop: onStatus NetConnection.Connect.AppShutdown on message stream 0.
    pub fn announce_shutdown(&mut self, description: &str) {
        let code = "NetConnection.Connect.AppShutdown";
        self.link.output.status(0, "error", code, description);
    }

    /// Whether an answer about `stream` is due, and the request is still the last one: a client may have sent the next
    /// behind it in the same read.
    fn answers_last(&mut self, stream: MessageStreamId) -> bool {
        self.take_asked(stream) && !self.events.iter().any(|e| e.requested() == Some(stream))
    }

    fn take_asked(&mut self, stream: MessageStreamId) -> bool {
        let index = self.asked.iter().position(|asked| *asked == stream);
        index.map(|index| self.asked.swap_remove(index)).is_some()
    }

    fn refuse_role(&mut self, stream: MessageStreamId, code: &str, description: &str) {
        if self.take_asked(stream) {
            self.forget_role(stream);
            self.link.output.status(stream, "error", code, description);
        }
    }

    /// Ends the role the shell has last heard of, and forgets what it has not yet heard: media, and an end that came on
    /// the request's heels. A next request that is queued already has a role of its own, which stays.
    fn forget_role(&mut self, stream: MessageStreamId) {
        let next = (self.events.iter()).position(|event| event.requested() == Some(stream));
        let of_it = |event: &Event| event.stream() == Some(stream);
        // Nothing behind the last of them is moved: one read may bring thousands of requests to be refused, and tens
        // of thousands of events behind them.
        let before = self.events.iter().take(next.unwrap_or(self.events.len()));
        let end = before.clone().rposition(of_it).map_or(0, |last| last + 1);
        let kept: Vec<Event> = self.events.drain(..end).filter(|e| !of_it(e)).collect();
        for event in kept.into_iter().rev() {
            self.events.push_front(event);
        }
        if next.is_none() {
            self.streams.set_role(stream, Role::Idle);
        }
    }
}

/// The first object of `connect`'s `_result`. GStreamer and node-media-server need one.
fn server_properties(enhanced: bool) -> Value {
    let mut properties = vec![
        ("fmsVer".to_owned(), Value::string("FMS/3,0,1,123")),
        ("capabilities".to_owned(), Value::Number(31.0)),
        ("mode".to_owned(), Value::Number(1.0)),
    ];
    if enhanced {
        let any = || Value::object([("*", Value::Number(FORWARD))]);
        properties.push(("videoFourCcInfoMap".to_owned(), any()));
        properties.push(("audioFourCcInfoMap".to_owned(), any()));
        properties.push(("capsEx".to_owned(), Value::Number(CAPS_EX)));
    }
    Value::Object(properties)
}

fn connect_info(object_encoding: u8) -> Value {
    let code = "NetConnection.Connect.Success";
    let mut info = info("status", code, "Connection succeeded.");
    if let Value::Object(properties) = &mut info {
        let encoding = Value::Number(f64::from(object_encoding));
        properties.push(("objectEncoding".to_owned(), encoding));
    }
    info
}
