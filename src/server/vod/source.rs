//! An opened file, one for all its viewers on a shard; and the shard's hold on all of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::{Rc, Weak};

use super::blocks::{FileId, Shared};
use super::names;
use super::newest::Listings;
use crate::limits;
use crate::media::file::any::{AnyCursor, AnyError, AnyFile, AnyOpen};
use crate::media::file::{FileInfo, MediaFile as _, Packet, Step, Task as _};
use crate::runtime::disk::{Disk, Open};

/// Why a file is not played.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum OpenError {
    /// There is none of that name.
    #[error("there is no recording of that name")]
    NotFound,
    /// As many are open as may be.
    #[error(
        "{} recordings are being played already, which is as many as one shard may open",
        limits::VOD_FILES
    )]
    TooMany,
    /// The disk, or who may read what.
    #[error("the file cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// It is no file of ours, or broken.
    #[error("the file cannot be played: {0}")]
    File(#[from] AnyError),
    /// Neither sound nor pictures that anybody knows.
    #[error("the file has neither sound nor pictures that can be played")]
    Empty,
}

/// The open files of a shard.
pub(in crate::server) struct Library<D: Disk> {
    files: RefCell<BTreeMap<PathBuf, Weak<Source<D>>>>,
    blocks: Shared,
    next: Cell<FileId>,
    pub(in crate::server) listings: Listings,
}

impl<D: Disk> Default for Library<D> {
    fn default() -> Self {
        Self {
            files: RefCell::default(),
            blocks: Shared::default(),
            next: Cell::default(),
            listings: Listings::default(),
        }
    }
}

/// An opened file.
pub(in crate::server) struct Source<D: Disk> {
    disk: D,
    file: D::File,
    id: FileId,
    path: PathBuf,
    /// Its length when it was last asked for.
    size: Cell<u64>,
    media: RefCell<AnyFile>,
    info: FileInfo,
    blocks: Shared,
}

impl<D: Disk> Library<D> {
    /// The file that `name` means in the first of the `directories` that has one, opened, unless it is open already.
    pub(in crate::server) async fn open(
        &self,
        disk: &D,
        directories: &[PathBuf],
        name: &str,
    ) -> Result<Rc<Source<D>>, OpenError> {
        let directories = directories.iter();
        let paths = directories.flat_map(|directory| names::candidates(directory, name));
        self.open_first(disk, paths).await
    }

