//! The load: publishers and players of one server, in one thread that never sleeps while it counts.
//!
//! It is told what to do by a [`Plan`] (its only argument, JSON), and when by lines on its standard input; what it saw
//! goes to standard output, one JSON object a line: `ready`, then (behind `go`) perhaps `resumed`, and the [`Report`].

mod client;
mod crowd;
mod guest;
mod paced;
mod plan;
mod publisher;
mod report;
mod sample;
mod steps;

use std::io::{self, BufRead};

use crate::system;
use crowd::Crowd;
pub(crate) use plan::{Neighbour, Plan};
pub(crate) use report::Report;

/// Does what the plan says.
///
/// # Errors
/// The server refuses, or takes longer than the plan allows; or the system does.
pub(crate) fn run(arguments: &[String]) -> io::Result<()> {
    system::die_with_parent()?;
    system::raise_descriptors()?;
    let plan = arguments.first().map(|text| serde_json::from_str(text));
    let plan: Plan = plan.ok_or(io::ErrorKind::InvalidInput)??;
    let mut crowd = Crowd::new(plan)?;
    crowd.gather()?;
    crowd.warm_up()?;
    say("ready", &serde_json::Value::Null)?;
    await_line("go")?;
    let report = crowd.perform()?;
    say("report", &serde_json::to_value(report)?)?;
    // Until then everything stays connected, so that the server can be looked at.
    await_line("quit")
}

fn say(what: &str, value: &serde_json::Value) -> io::Result<()> {
    use io::Write as _;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{}",
        serde_json::json!({ "what": what, "value": value })
    )?;
    out.flush()
}

fn await_line(wanted: &str) -> io::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if line.trim() == wanted {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "expected {wanted:?}, got {line:?}"
    )))
}
