//! What stands on the simulated disk: what a reader sees, and what would be left if the power went now.
//!
//! Every change is made twice: at once in what is seen, and when it is synced in what is safe. Between the two it waits in
//! order; at a power loss dice say which of the waiting changes had reached the platter.

use core::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fastrand::Rng;
use millstream::runtime::disk::{Entry, Kind, Open};
use millstream::time::{Instant, WallTime};

use crate::seed::happens;

/// Bytes that the disk has: what a scenario records stays far below, and a bug that writes forever ends here.
pub const CAPACITY: u64 = 256 * 1024 * 1024;

/// A file, as long as it has a name or is open.
pub type Inode = Rc<RefCell<FileState>>;

/// What a file holds.
#[derive(Default)]
pub struct FileState {
    seen: Vec<u8>,
    safe: Vec<u8>,
    /// Not synced, oldest first.
    waiting: Vec<Change>,
    modified: WallTime,
    /// Since when something of it has not been safe.
    unsafe_since: Option<Instant>,
}

/// A change of a file.
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn make(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(len) => content.resize(*len, 0),
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(bytes);
            }
        }
    }
}

#[derive(Clone)]
enum Node {
    Directory,
    File(Inode),
}

/// A change of names that is made as a whole: what stands there from then on.
type Renaming = Vec<(PathBuf, Option<Node>)>;

/// How much of what was not synced is left after a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// Nothing.
    All,
    /// What came first, the last of it torn.
    Tail,
    /// Anything, in parts: writes had been reordered.
    Any,
}

/// The disk's content.
#[derive(Default)]
pub struct Store {
    seen: BTreeMap<PathBuf, Node>,
    safe: BTreeMap<PathBuf, Node>,
    waiting: Vec<Renaming>,
}

/// What a power loss cost.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Losses {
    /// Writes that are gone.
    pub lost: u64,
    /// Writes of which a part is there.
    pub torn: u64,
    /// Writes that are there though an earlier one of the same file is not.
    pub reordered: u64,
    /// Names that are as they were before.
    pub undone: u64,
}

impl Store {
    /// Bytes of all files that have a name.
    pub fn used(&self) -> u64 {
        let files = self.seen.values();
        files.map(|node| node.len()).sum()
    }

