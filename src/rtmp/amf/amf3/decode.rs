//! Reading AMF3.

use std::rc::Rc;

use super::{Object, Properties, Value};
use crate::rtmp::amf::{AmfError, Reader};

/// Classes that write themselves, of which it is known that they write exactly one value.
const ONE_VALUE_CLASSES: [&str; 3] = [
    "flex.messaging.io.ArrayCollection",
    "flex.messaging.io.ArrayList",
    "flex.messaging.io.ObjectProxy",
];

/// Reads one value with fresh tables.
///
/// # Errors
/// [`AmfError`]: cut short, no value, a dangling reference, an unknown externalizable class, or beyond a bound.
pub fn decode(reader: &mut Reader<'_>) -> Result<Value, AmfError> {
    Tables::default().value(reader)
}

/// Reads values to the end, or to the first that cannot be read, with tables that all share.
pub fn decode_all(input: &[u8]) -> (Vec<Value>, Option<AmfError>) {
    let mut reader = Reader::new(input);
    let mut tables = Tables::default();
    let mut values = Vec::new();
    while !reader.is_empty() {
        match tables.value(&mut reader) {
            Ok(value) => values.push(value),
            Err(error) => return (values, Some(error)),
        }
    }
    (values, None)
}

/// What has been seen and may be referred to.
#[derive(Default)]
struct Tables {
    strings: Vec<Rc<str>>,
    traits: Vec<Rc<Traits>>,
}

struct Traits {
    class: String,
    sealed: Vec<String>,
    dynamic: bool,
    externalizable: bool,
}

/// The low bit of a U29 tells the two apart.
enum Head {
    Reference(u32),
    Inline(u32),
}

impl Tables {
    fn value(&mut self, reader: &mut Reader<'_>) -> Result<Value, AmfError> {
        reader.count()?;
        Ok(match reader.u8()? {
            0x00 => Value::Undefined,
            0x01 => Value::Null,
            0x02 => Value::Boolean(false),
            0x03 => Value::Boolean(true),
            // 29 bits with the sign in bit 28: shifted up and back down.
            0x04 => Value::Integer(((u29(reader)? << 3) as i32) >> 3),
            0x05 => Value::Double(reader.f64()?),
            0x06 => Value::String(self.string(reader)?),
            marker @ 0x07..=0x11 => match head(reader)? {
                Head::Reference(index) if marker != 0x0A => Value::Reference { marker, index },
                head => reader.nested(|reader| self.complex(reader, marker, head))?,
            },
            marker => return Err(AmfError::Marker { version: 3, marker }),
        })
    }

    fn complex(
        &mut self,
        reader: &mut Reader<'_>,
        marker: u8,
        head: Head,
    ) -> Result<Value, AmfError> {
        let count = match head {
            Head::Reference(index) => return Ok(Value::Reference { marker, index }),
            Head::Inline(count) => count,
        };
        let bytes = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(match marker {
            0x07 => Value::XmlDocument(reader.text(bytes)?),
            0x08 => Value::Date(reader.f64()?),
            0x09 => Value::Array {
                named: self.pairs(reader)?,
                dense: self.items(reader, count)?,
            },
            0x0A => self.object(reader, count)?,
            0x0B => Value::Xml(reader.text(bytes)?),
            0x0C => Value::ByteArray(reader.take(bytes)?.to_vec()),
            0x0D => Value::IntVector {
                fixed: reader.u8()? != 0,
                items: numbers(reader, count, i32::from_be_bytes)?,
            },
            0x0E => Value::UintVector {
                fixed: reader.u8()? != 0,
                items: numbers(reader, count, u32::from_be_bytes)?,
            },
            0x0F => Value::DoubleVector {
                fixed: reader.u8()? != 0,
                items: numbers(reader, count, f64::from_be_bytes)?,
            },
            0x10 => Value::ObjectVector {
                fixed: reader.u8()? != 0,
                class: self.string(reader)?,
                items: self.items(reader, count)?,
            },
            _ => {
                let weak = reader.u8()? != 0;
                let mut entries = Vec::new();
                for _ in 0..count {
                    entries.push((self.value(reader)?, self.value(reader)?));
                }
                Value::Dictionary { weak, entries }
            }
        })
    }

