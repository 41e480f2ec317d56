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
    last_input: Instant,
    /// The last whole message that was more than an answer of the protocol.
    last_message: Instant,
    last_ping: Instant,
    /// It was pinged in this stage.
    pinged: bool,
    /// It has answered a ping before.
    answers: bool,
    /// Since when the socket has taken nothing.
    pub(super) blocked_since: Option<Instant>,
}

impl Deadlines {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stage: Stage::Handshake,
            since: now,
            last_input: now,
            last_message: now,
            last_ping: now,
            pinged: false,
            answers: false,
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
            self.pinged = false;
        }
    }

    /// Bytes have come, perhaps the end of a message. `answers` tells whether the peer has ever answered a ping.
    pub(super) fn hear(&mut self, now: Instant, message: bool, answers: bool) {
        self.last_input = now;
        if message || planted(Bug::DribbleKeepsName) {
            self.last_message = now;
        }
        self.answers = answers;
    }

    /// It is pinged.
    pub(super) fn ping(&mut self, now: Instant) {
        self.last_ping = now;
        self.pinged = true;
    }

    fn next_of_publisher(&self, patience: &ConnectionLimits) -> (Instant, Due) {
        let idle = (
            self.last_message.max(self.since) + patience.publisher_idle,
            Due::Close("the publisher has been silent for the idle time"),
        );
        let ping = match self.pinged {
            true => self.last_input.max(self.last_ping),
            false => self.since,
        };
        let ping = (ping + limits::PUBLISHER_PING, Due::Ping);
        let answer = (
            self.last_ping + limits::PUBLISHER_ANSWER,
            Due::Close("the publisher has always answered pings and does not any more"),
        );
        let waits = self.pinged && self.answers && self.last_input < self.last_ping;
        let soonest = if ping.0 < idle.0 { ping } else { idle };
        match waits && answer.0 < idle.0 {
            // Another ping would only be one more that nobody answers, and put the end off.
            true => answer,
            false => soonest,
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
            Stage::Publish => self.next_of_publisher(patience),
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
        deadlines.hear(at(109), true, true); // trickling bytes buys no time
        assert_eq!(
            deadlines.next(&limits()).0,
            at(100) + limits::HANDSHAKE_TIME
        );
        deadlines.enter(Stage::Command, at(101));
        deadlines.enter(Stage::Command, at(110));
        assert_eq!(deadlines.next(&limits()).0, at(101) + limits::COMMAND_TIME);
    }

    const IDLE: Due = Due::Close("the publisher has been silent for the idle time");

    #[test]
    fn a_player_is_pinged() {
        let mut deadlines = Deadlines::new(at(0));
        deadlines.hear(at(50), true, false);
        deadlines.enter(Stage::Play, at(51));
        let interval = limits::PING_INTERVAL;
        assert_eq!(deadlines.next(&limits()), (at(50) + interval, Due::Ping));
        deadlines.ping(at(80));
        assert_eq!(deadlines.next(&limits()), (at(80) + interval, Due::Ping));
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
        deadlines.ping(at(8));
        deadlines.hear(at(20), true, false);
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

    /// What happens from `now` on to one that says nothing more: pings, and when it is closed and why.
    fn silent(mut deadlines: Deadlines) -> (Vec<Instant>, Instant, Due) {
        let mut pings = Vec::new();
        loop {
            match deadlines.next(&limits()) {
                (at, Due::Ping) => {
                    pings.push(at);
                    deadlines.ping(at);
                }
                (at, due) => return (pings, at, due),
            }
        }
    }

    #[test]
    fn a_publisher_lives_by_its_messages_and_not_by_its_bytes() {
        let mut deadlines = Deadlines::new(at(0));
        deadlines.enter(Stage::Publish, at(1));
        deadlines.hear(at(4), true, false);
        let (pings, closed, why) = silent(deadlines);
        assert_eq!((closed, why), (at(4) + limits::PUBLISHER_IDLE, IDLE));
        assert_eq!(pings, [at(6), at(11), at(16), at(21), at(26), at(31)]);
        for secs in 5..30 {
            deadlines.hear(at(secs), false, false);
        }
        assert_eq!(silent(deadlines).1, at(4) + limits::PUBLISHER_IDLE);
        // Not even if it answers: the name is for those who publish.
        for secs in 5..30 {
            deadlines.ping(at(secs));
            deadlines.hear(at(secs), false, true);
        }
        let (_, closed, why) = silent(deadlines);
        assert_eq!((closed, why), (at(4) + limits::PUBLISHER_IDLE, IDLE));
    }

    #[test]
    fn one_that_has_answered_and_does_not_any_more_is_closed_earlier() {
        let mut deadlines = Deadlines::new(at(0));
        deadlines.enter(Stage::Publish, at(1));
        assert_eq!(deadlines.next(&limits()), (at(6), Due::Ping), "to learn");
        deadlines.ping(at(6));
        deadlines.hear(at(6), false, true);
        deadlines.hear(at(100), true, true);
        let (pings, closed, why) = silent(deadlines);
        assert_eq!(pings, [at(105)]);
        assert_eq!(closed, at(105) + limits::PUBLISHER_ANSWER);
        assert_ne!(why, IDLE);
        deadlines.ping(at(105));
        deadlines.hear(at(119), true, true);
        assert_eq!(deadlines.next(&limits()), (at(124), Due::Ping), "it lives");
    }
}
