//! Writing AMF3: every string and traits inline, which any reader takes.

use super::{Object, Properties, Value};

/// Appends `value`, without the `11` that introduces it in AMF0.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Undefined => out.push(0x00),
        Value::Null => out.push(0x01),
        Value::Boolean(false) => out.push(0x02),
        Value::Boolean(true) => out.push(0x03),
        Value::Integer(i) if (-(1 << 28)..1 << 28).contains(i) => {
            out.push(0x04);
            u29(*i as u32 & 0x1FFF_FFFF, out);
        }
        Value::Integer(i) => encode(&Value::Double(f64::from(*i)), out),
        Value::Double(d) => {
            out.push(0x05);
            out.extend_from_slice(&d.to_be_bytes());
        }
        Value::String(s) => {
            out.push(0x06);
            string(s, out);
        }
        Value::XmlDocument(s) => block(0x07, s.as_bytes(), out),
        Value::Date(millis) => {
            out.extend_from_slice(&[0x08, 0x01]);
            out.extend_from_slice(&millis.to_be_bytes());
        }
        Value::Array { named, dense } => {
            head(0x09, dense.len(), out);
            pairs(named, out);
            items(dense, out);
        }
        Value::Object(value) => object(value, out),
        Value::Externalizable { class, content } => {
            out.extend_from_slice(&[0x0A, 0x07]);
            string(class, out);
            encode(content, out);
        }
        Value::Xml(s) => block(0x0B, s.as_bytes(), out),
        Value::ByteArray(bytes) => block(0x0C, bytes, out),
        Value::IntVector { fixed, items } => {
            vector(0x0D, *fixed, items.iter().map(|i| i.to_be_bytes()), out);
        }
        Value::UintVector { fixed, items } => {
            vector(0x0E, *fixed, items.iter().map(|i| i.to_be_bytes()), out);
        }
        Value::DoubleVector { fixed, items } => {
            vector(0x0F, *fixed, items.iter().map(|i| i.to_be_bytes()), out);
        }
        Value::ObjectVector {
            fixed,
            class,
            items: values,
        } => {
            head(0x10, values.len(), out);
            out.push(u8::from(*fixed));
            string(class, out);
            items(values, out);
        }
        Value::Dictionary { weak, entries } => {
            head(0x11, entries.len(), out);
            out.push(u8::from(*weak));
            for (key, value) in entries {
                encode(key, out);
                encode(value, out);
            }
        }
        Value::Reference { marker, index } => {
            out.push(*marker);
            u29(index << 1, out);
        }
    }
}

fn object(value: &Object, out: &mut Vec<u8>) {
    let flags = if value.dynamic.is_some() {
        0b1011
    } else {
        0b0011
    };
    out.push(0x0A);
    u29((value.sealed.len() as u32) << 4 | flags, out);
    string(&value.class, out);
    for (name, _) in &value.sealed {
        string(name, out);
    }
    for (_, member) in &value.sealed {
        encode(member, out);
    }
    if let Some(members) = &value.dynamic {
        pairs(members, out);
    }
}

/// Pairs and the empty key that ends them; a pair with an empty key would end them early and is left out.
fn pairs(pairs: &Properties, out: &mut Vec<u8>) {
    for (key, value) in pairs.iter().filter(|(key, _)| !key.is_empty()) {
        string(key, out);
        encode(value, out);
    }
    string("", out);
}

fn items(values: &[Value], out: &mut Vec<u8>) {
    for value in values {
        encode(value, out);
    }
}

fn vector<const N: usize>(
    marker: u8,
    fixed: bool,
    items: impl ExactSizeIterator<Item = [u8; N]>,
    out: &mut Vec<u8>,
) {
    head(marker, items.len(), out);
    out.push(u8::from(fixed));
    for item in items {
        out.extend_from_slice(&item);
    }
}

fn block(marker: u8, bytes: &[u8], out: &mut Vec<u8>) {
    head(marker, bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn string(s: &str, out: &mut Vec<u8>) {
    u29((s.len() as u32) << 1 | 1, out);
    out.extend_from_slice(s.as_bytes());
}

fn head(marker: u8, count: usize, out: &mut Vec<u8>) {
    out.push(marker);
    u29((count as u32) << 1 | 1, out);
}

/// The shortest form of `value`'s lower 29 bits. (A longer count than 2^28 cannot be said in AMF3, nor reach us.)
fn u29(value: u32, out: &mut Vec<u8>) {
    let seven = |shift: u32| (value >> shift) as u8 & 0x7F;
    match value & 0x1FFF_FFFF {
        0..0x80 => out.push(seven(0)),
        0x80..0x4000 => out.extend_from_slice(&[seven(7) | 0x80, seven(0)]),
        0x4000..0x20_0000 => {
            out.extend_from_slice(&[seven(14) | 0x80, seven(7) | 0x80, seven(0)]);
        }
        _ => out.extend_from_slice(&[
            seven(22) | 0x80,
            seven(15) | 0x80,
            seven(8) | 0x80,
            value as u8,
        ]),
    }
}
