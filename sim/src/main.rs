//! The `sim` command: replays scenarios, and hunts for seeds that break something. Only the parsing is here.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod commands;

#[global_allocator]
static ALLOCATOR: millstream_sim::memory::Allocator = millstream_sim::memory::allocator();

/// The deterministic simulator of millstream.
///
/// Exit codes: 0 as expected (replay: reproduced), 1 failed (a failure nobody expected, or another one),
/// 2 usage, 3 drifted (outcome as expected, trace another), 4 fixed (the expected failure does not come).
#[derive(Parser)]
#[command(name = "sim")]
struct Args {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    match Args::parse().command.run() {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("sim: {error}");
            ExitCode::from(commands::USAGE)
        }
    }
}
