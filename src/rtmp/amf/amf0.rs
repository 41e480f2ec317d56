//! AMF0 (AMF 0 specification, December 2007): every marker, ordered properties, exact encoding.

use super::{AmfError, Reader, amf3};

/// Properties in the order they were sent; a key may come twice.
pub type Properties = Vec<(String, Value)>;

/// One AMF0 value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// `00`: IEEE 754 double.
    Number(f64),
    /// `01`.
    Boolean(bool),
    /// `02`, or `0C` beyond 65,535 bytes.
    String(String),
    /// `03`.
    Object(Properties),
    /// `05`.
    Null,
    /// `06`.
    Undefined,
    /// `07`: the index of an earlier complex value of the same message, see [`referenced`].
    Reference(u16),
    /// `08`. The count sent with it is only a hint (OBS always writes 20) and is written as the true one.
    EcmaArray(Properties),
    /// `0A`.
    StrictArray(Vec<Value>),
    /// `0B`.
    Date {
        /// Milliseconds since 1970 UTC.
        millis: f64,
        /// Reserved, to be 0.
        timezone: i16,
    },
    /// `0D`.
    Unsupported,
    /// `0F`.
    XmlDocument(String),
    /// `10`.
    TypedObject {
        /// Class name.
        class: String,
        /// Its properties.
        properties: Properties,
    },
    /// `11`: one AMF3 value.
    Amf3(Box<amf3::Value>),
}

impl Value {
    /// A string value.
    pub fn string(s: impl Into<String>) -> Self {
        Self::String(s.into())
    }

    /// An anonymous object of these properties.
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Self::Object(properties.map(|(k, v)| (k.to_owned(), v)).into())
    }

    /// The number, of a number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// The text, of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// A boolean, or a number as one: `play`'s reset and `pause`'s flag come as either.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Boolean(b) => Some(*b),
            Self::Number(n) => Some(*n != 0.0),
            _ => None,
        }
    }

    /// The properties of anything that has some: object, ECMA array, typed object.
    pub fn properties(&self) -> Option<&[(String, Value)]> {
        match self {
            Self::Object(p) | Self::EcmaArray(p) | Self::TypedObject { properties: p, .. } => {
                Some(p)
            }
            _ => None,
        }
    }

    /// The property `key`; of several with that key the last, as in ActionScript.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let (_, value) = self.properties()?.iter().rev().find(|(k, _)| k == key)?;
        Some(value)
    }

    /// The property `key` whatever the case of its letters: some gear writes `tcurl`.
    pub fn get_any_case(&self, key: &str) -> Option<&Value> {
        self.get(key).or_else(|| {
            let all = self.properties()?;
            let (_, value) = all
                .iter()
                .rev()
                .find(|(k, _)| k.eq_ignore_ascii_case(key))?;
            Some(value)
        })
    }

    /// Whether this counts among the values a [`Value::Reference`] can point to.
    fn is_complex(&self) -> bool {
        self.properties().is_some() || matches!(self, Self::StrictArray(_))
    }

    /// The values directly inside.
    fn children(&self) -> impl Iterator<Item = &Value> {
        let items = match self {
            Self::StrictArray(items) => items.as_slice(),
            _ => &[],
        };
        let properties = self.properties().unwrap_or_default();
        items.iter().chain(properties.iter().map(|(_, v)| v))
    }
}

/// What [`Value::Reference`] `index` means in a message of these values: its complex values are numbered from 0 in the
/// order they begin. Kept apart from decoding, so that references can neither multiply memory nor form cycles.
pub fn referenced(values: &[Value], index: u16) -> Option<&Value> {
    fn walk<'v>(value: &'v Value, left: &mut u16) -> Option<&'v Value> {
        if value.is_complex() {
            match left.checked_sub(1) {
                None => return Some(value),
                Some(less) => *left = less,
            }
        }
        value.children().find_map(|child| walk(child, left))
    }
    let mut left = index;
    values.iter().find_map(|value| walk(value, &mut left))
}

/// Reads one value.
///
/// # Errors
/// [`AmfError`]: cut short, no value, or beyond a bound.
pub fn decode(reader: &mut Reader<'_>) -> Result<Value, AmfError> {
    reader.count()?;
    Ok(match reader.u8()? {
        0x00 => Value::Number(reader.f64()?),
        0x01 => Value::Boolean(reader.u8()? != 0),
        0x02 => Value::String(short_text(reader)?),
        0x03 => Value::Object(reader.nested(properties)?),
        0x05 => Value::Null,
        0x06 => Value::Undefined,
        0x07 => Value::Reference(reader.u16()?),
        0x08 => {
            let _approximate_count = reader.u32()?;
            Value::EcmaArray(reader.nested(properties)?)
        }
        0x0A => Value::StrictArray(reader.nested(strict_array)?),
        0x0B => Value::Date {
            millis: reader.f64()?,
            timezone: reader.array().map(i16::from_be_bytes)?,
        },
        0x0C => Value::String(long_text(reader)?),
        0x0D => Value::Unsupported,
        0x0F => Value::XmlDocument(long_text(reader)?),
        0x10 => Value::TypedObject {
            class: short_text(reader)?,
            properties: reader.nested(properties)?,
        },
        0x11 => Value::Amf3(Box::new(amf3::decode(reader)?)),
        // 04 movieclip and 0E recordset are reserved; 09 ends an object and stands nowhere else.
        marker => return Err(AmfError::Marker { version: 0, marker }),
    })
}

