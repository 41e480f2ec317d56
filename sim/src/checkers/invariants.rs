//! All invariants of the simulation reference (§8) and of what the server has learnt since, and what proves that each was checked.

use core::borrow::Borrow;
use std::collections::BTreeMap;

/// One invariant.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// Its number in the reference.
    pub number: u8,
    /// What must hold.
    pub rule: &'static str,
    /// The counts of real checks, as reports name them; all must have happened.
    pub counts: &'static [&'static str],
    /// The tests that check it beside, or instead.
    pub tests: &'static [&'static str],
}

const fn checked(number: u8, rule: &'static str, counts: &'static [&'static str]) -> Invariant {
    Invariant {
        number,
        rule,
        counts,
        tests: &[],
    }
}

/// The table.
pub const ALL: [Invariant; 30] = [
    checked(
        1,
        "a player gets an ordered selection of whole messages, unaltered",
        &["ordered selection", "players see what they must"],
    ),
    checked(2, "time never goes backwards", &["time goes forward"]),
    checked(
        3,
        "metadata and sequence headers before media",
        &["headers and a keyframe first"],
    ),
    checked(
        4,
        "the first picture is a keyframe",
        &[
            "headers and a keyframe first",
            "keyframes for those who came later",
        ],
    ),
    checked(
        5,
        "behind a gap a keyframe, and no header is lost",
        &[
            "headers and a keyframe first",
            "headers of all tracks of one message",
        ],
    ),
    checked(6, "one publisher a name", &["one publisher a name"]),
    checked(
        7,
        "every player is told once that the publisher has gone",
        &["the end of a stream is told once", "ends in good order"],
    ),
    checked(8, "no media crosses names", &["ordered selection"]),
    checked(
        9,
        "the chunk size changes with SetChunkSize only",
        &["chunks as long as announced", "chunks of an announced size"],
    ),
    Invariant {
        number: 10,
        rule: "input means the same however it is cut",
        counts: &["cuts make no difference"],
        tests: &["checkers::fragmentation::tests::transcripts_are_the_same_in_any_cut"],
    },
    checked(
        11,
        "no media before handshake, connect, publish and play",
        &["no media before its time", "media of refused publications"],
    ),
    checked(12, "one answer a command", &["one answer a question"]),
    Invariant {
        number: 13,
        rule: "acknowledgements come in time and count right",
        counts: &["acknowledgements", "acknowledgements up to the end"],
        tests: &["rtmp::session::flow::tests::acknowledges_at_half_the_window_and_across_the_wrap"],
    },
    checked(
        14,
        "malformed input closes its connection only, and nothing panics",
        &["offenders are closed", "no needless close"],
    ),
    checked(
        15,
        "memory of a connection is bounded",
        &["memory of a connection"],
    ),
    checked(
        16,
        "slow players delay nobody",
        &["slow players slow nobody down"],
    ),
    checked(
        17,
        "timeouts fire in time",
        &[
            "handshakes timed out",
            "idle connections timed out",
            "silent publishers timed out",
            "stalled writes timed out",
        ],
    ),
    checked(
        18,
        "after the faults a fresh publish and play show a keyframe",
        &["a fresh play after the faults"],
    ),
    checked(
        19,
        "nothing is left at the end",
        &["an empty world at the end"],
    ),
    checked(
        20,
        "a graceful stop ends in time",
        &[
            "a graceful stop",
            "connections let go by a stop",
            "clients asked to reconnect",
        ],
    ),
    checked(21, "polls are bounded", &["polls within their budget"]),
    Invariant {
        number: 22,
        rule: "the same scenario gives the same trace",
        counts: &[],
        tests: &["determinism"],
    },
    checked(
        23,
        "a flood is kept to its bounds, and keeps nobody out when it is over",
        &["bounds on connections", "refused flooders"],
    ),
    checked(
        24,
        "an application has as many streams and as much patience as it is configured to",
        &[
            "what an application has of its own",
            "told that a stream is missing",
        ],
    ),
    checked(
        25,
        "players are no later and lose frames no more often, joiners get no more, publishers send no more than is configured",
        &[
            "what an application bounds",
            "late players",
            "joiners of a bounded cache",
            "frames lost for lateness",
            "publishers with too much",
        ],
    ),
    checked(
        26,
        "what an operator ends is ended, and told to whom it concerns",
        &["an operator's orders", "words about an operator's orders"],
    ),
    checked(
        27,
        "metrics agree with what was seen",
        &["metrics add up", "pictures lost on the way to players"],
    ),
    checked(
        28,
        "recordings are what was published, from file to file, and are finished or made whole",
        &[
            "recordings are what was published",
            "recordings behind others",
            "recordings left by a server that died",
            "recordings of samples",
        ],
    ),
    checked(
        29,
        "recordings are played as they are, from a keyframe at or before the place that was sought",
        &[
            "recordings are played as they are",
            "places sought in recordings",
            "recordings held",
        ],
    ),
    checked(
        30,
        "who holds a live stream that is recorded, or goes back in it, gets everything from there on",
        &[
            "who goes back gets what was published",
            "players that sought in live streams",
            "players that held streams which are recorded",
        ],
    ),
];

impl core::fmt::Display for Invariant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({})", self.number, self.rule)
    }
}

impl Invariant {
    /// How often it was checked, by the summed counts of a sweep's reports: the rarest of what it consists of. `None` if
    /// tests alone check it.
    pub fn checked<K: Borrow<str> + Ord>(&self, exercised: &BTreeMap<K, u64>) -> Option<u64> {
        let counts = self.counts.iter();
        counts
            .map(|name| exercised.get(*name).copied().unwrap_or(0))
            .min()
    }
}

/// Those of [`ALL`] that were never checked, neither by a sweep with these counts nor by a test of their own.
pub fn unchecked<K: Borrow<str> + Ord>(exercised: &BTreeMap<K, u64>) -> Vec<&'static Invariant> {
    let unchecked = |invariant: &&Invariant| invariant.checked(exercised) == Some(0);
    ALL.iter().filter(unchecked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_and_proved_by_something() {
        assert!(ALL.iter().map(|one| one.number).eq(1..=30));
        assert!(
            ALL.iter()
                .all(|one| !one.counts.is_empty() || !one.tests.is_empty())
        );
        let nothing: BTreeMap<String, u64> = BTreeMap::new();
        assert_eq!(unchecked(&nothing).len(), 29);
        let all: BTreeMap<_, _> = ALL
            .iter()
            .flat_map(|one| one.counts)
            .map(|name| (*name, 1))
            .collect();
        assert!(unchecked(&all).is_empty());
    }
}
