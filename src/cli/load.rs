//! `millstream load publish|play`: flags in, checked [`Options`] out.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches};

use crate::config::{Kind, Setting};
use crate::limits;
use crate::load::start::{Job, Options};
use crate::load::target::{Target, TargetError};
use crate::time::Duration;

/// What was asked for, as it was written.
#[derive(Debug)]
pub struct LoadFlags {
    publish: bool,
    matches: ArgMatches,
}

/// Why there are no [`Options`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadFlagError {
    /// A value that a flag does not take.
    #[error("--{flag}: {what}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was expected, and what came.
        what: String,
    },
    /// The URL.
    #[error(transparent)]
    Target(#[from] TargetError),
}

const STREAMS: (&str, Kind) = (
    "streams",
    Kind::Whole {
        min: 1,
        max: limits::LOAD_STREAMS_MAX as u64,
    },
);
const PLAYERS: (&str, Kind) = (
    "players",
    Kind::Whole {
        min: 1,
        max: limits::LOAD_PLAYERS_MAX as u64,
    },
);
const DURATION: (&str, Kind) = (
    "duration",
    Kind::Time {
        min: Duration::from_secs(1),
        max: limits::LOAD_TIME_MAX,
    },
);
const RAMP: (&str, Kind) = (
    "ramp",
    Kind::Time {
        min: Duration::ZERO,
        max: limits::LOAD_TIME_MAX,
    },
);
const STALL: (&str, Kind) = (
    "stall",
    Kind::Time {
        min: Duration::from_millis(1),
        max: limits::LOAD_TIME_MAX,
    },
);
const BITRATE: (&str, Kind) = (
    "bitrate",
    Kind::Whole {
        min: limits::LOAD_KBITS_MIN,
        max: limits::LOAD_KBITS_MAX,
    },
);
const RUNTIME: (&str, Kind) = ("runtime", Kind::Word(&["shard", "smol"]));

/// The subcommand and its two.
pub(super) fn command() -> clap::Command {
    let publish = clap::Command::new("publish")
        .about("Publishes streams in their own time, over and over")
        .args(common("Streams to publish", "1s"))
        .arg(flag(
            "file",
            "FILE",
            "An FLV file; without it, a built-in stream of H.264 and AAC",
        ))
        .arg(
            flag(BITRATE.0, "KBIT/S", "Of the built-in stream")
                .default_value("4000")
                .conflicts_with("file"),
        )
        .arg(
            switch("no-marker")
                .help("Leaves pictures as they are, without the time for millstream load play"),
        );
    let play = clap::Command::new("play")
        .about("Plays streams, verifies what comes and measures when")
        .args(common("Streams to deal the players over", "1s"))
        .arg(flag(PLAYERS.0, "N", "Players").default_value("1"))
        .arg(flag(STALL.0, "TIME", "A gap longer than this is a stall").default_value("500ms"));
    clap::Command::new("load")
        .about("Publishes to or plays from a server, and reports how it does")
        .subcommand_required(true)
        .subcommand(publish)
        .subcommand(play)
}

fn common(streams: &'static str, ramp: &'static str) -> Vec<Arg> {
    vec![
        Arg::new("url").value_name("URL").required(true).help(
            "rtmp://HOST[:PORT]/APP/NAME; {n} becomes the stream's number, or else -N is appended",
        ),
        flag(STREAMS.0, "N", streams).default_value("1"),
        flag(DURATION.0, "TIME", "How long, once everybody is there").default_value("10s"),
        flag(RAMP.0, "TIME", "Over how long the connects are spread").default_value(ramp),
        flag(RUNTIME.0, "NAME", "shard (our reactor; Linux) or smol"),
        switch("json").help("Prints the report as JSON"),
    ]
}

fn flag(name: &'static str, value: &'static str, about: &'static str) -> Arg {
    let flag = Arg::new(name).long(name).value_name(value).help(about);
    flag.allow_hyphen_values(true)
}

