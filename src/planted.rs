//! Bugs on purpose: mistakes of a line that this server might have had, so that the simulator can show that it
//! would find them.
//!
//! Each stands as a one-line condition `planted(Bug::…)` where the mistake would be. With the feature
//! `planted-bugs`, which only the simulator's own feature `planted` turns on, one bug at a time is there
//! [`during`] a call, on this thread. Without it [`planted`] is `false` at compile time, and nothing is left of
//! the sites.
//!
//! `tests/walls.rs` checks that each bug has its site, in its room, and that the feature is no default.

/// Defines [`Bug`] with the name, the room and the words of each.
macro_rules! bugs {
    ($($room:literal { $($name:literal $bug:ident: $what:literal,)+ })+) => {
        /// A mistake that can be planted.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
        pub enum Bug {
            $($(#[doc = $what] #[serde(rename = $name)] $bug,)+)+
        }

        impl Bug {
            /// Every bug, room by room.
            pub const ALL: &[Self] = &[$($(Self::$bug,)+)+];

            /// Its name on command lines and in files, in kebab-case.
            pub const fn name(self) -> &'static str {
                match self { $($(Self::$bug => $name,)+)+ }
            }

            /// The room it is in: where its site is below `src/`.
            pub const fn room(self) -> &'static str {
                match self { $($(Self::$bug => $room,)+)+ }
            }

            /// What is wrong with it.
            pub const fn what(self) -> &'static str {
                match self { $($(Self::$bug => $what,)+)+ }
            }
        }
    };
}

