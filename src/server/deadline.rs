//! What a connection must do by when. Times are checked lazily: activity only stores a number, and one timer per
//! connection is re-armed when it fires too early.

use crate::config::ConnectionLimits;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::time::Instant;

/// What a connection is there for, by its most demanding role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// No handshake yet.
    Handshake,
    /// No `connect` yet.
    Connect,
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
    /// A play's end, whose stream nobody has published.
    Wait,
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
            let connected = (self.stage, stage) == (Stage::Connect, Stage::Command);
            self.stage = stage;
            // `connect` buys no time for what is to follow it.
            if !connected {
                self.since = now;
            }
        }
    }

    /// What is due next, and when.
    pub(super) fn next(&self, patience: &ConnectionLimits) -> (Instant, Due) {
        let staged = match self.stage {
            Stage::Handshake => (
                self.since + patience.handshake_time,
                Due::Close("no complete handshake within the handshake time"),
            ),
            Stage::Connect if patience.connect_time < patience.command_time => (
                self.since + patience.connect_time,
                Due::Close("no connect within the connect time"),
            ),
            Stage::Connect | Stage::Command => (
                self.since + patience.command_time,
                Due::Close("neither publish nor play within the command time"),
            ),
            Stage::Publish => (
                self.last_input.max(self.since) + patience.publisher_idle,
                Due::Close("the publisher has been silent for the idle time"),
            ),
            Stage::Play => (
                self.last_input.max(self.last_ping) + limits::PING_INTERVAL,
                Due::Ping,
            ),
        };
        let stalled = |since| since + patience.write_stall;
        match self.blocked_since.map(stalled) {
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

    fn limits() -> ConnectionLimits {
        ConnectionLimits::default()
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn a_stage_counts_from_its_beginning() {
        let mut deadlines = Deadlines::new(at(100));
        assert_eq!(
            deadlines.next(&limits()).0,
            at(100) + limits::HANDSHAKE_TIME
        );
        deadlines.last_input = at(109); // trickling bytes buys no time
        assert_eq!(
            deadlines.next(&limits()).0,
            at(100) + limits::HANDSHAKE_TIME
        );
        deadlines.enter(Stage::Command, at(101));
        deadlines.enter(Stage::Command, at(110));
        assert_eq!(deadlines.next(&limits()).0, at(101) + limits::COMMAND_TIME);
    }

    #[test]
    fn a_publisher_lives_by_its_bytes_and_a_player_is_pinged() {
        let mut deadlines = Deadlines::new(at(0));
        deadlines.enter(Stage::Publish, at(1));
        deadlines.last_input = at(50);
        assert_eq!(deadlines.next(&limits()).0, at(50) + limits::PUBLISHER_IDLE);
        deadlines.enter(Stage::Play, at(51));
        assert_eq!(
            deadlines.next(&limits()),
            (at(50) + limits::PING_INTERVAL, Due::Ping)
        );
        deadlines.last_ping = at(80);
        assert_eq!(
            deadlines.next(&limits()),
            (at(80) + limits::PING_INTERVAL, Due::Ping)
        );
        deadlines.blocked_since = Some(at(60));
        assert!(
            matches!(deadlines.next(&limits()), (due, Due::Close(_)) if due == at(60) + limits::WRITE_STALL)
        );
    }

    #[test]
    fn connecting_buys_no_time_and_may_have_its_own() {
        let mut deadlines = Deadlines::new(at(0));
        deadlines.enter(Stage::Connect, at(5));
        assert_eq!(deadlines.next(&limits()).0, at(5) + limits::COMMAND_TIME);
        let strict = ConnectionLimits {
            connect_time: Duration::from_secs(2),
            command_time: Duration::from_secs(4),
            handshake_time: Duration::from_secs(1),
            publisher_idle: Duration::from_secs(3),
            write_stall: Duration::from_secs(1),
            ..limits()
        };
        assert_eq!(deadlines.next(&strict).0, at(7));
        deadlines.enter(Stage::Command, at(6));
        assert_eq!(deadlines.next(&strict).0, at(9));
        deadlines.enter(Stage::Publish, at(8));
        deadlines.last_input = at(20);
        assert_eq!(deadlines.next(&strict).0, at(23));
        deadlines.enter(Stage::Command, at(21));
        assert_eq!(
            deadlines.next(&strict).0,
            at(25),
            "once more from the start"
        );
        deadlines.blocked_since = Some(at(22));
        assert_eq!(deadlines.next(&strict).0, at(23));
        assert_eq!(Deadlines::new(at(1)).next(&strict).0, at(2));
    }
}
