#![allow(clippy::unwrap_used)]

mod rows_tests;

use proptest::prelude::*;

use super::{AmfError, Reader, Value, amf0, amf3};
use crate::limits;

fn hex(s: &str) -> Vec<u8> {
    let digits: Vec<u8> = s.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|p| std::str::from_utf8(p).unwrap());
    pairs.map(|p| u8::from_str_radix(p, 16).unwrap()).collect()
}

fn one(bytes: &[u8]) -> Result<Value, AmfError> {
    amf0::decode(&mut Reader::new(bytes))
}

fn one3(bytes: &[u8]) -> Result<amf3::Value, AmfError> {
    amf3::decode(&mut Reader::new(bytes))
}

#[test]
fn connect_is_written_as_the_reference_has_it() {
    let values = [
        Value::string("connect"),
        Value::Number(1.0),
        Value::object([("app", Value::string("live"))]),
    ];
    let bytes =
        hex("02 0007 636F6E6E656374 00 3FF0000000000000 03 0003 617070 02 0004 6C697665 000009");
    assert_eq!(amf0::encode_all(&values), bytes);
    assert_eq!(bytes.len(), 35);
    assert_eq!(amf0::decode_all(&bytes), (values.to_vec(), None));
}

#[test]
fn amf3_is_written_as_the_reference_has_it() {
    let a1 = amf3::Value::Object(amf3::Object {
        dynamic: Some(vec![("a".into(), amf3::Value::Integer(1))]),
        ..Default::default()
    });
    let list = amf3::Value::Array {
        named: vec![],
        dense: vec![amf3::Value::Integer(1), amf3::Value::Integer(2)],
    };
    let cases = [
        ("06 05 6869", amf3::Value::String("hi".into())),
        ("09 05 01 04 01 04 02", list),
        ("0A 0B 01 03 61 04 01 01", a1),
        ("04 7F", amf3::Value::Integer(127)),
        ("04 8100", amf3::Value::Integer(128)),
        ("04 FF7F", amf3::Value::Integer(16383)),
        ("04 818000", amf3::Value::Integer(16384)),
        ("04 FFFF7F", amf3::Value::Integer(2_097_151)),
        ("04 80C08000", amf3::Value::Integer(2_097_152)),
        ("04 FFFFFFFF", amf3::Value::Integer(-1)),
        ("04 C0808000", amf3::Value::Integer(-(1 << 28))),
        ("05 41B0000000000000", amf3::Value::Double(268_435_456.0)),
    ];
    for (bytes, value) in cases {
        assert_eq!(one3(&hex(bytes)).as_ref(), Ok(&value), "{bytes}");
        let mut out = Vec::new();
        amf3::encode(&value, &mut out);
        assert_eq!(out, hex(bytes));
    }
    let mut out = Vec::new();
    amf3::encode(&amf3::Value::Integer(1 << 28), &mut out);
    assert_eq!(out, hex("05 41B0000000000000"), "too large for 29 bits");
}

#[test]
fn every_amf0_marker_is_read() {
    let bytes = hex(
        "00 4000000000000000  01 02  05  06  0D  07 0001  08 00000014 0001 61 05 000009
         0A 00000002 05 06  0B 4000000000000000 0000  0C 00000002 6869  0F 00000001 78
         10 0001 43 0001 6B 01 00 000009  11 06 05 6869",
    );
    let (values, error) = amf0::decode_all(&bytes);
    assert_eq!(error, None);
    assert_eq!(
        values,
        [
            Value::Number(2.0),
            Value::Boolean(true),
            Value::Null,
            Value::Undefined,
            Value::Unsupported,
            Value::Reference(1),
            Value::EcmaArray(vec![("a".into(), Value::Null)]),
            Value::StrictArray(vec![Value::Null, Value::Undefined]),
            Value::Date {
                millis: 2.0,
                timezone: 0
            },
            Value::string("hi"),
            Value::XmlDocument("x".into()),
            Value::TypedObject {
                class: "C".into(),
                properties: vec![("k".into(), Value::Boolean(false))]
            },
            Value::Amf3(Box::new(amf3::Value::String("hi".into()))),
        ]
    );
    assert_eq!(amf0::referenced(&values, 1), Some(&values[7]));
    assert_eq!(amf0::referenced(&values, 3), None);
}

#[test]
fn references_count_nested_values_in_the_order_they_begin() {
    let inner = Value::object([("x", Value::Null)]);
    let outer = Value::object([("in", inner.clone())]);
    let values = [outer.clone(), Value::StrictArray(vec![])];
    assert_eq!(amf0::referenced(&values, 0), Some(&outer));
    assert_eq!(amf0::referenced(&values, 1), Some(&inner));
    assert_eq!(amf0::referenced(&values, 2), Some(&values[1]));
}

