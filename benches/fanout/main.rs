//! What delivery costs: millstream beside the cheapest program that could do the same, and beside nginx-rtmp, under the
//! same load, in one run.
//!
//! `cargo bench --bench fanout` is a short look (one stream, 200 players); `-- help` lists the scenarios, `-- all` runs
//! them. Only the ratios of one run mean anything: the machine's own pace moves by a third between runs.
//!
//! One executable plays its parts, each in its own process, pinned to its own core:
//!
//! * `floor`: a bare edge-triggered epoll loop that writes each frame to each player at once. The floor of the price.
//! * `load`: publishers and players, which spin rather than sleep: who sleeps bills the wake-up to the server.
//! * `abuse`: peers that want to hurt, in the scenario of that name.
//! * the harness: starts both, reads what the kernel charged the server, prints the table.
//!
//! CPU time is what the kernel charged the server's threads from before the publishers begin until the last player has
//! the last byte, so that whatever a server puts off is charged too.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench is outside of the server: it has the real clock, files, processes and sockets"
)]
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod abuse;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod schedule;
#[cfg(target_os = "linux")]
mod system;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let part = arguments.first().cloned().unwrap_or_default();
    let result = match part.as_str() {
        "part=floor" => floor::run(&arguments.split_off(1)).map(|()| true),
        "part=load" => load::run(&arguments.split_off(1)).map(|()| true),
        "part=abuse" => abuse::run(&arguments.split_off(1)).map(|()| true),
        _ => harness::run(&arguments),
    };
    match result {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fanout: {part}: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the fan-out bench needs Linux: epoll, /proc and processor affinity");
}
