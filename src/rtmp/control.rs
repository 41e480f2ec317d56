//! Protocol control (types 1–3, 5, 6) and user control (type 4): RTMP 1.0 §5.4, §7.1.7.
//!
//! All of them travel on chunk stream 2 and message stream 0, and are acted on at once.

use super::message;

/// A protocol control message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolControl {
    /// Type 1: bytes of the sender's chunks from its next chunk on.
    SetChunkSize(u32),
    /// Type 2: drop the partly received message of this chunk stream.
    Abort(u32),
    /// Type 3: bytes received so far, modulo 2^32.
    Acknowledgement(u32),
    /// Type 5: acknowledge at least every so many bytes.
    WindowAckSize(u32),
    /// Type 6: do not have more than `size` bytes unacknowledged.
    SetPeerBandwidth {
        /// Bytes.
        size: u32,
        /// How to take it.
        limit: Limit,
    },
}

/// Set Peer Bandwidth's limit type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// 0: use this window.
    Hard,
    /// 1: use the smaller of this and the current one.
    Soft,
    /// 2: hard if the last one was hard, else nothing.
    Dynamic,
}

impl ProtocolControl {
    /// Reads a message of type 1, 2, 3, 5 or 6; none of another type, of a limit type nobody defined, or cut short: all of
    /// which a tolerant peer ignores. Bytes behind the fields are ignored too.
    pub fn decode(type_id: u8, payload: &[u8]) -> Option<Self> {
        let (value, rest) = payload.split_first_chunk::<4>()?;
        let value = u32::from_be_bytes(*value);
        Some(match type_id {
            message::SET_CHUNK_SIZE => Self::SetChunkSize(value),
            message::ABORT => Self::Abort(value),
            message::ACKNOWLEDGEMENT => Self::Acknowledgement(value),
            message::WINDOW_ACK_SIZE => Self::WindowAckSize(value),
            message::SET_PEER_BANDWIDTH => Self::SetPeerBandwidth {
                size: value,
                limit: match rest.first()? {
                    0 => Limit::Hard,
                    1 => Limit::Soft,
                    2 => Limit::Dynamic,
                    _ => return None,
                },
            },
            _ => return None,
        })
    }

    /// The message's type.
    pub fn type_id(self) -> u8 {
        match self {
            Self::SetChunkSize(_) => message::SET_CHUNK_SIZE,
            Self::Abort(_) => message::ABORT,
            Self::Acknowledgement(_) => message::ACKNOWLEDGEMENT,
            Self::WindowAckSize(_) => message::WINDOW_ACK_SIZE,
            Self::SetPeerBandwidth { .. } => message::SET_PEER_BANDWIDTH,
        }
    }

    /// The message's payload.
    pub fn payload(self) -> Vec<u8> {
        match self {
            Self::SetChunkSize(value)
            | Self::Abort(value)
            | Self::Acknowledgement(value)
            | Self::WindowAckSize(value) => value.to_be_bytes().into(),
            Self::SetPeerBandwidth { size, limit } => {
                let mut payload = Vec::from(size.to_be_bytes());
                payload.push(match limit {
                    Limit::Hard => 0,
                    Limit::Soft => 1,
                    Limit::Dynamic => 2,
                });
                payload
            }
        }
    }
}

/// A user control message (type 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserControl {
    /// 0: this message stream carries something now.
    StreamBegin(u32),
    /// 1: it carries nothing any more.
    StreamEof(u32),
    /// 2: nothing more for a while.
    StreamDry(u32),
    /// 3: the player buffers this long.
    SetBufferLength {
        /// Message stream.
        stream: u32,
        /// Milliseconds.
        millis: u32,
    },
    /// 4: what plays is a recording.
    StreamIsRecorded(u32),
    /// 6: answer with the same number.
    PingRequest(u32),
    /// 7: the answer.
    PingResponse(u32),
    /// 31: FMS has sent less of a recording than its player wants.
    BufferEmpty(u32),
    /// 32: and now enough again.
    BufferReady(u32),
    /// 26, 27 (SWF verification) and whatever else there is: nothing to act on.
    Other(u16),
}

