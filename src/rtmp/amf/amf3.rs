//! AMF3 (AMF 3 specification, January 2013): every marker, exact encoding.
//!
//! String and traits references are resolved while reading; object references stay [`Value::Reference`], so that a
//! message can neither form a cycle nor multiply its memory. The tables live as long as one value behind `11`.

use super::amf0;

mod decode;
mod encode;

pub use decode::{decode, decode_all};
pub use encode::encode;

/// Pairs in the order they were sent.
pub type Properties = Vec<(String, Value)>;

/// One AMF3 value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// `00`.
    Undefined,
    /// `01`.
    Null,
    /// `02`, `03`.
    Boolean(bool),
    /// `04`: −2^28..2^28−1; beyond, it is written as a double.
    Integer(i32),
    /// `05`.
    Double(f64),
    /// `06`.
    String(String),
    /// `07`, the legacy XML type.
    XmlDocument(String),
    /// `08`: milliseconds since 1970 UTC.
    Date(f64),
    /// `09`.
    Array {
        /// The pairs; none has an empty key.
        named: Properties,
        /// The items 0, 1, 2 ….
        dense: Vec<Value>,
    },
    /// `0A`.
    Object(Object),
    /// `0A` of a class that writes itself, of which we know that it writes one value.
    Externalizable {
        /// Class name.
        class: String,
        /// What it wrote.
        content: Box<Value>,
    },
    /// `0B`.
    Xml(String),
    /// `0C`.
    ByteArray(Vec<u8>),
    /// `0D`.
    IntVector {
        /// Whether the length may not change.
        fixed: bool,
        /// The items.
        items: Vec<i32>,
    },
    /// `0E`.
    UintVector {
        /// Whether the length may not change.
        fixed: bool,
        /// The items.
        items: Vec<u32>,
    },
    /// `0F`.
    DoubleVector {
        /// Whether the length may not change.
        fixed: bool,
        /// The items.
        items: Vec<f64>,
    },
    /// `10`.
    ObjectVector {
        /// Whether the length may not change.
        fixed: bool,
        /// Name of the items' class; empty or `*` for any.
        class: String,
        /// The items.
        items: Vec<Value>,
    },
    /// `11`.
    Dictionary {
        /// Whether its keys are weak references.
        weak: bool,
        /// The pairs.
        entries: Vec<(Value, Value)>,
    },
    /// The object table's entry of this index, whatever marker it was referred to with.
    Reference {
        /// The marker it came with.
        marker: u8,
        /// Index into the objects of this value, in the order they begin.
        index: u32,
    },
}

/// What `0A` holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Object {
    /// Class name; empty for an anonymous object.
    pub class: String,
    /// The members its traits name.
    pub sealed: Properties,
    /// The members beyond those, if its class is dynamic. None has an empty key.
    pub dynamic: Option<Properties>,
}

impl Value {
    /// The same in AMF0's terms, for code that reads commands and need not care how they were written. What AMF0 has no
    /// word for (bytes, vectors of bytes, references) becomes `Unsupported`.
    pub fn into_amf0(self) -> amf0::Value {
        use amf0::Value as V;
        match self {
            Self::Undefined => V::Undefined,
            Self::Null => V::Null,
            Self::Boolean(b) => V::Boolean(b),
            Self::Integer(i) => V::Number(f64::from(i)),
            Self::Double(d) => V::Number(d),
            Self::String(s) => V::String(s),
            Self::XmlDocument(s) | Self::Xml(s) => V::XmlDocument(s),
            Self::Date(millis) => V::Date {
                millis,
                timezone: 0,
            },
            Self::Array { named, dense } if named.is_empty() => V::StrictArray(plain(dense)),
            Self::Array { named, dense } => {
                let mut pairs = plain_pairs(named);
                let numbered = plain(dense).into_iter().enumerate();
                pairs.extend(numbered.map(|(i, v)| (i.to_string(), v)));
                V::EcmaArray(pairs)
            }
            Self::Object(object) => {
                let mut pairs = plain_pairs(object.sealed);
                pairs.extend(plain_pairs(object.dynamic.unwrap_or_default()));
                if object.class.is_empty() {
                    V::Object(pairs)
                } else {
                    V::TypedObject {
                        class: object.class,
                        properties: pairs,
                    }
                }
            }
            Self::Externalizable { content, .. } => content.into_amf0(),
            Self::IntVector { items, .. } => numbers(items.into_iter().map(f64::from)),
            Self::UintVector { items, .. } => numbers(items.into_iter().map(f64::from)),
            Self::DoubleVector { items, .. } => numbers(items),
            Self::ObjectVector { items, .. } => V::StrictArray(plain(items)),
            Self::ByteArray(_) | Self::Dictionary { .. } | Self::Reference { .. } => V::Unsupported,
        }
    }
}

fn plain(items: Vec<Value>) -> Vec<amf0::Value> {
    items.into_iter().map(Value::into_amf0).collect()
}

fn plain_pairs(pairs: Properties) -> amf0::Properties {
    let pairs = pairs.into_iter();
    pairs.map(|(k, v)| (k, v.into_amf0())).collect()
}

fn numbers(items: impl IntoIterator<Item = f64>) -> amf0::Value {
    amf0::Value::StrictArray(items.into_iter().map(amf0::Value::Number).collect())
}
