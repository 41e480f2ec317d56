//! The tables of the AMF specifications, row by row.

use super::{hex, one, one3};
use crate::rtmp::amf::{AmfError, Reader, Value, amf0, amf3};

/// Read, and written as it came.
fn exact3(bytes: &str, value: &amf3::Value) {
    assert_eq!(one3(&hex(bytes)).as_ref(), Ok(value), "{bytes}");
    let mut out = Vec::new();
    amf3::encode(value, &mut out);
    assert_eq!(out, hex(bytes), "{bytes}");
}

#[test]
fn every_amf0_row_is_exact() {
    let pairs = || vec![("a".to_owned(), Value::Number(1.0))];
    let rows = [
        ("00 BFF0000000000000", Value::Number(-1.0)),
        ("01 00", Value::Boolean(false)),
        ("01 01", Value::Boolean(true)),
        ("02 0000", Value::string("")),
        ("02 0003 E282AC", Value::string("€")),
        ("03 000009", Value::Object(vec![])),
        (
            "03 0001 61 00 3FF0000000000000 000009",
            Value::Object(pairs()),
        ),
        ("05", Value::Null),
        ("06", Value::Undefined),
        ("07 FFFF", Value::Reference(0xFFFF)),
        ("08 00000000 000009", Value::EcmaArray(vec![])),
        (
            "08 00000001 0001 61 00 3FF0000000000000 000009",
            Value::EcmaArray(pairs()),
        ),
        ("0A 00000000", Value::StrictArray(vec![])),
        (
            "0B 4270000000000000 FF88",
            Value::Date {
                millis: 1_099_511_627_776.0,
                timezone: -120,
            },
        ),
        ("0D", Value::Unsupported),
        ("0F 00000003 3C782F", Value::XmlDocument("<x/".into())),
        (
            "10 0001 43 000009",
            Value::TypedObject {
                class: "C".into(),
                properties: vec![],
            },
        ),
        ("11 01", Value::Amf3(Box::new(amf3::Value::Null))),
    ];
    for (bytes, value) in rows {
        assert_eq!(one(&hex(bytes)).as_ref(), Ok(&value), "{bytes}");
        assert_eq!(amf0::encode_all(&[value]), hex(bytes), "{bytes}");
    }
    // Any boolean but 0 is true; a long string is a string, and written as one if it is long.
    assert_eq!(one(&hex("01 FF")), Ok(Value::Boolean(true)));
    assert_eq!(one(&hex("0C 00000001 61")), Ok(Value::string("a")));
    let long = Value::String("x".repeat(65_536));
    assert_eq!(amf0::encode_all(&[long])[..5], hex("0C 00010000"));
    let short = Value::String("x".repeat(65_535));
    assert_eq!(amf0::encode_all(&[short])[..3], hex("02 FFFF"));
}

#[test]
fn reserved_markers_are_errors_and_cost_only_what_follows() {
    for marker in [0x04, 0x09, 0x0E].into_iter().chain(0x12..=0xFF) {
        let error = AmfError::Marker { version: 0, marker };
        assert_eq!(one(&[marker]), Err(error));
        let (values, end) = amf0::decode_all(&[0x05, 0x06, marker, 0x05]);
        assert_eq!((values.len(), end), (2, Some(error)));
        // Inside of an object it takes the object with it.
        assert_eq!(one(&[3, 0, 1, b'a', marker]), Err(error));
    }
    for marker in 0x12..=0xFF {
        assert_eq!(
            one3(&[marker]),
            Err(AmfError::Marker { version: 3, marker })
        );
    }
}

#[test]
fn what_the_reference_tolerates_is_read() {
    // ECMA counts too high (OBS's 20) and too low; 09 after a key that is not empty is no end.
    for count in ["00000014", "00000000", "FFFFFFFF"] {
        let bytes = hex(&format!("08 {count} 0001 61 05 0001 62 06 000009 05"));
        let (values, error) = amf0::decode_all(&bytes);
        assert_eq!((values.len(), error), (2, None));
        assert_eq!(values[0].properties().map(<[_]>::len), Some(2));
    }
    assert!(one(&hex("03 0001 61 09")).is_err());
    // The end marker missing at each level, but not in the middle of a value or a key.
    assert!(one(&hex("03 0001 61 03 0001 62 05")).is_ok());
    assert!(one(&hex("10 0001 43 0001 62 05")).is_ok());
    for cut in [
        "03 00",
        "03 0001",
        "03 0001 61",
        "03 0001 61 02 0001",
        "03 0000",
    ] {
        assert!(
            matches!(one(&hex(cut)), Err(AmfError::Truncated { .. })),
            "{cut}"
        );
    }
    // The order of keys, and the one that comes twice.
    let bytes = hex("03 0001 62 05 0001 61 06 0001 62 01 01 000009");
    let value = one(&bytes).unwrap();
    let keys: Vec<_> = value
        .properties()
        .unwrap()
        .iter()
        .map(|(k, _)| k.as_str())
        .collect();
    assert_eq!(keys, ["b", "a", "b"]);
    assert_eq!(amf0::encode_all(&[value]), bytes);
    // Numbers that are none.
    assert!(
        one(&hex("00 7FF8000000000000"))
            .unwrap()
            .as_number()
            .unwrap()
            .is_nan()
    );
}

