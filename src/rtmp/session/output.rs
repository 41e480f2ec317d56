//! What a session says: whole messages, queued until they are taken away.

use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::chunk::encoder::Encoder;
use crate::rtmp::chunk::{CSID_COMMAND, CSID_CONTROL, CSID_STREAM};
use crate::rtmp::control::{ProtocolControl, UserControl};
use crate::rtmp::message;
use crate::time::Timestamp;

use super::{MessageStreamId, Status};
use crate::planted::{Bug, planted};

/// The bytes to be written, and the encoder that lays them out.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    pub(super) encoder: Encoder,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            encoder: Encoder::new(),
        }
    }

    /// Moves all bytes behind those in `to`; where it has none, the memory too, or every connection would keep room for
    /// its longest reply.
    pub(super) fn take(&mut self, to: &mut Vec<u8>) {
        match to.is_empty() {
            true => *to = core::mem::take(&mut self.bytes),
            false => to.append(&mut self.bytes),
        }
    }

    /// One message.
    pub(super) fn message(
        &mut self,
        csid: u32,
        type_id: u8,
        stream: MessageStreamId,
        timestamp: Timestamp,
        payload: &[u8],
    ) {
        let out = &mut self.bytes;
        self.encoder
            .encode(out, csid, type_id, stream, timestamp, payload);
    }

    pub(super) fn protocol(&mut self, control: ProtocolControl) {
        let payload = control.payload();
        if let ProtocolControl::SetChunkSize(size) = control
            && planted(Bug::ChunkSizeEarly)
        {
            self.encoder.set_chunk_size(size);
        }
        self.message(CSID_CONTROL, control.type_id(), 0, Timestamp(0), &payload);
        // It holds from the next chunk on.
        if let ProtocolControl::SetChunkSize(size) = control {
            self.encoder.set_chunk_size(size);
        }
    }

    pub(super) fn user(&mut self, control: UserControl) {
        let payload = control.payload();
        self.message(
            CSID_CONTROL,
            message::USER_CONTROL,
            0,
            Timestamp(0),
            &payload,
        );
    }

    /// A command of these values: type 20, which is right for AMF3 peers too.
    pub(super) fn command(&mut self, stream: MessageStreamId, values: &[Value]) {
        self.command_payload(stream, &amf0::encode_all(values));
    }

    /// A command that is laid out already.
    pub(super) fn command_payload(&mut self, stream: MessageStreamId, payload: &[u8]) {
        let csid = if stream == 0 {
            CSID_COMMAND
        } else {
            CSID_STREAM
        };
        let time = Timestamp(0);
        self.message(csid, message::COMMAND_AMF0, stream, time, payload);
    }

    /// `_result` to `transaction`. FFmpeg wants exactly name, number, object or null, value.
    pub(super) fn result(&mut self, transaction: f64, object: Value, info: Value) {
        let name = Value::string("_result");
        self.command(0, &[name, Value::Number(transaction), object, info]);
    }

    /// `_error` to `transaction`, with an object that explains it.
    pub(super) fn error(&mut self, transaction: f64, info: Value) {
        let name = Value::string("_error");
        self.command(0, &[name, Value::Number(transaction), Value::Null, info]);
    }

    /// A call that wants no answer.
    pub(super) fn notify(&mut self, stream: MessageStreamId, name: &str, info: Option<Value>) {
        let mut values = vec![Value::string(name), Value::Number(0.0), Value::Null];
        values.extend(info);
        self.command(stream, &values);
    }

    /// `onStatus` on message stream `stream`, which GStreamer checks, with a plain object, on which FFmpeg insists.
    pub(super) fn status(&mut self, stream: MessageStreamId, status: Status, description: &str) {
        let stream = stream * u32::from(!planted(Bug::StatusOnStream0));
        self.notify(stream, "onStatus", Some(info(status, description)));
    }
}

/// The info object of replies and notices.
pub(super) fn info(status: Status, description: &str) -> Value {
    Value::object([
        ("level", Value::string(status.level().as_str())),
        ("code", Value::string(status.code())),
        ("description", Value::string(description)),
    ])
}

/// `info` with one more property.
pub(super) fn info_with(info: Value, key: &str, value: Value) -> Value {
    let mut info = info;
    if let Value::Object(properties) = &mut info {
        properties.push((key.to_owned(), value));
    }
    info
}

/// The data message `|RtmpSampleAccess`: Flash may look into the samples. FFmpeg knows and skips it.
pub(super) fn sample_access() -> Vec<u8> {
    amf0::encode_all(&[
        Value::string("|RtmpSampleAccess"),
        Value::Boolean(true),
        Value::Boolean(true),
    ])
}
