//! The path of one connection as the world knows it: whole, or such that what is sent on it is lost.
//!
//! turmoil does not retransmit: a segment that a cut has lost stalls its direction for good, without an error.
//! A real kernel resends until its user timeout and then gives the connection up, and a machine that vanished
//! and came back answers with a RST. Both are made here.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Weak as WeakArc};

use millstream::runtime::SocketAddr;

use super::conn::Waiters;

/// What has become of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Path {
    /// What is sent arrives, sooner or later.
    Whole,
    /// Segments or their acknowledgements are lost.
    Lost,
    /// The client's machine has vanished.
    Vanished,
    /// The server's machine has vanished and is there again; it knows nothing of this connection.
    Forgotten,
}

/// One connection's path; both ends share it.
pub(super) struct Line {
    client: SocketAddr,
    path: Cell<Path>,
    client_lives: Cell<bool>,
    waiters: RefCell<Vec<WeakArc<Waiters>>>,
}

impl Line {
    pub(super) fn path(&self) -> Path {
        self.path.get()
    }

    /// Something happens to it: both ends look.
    fn becomes(&self, path: Path) {
        self.path.set(path);
        for waiters in self.waiters.borrow().iter().filter_map(WeakArc::upgrade) {
            waiters.wake_both();
        }
    }

    pub(super) fn add_end(&self, waiters: &Arc<Waiters>) {
        self.waiters.borrow_mut().push(Arc::downgrade(waiters));
    }

    pub(super) fn client_leaves(&self) {
        self.client_lives.set(false);
    }
}

/// All connections, by the client's address.
#[derive(Default)]
pub(super) struct Lines(RefCell<BTreeMap<SocketAddr, Weak<Line>>>);

impl Lines {
    /// The line of the connection from `address`.
    pub(super) fn line(&self, address: SocketAddr) -> Rc<Line> {
        let mut lines = self.0.borrow_mut();
        if let Some(line) = lines.get(&address).and_then(Weak::upgrade) {
            return line;
        }
        let line = Rc::new(Line {
            client: address,
            path: Cell::new(Path::Whole),
            client_lives: Cell::new(true),
            waiters: RefCell::default(),
        });
        lines.insert(address, Rc::downgrade(&line));
        line
    }

    /// Has every connection that `hit` selects by its client's address become `path` (`Whole` mends none); tells whose it was, if the
    /// client had not left.
    pub(super) fn strike(&self, path: Path, hit: impl Fn(&SocketAddr) -> bool) -> Vec<SocketAddr> {
        let mut lines = self.0.borrow_mut();
        lines.retain(|_, line| line.strong_count() > 0);
        let struck: Vec<Rc<Line>> = lines
            .iter()
            .filter(|(address, _)| hit(address))
            .filter_map(|(_, line)| line.upgrade())
            .collect();
        drop(lines);
        let mut clients = Vec::new();
        for line in struck {
            let breaks = match path {
                Path::Whole => false,
                Path::Lost => line.path() == Path::Whole,
                Path::Vanished | Path::Forgotten => true,
            };
            if breaks {
                line.becomes(path);
            }
            if line.client_lives.get() {
                clients.push(line.client);
            }
        }
        clients
    }
}
