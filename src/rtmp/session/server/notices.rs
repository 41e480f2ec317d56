//! What all players of a stream are told, as bytes that do not depend on any connection's state.
//!
//! They use chunk streams that no session's encoder leans on, and fmt 0 headers only.

use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::chunk::encoder::Encoder;
use crate::rtmp::chunk::{CSID_CONTROL, CSID_NOTICE};
use crate::rtmp::control::UserControl;
use crate::rtmp::message;
use crate::rtmp::session::output::{info, info_with, sample_access};
use crate::rtmp::session::{MessageStreamId, Status};
use crate::time::Timestamp;

/// What a player on message stream `stream` is told when its publisher ends: StreamEOF, on which GStreamer leaves, and
/// onStatus NetStream.Play.UnpublishNotify, on which all others do. Wire bytes.
pub fn publisher_ended(stream: MessageStreamId, name: &str, chunk_size: u32) -> Vec<u8> {
    let mut notice = Notice::new(chunk_size);
    notice.push_last(stream);
    notice.control(UserControl::StreamEof(stream));
    let description = format!("{name} is unpublished.");
    notice.status(stream, Status::PlayUnpublishNotify, &description);
    notice.bytes
}

/// StreamBegin + NetStream.Play.PublishNotify. Wire bytes.
pub fn publisher_began(stream: MessageStreamId, name: &str, chunk_size: u32) -> Vec<u8> {
    let mut notice = Notice::new(chunk_size);
    notice.control(UserControl::StreamBegin(stream));
    let description = format!("{name} is published.");
    notice.status(stream, Status::PlayPublishNotify, &description);
    notice.bytes
}

/// NetStream.Play.Stop + StreamEOF: the play itself is over (server stops). Wire bytes.
pub fn play_stopped(stream: MessageStreamId, name: &str, chunk_size: u32) -> Vec<u8> {
    let mut notice = Notice::new(chunk_size);
    let description = format!("Stopped playing {name}.");
    notice.push_last(stream);
    notice.status(stream, Status::PlayStop, &description);
    notice.control(UserControl::StreamEof(stream));
    notice.bytes
}

/// A recording has been played to its end, and there is nothing behind it: the data message onPlayStatus
/// NetStream.Play.Complete, NetStream.Play.Stop, StreamEOF. `seconds` and `bytes` are what was sent of it. Wire bytes.
pub fn play_completed(
    stream: MessageStreamId,
    name: &str,
    (seconds, bytes): (f64, u64),
    chunk_size: u32,
) -> Vec<u8> {
    let mut notice = Notice::new(chunk_size);
    let description = format!("Played {name} to its end.");
    let info = info(Status::PlayComplete, &description);
    let info = info_with(info, "duration", Value::Number(seconds));
    let info = info_with(info, "bytes", Value::Number(bytes as f64));
    notice.data(stream, &[Value::string("onPlayStatus"), info]);
    notice.push_last(stream);
    let description = format!("Stopped playing {name}.");
    notice.status(stream, Status::PlayStop, &description);
    notice.control(UserControl::StreamEof(stream));
    notice.bytes
}

/// The next of a playlist begins: the data message onPlayStatus NetStream.Play.Switch, StreamIsRecorded, StreamBegin,
/// NetStream.Play.Start. Wire bytes.
pub fn play_switched(stream: MessageStreamId, name: &str, chunk_size: u32) -> Vec<u8> {
    let mut notice = Notice::new(chunk_size);
    let description = format!("Going on with {name}.");
    let info = info(Status::PlaySwitch, &description);
    notice.data(stream, &[Value::string("onPlayStatus"), info]);
    notice.control(UserControl::StreamIsRecorded(stream));
    notice.control(UserControl::StreamBegin(stream));
    let description = format!("Started playing {name}.");
    notice.status(stream, Status::PlayStart, &description);
    notice.bytes
}

/// A play that was accepted cannot go on: `status`, such as [`Status::PlayFailed`], and StreamEOF. Wire bytes.
pub fn play_failed(
    stream: MessageStreamId,
    status: Status,
    description: &str,
    chunk_size: u32,
) -> Vec<u8> {
    let mut notice = Notice::new(chunk_size);
    notice.status(stream, status, description);
    notice.control(UserControl::StreamEof(stream));
    notice.bytes
}

struct Notice {
    bytes: Vec<u8>,
    chunk_size: u32,
}

impl Notice {
    fn new(chunk_size: u32) -> Self {
        Self {
            bytes: Vec::new(),
            chunk_size,
        }
    }

    /// One more data message behind the media. GStreamer's rtmp2src holds one message, and drops it at StreamEOF: let it
    /// be this one, which says again what the play began with and which no other client minds.
    fn push_last(&mut self, stream: MessageStreamId) {
        let access = sample_access();
        self.message(CSID_NOTICE, message::DATA_AMF0, stream, &access);
    }

    fn data(&mut self, stream: MessageStreamId, values: &[Value]) {
        let payload = amf0::encode_all(values);
        self.message(CSID_NOTICE, message::DATA_AMF0, stream, &payload);
    }

    fn control(&mut self, control: UserControl) {
        let payload = control.payload();
        self.message(CSID_CONTROL, message::USER_CONTROL, 0, &payload);
    }

    fn status(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        let payload = amf0::encode_all(&[
            Value::string("onStatus"),
            Value::Number(0.0),
            Value::Null,
            info(status, description),
        ]);
        self.message(CSID_NOTICE, message::COMMAND_AMF0, stream, &payload);
    }

    /// A fresh encoder for each message: its first one has a fmt 0 header.
    fn message(&mut self, csid: u32, type_id: u8, stream: MessageStreamId, payload: &[u8]) {
        let mut encoder = Encoder::new();
        encoder.set_chunk_size(self.chunk_size);
        let out = &mut self.bytes;
        encoder.encode(out, csid, type_id, stream, Timestamp(0), payload);
    }
}
