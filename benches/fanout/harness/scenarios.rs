//! What is measured, scenario by scenario.

use std::io;

use super::columns::{
    BUSY, CPU, CPU_IN, JOIN, JOIN_PLAY, JOIN_PLAY_99, LOST, P50, P99, SESSION_SWITCHES, SESSIONS,
    SWITCHES, WRITES,
};
use super::options::Options;
use super::round::Cores;
use super::table::{Column, Entry, Rounds};
use super::target::Target;
use super::{counts, nginx, pairs};
use crate::load::Plan;
use crate::schedule::Pace;

/// The stream of nearly all tables.
pub(super) const NOMINAL: Pace = Pace::of(4_000_000);

/// In the order of `all`.
const ALL: [&str; 12] = [
    "single",
    "streams",
    "merge",
    "shards",
    "joining",
    "sessions",
    "ingest",
    "record",
    "stalled",
    "memory",
    "neighbour",
    "abuse",
];

/// Runs the scenarios that are asked for; false if a check failed.
///
/// # Errors
/// A name is not known, or a server or a load failed.
pub(super) fn run(options: &Options) -> io::Result<bool> {
    let mut options = options.clone();
    if options.servers.contains(&Target::Nginx)
        && let Some(why) = nginx::missing()
    {
        println!("nginx-rtmp is left out: {why}");
        options.servers.retain(|&target| target != Target::Nginx);
    }
    if options.smoke {
        (options.rounds, options.seconds) = (1, 1);
        single(&options, &[4])?;
        return Ok(true);
    }
    if options.scenarios.is_empty() {
        options.rounds = options.rounds.min(3);
        options.seconds = options.seconds.min(3);
        single(&options, &[200])?;
        println!("\nA short look. Everything: cargo bench --bench fanout -- all (see -- help)");
        return Ok(true);
    }
    let mut passed = true;
    for name in &options.scenarios {
        match name.as_str() {
            "all" => ALL.iter().try_for_each(|name| one(name, &options))?,
            "counts" => passed &= counts::run(&options)?,
            name => one(name, &options)?,
        }
    }
    Ok(passed)
}

fn one(name: &str, options: &Options) -> io::Result<()> {
    match name {
        "single" => single(options, &[10, 200, 1_000, 1_500, 2_500]),
        "streams" => streams(options),
        "merge" => merge(options),
        "shards" => shards(options),
        "joining" => joining(options),
        "sessions" => sessions(options),
        "ingest" => ingest(options),
        "record" => record(options),
        "stalled" => pairs::stalled(options),
        "memory" => pairs::memory(options),
        "neighbour" => pairs::neighbour(options),
        "abuse" => pairs::abuse(options),
        _ => Err(io::Error::other(format!(
            "no scenario {name:?}; try -- help"
        ))),
    }
}

/// A plan of the usual length.
pub(super) fn plan(options: &Options, pace: Pace, players: usize) -> Plan {
    Plan {
        millis: options.seconds * 1_000,
        warm_millis: options.warm * 1_000,
        ..Plan::new(pace, players)
    }
}

/// Each server with the same plan, compared to the first.
fn beside(options: &Options, plan: &Plan) -> io::Result<Vec<Entry>> {
    let cores = Cores::with(1)?;
    let entry = |&target: &Target| Entry {
        label: target.to_string(),
        target,
        plan: plan.clone(),
        cores: cores.clone(),
        against: 0,
    };
    Ok(options.servers.iter().map(entry).collect())
}

/// Measures and prints.
///
/// # Errors
/// A server or a load failed.
pub(super) fn tell(
    options: &Options,
    entries: Vec<Entry>,
    title: &str,
    columns: &[Column],
) -> io::Result<Rounds> {
    let rounds = Rounds::measure(entries, options.rounds)?;
    rounds.print(title, columns);
    if options.json {
        rounds.print_json(title);
    }
    Ok(rounds)
}

fn single(options: &Options, players: &[usize]) -> io::Result<()> {
    for &players in options.players.as_deref().unwrap_or(players) {
        let entries = beside(options, &plan(options, NOMINAL, players))?;
        let title = format!("One stream of 4 Mbit/s to {players} players");
        let columns = [CPU, P50, P99, BUSY, WRITES, SWITCHES, LOST];
        tell(options, entries, &title, &columns)?;
    }
    Ok(())
}

fn streams(options: &Options) -> io::Result<()> {
    let plan = Plan {
        streams: 100,
        ..plan(options, NOMINAL, 200)
    };
    let entries = beside(options, &plan)?;
    let title = "100 streams of 4 Mbit/s, two players each";
    let columns = [CPU, P50, P99, BUSY, WRITES, SWITCHES, LOST];
    tell(options, entries, title, &columns).map(drop)
}