#[test]
fn sloppy_writers_are_read() {
    // No end markers at the end of the message, an empty key, a key twice, bad UTF-8, a wrong count.
    let open = one(&hex("08 000000FF 0000 05 0001 61 03 0001 62 02 0001 FF")).unwrap();
    assert_eq!(open.get(""), Some(&Value::Null));
    let inner = open.get("a").unwrap();
    assert_eq!(inner.get("b").unwrap().as_str(), Some("\u{FFFD}"));
    let twice = one(&hex("03 0001 61 05 0001 61 01 01 000009")).unwrap();
    assert_eq!(twice.get("a").unwrap().as_bool(), Some(true));
    let lower = Value::object([("tcurl", Value::string("u"))]);
    assert_eq!(lower.get_any_case("tcUrl").unwrap().as_str(), Some("u"));
}

#[test]
fn what_came_before_an_unreadable_value_is_kept() {
    let (values, error) = amf0::decode_all(&hex("05 04 05"));
    assert_eq!(values, [Value::Null]);
    assert_eq!(
        error,
        Some(AmfError::Marker {
            version: 0,
            marker: 4
        })
    );
    assert!(!error.unwrap().is_bound());
}

#[test]
fn declared_counts_reserve_nothing() {
    for bytes in [
        "0A FFFFFFFF",
        "0C FFFFFFFF",
        "02 FFFF",
        "08 FFFFFFFF 0001",
        "11 09 FFFFFFFF 01",
        "11 0A FFFFFFF3 01",
        "11 0C FFFFFFFF",
        "11 0D FFFFFFFF 00",
        "11 0F FFFFFFFF 00 00",
        "11 11 FFFFFFFF 00",
    ] {
        assert!(
            matches!(one(&hex(bytes)), Err(AmfError::Truncated { .. })),
            "{bytes}"
        );
    }
}

#[test]
fn depth_and_count_are_bounded() {
    let deep = hex("0A 00000001").repeat(limits::AMF_DEPTH + 1);
    assert_eq!(one(&deep), Err(AmfError::Depth));
    let deep3 = [hex("11"), hex("09 03 01").repeat(100_000)].concat();
    assert_eq!(one(&deep3), Err(AmfError::Depth));
    let many = [5].repeat(limits::AMF_VALUES + 1);
    assert_eq!(amf0::decode_all(&many).1, Some(AmfError::Values));
    let wide = [&hex("0A FFFFFFFF")[..], &[5].repeat(1 << 20)].concat();
    assert_eq!(one(&wide), Err(AmfError::Values));
    assert!(AmfError::Depth.is_bound());
}

#[test]
fn amf3_references_cannot_multiply_memory() {
    // A string of 60,000 bytes (U29 120,001 = 87 A9 41), then references of two bytes each to it.
    let mut bytes = hex("06 87A941");
    bytes.extend([b'a'; 60_000]);
    bytes.extend(hex("0600").repeat(4_000));
    assert_eq!(amf3::decode_all(&bytes).1, Some(AmfError::Expanded));
}

#[test]
fn amf3_tables_are_followed() {
    // Two objects of one class {x: "hi"}, the second by references to traits and string; then the first again.
    let bytes = hex("09 07 01  0A 13 03 43 03 78 06 05 6869  0A 01 06 04  0A 02");
    let amf3::Value::Array { dense, .. } = one3(&bytes).unwrap() else {
        unreachable!("an array was written")
    };
    let object = amf3::Value::Object(amf3::Object {
        class: "C".into(),
        sealed: vec![("x".into(), amf3::Value::String("hi".into()))],
        dynamic: None,
    });
    let again = amf3::Value::Reference {
        marker: 0x0A,
        index: 1,
    };
    assert_eq!(dense, [object.clone(), object, again]);
    assert!(matches!(
        one3(&hex("06 02")),
        Err(AmfError::Reference { .. })
    ));
    assert!(matches!(
        one3(&hex("0A 05")),
        Err(AmfError::Reference { .. })
    ));
    assert_eq!(one3(&hex("0A 07 03 43 01")), Err(AmfError::Externalizable));
}

/// Flash writes the class of a second ArrayCollection as a reference, and counts it among the traits.
#[test]
fn amf3_traits_of_externalizable_classes_are_in_the_table() {
    let class = b"flex.messaging.io.ArrayCollection";
    let first = [&hex("09 09 01 0A 07 43"), &class[..], &hex("01")].concat();
    // By reference with the content `false`; C {x: 5}; C again, which is traits 1.
    let bytes = [first, hex("0A 01 02  0A 13 03 43 03 78 04 05  0A 05 04 06")].concat();
    let amf3::Value::Array { dense, .. } = one3(&bytes).unwrap() else {
        unreachable!("an array was written")
    };
    let content = Box::new(amf3::Value::Boolean(false));
    let class = String::from_utf8(class.to_vec()).unwrap();
    assert_eq!(dense[1], amf3::Value::Externalizable { class, content });
    let plain = |value: &amf3::Value| value.clone().into_amf0();
    assert_eq!(plain(&dense[2]).get("x"), Some(&Value::Number(5.0)));
    assert_eq!(plain(&dense[3]).get("x"), Some(&Value::Number(6.0)));
}

