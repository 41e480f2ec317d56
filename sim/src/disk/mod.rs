//! The simulated disk: in memory, in virtual time, with the faults of real ones from the seed. It outlives the server.

use core::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fastrand::Rng;
use millstream::runtime::Runtime;
use millstream::runtime::disk::{Disk, Entry, Open, Written};
use millstream::time::{Duration, Instant, WallTime};
use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::net::now;
use crate::runtime::SimRuntime;
use crate::seed::{self, happens};

mod store;

pub use store::{CAPACITY, Inode, Losses, Store};

/// What goes wrong with the disk. A rate of 0 switches a fault off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskFaults {
    /// How often an operation fails, having done nothing.
    pub errors: f64,
    /// How often a write fails, having written a part.
    pub short_writes: f64,
    /// How often an operation takes very long.
    pub stalls: f64,
    /// How long at most, milliseconds.
    pub stall_ms: u64,
    /// After so many written bytes the disk is full; 0: never.
    pub full_after: u64,
    /// Until it has room for as many again, milliseconds.
    pub full_ms: u64,
}

impl Default for DiskFaults {
    fn default() -> Self {
        Self {
            errors: 0.0,
            short_writes: 0.0,
            stalls: 0.0,
            stall_ms: 3_000,
            full_after: 0,
            full_ms: 2_000,
        }
    }
}

impl DiskFaults {
    /// Whether nothing goes wrong.
    pub fn are_off(&self) -> bool {
        *self == Self::default()
    }
}

/// "Input/output error", as Linux has it.
const EIO: i32 = 5;
/// An operation takes so many microseconds at least and at most, beside its bytes.
const TAKES: [u64; 2] = [50, 2_000];
/// Bytes a microsecond.
const SPEED: u64 = 200;

/// What would be left if the power went.
pub struct Safe {
    /// Of each file.
    pub files: Vec<(PathBuf, Vec<u8>)>,
    /// Where something has not been safe for the longest time, and for how long.
    pub unsafe_for: Option<(PathBuf, Duration)>,
}

/// A disk of a world; clones are the same one.
#[derive(Clone)]
pub struct Platter(Rc<Inner>);

struct Inner {
    faults: DiskFaults,
    rng: RefCell<Rng>,
    store: RefCell<Store>,
    /// Nothing goes wrong any more.
    healed: Cell<bool>,
    /// Bytes written since it had room last.
    written: Cell<u64>,
    /// It is full until then.
    full_until: Cell<Option<Instant>>,
    counts: RefCell<BTreeMap<&'static str, u64>>,
}

impl Platter {
    /// An empty disk in the world of `seed`.
    pub fn new(seed: u64, faults: DiskFaults) -> Self {
        Self(Rc::new(Inner {
            faults,
            rng: RefCell::new(seed::rng(seed, "disk")),
            store: RefCell::default(),
            healed: Cell::new(false),
            written: Cell::new(0),
            full_until: Cell::new(None),
            counts: RefCell::default(),
        }))
    }

    /// The disk as the code on `site` has it.
    pub fn on(&self, site: &SimRuntime) -> SimDisk {
        SimDisk {
            platter: self.clone(),
            site: site.clone(),
        }
    }

    /// What would be left of each file if the power went now, and where something has not been safe for the longest time.
    pub fn safe(&self, now: Instant) -> Safe {
        let store = self.0.store.borrow();
        let unsafe_since = store.unsafe_since();
        Safe {
            files: store.safe_files(),
            unsafe_for: unsafe_since.map(|(path, since)| (path, now.since(since))),
        }
    }

    /// The machine has lost its power: what was not synced may be gone. Call it once the server's tasks are dropped.
    pub fn lose_power(&self) -> Losses {
        let rng = &mut *self.0.rng.borrow_mut();
        let losses = self.0.store.borrow_mut().lose_power(rng);
        for (what, count) in [
            (Fault::WriteLost, losses.lost),
            (Fault::WriteTorn, losses.torn),
            (Fault::WritesReordered, losses.reordered),
            (Fault::NameUndone, losses.undone),
        ] {
            self.count(what, count);
        }
        losses
    }

    /// Nothing goes wrong from now on, and there is room.
    pub fn heal(&self) {
        self.0.healed.set(true);
        self.0.full_until.set(None);
    }

