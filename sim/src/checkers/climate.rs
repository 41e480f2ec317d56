//! What a world is like: how late things may come in it without anybody being to blame.

use millstream::config::OnConflict;
use millstream::limits;
use millstream::time::Duration;

use crate::scenario::{Format, Scenario, Tight};

/// The windows below which a link takes its time with a single frame.
const ROOMY: usize = 32 * 1_024;

/// A world's weather, as far as checkers judge by it.
#[derive(Clone, Copy, Debug)]
pub struct Climate {
    /// How long a segment takes at most on a link that is not held.
    pub latency: Duration,
    /// Links are never held or cut, the server never goes down, clocks run as they should: what does not come is the
    /// server's doing.
    pub steady: bool,
    /// Steady, nothing stalls, mail is prompt, mailboxes and windows are wide: what comes, comes promptly.
    pub gentle: bool,
    /// Mailboxes have their full size: no shard lags behind another.
    pub full: bool,
    /// How much later than at once a message between the server's threads may come.
    pub mail: Duration,
    /// How long frames may be kept for others.
    pub merge: Duration,
    /// Frames that the server's rings hold at least.
    pub ring_frames: usize,
    /// Streams that the application `few` may have.
    pub few_streams: Option<usize>,
    /// What the application `tight` bounds.
    pub tight: Option<Tight>,
    /// Connections that one address may have.
    pub per_address: Option<usize>,
    /// Bytes that may be under way to a client at most.
    pub downstream: usize,
    /// How long a graceful stop waits for connections.
    pub drain: Duration,
    /// What becomes of the second publisher of a name.
    pub on_conflict: OnConflict,
    /// How long a stream waits for a publisher that vanished.
    pub grace: Duration,
    /// What becomes of recordings, if they can be played.
    pub archive: Option<Archive>,
    /// Everything is recorded, in files of this kind.
    pub recorded: Option<Format>,
}

/// What becomes of recordings.
#[derive(Clone, Copy, Debug)]
pub struct Archive {
    /// Each is in one file: nothing cuts them.
    pub whole: bool,
    /// Their disk does what it is told, at once.
    pub sound: bool,
    /// The clocks by which they are played are right.
    pub paced: bool,
    /// What the files are made of.
    pub format: Format,
}

impl Archive {
    fn of(scenario: &Scenario) -> Option<Self> {
        let record = scenario.server.record.filter(|record| record.vod)?;
        Some(Self {
            whole: record.segment_ms == 0 && record.segment_bytes == 0,
            sound: scenario.disk.are_off(),
            paced: scenario.clocks.are_right(),
            format: record.format,
        })
    }
}

impl Climate {
    /// The climate of `scenario`.
    pub fn of(scenario: &Scenario) -> Self {
        let faults = &scenario.faults;
        let steady = scenario.network.events.is_empty()
            && scenario.outages.is_empty()
            && scenario.clocks.are_right();
        let roomy = faults.upstream_window[0] >= ROOMY && faults.downstream_window[0] >= ROOMY;
        // A shard that lags waits for the next batch.
        let full = scenario.server.mailbox_backlog.is_none() && scenario.buggify <= 0.0;
        Self {
            latency: Duration::from_millis(
                scenario.network.latency_ms[1] + scenario.network.tick_ms,
            ),
            steady,
            full,
            gentle: steady && roomy && faults.stalls <= 0.0 && scenario.mail.is_prompt() && full,
            mail: match scenario.mail.is_prompt() {
                true => Duration::ZERO,
                false => Duration::from_millis(scenario.mail.late_ms),
            },
            merge: Duration::from_millis(scenario.server.merge_ms.unwrap_or(0)),
            // Of a small ring nobody outside can say what it holds: headers come into it again and again.
            ring_frames: match (scenario.server.ring_frames, scenario.server.media_bytes) {
                (Some(_), _) | (_, Some(_)) => 0,
                (None, None) => limits::RING_FRAMES_DEFAULT,
            },
            few_streams: scenario.server.few.map(|few| few.streams),
            tight: scenario.server.tight,
            per_address: scenario.server.connections_per_address,
            downstream: faults.downstream_window[1],
            on_conflict: scenario.server.on_conflict(),
            grace: scenario.server.grace(),
            recorded: scenario.server.record.map(|record| record.format),
            archive: Archive::of(scenario),
            drain: scenario
                .server
                .drain_ms
                .map_or(limits::DRAIN_DEFAULT, Duration::from_millis),
        }
    }

    /// How long `bytes` may take from a publisher through the server to a player, on links that carry nothing else.
    pub fn carries(&self, bytes: u64) -> Duration {
        // A window goes out a round trip at most, first up and then down.
        let round_trip = self.latency * 2 + Duration::from_millis(20);
        let trips = 2 * (bytes / ROOMY as u64 + 1);
        round_trip * u32::try_from(trips).unwrap_or(u32::MAX) + self.merge
    }
}
