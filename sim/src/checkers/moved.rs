//! What a file makes of its publisher's time.

use std::collections::BTreeMap;

use crate::media::{Frame, Sort};

/// What is added to a publisher's time in one file: the same from its beginning to its end, but for where that time jumps.
#[derive(Default)]
pub(super) struct Moved(BTreeMap<u32, u32>);

impl Moved {
    /// Whether `frame` may stand at `time` milliseconds of the file.
    pub(super) fn judge(&mut self, frame: &Frame, time: u32) -> Result<(), String> {
        // What nobody knows follows the others, as headers do.
        let follows = frame.epoch > 0 && matches!(frame.sort, Sort::Unknown | Sort::End);
        if frame.sort.is_header() || follows {
            return Ok(());
        }
        let by = time.wrapping_sub(frame.timestamp.0);
        let known = match self.0.get(&frame.epoch) {
            Some(known) => *known,
            // Nothing stands before a file's beginning: what belongs there is no measure.
            None if time > 0 || frame.epoch == 0 => *self.0.entry(frame.epoch).or_insert(by),
            None => return Ok(()),
        };
        let right = frame.timestamp.0.wrapping_add(known);
        if time == right || (time == 0 && right.cast_signed() < 0) {
            return Ok(());
        }
        Err(format!("it stands at {time} ms and belongs at {right} ms"))
    }

    /// Where `frame` stands, if that can be known.
    pub(super) fn place(&self, frame: &Frame) -> Option<u64> {
        let known = self.0.get(&frame.epoch)?;
        Some(frame.timestamp.0.wrapping_add(*known).into())
    }
}