    /// The first of the files that is there, opened, unless it is open already.
    pub(in crate::server) async fn open_first(
        &self,
        disk: &D,
        paths: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Rc<Source<D>>, OpenError> {
        for path in paths {
            let file = match disk.open(&path, Open::Read).await {
                Ok(file) => file,
                Err(error) if is_no_file(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let known = self.files.borrow().get(&path).and_then(Weak::upgrade);
            return match known {
                Some(source) if source.is(&file).await? => Ok(source),
                _ => self.keep(disk, file, path).await,
            };
        }
        Err(OpenError::NotFound)
    }

    async fn keep(
        &self,
        disk: &D,
        file: D::File,
        path: PathBuf,
    ) -> Result<Rc<Source<D>>, OpenError> {
        {
            let mut files = self.files.borrow_mut();
            files.retain(|_, source| source.strong_count() > 0);
            if files.len() >= limits::VOD_FILES {
                return Err(OpenError::TooMany);
            }
        }
        let id = self.next.get();
        self.next.set(id + 1);
        let size = disk.len(&file).await?;
        let mut opening = AnyOpen::new(size);
        let mut input = Vec::new();
        let media = loop {
            match opening.step(&input)? {
                // Not by blocks: tables are long, and wanted once.
                Step::Read { offset, len } => input = disk.read_at(&file, offset, len).await?,
                Step::Done(media) => break media,
            }
        };
        let info = media.info().clone();
        if !info.has_audio && !info.has_video {
            return Err(OpenError::Empty);
        }
        let source = Rc::new(Source {
            disk: disk.clone(),
            file,
            id,
            path: path.clone(),
            size: Cell::new(size),
            media: RefCell::new(media),
            info,
            blocks: Shared::clone(&self.blocks),
        });
        let weak = Rc::downgrade(&source);
        self.files.borrow_mut().insert(path, weak);
        Ok(source)
    }

    /// Files that are open.
    pub(in crate::server) fn len(&self) -> usize {
        let files = self.files.borrow();
        files
            .values()
            .filter(|file| file.strong_count() > 0)
            .count()
    }

    /// Bytes of them that are kept.
    pub(in crate::server) fn bytes(&self) -> usize {
        self.blocks.bytes()
    }
}

/// Whether that means that there is nothing of that name which could be played.
fn is_no_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

impl<D: Disk> Source<D> {
    /// Whether `file`, which has its name now, is this one still, as far as their lengths tell: its name may have been given
    /// to another since.
    async fn is(&self, file: &D::File) -> io::Result<bool> {
        let here = self.disk.len(&self.file).await?;
        let there = self.disk.len(file).await?;
        Ok(here == there || (here < there && names::is_unfinished(&self.path)))
    }

    /// What is known of it.
    pub(super) fn info(&self) -> &FileInfo {
        &self.info
    }

    /// How long it is, milliseconds, if that is known.
    pub(in crate::server) fn duration(&self) -> Option<u64> {
        self.info.duration
    }

    /// A place to begin at: the last sync point at or before `time` milliseconds.
    pub(super) fn seek(&self, time: u64) -> AnyCursor {
        self.media.borrow().seek(time, None)
    }

    /// The next message behind `cursor`; none: the file ends there so far.
    pub(super) async fn next(&self, cursor: &mut AnyCursor) -> Result<Option<Packet>, OpenError> {
        let mut input = Vec::new();
        loop {
            let step = self
                .media
                .borrow_mut()
                .next(cursor, self.size.get(), &input)?;
            match step {
                Step::Read { offset, len } => input = self.read(offset, len).await?,
                Step::Done(packet) => return Ok(packet),
            }
        }
    }

    /// Those bytes, as far as the file has them.
    async fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        const BLOCK: u64 = limits::VOD_BLOCK_BYTES as u64;
        let end = offset.saturating_add(len as u64).min(self.size.get());
        let mut bytes = Vec::new();
        let mut at = offset;
        while at < end {
            let index = at / BLOCK;
            let from = (at - index * BLOCK) as usize;
            let wanted = ((end - index * BLOCK).min(BLOCK)) as usize;
            let file = (self.id, &self.file);
            let block = self.blocks.get(&self.disk, file, index, wanted).await?;
            let Some(part) = block.get(from..wanted.min(block.len())) else {
                break; // it has become shorter
            };
            if part.is_empty() {
                break;
            }
            bytes.extend_from_slice(part);
            at += part.len() as u64;
        }
        Ok(bytes)
    }

    /// Looks anew how long a recording is that is still written: what its viewer has sought may be there by now.
    pub(super) async fn look(&self) -> io::Result<()> {
        if names::is_unfinished(&self.path) {
            let size = self.disk.len(&self.file).await?;
            self.size.set(size.max(self.size.get()));
        }
        Ok(())
    }

    /// Whether more may come behind what there is. Looks anew how long the file is.
    pub(super) async fn may_grow(&self) -> io::Result<bool> {
        let before = self.size.get();
        self.size.set(self.disk.len(&self.file).await?.max(before));
        if !names::is_unfinished(&self.path) {
            return Ok(self.size.get() > before);
        }
        if self.size.get() > before {
            return Ok(true);
        }
        // A recording that is finished loses that name; then what there is now is all there will be.
        match self.disk.open(&self.path, Open::Read).await {
            Ok(_) => Ok(true),
            Err(error) if is_no_file(&error) => {
                self.size.set(self.disk.len(&self.file).await?.max(before));
                Ok(self.size.get() > before)
            }
            Err(error) => Err(error),
        }
    }
}

impl<D: Disk> Drop for Source<D> {
    fn drop(&mut self) {
        self.blocks.forget(self.id);
    }
}