bugs! {
    "rtmp/chunk" {
        "chunk-size-held-back" ChunkSizeHeldBack: "A Set Chunk Size in the middle of a message is lost.",
        "extended-timestamp-unread" ExtendedTimestampUnread: "The extended timestamp of a continuing chunk is taken for payload.",
        "stale-delta" StaleDelta: "A header's delta is not remembered for the format 3 header that repeats it.",
        "abort-ignored" AbortIgnored: "An Abort Message drops nothing.",
        "long-csid-cut" LongCsidCut: "The three-byte form of a chunk stream id is read as the two-byte form.",
        "continuation-misplaced" ContinuationMisplaced: "A continuing chunk goes to the chunk stream of the chunk before it.",
    }
    "rtmp/wire" {
        "extended-timestamp-once" ExtendedTimestampOnce: "Continuing chunks of media do not repeat the extended timestamp.",
    }
    "rtmp/handshake" {
        "handshake-swallows" HandshakeSwallows: "What follows C2 in the same read is thrown away.",
        "digest-unanswered" DigestUnanswered: "S2 does not sign what a client with digests asked.",
    }
    "rtmp/command" {
        "amf3-marker-kept" Amf3MarkerKept: "The format byte of an AMF3 command is read as a part of it.",
    }
    "rtmp/session" {
        "chunk-size-early" ChunkSizeEarly: "The announced chunk size is in use one message early.",
        "answered-twice" AnsweredTwice: "A call is answered twice.",
        "ack-miscounted" AckMiscounted: "An Acknowledgement says what came since the last one, not since the beginning.",
        "ack-window-ignored" AckWindowIgnored: "The peer's Window Acknowledgement Size is not heeded.",
        "pipelined-lost" PipelinedLost: "Commands in the read that brought `connect` are lost.",
        "status-on-stream-0" StatusOnStream0: "onStatus is sent on message stream 0.",
        "aggregate-times-lost" AggregateTimesLost: "Every message of an aggregate gets the time of the aggregate.",
        "read-taken-for-message" ReadTakenForMessage: "One read is taken for one message: the rest of it is lost.",
    }
    "media" {
        "cursor-off-by-one" CursorOffByOne: "A player that is one frame behind the ring goes on as if it were not.",
        "gate-forgotten-on-takeover" GateForgottenOnTakeover: "The next publisher's pictures need no keyframe before them.",
        "gate-forgotten-on-join" GateForgottenOnJoin: "A player that comes in the middle of a GOP does not wait for a keyframe.",
        "gate-forgotten-after-jump" GateForgottenAfterJump: "A player that lost frames goes on without a keyframe.",
        "gate-forgotten-on-receive" GateForgottenOnReceive: "receiveVideo(true) goes on without a keyframe.",
        "headers-dropped-on-jump" HeadersDroppedOnJump: "A player that lost frames does not get the headers anew.",
        "changed-header-not-kept" ChangedHeaderNotKept: "A changed header does not replace the one that is kept.",
        "changed-header-keeps-key" ChangedHeaderKeepsKey: "Players begin at a keyframe that lies before a changed header.",
        "headers-outlive-publisher" HeadersOutlivePublisher: "The headers of the last publication are given to players of the next.",
        "snapshot-without-headers" SnapshotWithoutHeaders: "Another shard is not given the headers.",
        "snapshot-without-lead" SnapshotWithoutLead: "Another shard is not told which track leads.",
        "prelude-times-stale" PreludeTimesStale: "Headers come with the time they were published at.",
        "gop-begins-late" GopBeginsLate: "A GOP begins behind its keyframe.",
        "video-end-ignored" VideoEndIgnored: "A track whose video has ended goes on leading.",
        "clock-repaired-apart" ClockRepairedApart: "Where a publisher's time jumps, each track finds an offset of its own.",
        "offset-forgotten-on-takeover" OffsetForgottenOnTakeover: "The next publication's time does not go on where the last one's ended.",
        "cache-age-ignored" CacheAgeIgnored: "Joiners are given what is older than they may be given.",
        "latency-unbounded" LatencyUnbounded: "A player that is too late goes on where it was.",
        "seek-behind" SeekBehind: "Who seeks in a file begins at the next keyframe, not at the one before.",
        "fragment-loses-sample" FragmentLosesSample: "The last sample of a fragment's first track is not described.",
        "composition-lost" CompositionLost: "A fragment does not say when its pictures are shown.",
        "repair-forgets-fragment" RepairForgetsFragment: "A repaired file ends before its last fragment.",
        "two-claims" TwoClaims: "A name is leased to whoever asks.",
    }
    "server" {
        "cut-loses-frame" CutLosesFrame: "The keyframe that a recording is cut at is in neither file.",
        "rewind-repeats" RewindRepeats: "Who holds a live stream that is recorded gets again what it has had since the last keyframe.",
        "pause-loses-frame" PauseLosesFrame: "The message that was read before a pause is never sent.",
        "complete-too-soon" CompleteTooSoon: "A viewer is told that a file is over as soon as all of it is sent.",
        "view-unpaced" ViewUnpaced: "A file is sent as fast as its viewer takes it.",
        "repair-skipped" RepairSkipped: "Recordings that a crash left unfinished stay so.",
        "lease-kept-on-reset" LeaseKeptOnReset: "A publisher whose connection is reset keeps its name.",
        "unsubscribe-lost" UnsubscribeLost: "The directory is not told that a shard's last player has gone.",
        "end-not-told" EndNotTold: "Other shards are not told that a publication is over.",
        "end-told-twice" EndToldTwice: "Players are told twice that a publication is over.",
        "stale-mail-taken" StaleMailTaken: "What arrives late of an older publication is taken for the newest.",
        "missed-from-gone-ring" MissedFromGoneRing: "A shard that missed frames is sent what is left of them in the ring.",
        "resume-loses-players" ResumeLosesPlayers: "Players on other shards are not sent what a publisher that came back publishes.",
        "resume-keeps-old-headers" ResumeKeepsOldHeaders: "A publisher that comes back goes on with the headers and the GOP of before.",
        "takeover-not-told" TakeoverNotTold: "A publisher whose name was taken over is not told.",
        "grace-never-ends" GraceNeverEnds: "A stream waits for a publisher that vanished for ever.",
        "dribble-keeps-name" DribbleKeepsName: "A publisher that sends a byte now and then, and no message, keeps its name.",
        "pace-ignored" PaceIgnored: "A publisher may send faster than its application allows.",
        "memory-unbounded" MemoryUnbounded: "All streams together keep more than the server may hold.",
        "jumps-for-ever" JumpsForEver: "A player that loses frames more often than it may is not cut off.",
        "merge-too-long" MergeTooLong: "Merged frames wait far longer than they are told to.",
        "stall-never-ends" StallNeverEnds: "A peer that takes nothing any more is not cut off.",
        "cut-off-not-awaited" CutOffNotAwaited: "A stop ends before those it cut off have given back what they held.",
        "answers-not-awaited" AnswersNotAwaited: "A stop ends before the directory has answered.",
        "grant-kept-by-the-dead" GrantKeptByTheDead: "A name that is granted to a connection which has gone stays leased.",
        "media-crosses-names" MediaCrossesNames: "A stream is taken for another one.",
        "write-taken-for-write-all" WriteTakenForWriteAll: "What a short write leaves over is lost.",
        "streams-uncounted" StreamsUncounted: "An application may have any number of streams.",
        "waits-for-ever" WaitsForEver: "A player whose stream nobody publishes waits for ever, whatever is configured.",
        "reconnect-not-asked" ReconnectNotAsked: "A stop does not ask those to reconnect who know how.",
        "kick-forgets-the-player" KickForgetsThePlayer: "Whom an operator closes is not told.",
        "end-leaves-the-lease" EndLeavesTheLease: "A stream that an operator ended keeps its name.",
        "drop-uncounted" DropUncounted: "Players that lost frames are not counted.",
        "gate-ajar" GateAjar: "More connections are let in than the limit allows.",
        "ticket-kept" TicketKept: "A connection that has gone counts on.",
        "accept-error-ends" AcceptErrorEnds: "An error of accept ends the accepting.",
        "readiness-trusted" ReadinessTrusted: "A read that finds nothing ends the connection.",
    }
    "runtime" {
        "lost-wake-up" LostWakeUp: "A thread parks although a task has just become runnable.",
        "mailbox-reordered" MailboxReordered: "The mail of one read comes in reverse order.",
        "timer-not-cancelled" TimerNotCancelled: "A sleep that is dropped leaves its timer behind.",
        "timer-late" TimerLate: "Timers wait twice as long as they are told.",
        "timer-key-reused" TimerKeyReused: "A timer's old key cancels the timer that has its place now.",
    }
    "limits" {
        "ring-bound-ignored" RingBoundIgnored: "A ring holds any number of frames.",
        "reply-bound-ignored" ReplyBoundIgnored: "Any number of answers waits for a peer that does not read.",
    }
    "time" {
        "clock-saturates" ClockSaturates: "RTMP's clock stops at its end instead of going round.",
    }
}

