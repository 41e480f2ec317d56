//! What a world is like: how late things may come in it without anybody being to blame.

use millstream::limits;
use millstream::time::Duration;

use crate::scenario::Scenario;

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
    /// Connections that one address may have.
    pub per_address: Option<usize>,
    /// Bytes that may be under way to a client at most.
    pub downstream: usize,
    /// How long a graceful stop waits for connections.
    pub drain: Duration,
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
            ring_frames: match scenario.server.ring_frames {
                Some(_) => 0,
                None => limits::RING_FRAMES_DEFAULT,
            },
            few_streams: scenario.server.few.map(|few| few.streams),
            per_address: scenario.server.connections_per_address,
            downstream: faults.downstream_window[1],
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
