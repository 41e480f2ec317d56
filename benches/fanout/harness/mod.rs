//! The harness: starts servers and loads in turn, and makes tables of what came of it.

mod columns;
mod counts;
mod nginx;
mod options;
mod pairs;
mod probe;
mod round;
mod scenarios;
mod table;
mod target;
mod valgrind;

use std::io;

use crate::system;
use options::Options;

/// Runs what the command line asks for; false if a check failed.
///
/// # Errors
/// An argument makes no sense, or a server or a load failed.
pub(crate) fn run(arguments: &[String]) -> io::Result<bool> {
    let Some(options) = Options::parse(arguments)? else {
        print!("{}", options::HELP);
        return Ok(true);
    };
    system::raise_descriptors()?;
    let result = scenarios::run(&options);
    let _ = std::fs::remove_dir_all(target::scratch());
    result
}
