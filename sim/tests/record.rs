//! Recordings in simulated worlds: the disk works, stalls, fills up, fails, and loses its power with the machine.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Component, Path};

use millstream::media::file::{Step, Task};
use millstream::media::flv::{FlvReader, FlvRepair};
use millstream_sim::scenario::{Outcome, Scenario};
use millstream_sim::world::{self, Report};

/// A publisher of some seconds, which comes again, and `more` fields of the scenario.
fn scenario(seed: u64, more: &str) -> Scenario {
    let text = format!(
        r#"{{"format": 1, "seed": {seed}, "shards": 2, {more}, "clients": [
        {{"name": "alice", "start_ms": 400, "steps": [
            {{"connect": {{}}}}, {{"publish": {{"name": "../x", "may_be_refused": true}}}}, {{"send_media": {{"frames": 300, "decodable": true}}}}, "close", {{"wait_ms": 1500}},
            {{"connect": {{}}}}, {{"publish": {{"name": "../x", "may_be_refused": true}}}}, {{"send_media": {{"frames": 100, "decodable": true}}}}, "close"]}}]}}"#
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Runs it twice in the same way.
fn passes(seed: u64, more: &str) -> Report {
    let scenario = scenario(seed, more);
    let report = world::run(&scenario);
    assert_eq!(
        report.outcome(),
        Outcome::Pass,
        "seed {seed}: {:?}",
        report.violations
    );
    let again = world::run(&scenario);
    assert_eq!(report.trace.hash(), again.trace.hash());
    assert_eq!(report.files, again.files);
    report
}

/// How often a checker, or one of its special cases, came up.
fn came_up(report: &Report, name: &str) -> u64 {
    let mut counts = report.exercised.iter();
    counts.find(|(it, _)| *it == name).map_or(0, |(_, n)| *n)
}

fn recorded(report: &Report) -> u64 {
    came_up(report, "recordings are what was published")
}

fn finished(report: &Report) -> usize {
    let is_finished = |path: &&std::path::PathBuf| path.extension().is_some_and(|it| it != "part");
    report.files.keys().filter(is_finished).count()
}

const RECORD: &str = r#""server": {"record": {"segment_ms": 0, "segment_bytes": 0}}"#;

#[test]
fn a_stream_is_one_file_under_a_harmless_name() {
    let report = passes(1, RECORD);
    assert_eq!(
        (report.files.len(), finished(&report)),
        (3, 3),
        "the witness's, too"
    );
    for path in report.files.keys() {
        assert!(path.starts_with("/recordings"), "{path:?}");
        let names = path.components().skip(1);
        assert!(
            names
                .clone()
                .all(|name| matches!(name, Component::Normal(_))),
            "{path:?}"
        );
        assert_eq!(names.count(), 3, "{path:?}");
    }
    assert!(recorded(&report) > 380, "{}", recorded(&report));
}

#[test]
fn a_stream_is_cut_into_files_by_time_and_by_size() {
    let by_time = r#""server": {"record": {"segment_ms": 1000, "segment_bytes": 0}}"#;
    let by_size = r#""server": {"record": {"segment_ms": 0, "segment_bytes": 30000}}"#;
    for more in [by_time, by_size] {
        let report = passes(2, more);
        assert!(finished(&report) > 5, "{:?}", report.files.keys());
        assert_eq!(finished(&report), report.files.len());
        assert!(recorded(&report) > 380);
    }
}

#[test]
fn a_disk_that_stalls_and_fails_costs_nothing_it_can_do_later() {
    let disk = r#""disk": {"errors": 0.1, "short_writes": 0.1, "stalls": 0.1, "stall_ms": 1000}"#;
    let mut failed = 0;
    for seed in 0..6 {
        let report = passes(seed, &format!("{RECORD}, {disk}"));
        failed += report.disk.get("disk fails").copied().unwrap_or(0);
        assert!(
            recorded(&report) > 350,
            "seed {seed}: {}",
            recorded(&report)
        );
    }
    assert!(failed > 10, "{failed}");
}

#[test]
fn a_disk_that_was_full_goes_on_being_written() {
    let disk = r#""disk": {"full_after": 100000, "full_ms": 2000}"#;
    let report = passes(3, &format!("{RECORD}, {disk}"));
    assert!(report.disk["disk full"] > 0);
    assert!(recorded(&report) > 200, "{}", recorded(&report));
    assert!(finished(&report) >= 2, "{:?}", report.files.keys());
}

/// The tags of a file that is whole.
fn tags(path: &Path, content: &[u8]) -> usize {
    let (mut reader, mut rest, mut tags) = (FlvReader::new(), content, 0);
    while reader
        .read(&mut rest)
        .unwrap_or_else(|error| panic!("{path:?}: {error}"))
        .is_some()
    {
        tags += 1;
    }
    reader
        .finish()
        .unwrap_or_else(|error| panic!("{path:?}: {error}"));
    tags
}

