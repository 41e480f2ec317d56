//! What the tests with the real binary share: programs that are waited for with a bound and killed when
//! dropped, and a server on a port of its own.

#![allow(dead_code, reason = "each test crate uses its part")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take from its start to its banner, on a busy machine.
const START: Duration = Duration::from_secs(20);
/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(10);

/// A directory of this test's own, below the target directory; not removed, so that a failure can be read.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{name}-{}-{number}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// Looks until `found` gives something.
pub(crate) fn wait_for<T>(what: &str, within: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(it) = found() {
            return it;
        }
        assert!(
            begin.elapsed() < within,
            "{what} took longer than {within:?}"
        );
        thread::sleep(LOOK);
    }
}

/// A program that runs beside the test, its output in files.
pub(crate) struct Program {
    name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

/// What a program left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        Self::start_with(name, command, Stdio::null())
    }

    /// With something on its standard input.
    pub(crate) fn start_with(name: &str, command: &mut Command, input: Stdio) -> Self {
        let dir = scratch(name);
        let (out, err) = (dir.join("stdout"), dir.join("stderr"));
        let child = command
            .stdin(input)
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let name = name.to_owned();
        Self {
            name,
            child,
            out,
            err,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap()).into_owned()
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends `TERM`, `INT`, …; several at once reach it in this order.
    pub(crate) fn signal(&self, signals: &[&str]) {
        let kills: Vec<_> = signals
            .iter()
            .map(|signal| format!("kill -{signal} {}", self.id()))
            .collect();
        let shell = Command::new("sh")
            .args(["-c", &kills.join(" && ")])
            .status();
        assert!(shell.unwrap().success(), "{} is gone already", self.name);
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(mut self, within: Duration) -> Ended {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let (out, err) = (self.out(), self.err());
                return Ended { status, out, err };
            }
            if begin.elapsed() > within {
                panic!(
                    "{} has not ended within {within:?}; it said:\n{}{}",
                    self.name,
                    end_of(&self.out()),
                    end_of(&self.err())
                );
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until it ends by itself, content and without a word of complaint.
    pub(crate) fn succeeds(self, within: Duration) -> String {
        let name = self.name.clone();
        let ended = self.ended(within);
        assert!(
            ended.status.success() && ended.err.trim().is_empty(),
            "{name}: {}\n{}{}",
            ended.status,
            end_of(&ended.out),
            end_of(&ended.err)
        );
        ended.out
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended meanwhile; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As much of a program's words as helps to read why it failed.
fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// The binary under test, without the environment's settings.
pub(crate) fn millstream(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    forget_settings(&mut command);
    command.args(arguments);
    command
}

/// The binary under test, which the shell `script` starts with `exec "$0" "$@"`.
pub(crate) fn through_shell(script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    forget_settings(&mut command);
    command.args(["-c", script, BINARY]).args(arguments);
    command
}

const BINARY: &str = env!("CARGO_BIN_EXE_millstream");

fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let manager = ["LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET"];
        if text.starts_with("MILLSTREAM_") || manager.contains(&&*text) {
            command.env_remove(name);
        }
    }
}

/// A running server on a port of its own.
pub(crate) struct Server {
    pub(crate) program: Program,
    /// `127.0.0.1:port`
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = millstream(&["--listen", "127.0.0.1:0"]);
        command.args(arguments);
        Self::launch(&mut command)
    }

    pub(crate) fn launch(command: &mut Command) -> Self {
        Self::launch_with(command, Stdio::null())
    }

    /// With something on its standard input.
    pub(crate) fn launch_with(command: &mut Command, input: Stdio) -> Self {
        let mut program = Program::start_with("millstream", command, input);
        let address = wait_for("the banner", START, || {
            assert!(program.runs(), "the server ended: {}", program.err());
            let out = program.out();
            // The last line of the banner stands, so the first ones are whole.
            out.contains("Ctrl-C").then_some(())?;
            let line = out
                .lines()
                .find_map(|line| line.trim().strip_prefix("listens on"))?;
            Some(line.trim().to_owned())
        });
        Self { program, address }
    }

    /// The URL of a stream.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.address)
    }
}
