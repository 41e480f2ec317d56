//! Names as clients split them: application, stream, query.
//!
//! Clients cut `rtmp://host/a/b/c` in different places: OBS and librtmp put all but the key into the application, FFmpeg
//! takes one or two segments. So streams are compared by [`path`], application and name joined.

/// An application or stream name and the query behind it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Name {
    /// Without query, outer or doubled slashes, or the default instance `_definst_`.
    pub path: String,
    /// Behind the first `?`, without it; empty if there is none.
    pub query: String,
}

/// Splits `connect`'s application: `/live/_definst_?token=x` is `live` and `token=x`.
pub fn application(raw: &str) -> Name {
    let (path, query) = split_query(raw);
    Name {
        path: tidy(path),
        query: query.to_owned(),
    }
}

/// Splits a stream name as `publish`, `play` and their kin carry it: `key?user=a` is `key` and `user=a`.
pub fn stream_name(raw: &str) -> Name {
    // The same rules: FFmpeg leaves `_definst_/key` here when the application is a single segment.
    application(raw)
}

/// What a stream is known by: `app/name`.
pub fn path(app: &str, name: &str) -> String {
    match (app.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (false, true) => app.to_owned(),
        (false, false) => format!("{app}/{name}"),
    }
}

/// What stands before and behind the first `?`.
fn split_query(raw: &str) -> (&str, &str) {
    raw.split_once('?').unwrap_or((raw, ""))
}

/// Drops empty segments, and the default instance at either end.
fn tidy(path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    if segments.last() == Some(&"_definst_") {
        segments.pop();
    }
    if segments.first() == Some(&"_definst_") {
        segments.remove(0);
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(raw: &str) -> (String, String) {
        let Name { path, query } = application(raw);
        (path, query)
    }

    #[test]
    fn applications_and_names_are_tidied() {
        for (raw, path, query) in [
            ("live", "live", ""),
            ("/live/", "live", ""),
            ("live/_definst_", "live", ""),
            ("live/_definst_/", "live", ""),
            ("_definst_/key", "key", ""),
            ("live?token=abc123", "live", "token=abc123"),
            ("live/?token=a?b/c", "live", "token=a?b/c"),
            ("a//b", "a/b", ""),
            ("key?", "key", ""),
            ("", "", ""),
            ("/", "", ""),
            ("_definst_", "", ""),
            ("?x", "", "x"),
            ("ключ?x=ü", "ключ", "x=ü"),
        ] {
            assert_eq!(split(raw), (path.to_owned(), query.to_owned()), "{raw}");
        }
    }

    #[test]
    fn every_way_to_cut_a_url_is_one_stream() {
        for (app, name) in [
            ("a/b", "c"),
            ("a", "b/c"),
            ("", "a/b/c"),
            ("/a/b/", "/c"),
            ("a/_definst_", "b/c?k=1"),
        ] {
            let joined = path(&application(app).path, &stream_name(name).path);
            assert_eq!(joined, "a/b/c", "{app} + {name}");
        }
        assert_eq!(path("live", ""), "live");
    }
}
