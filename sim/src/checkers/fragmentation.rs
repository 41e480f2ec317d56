//! However the input is cut, the server understands the same.

use std::collections::{BTreeMap, BTreeSet};

use super::library::Library;
use super::{Checker, Publication, is_servers_own};
use crate::faults::FaultConfig;
use crate::journal::Observation;
use crate::scenario::{Connect, FORMAT, Scenario, Script, SendMedia, Step, Stream, Within};
use crate::seed;
use crate::world;

/// Invariant 10 of the reference: frames whose publisher's bytes were read in cut pieces come out like all others; what
/// comes out is no frame of anybody's if a cut mattered. [`same_in_any_cut`] compares whole transcripts besides.
#[derive(Default)]
pub struct Fragmentation {
    library: Library,
    /// Whose present connection had its reads cut short.
    cut: BTreeSet<String>,
    /// The publications on such connections, by name of the stream.
    broadcasts: BTreeMap<Publication, bool>,
    exercised: u64,
}

impl Fragmentation {
    /// With the library that it shares with the others.
    pub(super) fn with(library: Library) -> Self {
        Self {
            library,
            ..Self::default()
        }
    }
}

impl Checker for Fragmentation {
    fn name(&self) -> &'static str {
        "cuts make no difference"
    }

    fn observe(&mut self, who: &str, seen: &Observation) -> Result<(), String> {
        self.library.learn(who, seen);
        match seen {
            Observation::Dials => {
                self.cut.remove(who);
            }
            Observation::ShortRead => {
                self.cut.insert(who.into());
            }
            Observation::Sent { publication, .. } => {
                let cut = self.cut.contains(who);
                let publication = (who.into(), *publication);
                *self.broadcasts.entry(publication).or_default() |= cut;
            }
            Observation::Received { payload, .. } if !is_servers_own(payload) => {
                match self.library.find(payload) {
                    Some(entry) => {
                        let cut = self.broadcasts.get(&entry.publication);
                        self.exercised += u64::from(cut == Some(&true));
                    }
                    None if !self.cut.is_empty() => {
                        return Err(format!(
                            "{who} got {} bytes that nobody sent; reads were cut short of {:?}",
                            payload.len(),
                            self.cut
                        ));
                    }
                    None => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

/// Plays the broadcast of `seed` to one player, once with every read whole and once with nearly every read cut, and
/// compares what the player got: each message, its time and its bytes, and what it was told. Returns how many there are.
///
/// # Errors
/// The first difference, or what a checker found in either world.
pub fn same_in_any_cut(seed: u64) -> Result<usize, String> {
    let rng = &mut seed::rng(seed, "cuts");
    let faults = FaultConfig {
        short_reads: 0.9,
        short_writes: 0.5,
        spurious_pending: 0.1,
        single_bytes: rng.u8(..3) == 0,
        ..FaultConfig::default()
    };
    let mut scenario = broadcast(seed)?;
    let whole = transcript(&scenario)?;
    scenario.faults = faults;
    let cut = transcript(&scenario)?;
    let differs = whole.iter().zip(&cut).find(|(one, other)| one != other);
    if let Some((one, other)) = differs {
        return Err(format!("whole reads: {one}; cut reads: {other}"));
    }
    match whole.len() == cut.len() {
        true => Ok(whole.len()),
        false => Err(format!(
            "{} messages, and {} of cut reads",
            whole.len(),
            cut.len()
        )),
    }
}

/// A player that waits, and the broadcast that it waits for.
fn broadcast(seed: u64) -> Result<Scenario, String> {
    let rng = &mut seed::rng(seed, "cuts/broadcast");
    let stream = Stream {
        name: "cuts".into(),
        may_be_refused: false,
    };
    let connect = |chunk_size| {
        Step::Connect(Connect {
            chunk_size,
            ..Connect::default()
        })
    };
    let media = SendMedia {
        frames: 60,
        paced: false,
        aggregate: [0, 4][rng.usize(..2)],
        first_timestamp: [0, 0x00ff_ff80, 0xffff_ff80][rng.usize(..3)],
        ..SendMedia::default()
    };
    let chunk_size = [128, 500, 60_000][rng.usize(..3)];
    let publishes = vec![
        connect(chunk_size),
        Step::Publish(stream.clone()),
        Step::SendMedia(media.clone()),
        Step::AbortMessage,
        Step::SendMedia(media),
        Step::Close,
    ];
    let plays = vec![
        connect(4_096),
        Step::Play(stream),
        Step::WaitForEnd(Within { within_ms: 60_000 }),
        Step::Close,
    ];
    let scripts = [("publisher", 2_000, publishes), ("player", 50, plays)];
    let clients = scripts.map(|(name, start_ms, steps)| Script {
        name: name.into(),
        host: 0,
        start_ms,
        steps,
    });
    let nothing = serde_json::json!({"format": FORMAT, "seed": seed, "clients": []});
    let nothing: Scenario = serde_json::from_value(nothing).map_err(|error| error.to_string())?;
    Ok(Scenario {
        clients: clients.into(),
        ..nothing
    })
}

fn transcript(scenario: &Scenario) -> Result<Vec<String>, String> {
    let report = world::run_with(scenario, true);
    if let Some(violation) = report.violations.first() {
        return Err(format!("{}: {}", violation.checker, violation.what));
    }
    let heard = |seen: &Observation| {
        matches!(
            seen,
            Observation::Received { .. } | Observation::Told { .. }
        )
    };
    let of_player = report.events.iter().filter(|event| &*event.who == "player");
    let lines = of_player.filter(|event| heard(&event.seen));
    Ok(lines.map(|event| event.seen.to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{frames, received, sent};
    use super::*;

    #[test]
    fn what_comes_out_of_cut_reads_is_counted_and_judged() {
        let frames = frames("alice", 0, 5);
        let mut checker = Fragmentation::default();
        assert_eq!(checker.observe("alice", &sent(0, 3, &frames[3])), Ok(()));
        assert_eq!(checker.observe("bob", &received(&frames[3])), Ok(()));
        assert_eq!(checker.exercised(), 0, "its reads were whole");
        assert_eq!(checker.observe("alice", &Observation::ShortRead), Ok(()));
        assert_eq!(checker.observe("alice", &sent(0, 4, &frames[4])), Ok(()));
        assert_eq!(checker.observe("bob", &received(&frames[4])), Ok(()));
        assert_eq!(checker.exercised(), 1);
        assert!(checker.observe("bob", &received(&frames[2])).is_err());
    }

    #[test]
    fn transcripts_are_the_same_in_any_cut() {
        for seed in 0..4 {
            let messages = same_in_any_cut(seed);
            assert!(messages.as_ref().is_ok_and(|n| *n > 100), "{messages:?}");
        }
    }
}