    /// Opens the file at `path`.
    pub fn open(&mut self, path: &Path, how: Open, now: WallTime) -> io::Result<Inode> {
        match (self.seen.get(path), how) {
            (Some(_), Open::New) => Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Node::File(inode)), _) => Ok(inode.clone()),
            (Some(Node::Directory), _) => Err(io::ErrorKind::InvalidInput.into()),
            (None, Open::New) => {
                self.in_directory(path)?;
                let inode = Inode::default();
                inode.borrow_mut().modified = now;
                self.change_names(vec![(path.to_owned(), Some(Node::File(inode.clone())))]);
                Ok(inode)
            }
            (None, _) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives what stands at `from` the name `to`.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.in_directory(to)?;
        match self.seen.get(from).cloned() {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Node::Directory) => Err(io::ErrorKind::Unsupported.into()),
            Some(_) if matches!(self.seen.get(to), Some(Node::Directory)) => {
                Err(io::ErrorKind::IsADirectory.into())
            }
            Some(_) if from == to => Ok(()),
            Some(node) => {
                self.change_names(vec![(from.to_owned(), None), (to.to_owned(), Some(node))]);
                Ok(())
            }
        }
    }

    /// Removes the file at `path`.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        match self.seen.get(path) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(_)) => {
                self.change_names(vec![(path.to_owned(), None)]);
                Ok(())
            }
        }
    }

    /// The names in `dir`, sorted.
    pub fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        if !matches!(self.seen.get(dir), Some(Node::Directory)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = self
            .seen
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir));
        let entry = |(path, node): (&PathBuf, &Node)| Entry {
            name: path.file_name().map(OsString::from).unwrap_or_default(),
            kind: match node {
                Node::Directory => Kind::Directory,
                Node::File(inode) => Kind::File {
                    len: node.len(),
                    modified: inode.borrow().modified,
                },
            },
        };
        let mut entries: Vec<Entry> = inside.map(entry).collect();
        entries.sort_unstable();
        Ok(entries)
    }

    /// Makes a directory, and those above it.
    pub fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.reverse();
        for dir in above {
            match self.seen.get(dir) {
                Some(Node::Directory) => {}
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => self.change_names(vec![(dir.to_owned(), Some(Node::Directory))]),
            }
        }
        Ok(())
    }

    /// Makes the names in `dir` safe. The directory itself is, too: it was found.
    pub fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        if !matches!(self.seen.get(dir), Some(Node::Directory)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let concerns = |renaming: &Renaming| {
            renaming
                .iter()
                .any(|(path, _)| path.parent() == Some(dir) || dir.starts_with(path))
        };
        let (due, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(concerns);
        self.waiting = waiting;
        for renaming in due {
            apply(&mut self.safe, renaming);
        }
        Ok(())
    }

    /// The power goes: what was not safe may be lost.
    pub fn lose_power(&mut self, rng: &mut Rng) -> Losses {
        let mut losses = Losses::default();
        let mut over = BTreeSet::new();
        for renaming in std::mem::take(&mut self.waiting) {
            // A journal keeps the order of a directory's changes: the first that is lost takes the later with it.
            let dirs: Vec<PathBuf> = directories(&renaming);
            if dirs.iter().any(|dir| over.contains(dir)) || happens(rng, 0.5) {
                losses.undone += 1;
                over.extend(dirs);
            } else {
                apply(&mut self.safe, renaming);
            }
        }
        // What lies in a directory that was lost is lost with it.
        let dirs: BTreeSet<PathBuf> = self
            .safe
            .iter()
            .filter(|(_, node)| matches!(node, Node::Directory))
            .map(|(path, _)| path.clone())
            .collect();
        self.safe.retain(|path, _| {
            let mut above = path.ancestors().skip(1);
            above.all(|dir| dirs.contains(dir))
        });
        for node in self.safe.values() {
            if let Node::File(inode) = node {
                inode.borrow_mut().lose_power(rng, &mut losses);
            }
        }
        // Deep: a file that is open somewhere still is not the one that stands here from now on.
        let anew = |node: &Node| match node {
            Node::Directory => Node::Directory,
            Node::File(inode) => {
                let old = inode.borrow();
                Node::File(Rc::new(RefCell::new(FileState {
                    seen: old.safe.clone(),
                    safe: old.safe.clone(),
                    waiting: Vec::new(),
                    modified: old.modified,
                    unsafe_since: None,
                })))
            }
        };
        let left: BTreeMap<PathBuf, Node> = self
            .safe
            .iter()
            .map(|(path, node)| (path.clone(), anew(node)))
            .collect();
        self.seen.clone_from(&left);
        self.safe = left;
        losses
    }

    /// Every file and what a reader sees in it, by path.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::Directory => None,
            Node::File(inode) => Some((path.clone(), inode.borrow().seen.clone())),
        };
        self.seen.iter().filter_map(file).collect()
    }

    /// What is safe of each file whose name is.
    pub fn safe_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::Directory => None,
            Node::File(inode) => Some((path.clone(), inode.borrow().safe.clone())),
        };
        self.safe.iter().filter_map(file).collect()
    }

    /// Where something has not been safe for the longest time, and since when.
    pub fn unsafe_since(&self) -> Option<(PathBuf, Instant)> {
        let file = |(path, node): (&PathBuf, &Node)| match node {
            Node::Directory => None,
            Node::File(inode) => Some((path.clone(), inode.borrow().unsafe_since?)),
        };
        let files = self.seen.iter().filter_map(file);
        files.min_by_key(|(_, since)| *since)
    }

    fn in_directory(&self, path: &Path) -> io::Result<()> {
        match path.parent().and_then(|dir| self.seen.get(dir)) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change_names(&mut self, renaming: Renaming) {
        apply(&mut self.seen, renaming.clone());
        self.waiting.push(renaming);
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, renaming: Renaming) {
    for (path, node) in renaming {
        match node {
            Some(node) => names.insert(path, node),
            None => names.remove(&path),
        };
    }
}

fn directories(renaming: &Renaming) -> Vec<PathBuf> {
    let parents = renaming.iter().filter_map(|(path, _)| path.parent());
    parents.map(Path::to_owned).collect()
}

impl Node {
    fn len(&self) -> u64 {
        match self {
            Self::Directory => 0,
            Self::File(inode) => inode.borrow().seen.len() as u64,
        }
    }
}

impl FileState {
    /// Bytes.
    pub fn len(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// What a reader sees from `offset` on, at most `len` bytes.
    pub fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.seen.get(from..).unwrap_or_default();
        rest[..len.min(rest.len())].to_vec()
    }

    /// Writes `bytes` at `offset`.
    pub fn write(&mut self, offset: u64, bytes: &[u8], now: WallTime) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = bytes.to_vec();
        self.change(Change::Write { offset, bytes }, now);
    }

    /// Makes it `len` bytes long.
    pub fn truncate(&mut self, len: u64, now: WallTime) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.change(Change::Length(len), now);
    }

    /// Something was written just now.
    pub fn is_unsafe(&mut self, now: Instant) {
        self.unsafe_since.get_or_insert(now);
    }

    /// Everything written is safe.
    pub fn sync(&mut self) {
        self.unsafe_since = None;
        for change in std::mem::take(&mut self.waiting) {
            change.make(&mut self.safe);
        }
    }

    fn change(&mut self, change: Change, now: WallTime) {
        change.make(&mut self.seen);
        self.waiting.push(change);
        self.modified = now;
    }

    /// Of what waits, dice say what is there.
    fn lose_power(&mut self, rng: &mut Rng, losses: &mut Losses) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return;
        }
        let how = rng.choice([Loss::All, Loss::Tail, Loss::Any]);
        let how = how.unwrap_or(Loss::All);
        let whole = match how {
            Loss::Tail => rng.usize(..=waiting.len()),
            _ => 0,
        };
        let mut missing = false;
        for (at, change) in waiting.into_iter().enumerate() {
            let part = match how {
                Loss::All => Part::None,
                Loss::Tail if at < whole => Part::Whole,
                Loss::Tail if at == whole => Part::Torn,
                Loss::Tail => Part::None,
                Loss::Any => *rng
                    .choice(&[Part::None, Part::Torn, Part::Whole])
                    .unwrap_or(&Part::None),
            };
            match part {
                Part::None => losses.lost += 1,
                Part::Whole => {
                    losses.reordered += u64::from(missing);
                    change.make(&mut self.safe);
                }
                Part::Torn => {
                    losses.torn += 1;
                    change.torn(rng).make(&mut self.safe);
                }
            }
            missing |= part != Part::Whole;
        }
    }
}

