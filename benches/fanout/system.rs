//! What the parts ask of the system: cores, descriptors, an end with the parent.

use std::io;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Raises the number of descriptors to what is allowed at most, and returns it.
///
/// # Errors
/// The system refuses.
pub(crate) fn raise_descriptors() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let highest = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, highest)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// A part dies with the harness, however that ends.
///
/// # Errors
/// The system refuses.
pub(crate) fn die_with_parent() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(())
}

/// The cores this thread may run on, in order.
///
/// # Errors
/// The system refuses.
pub(crate) fn cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

/// Runs `start` while this thread, and so what it spawns, is bound to `to`; binds it to `all` again.
///
/// # Errors
/// The system refuses, or `start` fails.
pub(crate) fn bound<T>(
    to: &[usize],
    all: &[usize],
    start: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    sched_setaffinity(None, &set(to))?;
    let result = start();
    sched_setaffinity(None, &set(all))?;
    result
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    set
}
