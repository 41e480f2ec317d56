//! A server's instructions and system calls, counted from outside: valgrind runs it, and writes each call down.
//!
//! So the server needs no counters of its own, any server can be counted, and the counts do not depend on how fast the
//! machine is: the load sends the next message only when everybody has the last.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::probe;
use super::round::{Cores, measure_running};
use super::target::{Running, Target};
use crate::clock::{self, MILLI, SECOND};
use crate::load::Plan;

/// How long it may take until a server has closed what its clients have left.
const LEAVE: u64 = 5 * SECOND;
/// After so long without a close, it has.
const SETTLED: u64 = 300 * MILLI;

/// What a run, or a delivered message, took.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) instructions: f64,
    /// By name.
    pub(super) calls: BTreeMap<String, f64>,
    /// Instructions by function.
    pub(super) functions: BTreeMap<String, f64>,
}

impl Counts {
    /// All system calls.
    pub(super) fn system_calls(&self) -> f64 {
        self.calls.values().sum()
    }

    /// What `longer` took more than this, for each of `messages`.
    pub(super) fn difference(&self, longer: &Self, messages: f64) -> Self {
        let each = |short: &BTreeMap<String, f64>, long: &BTreeMap<String, f64>| {
            let more = |(name, count): (&String, &f64)| {
                let before = short.get(name).copied().unwrap_or(0.0);
                (name.clone(), (count - before) / messages)
            };
            long.iter().map(more).collect()
        };
        Self {
            instructions: (longer.instructions - self.instructions) / messages,
            calls: each(&self.calls, &longer.calls),
            functions: each(&self.functions, &longer.functions),
        }
    }
}

/// Whether there is a valgrind.
pub(super) fn exists() -> bool {
    let mut version = Command::new("valgrind");
    version
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    version.status().is_ok()
}

/// Counts one run, writing into the directory `place`.
///
/// # Errors
/// The server, the load or valgrind failed.
pub(super) fn count(target: Target, plan: &Plan, place: &Path) -> io::Result<Counts> {
    let (log, out) = (place.join("valgrind.log"), place.join("callgrind.out"));
    let wrap = [
        "valgrind".to_owned(),
        "--tool=callgrind".to_owned(),
        "--trace-syscalls=yes".to_owned(),
        format!("--callgrind-out-file={}", out.display()),
        format!("--log-file={}", log.display()),
    ];
    let cores = Cores::with(1)?;
    let server = Running::start(target, &cores.server, &cores.all, &wrap)?;
    measure_running(&server, plan, &cores)?;
    settle(server.pid())?;
    server.end()?;
    let mut counts = Counts::default();
    for line in String::from_utf8_lossy(&fs::read(&log)?).lines() {
        read_line(line, &mut counts);
    }
    if counts.instructions == 0.0 {
        return Err(io::Error::other("valgrind wrote no total"));
    }
    counts.functions = functions(&out);
    Ok(counts)
}

/// Waits until a server has closed what its clients have left: its end is then no race with theirs, and costs the same
/// each time.
fn settle(pid: u32) -> io::Result<()> {
    let deadline = clock::now() + LEAVE;
    let (mut open, mut since) = (probe::descriptors(pid)?, clock::now());
    while clock::now() < since + SETTLED && clock::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        let now = probe::descriptors(pid)?;
        if now != open {
            (open, since) = (now, clock::now());
        }
    }
    Ok(())
}

/// `SYSCALL[7,1](1) sys_write ( …` is a call; its result may follow on a line without a name.
/// `==7== Collected : 12345` is the total.
fn read_line(line: &str, counts: &mut Counts) {
    if let Some((_, total)) = line.split_once("== Collected : ") {
        counts.instructions = total.trim().parse().unwrap_or(0.0);
    } else if line.starts_with("SYSCALL[")
        && let Some(at) = line.find(") sys_")
    {
        let name = line[at + 6..].split([' ', '(']).next().unwrap_or("");
        // Without valgrind the clock is read without a system call.
        if matches!(name, "clock_gettime" | "gettimeofday") {
            return;
        }
        *counts.calls.entry(name.to_owned()).or_default() += 1.0;
    }
}

/// Instructions of each function itself; none if there is no `callgrind_annotate`.
fn functions(out: &Path) -> BTreeMap<String, f64> {
    let mut annotate = Command::new("callgrind_annotate");
    annotate
        .args(["--threshold=100", "--auto=no"])
        .arg(out)
        .stderr(Stdio::null());
    let text = annotate
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let mut functions = BTreeMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        // 1,234,567 (12.34%)  file:function [object]
        let Some((count, rest)) = line.trim_start().split_once(" (") else {
            continue;
        };
        let count: Result<f64, _> = count.replace(',', "").parse();
        let Some((_, place)) = rest.split_once("%)") else {
            continue;
        };
        let place = place.trim().split(" [").next().unwrap_or("");
        // A function counts as one, whichever files its inlined lines come from.
        let name = place.split_once(':').map_or(place, |(_, name)| name);
        if let Ok(count) = count
            && name != "PROGRAM TOTALS"
        {
            *functions.entry(name.to_owned()).or_default() += count;
        }
    }
    functions
}
