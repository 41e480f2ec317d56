//! What is in the directories of recordings: on start, and where a reload brings another directory, files that an earlier
//! server has not finished are made whole; and those that are too old or too many are removed. Only files whose names are of the pattern are touched.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::file::{PART, part_of};
use crate::config::{AppTable, Container, NamePattern};
use crate::limits;
use crate::media::file::{Repaired, Step, Task};
use crate::media::flv::FlvRepair;
use crate::media::mp4::Mp4Repair;
use crate::planted::{Bug, planted};
use crate::runtime::Runtime;
use crate::runtime::disk::{Disk, Kind, Open, directory_of};
use crate::time::{Duration, Instant, WallTime};

/// What is kept in a directory: what the most generous of the applications wants that record there.
#[derive(Clone, Debug, Default)]
struct Keeping {
    patterns: Vec<NamePattern>,
    /// Zero: for ever.
    time: Duration,
    /// 0: all.
    bytes: u64,
}

impl Keeping {
    fn is_for_ever(&self) -> bool {
        self.time.is_zero() && self.bytes == 0
    }

    /// Whether `name`, a relative path, is a recording's, and whether it is finished.
    fn knows(&self, name: &str) -> Option<bool> {
        let (name, finished) = match name.strip_suffix(PART).and_then(|it| it.strip_suffix('.')) {
            Some(name) => (name, false),
            None => (name, true),
        };
        let (stem, ending) = name.rsplit_once('.')?;
        Container::spelt(ending)?;
        let mut patterns = self.patterns.iter();
        patterns.any(|it| it.is_name(stem)).then_some(finished)
    }

    fn depth(&self) -> usize {
        let depths = self.patterns.iter().map(NamePattern::depth);
        depths.max().unwrap_or(0)
    }
}

/// The larger of two bounds, of which 0 is the largest.
fn more<T: Default + Ord>(one: T, other: T) -> T {
    match one == T::default() || other == T::default() {
        true => T::default(),
        false => one.max(other),
    }
}

/// The directories of all recordings.
fn directories(applications: &AppTable) -> BTreeMap<PathBuf, Keeping> {
    let mut all: BTreeMap<PathBuf, Keeping> = BTreeMap::new();
    for settings in applications.all() {
        let Some(dir) = settings.record_dir.path() else {
            continue;
        };
        let first = Keeping {
            patterns: Vec::new(),
            time: settings.record_keep_time,
            bytes: settings.record_keep_bytes,
        };
        let keeping = all.entry(dir.to_owned()).or_insert(first);
        keeping.time = more(keeping.time, settings.record_keep_time);
        keeping.bytes = more(keeping.bytes, settings.record_keep_bytes);
        if !keeping.patterns.contains(&settings.record_name) {
            keeping.patterns.push(settings.record_name.clone());
        }
    }
    all
}

/// Whether something is recorded anywhere.
pub(in crate::server) fn is_needed(applications: &AppTable) -> bool {
    let mut all = applications.all();
    all.any(|settings| settings.record_dir.path().is_some())
}

/// A recording's file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Found {
    path: PathBuf,
    finished: bool,
    bytes: u64,
    modified: WallTime,
}

