//! What the server is told before it starts, and while it runs: text in, a checked [`Config`] out.
//!
//! Three layers, each over the one before: the file (`millstream.toml`), the environment (`MILLSTREAM_*`), the command
//! line. All three go through one table of [keys](KEYS), so a value means the same, and is refused with the same words,
//! wherever it was written. Reading files and the environment is the caller's.
//!
//! * [`KEYS`]: every key with its section, bounds and words;
//! * [`Applications`]: what streams may have of their own, by the application they belong to;
//! * [`default_file`]: all of it as a file.

mod application;
mod choice;
mod connections;
mod default;
mod file;
mod http;
mod keys;
mod naming;
mod place;
mod record;
mod value;

use core::net::{Ipv4Addr, SocketAddr};

pub use application::{AppSettings, AppTable, Applications};
pub use choice::{
    Backend, Container, LogFormat, LogLevel, Missing, OnConflict, Record, RecordFormat,
};
pub use connections::ConnectionLimits;
pub use default::default_file;
pub use http::{HTTP_DEFAULT, HttpListen, Token};
pub use keys::{KEYS, Key, Section};
pub use naming::{NamePattern, Naming, NotAPattern, spelt};
pub use place::{ConfigError, Place};
pub use record::Directory;
pub use value::{Kind, Setting};

use crate::limits;
use crate::time::Duration;
use value::Written;

/// The port of RTMP (RTMP 1.0 §4), left out of URLs.
pub const DEFAULT_PORT: u16 = 1935;

/// Everything that can be set. Made by layers from [`Config::default`]; every field within the bounds of [its key](KEYS).
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
    /// Bytes of Set Peer Bandwidth (RTMP 1.0 §5.4.5), from [`limits::WINDOW_MIN`] on.
    pub peer_bandwidth: u32,
    /// Bytes of Window Acknowledgement Size (RTMP 1.0 §5.4.4), from [`limits::WINDOW_MIN`] on.
    pub window_ack_size: u32,
    /// How long a graceful stop may take, at most [`limits::DRAIN_MAX`].
    pub drain: Duration,
    /// What connections may cost.
    pub limits: ConnectionLimits,
    /// Where operators ask by HTTP.
    pub http: HttpListen,
    /// What they must show. Needed where [`Config::http`] is no loopback address.
    pub http_token: Token,
    /// Files that are played under the application `vod`; empty: none.
    pub vod: Directory,
    /// How much the log says.
    pub log: LogLevel,
    /// What a line of the log looks like.
    pub log_format: LogFormat,
    /// What streams may have of their own.
    pub applications: Applications,
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
            peer_bandwidth: limits::PEER_BANDWIDTH_DEFAULT,
            window_ack_size: limits::WINDOW_ACK_SIZE_DEFAULT,
            drain: limits::DRAIN_DEFAULT,
            limits: ConnectionLimits::default(),
            http: HttpListen::Auto,
            http_token: Token::default(),
            vod: Directory::default(),
            log: LogLevel::Info,
            log_format: LogFormat::Text,
            applications: Applications::default(),
        }
    }
}

impl Config {
    /// Lays the settings of a TOML text over this one. `file` only names it in errors.
    ///
    /// # Errors
    /// Text that is no TOML, a key we do not know, a value out of its bounds. The first in the text is told.
    pub fn apply_toml(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let errors = self.read_toml(file, text);
        errors.into_iter().next().map_or(Ok(()), Err)
    }

    /// The same; returns everything that is wrong with the text, in the order of the text. What is right is taken.
    pub fn read_toml(&mut self, file: &str, text: &str) -> Vec<ConfigError> {
        file::File::new(file, text, self).apply()
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
            let Some(key) = KEYS.iter().find(|key| key.variable() == name) else {
                continue;
            };
            let parts: Vec<&str> = match key.kind {
                Kind::Addresses => text.split(',').map(str::trim).collect(),
                _ => vec![text.trim()],
            };
            self.apply_text(key, &parts, Place::Variable(name))?;
        }
        Ok(())
    }

    /// Lays one flag's value over this one; several values only for [`Kind::Addresses`].
    ///
    /// # Errors
    /// A value out of its bounds.
    pub fn apply_flag(&mut self, key: &Key, values: &[&str]) -> Result<(), ConfigError> {
        self.apply_text(key, values, Place::Flag(format!("--{}", key.flag())))
    }

    /// Checks the bounds of a configuration that a program filled in by itself.
    ///
    /// # Errors
    /// The first key that is out of its bounds.
    pub fn check(&self) -> Result<(), ConfigError> {
        for key in KEYS {
            let value = key.value(self);
            if !key.kind.admits(&value) {
                return Err(ConfigError {
                    place: Place::Field(key.name),
                    what: format!("expected {}, got {value}", key.kind),
                });
            }
        }
        match self.http {
            HttpListen::At(address)
                if !address.ip().to_canonical().is_loopback() && self.http_token.is_none() =>
            {
                Err(ConfigError {
                    place: Place::Field("http"),
                    what: format!(
                        "{address} can be reached from other machines, and whoever reaches it may end streams: set \
                         http_token (MILLSTREAM_HTTP_TOKEN), or listen on 127.0.0.1"
                    ),
                })
            }
            _ => Ok(()),
        }
    }

    fn apply_text(&mut self, key: &Key, parts: &[&str], place: Place) -> Result<(), ConfigError> {
        let written = match parts {
            [one] => Written::in_text(key.kind, one),
            many => Written::List(
                many.iter()
                    .map(|one| (0..0, Written::in_text(key.kind, one)))
                    .collect(),
            ),
        };
        match key.kind.read(&written) {
            Ok(setting) => {
                key.set(self, setting);
                Ok(())
            }
            Err(fault) => Err(ConfigError {
                place,
                what: fault.what,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