#[test]
fn amf3_is_seen_through_in_amf0_terms() {
    let value = one(&hex("11 0A 0B 01 07 617070 06 09 6C697665 01")).unwrap();
    let Value::Amf3(inner) = value else {
        unreachable!("11 was written")
    };
    assert_eq!(
        inner.into_amf0(),
        Value::object([("app", Value::string("live"))])
    );
}

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof!["[a-zA-Z0-9_é€]{0,12}", Just("x".repeat(70_000))]
}

fn key() -> impl Strategy<Value = String> + Clone {
    "[a-z]{1,6}"
}

fn amf3_value() -> impl Strategy<Value = amf3::Value> {
    use amf3::Value as V;
    let leaf = prop_oneof![
        Just(V::Undefined),
        Just(V::Null),
        any::<bool>().prop_map(V::Boolean),
        (-(1i32 << 28)..1 << 28).prop_map(V::Integer),
        (-1e300..1e300).prop_map(V::Double),
        (-1e15..1e15).prop_map(V::Date),
        text().prop_map(V::String),
        text().prop_map(V::XmlDocument),
        text().prop_map(V::Xml),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(V::ByteArray),
        (any::<bool>(), prop::collection::vec(any::<i32>(), 0..5))
            .prop_map(|(fixed, items)| V::IntVector { fixed, items }),
        (any::<bool>(), prop::collection::vec(any::<u32>(), 0..5))
            .prop_map(|(fixed, items)| V::UintVector { fixed, items }),
        (any::<bool>(), prop::collection::vec(-1e9..1e9, 0..5))
            .prop_map(|(fixed, items)| V::DoubleVector { fixed, items }),
        (0u32..1000).prop_map(|index| V::Reference {
            marker: 0x0A,
            index
        }),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let pairs = prop::collection::vec((key(), inner.clone()), 0..4);
        let items = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            (pairs.clone(), items.clone()).prop_map(|(named, dense)| V::Array { named, dense }),
            (key(), pairs.clone(), prop::option::of(pairs)).prop_map(|(class, sealed, dynamic)| {
                V::Object(amf3::Object {
                    class,
                    sealed,
                    dynamic,
                })
            }),
            inner.clone().prop_map(|content| V::Externalizable {
                class: "flex.messaging.io.ArrayCollection".into(),
                content: Box::new(content)
            }),
            (any::<bool>(), key(), items.clone()).prop_map(|(fixed, class, items)| {
                V::ObjectVector {
                    fixed,
                    class,
                    items,
                }
            }),
            (
                any::<bool>(),
                prop::collection::vec((inner.clone(), inner), 0..3)
            )
                .prop_map(|(weak, entries)| V::Dictionary { weak, entries }),
        ]
    })
}

fn amf0_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-1e300..1e300).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        text().prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        Just(Value::Unsupported),
        any::<u16>().prop_map(Value::Reference),
        text().prop_map(Value::XmlDocument),
        ((-1e15..1e15), any::<i16>())
            .prop_map(|(millis, timezone)| Value::Date { millis, timezone }),
        amf3_value().prop_map(|v| Value::Amf3(Box::new(v))),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let pairs = prop::collection::vec((key(), inner.clone()), 0..5);
        prop_oneof![
            pairs.clone().prop_map(Value::Object),
            pairs.clone().prop_map(Value::EcmaArray),
            (key(), pairs).prop_map(|(class, properties)| Value::TypedObject { class, properties }),
            prop::collection::vec(inner, 0..5).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn amf0_round_trips(values in prop::collection::vec(amf0_value(), 0..4)) {
        let bytes = amf0::encode_all(&values);
        prop_assert_eq!(amf0::decode_all(&bytes), (values, None));
    }

    #[test]
    fn amf3_round_trips(value in amf3_value()) {
        let mut bytes = Vec::new();
        amf3::encode(&value, &mut bytes);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(amf3::decode(&mut reader), Ok(value));
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        super::fuzz_amf0(&bytes);
        super::fuzz_amf3(&bytes);
    }

    /// The same with bytes that look more like AMF.
    #[test]
    fn likely_bytes_are_survived(bytes in prop::collection::vec(0u8..0x14, 0..300)) {
        super::fuzz_amf0(&bytes);
        super::fuzz_amf3(&bytes);
    }
}