    /// Every file and its content.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.0.store.borrow().files()
    }

    /// How often what went wrong, by [`Fault::name`].
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.counts.borrow().clone()
    }

    fn count(&self, what: Fault, count: u64) {
        if count > 0 {
            *self.0.counts.borrow_mut().entry(what.name()).or_insert(0) += count;
        }
    }

    fn happens(&self, rate: f64, what: Fault) -> bool {
        let yes = !self.0.healed.get() && happens(&mut self.0.rng.borrow_mut(), rate);
        self.count(what, u64::from(yes));
        yes
    }

    /// How long an operation on so many bytes takes.
    fn takes(&self, bytes: usize) -> Duration {
        let faults = &self.0.faults;
        let usual = {
            let rng = &mut *self.0.rng.borrow_mut();
            Duration::from_micros(rng.u64(TAKES[0]..=TAKES[1]) + bytes as u64 / SPEED)
        };
        if self.happens(faults.stalls, Fault::DiskStalls) {
            let rng = &mut *self.0.rng.borrow_mut();
            return usual + Duration::from_millis(rng.u64(..=faults.stall_ms.max(1)));
        }
        usual
    }

    /// Fails now and then.
    fn may_fail(&self) -> io::Result<()> {
        match self.happens(self.0.faults.errors, Fault::DiskFails) {
            true => Err(io::Error::from_raw_os_error(EIO)),
            false => Ok(()),
        }
    }

    /// Of `more` bytes beyond what is used, how many there is room for now.
    fn room(&self, more: u64) -> u64 {
        let faults = &self.0.faults;
        let now = now();
        if self.0.full_until.get().is_some_and(|until| now >= until) {
            self.0.full_until.set(None);
            self.0.written.set(0);
        }
        let mut room = CAPACITY.saturating_sub(self.0.store.borrow().used());
        if faults.full_after > 0 && !self.0.healed.get() {
            room = room.min(faults.full_after.saturating_sub(self.0.written.get()));
        }
        let taken = room.min(more);
        self.0.written.set(self.0.written.get() + taken);
        if taken < more {
            self.count(Fault::DiskFull, 1);
            let until = now + Duration::from_millis(faults.full_ms.max(1));
            self.0
                .full_until
                .set(self.0.full_until.get().or(Some(until)));
        }
        taken
    }

    fn write(&self, inode: &Inode, offset: u64, buffer: &[u8], at: WallTime) -> io::Result<()> {
        self.may_fail()?;
        let (mut part, mut result) = (buffer.len(), Ok(()));
        if self.happens(self.0.faults.short_writes, Fault::DiskShortWrite) {
            part = self.0.rng.borrow_mut().usize(..=part);
            result = Err(io::Error::from_raw_os_error(EIO));
        }
        // What lies within the file has its room.
        let within = inode.borrow().len().saturating_sub(offset);
        let more = (part as u64).saturating_sub(within);
        let taken = self.room(more);
        if taken < more {
            part -= usize::try_from(more - taken).unwrap_or(part);
            result = Err(io::ErrorKind::StorageFull.into());
        }
        if part > 0 {
            inode.borrow_mut().write(offset, &buffer[..part], at);
            inode.borrow_mut().is_unsafe(now());
        }
        result
    }
}

/// The disk, as the code on one of the server's virtual threads has it.
#[derive(Clone)]
pub struct SimDisk {
    platter: Platter,
    site: SimRuntime,
}

/// An operation that is under way. Given up, it is done all the same, or not.
struct UnderWay<'a, F: FnOnce(&Platter)> {
    platter: &'a Platter,
    work: Option<F>,
}

impl<F: FnOnce(&Platter)> Drop for UnderWay<'_, F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let done = happens(&mut self.platter.0.rng.borrow_mut(), 0.5);
            self.platter.count(Fault::DiskGivenUp, 1);
            if done {
                work(self.platter);
            }
        }
    }
}

impl SimDisk {
    /// Does `work` after some time.
    async fn does<T: 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Platter, WallTime) -> T,
    ) -> T {
        let takes = self.platter.takes(bytes);
        let mut done = None;
        {
            let mut under_way = UnderWay {
                platter: &self.platter,
                work: Some(|platter: &Platter| done = Some(work(platter, self.site.wall()))),
            };
            let at = self.site.now() + takes;
            self.site.sleep_until(at).await;
            if let Some(work) = under_way.work.take() {
                work(&self.platter);
            }
        }
        match done {
            Some(done) => done,
            None => core::future::pending().await,
        }
    }

    async fn store<T: 'static>(
        &self,
        work: impl FnOnce(&mut Store, WallTime) -> io::Result<T>,
    ) -> io::Result<T> {
        self.does(0, |platter, at| {
            platter.may_fail()?;
            work(&mut platter.0.store.borrow_mut(), at)
        })
        .await
    }
}

impl Disk for SimDisk {
    type File = Inode;

    async fn open(&self, path: &Path, how: Open) -> io::Result<Inode> {
        self.store(|store, at| store.open(path, how, at)).await
    }

    async fn len(&self, file: &Inode) -> io::Result<u64> {
        self.store(|_, _| Ok(file.borrow().len())).await
    }

    async fn read_at(&self, file: &Inode, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let read = |platter: &Platter, _| {
            platter.may_fail()?;
            Ok(file.borrow().read(offset, len))
        };
        self.does(len, read).await
    }

    async fn write_at(&self, file: &Inode, offset: u64, buffer: Vec<u8>) -> Written {
        let len = buffer.len();
        let write = |platter: &Platter, at| Written {
            result: platter.write(file, offset, &buffer, at),
            buffer,
        };
        self.does(len, write).await
    }

    async fn truncate(&self, file: &Inode, len: u64) -> io::Result<()> {
        let truncate = |platter: &Platter, at| {
            platter.may_fail()?;
            let more = len.saturating_sub(file.borrow().len());
            if platter.room(more) < more {
                return Err(io::ErrorKind::StorageFull.into());
            }
            file.borrow_mut().truncate(len, at);
            Ok(())
        };
        self.does(0, truncate).await
    }

    async fn sync_data(&self, file: &Inode) -> io::Result<()> {
        self.store(|_, _| {
            file.borrow_mut().sync();
            Ok(())
        })
        .await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.store(|store, _| store.rename(from, to)).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.store(|store, _| store.remove(path)).await
    }

    async fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.store(|store, _| store.list(dir)).await
    }

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.store(|store, _| store.create_dir_all(path)).await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.store(|store, _| store.sync_dir(path)).await
    }
}
