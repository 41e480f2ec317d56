//! Media, and whatever else is not a command.

use super::ClientSession;
use crate::limits;
use crate::rtmp::chunk::{CSID_AUDIO, CSID_DATA, CSID_VIDEO};
use crate::rtmp::control::ProtocolControl;
use crate::rtmp::message;
use crate::rtmp::session::{MessageStreamId, aggregate};
use crate::rtmp::wire::MediaKind;
use crate::time::Timestamp;

impl ClientSession {
    /// One media or data message on the first published stream; nothing if there is none yet. Chunk formats chosen for
    /// fewest bytes.
    pub fn send_media(&mut self, kind: MediaKind, timestamp: Timestamp, payload: &[u8]) {
        if let Some(stream) = self.publishing() {
            self.send_message(kind.type_id(), stream, timestamp, payload);
        }
    }

    /// One message of any type on any message stream. The server may refuse to understand it.
    pub fn send_message(
        &mut self,
        type_id: u8,
        stream: MessageStreamId,
        timestamp: Timestamp,
        payload: &[u8],
    ) {
        let csid = match type_id {
            message::AUDIO => CSID_AUDIO,
            message::VIDEO => CSID_VIDEO,
            _ => CSID_DATA,
        };
        let output = &mut self.link.output;
        output.message(csid, type_id, stream, timestamp, payload);
    }

    /// Several media messages of `stream` in one (type 22), at their own times. Nothing if there are none.
    pub fn send_aggregate(
        &mut self,
        stream: MessageStreamId,
        parts: &[(MediaKind, Timestamp, &[u8])],
    ) {
        let parts = parts
            .iter()
            .map(|(kind, time, payload)| (kind.type_id(), *time, *payload));
        let parts: Vec<_> = parts.collect();
        if let Some((_, first, _)) = parts.first() {
            let payload = aggregate::encode(&parts);
            self.send_message(message::AGGREGATE, stream, *first, &payload);
        }
    }

    /// A SetChunkSize, and use it from the next chunk on. Before the handshake is done: instead of the configured one.
    pub fn set_chunk_size(&mut self, size: u32) {
        if self.handshake.is_some() {
            self.config.chunk_size = size;
        } else {
            let size = size.clamp(1, limits::CHUNK_SIZE_RECEIVE_MAX);
            let output = &mut self.link.output;
            output.protocol(ProtocolControl::SetChunkSize(size));
        }
    }

    /// Bytes a test wants on the wire unaltered.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.link.output.bytes.extend_from_slice(bytes);
    }
}
