//! Counts calls for the real clock and for real chance on a thread while it is armed.
//!
//! A program that links this crate gets its `clock_gettime` and `getrandom` in the place of the C library's. They do
//! the same by a system call, and count. std's `Instant`, `SystemTime` and hash keys go through them, and so does every
//! crate that asks the C library; who makes the system call itself, or reads the processor's counter, is not seen.
//!
//! std draws the keys of hash maps once a thread: a map made by a task is seen only if it is its thread's first. That
//! no task makes one is for the fences of the source (`.clippy.toml`, `tests/walls.rs`).
//!
//! Only tests link it: every call becomes a real system call.
#![cfg(target_os = "linux")]

use core::cell::Cell;
use core::ffi::{c_int, c_uint, c_void};

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static COUNTS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Arms or disarms this thread.
pub fn arm(armed: bool) {
    ARMED.set(armed);
}

/// Calls on this thread while it was armed since the last `take`: for clocks, and for chance.
pub fn take() -> (u64, u64) {
    COUNTS.replace((0, 0))
}

/// Asks the C library for chance, as a crate would: what the tripwire is there to catch.
pub fn ask_for_chance() -> u8 {
    let mut byte = 0_u8;
    // SAFETY: the one byte is ours and may be written.
    unsafe { libc::getrandom((&raw mut byte).cast(), 1, 0) };
    byte
}

/// A thread that is ending has no counters any more; nothing of ours runs there.
fn count(clocks: u64, chance: u64) {
    if ARMED.try_with(Cell::get).unwrap_or(false) {
        let _ = COUNTS.try_with(|counts| {
            let (c, r) = counts.get();
            counts.set((c + clocks, r + chance));
        });
    }
}

/// The C library's `clock_gettime`.
///
/// # Safety
/// As there: `time` points to a `timespec` that may be written.
// SAFETY: the name and the signature are the C library's, so that whoever links to it gets what it expects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    count(1, 0);
    // SAFETY: the arguments are those of the caller, who keeps the contract of the system call.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int }
}

/// The C library's `getrandom`.
///
/// # Safety
/// As there: `length` bytes at `buffer` may be written.
// SAFETY: the name and the signature are the C library's, so that whoever links to it gets what it expects.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    count(0, 1);
    // SAFETY: the arguments are those of the caller, who keeps the contract of the system call.
    unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as isize }
}