fn switch(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

impl LoadFlags {
    /// Of the subcommand's matches.
    pub(super) fn new(mut matches: ArgMatches) -> Option<Self> {
        let (name, matches) = matches.remove_subcommand()?;
        let publish = name == "publish";
        Some(Self { publish, matches })
    }

    /// Whether the report is wanted as JSON.
    pub fn json(&self) -> bool {
        self.matches.get_flag("json")
    }

    /// Checks every value.
    ///
    /// # Errors
    /// See [`LoadFlagError`].
    pub fn options(&self) -> Result<Options, LoadFlagError> {
        let url: &String = self
            .text("url")
            .ok_or_else(|| TargetError::Form { got: String::new() })?;
        let job = match self.publish {
            true => Job::Publish {
                file: self.text("file").map(PathBuf::from),
                kbits: self.whole(BITRATE)?,
                markers: !self.matches.get_flag("no-marker"),
            },
            false => Job::Play {
                players: self.whole(PLAYERS)? as usize,
                stall: self.time(STALL)?,
            },
        };
        let portable = match self.value(RUNTIME)? {
            Some(Setting::Word(word)) => word == "smol",
            _ => false,
        };
        Ok(Options {
            target: Target::parse(url)?,
            streams: self.whole(STREAMS)? as usize,
            duration: self.time(DURATION)?,
            ramp: self.time(RAMP)?,
            portable,
            job,
        })
    }

    fn text(&self, name: &str) -> Option<&String> {
        self.matches.get_one(name)
    }

    fn value(&self, (flag, kind): (&'static str, Kind)) -> Result<Option<Setting>, LoadFlagError> {
        let Some(text) = self.text(flag) else {
            return Ok(None);
        };
        match kind.read_text(text) {
            Ok(setting) => Ok(Some(setting)),
            Err(what) => Err(LoadFlagError::Value { flag, what }),
        }
    }

    /// All of them have defaults, in text.
    fn whole(&self, flag: (&'static str, Kind)) -> Result<u64, LoadFlagError> {
        Ok(match self.value(flag)? {
            Some(Setting::Whole(number)) => number,
            _ => 1,
        })
    }

    fn time(&self, flag: (&'static str, Kind)) -> Result<Duration, LoadFlagError> {
        Ok(match self.value(flag)? {
            Some(Setting::Time(time)) => time,
            _ => Duration::from_secs(1),
        })
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "a test fails by panicking")]
mod tests {
    use super::super::{Command, parse};
    use super::*;
    use std::ffi::OsString;

    fn options(line: &str) -> Result<Options, LoadFlagError> {
        let line = format!("millstream load {line}");
        let words = line.split_whitespace().map(OsString::from);
        match parse(words, Vec::new()) {
            Ok(Command::Load(flags)) => flags.options(),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn flags_become_options() {
        let publish = options("publish --streams 3 --bitrate 900 --ramp 0s rtmp://a/l/x").unwrap();
        assert_eq!(
            publish,
            Options {
                target: Target::parse("rtmp://a/l/x").unwrap(),
                streams: 3,
                duration: Duration::from_secs(10),
                ramp: Duration::ZERO,
                portable: false,
                job: Job::Publish {
                    file: None,
                    kbits: 900,
                    markers: true,
                },
            }
        );
        let play = options("play rtmp://a/l/x --players 9 --duration 2m --runtime smol").unwrap();
        assert!(play.portable && play.duration.as_secs() == 120);
        let stall = Duration::from_millis(500);
        assert_eq!(play.job, Job::Play { players: 9, stall });
        let file = options("publish --file a.flv --no-marker rtmp://a/l/x").unwrap();
        let Job::Publish { file, markers, .. } = file.job else {
            panic!("it publishes");
        };
        assert_eq!((file, markers), (Some("a.flv".into()), false));
    }

    #[test]
    fn refusals_are_one_sentence() {
        for (line, sentence) in [
            (
                "play --players 0 rtmp://a/l/x",
                "--players: expected a whole number from 1 to 60000, got 0",
            ),
            (
                "play --streams many rtmp://a/l/x",
                "--streams: expected a whole number from 1 to 10000, got \"many\"",
            ),
            (
                "publish --bitrate -1 rtmp://a/l/x",
                "--bitrate: expected a whole number from 200 to 200000, got -1",
            ),
            (
                "publish --duration 10 rtmp://a/l/x",
                "--duration: expected a time from \"1s\" to \"1d\", such as \"50ms\", \"5s\" or \"2m\", got \"10\"",
            ),
            (
                "play rtmp://a/x",
                "expected rtmp://HOST[:PORT]/APP/NAME, got \"rtmp://a/x\"",
            ),
            (
                "play --runtime tokio rtmp://a/l/x",
                "--runtime: expected \"shard\" or \"smol\", got \"tokio\"",
            ),
        ] {
            assert_eq!(options(line).unwrap_err().to_string(), sentence, "{line}");
        }
        let parsed = |line: &str| parse(line.split(' ').map(OsString::from), Vec::new());
        for line in [
            "millstream load",
            "millstream load play",
            "millstream load record rtmp://a/l/x",
            "millstream load publish --file a --bitrate 300 rtmp://a/l/x",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
