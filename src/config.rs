//! What the server is told before it starts: text in, a checked [`Config`] out.
//!
//! Three layers, each over the one before: the file (`millstream.toml`), the environment (`MILLSTREAM_*`),
//! the command line. All three go through one setter a key, so a value means the same, and is refused with
//! the same words, wherever it was written. Reading files and the environment is the caller's.
//!
//! | key | value | default |
//! |---|---|---|
//! | `listen` | an address and port, or a list of them | `"0.0.0.0:1935"` |
//! | `shards` | threads that carry connections; 0 means one per core | 0 |
//! | `runtime` | `"shard"` (Linux) or `"smol"` | `"shard"` on Linux, `"smol"` elsewhere |
//! | `chunk_size` | bytes of payload in a chunk we send, 1 to 65536 | 60000 |
//! | `strict_extended_timestamps` | whether senders must repeat extended timestamps on format 3 | false |
//! | `gop_cache` | frames kept for players that join later; 0 means none | 5000 |
//! | `merge` | how long frames wait for others that leave in the same write, `"0ms"` to `"1s"` | `"0ms"` |
//! | `peer_bandwidth` | bytes, as announced to peers | 2500000 |
//! | `window_ack_size` | bytes after which a peer acknowledges | 2500000 |
//! | `drain` | how long a graceful stop may take, as `"500ms"`, `"5s"`, `"2m"` | `"5s"` |
//! | `log` | `"off"`, `"error"`, `"warn"`, `"info"`, `"debug"`, `"trace"` | `"info"` |

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use core::ops::{Range, RangeInclusive};
use std::borrow::Cow;

use toml::de::{DeTable, DeValue};

use crate::limits;
use crate::time::Duration;

/// The port of RTMP (RTMP 1.0 §4), left out of URLs.
pub const DEFAULT_PORT: u16 = 1935;

/// Which backend parks the data shards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// Our edge-triggered reactor; Linux only.
    Shard,
    /// smol and async-io; wherever they run.
    Smol,
}

impl Backend {
    /// The best one of this platform.
    pub const DEFAULT: Self = if cfg!(target_os = "linux") {
        Self::Shard
    } else {
        Self::Smol
    };
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shard => "shard",
            Self::Smol => "smol",
        })
    }
}

/// How much the log says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What the operator must mend.
    Error,
    /// What is odd, and was survived.
    Warn,
    /// Streams that come and go.
    Info,
    /// Connections that come and go.
    Debug,
    /// Everything.
    Trace,
}

const LOG_LEVELS: [(&str, LogLevel); 6] = [
    ("off", LogLevel::Off),
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// Everything that can be set. Made by layers from [`Config::default`]; every field within its bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Where to accept RTMP connections; never empty. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Data shards, at most [`limits::SHARDS_MAX`]; 0 means one per core.
    pub shards: usize,
    /// What parks the data shards.
    pub runtime: Backend,
    /// Payload bytes of the chunks we send, from 1 to [`limits::CHUNK_SIZE_SEND_MAX`]. A chunk's header takes 1 byte,
    /// or 5 beyond 4 h 39 min of stream time: with tiny chunks frames take twice or six times their size.
    pub chunk_size: u32,
    /// Whether a format 3 header always carries the extended timestamp where the errata (§5.1) want it, instead of
    /// looking whether its sender leaves it out: for a payload that happens to look as if it were missing.
    pub strict_extended_timestamps: bool,
    /// Frames a stream keeps for players that join later, at most [`limits::RING_FRAMES_MAX`]; 0 means none.
    pub gop_cache: usize,
    /// How long a frame waits at most for others that leave with it in one write, at most [`limits::MERGE_MAX`]; zero: it
    /// leaves at once. Latency for CPU: see the README.
    pub merge: Duration,
    /// Bytes of Set Peer Bandwidth (RTMP 1.0 §5.4.5), from [`limits::WINDOW_MIN`] on.
    pub peer_bandwidth: u32,
    /// Bytes of Window Acknowledgement Size (RTMP 1.0 §5.4.4), from [`limits::WINDOW_MIN`] on.
    pub window_ack_size: u32,
    /// How long a graceful stop may take, at most [`limits::DRAIN_MAX`].
    pub drain: Duration,
    /// How much the log says.
    pub log: LogLevel,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // IPv4 only: a machine without IPv6 refuses `[::]`, and the two commands must work everywhere.
            listen: vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT))],
            shards: 0,
            runtime: Backend::DEFAULT,
            chunk_size: limits::CHUNK_SIZE_DEFAULT,
            strict_extended_timestamps: false,
            gop_cache: limits::RING_FRAMES_DEFAULT,
            merge: Duration::ZERO,
            peer_bandwidth: limits::PEER_BANDWIDTH_DEFAULT,
            window_ack_size: limits::WINDOW_ACK_SIZE_DEFAULT,
            drain: limits::DRAIN_DEFAULT,
            log: LogLevel::Info,
        }
    }
}

