//! `millstream status`: what a running server says of its streams and clients, as a table for people.

use core::fmt::Write as _;

use serde_json::Value;

/// Where to ask, and what to show there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// `host:port`.
    pub authority: String,
    /// The server's `http_token`.
    pub token: Option<String>,
}

impl Place {
    /// The place of `url`: `http://host:port`.
    ///
    /// # Errors
    /// It is no such URL; the error is a sentence.
    pub fn of(url: &str, token: Option<String>) -> Result<Self, String> {
        let authority = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        let authority =
            authority.filter(|it| !it.is_empty() && !it.contains(['/', '?', '#', '@', ' ']));
        let Some(authority) = authority else {
            return Err(format!(
                "--url: expected http://host:port, such as http://127.0.0.1:8935, got {url:?}"
            ));
        };
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let port = if has_port { "" } else { ":80" };
        Ok(Self {
            authority: format!("{authority}{port}"),
            token,
        })
    }
}

/// What clears a terminal and goes to its corner (ECMA-48 ED, CUP).
pub const CLEAR: &str = "\x1b[2J\x1b[H";

/// The table of what `/api/v1/streams` and `/api/v1/clients` have said.
///
/// # Errors
/// That is not what a millstream says.
pub fn table(streams: &str, clients: &str) -> Result<String, String> {
    let rows = |text: &str, name: &str| {
        let page: Option<Value> = serde_json::from_str(text).ok();
        let rows = page.and_then(|mut page| match page.get_mut(name).map(Value::take) {
            Some(Value::Array(rows)) => Some((rows, !page.get("next").is_none_or(Value::is_null))),
            _ => None,
        });
        rows.ok_or_else(|| "what answers is no millstream".to_owned())
    };
    let (streams, more_streams) = rows(streams, "streams")?;
    let (clients, more_clients) = rows(clients, "clients")?;
    let mut text = String::new();
    let heads = [
        "STREAM", "FOR", "PLAYERS", "VIDEO", "SIZE", "AUDIO", "BITRATE", "GOP",
    ];
    lay_out(
        &mut text,
        &heads,
        streams.iter().map(stream).collect(),
        more_streams,
    );
    text.push('\n');
    let heads = [
        "CLIENT", "ADDRESS", "ROLE", "STREAM", "FOR", "LAG", "JUMPS", "IN", "OUT",
    ];
    lay_out(
        &mut text,
        &heads,
        clients.iter().map(client).collect(),
        more_clients,
    );
    Ok(text)
}

fn stream(row: &Value) -> Vec<String> {
    let media = &row["media"];
    let size = match (media["width"].as_u64(), media["height"].as_u64()) {
        (Some(width), Some(height)) => format!("{width}x{height}"),
        _ => "-".to_owned(),
    };
    let age = row["age_ms"].as_u64().map_or("waiting".to_owned(), time);
    vec![
        word(&row["stream"]),
        age,
        word(&row["players"]),
        list(&media["video"]),
        size,
        list(&media["audio"]),
        media["bitrate"]
            .as_u64()
            .map_or("-".to_owned(), |bits| format!("{} kbit/s", bits / 1_000)),
        media["gop_ms"].as_u64().map_or("-".to_owned(), time),
    ]
}

fn client(row: &Value) -> Vec<String> {
    vec![
        word(&row["id"]),
        word(&row["address"]),
        word(&row["role"]),
        word(&row["stream"]),
        row["age_ms"].as_u64().map_or("-".to_owned(), time),
        row["lag_ms"].as_u64().map_or("-".to_owned(), time),
        word(&row["jumps"]),
        bytes(&row["received"]),
        bytes(&row["sent"]),
    ]
}

/// Columns as wide as what is in them.
fn lay_out(text: &mut String, heads: &[&str], rows: Vec<Vec<String>>, more: bool) {
    let heads: Vec<String> = heads.iter().map(|&head| head.to_owned()).collect();
    let width = |column: usize| {
        let cells = rows
            .iter()
            .chain([&heads])
            .filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for row in [&heads].into_iter().chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if more {
        text.push_str("... and more\n");
    }
}

/// Text from strangers: what would steer a terminal is shown as a question mark.
fn word(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

fn list(value: &Value) -> String {
    let words: Vec<String> = value.as_array().into_iter().flatten().map(word).collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join("+")
    }
}

fn time(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}.{}s", millis / 100 % 10),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
    }
}

fn bytes(value: &Value) -> String {
    let bytes = value.as_u64().unwrap_or(0);
    for (unit, size) in [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)] {
        if bytes >= size {
            return format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_what_the_server_said() {
        let streams = r#"{"streams":[{"stream":"live/a","live":true,"publisher":1,"age_ms":65000,"players":2,"media":
            {"video":["H.264"],"audio":["AAC"],"width":1920,"height":1080,"frame_rate":30.0,"bitrate":2500999,"gop_ms":2000}},
            {"stream":"live/b\u001b[2J","live":false,"publisher":null,"age_ms":null,"players":1,"media":null}],"next":null}"#;
        let clients = r#"{"clients":[{"id":1,"address":"127.0.0.1:5","role":"publish","app":"live","stream":"live/a",
            "age_ms":7200000,"lag_ms":null,"jumps":0,"received":1234567,"sent":10,"media":null,"shard":0}],"next":2}"#;
        assert_eq!(
            table(streams, clients).unwrap(),
            "STREAM        FOR      PLAYERS  VIDEO  SIZE       AUDIO  BITRATE      GOP\n\
             live/a        1m05s    2        H.264  1920x1080  AAC    2500 kbit/s  2.0s\n\
             live/b?[2J    waiting  1        -      -          -      -            -\n\n\
             CLIENT  ADDRESS      ROLE     STREAM  FOR    LAG  JUMPS  IN      OUT\n\
             1       127.0.0.1:5  publish  live/a  2h00m  -    0      1.2 MB  10 B\n... and more\n"
                .replace("live/b?[2J    ", "live/b?[2J  ")
                .replace("STREAM        F", "STREAM      F")
                .replace("live/a        1", "live/a      1")
        );
        assert!(table("<html>", clients).is_err() && table("{}", clients).is_err());
    }

    #[test]
    fn places_are_urls() {
        let of = |url| Place::of(url, None).map(|place| place.authority);
        assert_eq!(of("http://127.0.0.1:8935").as_deref(), Ok("127.0.0.1:8935"));
        assert_eq!(of("http://[::1]:1/").as_deref(), Ok("[::1]:1"));
        assert_eq!(of("http://host").as_deref(), Ok("host:80"));
        for bad in ["https://host", "host:1", "http://", "http://host/x"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