/// How much of a change is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    None,
    Torn,
    Whole,
}

impl Change {
    /// A part of it, from its front. A new length is never torn.
    fn torn(self, rng: &mut Rng) -> Self {
        match self {
            Self::Length(_) => self,
            Self::Write { offset, mut bytes } => {
                bytes.truncate(rng.usize(..=bytes.len()));
                Self::Write { offset, bytes }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(7);

    fn store() -> Store {
        let mut store = Store::default();
        store.create_dir_all(Path::new("/r/a")).unwrap();
        store.sync_dir(Path::new("/r/a")).unwrap();
        store
    }

    fn file(store: &mut Store, path: &str) -> Inode {
        store.open(Path::new(path), Open::New, NOW).unwrap()
    }

    #[test]
    fn what_was_synced_survives_every_power_loss() {
        for seed in 0..200 {
            let mut rng = Rng::with_seed(seed);
            let mut store = store();
            let kept = file(&mut store, "/r/a/kept");
            kept.borrow_mut().write(0, b"safe", NOW);
            kept.borrow_mut().sync();
            store.sync_dir(Path::new("/r/a")).unwrap();
            kept.borrow_mut().write(4, b" or not", NOW);
            store.lose_power(&mut rng);
            let files = store.files();
            let content = &files[Path::new("/r/a/kept")];
            assert!(content.starts_with(b"safe"));
            // Once lost it stays lost.
            store.lose_power(&mut rng);
            assert_eq!(&store.files(), &files);
        }
    }

    #[test]
    fn what_was_not_synced_is_lost_torn_and_reordered_and_names_are_undone() {
        let mut all = Losses::default();
        let mut names = BTreeSet::new();
        for seed in 0..300 {
            let mut rng = Rng::with_seed(seed);
            let mut store = store();
            let file = file(&mut store, "/r/a/x.part");
            store.sync_dir(Path::new("/r/a")).unwrap();
            for at in 0..4 {
                file.borrow_mut().write(at * 3, b"abc", NOW);
            }
            store
                .rename(Path::new("/r/a/x.part"), Path::new("/r/a/x"))
                .unwrap();
            let losses = store.lose_power(&mut rng);
            all.lost += losses.lost;
            all.torn += losses.torn;
            all.reordered += losses.reordered;
            all.undone += losses.undone;
            let files = store.files();
            assert_eq!(files.len(), 1, "a rename is done or not");
            names.extend(files.into_keys());
        }
        assert!(all.lost > 0 && all.torn > 0 && all.reordered > 0 && all.undone > 0);
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_file_never_synced_may_have_no_name() {
        let mut fates = BTreeSet::new();
        for seed in 0..50 {
            let mut store = store();
            file(&mut store, "/r/a/new");
            store.lose_power(&mut Rng::with_seed(seed));
            fates.insert(store.files().len());
        }
        assert_eq!(fates, BTreeSet::from([0, 1]));
    }

    #[test]
    fn what_is_open_across_a_power_loss_touches_nothing_any_more() {
        let mut store = store();
        let old = file(&mut store, "/r/a/x");
        store.sync_dir(Path::new("/r/a")).unwrap();
        store.lose_power(&mut Rng::with_seed(1));
        old.borrow_mut().write(0, b"late", NOW);
        assert_eq!(store.files()[Path::new("/r/a/x")], b"");
    }
}