/// One key of the configuration, in the order of the table above.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// `listen`
    Listen,
    /// `shards`
    Shards,
    /// `runtime`
    Runtime,
    /// `chunk_size`
    ChunkSize,
    /// `strict_extended_timestamps`
    StrictExtendedTimestamps,
    /// `gop_cache`
    GopCache,
    /// `merge`
    Merge,
    /// `peer_bandwidth`
    PeerBandwidth,
    /// `window_ack_size`
    WindowAckSize,
    /// `drain`
    Drain,
    /// `log`
    Log,
}

impl Key {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Listen,
        Self::Shards,
        Self::Runtime,
        Self::ChunkSize,
        Self::StrictExtendedTimestamps,
        Self::GopCache,
        Self::Merge,
        Self::PeerBandwidth,
        Self::WindowAckSize,
        Self::Drain,
        Self::Log,
    ];

    /// As the file spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Shards => "shards",
            Self::Runtime => "runtime",
            Self::ChunkSize => "chunk_size",
            Self::StrictExtendedTimestamps => "strict_extended_timestamps",
            Self::GopCache => "gop_cache",
            Self::Merge => "merge",
            Self::PeerBandwidth => "peer_bandwidth",
            Self::WindowAckSize => "window_ack_size",
            Self::Drain => "drain",
            Self::Log => "log",
        }
    }

    /// As the environment spells it.
    pub fn variable(self) -> String {
        format!("MILLSTREAM_{}", self.name().to_uppercase())
    }

    /// As the command line spells it.
    pub fn flag(self) -> String {
        format!("--{}", self.name().replace('_', "-"))
    }

    const fn is_whole(self) -> bool {
        matches!(
            self,
            Self::Shards
                | Self::ChunkSize
                | Self::GopCache
                | Self::PeerBandwidth
                | Self::WindowAckSize
        )
    }
}

/// Where a refused value was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a file; lines and columns (in characters) count from 1.
    File {
        /// As the caller named it.
        file: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// In a flag of the command line.
    Flag(String),
    /// In a field of a [`Config`] made by a program.
    Field(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
            Self::Field(name) => write!(f, "Config::{name}"),
        }
    }
}

/// A setting that was refused: where, what was expected, what came.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ConfigError {
    /// Where it was written.
    pub place: Place,
    /// What was expected and what came.
    pub what: String,
}

