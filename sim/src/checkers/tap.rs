//! A wiretap on a connection: both directions read again by a reader of our own, so that neither the server's nor the
//! client's understanding of the protocol is taken at its word.

use millstream::limits;
use millstream::time::Instant;

use super::chunks::{Message, Reader};
use crate::journal::Journal;
use crate::seed;

/// Bytes of C0, C1 and C2, and of S0, S1 and S2.
pub const HANDSHAKE: u64 = 1 + 2 * 1_536;

/// One connection of so many is tapped: reading everything twice takes its time.
const ONE_OF: u32 = 4;

/// Something that went over the wire.
#[derive(Debug)]
pub struct Heard<'a> {
    /// Bytes the client has handed to the network by now, behind the handshake.
    pub sent: u64,
    /// What.
    pub what: What<'a>,
}

/// What went over the wire.
#[derive(Debug)]
pub enum What<'a> {
    /// A connection begins.
    Begins,
    /// The client said it.
    Asked(&'a Message),
    /// The server said it.
    Said(&'a Message),
    /// What the server sends is no chunk stream.
    Garbled(&'a str),
    /// What the client sends is none, or does not begin as one: nobody can say what the server makes of it.
    Babbled,
    /// The client sends what a server must close its connection for, at once.
    Offends(&'static str),
}

/// The tap on one connection.
pub struct Tap {
    journal: Journal,
    who: String,
    up: Direction,
    down: Direction,
    offended: bool,
}

#[derive(Default)]
struct Direction {
    bytes: u64,
    reader: Reader,
    /// It cannot be read.
    lost: bool,
}

impl Direction {
    /// What of `bytes` lies behind the handshake.
    fn behind_handshake<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let before = usize::try_from(HANDSHAKE.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        self.bytes += bytes.len() as u64;
        bytes.get(before..).unwrap_or_default()
    }
}

impl Tap {
    /// A tap on the `attempt`th connection of `who`, if it is one that gets one; a `stranger` that speaks in raw bytes
    /// always does.
    pub fn on(
        journal: &Journal,
        world_seed: u64,
        who: &str,
        attempt: usize,
        stranger: bool,
    ) -> Option<Self> {
        let tapped = seed::rng(world_seed, &format!("tap/{who}/{attempt}")).u32(..ONE_OF) == 0;
        (tapped || stranger).then(|| Self {
            journal: journal.clone(),
            who: who.into(),
            up: Direction::default(),
            down: Direction::default(),
            offended: false,
        })
    }

    fn hear(&self, at: Instant, what: What<'_>) {
        let sent = self.up.bytes.saturating_sub(HANDSHAKE);
        self.journal.overhear(at, &self.who, &Heard { sent, what });
    }

    /// The connection stands.
    pub fn begins(&self, at: Instant) {
        self.hear(at, What::Begins);
    }

    /// The client has sent `bytes`.
    pub fn sent(&mut self, at: Instant, bytes: &[u8]) {
        if let (0, Some(first)) = (self.up.bytes, bytes.first())
            && *first != 3
        {
            self.up.lost = true;
            self.hear(at, What::Babbled);
            // Below 32 it is a version that the server may not know; a letter or 22 may become another protocol.
            if *first >= 32 && !first.is_ascii_uppercase() {
                self.offend(at, "says what is no handshake");
            }
        }
        let bytes = self.up.behind_handshake(bytes);
        if self.up.lost || bytes.is_empty() {
            return;
        }
        self.up.reader.feed(bytes);
        loop {
            match self.up.reader.take() {
                Ok(Some(message)) => self.hear(at, What::Asked(&message)),
                Ok(None) => break,
                Err(_) => {
                    self.up.lost = true;
                    return self.hear(at, What::Babbled);
                }
            }
        }
        if let Some((type_id, length)) = self.up.reader.announced()
            && matches!(type_id, 1..=6 | 17 | 20)
            && length > limits::COMMAND_BYTES as usize
        {
            self.up.lost = true;
            self.hear(at, What::Babbled);
            self.offend(at, "begins a command longer than any may be");
        }
    }

    fn offend(&mut self, at: Instant, how: &'static str) {
        if !std::mem::replace(&mut self.offended, true) {
            self.hear(at, What::Offends(how));
        }
    }

    /// The server has sent `bytes`.
    pub fn received(&mut self, at: Instant, bytes: &[u8]) {
        let bytes = self.down.behind_handshake(bytes);
        if self.down.lost || bytes.is_empty() {
            return;
        }
        self.down.reader.feed(bytes);
        loop {
            match self.down.reader.take() {
                Ok(Some(message)) => self.hear(at, What::Said(&message)),
                Ok(None) => return,
                Err(error) => {
                    self.down.lost = true;
                    return self.hear(at, What::Garbled(&error));
                }
            }
        }
    }
}
