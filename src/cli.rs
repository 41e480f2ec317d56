//! The command line: arguments, environment and file in, a [`Config`] out; and the words of the start.
//!
//! Flags are made of the [table of keys](crate::config::KEYS). Every refusal is one sentence. Values are checked by
//! [`crate::config`], not by clap, so a bad address is refused in the same words whether it came from a flag, a variable
//! or the file.

use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ffi::OsString;
use std::io;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches};

use crate::config::{Backend, Config, ConfigError, DEFAULT_PORT, KEYS, Key, Kind};
use crate::status::Place;

mod load;

pub use load::{LoadFlagError, LoadFlags};

/// The environment's word for `--config`.
const CONFIG_VARIABLE: &str = "MILLSTREAM_CONFIG";
/// The environment's word for what `status` shows the server.
const TOKEN_VARIABLE: &str = "MILLSTREAM_HTTP_TOKEN";

/// What is to be done.
#[derive(Debug)]
pub enum Command {
    /// Serve, with these settings.
    Serve(Sources),
    /// `check FILE`: explain what is wrong with a configuration file.
    Check {
        /// As it was named.
        file: String,
    },
    /// `status`: show what a running server does.
    Status {
        /// Where it is asked.
        place: Place,
        /// Whether to go on showing.
        watch: bool,
    },
    /// `config --default`: print a file that says every setting.
    PrintDefault,
    /// `load publish|play`: be many clients of a server.
    Load(LoadFlags),
}

/// Where settings come from. They can be read again while the server runs.
#[derive(Debug)]
pub struct Sources {
    file: Option<String>,
    environment: Vec<(String, String)>,
    flags: Vec<(&'static Key, Vec<String>)>,
}

/// Why there is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A value out of its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file with more than one mistake.
    #[error("{first} (and {more} more; millstream check {file} explains them)")]
    File {
        /// The first of them.
        first: ConfigError,
        /// How many others.
        more: usize,
        /// The file.
        file: String,
    },
    /// The file of `--config` cannot be read.
    #[error("cannot read the configuration file {path}: {error}")]
    Read {
        /// As it was named.
        path: String,
        /// What the system said.
        error: io::Error,
    },
}

/// Reads the command line.
///
/// # Errors
/// `--help`, `--version`, or arguments that make no sense; clap has the words, the stream and the exit code.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Vec<(String, String)>,
) -> Result<Command, clap::Error> {
    let mut matches = command().try_get_matches_from(arguments)?;
    match matches.remove_subcommand() {
        Some((name, mut of_check)) if name == "check" => {
            let file = of_check.remove_one("file").unwrap_or_default();
            Ok(Command::Check { file })
        }
        Some((name, of_status)) if name == "status" => status(of_status, &environment),
        Some((name, of_load)) if name == "load" => match LoadFlags::new(of_load) {
            Some(flags) => Ok(Command::Load(flags)),
            None => Err(command().error(ErrorKind::MissingSubcommand, "load publish or load play")),
        },
        Some(_) => Ok(Command::PrintDefault), // clap demands --default
        None => Ok(Command::Serve(sources(matches, environment))),
    }
}

fn status(
    mut matches: ArgMatches,
    environment: &[(String, String)],
) -> Result<Command, clap::Error> {
    let url: String = matches.remove_one("url").unwrap_or_default();
    let mut variables = environment.iter();
    let token = variables.find(|(name, _)| name == TOKEN_VARIABLE);
    let token = token.map(|(_, token)| token.trim().to_owned());
    let place = Place::of(&url, token.filter(|token| !token.is_empty()))
        .map_err(|what| command().error(ErrorKind::ValueValidation, what))?;
    let watch = matches.get_flag("watch");
    Ok(Command::Status { place, watch })
}

