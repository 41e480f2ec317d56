//! The menu: everything that can go wrong, each under one name, and how often each really did.

use core::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::scenario::{Connect, Step};

/// Makes the enum, its names and the menu from one list, so that none of them can lack a kind.
macro_rules! menu {
    ($($fault:ident $name:literal $what:literal,)*) => {
        /// A kind of trouble.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Fault {
            $(#[doc = $what] $fault,)*
        }

        impl Fault {
            /// Every kind, in the menu's order.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// The name it is counted and reported under.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }
        }

        /// Every kind of trouble by the name it is counted under, and what it is. "Fired / menu" is a report's
        /// measure of a sweep.
        pub const MENU: &[(&str, &str)] = &[$(($name, $what),)*];
    };
}

menu! {
    // Stream.
    ShortRead "short read" "A read returns fewer bytes than are there.",
    ShortWrite "short write" "A write takes fewer bytes than there is room for.",
    SingleByte "single byte" "A read or write moves one byte only.",
    SpuriousPending "spurious pending" "A call says `WouldBlock` though it need not.",
    Stall "stall" "What arrives is held back for a while.",
    Coalesced "coalesced" "Several segments are gathered and read as one.",
    Segmented "segmented" "One write arrives as several segments.",
    FullWindow "full window" "A write finds the window too small for all of it, or full.",
    Reset "reset" "A connection is reset after so many bytes.",
    CutShort "FIN at byte N" "The client is gone after a random byte, with a FIN that ends a chunk in its middle.",
    HalfClosed "half-close at byte N" "The client's sending side ends after a random byte; it goes on reading.",
    // Network.
    LatencyCurve "latency curve" "Latencies have another distribution than turmoil's, up to a heavy tail.",
    LatencyChanged "latency changed" "The latency of a link becomes another in mid-run.",
    LinkHeld "link held" "A link delivers nothing for a while, and loses nothing.",
    LinkFlaps "link flaps" "A link is held again within a second of its release.",
    Zombie "zombie peer" "Both ways are cut: clients vanish without a word.",
    CutUp "one-way cut, upstream" "What clients send is lost; they still hear the server.",
    CutDown "one-way cut, downstream" "What the server sends is lost; it still hears its clients.",
    KernelGaveUp "kernel gave up" "TCP's user timeout: what was sent on a cut connection stayed unacknowledged.",
    // Process.
    TaskPanic "task panic" "The task that serves a connection panics.",
    Crash "crash" "The server's process is killed; its kernel closes the sockets.",
    PowerLoss "power loss" "The server's machine is gone; nobody is told.",
    Bounce "bounce" "The server is started again after it was gone.",
    EarlyStop "stop in mid-run" "The server is told to stop while clients are at work.",
    // Scheduler.
    Fifo "FIFO order" "The oldest of several runnable tasks runs next, as in production.",
    Lifo "LIFO order" "The newest of several runnable tasks runs next.",
    Uniform "uniform order" "Any other than the oldest runnable task runs next.",
    Starved "starved task" "The unlucky task is passed over.",
    LanesDealt "mail interleaved" "Messages of several shards are read in another order than they came.",
    LaneLate "mail late" "All messages of one shard to another come late, in order.",
    // Time.
    SkewedClock "skewed clock" "A shard's clock runs at an offset and another rate; its timers too.",
    WallForward "wall clock forward" "The wall clock jumps forward.",
    WallBack "wall clock back" "The wall clock jumps back.",
    TimestampWrap "timestamp wrap" "A publisher begins shortly before its timestamps wrap, at 2^24 or 2^32.",
    // Resources.
    AcceptError "accept error" "Accepting fails as if no file descriptor was left.",
    LateMail "buggify late mail" "A whole batch of mail is looked at late.",
    ShortTurn "buggify short turn" "A connection's turn is over after one read.",
    SmallPumpSlice "buggify small pump slice" "A pass over a stream's players serves one a turn.",
    FullMailbox "buggify full mailbox" "A shard's mailbox counts as full: frames are left for later.",
    AcceptTurnOver "buggify accept turn over" "The acceptor lets others run after each connection.",
    MailInParts "buggify mail in parts" "A shard lets others run between two messages of its mail.",
    // Disk.
    DiskFails "disk fails" "An operation on the disk fails, and has done nothing.",
    DiskShortWrite "disk write short" "A write fails, and a part of it is written.",
    DiskStalls "disk stalls" "An operation takes seconds.",
    DiskFull "disk full" "There is no room for a write, for a while.",
    DiskGivenUp "disk operation given up" "The server ends while an operation is under way: it is done, or not.",
    WriteLost "write lost" "A power loss takes a write that was not synced.",
    WriteTorn "write torn" "A power loss leaves a part of a write that was not synced.",
    WritesReordered "writes reordered" "A power loss leaves a later write, and takes an earlier one.",
    NameUndone "name undone" "A power loss takes back a file's name that was not synced.",
    // Clients.
    Handshake "handshake variant" "A client shakes hands with digests, in one of their two places.",
    Pipelined "pipelined commands" "A client does not wait for answers.",
    Amf3 "AMF3 commands" "A client wraps its commands.",
    Reconnect "reconnect" "A client comes again.",
    DuplicatePublish "duplicate publish" "A client asks for a name that another holds, and is refused.",
    SlowReader "slow reader" "A client reads a little, now and then.",
    Silence "silence" "A client does nothing at all for a while.",
    ChunkSize "chunk size change" "A client changes its chunk size in mid-connection.",
    AbortedMessage "aborted message" "A client begins a message and takes it back.",
    Garbage "raw bytes" "A client sends what no session would: garbage, oversized lengths, other protocols.",
    Aggregate "aggregate" "A publisher puts several messages into one.",
    HalfClose "half-close" "A client sends FIN and goes on reading.",
    Abort "abort" "A client leaves with a RST.",
}

