//! What promtool would say, and the page of a few families.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `name{a="b",c="d"} 1` in its parts.
fn parts(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, rest) = match line.find(['{', ' ']) {
        Some(at) => line.split_at(at),
        None => panic!("{line}: no value"),
    };
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('{') {
        let mut inner = inner;
        loop {
            let (label, after) = inner.split_once("=\"").expect(line);
            assert!(is_name(label), "{line}: {label}");
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next().expect(line) {
                    (at, '"') => break at,
                    (_, '\\') => value.push(chars.next().expect(line).1),
                    (_, c) => value.push(c),
                }
            };
            assert!(
                labels.insert(label.to_owned(), value).is_none(),
                "{line}: twice {label}"
            );
            inner = &after[end + 1..];
            match inner.split_at(1) {
                (",", more) => inner = more,
                ("}", more) => break rest = more,
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line).parse().expect(line);
    (name.to_owned(), labels, value)
}

/// A name says what is counted in which unit, and no sample's name is another family's.
fn check_ending(family: &str, kind: &str) {
    assert_eq!(
        kind == "counter",
        family.ends_with("_total"),
        "{family} is a {kind}"
    );
    for bad in [
        "_milliseconds",
        "_ms",
        "_micros",
        "_kilobytes",
        "_bits",
        "_count",
        "_sum",
        "_bucket",
    ] {
        assert!(!family.ends_with(bad), "{family}");
    }
}

/// What `promtool check metrics` looks at: every sample belongs to the family begun last, which has a help and a type
/// and comes once; names are valid, have a unit that is a base unit, and say `_total` where they count; buckets grow, and
/// the last is the count; no sample comes twice.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub(crate) fn check_page(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with('\n'));
    let mut families = BTreeSet::new();
    let mut seen = BTreeMap::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let help = line.strip_prefix("# HELP ").expect(line);
        let (family, help) = help.split_once(' ').expect(line);
        assert!(
            is_name(family) && family.starts_with("millstream_"),
            "{family}"
        );
        assert!(help.len() > 10 && help.ends_with('.'), "{family}: {help}");
        assert!(families.insert(family.to_owned()), "{family} comes twice");
        let kind = lines
            .next()
            .and_then(|line| line.strip_prefix(&format!("# TYPE {family} ")))
            .expect(family);
        assert!(
            ["counter", "gauge", "histogram"].contains(&kind),
            "{family}: {kind}"
        );
        check_ending(family, kind);
        let (mut samples, mut last, mut infinite) = (0, (f64::MIN, 0.0), None);
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            samples += 1;
            let (name, mut labels, value) = parts(line);
            assert!(
                seen.insert(line.rsplit_once(' ').unwrap().0.to_owned(), value)
                    .is_none(),
                "{line} comes twice"
            );
            if kind != "histogram" {
                assert_eq!(name, family);
                assert!(
                    !labels.contains_key("le") && !labels.contains_key("quantile"),
                    "{line}"
                );
                continue;
            }
            match name.strip_prefix(family) {
                Some("_bucket") => {
                    let le = labels.remove("le").expect(line);
                    let le = if le == "+Inf" {
                        f64::INFINITY
                    } else {
                        le.parse().unwrap()
                    };
                    assert!(le > last.0 && value >= last.1, "{line}: buckets grow");
                    last = (le, value);
                    infinite = (le == f64::INFINITY).then_some(value);
                }
                Some("_sum") => assert!(infinite.is_some(), "{family} has no +Inf"),
                Some("_count") => assert_eq!(Some(value), infinite, "{family}"),
                _ => panic!("{line} in {family}"),
            }
        }
        assert!(samples > 0 || kind == "gauge", "{family} is empty");
    }
    seen
}

#[test]
fn a_page_is_what_prometheus_reads() {
    let sizes = Histogram::new(&[10, 100]);
    sizes.observe(10, 2);
    sizes.observe(11, 1);
    sizes.observe(5_000, 1);
    let mut of = sizes.snapshot();
    of.add(&sizes.snapshot());
    let counter = Counter::default();
    counter.add(40);
    counter.add(2);
    let mut page = Page::default();
    page.counter("millstream_a_total", "What is counted.");
    page.sample(&[("why", "a \"quoted\" \\ line\nbreak")], counter.get());
    page.gauge("millstream_b_seconds", "How long it took.");
    page.seconds(&[], 1_500_000);
    page.histogram("millstream_c_seconds", "How long they took.", 3, &of);
    let text = page.finish();
    assert_eq!(
        text,
        "# HELP millstream_a_total What is counted.\n# TYPE millstream_a_total counter\n\
         millstream_a_total{why=\"a \\\"quoted\\\" \\\\ line\\nbreak\"} 42\n\
         # HELP millstream_b_seconds How long it took.\n# TYPE millstream_b_seconds gauge\nmillstream_b_seconds 1.5\n\
         # HELP millstream_c_seconds How long they took.\n# TYPE millstream_c_seconds histogram\n\
         millstream_c_seconds_bucket{le=\"0.01\"} 4\nmillstream_c_seconds_bucket{le=\"0.1\"} 6\n\
         millstream_c_seconds_bucket{le=\"+Inf\"} 8\nmillstream_c_seconds_sum 10.062\nmillstream_c_seconds_count 8\n"
    );
    check_page(&text);
}
