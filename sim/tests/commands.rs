//! The `sim` program from outside: its exit codes, the canary, a sweep that is killed and goes on.
#![allow(clippy::unwrap_used, clippy::panic)]
#![expect(
    clippy::disallowed_methods,
    reason = "files and processes of the test; the server is not involved"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use millstream_sim::canary;
use millstream_sim::scenario::{Outcome, Scenario};

const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const DRIFTED: i32 = 3;
const FIXED: i32 = 4;

fn sim(args: &[&str]) -> Output {
    let sim = env!("CARGO_BIN_EXE_sim");
    Command::new(sim).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn ends(args: &[&str], code: i32) -> String {
    let output = sim(args);
    let said = said(&output);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}{complaints}");
    said
}

/// A fresh directory of this test.
fn room(name: &str) -> PathBuf {
    let room = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&room);
    fs::create_dir_all(&room).unwrap();
    room
}

fn corpus(name: &str) -> Scenario {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    Scenario::load(&corpus.join(name)).unwrap()
}

/// Writes `scenario` and replays it.
#[track_caller]
fn replays(room: &Path, scenario: &Scenario, code: i32) -> String {
    let file = room.join("scenario.json");
    fs::write(&file, scenario.to_json().unwrap()).unwrap();
    ends(&["replay", "--quiet", file.to_str().unwrap()], code)
}

#[test]
fn a_replay_says_reproduced_drifted_fixed_or_failed_each_with_its_code() {
    let room = room("replay");
    let file = room.join("accepted.json");
    let mut scenario = corpus("seeds/first-broadcast.json");
    scenario.expect.trace_hash = None;
    fs::write(&file, scenario.to_json().unwrap()).unwrap();
    let file = file.to_str().unwrap();
    ends(&["replay", "--quiet", "--accept", file], OK);
    assert!(ends(&["replay", "--quiet", file], OK).contains("reproduced"));
    scenario.expect.trace_hash = Some("0000000000000000".into());
    assert!(replays(&room, &scenario, DRIFTED).contains("DRIFTED"));
    scenario.expect.outcome = Outcome::Fail("ordered selection".into());
    assert!(replays(&room, &scenario, FIXED).contains("FIXED"));
    scenario.expect.outcome = Outcome::Pass;
    scenario.canary = true;
    assert!(replays(&room, &scenario, FAILED).contains("FAILED"));
    ends(&["replay", "no such file"], USAGE);
    ends(&["replay"], USAGE);
}

#[test]
fn the_canary_is_reported_red_by_the_right_checker() {
    let mut scenario = corpus("canary/altered-frame.json");
    assert!(scenario.canary, "it is not the canary");
    let expected = Outcome::Fail(canary::CHECKER.to_owned());
    assert_eq!(scenario.expect.outcome, expected);
    // Its outcome must be this one; its trace may drift like any.
    scenario.expect.trace_hash = None;
    let room = room("canary");
    replays(&room, &scenario, OK);
    scenario.expect.outcome = Outcome::Pass;
    replays(&room, &scenario, FAILED);
    scenario.canary = false;
    replays(&room, &scenario, OK);
}

#[test]
fn a_sweep_finds_the_canary_shrinks_it_and_tells_the_command_that_replays_it() {
    let room = room("sweep").join("made");
    let dir = room.to_str().unwrap();
    let args = [
        "sweep",
        "--canary",
        "--from",
        "98",
        "--seeds",
        "3",
        "--save",
        dir,
        "--shrink=40",
    ];
    let said = ends(&args, FAILED);
    let file = room.join("seed-99.json");
    let command = format!("  cargo sim replay {}", file.display());
    assert!(said.lines().any(|line| line == command), "{said}");
    assert!(ends(&["replay", "--quiet", file.to_str().unwrap()], OK).contains("reproduced"));
    let small = Scenario::load(&file).unwrap();
    assert_eq!(
        small.expect.outcome,
        Outcome::Fail(canary::CHECKER.to_owned())
    );
    assert_eq!(
        small.expect.version.as_deref(),
        Some(env!("CARGO_PKG_VERSION"))
    );
    let large = millstream_sim::generate::scenario(99);
    assert!(small.clients.len() < large.clients.len(), "{said}");
    ends(&["shrink", file.to_str().unwrap(), "--runs", "10"], OK);
}

#[test]
fn a_sweep_that_was_killed_goes_on_and_comes_to_the_same_sums() {
    /// Without the lines that tell how long it took.
    fn sums(said: &str) -> Vec<&str> {
        said.lines()
            .filter(|line| !line.contains("CPU s"))
            .collect()
    }
    let room = room("resume");
    let file = room.join("state.json");
    let state = file.to_str().unwrap();
    let plan = ["sweep", "--from", "90", "--seeds", "24", "--canary"];
    let resumed = [&plan[..], &["--resume", state]].concat();
    let mut first = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(&resumed)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Killed at once after the first time it wrote down how far it was.
    while !file.exists() && first.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let whole = ends(&plan, FAILED);
    let pieces = ends(&resumed, FAILED);
    assert_eq!(sums(&pieces), sums(&whole));
    // A third call has nothing left to do, and another sweep's file is refused.
    assert_eq!(sums(&ends(&resumed, FAILED)), sums(&whole));
    ends(&["sweep", "--from", "0", "--resume", state], USAGE);
}

#[test]
fn a_run_is_shown_as_text_and_as_a_page() {
    let room = room("show");
    let page = room.join("run.html");
    let text = ends(&["show", "--seed", "98", "--canary", "--width", "100"], OK);
    assert!(text.contains("VIOLATION  ordered selection"), "{text}");
    assert!(
        text.ends_with("  cargo sim run --seed 98 --canary\n"),
        "{text}"
    );
    ends(
        &[
            "show",
            "--seed",
            "98",
            "--canary",
            "--html",
            page.to_str().unwrap(),
        ],
        OK,
    );
    assert!(fs::read_to_string(page).unwrap().contains("<svg"));
}