impl Config {
    /// Lays the settings of a TOML text over this one. `file` only names it in errors.
    ///
    /// # Errors
    /// Text that is no TOML, a key we do not know, a value out of its bounds. The first in the text is told.
    pub fn apply_toml(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let refuse = |at: usize, what: String| ConfigError {
            place: place_in(file, text, at),
            what,
        };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            refuse(at, format!("not TOML: {}", error.message().trim_end()))
        })?;
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (name, value) in entries {
            let Some(key) = Key::ALL
                .into_iter()
                .find(|key| key.name() == name.get_ref().as_ref())
            else {
                let known: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
                let what = format!(
                    "unknown key `{}`, expected one of {}",
                    name.get_ref(),
                    known.join(", ")
                );
                return Err(refuse(name.span().start, what));
            };
            self.set(key, &Value::from_toml(value.get_ref()))
                .map_err(|fault| {
                    let at = fault.at.unwrap_or_else(|| value.span().start);
                    refuse(at, format!("{}: {}", key.name(), fault.what))
                })?;
        }
        Ok(())
    }

    /// Lays the `MILLSTREAM_*` variables over this one. Several addresses are separated by commas.
    ///
    /// Variables with other names after the prefix are left alone: Kubernetes puts `MILLSTREAM_PORT` and its
    /// like into every container beside a service of our name.
    ///
    /// # Errors
    /// A value out of its bounds.
    pub fn apply_env(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, text) in variables {
            let Some(key) = Key::ALL.into_iter().find(|key| key.variable() == name) else {
                continue;
            };
            let parts: Vec<&str> = match key {
                Key::Listen => text.split(',').map(str::trim).collect(),
                _ => vec![text.trim()],
            };
            self.apply_text(key, &parts, Place::Variable(name))?;
        }
        Ok(())
    }

    /// Lays one flag's value over this one; several values only for [`Key::Listen`].
    ///
    /// # Errors
    /// A value out of its bounds.
    pub fn apply_flag(&mut self, key: Key, values: &[&str]) -> Result<(), ConfigError> {
        self.apply_text(key, values, Place::Flag(key.flag()))
    }

    /// Checks the bounds of a configuration that a program filled in by itself.
    ///
    /// # Errors
    /// The first field that is out of its bounds.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut copy = self.clone();
        for key in Key::ALL {
            let value = match key {
                Key::Listen if self.listen.is_empty() => Value::List(Vec::new()),
                Key::Shards => whole(self.shards),
                Key::ChunkSize => whole(self.chunk_size),
                Key::StrictExtendedTimestamps => Value::Flag(self.strict_extended_timestamps),
                Key::GopCache => whole(self.gop_cache),
                Key::PeerBandwidth => whole(self.peer_bandwidth),
                Key::WindowAckSize => whole(self.window_ack_size),
                Key::Runtime => Value::Text(self.runtime.to_string().into()),
                Key::Drain => in_millis(self.drain),
                Key::Merge => in_millis(self.merge),
                Key::Listen | Key::Log => continue,
            };
            copy.set(key, &value).map_err(|fault| ConfigError {
                place: Place::Field(key.name()),
                what: fault.what,
            })?;
        }
        Ok(())
    }

    fn apply_text(&mut self, key: Key, parts: &[&str], place: Place) -> Result<(), ConfigError> {
        let value = match parts {
            [one] => Value::from_text(key, one),
            many => Value::List(
                many.iter()
                    .map(|one| (0..0, Value::from_text(key, one)))
                    .collect(),
            ),
        };
        self.set(key, &value).map_err(|fault| ConfigError {
            place,
            what: fault.what,
        })
    }

    fn set(&mut self, key: Key, value: &Value<'_>) -> Result<(), Fault> {
        match key {
            Key::Listen => self.listen = addresses(value)?,
            Key::Shards => self.shards = number(value, 0..=limits::SHARDS_MAX)?,
            Key::Runtime => self.runtime = backend(value)?,
            Key::ChunkSize => {
                self.chunk_size = number(value, 1..=limits::CHUNK_SIZE_SEND_MAX)?;
            }
            Key::StrictExtendedTimestamps => self.strict_extended_timestamps = flag(value)?,
            Key::GopCache => self.gop_cache = number(value, 0..=limits::RING_FRAMES_MAX)?,
            Key::PeerBandwidth => {
                self.peer_bandwidth = number(value, limits::WINDOW_MIN..=u32::MAX)?
            }
            Key::WindowAckSize => {
                self.window_ack_size = number(value, limits::WINDOW_MIN..=u32::MAX)?;
            }
            Key::Drain => self.drain = time(value, limits::DRAIN_MAX)?,
            Key::Merge => self.merge = time(value, limits::MERGE_MAX)?,
            Key::Log => self.log = log_level(value)?,
        }
        Ok(())
    }
}

