//! Messages from arbitrary bytes, so that hardly any input is cut off by the chunk layer.

use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::chunk::encoder::Encoder;
use crate::rtmp::message;
use crate::time::Timestamp;

const NAMES: [&str; 32] = [
    "connect",
    "createStream",
    "releaseStream",
    "FCPublish",
    "FCUnpublish",
    "FCSubscribe",
    "publish",
    "play",
    "play2",
    "pause",
    "seek",
    "receiveAudio",
    "receiveVideo",
    "deleteStream",
    "closeStream",
    "close",
    "getStreamLength",
    "_checkbw",
    "_result",
    "_error",
    "onStatus",
    "onBWDone",
    "@setDataFrame",
    "@clearDataFrame",
    "onMetaData",
    "|RtmpSampleAccess",
    "live",
    "a?b=c",
    "NetStream.Publish.Start",
    "NetConnection.Connect.ReconnectRequest",
    "error",
    "",
];

/// The bytes of a script, taken one after the other; zeros behind its end.
struct Bytes<'a>(core::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    fn name(&mut self) -> Value {
        let name = NAMES.get(usize::from(self.next()) % NAMES.len());
        Value::string(name.copied().unwrap_or(""))
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.next() % 10 {
            0 => Value::Null,
            1 => Value::Boolean(self.next().is_multiple_of(2)),
            2 => Value::Number(f64::from(self.next() % 24)),
            3 => Value::Number([f64::NAN, -1.0, 1e300, 2.5][usize::from(self.next()) % 4]),
            4 | 5 => self.name(),
            6 => Value::Reference(u16::from(self.next() % 4)),
            7 if depth > 0 => Value::StrictArray(self.values(depth - 1)),
            8 | 9 if depth > 0 => Value::object([
                ("app", self.value(depth - 1)),
                ("code", self.value(depth - 1)),
                ("level", self.value(depth - 1)),
            ]),
            _ => Value::Undefined,
        }
    }

    fn values(&mut self, depth: usize) -> Vec<Value> {
        let count = self.next() % 5;
        (0..count).map(|_| self.value(depth)).collect()
    }

    fn some(&mut self) -> Vec<u8> {
        let count = self.next() % 40;
        (0..count).map(|_| self.next()).collect()
    }

    fn command(&mut self) -> Vec<u8> {
        let mut values = vec![
            self.name(),
            Value::Number(f64::from(self.next() % 6)),
            Value::Null,
        ];
        values.extend(self.values(2));
        amf0::encode_all(&values)
    }
}

/// The chunks of the messages that `script` tells of.
pub(super) fn encode(script: &[u8]) -> Vec<u8> {
    let mut from = Bytes(script.iter());
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    while !from.0.as_slice().is_empty() {
        let what = from.next();
        let stream = u32::from(from.next() % 4);
        let time = Timestamp(u32::from(what & 0xF0) * 0x0010_0001);
        let (csid, type_id, payload) = match what & 0x0F {
            0..=4 => (3, message::COMMAND_AMF0, from.command()),
            5 => {
                let payload = [vec![0], from.command()].concat();
                (3, message::COMMAND_AMF3, payload)
            }
            6 => (4, message::AUDIO, from.some()),
            7 => (6, message::VIDEO, from.some()),
            8 => {
                let values = [vec![from.name()], from.values(2)].concat();
                (5, message::DATA_AMF0, amf0::encode_all(&values))
            }
            9 => {
                // Left as it is for the chunks to come: the encoder goes on with what it has.
                let size = 1 << (from.next() % 8);
                let mut payload = vec![0, 0, 0];
                payload.push(size);
                encoder.encode(&mut out, 2, message::SET_CHUNK_SIZE, 0, time, &payload);
                encoder.set_chunk_size(size.into());
                continue;
            }
            0x0A => {
                let payload = [0, from.next() % 8].into_iter().chain(from.some());
                (2, message::USER_CONTROL, payload.collect())
            }
            0x0B => {
                let kind = [2, 3, 5, 6][usize::from(from.next()) % 4];
                (
                    2,
                    kind,
                    [vec![0, 0, from.next(), from.next()], from.some()].concat(),
                )
            }
            0x0C => (7, message::AGGREGATE, aggregate(&mut from)),
            0x0D => (8, message::DATA_AMF3, from.some()),
            0x0E => (u32::from(from.next()) + 2, from.next() % 24, from.some()),
            // Bytes that are no chunks, mostly.
            _ => {
                out.extend(from.some());
                continue;
            }
        };
        encoder.encode(&mut out, csid, type_id, stream, time, &payload);
    }
    out
}

fn aggregate(from: &mut Bytes<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..from.next() % 6 {
        let type_id = [8, 9, 18, 20, 15][usize::from(from.next()) % 5];
        let payload = from.some();
        let mut head = [type_id, 0, 0, payload.len() as u8, 0, 0, 0, 0, 0, 0, 0];
        head[6] = from.next();
        head[7] = from.next() % 2;
        out.extend(head);
        out.extend(payload);
        out.extend([0; 4]);
    }
    out
}