fn sources(mut matches: ArgMatches, environment: Vec<(String, String)>) -> Sources {
    let named = || {
        let mut variables = environment.iter();
        let named = variables.find(|(name, _)| name == CONFIG_VARIABLE)?;
        Some(named.1.clone())
    };
    let file = matches.remove_one("config").or_else(named);
    let flags = KEYS
        .iter()
        .filter_map(|key| Some((key, matches.remove_many(key.global)?.collect())))
        .collect();
    Sources {
        file,
        environment,
        flags,
    }
}

fn command() -> clap::Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("A millstream.toml; none is read unless named");
    let check = clap::Command::new("check")
        .about("Explains everything that is wrong with a configuration file")
        .arg(Arg::new("file").value_name("FILE").required(true));
    let default = Arg::new("default")
        .long("default")
        .help("Prints a configuration file that says and explains every setting")
        .action(ArgAction::SetTrue)
        .required(true);
    let status = clap::Command::new("status")
        .about("Shows the streams and clients of a running server")
        .after_help("The server's http_token, if it has one, is taken from MILLSTREAM_HTTP_TOKEN.")
        .arg(
            Arg::new("watch")
                .long("watch")
                .help("Goes on showing them")
                .action(ArgAction::SetTrue),
        )
        .arg(
            Arg::new("url")
                .long("url")
                .value_name("URL")
                .help("Where the server's HTTP is")
                .default_value("http://127.0.0.1:8935"),
        );
    clap::Command::new("millstream")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An RTMP live-streaming server")
        .long_about(
            "An RTMP live-streaming server.\n\nSettings come from the file, then the environment (MILLSTREAM_LISTEN, \
             MILLSTREAM_SHARDS, ...), then these flags; the last word wins.",
        )
        .max_term_width(100)
        .args_conflicts_with_subcommands(true)
        .arg(file)
        .args(KEYS.iter().map(flag))
        .subcommand(check)
        .subcommand(status)
        .subcommand(
            clap::Command::new("config")
                .about("Prints a configuration file")
                .arg(default),
        )
        .subcommand(load::command())
}

fn flag(key: &'static Key) -> Arg {
    let default = key.value(&Config::default()).to_string();
    let flag = Arg::new(key.global)
        .long(key.flag())
        .value_name(key.placeholder)
        .help(format!(
            "{} [default: {}]",
            key.about.trim_end_matches('.'),
            default.trim_matches('"')
        ))
        .help_heading(key.section.name());
    match key.kind {
        Kind::Addresses => flag.action(ArgAction::Append),
        Kind::Flag => flag
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Kind::Whole { .. } => flag.allow_hyphen_values(true),
        Kind::Size { .. } => flag.allow_hyphen_values(true),
        Kind::Time { .. }
        | Kind::Word(_)
        | Kind::HttpListen
        | Kind::Token
        | Kind::Directory
        | Kind::Pattern => flag,
    }
}

impl Sources {
    /// Joins the three layers. `read` reads a file; it is called only when one is named.
    ///
    /// # Errors
    /// See [`CliError`].
    pub fn configure(
        &self,
        read: impl FnOnce(&str) -> io::Result<String>,
    ) -> Result<Config, CliError> {
        let mut config = Config::default();
        if let Some(path) = &self.file {
            let text = read(path).map_err(|error| CliError::Read {
                path: path.clone(),
                error,
            })?;
            let mut errors = config.read_toml(path, &text).into_iter();
            match (errors.next(), errors.count()) {
                (None, _) => {}
                (Some(only), 0) => return Err(only.into()),
                (Some(first), more) => {
                    return Err(CliError::File {
                        first,
                        more,
                        file: path.clone(),
                    });
                }
            }
        }
        config.apply_env(self.environment.iter().cloned())?;
        for (key, values) in &self.flags {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            config.apply_flag(key, &values)?;
        }
        Ok(config)
    }
}