/// A value as it was written, whichever layer it came from.
enum Value<'a> {
    Whole(i128),
    Flag(bool),
    Text(Cow<'a, str>),
    /// With each element's place in the text.
    List(Vec<(Range<usize>, Self)>),
    /// Anything no key takes, by its name.
    Other(&'static str),
}

impl<'a> Value<'a> {
    fn from_toml(value: &'a DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(Cow::Borrowed(text)),
            DeValue::Integer(digits) => i128::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Self::Other("a number beyond all bounds"), Self::Whole),
            DeValue::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| (item.span(), Self::from_toml(item.get_ref())))
                    .collect(),
            ),
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    fn from_text(key: Key, text: &'a str) -> Self {
        if key == Key::StrictExtendedTimestamps
            && let Ok(flag) = text.parse()
        {
            return Self::Flag(flag);
        }
        match text.parse() {
            Ok(number) if key.is_whole() => Self::Whole(number),
            _ => Self::Text(Cow::Borrowed(text)),
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) if items.is_empty() => f.write_str("an empty list"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

fn whole(number: impl TryInto<i128>) -> Value<'static> {
    number
        .try_into()
        .map_or(Value::Other("a number beyond all bounds"), Value::Whole)
}

/// Why a value was refused, and where in the text if that is not the value's own start.
struct Fault {
    what: String,
    at: Option<usize>,
}

fn expected(what: impl fmt::Display, came: &Value<'_>) -> Fault {
    Fault {
        what: format!("expected {what}, got {came}"),
        at: None,
    }
}

fn number<T>(value: &Value<'_>, bounds: RangeInclusive<T>) -> Result<T, Fault>
where
    T: TryFrom<i128> + PartialOrd + fmt::Display,
{
    let refuse = || {
        let (low, high) = (bounds.start(), bounds.end());
        expected(format_args!("a whole number from {low} to {high}"), value)
    };
    let Value::Whole(number) = value else {
        return Err(refuse());
    };
    match T::try_from(*number) {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ => Err(refuse()),
    }
}

fn flag(value: &Value<'_>) -> Result<bool, Fault> {
    match value {
        Value::Flag(flag) => Ok(*flag),
        _ => Err(expected("true or false", value)),
    }
}

fn addresses(value: &Value<'_>) -> Result<Vec<SocketAddr>, Fault> {
    const EXPECTED: &str = "an address and port such as 0.0.0.0:1935 or [::]:1935";
    let one = |value: &Value<'_>| match value {
        Value::Text(text) => text.parse().map_err(|_| expected(EXPECTED, value)),
        _ => Err(expected(EXPECTED, value)),
    };
    match value {
        Value::List(items) if items.is_empty() => Err(expected(EXPECTED, value)),
        Value::List(items) => items
            .iter()
            .map(|(span, item)| {
                one(item).map_err(|fault| Fault {
                    at: Some(span.start),
                    ..fault
                })
            })
            .collect(),
        _ => Ok(vec![one(value)?]),
    }
}

fn backend(value: &Value<'_>) -> Result<Backend, Fault> {
    match value {
        Value::Text(text) if text == "smol" => Ok(Backend::Smol),
        Value::Text(text) if text == "shard" && cfg!(target_os = "linux") => Ok(Backend::Shard),
        _ if cfg!(target_os = "linux") => Err(expected("\"shard\" or \"smol\"", value)),
        _ => Err(expected("\"smol\" (\"shard\" needs Linux)", value)),
    }
}

fn in_millis(time: Duration) -> Value<'static> {
    Value::Text(format!("{}ms", time.as_millis()).into())
}

