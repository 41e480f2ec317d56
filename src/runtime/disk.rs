//! Files, as the server uses them: for recordings, and to play them.
//!
//! Three implementations: [`real`](RealDisk) in production (a pool of threads that may wait), the simulator's, whose
//! disk stalls, fills up, fails and loses its power, and [`NoDisk`] for worlds that have none.
//!
//! # Paths
//! Absolute, or relative to the process's working directory; the server builds them, never a client. What a path's
//! last component names is never followed if it is a symbolic link: whoever may make links in a directory of recordings
//! cannot make the server write or read elsewhere. The directories above it are the operator's, and may be links.
//!
//! # What is safe
//! What was written is safe from the process's end at once, from the machine's only after [`Disk::sync_data`]; that a
//! name exists, has changed or has gone only after [`Disk::sync_dir`] of its directory. Without them, writes may be lost,
//! torn or done in another order.
//!
//! # Giving up
//! Every future may be dropped: what it was to do may then be done all the same, wholly or in part, now or a moment
//! later. Nothing else breaks. Whoever drops a write has to count on it until the file is closed.

use core::future::Future;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::time::WallTime;

#[cfg(feature = "production")]
mod real;

#[cfg(feature = "production")]
pub use real::{RealDisk, RealFile};

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Open {
    /// To be read; it must exist.
    Read,
    /// To be read and written; it must exist.
    Edit,
    /// To be read and written; it must not exist (not as a link either).
    New,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A file, with its length in bytes and when it was last written.
    File {
        /// Bytes.
        len: u64,
        /// The last write, by the disk's clock.
        modified: WallTime,
    },
    /// A directory.
    Directory,
    /// Anything else: a symbolic link, a socket, a device.
    Other,
}

/// One name in a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// The name, without the directory.
    pub name: OsString,
    /// What it stands for.
    pub kind: Kind,
}

/// A file that has been written to: the buffer comes back for the next write, whatever happened.
#[derive(Debug)]
pub struct Written {
    /// The buffer that was given, as it was given.
    pub buffer: Vec<u8>,
    /// How it went. After an error any part of the buffer, from its front, may stand in the file.
    pub result: io::Result<()>,
}

/// A world's files. Clones are the same disk.
///
/// # Errors
/// All methods fail with the kind of the system's error: `NotFound`, `AlreadyExists`, `PermissionDenied`,
/// `StorageFull`, and for a disk that has failed whatever it says.
pub trait Disk: Clone + 'static {
    /// An open file; clones are the same one, and the last closes it.
    type File: Clone + 'static;

    /// The same disk for those who play from it: where operations wait for a place, they wait for places of their own. So
    /// nothing that a recording needs waits behind viewers, however many there are, and however long the disk takes.
    #[must_use]
    fn for_viewers(&self) -> Self {
        self.clone()
    }

    /// Opens the file at `path`.
    fn open(&self, path: &Path, how: Open) -> impl Future<Output = io::Result<Self::File>>;

    /// The file's length, bytes.
    fn len(&self, file: &Self::File) -> impl Future<Output = io::Result<u64>>;

    /// The `len` bytes from `offset` on: fewer only where the file ends. `len` is the caller's bound of its memory.
    fn read_at(
        &self,
        file: &Self::File,
        offset: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<Vec<u8>>>;

    /// Writes all of `buffer` at `offset`; beyond the file's end, what lies between reads as zeros.
    fn write_at(
        &self,
        file: &Self::File,
        offset: u64,
        buffer: Vec<u8>,
    ) -> impl Future<Output = Written>;

    /// Makes the file `len` bytes long: cuts it off, or fills it up with zeros.
    fn truncate(&self, file: &Self::File, len: u64) -> impl Future<Output = io::Result<()>>;

    /// Waits until everything written to the file is safe, its length included.
    fn sync_data(&self, file: &Self::File) -> impl Future<Output = io::Result<()>>;

    /// Gives what stands at `from` the name `to`, at once; what stood there before has gone.
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>>;

    /// Removes the file at `path`.
    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>>;

    /// The names in a directory, sorted. At most [`crate::limits::DISK_ENTRIES`] of them, and no word if there are more.
    fn list(&self, dir: &Path) -> impl Future<Output = io::Result<Vec<Entry>>>;

    /// Makes the directory at `path`, and those above it; it may exist.
    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>>;

    /// Waits until the names in the directory at `path` are safe.
    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>>;
}

/// The disk of a world that has none: everything fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDisk;

/// What everything on [`NoDisk`] fails with.
fn no_disk<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Disk for NoDisk {
    type File = ();

    async fn open(&self, _: &Path, _: Open) -> io::Result<()> {
        no_disk()
    }
    async fn len(&self, (): &()) -> io::Result<u64> {
        no_disk()
    }
    async fn read_at(&self, (): &(), _: u64, _: usize) -> io::Result<Vec<u8>> {
        no_disk()
    }
    async fn write_at(&self, (): &(), _: u64, buffer: Vec<u8>) -> Written {
        Written {
            buffer,
            result: no_disk(),
        }
    }
    async fn truncate(&self, (): &(), _: u64) -> io::Result<()> {
        no_disk()
    }
    async fn sync_data(&self, (): &()) -> io::Result<()> {
        no_disk()
    }
    async fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        no_disk()
    }
    async fn remove(&self, _: &Path) -> io::Result<()> {
        no_disk()
    }
    async fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        no_disk()
    }
    async fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        no_disk()
    }
    async fn sync_dir(&self, _: &Path) -> io::Result<()> {
        no_disk()
    }
}

/// The directory that holds the file at `path`: what is to be synced after its name has changed.
pub fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}
