//! What a connection must do by when. Times are checked lazily: activity only stores a number, and one timer per
//! connection is re-armed when it fires too early.

use crate::limits;
use crate::planted::{Bug, planted};
use crate::time::Instant;

/// What a connection is there for, by its most demanding role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// No handshake yet.
    Handshake,
    /// Neither publishes nor plays.
    Command,
    /// Publishes (and perhaps plays).
    Publish,
    /// Plays.
    Play,
}

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// A ping, to find out whether the peer's host is still there.
    Ping,
    /// The connection's end, with the rule that was broken.
    Close(&'static str),
}

/// The moments that matter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// The current stage, and since when.
    pub(super) stage: Stage,
    pub(super) since: Instant,
    /// The last byte from the peer.
    pub(super) last_input: Instant,
    pub(super) last_ping: Instant,
    /// Since when the socket has taken nothing.
    pub(super) blocked_since: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stage: Stage::Handshake,
            since: now,
            last_input: now,
            last_ping: now,
            blocked_since: None,
        }
    }

    /// The stage is `stage` from `now` on (or still).
    pub(super) fn enter(&mut self, stage: Stage, now: Instant) {
        if self.stage != stage {
            self.stage = stage;
            self.since = now;
        }
    }

    /// What is due next, and when.
    pub(super) fn next(&self) -> (Instant, Due) {
        let staged = match self.stage {
            Stage::Handshake => (
                self.since + limits::HANDSHAKE_TIME,
                Due::Close("no complete handshake within the handshake time"),
            ),
            Stage::Command => (
                self.since + limits::COMMAND_TIME,
                Due::Close("neither publish nor play within the command time"),
            ),
            Stage::Publish => (
                self.last_input.max(self.since) + limits::PUBLISHER_IDLE,
                Due::Close("the publisher has been silent for the idle time"),
            ),
            Stage::Play => (
                self.last_input.max(self.last_ping) + limits::PING_INTERVAL,
                Due::Ping,
            ),
        };
        match self.blocked_since.map(|since| since + limits::WRITE_STALL) {
            Some(at) if at < staged.0 && !planted(Bug::StallNeverEnds) => (
                at,
                Due::Close("the peer has taken nothing from us for the stall time"),
            ),
            _ => staged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn a_stage_counts_from_its_beginning() {
        let mut deadlines = Deadlines::new(at(100));
        assert_eq!(deadlines.next().0, at(100) + limits::HANDSHAKE_TIME);
        deadlines.last_input = at(109); // trickling bytes buys no time
        assert_eq!(deadlines.next().0, at(100) + limits::HANDSHAKE_TIME);
        deadlines.enter(Stage::Command, at(101));
        deadlines.enter(Stage::Command, at(110));
        assert_eq!(deadlines.next().0, at(101) + limits::COMMAND_TIME);
    }

    #[test]
    fn a_publisher_lives_by_its_bytes_and_a_player_is_pinged() {
        let mut deadlines = Deadlines::new(at(0));
        deadlines.enter(Stage::Publish, at(1));
        deadlines.last_input = at(50);
        assert_eq!(deadlines.next().0, at(50) + limits::PUBLISHER_IDLE);
        deadlines.enter(Stage::Play, at(51));
        assert_eq!(
            deadlines.next(),
            (at(50) + limits::PING_INTERVAL, Due::Ping)
        );
        deadlines.last_ping = at(80);
        assert_eq!(
            deadlines.next(),
            (at(80) + limits::PING_INTERVAL, Due::Ping)
        );
        deadlines.blocked_since = Some(at(60));
        assert!(
            matches!(deadlines.next(), (due, Due::Close(_)) if due == at(60) + limits::WRITE_STALL)
        );
    }
}
