//! What the commands write: whole files or none, so that whoever is interrupted finds the old one.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use millstream_sim::scenario::{Outcome, Scenario};

/// Puts `text` in the place of `file`, in one step: written beside it, then renamed.
#[expect(
    clippy::disallowed_methods,
    reason = "the commands' files; the server is not involved"
)]
pub(super) fn replace(file: &Path, text: &str) -> Result<(), String> {
    let mut beside = OsString::from(file);
    beside.push(".new");
    let beside = PathBuf::from(beside);
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, file))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// Sees to it that `dir` is there: who finds out only after an hour of hunting has lost what was found.
pub(super) fn make_dir(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))
}

/// The text of `file`; none if there is no such file.
#[expect(
    clippy::disallowed_methods,
    reason = "the commands' files; the server is not involved"
)]
pub(super) fn read(file: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// Writes a scenario; one that fails also says in which version it did.
pub(super) fn write_scenario(file: &Path, mut scenario: Scenario) -> Result<(), String> {
    let fails = scenario.expect.outcome != Outcome::Pass;
    scenario.expect.version = fails.then(|| env!("CARGO_PKG_VERSION").to_owned());
    scenario.expect.git = if fails { revision() } else { None };
    replace(file, &scenario.to_json()?)
}

/// The revision of the tree that the command is run in, if it is one and git is there.
pub(super) fn revision() -> Option<String> {
    let described = Command::new("git")
        .args([
            "describe",
            "--always",
            "--dirty",
            "--exclude=*",
            "--abbrev=12",
        ])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(described.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// A hash of this program: sums of two builds are not added up.
#[expect(
    clippy::disallowed_methods,
    reason = "the commands' files; the server is not involved"
)]
pub(super) fn program() -> Result<String, String> {
    let bytes = std::env::current_exe().and_then(fs::read);
    let bytes = bytes.map_err(|error| format!("cannot read this program: {error}"))?;
    Ok(format!("{:016x}", millstream_sim::seed::fnv(&bytes)))
}

/// The scenarios in a directory, by name.
#[expect(
    clippy::disallowed_methods,
    reason = "the commands' files; the server is not involved"
)]
pub(super) fn scenarios(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = fs::read_dir(dir).and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<PathBuf>, _>>()
    });
    let mut files = listed.map_err(|error| format!("{}: {error}", dir.display()))?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "json")
    });
    files.sort();
    Ok(files)
}