impl Fault {
    /// What the step of a client amounts to, if it is on the menu.
    pub fn of_step(step: &Step) -> Option<Self> {
        Some(match step {
            Step::Connect(connect) => return Self::of_connect(connect),
            Step::ReadSlowly(_) => Self::SlowReader,
            Step::SilenceMs(_) => Self::Silence,
            Step::ChunkSize(_) => Self::ChunkSize,
            Step::AbortMessage => Self::AbortedMessage,
            Step::Raw(_) | Step::Garbage(_) => Self::Garbage,
            Step::SendMedia(media) if wraps_soon(media.first_timestamp) => Self::TimestampWrap,
            Step::SendMedia(media) if media.aggregate > 0 => Self::Aggregate,
            Step::HalfClose => Self::HalfClose,
            Step::Abort => Self::Abort,
            _ => return None,
        })
    }

    fn of_connect(connect: &Connect) -> Option<Self> {
        match connect {
            Connect {
                pipelined: true, ..
            } => Some(Self::Pipelined),
            Connect { amf3: true, .. } => Some(Self::Amf3),
            Connect { digest: true, .. } => Some(Self::Handshake),
            _ => None,
        }
    }
}

/// Whether timestamps from `first` on pass 2^24 or 2^32 within a few seconds.
fn wraps_soon(first: u32) -> bool {
    const SOON: u32 = 1 << 12;
    [1 << 24, 0_u32]
        .iter()
        .any(|wrap| (1..=SOON).contains(&wrap.wrapping_sub(first)))
}

/// How often each fault really happened. A fault that never fires tests nothing. Clones share the counts.
#[derive(Clone, Debug)]
pub struct FaultCounts(Rc<[Cell<u64>]>);

impl Default for FaultCounts {
    fn default() -> Self {
        Self(Fault::ALL.iter().map(|_| Cell::new(0)).collect())
    }
}

impl FaultCounts {
    /// Counts one more `fault`.
    pub fn count(&self, fault: Fault) {
        if let Some(count) = self.0.get(fault as usize) {
            count.set(count.get() + 1);
        }
    }

    /// How often `fault` happened.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(fault as usize).map_or(0, Cell::get)
    }

    /// All kinds that fired, with how often.
    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        let fired = |fault: &Fault| (fault.name(), self.of(*fault));
        let fired = Fault::ALL.iter().map(fired);
        fired.filter(|(_, times)| *times > 0).collect()
    }
}

/// Every `buggify` site of the server, and what is counted when it says yes.
pub const SITES: &[(&str, Fault)] = &[
    ("late mail", Fault::LateMail),
    ("short turn", Fault::ShortTurn),
    ("small pump slice", Fault::SmallPumpSlice),
    ("full mailbox", Fault::FullMailbox),
    ("accept turn over", Fault::AcceptTurnOver),
    ("mail in parts", Fault::MailInParts),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_is_counted_under_it() {
        let names: BTreeSet<&str> = MENU.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), MENU.len());
        let counts = FaultCounts::default();
        for fault in Fault::ALL {
            counts.count(*fault);
        }
        assert!(counts.totals().keys().copied().eq(names));
        assert!(counts.totals().values().all(|times| *times == 1));
    }

    #[test]
    fn a_wrap_is_one_that_comes_soon() {
        assert!(wraps_soon(0xffff_fe00) && wraps_soon(0x00ff_fe00));
        assert!(!wraps_soon(0) && !wraps_soon(1_000) && !wraps_soon(1 << 24));
    }

    /// Every call of `buggify` under `dir`.
    #[allow(clippy::disallowed_methods, reason = "reads the sources")]
    fn sites(dir: &std::path::Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sites(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = text.split(".buggify(\"").skip(1);
                found.extend(calls.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn every_site_in_the_server_is_listed() {
        let mut found = BTreeSet::new();
        let server = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
        sites(&server, &mut found);
        let listed: BTreeSet<String> = SITES.iter().map(|(site, _)| (*site).to_owned()).collect();
        assert_eq!(found, listed);
        for (site, fault) in SITES {
            assert_eq!(fault.name(), format!("buggify {site}"));
        }
    }
}
