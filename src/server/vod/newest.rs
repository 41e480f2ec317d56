//! The newest recording of a stream: for players that want what was recorded of it (`play` with a start), and know no name
//! of a file.
//!
//! Anybody may ask for any name, so a shard lists one directory at a time, and what it found serves all who ask within
//! [`limits::VOD_LISTED`].

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::names;
use crate::config::NamePattern;
use crate::limits;
use crate::media::directory::StreamKey;
use crate::runtime::disk::{Disk, Kind};
use crate::time::{Instant, WallTime};

/// What was found lately where recordings lie.
#[derive(Default)]
pub(in crate::server) struct Listings {
    /// The newest last.
    kept: RefCell<VecDeque<(Instant, Rc<Listing>)>>,
    /// Somebody lists a directory.
    busy: Cell<bool>,
    /// Listings that are over, one way or another.
    over: Cell<u64>,
    /// Who waits for the next of them, by a number of its own.
    waiting: RefCell<BTreeMap<u64, Waker>>,
    asked: Cell<u64>,
}

/// What a directory held.
struct Listing {
    dir: PathBuf,
    /// What may be a recording, by name, and when it was written; or what the disk said.
    files: Result<Vec<(Box<str>, WallTime)>, io::ErrorKind>,
}

/// The right to list a directory.
struct Turn<'a>(&'a Listings);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
        self.0.over.set(self.0.over.get() + 1);
        let waiting = self.0.waiting.take();
        waiting.into_values().for_each(Waker::wake);
    }
}

impl Listing {
    async fn of<D: Disk>(disk: &D, dir: &Path) -> Self {
        let files = match disk.list(dir).await {
            Ok(entries) => Ok(entries
                .into_iter()
                .filter_map(|entry| match entry.kind {
                    Kind::File { modified, .. } => {
                        let name = entry.name.to_str().filter(|it| names::stem(it).is_some())?;
                        Some((name.into(), modified))
                    }
                    _ => None,
                })
                .collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.kind()),
        };
        let dir = dir.to_owned();
        Self { dir, files }
    }

    /// Those that begin with `prefix`.
    fn beginning(&self, prefix: &str) -> io::Result<impl Iterator<Item = &(Box<str>, WallTime)>> {
        let files = self.files.as_ref().map_err(|kind| io::Error::from(*kind))?;
        let first = files.partition_point(|(name, _)| **name < *prefix);
        let from = files.iter().skip(first);
        Ok(from.take_while(move |(name, _)| name.starts_with(prefix)))
    }
}

