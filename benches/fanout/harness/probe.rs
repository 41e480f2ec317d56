//! What the kernel says a process has used.

use std::fs;
use std::io;

/// What a process has used so far, all threads that live.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Time on a processor, nanoseconds, system calls included.
    pub(super) cpu: u64,
    /// `write`, `writev` and their like. Not `send`.
    pub(super) writes: u64,
    /// Context switches, wanted or not.
    pub(super) switches: u64,
    /// Resident memory, KiB.
    pub(super) rss: u64,
    /// The kernel's memory for all TCP sockets of the machine, KiB.
    pub(super) tcp: u64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// The process is gone.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let mut usage = Self {
            rss: field(&format!("/proc/{pid}/status"), "VmRSS:")?,
            writes: field(&format!("/proc/{pid}/io"), "syscw:").unwrap_or(0),
            tcp: tcp_memory(),
            ..Self::default()
        };
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let task = task?.path();
            let times = fs::read_to_string(task.join("schedstat"))?;
            usage.cpu += word(&times, 0);
            let status = task.join("status");
            let status = status.to_string_lossy();
            usage.switches += field(&status, "voluntary_ctxt_switches:")?;
            usage.switches += field(&status, "nonvoluntary_ctxt_switches:")?;
        }
        Ok(usage)
    }

    /// What was used since `before`; memory may have shrunk, which counts as none.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            writes: self.writes.saturating_sub(before.writes),
            switches: self.switches.saturating_sub(before.switches),
            rss: self.rss.saturating_sub(before.rss),
            tcp: self.tcp.saturating_sub(before.tcp),
        }
    }
}

/// Open descriptors of a process.
///
/// # Errors
/// The process is gone.
pub(super) fn descriptors(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The first number behind `name` in a file of lines.
fn field(path: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(word(line.unwrap_or(""), 0))
}

fn word(text: &str, at: usize) -> u64 {
    let word = text.split_whitespace().nth(at);
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn tcp_memory() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("TCP:"));
    let mut words = line.unwrap_or("").split_whitespace();
    let pages = words.find(|&word| word == "mem").and_then(|_| words.next());
    let pages: u64 = pages.and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64 / 1_024
}
