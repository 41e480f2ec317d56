//! Scenarios in which each server is compared to itself without the trouble.

use std::io;

use super::columns::{BUSY, CUT_OFF, LOST, MAX, P50, P99, RSS, RSS_READY, STALL_RSS, STALL_TCP};
use super::options::Options;
use super::round::Cores;
use super::scenarios::{NOMINAL, plan, tell};
use super::table::Entry;
use crate::abuse::Abuse;
use crate::load::{Neighbour, Plan};
use crate::schedule::Pace;

/// Each server with one plan and with the other, the second compared to the first.
fn pairs(options: &Options, plans: [(&str, &Plan); 2]) -> io::Result<Vec<Entry>> {
    let cores = Cores::with(1)?;
    let mut entries = Vec::new();
    for &target in &options.servers {
        let against = entries.len();
        entries.extend(plans.map(|(what, plan)| Entry {
            label: format!("{target}, {what}"),
            target,
            plan: plan.clone(),
            cores: cores.clone(),
            against,
        }));
    }
    Ok(entries)
}

/// Players that do not read: what they cost the server, and the others.
///
/// # Errors
/// A server or a load failed.
pub(super) fn stalled(options: &Options) -> io::Result<()> {
    let stall = options.stall;
    let usual = Plan {
        millis: (stall + 5) * 1_000,
        stall_millis: stall * 1_000,
        ..Plan::new(NOMINAL, 50)
    };
    let trouble = Plan {
        stalled: 20,
        ..usual.clone()
    };
    let entries = pairs(options, [("all read", &usual), ("20 stall", &trouble)])?;
    let title = format!(
        "20 of 50 players do not read for {stall} s; ratios to the same server without them"
    );
    let columns = [P50, P99, MAX, STALL_RSS, STALL_TCP, CUT_OFF, LOST];
    tell(options, entries, &title, &columns).map(drop)
}

/// Memory of one more player.
///
/// # Errors
/// A server or a load failed.
pub(super) fn memory(options: &Options) -> io::Result<()> {
    const FEW: usize = 100;
    const MANY: usize = 1_100;
    let (few, many) = (plan(options, NOMINAL, FEW), plan(options, NOMINAL, MANY));
    let entries = pairs(options, [("100", &few), ("1,100", &many)])?;
    let title = "Memory with 100 players and with 1,100, KiB";
    let rounds = tell(options, entries, title, &[RSS_READY, RSS, LOST])?;
    for (index, target) in options.servers.iter().enumerate() {
        let slope = |column| {
            let at = |entry| rounds.value(entry, column).median;
            (at(index * 2 + 1) - at(index * 2)) / (MANY - FEW) as f64
        };
        let (connected, playing) = (slope(RSS_READY), slope(RSS));
        println!(
            "  {target}: {connected:.2} KiB for one more player who waits, {playing:.2} who plays"
        );
    }
    Ok(())
}

/// What a stream with very many players does to another on its shard.
///
/// # Errors
/// A server or a load failed.
pub(super) fn neighbour(options: &Options) -> io::Result<()> {
    let alone = plan(options, NOMINAL, 16);
    let crowded = Plan {
        neighbour: Some(Neighbour {
            players: 10_000,
            pace: Pace {
                bits: 0,
                video: 5,
                audio: 5,
            },
        }),
        ..alone.clone()
    };
    let entries = pairs(options, [("alone", &alone), ("crowded", &crowded)])?;
    let title = "16 players beside a stream that sends 10 messages a second to 10,000; ratios to the same without it";
    tell(options, entries, title, &[P50, P99, MAX, BUSY, LOST]).map(drop)
}

/// What peers that want to hurt do to 100 players, with the limits as they are unless somebody sets them.
///
/// # Errors
/// A server or a load failed.
pub(super) fn abuse(options: &Options) -> io::Result<()> {
    let healthy = plan(options, NOMINAL, 100);
    let cores = Cores::with(1)?;
    let mut entries = Vec::new();
    for &target in &options.servers {
        let against = entries.len();
        let kinds = Abuse::ALL.map(|(abuse, name)| (Some(abuse), name));
        for (abuse, name) in [(None, "in peace")].into_iter().chain(kinds) {
            let plan = Plan {
                abuse,
                ..healthy.clone()
            };
            entries.push(Entry {
                label: format!("{target}, {name}"),
                target,
                plan,
                cores: cores.clone(),
                against,
            });
        }
    }
    let title = "100 players while others want to hurt; ratios to the same server in peace";
    tell(options, entries, title, &[P50, P99, MAX, BUSY, LOST]).map(drop)
}