impl Listings {
    /// What `dir` holds, or held a moment ago.
    async fn of<D: Disk>(&self, now: impl Fn() -> Instant, disk: &D, dir: &Path) -> Rc<Listing> {
        loop {
            if let Some(listing) = self.known(now(), dir) {
                return listing;
            }
            if !self.busy.replace(true) {
                let _turn = Turn(self);
                let listing = Rc::new(Listing::of(disk, dir).await);
                let mut kept = self.kept.borrow_mut();
                if kept.len() >= limits::VOD_LISTINGS {
                    kept.pop_front();
                }
                kept.push_back((now(), Rc::clone(&listing)));
                return listing;
            }
            let (over, number) = (self.over.get(), self.asked.get());
            self.asked.set(number + 1);
            poll_fn(|cx| {
                if self.over.get() != over {
                    return Poll::Ready(());
                }
                let mut waiting = self.waiting.borrow_mut();
                waiting.insert(number, cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
    }

    fn known(&self, now: Instant, dir: &Path) -> Option<Rc<Listing>> {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|(at, _)| now.since(*at) < limits::VOD_LISTED);
        let known = kept.iter().find(|(_, listing)| listing.dir == dir);
        known.map(|(_, listing)| Rc::clone(listing))
    }

    /// The file that was written last in `directories` of those that are called by `pattern` for the stream `key`: perhaps
    /// by two names, as it may be finished while it is looked for. Nothing if there is none, or if files lie in directories
    /// that are called by their time.
    ///
    /// # Errors
    /// The disk's.
    pub(in crate::server) async fn newest<D: Disk>(
        &self,
        now: impl Fn() -> Instant,
        disk: &D,
        directories: &[PathBuf],
        pattern: &NamePattern,
        key: &StreamKey,
    ) -> io::Result<Vec<PathBuf>> {
        let pattern = pattern.of(key.application(), key.name());
        let Some(within) = pattern.directory() else {
            return Ok(Vec::new());
        };
        let above = match within.as_str() {
            "" => String::new(),
            within => format!("{within}/"),
        };
        let prefix = pattern.prefix();
        let prefix = prefix.strip_prefix(&above).unwrap_or_default();
        let mut newest: Option<(WallTime, PathBuf)> = None;
        for directory in directories {
            let dir = directory.join(&within);
            let listing = self.of(&now, disk, &dir).await;
            let files = listing.beginning(prefix)?.filter(|(name, _)| {
                names::stem(name).is_some_and(|stem| pattern.is_name(&format!("{above}{stem}")))
            });
            // Of two that were written at once, the one that is called later.
            let file = files.max_by_key(|(name, modified)| (*modified, name));
            newest = newest.max(file.map(|(name, modified)| (*modified, dir.join(&**name))));
        }
        let Some((_, path)) = newest else {
            return Ok(Vec::new());
        };
        let finished = names::is_unfinished(&path).then(|| path.with_extension(""));
        Ok([Some(path), finished].into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once, yield_now};

    use super::*;
    use crate::runtime::disk::{Entry, NoDisk, Open, Written};
    use crate::time::Duration;

    /// One that lists, and counts that.
    #[derive(Clone, Default)]
    struct Counting {
        lists: Rc<Cell<u32>>,
        under_way: Rc<Cell<u32>>,
    }

    impl Disk for Counting {
        type File = ();

        async fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
            self.lists.set(self.lists.get() + 1);
            assert_eq!(self.under_way.replace(1), 0, "one at a time");
            yield_now().await;
            self.under_way.set(0);
            match dir.to_str() {
                Some("/r/broken") => return Err(io::ErrorKind::PermissionDenied.into()),
                Some("/r/none") => return Err(io::ErrorKind::NotFound.into()),
                _ => {}
            }
            let file = |(name, at): &(&str, u64)| Entry {
                name: name.into(),
                kind: Kind::File {
                    len: 1,
                    modified: WallTime(*at),
                },
            };
            let mut entries: Vec<Entry> = [
                ("cam-1.flv", 5),
                ("cam-2.flv.part", 9),
                ("cam.flv", 3),
                ("cam.txt", 12),
                ("camera.flv", 20),
                ("x.flv", 4),
            ]
            .iter()
            .map(file)
            .collect();
            entries.sort();
            Ok(entries)
        }

        async fn open(&self, path: &Path, how: Open) -> io::Result<()> {
            NoDisk.open(path, how).await
        }
        async fn len(&self, file: &()) -> io::Result<u64> {
            NoDisk.len(file).await
        }
        async fn read_at(&self, file: &(), offset: u64, len: usize) -> io::Result<Vec<u8>> {
            NoDisk.read_at(file, offset, len).await
        }
        async fn write_at(&self, file: &(), offset: u64, buffer: Vec<u8>) -> Written {
            NoDisk.write_at(file, offset, buffer).await
        }
        async fn truncate(&self, file: &(), len: u64) -> io::Result<()> {
            NoDisk.truncate(file, len).await
        }
        async fn sync_data(&self, file: &()) -> io::Result<()> {
            NoDisk.sync_data(file).await
        }
        async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            NoDisk.rename(from, to).await
        }
        async fn remove(&self, path: &Path) -> io::Result<()> {
            NoDisk.remove(path).await
        }
        async fn create_dir_all(&self, path: &Path) -> io::Result<()> {
            NoDisk.create_dir_all(path).await
        }
        async fn sync_dir(&self, path: &Path) -> io::Result<()> {
            NoDisk.sync_dir(path).await
        }
    }

    /// Who asks for a stream at a time in milliseconds.
    async fn ask(
        listings: &Listings,
        disk: &Counting,
        at: u64,
        key: &str,
    ) -> io::Result<Vec<PathBuf>> {
        let (app, name) = key.split_once('/').unwrap();
        let now = || Instant::from_micros(at * 1_000);
        let pattern = "{app}/{stream}".parse().unwrap();
        let key = StreamKey::new(app, name);
        let directories = [PathBuf::from("/r")];
        let newest = listings.newest(now, disk, &directories, &pattern, &key);
        newest.await
    }

    #[test]
    fn a_thousand_who_ask_cost_a_listing_a_second() {
        let (listings, disk) = (Listings::default(), Counting::default());
        block_on(async {
            for second in 1..=3 {
                let names: Vec<String> = (0..1_000).map(|n| format!("live/unknown-{n}")).collect();
                let ask = |name| Box::pin(ask(&listings, &disk, second * 1_000, name));
                let mut asks: Vec<_> = names.iter().map(|name| ask(name)).collect();
                for ask in &mut asks {
                    assert!(poll_once(ask).await.is_none(), "the disk takes its time");
                }
                for ask in asks {
                    assert_eq!(ask.await.unwrap(), Vec::<PathBuf>::new());
                }
                assert_eq!(u64::from(disk.lists.get()), second);
            }
            // One who goes while it lists leaves that to the next.
            let mut gone = Box::pin(ask(&listings, &disk, 9_000, "live/x"));
            let mut next = Box::pin(ask(&listings, &disk, 9_000, "live/x"));
            assert!(poll_once(&mut gone).await.is_none() && poll_once(&mut next).await.is_none());
            disk.under_way.set(0);
            drop(gone);
            assert_eq!(next.await.unwrap(), [PathBuf::from("/r/live/x.flv")]);
        });
    }

    #[test]
    fn few_directories_are_known_and_each_stream_has_its_newest() {
        let (listings, disk) = (Listings::default(), Counting::default());
        let ask = |at, key| block_on(ask(&listings, &disk, at, key));
        let newest = ["/r/live/cam-2.flv.part", "/r/live/cam-2.flv"].map(PathBuf::from);
        assert_eq!(ask(0, "live/cam").unwrap(), newest);
        assert_eq!(
            ask(999, "live/camera").unwrap(),
            [PathBuf::from("/r/live/camera.flv")]
        );
        assert_eq!(disk.lists.get(), 1);
        assert_eq!(ask(1_000, "none/cam").unwrap(), Vec::<PathBuf>::new());
        for at in [1_000, 1_500] {
            let denied = ask(at, "broken/cam").unwrap_err();
            assert_eq!(denied.kind(), io::ErrorKind::PermissionDenied);
        }
        assert_eq!(disk.lists.get(), 3);
        let keys: Vec<String> = (0..20).map(|n| format!("app-{n}/cam")).collect();
        for key in &keys {
            ask(1_500, key).unwrap();
            assert!(listings.kept.borrow().len() <= limits::VOD_LISTINGS);
        }
        assert_eq!(disk.lists.get(), 23);
        assert_eq!(limits::VOD_LISTED, Duration::from_secs(1));
    }

    #[test]
    fn names_of_recordings_have_an_ending_or_two() {
        assert_eq!(names::stem("a-1.flv"), Some("a-1"));
        assert_eq!(names::stem("a.b.mp4.part"), Some("a.b"));
        assert_eq!(names::stem("a.txt"), None);
        assert_eq!(names::stem("flv"), None);
        let part = Path::new("d/a.flv.part");
        assert_eq!(part.with_extension(""), Path::new("d/a.flv"));
    }
}
