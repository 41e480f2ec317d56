//! Action Message Format: the values commands and data messages are made of.
//!
//! [`amf0`] is what every client speaks; [`amf3`] appears inside it, behind the marker `11`, or as a whole message
//! from a few old Flash peers. Both keep the order of properties, both are bounded in depth, count and bytes
//! ([`limits::AMF_DEPTH`], [`limits::AMF_VALUES`], [`limits::AMF_EXPANDED_BYTES`]), and neither reserves memory from
//! a declared count: a five-byte `0A FFFFFFFF` costs five bytes.

use crate::limits;

pub mod amf0;
pub mod amf3;
mod fuzz;

pub use amf0::Value;
#[doc(hidden)]
pub use fuzz::{fuzz_amf0, fuzz_amf3};

/// Why a message's values could not be read. It costs the message, not the session, unless a bound was crossed
/// ([`AmfError::is_bound`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AmfError {
    /// The message ends inside a value.
    #[error("peer: AMF value is cut short: {wanted} more bytes expected, {left} left")]
    Truncated {
        /// Bytes the value still needs.
        wanted: usize,
        /// Bytes the message still has.
        left: usize,
    },
    /// A marker that is reserved, unknown, or stands where none may.
    #[error("peer: AMF{version} marker 0x{marker:02x} is not a value")]
    Marker {
        /// 0 or 3.
        version: u8,
        /// The marker's byte.
        marker: u8,
    },
    /// A reference to a string or to traits that have not been seen.
    #[error("peer: AMF3 reference {index} points beyond the {known} entries seen so far")]
    Reference {
        /// The index sent.
        index: u32,
        /// Entries in that table.
        known: usize,
    },
    /// An object that only its own class can read.
    #[error("peer: AMF3 externalizable class without a known layout")]
    Externalizable,
    /// Nested deeper than [`limits::AMF_DEPTH`].
    #[error("peer: AMF values nested deeper than {} levels", limits::AMF_DEPTH)]
    Depth,
    /// More values than [`limits::AMF_VALUES`].
    #[error("peer: more than {} AMF values in one message", limits::AMF_VALUES)]
    Values,
    /// References stand for more than [`limits::AMF_EXPANDED_BYTES`].
    #[error(
        "peer: AMF3 references stand for more than {} bytes",
        limits::AMF_EXPANDED_BYTES
    )]
    Expanded,
}

impl AmfError {
    /// Whether one of our bounds was crossed, rather than the format broken.
    pub fn is_bound(self) -> bool {
        matches!(self, Self::Depth | Self::Values | Self::Expanded)
    }
}

/// A message's bytes while its values are read, with what is left of the bounds.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    values: usize,
    expanded: usize,
}

impl<'a> Reader<'a> {
    /// Reads `input` with fresh bounds.
    pub fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            depth: limits::AMF_DEPTH,
            values: limits::AMF_VALUES,
            expanded: limits::AMF_EXPANDED_BYTES,
        }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], AmfError> {
        let Some((taken, rest)) = self.rest.split_at_checked(n) else {
            return Err(AmfError::Truncated {
                wanted: n,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(AmfError::Truncated {
                wanted: N,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, AmfError> {
        self.array::<1>().map(|[b]| b)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, AmfError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, AmfError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, AmfError> {
        self.array().map(f64::from_be_bytes)
    }

    /// `n` bytes of text. Bytes that are no UTF-8 (GB2312 titles from some encoders) become U+FFFD.
    pub(crate) fn text(&mut self, n: usize) -> Result<String, AmfError> {
        self.take(n)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Counts one value.
    pub(crate) fn count(&mut self) -> Result<(), AmfError> {
        self.values = self.values.checked_sub(1).ok_or(AmfError::Values)?;
        Ok(())
    }

    /// Counts bytes that a reference repeats.
    pub(crate) fn expand(&mut self, bytes: usize) -> Result<(), AmfError> {
        self.expanded = self.expanded.checked_sub(bytes).ok_or(AmfError::Expanded)?;
        Ok(())
    }

    /// Goes one level down for the duration of `read`.
    pub(crate) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, AmfError>,
    ) -> Result<T, AmfError> {
        self.depth = self.depth.checked_sub(1).ok_or(AmfError::Depth)?;
        let result = read(self);
        self.depth += 1;
        result
    }
}

#[cfg(test)]
mod tests;