/// Reads values to the end, or to the first that cannot be read: what came before it is still worth having.
pub fn decode_all(input: &[u8]) -> (Vec<Value>, Option<AmfError>) {
    let mut reader = Reader::new(input);
    let mut values = Vec::new();
    while !reader.is_empty() {
        match decode(&mut reader) {
            Ok(value) => values.push(value),
            Err(error) => return (values, Some(error)),
        }
    }
    (values, None)
}

fn short_text(reader: &mut Reader<'_>) -> Result<String, AmfError> {
    let n = reader.u16()?;
    reader.text(usize::from(n))
}

fn long_text(reader: &mut Reader<'_>) -> Result<String, AmfError> {
    let n = reader.u32()?;
    reader.text(usize::try_from(n).unwrap_or(usize::MAX))
}

/// Pairs up to `00 00 09`. A message that ends where a key is due ends its open objects too: some writers leave the
/// last end marker out.
fn properties(reader: &mut Reader<'_>) -> Result<Properties, AmfError> {
    let mut properties = Properties::new();
    while !reader.is_empty() {
        if let Some(rest) = reader.rest.strip_prefix(&[0, 0, 9]) {
            reader.rest = rest;
            break;
        }
        let key = short_text(reader)?;
        properties.push((key, decode(reader)?));
    }
    Ok(properties)
}

fn strict_array(reader: &mut Reader<'_>) -> Result<Vec<Value>, AmfError> {
    let count = reader.u32()?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(decode(reader)?);
    }
    Ok(items)
}

/// Appends `value`.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Number(n) => {
            out.push(0x00);
            out.extend_from_slice(&n.to_be_bytes());
        }
        Value::Boolean(b) => out.extend_from_slice(&[0x01, u8::from(*b)]),
        Value::String(s) if s.len() <= usize::from(u16::MAX) => {
            out.push(0x02);
            encode_key(s, out);
        }
        Value::String(s) => encode_long(0x0C, s, out),
        Value::Object(p) => {
            out.push(0x03);
            encode_properties(p, out);
        }
        Value::Null => out.push(0x05),
        Value::Undefined => out.push(0x06),
        Value::Reference(index) => {
            out.push(0x07);
            out.extend_from_slice(&index.to_be_bytes());
        }
        Value::EcmaArray(p) => {
            out.push(0x08);
            out.extend_from_slice(&count(p.len()));
            encode_properties(p, out);
        }
        Value::StrictArray(items) => {
            out.push(0x0A);
            out.extend_from_slice(&count(items.len()));
            for item in items {
                encode(item, out);
            }
        }
        Value::Date { millis, timezone } => {
            out.push(0x0B);
            out.extend_from_slice(&millis.to_be_bytes());
            out.extend_from_slice(&timezone.to_be_bytes());
        }
        Value::Unsupported => out.push(0x0D),
        Value::XmlDocument(s) => encode_long(0x0F, s, out),
        Value::TypedObject { class, properties } => {
            out.push(0x10);
            encode_key(class, out);
            encode_properties(properties, out);
        }
        Value::Amf3(value) => {
            out.push(0x11);
            amf3::encode(value, out);
        }
    }
}

/// The bytes of these values in a row: a message's payload.
pub fn encode_all(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        encode(value, &mut out);
    }
    out
}

fn count(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes()
}

/// A length of 16 bits and the text. A longer one (no peer can have sent it) is cut at a character.
fn encode_key(s: &str, out: &mut Vec<u8>) {
    let s = &s[..s.floor_char_boundary(usize::from(u16::MAX))];
    out.extend_from_slice(&(s.len() as u16).to_be_bytes());
    out.extend_from_slice(s.as_bytes());
}

fn encode_long(marker: u8, s: &str, out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(&count(s.len()));
    out.extend_from_slice(s.as_bytes());
}

fn encode_properties(properties: &[(String, Value)], out: &mut Vec<u8>) {
    for (key, value) in properties {
        encode_key(key, out);
        encode(value, out);
    }
    out.extend_from_slice(&[0, 0, 9]);
}
