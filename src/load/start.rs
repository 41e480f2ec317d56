//! A run on the real network: names looked up, the file read, a runtime made.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::clip::{Clip, ClipError};
use super::target::Target;
use super::{Plan, Report, Role, run, synthetic};
use crate::limits;
use crate::media::flv::{FlvError, FlvReader};
use crate::runtime::{self, Dial, launch, signals::Signals};
use crate::time::Duration;

/// Descriptors that a run needs beside its connections.
const SPARE_FILES: u64 = 32;

/// What a person asked for, every number within its bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The server and its streams.
    pub target: Target,
    /// How many streams.
    pub streams: usize,
    /// How long.
    pub duration: Duration,
    /// Over how long the connects are spread.
    pub ramp: Duration,
    /// Whether the portable runtime is used where our own reactor exists.
    pub portable: bool,
    /// What to do.
    pub job: Job,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Publish.
    Publish {
        /// This FLV file; the built-in stream if there is none.
        file: Option<PathBuf>,
        /// The bitrate of the built-in stream, kbit/s.
        kbits: u64,
        /// Whether pictures get markers.
        markers: bool,
    },
    /// Play.
    Play {
        /// How many players.
        players: usize,
        /// What is a stall.
        stall: Duration,
    },
}

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such host.
    #[error("cannot find the address of {host}: {error}")]
    Resolve {
        /// The host.
        host: String,
        /// What the system said.
        error: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {error}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// The file is no FLV that can be published.
    #[error("{file}: {error}")]
    Flv {
        /// The file.
        file: String,
        /// What is wrong, and where.
        error: FlvError,
    },
    /// The file's tags cannot be published in their time.
    #[error("{file}: {error}")]
    Clip {
        /// The file.
        file: String,
        /// What is wrong, and where.
        error: ClipError,
    },
    /// The system opens fewer files than there would be connections.
    #[error(
        "{wanted} connections need more open files than the {allowed} allowed here; see ulimit -n"
    )]
    Files {
        /// Connections.
        wanted: usize,
        /// Files.
        allowed: u64,
    },
    /// The runtime could not be made, or a defect of ours ended it.
    #[error("cannot run: {0}")]
    Runtime(#[from] io::Error),
}

/// Does what `options` say, on this thread, until its end or SIGINT or SIGTERM. `progress` gets a line each second.
///
/// # Errors
/// See [`LoadError`]. What goes wrong once it runs is in the report.
pub fn start(options: &Options, progress: impl FnMut(&str) + 'static) -> Result<Report, LoadError> {
    let plan = plan(options)?;
    let wanted = plan.connections();
    // Where it cannot be raised, what there is may do.
    if let Some(allowed) = launch::raise_file_limit().ok().flatten()
        && allowed < wanted as u64 + SPARE_FILES
    {
        return Err(LoadError::Files { wanted, allowed });
    }
    let before = launch::cpu_time();
    let result = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&result);
    match options.portable || cfg!(not(target_os = "linux")) {
        #[cfg(target_os = "linux")]
        false => runtime::shard::run(|runtime| until_signal(runtime, plan, progress, slot))?,
        _ => runtime::smol::run(|runtime| until_signal(runtime, plan, progress, slot))?,
    }
    let report: Option<Report> = result.take();
    let mut report = report.ok_or_else(|| io::Error::other("it ended without a report"))?;
    report.cpu_seconds = before
        .zip(launch::cpu_time())
        .map(|(before, after)| after.saturating_sub(before).as_secs_f64());
    Ok(report)
}

async fn until_signal<R: Dial>(
    runtime: R,
    plan: Plan,
    progress: impl FnMut(&str) + 'static,
    slot: Rc<RefCell<Option<Report>>>,
) {
    let signals = Signals::new(false);
    let stop = async {
        match signals {
            // Whether it was a signal or the pipe behind it broke: there is no other way to stop it.
            Ok(mut signals) => drop(signals.next().await),
            // Without handlers a signal ends the process, as it does others.
            Err(_) => core::future::pending().await,
        }
    };
    let report = run(runtime, plan, stop, progress).await;
    slot.replace(Some(report));
}

fn plan(options: &Options) -> Result<Plan, LoadError> {
    let role = match &options.job {
        Job::Publish {
            file,
            kbits,
            markers,
        } => {
            let clip = match file {
                Some(file) => read_clip(file)?,
                None => synthetic::clip(*kbits).map_err(|error| LoadError::Clip {
                    file: "the built-in stream".to_owned(),
                    error,
                })?,
            };
            Role::Publish {
                clip: Rc::new(clip),
                markers: *markers,
            }
        }
        Job::Play { players, stall } => Role::Play {
            players: *players,
            stall: *stall,
        },
    };
    let target = options.target.clone();
    let addresses = launch::resolve(target.host(), target.port());
    let addresses = addresses.map_err(|error| LoadError::Resolve {
        host: target.host().to_owned(),
        error,
    })?;
    Ok(Plan {
        addresses,
        target,
        streams: options.streams,
        duration: options.duration,
        ramp: options.ramp,
        role,
    })
}

fn read_clip(path: &Path) -> Result<Clip, LoadError> {
    let file = path.display().to_string();
    let (mut reader, mut tags, mut wrong) = (FlvReader::new(), Vec::new(), None);
    let read = launch::read_pieces(path, limits::LOAD_FILE_BYTES, |mut piece| {
        while !piece.is_empty() {
            match reader.read(&mut piece) {
                Ok(tag) => tags.extend(tag),
                Err(error) => {
                    wrong = Some(error);
                    return Err(io::ErrorKind::InvalidData.into());
                }
            }
        }
        Ok(())
    });
    if let Some(error) = wrong.or(match &read {
        Ok(()) => reader.finish().err(),
        Err(_) => None,
    }) {
        return Err(LoadError::Flv { file, error });
    }
    if let Err(error) = read {
        return Err(LoadError::Read { file, error });
    }
    Clip::new(tags).map_err(|error| LoadError::Clip { file, error })
}
