//! One audience grown to a million: what a player costs in each pass, and in memory.

use std::time::Instant;

use crate::audience::Audience;

/// So many shards share this thread, since each takes a tenth of a million at most.
const SHARDS: usize = 10;
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 999_990];
/// Deliveries that are timed at each size, at least three passes.
const DELIVERIES: usize = 5_000_000;

/// Prints the table.
pub(crate) fn run() {
    println!("players   ns a player and pass   8 messages in one   KiB a player");
    let mut audience = Audience::new(SHARDS);
    audience.grow(SHARDS); // each shard has its copy of the stream now
    let (players, anon) = (audience.players(), resident());
    for size in SIZES {
        audience.grow(size);
        let grown = resident().saturating_sub(anon) as f64 / 1_024.0;
        let each = grown / (size - players) as f64;
        let (one, eight) = (median(&mut audience, 1), median(&mut audience, 8));
        println!("{size:>7}   {one:>20.1}   {eight:>17.1}   {each:>12.2}");
    }
    println!("{} bytes delivered", audience.bytes());
}

/// The median time of a pass with so many messages, ns for each player.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn median(audience: &mut Audience, messages: usize) -> f64 {
    let players = audience.players();
    let passes = (DELIVERIES / players).max(3);
    let mut times: Vec<_> = (0..passes)
        .map(|_| {
            let start = Instant::now();
            let writes = audience.pass(messages);
            let time = start.elapsed();
            assert_eq!(writes, players as u64, "a write each");
            time
        })
        .collect();
    times.sort_unstable();
    times[passes / 2].as_nanos() as f64 / players as f64
}

/// This process's anonymous memory that is resident, bytes; 0 where there is no /proc.
#[expect(clippy::disallowed_methods, reason = "a bench reads /proc")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let digits = line.and_then(|rest| rest.split_whitespace().next());
    digits.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1_024
}
