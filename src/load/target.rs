//! Where to publish to and play from: `rtmp://HOST[:PORT]/APP/NAME`, for one stream or many.

use crate::limits;

/// The port of RTMP (RTMP 1.0 §4).
const DEFAULT_PORT: u16 = 1935;
/// Where the number of the stream goes.
const PLACEHOLDER: &str = "{n}";

/// A URL taken apart: everything before the last `/` of the path is the application, as FFmpeg and OBS cut it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    host: String,
    port: u16,
    app: String,
    /// With its query.
    name: String,
}

/// Why a URL is none of ours.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// It is not `rtmp://HOST[:PORT]/APP/NAME`.
    #[error("expected rtmp://HOST[:PORT]/APP/NAME, got {got:?}")]
    Form {
        /// As it was given.
        got: String,
    },
    /// `rtmps://` and its like.
    #[error("{got:?}: only plain rtmp:// is spoken here")]
    Scheme {
        /// As it was given.
        got: String,
    },
    /// Longer than a server takes.
    #[error(
        "application and stream name may have {} bytes each, got {got:?}",
        limits::NAME_BYTES
    )]
    TooLong {
        /// As it was given.
        got: String,
    },
}

impl Target {
    /// Takes `url` apart.
    ///
    /// # Errors
    /// See [`TargetError`].
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let got = || url.to_owned();
        let form = || TargetError::Form { got: got() };
        let Some(rest) = url.strip_prefix("rtmp://") else {
            return Err(match url.split_once("://") {
                Some((scheme, _)) if scheme.starts_with("rtmp") => {
                    TargetError::Scheme { got: got() }
                }
                _ => form(),
            });
        };
        let (authority, path) = rest.split_once('/').ok_or_else(form)?;
        let (host, port) = authority_of(authority).ok_or_else(form)?;
        let (plain, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let (app, name) = plain
            .trim_end_matches('/')
            .rsplit_once('/')
            .ok_or_else(form)?;
        if app.is_empty() || name.is_empty() {
            return Err(form());
        }
        let name = format!("{name}{query}");
        if app.len().max(name.len()) > limits::NAME_BYTES {
            return Err(TargetError::TooLong { got: got() });
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            name,
        })
    }

    /// The server's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Application and name (with its query) of stream `number` of `streams`, counted from 1: `{n}` becomes the number;
    /// where there is none and there are several streams, `-NUMBER` is appended to the name.
    pub fn stream(&self, number: usize, streams: usize) -> (String, String) {
        let text = number.to_string();
        let app = self.app.replace(PLACEHOLDER, &text);
        let mut name = self.name.replace(PLACEHOLDER, &text);
        let numbered = self.app.contains(PLACEHOLDER) || self.name.contains(PLACEHOLDER);
        if streams > 1 && !numbered {
            let end = name.find('?').unwrap_or(name.len());
            name.insert_str(end, &format!("-{text}"));
        }
        (app, name)
    }

    /// `connect`'s tcUrl for an application.
    pub fn tc_url(&self, app: &str) -> String {
        let host = &self.host;
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        match self.port {
            DEFAULT_PORT => format!("rtmp://{host}/{app}"),
            port => format!("rtmp://{host}:{port}/{app}"),
        }
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn authority_of(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (
                host,
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    let port = match port? {
        "" if !authority.ends_with(':') => DEFAULT_PORT,
        port => port.parse().ok().filter(|port| *port > 0)?,
    };
    (!host.is_empty() && !host.contains('@')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, host, port, app, name) in [
            ("rtmp://a/live/x", "a", 1935, "live", "x"),
            ("rtmp://a:7/live/b/x/", "a", 7, "live/b", "x"),
            ("rtmp://[::1]:7/l/x?k=/1", "::1", 7, "l", "x?k=/1"),
            ("rtmp://[::1]/l/x", "::1", 1935, "l", "x"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.host(), target.port()), (host, port), "{url}");
            assert_eq!(target.stream(1, 1), (app.to_owned(), name.to_owned()));
        }
        let target = Target::parse("rtmp://[::1]:7/l/x").unwrap();
        assert_eq!(target.tc_url("l"), "rtmp://[::1]:7/l");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in [
            "rtmp://a/live",
            "rtmp://a",
            "rtmp:///live/x",
            "rtmp://a:/live/x",
            "rtmp://a:0/live/x",
            "rtmp://a:99999/live/x",
            "rtmp://[::1/live/x",
            "rtmp://[::1]x/live/x",
            "rtmp://u:p@a/live/x",
            "rtmp://a//x",
            "http://a/live/x",
            "a/live/x",
            "",
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(matches!(error, TargetError::Form { .. }), "{url}: {error}");
        }
        let secure = Target::parse("rtmps://a/live/x").unwrap_err().to_string();
        assert_eq!(
            secure,
            "\"rtmps://a/live/x\": only plain rtmp:// is spoken here"
        );
        let long = format!("rtmp://a/live/{}", "x".repeat(limits::NAME_BYTES + 1));
        assert!(matches!(
            Target::parse(&long),
            Err(TargetError::TooLong { .. })
        ));
    }

    #[test]
    fn many_streams_have_numbers() {
        let name = |url: &str, n, of| Target::parse(url).unwrap().stream(n, of);
        let pair = |app: &str, name: &str| (app.to_owned(), name.to_owned());
        assert_eq!(name("rtmp://a/l/x", 1, 1), pair("l", "x"));
        assert_eq!(name("rtmp://a/l/x?k", 3, 4), pair("l", "x-3?k"));
        assert_eq!(name("rtmp://a/l{n}/x", 3, 4), pair("l3", "x"));
        assert_eq!(name("rtmp://a/l/x{n}y", 1, 1), pair("l", "x1y"));
    }
}