/// What `check` has to say of the text of `file`, and whether all is well.
pub fn check(file: &str, text: &str) -> (bool, String) {
    let errors = Config::default().read_toml(file, text);
    let mut said: String = errors.iter().map(|error| error.explained(text)).collect();
    let count = errors.len();
    // Writing to a String cannot fail.
    let _ = match count {
        0 => writeln!(said, "{file}: nothing is wrong"),
        1 => writeln!(said, "{file}: 1 mistake"),
        _ => writeln!(said, "{file}: {count} mistakes"),
    };
    (errors.is_empty(), said)
}

/// What the server says when it stands: where it listens (`addresses` as bound), what to publish to and play.
pub fn banner(config: &Config, addresses: &[SocketAddr], http: Option<SocketAddr>) -> String {
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
    if let Some(address) = http {
        let _ = writeln!(text, "  operators    http://{address} (millstream status)");
    }
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

    #[allow(clippy::panic, reason = "a test fails by panicking")]
    fn configured(line: &str, environment: &[(&str, &str)]) -> Result<Config, CliError> {
        let arguments = line.split_whitespace().map(OsString::from);
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let Ok(Command::Serve(sources)) = parse(arguments, environment) else {
            panic!("{line} does not serve");
        };
        sources.configure(|path| match path {
            "good.toml" => Ok(
                "[server]\nshards = 1\nchunk_size = 200\n[logging]\nlevel = \"warn\"\n".to_owned(),
            ),
            "bad.toml" => Ok("[server]\nshards = \"all\"\n".to_owned()),
            "worse.toml" => Ok("[server]\nshards = \"all\"\nx = 1\ny = 2\n".to_owned()),
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
        assert_eq!(config.log, LogLevel::Trace);
        assert_eq!(config.applications.every.gop_cache, 0);
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
            (
                "millstream --config worse.toml",
                "worse.toml:2:10: shards: expected a whole number from 0 to 64, got \"all\" (and 2 more; \
                 millstream check worse.toml explains them)",
            ),
        ] {
            let error = configured(line, &[]).unwrap_err();
            assert_eq!(error.to_string(), sentence);
        }
        let parsed = |line: &str| parse(line.split(' ').map(OsString::from), Vec::new());
        assert!(parsed("millstream --lisen x").is_err());
        assert!(
            parsed("millstream --shards 1 check x").is_err(),
            "a flag that nobody heeds"
        );
    }

    #[test]
    fn what_else_can_be_done() {
        let parsed = |line: &str| parse(line.split(' ').map(OsString::from), Vec::new());
        let check = parsed("millstream check a.toml").unwrap();
        assert!(matches!(check, Command::Check { file } if file == "a.toml"));
        let print = parsed("millstream config --default").unwrap();
        assert!(matches!(print, Command::PrintDefault));
        assert!(parsed("millstream config").is_err());
    }

    #[test]
    fn clap_has_nothing_against_the_flags() {
        command().debug_assert();
    }

    #[test]
    fn a_check_explains_every_mistake() {
        let (good, said) = check("m.toml", "[server]\nshards = 70\n\n[limit]\n");
        assert!(!good);
        assert_eq!(
            said,
            "m.toml:2:10: shards: expected a whole number from 0 to 64, got 70\n  \
             2 | shards = 70\n    |          ^\n\
             m.toml:4:2: unknown section `limit`; did you mean `limits`? There are server, limits, logging, application\n  \
             4 | [limit]\n    |  ^\n\
             m.toml: 2 mistakes\n"
        );
        assert_eq!(
            check("m.toml", "[server]\nshards = 7\n"),
            (true, "m.toml: nothing is wrong\n".to_owned())
        );
    }

    #[test]
    fn the_banner_names_urls_that_work_here() {
        let mut config = Config::default();
        let any = ["0.0.0.0:1935".parse().unwrap(), "[::1]:7".parse().unwrap()];
        let text = banner(&config, &any, None);
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
        let text = banner(&config, &any[1..], None);
        assert!(
            text.contains("publish to   rtmp://[::1]:7/live/NAME\n"),
            "{text}"
        );
        assert!(text.contains("2 shards"), "{text}");
        assert!(!text.contains("other machines"), "{text}");
    }
}