fn time(value: &Value<'_>, max: Duration) -> Result<Duration, Fault> {
    let refuse = || {
        let what = match max.as_secs() {
            seconds if seconds < 60 => {
                format!("a time such as \"0ms\", \"50ms\" or \"1s\", up to {seconds} s")
            }
            seconds => {
                let max = seconds / 60;
                format!("a time such as \"500ms\", \"5s\" or \"2m\", up to {max} minutes")
            }
        };
        expected(what, value)
    };
    let Value::Text(text) = value else {
        return Err(refuse());
    };
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(refuse()),
    };
    count
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(millis))
        .map(Duration::from_millis)
        .filter(|time| *time <= max)
        .ok_or_else(refuse)
}

fn log_level(value: &Value<'_>) -> Result<LogLevel, Fault> {
    if let Value::Text(text) = value
        && let Some((_, level)) = LOG_LEVELS.iter().find(|(name, _)| name == text)
    {
        return Ok(*level);
    }
    let names: Vec<_> = LOG_LEVELS.iter().map(|(name, _)| *name).collect();
    Err(expected(format!("one of {}", names.join(", ")), value))
}

/// Line and column of byte `at`, both from 1, the column in characters.
fn place_in(file: &str, text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place::File {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or("").chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toml(text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        match config.apply_toml("m.toml", text) {
            Ok(()) => Ok(config),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn every_key_is_read() {
        let config = toml(
            "# all of them\nlisten = [\"127.0.0.1:0\", \"[::1]:1935\"]\nshards = 3\nruntime = \"smol\"\n\
             chunk_size = 4_096\nstrict_extended_timestamps = true\ngop_cache = 0\npeer_bandwidth = 0x10000\nwindow_ack_size = 5000\n\
             drain = \"1500ms\"\nlog = \"debug\"\n",
        )
        .unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.listen[1].to_string(), "[::1]:1935");
        assert_eq!((config.shards, config.runtime), (3, Backend::Smol));
        assert_eq!((config.chunk_size, config.gop_cache), (4096, 0));
        assert!(config.strict_extended_timestamps);
        assert_eq!(config.peer_bandwidth, 65_536);
        assert_eq!(config.window_ack_size, 5_000);
        assert_eq!(config.drain, Duration::from_millis(1_500));
        assert_eq!(config.log, LogLevel::Debug);
        assert_eq!(toml(""), Ok(Config::default()));
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn refusals_tell_place_expectation_and_what_came() {
        for (text, message) in [
            (
                "shards = 2\nchunk_sise = 1\n",
                "m.toml:2:1: unknown key `chunk_sise`, expected one of listen, shards, runtime, chunk_size, \
                 strict_extended_timestamps, gop_cache, peer_bandwidth, window_ack_size, drain, log",
            ),
            (
                "shards = 2\n  chunk_size = \"big\"\n",
                "m.toml:2:16: chunk_size: expected a whole number from 1 to 65536, got \"big\"",
            ),
            (
                "chunk_size = 70000",
                "m.toml:1:14: chunk_size: expected a whole number from 1 to 65536, got 70000",
            ),
            (
                "chunk_size = 0",
                "m.toml:1:14: chunk_size: expected a whole number from 1 to 65536, got 0",
            ),
            (
                "strict_extended_timestamps = 1",
                "m.toml:1:30: strict_extended_timestamps: expected true or false, got 1",
            ),
            (
                "shards = -1",
                "m.toml:1:10: shards: expected a whole number from 0 to 64, got -1",
            ),
            (
                "shards = 1.5",
                "m.toml:1:10: shards: expected a whole number from 0 to 64, got a number with a fraction",
            ),
            (
                "listen = [\"0.0.0.0:1935\",\n  \"somewhere\"]",
                "m.toml:2:3: listen: expected an address and port such as 0.0.0.0:1935 or [::]:1935, \
                 got \"somewhere\"",
            ),
            (
                "listen = []",
                "m.toml:1:10: listen: expected an address and port such as 0.0.0.0:1935 or [::]:1935, \
                 got an empty list",
            ),
            (
                "drain = \"5 years\"",
                "m.toml:1:9: drain: expected a time such as \"500ms\", \"5s\" or \"2m\", up to 10 minutes, \
                 got \"5 years\"",
            ),
            (
                "log = true",
                "m.toml:1:7: log: expected one of off, error, warn, info, debug, trace, got true",
            ),
            (
                "[shards]\nx = 1",
                "m.toml:1:1: shards: expected a whole number from 0 to 64, got a table",
            ),
        ] {
            assert_eq!(toml(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn broken_toml_has_a_place_too() {
        let error = toml("shards = 1\nlog = \"info\n").unwrap_err();
        assert!(error.starts_with("m.toml:2:"), "{error}");
        assert!(error.contains("not TOML"), "{error}");
        let error = toml("shards = 1\nshards = 2\n").unwrap_err();
        assert!(error.starts_with("m.toml:2:1: "), "{error}");
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let error = toml("\"größe\" = 1").unwrap_err();
        assert!(
            error.starts_with("m.toml:1:1: unknown key `größe`"),
            "{error}"
        );
        let error = toml("listen = [\"ä\", 7]").unwrap_err();
        assert!(error.starts_with("m.toml:1:11: listen: "), "{error}");
        let error = toml("listen = [\"1.1.1.1:1\", # ä\n \"ä\"]").unwrap_err();
        assert!(error.starts_with("m.toml:2:2: listen: "), "{error}");
    }

    #[test]
    fn later_layers_win() {
        let mut config = Config::default();
        config
            .apply_toml("m.toml", "shards = 1\nchunk_size = 200\nlog = \"warn\"")
            .unwrap();
        let variables = [
            ("MILLSTREAM_CHUNK_SIZE", "300"),
            ("MILLSTREAM_LOG", "error"),
            ("MILLSTREAM_STRICT_EXTENDED_TIMESTAMPS", "true"),
            ("MILLSTREAM_LISTEN", "127.0.0.1:1, [::1]:2"),
            ("MILLSTREAM_PORT", "tcp://10.0.0.1:1935"),
            ("PATH", "/bin"),
        ];
        config
            .apply_env(variables.map(|(name, text)| (name.to_owned(), text.to_owned())))
            .unwrap();
        config.apply_flag(Key::Log, &["trace"]).unwrap();
        assert_eq!((config.shards, config.chunk_size), (1, 300));
        assert!(config.strict_extended_timestamps);
        assert_eq!(config.log, LogLevel::Trace);
        assert_eq!(config.listen.len(), 2);
    }

    #[test]
    fn the_other_layers_say_where_too() {
        let mut config = Config::default();
        let error = config
            .apply_env([("MILLSTREAM_SHARDS".to_owned(), "many".to_owned())])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable MILLSTREAM_SHARDS: expected a whole number from 0 to 64, got \"many\""
        );
        let error = config.apply_flag(Key::ChunkSize, &["0"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--chunk-size: expected a whole number from 1 to 65536, got 0"
        );
        let error = config
            .apply_flag(Key::StrictExtendedTimestamps, &["yes"])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "--strict-extended-timestamps: expected true or false, got \"yes\""
        );
        for chunk_size in [1, limits::CHUNK_SIZE_SEND_MAX] {
            config.chunk_size = chunk_size;
            assert_eq!(config.check(), Ok(()));
        }
        config.chunk_size = 0;
        let error = config.check().unwrap_err();
        assert!(
            error.to_string().starts_with("Config::chunk_size: "),
            "{error}"
        );
    }
}
