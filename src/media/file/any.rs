//! A file of any container that can be played: what it is, its first bytes tell, whatever it is called.

use super::{FileInfo, MediaFile, Packet, Step, SyncIndex, Task};
use crate::media::flv::{FlvCursor, FlvError, FlvFile, FlvOpen};

/// What FLV files begin with.
const FLV: &[u8; 3] = b"FLV";

/// Opens a file.
pub struct AnyOpen {
    size: u64,
    of: Option<Of>,
}

enum Of {
    Flv(FlvOpen),
}

/// An opened file.
pub enum AnyFile {
    /// FLV.
    Flv(FlvFile),
}

/// One viewer's place in it.
#[derive(Clone, Debug)]
pub enum AnyCursor {
    /// FLV.
    Flv(FlvCursor),
}

/// What is wrong with a file.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AnyError {
    /// As FLV.
    #[error(transparent)]
    Flv(#[from] FlvError),
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
                let of = Of::Flv(FlvOpen::new(self.size));
                (none.insert(of), [].as_slice())
            }
        };
        Ok(match of {
            Of::Flv(open) => map(open.step(input)?, AnyFile::Flv),
        })
    }
}

impl MediaFile for AnyFile {
    type Cursor = AnyCursor;
    type Error = AnyError;

    fn info(&self) -> &FileInfo {
        match self {
            Self::Flv(file) => file.info(),
        }
    }

    fn seek(&self, time: u64, writer: Option<&SyncIndex>) -> AnyCursor {
        match self {
            Self::Flv(file) => AnyCursor::Flv(file.seek(time, writer)),
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
