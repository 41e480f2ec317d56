//! One audience grown to a million: what a player costs in each pass, and in memory. Linux tells.

use crate::audience::Audience;

/// So many shards share this thread, since each takes a tenth of a million at most.
const SHARDS: usize = 10;
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 999_990];
/// Deliveries that are timed at each size, at least five passes.
const DELIVERIES: usize = 10_000_000;

/// Prints the table.
pub(crate) fn run() {
    println!(" players   ns a player and pass   8 messages in one   KiB a player");
    let mut audience = Audience::new(SHARDS);
    audience.grow(SHARDS); // each shard has its copy of the stream now
    let (players, anon) = (audience.players(), resident());
    for size in SIZES {
        audience.grow(size);
        let grown = resident().saturating_sub(anon) as f64 / 1_024.0;
        let each = grown / (size - players) as f64;
        let (one, eight) = (mean(&mut audience, 1), mean(&mut audience, 8));
        println!("{size:>8}   {one:>20.1}   {eight:>17.1}   {each:>12.2}");
    }
    println!("{} bytes delivered", audience.bytes());
}

/// The mean CPU time of a pass with so many messages, ns for each player: Linux charges by the tick, some milliseconds.
fn mean(audience: &mut Audience, messages: usize) -> f64 {
    let players = audience.players();
    let passes = (DELIVERIES / players).max(5);
    let start = cpu_time();
    for _ in 0..passes {
        let writes = audience.pass(messages);
        assert_eq!(writes, players as u64, "a write each");
    }
    (cpu_time() - start) as f64 / (passes * players) as f64
}

/// What this thread has had of a CPU, ns.
fn cpu_time() -> u64 {
    first_number(&read("/proc/thread-self/schedstat"))
}

/// This process's anonymous memory that is resident, bytes.
fn resident() -> u64 {
    let status = read("/proc/self/status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.map_or(0, first_number) * 1_024
}

fn first_number(text: &str) -> u64 {
    let digits = text.split_whitespace().next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A file of /proc; nothing where there is none, and the table shows zeros.
#[expect(clippy::disallowed_methods, reason = "a bench reads /proc")]
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
