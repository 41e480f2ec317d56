//! The servers that are measured: how each is started and ended.

use std::fmt;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::nginx;
use crate::clock::{self, SECOND};
use crate::system;

/// How long a server may take to listen. Under valgrind it is fifty times as slow.
const START: u64 = 30 * SECOND;
/// How long it may take to end.
const END: u64 = 15 * SECOND;

/// A server that can be measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// The floor, each frame at once.
    Floor,
    /// The floor, what one read brought in one write.
    FloorBacklog,
    /// The floor, merging so many milliseconds.
    FloorMerge(u64),
    /// The binary of this package with so many shards, merging so many milliseconds.
    Millstream { shards: usize, merge: u64 },
    /// The same on smol.
    Smol,
    /// nginx with its RTMP module.
    Nginx,
    /// One shard that records all, in FLV.
    Records,
    /// nginx that records all.
    NginxRecords,
}

impl Target {
    /// One shard that merges nothing.
    pub(super) const MILLSTREAM: Self = Self::Millstream {
        shards: 1,
        merge: 0,
    };

    /// By the name of its kind.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "floor" => Self::Floor,
            "backlog" => Self::FloorBacklog,
            "millstream" => Self::MILLSTREAM,
            "smol" => Self::Smol,
            "nginx" => Self::Nginx,
            _ => return None,
        })
    }

    /// Whether this millstream has the setting `merge`.
    ///
    /// # Errors
    /// It does not start at all.
    pub(super) fn merges() -> io::Result<bool> {
        let help = Command::new(env!("CARGO_BIN_EXE_millstream"))
            .arg("--help")
            .output()?;
        Ok(String::from_utf8_lossy(&help.stdout).contains("--merge"))
    }

    fn command(self, port: u16) -> io::Result<Command> {
        let floor = |mode: String| -> io::Result<Command> {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["part=floor", &format!("port={port}"), &mode]);
            Ok(command)
        };
        match self {
            Self::Floor => floor("mode=each".to_owned()),
            Self::FloorBacklog => floor("mode=backlog".to_owned()),
            Self::FloorMerge(millis) => floor(format!("merge={millis}")),
            Self::Millstream { shards, merge } => Ok(millstream(port, shards, merge, "shard")),
            Self::Smol => Ok(millstream(port, 1, 0, "smol")),
            Self::Nginx => nginx::command(port, &scratch(), None),
            Self::Records => {
                let mut command = millstream(port, 1, 0, "shard");
                command.arg("--record").arg(recordings()?);
                Ok(command)
            }
            Self::NginxRecords => nginx::command(port, &scratch(), Some(&recordings()?)),
        }
    }
}

/// What harnesses of this process write, removed at its end.
pub(super) fn scratch() -> PathBuf {
    std::env::temp_dir().join(format!("millstream-fanout-{}", std::process::id()))
}

/// An empty place for recordings: those of the last round go.
fn recordings() -> io::Result<PathBuf> {
    let place = scratch().join("recordings");
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place)?;
    Ok(place)
}

fn millstream(port: u16, shards: usize, merge: u64, runtime: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.arg("--listen").arg(format!("127.0.0.1:{port}"));
    command.arg("--shards").arg(shards.to_string());
    command.args(["--runtime", runtime, "--log", "warn"]);
    if merge > 0 {
        command.env("MILLSTREAM_MERGE", format!("{merge}ms"));
    }
    command
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Floor => f.pad("floor"),
            Self::FloorBacklog => f.pad("floor, backlog"),
            Self::FloorMerge(millis) => f.pad(&format!("floor, {millis} ms")),
            Self::Millstream {
                shards: 1,
                merge: 0,
            } => f.pad("millstream"),
            Self::Millstream { shards: 1, merge } => f.pad(&format!("millstream, {merge} ms")),
            Self::Millstream { shards, .. } => f.pad(&format!("millstream, {shards} shards")),
            Self::Smol => f.pad("millstream on smol"),
            Self::Nginx => f.pad("nginx-rtmp"),
            Self::Records => f.pad("millstream, records"),
            Self::NginxRecords => f.pad("nginx-rtmp, records"),
        }
    }
}

/// A server that runs. Dropping it ends it.
pub(super) struct Running {
    child: Child,
    pub(super) port: u16,
}

impl Running {
    /// Starts `target` bound to `cores` (this thread is bound to `all` again), and waits until it listens. `wrap` are
    /// words before its command.
    ///
    /// # Errors
    /// It does not start, or not in time.
    pub(super) fn start(
        target: Target,
        cores: &[usize],
        all: &[usize],
        wrap: &[String],
    ) -> io::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = wrapped(target.command(port)?, wrap);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = system::bound(cores, all, || command.spawn())?;
        let mut running = Self { child, port };
        let deadline = clock::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = running.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "{target} ended at once: {status}"
                )));
            }
            if clock::now() > deadline {
                return Err(io::Error::other(format!("{target} does not listen")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn end(mut self) -> io::Result<()> {
        let pid = Pid::from_raw(self.child.id() as i32).ok_or(io::ErrorKind::InvalidInput)?;
        let began = clock::now();
        let mut again = began;
        while self.child.try_wait()?.is_none() {
            let now = clock::now();
            if now > began + END {
                return Err(io::Error::other("a server does not end"));
            }
            if now >= again {
                // More than once: nginx misses one that comes just before it waits for events.
                kill_process(pid, Signal::TERM)?;
                again = now + 3 * SECOND;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only if it still runs: a child that was waited for is not signalled.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wrapped(command: Command, wrap: &[String]) -> Command {
    let [program, words @ ..] = wrap else {
        return command;
    };
    let mut outer = Command::new(program);
    outer.args(words).arg(command.get_program());
    outer.args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    outer
}