#[test]
fn every_u29_of_the_reference_is_exact() {
    for (bytes, integer) in [
        ("00", 0),
        ("7F", 127),
        ("8100", 128),
        ("FF7F", 16_383),
        ("818000", 16_384),
        ("FFFF7F", 2_097_151),
        ("80C08000", 2_097_152),
        ("BFFFFFFF", (1 << 28) - 1),
        ("C0808000", -(1 << 28)),
        ("FFFFFFFF", -1),
    ] {
        exact3(&format!("04 {bytes}"), &amf3::Value::Integer(integer));
    }
    // Longer forms than needed are read too; cut short they are not.
    assert_eq!(one3(&hex("04 80808001")), Ok(amf3::Value::Integer(1)));
    assert_eq!(one3(&hex("04 8001")), Ok(amf3::Value::Integer(1)));
    for cut in ["04", "04 80", "04 FFFF", "04 FFFFFF"] {
        assert!(
            matches!(one3(&hex(cut)), Err(AmfError::Truncated { .. })),
            "{cut}"
        );
    }
}

/// Read, written, and behind `11` between AMF0 values; and every cut of it is an error, never a value.
fn row(bytes: &str, value: &amf3::Value) {
    exact3(bytes, value);
    let (values, error) = amf0::decode_all(&hex(&format!("05 11 {bytes} 06")));
    let behind = Value::Amf3(Box::new(value.clone()));
    assert_eq!(
        (values, error),
        (vec![Value::Null, behind, Value::Undefined], None)
    );
    let all = hex(bytes);
    for length in 0..all.len() {
        assert!(one3(&all[..length]).is_err(), "{bytes} cut to {length}");
    }
}

#[test]
fn every_simple_amf3_row_is_exact() {
    use amf3::Value as V;
    row("00", &V::Undefined);
    row("01", &V::Null);
    row("02", &V::Boolean(false));
    row("03", &V::Boolean(true));
    row("05 3FF0000000000000", &V::Double(1.0));
    row("06 01", &V::String(String::new()));
    row("06 07 E282AC", &V::String("€".into()));
    row("07 03 78", &V::XmlDocument("x".into()));
    row("08 01 4270000000000000", &V::Date(1_099_511_627_776.0));
    row("0B 03 78", &V::Xml("x".into()));
    row("0C 07 00FF80", &V::ByteArray(vec![0, 0xFF, 0x80]));
}

#[test]
fn every_vector_of_amf3_is_exact() {
    use amf3::Value as V;
    let (fixed, items) = (true, vec![-1, 2]);
    row("0D 05 01 FFFFFFFF 00000002", &V::IntVector { fixed, items });
    let (fixed, items) = (false, vec![u32::MAX]);
    row("0E 03 00 FFFFFFFF", &V::UintVector { fixed, items });
    let (fixed, items) = (false, vec![1.0]);
    row(
        "0F 03 00 3FF0000000000000",
        &V::DoubleVector { fixed, items },
    );
    let vector = V::ObjectVector {
        fixed: false,
        class: "C".into(),
        items: vec![V::Integer(1), V::Null],
    };
    row("10 05 00 03 43 04 01 01", &vector);
    let (weak, entries) = (true, vec![(V::String("a".into()), V::Boolean(false))]);
    row("11 03 01 06 03 61 02", &V::Dictionary { weak, entries });
}

#[test]
fn every_array_and_object_of_amf3_is_exact() {
    use amf3::Value as V;
    let a1 = || vec![("a".to_owned(), V::Integer(1))];
    let array = |named, dense| V::Array { named, dense };
    row("09 01 01", &array(vec![], vec![]));
    row(
        "09 03 03 61 04 01 01 02",
        &array(a1(), vec![V::Boolean(false)]),
    );
    let object = |class: &str, sealed, dynamic| {
        let class = class.to_owned();
        V::Object(amf3::Object {
            class,
            sealed,
            dynamic,
        })
    };
    row("0A 03 01", &object("", vec![], None));
    row("0A 13 03 43 03 61 04 01", &object("C", a1(), None));
    row("0A 0B 01 03 61 04 01 01", &object("", vec![], Some(a1())));
    let both = object("C", a1(), Some(vec![("b".into(), V::Null)]));
    row("0A 1B 03 43 03 61 04 01 03 62 01 01", &both);
    let collection = V::Externalizable {
        class: "flex.messaging.io.ArrayCollection".into(),
        content: Box::new(array(vec![], vec![V::Integer(1)])),
    };
    let name = "666C65782E6D6573736167696E672E696F2E4172726179436F6C6C656374696F6E";
    row(&format!("0A 07 43 {name} 09 03 01 04 01"), &collection);
}

#[test]
fn every_complex_amf3_type_may_be_a_reference() {
    for marker in 0x07..=0x11u8 {
        let reference = amf3::Value::Reference { marker, index: 3 };
        exact3(&format!("{marker:02X} 06"), &reference);
    }
    // Strings too: keys and class names enter the table, the empty string never does.
    let bytes = hex("09 07 01  06 01  0A 13 03 43 03 78 06 00  06 02");
    let amf3::Value::Array { dense, .. } = one3(&bytes).unwrap() else {
        unreachable!("an array was written")
    };
    let Some(amf3::Value::Object(object)) = dense.get(1) else {
        unreachable!("an object was written")
    };
    assert_eq!(
        object.sealed,
        [("x".into(), amf3::Value::String("C".into()))]
    );
    assert_eq!(dense[2], amf3::Value::String("x".into()));
}

#[test]
fn an_unknown_externalizable_costs_what_follows_it() {
    let bytes = hex("02 0001 61  11 0A 07 03 43 FFFF  05");
    let (values, error) = amf0::decode_all(&bytes);
    assert_eq!(values, [Value::string("a")]);
    assert_eq!(error, Some(AmfError::Externalizable));
    assert!(!AmfError::Externalizable.is_bound());
    let mut reader = Reader::new(&bytes);
    assert_eq!(amf0::decode(&mut reader), Ok(Value::string("a")));
    assert_eq!(reader.rest(), &bytes[4..]);
}