impl core::fmt::Display for Bug {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl core::str::FromStr for Bug {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.iter().copied();
        all.find(|bug| bug.name() == name)
            .ok_or_else(|| format!("no planted bug is called {name:?}"))
    }
}

/// Whether bugs can be planted in this build.
pub const POSSIBLE: bool = cfg!(feature = "planted-bugs");

#[cfg(feature = "planted-bugs")]
mod ground {
    use core::cell::Cell;

    use super::Bug;

    std::thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Puts the bug before back, also when the call panicked.
    struct Restore(Option<Bug>);

    impl Drop for Restore {
        fn drop(&mut self) {
            PLANTED.set(self.0);
        }
    }

    /// Whether `bug` is there now.
    pub fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Calls `act`, with `bug` planted meanwhile on this thread.
    pub fn during<T>(bug: Option<Bug>, act: impl FnOnce() -> T) -> T {
        let _restore = Restore(PLANTED.replace(bug));
        act()
    }
}

#[cfg(not(feature = "planted-bugs"))]
mod ground {
    use super::Bug;

    /// Whether `bug` is there now: never, in this build.
    #[inline(always)]
    pub const fn planted(_: Bug) -> bool {
        false
    }

    /// Calls `act`; no bug can be planted in this build.
    #[inline(always)]
    pub fn during<T>(_: Option<Bug>, act: impl FnOnce() -> T) -> T {
        act()
    }
}

pub use ground::{during, planted};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        let names: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        assert_eq!(names.len(), Bug::ALL.len());
        for bug in Bug::ALL {
            assert_eq!(bug.name().parse(), Ok(*bug));
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(bug.name().chars().all(kebab), "{bug}");
        }
        assert!("no-such-bug".parse::<Bug>().is_err());
    }

    #[test]
    fn every_room_that_runs_in_a_simulation_has_bugs() {
        let rooms: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.room()).collect();
        for room in [
            "rtmp/chunk",
            "rtmp/handshake",
            "rtmp/command",
            "rtmp/session",
            "media",
            "server",
            "runtime",
            "limits",
            "time",
        ] {
            assert!(rooms.contains(room), "{room}");
        }
    }

    #[test]
    fn a_bug_is_there_only_during_the_call() {
        let [one, other, ..] = Bug::ALL else {
            unreachable!("there are dozens")
        };
        assert!(!planted(*one));
        during(Some(*one), || {
            assert_eq!(planted(*one), POSSIBLE);
            assert!(!planted(*other));
            during(None, || assert!(!planted(*one)));
            assert_eq!(planted(*one), POSSIBLE);
        });
        assert!(!planted(*one));
    }
}
