//! The real disk: every operation waits on a thread of the blocking pool, never on a shard's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use smol::lock::Semaphore;

use super::{Disk, Entry, Kind, Open, Written};
use crate::limits;
use crate::time::WallTime;

/// The machine's disks.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk {
    /// Whose operations have places of their own.
    viewers: bool,
}

/// An open file.
pub type RealFile = Arc<File>;

impl RealDisk {
    /// The places of all operations of a kind that are under way, in the whole process.
    fn places(self) -> &'static Arc<Semaphore> {
        static RECORDERS: OnceLock<Arc<Semaphore>> = OnceLock::new();
        static VIEWERS: OnceLock<Arc<Semaphore>> = OnceLock::new();
        let (places, most) = match self.viewers {
            true => (&VIEWERS, limits::DISK_VIEWS),
            false => (&RECORDERS, limits::DISK_OPERATIONS),
        };
        places.get_or_init(|| Arc::new(Semaphore::new(most)))
    }

    /// Does `work` on a thread that may wait, once there is a place. Its place is held until it is over, also if nobody
    /// waits for it any more: a disk that hangs costs so many threads and no more.
    async fn elsewhere<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let place = self.places().acquire_arc().await;
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        smol::unblock(work).await
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where files are at home")]
fn open(path: &Path, how: Open) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    match how {
        Open::Read => {}
        Open::Edit => {
            options.write(true);
        }
        // O_EXCL: it does not follow a link either.
        Open::New => {
            options.write(true).create_new(true);
        }
    }
    follow_no_link(path, how, &mut options)?;
    let file = options.open(path)?;
    // A directory opens, and cannot be read; a pipe would be waited for.
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )),
    }
}

/// The kernel refuses a link, and does not wait for the other end of a pipe.
#[cfg(target_os = "linux")]
fn follow_no_link(_: &Path, _: Open, options: &mut OpenOptions) -> io::Result<()> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed());
    Ok(())
}

/// Elsewhere we look first: who may write to the directory could be faster.
#[cfg(not(target_os = "linux"))]
fn follow_no_link(path: &Path, how: Open, _: &mut OpenOptions) -> io::Result<()> {
    match how {
        Open::New => Ok(()),
        _ if fs::symlink_metadata(path)?.is_file() => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )),
    }
}

#[cfg(unix)]
fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(unix)]
fn write(file: &File, buffer: &[u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, buffer, offset)
}

#[cfg(windows)]
fn write(file: &File, buffer: &[u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, buffer, offset)
}

