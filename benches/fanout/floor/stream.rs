//! One stream's frames and players: the hot path.

use std::collections::VecDeque;
use std::io::{IoSlice, Read};
use std::net::{Shutdown, TcpStream};

use slab::Slab;

use crate::clock;
use crate::schedule::is_keyframe;

/// Bytes of frames that are kept; who is further behind is cut off.
const BYTES: usize = 32 << 20;
/// Slices of one `writev`.
const SLICES: usize = 512;

/// When frames leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Each at once, in a write of its own.
    Each,
    /// What one read brought, and what could not leave earlier, in one write.
    Backlog,
    /// So many nanoseconds after the first of them came, in one write.
    Merge(u64),
}

pub(super) struct Stream {
    pub(super) name: String,
    frames: VecDeque<Vec<u8>>,
    /// Their bytes.
    bytes: usize,
    /// Number of the first frame.
    base: u64,
    /// Number of the newest keyframe.
    key: Option<u64>,
    pub(super) players: Slab<Player>,
    /// When what is held back leaves.
    pub(super) due: Option<u64>,
}

pub(super) struct Player {
    socket: TcpStream,
    /// Number of the next frame.
    cursor: u64,
    /// Bytes of it that have left.
    offset: usize,
    /// Waits for the writable edge.
    full: bool,
}

impl Stream {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            frames: VecDeque::new(),
            bytes: 0,
            base: 0,
            key: None,
            players: Slab::new(),
            due: None,
        }
    }

    fn head(&self) -> u64 {
        self.base + self.frames.len() as u64
    }

    /// A new player begins with the newest keyframe.
    pub(super) fn join(&mut self, socket: TcpStream, mode: Mode) -> usize {
        let mut player = Player {
            socket,
            cursor: self.key.unwrap_or(self.head()),
            offset: 0,
            full: false,
        };
        player.catch_up(&self.frames, self.base, mode);
        self.players.insert(player)
    }

    /// Takes a frame, and hands it out if it is not to wait.
    pub(super) fn push(&mut self, frame: Vec<u8>, mode: Mode) {
        if is_keyframe(&frame) {
            self.key = Some(self.head());
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.bytes > BYTES
            && let Some(oldest) = self.frames.pop_front()
        {
            self.bytes -= oldest.len();
            self.base += 1;
        }
        if self.key.is_some_and(|key| key < self.base) {
            self.key = None;
        }
        match mode {
            Mode::Each => self.hand_out(1),
            Mode::Backlog => {}
            Mode::Merge(wait) => {
                self.due.get_or_insert_with(|| clock::now() + wait);
            }
        }
    }

    /// Hands out everything that is there.
    pub(super) fn flush(&mut self) {
        let lags = self.players.iter().filter(|(_, player)| !player.full);
        let first = lags.map(|(_, player)| player.cursor).min();
        let new = self.head() - first.unwrap_or(self.base).max(self.base);
        if new > 0 {
            self.hand_out(new as usize);
        }
    }

    /// The newest `count` frames to every player that waits for no edge, in one write. The slices are made once.
    fn hand_out(&mut self, count: usize) {
        let from = self.head() - count as u64;
        let skipped = self.frames.len() - count;
        let slices: Vec<IoSlice<'_>> = self
            .frames
            .range(skipped..)
            .take(SLICES)
            .map(|frame| IoSlice::new(frame))
            .collect();
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        for (_, player) in &mut self.players {
            if player.full {
                continue;
            }
            if player.cursor != from {
                player.catch_up(&self.frames, self.base, Mode::Backlog);
                continue;
            }
            let result = rustix::io::writev(&player.socket, &slices);
            if result == Ok(total) {
                player.cursor += slices.len() as u64;
            } else {
                player.fell_short(&self.frames, self.base, result);
            }
            if slices.len() < count && !player.full {
                player.catch_up(&self.frames, self.base, Mode::Backlog);
            }
        }
    }

    /// The socket takes bytes again.
    pub(super) fn on_writable(&mut self, place: usize, mode: Mode) {
        if let Some(player) = self.players.get_mut(place)
            && player.full
        {
            player.full = false;
            player.catch_up(&self.frames, self.base, mode);
        }
    }

    /// Acknowledgements are not looked at. False if the player has gone.
    pub(super) fn discard_input(&mut self, place: usize, scratch: &mut [u8]) -> bool {
        let Some(player) = self.players.get_mut(place) else {
            return false;
        };
        loop {
            match player.socket.read(scratch) {
                Ok(0) => return false,
                Ok(taken) if taken == scratch.len() => {}
                Ok(_) => return true,
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    }
}

impl Player {
    /// Writes what it has not got, until that is all or the socket is full.
    fn catch_up(&mut self, frames: &VecDeque<Vec<u8>>, base: u64, mode: Mode) {
        if self.cursor < base {
            // Its hang-up comes back as an event, and removes it.
            let _ = self.socket.shutdown(Shutdown::Both);
            self.full = true;
        }
        let most = if mode == Mode::Each { 1 } else { SLICES };
        while !self.full {
            let from = (self.cursor - base) as usize;
            let mut slices: Vec<IoSlice<'_>> = frames
                .range(from..)
                .take(most)
                .map(|frame| IoSlice::new(frame))
                .collect();
            let Some(first) = slices.first_mut() else {
                return;
            };
            first.advance(self.offset);
            let total: usize = slices.iter().map(|slice| slice.len()).sum();
            let result = rustix::io::writev(&self.socket, &slices);
            if result == Ok(total) {
                self.cursor += slices.len() as u64;
                self.offset = 0;
            } else {
                self.fell_short(frames, base, result);
            }
        }
    }

    /// A write took less than it was given: the rest waits for the writable edge.
    fn fell_short(
        &mut self,
        frames: &VecDeque<Vec<u8>>,
        base: u64,
        result: rustix::io::Result<usize>,
    ) {
        self.full = true;
        self.offset += result.unwrap_or(0);
        while let Some(frame) = frames.get((self.cursor - base) as usize)
            && frame.len() <= self.offset
        {
            self.offset -= frame.len();
            self.cursor += 1;
        }
    }
}