fn merge(options: &Options) -> io::Result<()> {
    let can_merge = Target::merges()?;
    if !can_merge {
        println!("this millstream does not know `merge`: only the floors are measured");
    }
    for &players in options.players.as_deref().unwrap_or(&[500]) {
        let plan = plan(options, NOMINAL, players);
        let cores = Cores::with(1)?;
        let mut entries = Vec::new();
        let mut add = |target: Target, against| {
            entries.push(Entry {
                label: target.to_string(),
                target,
                plan: plan.clone(),
                cores: cores.clone(),
                against,
            });
            entries.len() - 1
        };
        let mut twins = vec![0];
        add(Target::Floor, 0);
        for &merge in &options.merges {
            let floor = match merge {
                0 => 0,
                _ => add(Target::FloorMerge(merge), 0),
            };
            twins.resize(floor + 1, 0);
            if merge == 0 || can_merge {
                let mine = add(Target::Millstream { shards: 1, merge }, 0);
                twins.resize(mine, 0);
                twins.push(floor);
            }
        }
        let title = format!(
            "One stream to {players} players, merged; ratios to the floor that merges nothing"
        );
        let columns = [CPU, P50, P99, BUSY, WRITES, LOST];
        let mut rounds = tell(options, entries, &title, &columns)?;
        for (entry, twin) in rounds.entries.iter_mut().zip(twins) {
            entry.against = twin;
        }
        rounds.print(
            "The same; millstream's ratios to the floor that merges as long",
            &[CPU, P50, P99],
        );
    }
    Ok(())
}

fn shards(options: &Options) -> io::Result<()> {
    let cores = Cores::with(2)?;
    if !cores.is_apart() {
        println!(
            "two shards want three cores: the load shares one with the server, and latency shows it"
        );
    }
    for &players in options.players.as_deref().unwrap_or(&[500]) {
        let entry = |target: Target, cores: &Cores, players| Entry {
            label: format!("{target}, {players}"),
            target,
            plan: plan(options, NOMINAL, players),
            cores: cores.clone(),
            against: 0,
        };
        let two = Target::Millstream {
            shards: 2,
            merge: 0,
        };
        let one = Cores::with(1)?;
        let entries = vec![
            entry(Target::MILLSTREAM, &one, players),
            entry(two, &cores, players),
            entry(two, &cores, players * 2),
        ];
        let title =
            format!("One stream, one shard and two, to {players} players and twice as many");
        tell(
            options,
            entries,
            &title,
            &[CPU, P50, P99, BUSY, SWITCHES, LOST],
        )?;
    }
    Ok(())
}

fn joining(options: &Options) -> io::Result<()> {
    let plan = Plan {
        join_every_millis: 25,
        // A server without a GOP cache has them wait for the next keyframe.
        millis: options.seconds.max(6) * 1_000,
        ..plan(options, NOMINAL, 20)
    };
    let title = "A player joins in the middle, milliseconds; 20 others play";
    let columns = [JOIN, JOIN_PLAY, JOIN_PLAY_99, LOST];
    tell(options, beside(options, &plan)?, title, &columns).map(drop)
}

fn sessions(options: &Options) -> io::Result<()> {
    let plan = Plan {
        sessions: 3_000,
        ..plan(options, NOMINAL, 0)
    };
    let title = "3,000 sessions from connect to play to close, 16 at once";
    let columns = [SESSIONS, SESSION_SWITCHES];
    tell(options, beside(options, &plan)?, title, &columns).map(drop)
}

fn ingest(options: &Options) -> io::Result<()> {
    let many = Plan {
        streams: 100,
        ..plan(options, Pace::of(500_000), 0)
    };
    let title = "100 publishers of 500 kbit/s, no players";
    tell(
        options,
        beside(options, &many)?,
        title,
        &[CPU_IN, BUSY, SWITCHES],
    )?;
    let fast = Pace {
        video: 240,
        ..Pace::of(1_000_000_000)
    };
    let title = "One publisher of 1 Gbit/s, one player";
    let columns = [CPU_IN, P50, P99, BUSY, LOST];
    tell(
        options,
        beside(options, &plan(options, fast, 1))?,
        title,
        &columns,
    )
    .map(drop)
}

/// What recording adds to receiving: servers that record beside themselves that do not. In FLV alone: MP4 would leave out
/// the pictures of this stream, whose decoder configuration is made up.
fn record(options: &Options) -> io::Result<()> {
    let plan = Plan {
        streams: 10,
        ..plan(options, Pace::of(20_000_000), 0)
    };
    let cores = Cores::with(1)?;
    let recorders = options.servers.iter().flat_map(|server| match server {
        Target::Millstream { .. } => vec![*server, Target::Records],
        Target::Nginx => vec![*server, Target::NginxRecords],
        _ => Vec::new(),
    });
    let entry = |target: Target| Entry {
        label: target.to_string(),
        target,
        plan: plan.clone(),
        cores: cores.clone(),
        against: 0,
    };
    let title = "Ten publishers of 20 Mbit/s, recorded or not; no players";
    tell(
        options,
        recorders.map(entry).collect(),
        title,
        &[CPU_IN, BUSY],
    )
    .map(drop)
}
