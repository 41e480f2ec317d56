//! A recording's file: a name that nobody has, bytes at its end, and how it becomes a finished one.
//!
//! While it is written it is called `NAME.flv.part`. Every operation is tried again until it is done or its recorder
//! gives up: all of them can be done twice. Once it is renamed, the old name is free for whoever comes next: a second
//! rename would put their file over this one.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::{NamePattern, Naming};
use crate::limits;
use crate::media::file::Patch;
use crate::runtime::disk::{Disk, Open, directory_of};

/// The ending of a file that is not finished.
pub(super) const PART: &str = "part";

/// A file that is being written.
pub(super) struct Writing<D: Disk> {
    disk: D,
    file: D::File,
    part: PathBuf,
    /// What it will be called.
    pub(super) path: PathBuf,
    /// Bytes in it.
    pub(super) len: u64,
    /// Something was written that is not safe yet.
    pub(super) dirty: bool,
    /// A rename was tried: if the name is there, it was done.
    renamed: bool,
}

/// `path` with `.part` behind it.
pub(in crate::server) fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".");
    part.push(PART);
    part.into()
}

impl<D: Disk> Writing<D> {
    /// Makes a file in `dir` under the first name that is free, and has no file beside it that was not finished.
    ///
    /// # Errors
    /// The disk's, or `AlreadyExists` if [`limits::RECORD_NAMES`] names are taken.
    pub(super) async fn create(
        disk: &D,
        dir: &Path,
        pattern: &NamePattern,
        naming: &Naming<'_>,
        ending: &str,
    ) -> io::Result<Self> {
        let name = pattern.name(naming);
        for n in 1..=limits::RECORD_NAMES {
            let path = match n {
                1 => dir.join(format!("{name}.{ending}")),
                n => dir.join(format!("{name}-{n}.{ending}")),
            };
            let part = part_of(&path);
            disk.create_dir_all(&directory_of(&path)).await?;
            let file = match disk.open(&part, Open::New).await {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            // Looked at behind the part file: one that was repaired meanwhile has its name by now.
            match disk.open(&path, Open::Read).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => {
                    disk.remove(&part).await?;
                    continue;
                }
            }
            // The directories' own names, too: up to the one that was configured.
            for dir in directory_of(&path).ancestors().take(pattern.depth() + 2) {
                if !dir.as_os_str().is_empty() {
                    disk.sync_dir(dir).await?;
                }
            }
            return Ok(Self {
                disk: disk.clone(),
                file,
                part,
                path,
                len: 0,
                dirty: false,
                renamed: false,
            });
        }
        Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} names such as {name} are taken", limits::RECORD_NAMES),
        ))
    }

    /// Appends `out`, which is empty then. If that fails, all of it is there still.
    pub(super) async fn append(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(out);
        let written = self.disk.write_at(&self.file, self.len, buffer).await;
        *out = written.buffer;
        self.dirty = true;
        written.result?;
        self.len += out.len() as u64;
        out.clear();
        Ok(())
    }

    /// What was written is safe.
    pub(super) async fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            self.disk.sync_data(&self.file).await?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Writes `patches` once what they are about is safe: one that is torn leaves a file that can be repaired.
    pub(super) async fn patch(&mut self, patches: &[Patch]) -> io::Result<()> {
        self.sync().await?;
        for patch in patches {
            let bytes = patch.bytes.clone();
            self.dirty = true;
            let written = self.disk.write_at(&self.file, patch.offset, bytes).await;
            written.result?;
        }
        self.sync().await
    }

    /// Takes it away: there is nothing in it.
    pub(super) async fn remove(&self) -> io::Result<()> {
        self.disk.remove(&self.part).await?;
        self.disk.sync_dir(&directory_of(&self.part)).await
    }

    /// Gives the finished file its name.
    pub(super) async fn rename(&mut self) -> io::Result<()> {
        let again = std::mem::replace(&mut self.renamed, true);
        let is_done = match again {
            true => self.has_name().await?,
            false => false,
        };
        if !is_done {
            self.disk.rename(&self.part, &self.path).await?;
        }
        self.disk.sync_dir(&directory_of(&self.path)).await
    }

    /// Whether the finished file has its name: nobody else takes that, as long as the part file is there.
    async fn has_name(&self) -> io::Result<bool> {
        match self.disk.open(&self.path, Open::Read).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
