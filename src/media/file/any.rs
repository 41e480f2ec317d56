//! A file of any container that can be played: what it is, its first bytes tell, whatever it is called.

use super::{FileInfo, MediaFile, Packet, Step, SyncIndex, Task};
use crate::media::flv::{FlvCursor, FlvError, FlvFile, FlvOpen};
use crate::media::mp4::{Mp4Cursor, Mp4Error, Mp4File, Mp4Open};

/// What FLV files begin with.
const FLV: &[u8; 3] = b"FLV";

/// Opens a file.
pub struct AnyOpen {
    size: u64,
    of: Option<Of>,
}

enum Of {
    Flv(Box<FlvOpen>),
    Mp4(Box<Mp4Open>),
}

/// An opened file.
pub enum AnyFile {
    /// FLV.
    Flv(FlvFile),
    /// MP4, F4V, QuickTime.
    Mp4(Box<Mp4File>),
}

/// One viewer's place in it.
#[derive(Clone, Debug)]
pub enum AnyCursor {
    /// FLV.
    Flv(FlvCursor),
    /// MP4, F4V, QuickTime.
    Mp4(Mp4Cursor),
}

/// What is wrong with a file.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AnyError {
    /// As FLV.
    #[error(transparent)]
    Flv(#[from] FlvError),
    /// As MP4.
    #[error(transparent)]
    Mp4(#[from] Mp4Error),
    /// We mixed up two files.
    #[error("millstream is at fault: that place is one of another file")]
    OtherFile,
}

impl AnyOpen {
    /// For a file of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self { size, of: None }
    }
}

impl Task for AnyOpen {
    type Output = AnyFile;
    type Error = AnyError;

    fn step(&mut self, input: &[u8]) -> Result<Step<AnyFile>, AnyError> {
        let (of, input) = match &mut self.of {
            Some(of) => (of, input),
            None if input.is_empty() && self.size > 0 => {
                let len = FLV.len();
                return Ok(Step::Read { offset: 0, len });
            }
            none => {
                let of = match input == FLV {
                    true => Of::Flv(Box::new(FlvOpen::new(self.size))),
                    false => Of::Mp4(Box::new(Mp4Open::new(self.size))),
                };
                (none.insert(of), [].as_slice())
            }
        };
        Ok(match of {
            Of::Flv(open) => map(open.step(input)?, AnyFile::Flv),
            Of::Mp4(open) => map(open.step(input)?, |file| AnyFile::Mp4(Box::new(file))),
        })
    }
}

impl MediaFile for AnyFile {
    type Cursor = AnyCursor;
    type Error = AnyError;

    fn info(&self) -> &FileInfo {
        match self {
            Self::Flv(file) => file.info(),
            Self::Mp4(file) => file.info(),
        }
    }

    fn seek(&self, time: u64, writer: Option<&SyncIndex>) -> AnyCursor {
        match self {
            Self::Flv(file) => AnyCursor::Flv(file.seek(time, writer)),
            Self::Mp4(file) => AnyCursor::Mp4(file.seek(time, writer)),
        }
    }

    fn next(
        &mut self,
        cursor: &mut AnyCursor,
        size: u64,
        input: &[u8],
    ) -> Result<Step<Option<Packet>>, AnyError> {
        match (self, cursor) {
            (Self::Flv(file), AnyCursor::Flv(cursor)) => Ok(file.next(cursor, size, input)?),
            (Self::Mp4(file), AnyCursor::Mp4(cursor)) => Ok(file.next(cursor, size, input)?),
            _ => Err(AnyError::OtherFile),
        }
    }
}

fn map<A, B>(step: Step<A>, done: impl FnOnce(A) -> B) -> Step<B> {
    match step {
        Step::Read { offset, len } => Step::Read { offset, len },
        Step::Done(value) => Step::Done(done(value)),
    }
}
