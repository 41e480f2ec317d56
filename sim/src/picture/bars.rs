//! What lasted: connections, publications, plays.

use std::collections::BTreeMap;

use millstream::time::Duration;

use super::micros;
use crate::journal::{Event, Observation};

/// What lasts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stretch {
    /// A connection, from the SYN on.
    Connected,
    /// A publication, from the server's word on.
    Publishing,
    /// A play, from the server's word on.
    Playing,
}

/// A stretch of time in a lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bar {
    /// In which lane.
    pub lane: usize,
    /// What lasted.
    pub stretch: Stretch,
    /// From, microseconds.
    pub from: u64,
    /// To, microseconds.
    pub to: u64,
    /// The name that is published or played.
    pub label: String,
}

/// Of a connection that only stops speaking, or closes its stream, something remains.
fn ends_the_connection(why: &str) -> bool {
    why != "closes its stream" && why != "half-closes"
}

/// The bars of all lanes, in order of their ends.
pub(super) fn bars(events: &[Event], lanes: &BTreeMap<&str, usize>, lasted: Duration) -> Vec<Bar> {
    let mut open: BTreeMap<(usize, Stretch), (u64, String)> = BTreeMap::new();
    let mut bars = Vec::new();
    let mut end = |open: &mut BTreeMap<_, _>, lane, stretch, to| {
        if let Some((from, label)) = open.remove(&(lane, stretch)) {
            bars.push(Bar {
                lane,
                stretch,
                from,
                to,
                label,
            });
        }
    };
    for event in events {
        let (Some(lane), at) = (lanes.get(&*event.who).copied(), micros(event.at)) else {
            continue;
        };
        let begins = match &event.seen {
            Observation::Dials => Some((Stretch::Connected, "")),
            Observation::Publishes { name } => Some((Stretch::Publishing, &**name)),
            Observation::Plays { name } => Some((Stretch::Playing, &**name)),
            _ => None,
        };
        if let Some((stretch, label)) = begins {
            end(&mut open, lane, stretch, at);
            open.insert((lane, stretch), (at, label.to_owned()));
        }
        let whole = match &event.seen {
            Observation::LetsGo { why } => Some(ends_the_connection(why)),
            Observation::Lost { .. } => Some(true),
            _ => None,
        };
        // A second play ends with the connection it shares.
        let beside = lanes.get(&*format!("{}/2", event.who)).copied();
        for lane in [Some(lane), beside].into_iter().flatten() {
            if let Some(whole) = whole {
                end(&mut open, lane, Stretch::Publishing, at);
                end(&mut open, lane, Stretch::Playing, at);
                if whole {
                    end(&mut open, lane, Stretch::Connected, at);
                }
            }
        }
    }
    let last = u64::try_from(lasted.as_micros()).unwrap_or(u64::MAX);
    let left: Vec<(usize, Stretch)> = open.keys().copied().collect();
    for (lane, stretch) in left {
        end(&mut open, lane, stretch, last);
    }
    bars
}
