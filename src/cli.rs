//! The command line: arguments, environment and file in, a [`Config`] out; and the words of the start.
//!
//! Every refusal is one sentence. Values are checked by [`crate::config`], not by clap, so a bad address is
//! refused in the same words whether it came from a flag, a variable or the file.

use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ffi::OsString;
use std::io;

use clap::Parser;

use crate::config::{Backend, Config, ConfigError, DEFAULT_PORT, Key};

/// The environment's word for `--config`.
const CONFIG_VARIABLE: &str = "MILLSTREAM_CONFIG";

/// An RTMP live-streaming server.
///
/// Settings come from the file, then the environment (MILLSTREAM_LISTEN, MILLSTREAM_SHARDS, ...), then these
/// flags; the last word wins.
#[derive(Parser, Debug)]
#[command(name = "millstream", version, max_term_width = 100)]
struct Arguments {
    /// Where to accept connections, may be given several times [default: 0.0.0.0:1935]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Threads that carry connections; 0 means one per core [default: 0]
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shards: Option<String>,
    /// Payload bytes of the chunks we send [default: 60000]
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    chunk_size: Option<String>,
    /// Demand extended timestamps on every format 3 chunk, instead of looking who leaves them out [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    strict_extended_timestamps: Option<String>,
    /// Frames kept for players that join later; 0 means none [default: 5000]
    #[arg(long, value_name = "FRAMES", allow_hyphen_values = true)]
    gop_cache: Option<String>,
    /// How long frames wait for others that leave in the same write, e.g. 50ms [default: 0ms]
    #[arg(long, value_name = "TIME")]
    merge: Option<String>,
    /// What carries connections: shard (Linux) or smol [default: the fastest here]
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log: Option<String>,
    /// A millstream.toml; none is read unless named
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
}

/// Why there is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// `--help`, `--version`, or arguments that make no sense; clap has the words, the stream and the exit code.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// A value out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file of `--config` cannot be read.
    #[error("cannot read the configuration file {path}: {error}")]
    Read {
        /// As it was named.
        path: String,
        /// What the system said.
        error: io::Error,
    },
}

/// Joins the three layers. `read` reads a file; it is called only when one is named.
///
/// # Errors
/// See [`CliError`].
pub fn configure(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &[(String, String)],
    read: impl FnOnce(&str) -> io::Result<String>,
) -> Result<Config, CliError> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let mut config = Config::default();
    let file = arguments.config.as_deref().or_else(|| {
        let named = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE);
        named.map(|(_, path)| path.as_str())
    });
    if let Some(path) = file {
        let text = read(path).map_err(|error| CliError::Read {
            path: path.to_owned(),
            error,
        })?;
        config.apply_toml(path, &text)?;
    }
    config.apply_env(environment.iter().cloned())?;
    if !arguments.listen.is_empty() {
        let listen: Vec<&str> = arguments.listen.iter().map(String::as_str).collect();
        config.apply_flag(Key::Listen, &listen)?;
    }
    for (key, value) in [
        (Key::Shards, &arguments.shards),
        (Key::ChunkSize, &arguments.chunk_size),
        (
            Key::StrictExtendedTimestamps,
            &arguments.strict_extended_timestamps,
        ),
        (Key::GopCache, &arguments.gop_cache),
        (Key::Merge, &arguments.merge),
        (Key::Runtime, &arguments.runtime),
        (Key::Log, &arguments.log),
    ] {
        if let Some(value) = value {
            config.apply_flag(key, &[value])?;
        }
    }
    Ok(config)
}

