//! AMF on arbitrary bytes: bodies for fuzzers and property tests.

use super::{AmfError, Reader, Value, amf0, amf3};
use crate::limits;

/// AMF0 of arbitrary bytes: no panic; no more values, levels and text than the bounds and the bytes allow; what was read
/// can be written, read again, and is the same bytes then; and a cut changes nothing before it.
#[doc(hidden)]
pub fn fuzz_amf0(data: &[u8]) {
    let (values, error) = amf0::decode_all(data);
    let mut size = Size::default();
    for value in &values {
        size.amf0(value, 0);
    }
    size.check(data.len());
    let written = amf0::encode_all(&values);
    let (again, second) = amf0::decode_all(&written);
    // Written without references, names of AMF3 traits count anew, and may then be too many.
    if second != Some(AmfError::Values) {
        assert_eq!(second, None);
        assert_eq!(amf0::encode_all(&again), written);
    }
    for index in 0..4 {
        let found = amf0::referenced(&values, index);
        assert!(found.is_none_or(|v| v.properties().is_some() || is_array(v)));
    }
    check_cut(data, &values, error);
}

fn is_array(value: &Value) -> bool {
    matches!(value, Value::StrictArray(_))
}

/// Values that end before the cut are the same; behind the cut stand none.
fn check_cut(data: &[u8], values: &[Value], error: Option<AmfError>) {
    let Some(cut) = data
        .last()
        .map(|last| usize::from(*last) * data.len() / 256)
    else {
        return;
    };
    let (before, _) = amf0::decode_all(data.get(..cut).unwrap_or_default());
    // The last may be an object that the cut has ended early.
    let sure = before.len().saturating_sub(1);
    let text = |values: &[Value]| amf0::encode_all(values.get(..sure).unwrap_or_default());
    assert_eq!(text(&before), text(values));
    assert!(before.len() <= values.len() + usize::from(error.is_some()));
}

/// AMF3 of arbitrary bytes: the same, value by value, as each is written with its own tables.
#[doc(hidden)]
pub fn fuzz_amf3(data: &[u8]) {
    let write = |value: &amf3::Value| {
        let mut written = Vec::new();
        amf3::encode(value, &mut written);
        written
    };
    let (values, _) = amf3::decode_all(data);
    let mut size = Size::default();
    for value in values {
        size.amf3(&value, 0);
        let written = write(&value);
        let mut reader = Reader::new(&written);
        match amf3::decode(&mut reader) {
            Ok(again) => {
                assert!(reader.is_empty());
                assert_eq!(write(&again), written);
            }
            Err(error) => assert_eq!(error, AmfError::Values),
        }
        let plain = value.into_amf0();
        let written = amf0::encode_all(&[plain]);
        // A vector of numbers becomes as many values, which may be too many.
        let (again, error) = amf0::decode_all(&written);
        if error != Some(AmfError::Values) {
            assert_eq!(error, None);
            assert_eq!(amf0::encode_all(&again), written);
        }
    }
    size.check(data.len());
}

/// What values hold.
#[derive(Default)]
struct Size {
    values: usize,
    depth: usize,
    /// Text, bytes and numbers, in bytes.
    bytes: usize,
}

impl Size {
    fn check(&self, data: usize) {
        assert!(self.values <= limits::AMF_VALUES);
        assert!(self.depth <= limits::AMF_DEPTH);
        // A byte that is no UTF-8 becomes three.
        assert!(self.bytes <= 3 * (data + limits::AMF_EXPANDED_BYTES));
    }

    fn one(&mut self, depth: usize, bytes: usize) {
        self.values += 1;
        self.depth = self.depth.max(depth);
        self.bytes += bytes;
    }

    fn amf0(&mut self, value: &Value, depth: usize) {
        let depth = depth + usize::from(value.properties().is_some() || is_array(value));
        match value {
            Value::String(s) | Value::XmlDocument(s) => self.one(depth, s.len()),
            Value::TypedObject { class, .. } => self.one(depth, class.len()),
            Value::Amf3(inner) => {
                self.values += 1;
                self.amf3(inner, depth);
            }
            _ => self.one(depth, 0),
        }
        for (key, value) in value.properties().unwrap_or_default() {
            self.bytes += key.len();
            self.amf0(value, depth);
        }
        if let Value::StrictArray(items) = value {
            for item in items {
                self.amf0(item, depth);
            }
        }
    }

    fn amf3(&mut self, value: &amf3::Value, depth: usize) {
        use amf3::Value as V;
        let depth = depth + 1;
        match value {
            V::String(s) => self.one(depth - 1, s.len()),
            V::XmlDocument(s) | V::Xml(s) => self.one(depth, s.len()),
            V::ByteArray(bytes) => self.one(depth, bytes.len()),
            V::IntVector { items, .. } => self.one(depth, 4 * items.len()),
            V::UintVector { items, .. } => self.one(depth, 4 * items.len()),
            V::DoubleVector { items, .. } => self.one(depth, 8 * items.len()),
            V::Array { named, dense } => {
                self.one(depth, 0);
                self.pairs(named, depth);
                dense.iter().for_each(|item| self.amf3(item, depth));
            }
            V::Object(object) => {
                self.one(depth, object.class.len());
                self.pairs(&object.sealed, depth);
                self.pairs(object.dynamic.as_deref().unwrap_or_default(), depth);
            }
            V::Externalizable { class, content } => {
                self.one(depth, class.len());
                self.amf3(content, depth);
            }
            V::ObjectVector { class, items, .. } => {
                self.one(depth, class.len());
                items.iter().for_each(|item| self.amf3(item, depth));
            }
            V::Dictionary { entries, .. } => {
                self.one(depth, 0);
                for (key, value) in entries {
                    self.amf3(key, depth);
                    self.amf3(value, depth);
                }
            }
            _ => self.one(depth - 1, 0),
        }
    }

    fn pairs(&mut self, pairs: &[(String, amf3::Value)], depth: usize) {
        for (key, value) in pairs {
            self.bytes += key.len();
            self.amf3(value, depth);
        }
    }
}