impl UserControl {
    /// Reads one; none if it is cut short. Bytes behind the fields are ignored.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (event, rest) = payload.split_first_chunk::<2>()?;
        let event = u16::from_be_bytes(*event);
        if !matches!(event, 0..=4 | 6 | 7 | 31 | 32) {
            return Some(Self::Other(event));
        }
        let (value, rest) = rest.split_first_chunk::<4>()?;
        let value = u32::from_be_bytes(*value);
        Some(match event {
            0 => Self::StreamBegin(value),
            1 => Self::StreamEof(value),
            2 => Self::StreamDry(value),
            3 => Self::SetBufferLength {
                stream: value,
                millis: u32::from_be_bytes(*rest.first_chunk()?),
            },
            4 => Self::StreamIsRecorded(value),
            6 => Self::PingRequest(value),
            7 => Self::PingResponse(value),
            31 => Self::BufferEmpty(value),
            _ => Self::BufferReady(value),
        })
    }

    /// The event type.
    pub fn event(self) -> u16 {
        match self {
            Self::StreamBegin(_) => 0,
            Self::StreamEof(_) => 1,
            Self::StreamDry(_) => 2,
            Self::SetBufferLength { .. } => 3,
            Self::StreamIsRecorded(_) => 4,
            Self::PingRequest(_) => 6,
            Self::PingResponse(_) => 7,
            Self::BufferEmpty(_) => 31,
            Self::BufferReady(_) => 32,
            Self::Other(event) => event,
        }
    }

    /// The message's payload.
    pub fn payload(self) -> Vec<u8> {
        let mut payload = Vec::from(self.event().to_be_bytes());
        match self {
            Self::StreamBegin(value)
            | Self::StreamEof(value)
            | Self::StreamDry(value)
            | Self::StreamIsRecorded(value)
            | Self::PingRequest(value)
            | Self::PingResponse(value)
            | Self::BufferEmpty(value)
            | Self::BufferReady(value) => payload.extend_from_slice(&value.to_be_bytes()),
            Self::SetBufferLength { stream, millis } => {
                payload.extend_from_slice(&stream.to_be_bytes());
                payload.extend_from_slice(&millis.to_be_bytes());
            }
            Self::Other(_) => {}
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trips(control: ProtocolControl) -> bool {
        ProtocolControl::decode(control.type_id(), &control.payload()) == Some(control)
    }

    #[test]
    fn written_as_the_reference_has_it() {
        let size = 2_500_000;
        let bandwidth = ProtocolControl::SetPeerBandwidth {
            size,
            limit: Limit::Dynamic,
        };
        assert_eq!(bandwidth.payload(), [0x00, 0x26, 0x25, 0xA0, 2]);
        assert_eq!(bandwidth.type_id(), 6);
        assert_eq!(UserControl::StreamBegin(1).payload(), [0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn short_and_unknown_ones_are_nothing() {
        assert_eq!(ProtocolControl::decode(1, &[0, 0, 1]), None);
        assert_eq!(ProtocolControl::decode(6, &[0, 0, 0, 1]), None);
        assert_eq!(ProtocolControl::decode(6, &[0, 0, 0, 1, 9]), None);
        assert_eq!(ProtocolControl::decode(7, &[0, 0, 0, 1]), None);
        assert_eq!(UserControl::decode(&[0]), None);
        assert_eq!(UserControl::decode(&[0, 3, 0, 0, 0, 1]), None);
        assert_eq!(
            UserControl::decode(&[0, 26, 1]),
            Some(UserControl::Other(26))
        );
    }

    proptest! {
        #[test]
        fn every_message_round_trips(value: u32, other: u32, limit in 0usize..3) {
            use ProtocolControl as P;
            use UserControl as U;
            let limit = [Limit::Hard, Limit::Soft, Limit::Dynamic][limit];
            for control in [
                P::SetChunkSize(value), P::Abort(value), P::Acknowledgement(value),
                P::WindowAckSize(value), P::SetPeerBandwidth { size: value, limit },
            ] {
                prop_assert!(round_trips(control));
            }
            for control in [
                U::StreamBegin(value), U::StreamEof(value), U::StreamDry(value),
                U::SetBufferLength { stream: value, millis: other }, U::StreamIsRecorded(value),
                U::PingRequest(value), U::PingResponse(value), U::BufferEmpty(value),
                U::BufferReady(value), U::Other(26),
            ] {
                prop_assert_eq!(UserControl::decode(&control.payload()), Some(control));
            }
        }

        #[test]
        fn arbitrary_bytes_are_survived(type_id: u8, bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = ProtocolControl::decode(type_id, &bytes);
            let _ = UserControl::decode(&bytes);
        }
    }
}