/// What the server says when it stands: where it listens (`addresses` as bound), what to publish to and play.
pub fn banner(config: &Config, addresses: &[SocketAddr]) -> String {
    let mut text = format!("millstream {}\n", env!("CARGO_PKG_VERSION"));
    for address in addresses {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  listens on   {address}");
    }
    if let Some(url) = addresses.first().map(url) {
        let _ = writeln!(text, "  publish to   {url}/live/NAME");
        let _ = writeln!(text, "  play from    {url}/live/NAME");
    }
    if addresses
        .iter()
        .any(|address| address.ip().is_unspecified())
    {
        text.push_str("  other machines put this one's name or address there\n");
    }
    let shards = match config.shards {
        0 => "one shard per core".to_owned(),
        1 => "1 shard".to_owned(),
        more => format!("{more} shards"),
    };
    let runtime = match config.runtime {
        Backend::Shard => "its own reactor",
        Backend::Smol => "smol",
    };
    let _ = writeln!(text, "  runs on      {shards}, {runtime}");
    text.push_str("  Ctrl-C or SIGTERM ends it gracefully, a second one at once\n");
    text
}

/// The URL that reaches `address` from this machine, without an application.
fn url(address: &SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let host = match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    match address.port() {
        DEFAULT_PORT => format!("rtmp://{host}"),
        port => format!("rtmp://{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLevel;

    fn configured(line: &str, environment: &[(&str, &str)]) -> Result<Config, CliError> {
        let arguments = line.split_whitespace().map(OsString::from);
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        configure(arguments, &environment, |path| match path {
            "good.toml" => Ok("shards = 1\nchunk_size = 200\nlog = \"warn\"\n".to_owned()),
            "bad.toml" => Ok("\nshards = \"all\"\n".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(configured("millstream", &[]).unwrap(), Config::default());
    }

    #[test]
    fn flags_win_over_the_environment_over_the_file() {
        let environment = [
            ("MILLSTREAM_CONFIG", "good.toml"),
            ("MILLSTREAM_CHUNK_SIZE", "300"),
            ("MILLSTREAM_LOG", "error"),
        ];
        let config = configured(
            "millstream --log trace --listen 127.0.0.1:0 --listen [::1]:7 --runtime smol --gop-cache 0",
            &environment,
        )
        .unwrap();
        assert_eq!((config.shards, config.chunk_size), (1, 300));
        assert_eq!((config.log, config.gop_cache), (LogLevel::Trace, 0));
        assert_eq!(config.runtime, Backend::Smol);
        assert_eq!(config.listen.len(), 2);
        let config = configured("millstream --config good.toml", &[]).unwrap();
        assert_eq!(config.log, LogLevel::Warn);
    }

    #[test]
    fn refusals_are_one_sentence() {
        for (line, sentence) in [
            (
                "millstream --listen nowhere",
                "--listen: expected an address and port such as 0.0.0.0:1935 or [::]:1935, got \"nowhere\"",
            ),
            (
                "millstream --shards -1",
                "--shards: expected a whole number from 0 to 64, got -1",
            ),
            (
                "millstream --config missing.toml",
                "cannot read the configuration file missing.toml: entity not found",
            ),
            (
                "millstream --config bad.toml",
                "bad.toml:2:10: shards: expected a whole number from 0 to 64, got \"all\"",
            ),
        ] {
            let error = configured(line, &[]).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
        let error = configured("millstream --lisen x", &[]).unwrap_err();
        assert!(matches!(error, CliError::Arguments(_)));
    }

    #[test]
    fn the_banner_names_urls_that_work_here() {
        let mut config = Config::default();
        let any = ["0.0.0.0:1935".parse().unwrap(), "[::1]:7".parse().unwrap()];
        let text = banner(&config, &any);
        assert!(text.contains("listens on   0.0.0.0:1935\n"), "{text}");
        assert!(text.contains("listens on   [::1]:7\n"), "{text}");
        assert!(
            text.contains("publish to   rtmp://127.0.0.1/live/NAME\n"),
            "{text}"
        );
        assert!(
            text.contains("play from    rtmp://127.0.0.1/live/NAME\n"),
            "{text}"
        );
        assert!(text.contains("other machines"), "{text}");
        config.shards = 2;
        let text = banner(&config, &any[1..]);
        assert!(
            text.contains("publish to   rtmp://[::1]:7/live/NAME\n"),
            "{text}"
        );
        assert!(text.contains("2 shards"), "{text}");
        assert!(!text.contains("other machines"), "{text}");
    }
}