fn read_all(file: &File, mut offset: u64, len: usize) -> io::Result<Vec<u8>> {
    // Of a file that is shorter than was asked for, no more is held than it has.
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut buffer = vec![0; usize::try_from(left).unwrap_or(len).min(len)];
    let mut had = 0;
    while let Some(rest) = buffer.get_mut(had..).filter(|rest| !rest.is_empty()) {
        match read(file, rest, offset) {
            Ok(0) => break,
            Ok(n) => {
                had += n;
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(had);
    Ok(buffer)
}

fn write_all(file: &File, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = bytes.get(n..).unwrap_or_default();
                offset += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is where files are at home")]
fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir)?.take(limits::DISK_ENTRIES) {
        let entry = entry?;
        // It may go while we look.
        let Ok(about) = entry.metadata() else {
            continue;
        };
        let kind = if about.is_file() {
            Kind::File {
                len: about.len(),
                modified: about.modified().map_or(WallTime(0), wall),
            }
        } else if about.is_dir() {
            Kind::Directory
        } else {
            Kind::Other
        };
        let name = entry.file_name();
        entries.push(Entry { name, kind });
    }
    entries.sort_unstable();
    Ok(entries)
}

fn wall(at: SystemTime) -> WallTime {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    WallTime(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// A directory is synced as a file that is open for reading.
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "this is where files are at home")]
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Elsewhere a directory is no file: its file system keeps it.
#[cfg(not(unix))]
fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

impl Disk for RealDisk {
    type File = RealFile;

    fn for_viewers(&self) -> Self {
        Self { viewers: true }
    }

    async fn open(&self, path: &Path, how: Open) -> io::Result<RealFile> {
        let path = path.to_owned();
        self.elsewhere(move || open(&path, how)).await.map(Arc::new)
    }

    async fn len(&self, file: &RealFile) -> io::Result<u64> {
        let file = Arc::clone(file);
        self.elsewhere(move || Ok(file.metadata()?.len())).await
    }

    async fn read_at(&self, file: &RealFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = Arc::clone(file);
        self.elsewhere(move || read_all(&file, offset, len)).await
    }

    async fn write_at(&self, file: &RealFile, offset: u64, buffer: Vec<u8>) -> Written {
        let file = Arc::clone(file);
        self.elsewhere(move || Written {
            result: write_all(&file, offset, &buffer),
            buffer,
        })
        .await
    }

    async fn truncate(&self, file: &RealFile, len: u64) -> io::Result<()> {
        let file = Arc::clone(file);
        self.elsewhere(move || file.set_len(len)).await
    }

    async fn sync_data(&self, file: &RealFile) -> io::Result<()> {
        let file = Arc::clone(file);
        self.elsewhere(move || file.sync_data()).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.elsewhere(move || fs::rename(from, to)).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.elsewhere(move || fs::remove_file(path)).await
    }

    async fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let dir = dir.to_owned();
        self.elsewhere(move || list(&dir)).await
    }

    async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let path: PathBuf = path.to_owned();
        self.elsewhere(move || fs::create_dir_all(path)).await
    }

    async fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        self.elsewhere(move || sync_dir(&path)).await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::{Condvar, Mutex};

    use futures_lite::future::{block_on, or, poll_once};

    use super::*;

    /// A disk that hangs, until it does not.
    #[derive(Default)]
    struct Hung(Mutex<bool>, Condvar);

    impl Hung {
        fn wait(&self) {
            let over = self.0.lock().unwrap();
            drop(self.1.wait_while(over, |over| !*over).unwrap());
        }

        fn is_over(&self) {
            *self.0.lock().unwrap() = true;
            self.1.notify_all();
        }
    }

    async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let late = async {
            smol::Timer::after(std::time::Duration::from_secs(20)).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        or(work, late).await
    }

    /// Everything that a recording asks of its disk.
    async fn records(disk: RealDisk, dir: &Path) -> io::Result<()> {
        disk.create_dir_all(dir).await?;
        let (part, whole) = (dir.join("a.flv.part"), dir.join("a.flv"));
        let file = disk.open(&part, Open::New).await?;
        assert!(disk.open(&whole, Open::Read).await.is_err());
        disk.write_at(&file, 0, b"media".to_vec()).await.result?;
        disk.sync_data(&file).await?;
        disk.truncate(&file, 4).await?;
        assert_eq!(disk.len(&file).await?, 4);
        disk.rename(&part, &whole).await?;
        disk.sync_dir(dir).await?;
        assert_eq!(disk.list(dir).await?.len(), 1);
        assert_eq!(disk.read_at(&file, 0, 9).await?, b"medi");
        disk.remove(&whole).await
    }

    #[test]
    fn who_records_does_not_wait_for_who_watches_nor_the_other_way_round() {
        let recorder = RealDisk::default();
        let viewer = recorder.for_viewers();
        let dir = std::env::temp_dir().join(format!("millstream-places-{}", std::process::id()));
        for (hangs, goes_on) in [(viewer, recorder), (recorder, viewer)] {
            let hung = Arc::new(Hung::default());
            block_on(async {
                let wait = || {
                    let hung = Arc::clone(&hung);
                    Box::pin(hangs.elsewhere(move || hung.wait()))
                };
                let mut waits: Vec<_> = (0..200).map(|_| wait()).collect();
                for wait in &mut waits {
                    assert!(poll_once(wait).await.is_none());
                }
                let mut one_more = pin!(hangs.list(&dir));
                assert!(poll_once(&mut one_more).await.is_none());
                let recorded = in_time(records(goes_on, &dir)).await;
                assert!(poll_once(&mut one_more).await.is_none(), "it has no place");
                hung.is_over();
                recorded.expect("it has places of its own");
                for wait in waits {
                    wait.await;
                }
                assert!(one_more.await.expect("its turn").is_empty());
            });
        }
        block_on(smol::fs::remove_dir(dir)).expect("empty");
    }
}
