//! One measurement: one server, one load.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::probe::Usage;
use super::target::{Running, Target};
use crate::load::{Plan, Report};
use crate::system;

/// Which cores the parts run on.
#[derive(Clone, Debug)]
pub(super) struct Cores {
    pub(super) all: Vec<usize>,
    pub(super) server: Vec<usize>,
    pub(super) load: Vec<usize>,
}

impl Cores {
    /// The first `servers` cores for the server and the next for the load; the load shares if there is none left.
    ///
    /// # Errors
    /// The system does not tell.
    pub(super) fn with(servers: usize) -> io::Result<Self> {
        let all = system::cores()?;
        let server: Vec<usize> = all.iter().copied().take(servers).collect();
        let next = all.get(servers).or(all.last()).copied();
        Ok(Self {
            load: next.into_iter().collect(),
            server,
            all,
        })
    }

    /// Whether the load has a core of its own.
    pub(super) fn is_apart(&self) -> bool {
        self.load.iter().all(|core| !self.server.contains(core))
    }
}

/// What one measurement gave.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) report: Report,
    /// From before the publishers began until the last player had the last byte.
    pub(super) used: Usage,
    /// Memory of the server before anybody connected, KiB.
    pub(super) rss_idle: u64,
    /// The same when everybody was connected and nothing was published.
    pub(super) rss_ready: u64,
    /// The same when everybody had everything.
    pub(super) rss_after: u64,
    /// Growth of both memories while some stalled, KiB.
    pub(super) stall: Option<Usage>,
}

/// Runs `plan` against `target`.
///
/// # Errors
/// One of them failed.
pub(super) fn measure(target: Target, plan: &Plan, cores: &Cores) -> io::Result<Measured> {
    let server = Running::start(target, &cores.server, &cores.all, &[])?;
    let measured = measure_running(&server, plan, cores)?;
    server.end()?;
    Ok(measured)
}

/// The same against a server that runs already.
///
/// # Errors
/// The load failed, or the server is gone.
pub(super) fn measure_running(
    server: &Running,
    plan: &Plan,
    cores: &Cores,
) -> io::Result<Measured> {
    let idle = Usage::of(server.pid())?;
    let plan = Plan {
        port: server.port,
        ..plan.clone()
    };
    let mut load = Load::start(&plan, cores)?;
    load.expect("ready")?;
    let before = Usage::of(server.pid())?;
    let _abuse = Abuser::start(&plan, cores)?;
    load.tell("go")?;
    let mut stall = None;
    if plan.stall_millis > 0 {
        load.expect("resumed")?;
        stall = Some(Usage::of(server.pid())?.since(before));
    }
    let report = load.expect("report")?;
    let after = Usage::of(server.pid())?;
    load.tell("quit")?;
    load.end()?;
    Ok(Measured {
        report: serde_json::from_value(report)?,
        used: after.since(before),
        rss_idle: idle.rss,
        rss_ready: before.rss,
        rss_after: after.rss,
        stall,
    })
}

/// The load's process. Dropping it ends it.
struct Load {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Load {
    fn start(plan: &Plan, cores: &Cores) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("part=load").arg(serde_json::to_string(plan)?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = system::bound(&cores.load, &cores.all, || command.spawn())?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => Ok(Self {
                child,
                stdin,
                stdout: BufReader::new(stdout),
            }),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// The load ends by itself when it is stuck, so this ends too.
    fn expect(&mut self, what: &str) -> io::Result<serde_json::Value> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::Error::other("the load failed"));
        }
        let mut object: serde_json::Value = serde_json::from_str(&line)?;
        if object["what"] == what {
            return Ok(object["value"].take());
        }
        Err(io::Error::other(format!(
            "expected {what:?} of the load, got {line:?}"
        )))
    }

    fn tell(&mut self, word: &str) -> io::Result<()> {
        writeln!(self.stdin, "{word}")
    }

    fn end(mut self) -> io::Result<()> {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process of who wants to hurt. Dropping it ends it.
struct Abuser(Child);

impl Abuser {
    /// It has a second to begin; none if the plan has none.
    fn start(plan: &Plan, cores: &Cores) -> io::Result<Option<Self>> {
        let Some(abuse) = plan.abuse else {
            return Ok(None);
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("part=abuse").arg(plan.port.to_string());
        command.arg(serde_json::to_string(&abuse)?);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = system::bound(&cores.load, &cores.all, || command.spawn())?;
        std::thread::sleep(std::time::Duration::from_secs(1));
        Ok(Some(Self(child)))
    }
}

impl Drop for Abuser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