#[test]
fn what_was_not_finished_is_made_whole_when_the_server_comes_again() {
    for power in [false, true] {
        let (mut whole, mut survived) = (0, 0);
        for seed in 0..8 {
            let outage = format!(
                r#"{RECORD}, "outages": [{{"at_ms": 6000, "down_ms": 500, "power": {power}}}]"#
            );
            let report = passes(seed, &outage);
            for (path, content) in &report.files {
                assert!(path.extension().is_some_and(|it| it == "flv"), "{path:?}");
                whole += 1;
                survived += tags(path, content);
            }
        }
        assert!(whole >= 16, "power {power}: {whole} files");
        // Six seconds of it had come, of which at most the last few were not safe.
        assert!(survived > 8 * 100, "power {power}: {survived} tags");
    }
}

#[test]
fn samples_are_recorded_as_messages_are() {
    const MP4: &str = r#"{"segment_ms": 900, "segment_bytes": 0, "format": "mp4"}"#;
    const BOTH: &str = r#"{"segment_ms": 0, "segment_bytes": 40000, "format": "both"}"#;
    let disk = r#""disk": {"errors": 0.1, "short_writes": 0.1, "stalls": 0.1, "stall_ms": 1000}"#;
    for (record, times) in [(MP4, 1), (BOTH, 2)] {
        let record = format!(r#""server": {{"record": {record}}}"#);
        let report = passes(1, &record);
        assert_eq!(finished(&report), report.files.len());
        assert!(finished(&report) > 5 * times, "{:?}", report.files.keys());
        assert!(
            recorded(&report) > 380 * times as u64,
            "{}",
            recorded(&report)
        );
        assert!(came_up(&report, "recordings of samples") > 5);
        let report = passes(2, &format!("{record}, {disk}"));
        assert!(
            recorded(&report) > 300 * times as u64,
            "{}",
            recorded(&report)
        );
        for power in [false, true] {
            let outage = format!(
                r#"{record}, "outages": [{{"at_ms": 3000, "down_ms": 500, "power": {power}}}]"#
            );
            let reports: Vec<_> = (0..8).map(|seed| passes(seed, &outage)).collect();
            let mended = |report: &Report| came_up(report, "recordings left by a server that died");
            let all: u64 = reports.iter().map(mended).sum();
            assert!(all >= 8, "power {power}: {all} files");
            // Two seconds of it had come, of which at most the last few were not safe.
            let all: u64 = reports.iter().map(recorded).sum();
            assert!(
                all > 8 * 100 * times as u64,
                "power {power}: {all} messages"
            );
        }
    }
}

#[test]
fn a_file_can_be_repaired_wherever_it_was_cut_off() {
    let report = passes(4, RECORD);
    let (path, content) = report.files.iter().max_by_key(|(_, it)| it.len()).unwrap();
    let whole = tags(path, content);
    for cut in (0..content.len().min(60_000)).step_by(997) {
        let content = &content[..content.len() - cut];
        let mut task = FlvRepair::new(content.len() as u64);
        let mut input = Vec::new();
        let repaired = loop {
            match task.step(&input).unwrap() {
                Step::Read { offset, len } => {
                    let rest = &content[content.len().min(offset as usize)..];
                    input = rest[..len.min(rest.len())].to_vec();
                }
                Step::Done(repaired) => break repaired,
            }
        };
        let kept = &content[..repaired.len as usize];
        assert!(tags(path, kept) <= whole);
    }
}

/// Four who publish more than may be held, on a disk that takes seconds for everything.
fn on_a_slow_disk(media_bytes: u64) -> Scenario {
    let publisher = |n: u32| {
        format!(
            r#"{{"name": "alice-{n}", "host": {n}, "start_ms": {}, "steps": [{{"connect": {{}}}}, {{"publish": {{"name": "s{n}"}}}},
            {{"send_media": {{"frames": 120, "picture_bytes": 30000, "paced": false}}}}, {{"wait_ms": 200}}, "close"]}}"#,
            300 + 400 * n
        )
    };
    let publishers: Vec<String> = (0..4).map(publisher).collect();
    let text = format!(
        r#"{{"format": 1, "seed": 5, "shards": 1, "disk": {{"stalls": 1.0, "stall_ms": 3000}},
        "server": {{"media_bytes": {media_bytes}, "record": {{"segment_ms": 0, "segment_bytes": 0}}}}, "clients": [{}]}}"#,
        publishers.join(", ")
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

#[test]
fn what_waits_for_a_slow_disk_is_bounded_with_all_that_is_kept() {
    let report = |media_bytes| {
        let report = world::run(&on_a_slow_disk(media_bytes));
        assert_eq!(report.outcome(), Outcome::Pass, "{:?}", report.violations);
        recorded(&report)
    };
    let (bounded, unbounded) = (report(800_000), report(0));
    assert!(
        unbounded > bounded && bounded > 0,
        "{bounded} of {unbounded}"
    );
}