/// The recordings in `dir`, at most [`limits::RECORD_FILES`].
async fn find<D: Disk>(disk: &D, dir: &Path, keeping: &Keeping) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut open = vec![(dir.to_owned(), String::new(), 0)];
    while let Some((dir, before, depth)) = open.pop() {
        let entries = match disk.list(&dir).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let Some(name) = entry.name.to_str().map(|name| format!("{before}{name}")) else {
                continue;
            };
            let path = dir.join(&entry.name);
            match entry.kind {
                Kind::Directory if depth < keeping.depth() => {
                    open.push((path, format!("{name}/"), depth + 1));
                }
                Kind::File { len, modified } if found.len() < limits::RECORD_FILES => {
                    found.extend(keeping.knows(&name).map(|finished| Found {
                        path,
                        finished,
                        bytes: len,
                        modified,
                    }));
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Rung when the settings have changed: what directories of recordings they name.
#[derive(Default)]
pub(in crate::server) struct Bell {
    named: RefCell<BTreeMap<PathBuf, Keeping>>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    /// Those of `applications` are in force. What an earlier server has left in their directories is to be known soon: also
    /// of one that the next settings do not name any more, whose recorders wait for that.
    pub(in crate::server) fn ring(&self, applications: &AppTable) {
        self.named.borrow_mut().extend(directories(applications));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until it is rung, or for a time.
    async fn wait<R: Runtime>(&self, runtime: &R, until: Instant) {
        let mut sleep = pin!(runtime.sleep_until(until));
        poll_fn(|cx| {
            if !self.named.borrow().is_empty() {
                return Poll::Ready(());
            }
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            sleep.as_mut().poll(cx)
        })
        .await;
    }
}

/// Looks after the directories of recordings for as long as the server runs. `listed` is called with each that the `bell`
/// has brought, once it is known what an earlier server has left there: until then no file may be made in it. That is made
/// whole. `applications` tells the settings of now.
pub(in crate::server) async fn run<R: Runtime>(
    runtime: R,
    applications: impl Fn() -> AppTable,
    bell: Rc<Bell>,
    listed: impl Fn(&Path),
) {
    let disk = runtime.disk();
    let mut archive = Archive {
        began: runtime.wall(),
        runtime,
        listed: BTreeSet::new(),
        unfinished: VecDeque::new(),
    };
    let mut sweep_at = archive.runtime.now();
    loop {
        let named = bell.named.take();
        for dir in archive.look(named).await {
            listed(&dir);
        }
        // Who waits for a directory does not wait for all the repairs in another.
        if archive.mend_one().await {
            continue;
        }
        let runtime = &archive.runtime;
        if runtime.now() >= sweep_at {
            for (dir, keeping) in directories(&applications()) {
                if !keeping.is_for_ever()
                    && let Err(error) = sweep(&disk, &dir, &keeping, runtime.wall()).await
                {
                    tracing::warn!(dir = %dir.display(), %error, "old recordings cannot be removed");
                }
            }
            sweep_at = runtime.now() + limits::RECORD_SWEEP;
        }
        bell.wait(runtime, sweep_at).await;
    }
}

/// What an earlier server has left.
struct Archive<R: Runtime> {
    runtime: R,
    /// No file was made by this server before.
    began: WallTime,
    /// Directories that were listed. They stay listed, whatever the settings name: their files are ours from then on. As
    /// many as an operator has thought of.
    listed: BTreeSet<PathBuf>,
    unfinished: VecDeque<Found>,
}

impl<R: Runtime> Archive<R> {
    /// Looks what is unfinished in those of the directories that were not listed yet. Returns them.
    async fn look(&mut self, named: BTreeMap<PathBuf, Keeping>) -> Vec<PathBuf> {
        let disk = self.runtime.disk();
        let is_first = self.listed.is_empty();
        let (mut dirs, before) = (Vec::new(), self.unfinished.len());
        for (dir, keeping) in named {
            if self.listed.contains(&dir) {
                continue;
            }
            let found = patiently(&self.runtime, &dir, || find(&disk, &dir, &keeping)).await;
            let mut parts = found.unwrap_or_default();
            // A directory may have two names, by a link for one: what recorders of ours write in it by the other is younger.
            parts.retain(|file| !file.finished && (is_first || file.modified < self.began));
            self.unfinished.extend(parts);
            dirs.push(dir);
        }
        self.listed.extend(dirs.iter().cloned());
        let files = self.unfinished.len() - before;
        if files > 0 {
            tracing::info!(
                files,
                "recordings were not finished when the server ended: they are made whole"
            );
        }
        dirs
    }

    /// Makes one file whole; false if there is none.
    async fn mend_one(&mut self) -> bool {
        let disk = self.runtime.disk();
        if planted(Bug::RepairSkipped) {
            self.unfinished.clear();
        }
        let Some(file) = self.unfinished.pop_front() else {
            return false;
        };
        let repaired = patiently(&self.runtime, &file.path, || repair(&disk, &file.path)).await;
        if let Some(outcome) = repaired {
            self.runtime
                .trace(format_args!("repaired {}", file.path.display()));
            outcome.log(&file);
        }
        true
    }
}

/// Tries until it is done, or for the last time.
async fn patiently<R: Runtime, T, F: Future<Output = io::Result<T>>>(
    runtime: &R,
    path: &Path,
    work: impl Fn() -> F,
) -> Option<T> {
    for attempt in 1..=limits::RECORD_RETRIES {
        match work().await {
            Ok(done) => return Some(done),
            Err(error) if attempt == limits::RECORD_RETRIES => {
                tracing::error!(
                    path = %path.display(),
                    %error,
                    "recordings that were not finished cannot be made whole: they stay as they are until the next start"
                );
            }
            Err(_) => {
                runtime
                    .sleep_until(runtime.now() + limits::RECORD_RETRY)
                    .await;
            }
        }
    }
    None
}

/// What became of a file that was not finished.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    /// It is whole now, under this name, and so long.
    Whole(PathBuf, Repaired),
    /// It held nothing, and has gone.
    Empty,
    /// It is nothing that we write: it stays.
    Beyond(String),
}

impl Outcome {
    fn log(&self, file: &Found) {
        match self {
            Self::Whole(path, repaired) => tracing::info!(
                file = %path.display(),
                bytes = repaired.len,
                cut_off = file.bytes.saturating_sub(repaired.len),
                duration_ms = repaired.duration,
                "a recording that was not finished is whole now"
            ),
            Self::Empty => tracing::info!(
                file = %file.path.display(),
                "a recording that was not finished held nothing, and was removed"
            ),
            Self::Beyond(why) => tracing::error!(
                file = %file.path.display(),
                why,
                "a recording that was not finished cannot be made whole: it stays as it is"
            ),
        }
    }
}

/// Makes the file at `part` whole, and gives it its name. It may be done again from the beginning, wherever it ended.
async fn repair<D: Disk>(disk: &D, part: &Path) -> io::Result<Outcome> {
    let file = disk.open(part, Open::Edit).await?;
    let len = disk.len(&file).await?;
    let is_mp4 = part.with_extension("").extension() == Some(Container::Mp4.word().as_ref());
    let examined = match is_mp4 {
        true => examine(disk, &file, Mp4Repair::new(len)).await?,
        false => examine(disk, &file, FlvRepair::new(len)).await?,
    };
    let repaired = match examined {
        Ok(repaired) => repaired,
        Err(_) if len == 0 => return remove(disk, part).await,
        Err(why) => return Ok(Outcome::Beyond(why)),
    };
    if repaired.is_empty {
        return remove(disk, part).await;
    }
    if repaired.len < len {
        disk.truncate(&file, repaired.len).await?;
    }
    disk.sync_data(&file).await?;
    for patch in &repaired.patches {
        let bytes = patch.bytes.clone();
        disk.write_at(&file, patch.offset, bytes).await.result?;
    }
    disk.sync_data(&file).await?;
    let path = free_name(disk, part).await?;
    disk.rename(part, &path).await?;
    disk.sync_dir(&directory_of(&path)).await?;
    Ok(Outcome::Whole(path, repaired))
}

/// What the file needs; or why it cannot be made whole.
async fn examine<D: Disk, T>(
    disk: &D,
    file: &D::File,
    mut task: T,
) -> io::Result<Result<Repaired, String>>
where
    T: Task<Output = Repaired>,
    T::Error: core::fmt::Display,
{
    let mut input = Vec::new();
    loop {
        match task.step(&input) {
            Ok(Step::Read { offset, len }) => input = disk.read_at(file, offset, len).await?,
            Ok(Step::Done(repaired)) => return Ok(Ok(repaired)),
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
}

async fn remove<D: Disk>(disk: &D, part: &Path) -> io::Result<Outcome> {
    disk.remove(part).await?;
    disk.sync_dir(&directory_of(part)).await?;
    Ok(Outcome::Empty)
}

/// The name of the finished file; with a number, should somebody have it.
async fn free_name<D: Disk>(disk: &D, part: &Path) -> io::Result<PathBuf> {
    let path = part.with_extension("");
    let (stem, ending) = (path.with_extension(""), path.extension());
    let ending = ending.unwrap_or_default().to_string_lossy().into_owned();
    for n in 1..=limits::RECORD_NAMES {
        let path = match n {
            1 => path.clone(),
            n => PathBuf::from(format!("{}-{n}.{ending}", stem.display())),
        };
        let taken = n > 1 && disk.open(&part_of(&path), Open::Read).await.is_ok();
        match disk.open(&path, Open::Read).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !taken => return Ok(path),
            _ => {}
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes what is too old or too much.
async fn sweep<D: Disk>(disk: &D, dir: &Path, keeping: &Keeping, now: WallTime) -> io::Result<()> {
    let mut found = find(disk, dir, keeping).await?;
    found.retain(|file| file.finished);
    for file in superfluous(found, keeping, now) {
        disk.remove(&file.path).await?;
        tracing::info!(
            file = %file.path.display(),
            bytes = file.bytes,
            "a recording was removed: it is older, or more, than is kept"
        );
    }
    Ok(())
}

/// What is not kept of `files`: the oldest first.
fn superfluous(mut files: Vec<Found>, keeping: &Keeping, now: WallTime) -> Vec<Found> {
    files.sort_by(|one, other| {
        let (one, other) = ((one.modified, &one.path), (other.modified, &other.path));
        one.cmp(&other)
    });
    let mut all: u64 = files.iter().map(|file| file.bytes).sum();
    let oldest = u64::try_from(keeping.time.as_micros()).unwrap_or(u64::MAX);
    let is_too_old = |file: &Found| oldest > 0 && now.0.saturating_sub(file.modified.0) > oldest;
    files.retain(|file| {
        let goes = is_too_old(file) || (keeping.bytes > 0 && all > keeping.bytes);
        if goes {
            all -= file.bytes;
        }
        goes
    });
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64, modified: u64) -> Found {
        Found {
            path: path.into(),
            finished: true,
            bytes,
            modified: WallTime(modified * 1_000_000),
        }
    }

    fn gone(keeping: &Keeping, now: u64) -> Vec<String> {
        let files = vec![file("c", 30, 300), file("a", 10, 100), file("b", 20, 200)];
        superfluous(files, keeping, WallTime(now * 1_000_000))
            .into_iter()
            .map(|file| file.path.display().to_string())
            .collect()
    }

    #[test]
    fn the_oldest_goes_first_by_age_and_by_size() {
        let keeping = |time, bytes| Keeping {
            time: Duration::from_secs(time),
            bytes,
            ..Keeping::default()
        };
        assert_eq!(gone(&keeping(150, 0), 310), ["a"]);
        assert_eq!(gone(&keeping(0, 50), 310), ["a"]);
        assert_eq!(gone(&keeping(0, 49), 310), ["a", "b"]);
        assert_eq!(gone(&keeping(150, 35), 310), ["a", "b"]);
        assert_eq!(gone(&keeping(1_000, 60), 310).len(), 0);
        // A clock that was set back makes nothing old.
        assert_eq!(gone(&keeping(150, 0), 0).len(), 0);
    }

    #[test]
    fn only_recordings_are_known() {
        let keeping = Keeping {
            patterns: vec![NamePattern::default()],
            ..Keeping::default()
        };
        assert_eq!(keeping.knows("live/cam-20260801-100203.flv"), Some(true));
        assert_eq!(
            keeping.knows("live/cam-20260801-100203-2.flv.part"),
            Some(false)
        );
        for other in [
            "live/cam.flv",
            "cam-20260801-100203.flv",
            "live/cam-20260801-100203.mkv",
            "live/cam-20260801-100203",
            "live/cam-20260801-100203.part",
        ] {
            assert_eq!(keeping.knows(other), None, "{other}");
        }
    }

    #[test]
    fn the_most_generous_application_decides_in_a_shared_directory() {
        assert_eq!((more(0, 5), more(5, 0), more(3, 5)), (0, 0, 5));
    }
}
