//! Streams and clients as JSON: the rows of all shards, in one order, a bounded number at a time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::limits;
use crate::media::directory::ShardId;
use crate::server::report::{Answer, ClientRow, StreamRow};

/// `{"streams": [...], "next": null}`; `next` is the `after` of the next page, if there is more.
pub(super) fn streams(answers: Vec<(ShardId, Answer)>) -> Value {
    let mut all: BTreeMap<String, StreamRow> = BTreeMap::new();
    let mut more = false;
    for (_, answer) in answers {
        let Answer::Streams(rows) = answer else {
            continue;
        };
        more |= rows.len() >= limits::REPORT_ROWS;
        for row in rows {
            match all.get_mut(&row.stream) {
                Some(known) => known.join(row),
                None => drop(all.insert(row.stream.clone(), row)),
            }
        }
    }
    more |= all.len() > limits::REPORT_ROWS;
    let rows: Vec<StreamRow> = all.into_values().take(limits::REPORT_ROWS).collect();
    let next = rows.last().filter(|_| more).map(|last| last.stream.clone());
    json!({ "streams": rows, "next": next })
}

/// `{"clients": [...], "next": null}`; `next` is the `from` of the next page, if there is more.
pub(super) fn clients(answers: Vec<(ShardId, Answer)>) -> Value {
    let mut all: Vec<ClientRow> = Vec::new();
    let mut more = false;
    for (_, answer) in answers {
        if let Answer::Clients(rows) = answer {
            more |= rows.len() >= limits::REPORT_ROWS;
            all.extend(rows);
        }
    }
    all.sort_by_key(|row| row.id);
    more |= all.len() > limits::REPORT_ROWS;
    all.truncate(limits::REPORT_ROWS);
    let next = all.last().filter(|_| more).map(|last| last.id + 1);
    json!({ "clients": all, "next": next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stream: &str, publisher: Option<u64>, players: u64) -> StreamRow {
        StreamRow {
            stream: stream.to_owned(),
            live: publisher.is_some(),
            publisher,
            age_ms: None,
            players,
            media: None,
        }
    }

    #[test]
    fn a_stream_of_many_shards_is_one_row() {
        let answers = vec![
            (
                0,
                Answer::Streams(vec![row("live/a", None, 2), row("live/c", None, 1)]),
            ),
            (1, Answer::Streams(vec![row("live/a", Some(7), 3)])),
            (
                2,
                Answer::Streams(vec![row("live/a", None, 4), row("live/b", None, 1)]),
            ),
        ];
        let page = streams(answers);
        let names: Vec<_> = page["streams"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["stream"])
            .collect();
        assert_eq!(names, ["live/a", "live/b", "live/c"]);
        assert_eq!(page["streams"][0]["players"], 9);
        assert_eq!(page["streams"][0]["publisher"], 7);
        assert_eq!(page["next"], Value::Null);
    }

    #[test]
    fn pages_are_bounded_and_go_on() {
        let rows = |from: usize| {
            let names = (from..from + limits::REPORT_ROWS).map(|n| format!("live/{n:06}"));
            Answer::Streams(names.map(|name| row(&name, None, 1)).collect())
        };
        let page = streams(vec![(0, rows(0)), (1, rows(500))]);
        assert_eq!(
            page["streams"].as_array().unwrap().len(),
            limits::REPORT_ROWS
        );
        assert_eq!(page["next"], format!("live/{:06}", limits::REPORT_ROWS - 1));
    }
}