    /// U29S and its text. The empty string never enters the table.
    fn string(&mut self, reader: &mut Reader<'_>) -> Result<String, AmfError> {
        match head(reader)? {
            Head::Reference(index) => {
                let known = lookup(&self.strings, index)?;
                reader.expand(known.len())?;
                Ok(known.as_ref().to_owned())
            }
            Head::Inline(bytes) => {
                let text = reader.text(usize::try_from(bytes).unwrap_or(usize::MAX))?;
                if !text.is_empty() {
                    self.strings.push(text.as_str().into());
                }
                Ok(text)
            }
        }
    }

    fn items(&mut self, reader: &mut Reader<'_>, count: u32) -> Result<Vec<Value>, AmfError> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.value(reader)?);
        }
        Ok(items)
    }

    /// Pairs up to an empty key.
    fn pairs(&mut self, reader: &mut Reader<'_>) -> Result<Properties, AmfError> {
        let mut pairs = Properties::new();
        loop {
            let key = self.string(reader)?;
            if key.is_empty() {
                return Ok(pairs);
            }
            pairs.push((key, self.value(reader)?));
        }
    }

    /// `flags` is the U29 without its lowest bit: `…0` a traits reference, `…11` externalizable, else traits.
    fn object(&mut self, reader: &mut Reader<'_>, flags: u32) -> Result<Value, AmfError> {
        let traits = if flags & 0b1 == 0 {
            let known = Rc::clone(lookup(&self.traits, flags >> 1)?);
            let names: usize = known.sealed.iter().map(String::len).sum();
            reader.expand(names + known.class.len())?;
            known
        } else {
            self.traits(reader, flags)?
        };
        if traits.externalizable {
            if !ONE_VALUE_CLASSES.contains(&traits.class.as_str()) {
                return Err(AmfError::Externalizable);
            }
            return Ok(Value::Externalizable {
                class: traits.class.clone(),
                content: Box::new(self.value(reader)?),
            });
        }
        let mut sealed = Properties::new();
        for name in &traits.sealed {
            sealed.push((name.clone(), self.value(reader)?));
        }
        let dynamic = match traits.dynamic {
            true => Some(self.pairs(reader)?),
            false => None,
        };
        Ok(Value::Object(Object {
            class: traits.class.clone(),
            sealed,
            dynamic,
        }))
    }

    /// Those of externalizable classes are in the table too, and have no members: the flags behind theirs say nothing.
    fn traits(&mut self, reader: &mut Reader<'_>, flags: u32) -> Result<Rc<Traits>, AmfError> {
        let class = self.string(reader)?;
        let externalizable = flags & 0b10 != 0;
        let mut sealed = Vec::new();
        for _ in 0..if externalizable { 0 } else { flags >> 3 } {
            // A name costs as much as a value, and a declared number of them nothing.
            reader.count()?;
            sealed.push(self.string(reader)?);
        }
        let traits = Rc::new(Traits {
            class,
            sealed,
            dynamic: flags & 0b100 != 0,
            externalizable,
        });
        self.traits.push(Rc::clone(&traits));
        Ok(traits)
    }
}

fn lookup<T>(table: &[T], index: u32) -> Result<&T, AmfError> {
    let entry = usize::try_from(index).ok().and_then(|i| table.get(i));
    entry.ok_or(AmfError::Reference {
        index,
        known: table.len(),
    })
}

fn head(reader: &mut Reader<'_>) -> Result<Head, AmfError> {
    let u29 = u29(reader)?;
    Ok(match u29 & 1 {
        0 => Head::Reference(u29 >> 1),
        _ => Head::Inline(u29 >> 1),
    })
}

/// Up to four bytes: seven bits each while the high bit is set, eight bits of the fourth.
fn u29(reader: &mut Reader<'_>) -> Result<u32, AmfError> {
    let mut value = 0;
    for _ in 0..3 {
        let byte = u32::from(reader.u8()?);
        value = value << 7 | byte & 0x7F;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Ok(value << 8 | u32::from(reader.u8()?))
}

/// `count` numbers of `N` bytes, all of which must be there before any memory is.
fn numbers<const N: usize, T>(
    reader: &mut Reader<'_>,
    count: u32,
    from: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, AmfError> {
    let bytes = usize::try_from(count).unwrap_or(usize::MAX);
    let (numbers, _) = reader.take(bytes.saturating_mul(N))?.as_chunks::<N>();
    Ok(numbers.iter().map(|bytes| from(*bytes)).collect())
}
