//! Shared objects (types 19 and 16): data that several clients keep in step through a Flash Media Server.
//!
//! ```text
//! name (u16 length, UTF-8) | version u32 | flags u32 | 0 u32 | { event type u8 | length u32 | data } …
//! ```
//!
//! Read so that they can be told from noise, and then politely ignored: nothing that publishes or plays needs them.

use super::message;
use crate::limits;

/// One shared object message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SharedObject {
    /// Which object, at most [`limits::NAME_BYTES`].
    pub name: String,
    /// How often it has changed.
    pub version: u32,
    /// Bit 1 (2): it outlives its clients.
    pub flags: u32,
    /// What happens to it, at most [`limits::SHARED_OBJECT_EVENTS`].
    pub events: Vec<SharedEvent>,
}

/// One event of a shared object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedEvent {
    /// 1 use, 2 release, 3 request change, 4 change, 5 success, 6 send message, 7 status, 8 clear, 9 remove, 10 request
    /// remove, 11 use success.
    pub kind: u8,
    /// Its AMF values, at most [`limits::SHARED_OBJECT_BYTES`] of them.
    pub data: Vec<u8>,
}

impl SharedObject {
    /// Whether it outlives its clients.
    pub fn is_persistent(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Reads a message of type 19, or of type 16, which has a format byte before. None if it is cut short before its
    /// first event or its name is too long. Events that are cut short, and those beyond a bound, are left out.
    pub fn decode(type_id: u8, payload: &[u8]) -> Option<Self> {
        let rest = match type_id {
            message::SHARED_OBJECT_AMF3 => payload.get(1..)?,
            _ => payload,
        };
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (name, rest) = rest.split_at_checked(length)?;
        let (&[v0, v1, v2, v3, f0, f1, f2, f3, ..], mut rest) = rest.split_first_chunk::<12>()?;
        if length > limits::NAME_BYTES {
            return None;
        }
        let mut events = Vec::new();
        while let Some((kind, data, behind)) = event(rest)
            && events.len() < limits::SHARED_OBJECT_EVENTS
        {
            let data = data.get(..limits::SHARED_OBJECT_BYTES).unwrap_or(data);
            let data = data.to_vec();
            events.push(SharedEvent { kind, data });
            rest = behind;
        }
        Some(Self {
            name: String::from_utf8_lossy(name).into_owned(),
            version: u32::from_be_bytes([v0, v1, v2, v3]),
            flags: u32::from_be_bytes([f0, f1, f2, f3]),
            events,
        })
    }

    /// The payload of a message of type 19.
    pub fn encode(&self) -> Vec<u8> {
        let name = self.name.as_bytes();
        let name = name.get(..limits::NAME_BYTES).unwrap_or(name);
        let mut out = Vec::from((name.len() as u16).to_be_bytes());
        out.extend_from_slice(name);
        for number in [self.version, self.flags, 0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for event in &self.events {
            out.push(event.kind);
            out.extend_from_slice(&(event.data.len() as u32).to_be_bytes());
            out.extend_from_slice(&event.data);
        }
        out
    }
}

/// The event at the front of `bytes`: its kind, its data, and what stands behind it.
fn event(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, l0, l1, l2, l3], rest) = bytes.split_first_chunk::<5>()?;
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).ok()?;
    let (data, rest) = rest.split_at_checked(length)?;
    Some((kind, data, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_use_of_a_persistent_object() {
        let bytes = b"\0\x04chat\0\0\0\x03\0\0\0\x02\0\0\0\0\x01\0\0\0\0";
        let object = SharedObject::decode(19, bytes).unwrap();
        assert_eq!((object.name.as_str(), object.version), ("chat", 3));
        assert!(object.is_persistent());
        let data = Vec::new();
        assert_eq!(object.events, [SharedEvent { kind: 1, data }]);
        assert_eq!(object.encode(), bytes);
        let behind_format = [&[0][..], bytes].concat();
        assert_eq!(SharedObject::decode(16, &behind_format), Some(object));
    }

    #[test]
    fn what_is_cut_short_or_too_much_is_left_out() {
        let whole = b"\0\x01a\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x02xy\x06\0\0\0\x09short";
        let object = SharedObject::decode(19, whole).unwrap();
        assert_eq!(object.events.len(), 1);
        for n in 0..15 {
            assert_eq!(SharedObject::decode(19, &whole[..n]), None, "{n} bytes");
        }
        let mut many = whole[..15].to_vec();
        many.extend(b"\x08\0\0\0\0".repeat(limits::SHARED_OBJECT_EVENTS + 9));
        let object = SharedObject::decode(19, &many).unwrap();
        assert_eq!(object.events.len(), limits::SHARED_OBJECT_EVENTS);
        let long = vec![b'x'; limits::NAME_BYTES + 1];
        let mut named = (long.len() as u16).to_be_bytes().to_vec();
        named.extend(long);
        named.extend([0; 12]);
        assert_eq!(SharedObject::decode(19, &named), None);
        let mut large = whole[..15].to_vec();
        large.push(6);
        large.extend((limits::SHARED_OBJECT_BYTES as u32 + 1).to_be_bytes());
        large.resize(large.len() + limits::SHARED_OBJECT_BYTES + 1, 7);
        let object = SharedObject::decode(19, &large).unwrap();
        assert_eq!(object.events[0].data.len(), limits::SHARED_OBJECT_BYTES);
    }

    proptest! {
        #[test]
        fn objects_round_trip(
            name in ".{0,20}", version: u32, flags: u32,
            events in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..20)), 0..9),
        ) {
            let events = events.into_iter().map(|(kind, data)| SharedEvent { kind, data }).collect();
            let object = SharedObject { name, version, flags, events };
            prop_assert_eq!(SharedObject::decode(19, &object.encode()), Some(object));
        }

        #[test]
        fn arbitrary_bytes_are_survived(type_id in 16u8..20, bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let _ = SharedObject::decode(type_id, &bytes);
        }
    }
}
