//! What is measured, scenario by scenario.

use std::io;

use super::nginx;
use super::options::Options;
use super::round::{Cores, Measured, measure};
use super::table::{Column, Rounds};
use super::target::Target;
use crate::load::Plan;
use crate::schedule::Pace;

/// The stream of all tables.
const NOMINAL: Pace = Pace::of(4_000_000);

const CPU: Column = Column {
    head: "CPU s/GB",
    value: |m| m.used.cpu as f64 / m.report.bytes as f64,
    ratio: true,
};
const P50: Column = Column {
    head: "p50 ms",
    value: |m| m.report.latency.p50 as f64 / 1e6,
    ratio: true,
};
const P99: Column = Column {
    head: "p99 ms",
    value: |m| m.report.latency.p99 as f64 / 1e6,
    ratio: true,
};
const BUSY: Column = Column {
    head: "busy %",
    value: |m| 100.0 * m.used.cpu as f64 / m.report.nanos as f64,
    ratio: false,
};
const WRITES: Column = Column {
    head: "writes/msg",
    value: |m| m.used.writes as f64 / m.report.messages as f64,
    ratio: false,
};
const SWITCHES: Column = Column {
    head: "switch/pub",
    value: |m| m.used.switches as f64 / m.report.published as f64,
    ratio: false,
};
const LOST: Column = Column {
    head: "lost",
    value: |m| (m.report.lost_players + m.report.lost_samples) as f64,
    ratio: false,
};

/// Runs the scenarios that are asked for; false if a check failed.
///
/// # Errors
/// A name is not known, or a server or a load failed.
pub(super) fn run(options: &Options) -> io::Result<bool> {
    if options.smoke {
        let options = Options {
            rounds: 1,
            seconds: 1,
            players: Some(vec![4]),
            ..options.clone()
        };
        single(&options, &[4])?;
        return Ok(true);
    }
    if options.scenarios.is_empty() {
        let rounds = options.rounds.min(3);
        let options = Options {
            rounds,
            seconds: options.seconds.min(3),
            ..options.clone()
        };
        single(&options, &[200])?;
        println!("\nA short look. All scenarios: cargo bench --bench fanout -- all (see -- help)");
        return Ok(true);
    }
    for name in &options.scenarios {
        match name.as_str() {
            "single" => single(options, &[10, 200, 1_000, 1_500, 2_500])?,
            _ => {
                return Err(io::Error::other(format!(
                    "no scenario {name:?}; try -- help"
                )));
            }
        }
    }
    Ok(true)
}

fn single(options: &Options, players: &[usize]) -> io::Result<()> {
    for &players in options.players.as_deref().unwrap_or(players) {
        let plan = Plan {
            millis: options.seconds * 1_000,
            ..Plan::new(NOMINAL, players)
        };
        let rounds = rounds(options, &options.servers, &plan, &Cores::with(1)?)?;
        let title = format!("One stream of 4 Mbit/s to {players} players");
        rounds.print(&title, &[CPU, P50, P99, BUSY, WRITES, SWITCHES, LOST]);
    }
    Ok(())
}

/// Measures each target in each round. Who comes first moves on from round to round.
pub(super) fn rounds(
    options: &Options,
    targets: &[Target],
    plan: &Plan,
    cores: &Cores,
) -> io::Result<Rounds> {
    let mut targets = targets.to_vec();
    if targets.contains(&Target::Nginx)
        && let Some(why) = nginx::missing()
    {
        println!("nginx-rtmp is left out: {why}");
        targets.retain(|&target| target != Target::Nginx);
    }
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let mut measured: Vec<Option<Measured>> = vec![None; targets.len()];
        for turn in 0..targets.len() {
            let index = (round + turn) % targets.len();
            let result = measure(targets[index], plan, cores)
                .map_err(|error| io::Error::other(format!("{}: {error}", targets[index])))?;
            measured[index] = Some(result);
        }
        rounds.push(measured.into_iter().flatten().collect());
    }
    Ok(Rounds { targets, rounds })
}
