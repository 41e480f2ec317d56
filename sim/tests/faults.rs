//! Every kind of the menu of faults really happens: in small sweeps, or in a scenario made for it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use millstream_sim::faults::MENU;
use millstream_sim::generate;
use millstream_sim::scenario::{Outcome, Scenario};
use millstream_sim::world::{self, Report};

/// A publisher and a viewer that come again when they lose their connection, and `more` fields of the scenario.
fn scenario(more: &str) -> Scenario {
    let text = format!(
        r#"{{"format": 1, "seed": 4, "shards": 3, {more}, "clients": [
        {{"name": "alice", "start_ms": 30, "steps": [
            {{"connect": {{}}}}, {{"publish": {{"name": "x", "may_be_refused": true}}}}, {{"send_media": {{"frames": 60}}}}, "close", {{"wait_ms": 700}},
            {{"connect": {{}}}}, {{"publish": {{"name": "x", "may_be_refused": true}}}}, {{"send_media": {{"frames": 40}}}}, "close"]}},
        {{"name": "bob", "start_ms": 40, "steps": [
            {{"connect": {{}}}}, {{"play": {{"name": "x"}}}}, {{"wait_ms": 2500}}, "close", {{"wait_ms": 800}},
            {{"connect": {{}}}}, {{"play": {{"name": "x"}}}}, {{"wait_ms": 500}}, "close"]}}]}}"#
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Runs it; the server must do well all the same, twice in the same way.
fn passes(more: &str) -> Report {
    let scenario = scenario(more);
    let report = world::run(&scenario);
    assert_eq!(report.outcome(), Outcome::Pass, "{:?}", report.violations);
    let again = world::run(&scenario);
    assert_eq!(report.trace.hash(), again.trace.hash());
    report
}

fn fired(more: &str, kinds: &[&str]) {
    let report = passes(more);
    for kind in kinds {
        assert!(
            report.faults.contains_key(kind),
            "{kind}: {:?}",
            report.faults
        );
    }
}

#[test]
fn a_server_that_is_killed_comes_again_and_serves() {
    fired(
        r#""outages": [{"at_ms": 700, "down_ms": 300}]"#,
        &["crash", "bounce", "reconnect"],
    );
}

#[test]
fn a_server_without_power_tells_nobody_and_comes_again() {
    fired(
        r#""outages": [{"at_ms": 700, "down_ms": 300, "power": true}]"#,
        &["power loss", "bounce"],
    );
}

#[test]
fn a_server_that_is_gone_when_all_have_left_is_there_for_the_witnesses() {
    fired(
        r#""outages": [{"at_ms": 700, "down_ms": 500000, "power": false}]"#,
        &["crash", "bounce"],
    );
}

#[test]
fn the_server_gets_rid_of_clients_that_vanished() {
    let event = |change: &str| {
        format!(r#""network": {{"events": [{{"at_ms": 700, "host": 0, "change": "{change}"}}]}}"#)
    };
    fired(&event("vanish"), &["zombie peer", "kernel gave up"]);
    fired(&event("cut_up"), &["one-way cut, upstream"]);
    fired(&event("cut_down"), &["one-way cut, downstream"]);
}

#[test]
fn a_vanished_player_of_nothing_is_found_by_a_ping() {
    // Nothing is published: only a ping can tell that it is gone.
    let text = r#"{"format": 1, "seed": 1, "network": {"events": [{"at_ms": 500, "host": 0, "change": "vanish"}]},
        "clients": [{"name": "bob", "steps": [{"connect": {}}, {"play": {"name": "x"}}, {"wait_ms": 1000}]}]}"#;
    let report = world::run(&serde_json::from_str(text).unwrap());
    assert_eq!(report.outcome(), Outcome::Pass, "{:?}", report.violations);
    assert_eq!(report.faults.get("kernel gave up"), Some(&1));
}

#[test]
fn links_flap_and_change() {
    fired(
        r#""network": {"curve": 1.0, "latency_ms": [0, 80], "events": [
        {"at_ms": 300, "host": 0, "change": "hold"}, {"at_ms": 400, "host": 0, "change": "release"},
        {"at_ms": 450, "host": 0, "change": "hold"}, {"at_ms": 600, "host": 0, "change": "release"},
        {"at_ms": 700, "host": 0, "change": {"latency": 50}}]}"#,
        &[
            "link held",
            "link flaps",
            "latency changed",
            "latency curve",
        ],
    );
}

#[test]
fn clients_end_in_mid_chunk() {
    fired(
        r#""faults": {"fins": 1.0, "fin_within": 60000}"#,
        &["FIN at byte N"],
    );
    fired(
        r#""faults": {"half_closes": 1.0, "fin_within": 60000}"#,
        &["half-close at byte N"],
    );
}

#[test]
fn accepting_recovers_from_errors() {
    fired(r#""faults": {"accept_errors": 0.8}"#, &["accept error"]);
}

#[test]
fn clocks_may_differ_and_mail_be_late() {
    fired(
        r#""clocks": {"skew_ms": 500, "drift_ppm": 10000, "jumps": [
        {"at_ms": 300, "by_ms": 3600000}, {"at_ms": 900, "by_ms": -7200000}]},
        "mail": {"late": 0.3, "late_ms": 100}, "buggify": 1.0, "order": "uniform""#,
        &[
            "skewed clock",
            "wall clock forward",
            "wall clock back",
            "mail late",
            "buggify late mail",
        ],
    );
}

#[test]
fn the_rest_of_the_menu_fires_in_a_small_sweep() {
    // These have scenarios of their own above, for they are rare.
    let rare = [
        "crash",
        "power loss",
        "bounce",
        "zombie peer",
        "kernel gave up",
        "one-way cut, upstream",
        "one-way cut, downstream",
        "link flaps",
        "task panic",
        "reset",
        "FIN at byte N",
        "half-close at byte N",
        // And these happen to recordings alone, in a longer sweep.
        "disk full",
        "disk operation given up",
        "disk write short",
        "name undone",
        "write lost",
        "write torn",
        "writes reordered",
    ];
    let mut missing: BTreeSet<&str> = MENU.iter().map(|(kind, _)| *kind).collect();
    missing.retain(|kind| !rare.contains(kind));
    for seed in 0..60 {
        if missing.is_empty() {
            return;
        }
        let report = world::run(&generate::scenario(seed));
        assert_eq!(
            report.outcome(),
            Outcome::Pass,
            "seed {seed}: {:?}",
            report.violations
        );
        missing.retain(|kind| !report.faults.contains_key(kind));
    }
    assert!(missing.is_empty(), "never happened: {missing:?}");
}
