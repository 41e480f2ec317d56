//! The sample tables of a track (ISO/IEC 14496-12 §8.6, §8.7), read where they stand: a table of millions of samples costs
//! its own bytes, and a few more for finding things in it.

use core::ops::Range;

use super::boxes::{Fields, child};
use super::moof::Sample;

/// Entries from one milestone to the next.
const STRIDE: usize = 64;

/// The tables of one track. All ranges lie within the bytes of `moov`.
#[derive(Debug)]
pub(super) struct Table {
    /// Samples; no table is read further.
    pub(super) samples: u64,
    sizes: Sizes,
    chunks: Range<usize>,
    long_chunks: bool,
    to_chunk: Runs,
    times: Runs,
    composition: Option<Runs>,
    syncs: Option<Range<usize>>,
    /// By how much samples are decoded too late: where some are shown before they are decoded (version 1 of `ctts`), all are
    /// decoded earlier by that much, as RTMP's players expect.
    pub(super) late: u32,
}

/// Runs of samples that have something in common, and milestones among them.
#[derive(Debug)]
struct Runs {
    range: Range<usize>,
    entry: usize,
    /// Samples, and the sum of their values, before every 64th run.
    milestones: Vec<(u64, u64)>,
}

/// A sample's place in [`Runs`].
struct InRun {
    run: usize,
    /// Samples of the run before it.
    within: u64,
    /// The sum of the values of all samples before the run.
    sum: u64,
}

#[derive(Debug)]
enum Sizes {
    Same(u32),
    /// Of 4, 8, 16 or 32 bits each; and the sum before every 64th.
    Each {
        range: Range<usize>,
        bits: usize,
        sums: Vec<u64>,
    },
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes)
}

/// The entries of a full box: `count` of `entry` bytes each, or as many as it has room for.
fn entries(bytes: &[u8], range: Range<usize>, skip: usize, entry: usize) -> Option<Range<usize>> {
    let start = range.start + skip + 4;
    let count = be32(bytes, range.start + skip)? as usize;
    let room = range.end.checked_sub(start)? / entry;
    Some(start..start + count.min(room) * entry)
}

impl Runs {
    /// `of`: how many samples the run at a place has, and the value of each.
    fn new(
        range: Range<usize>,
        entry: usize,
        mut of: impl FnMut(usize) -> Option<(u64, u64)>,
    ) -> Self {
        let mut milestones = Vec::new();
        let (mut samples, mut sum) = (0u64, 0u64);
        for run in 0..range.len() / entry {
            if run % STRIDE == 0 {
                milestones.push((samples, sum));
            }
            let (count, value) = of(run).unwrap_or_default();
            samples = samples.saturating_add(count);
            sum = sum.saturating_add(count.saturating_mul(value));
        }
        Self {
            range,
            entry,
            milestones,
        }
    }

    /// Where sample `wanted` is, or the sample at whose end the sum is above `wanted`.
    fn find(
        &self,
        wanted: u64,
        by_sum: bool,
        mut of: impl FnMut(usize) -> Option<(u64, u64)>,
    ) -> Option<(u64, InRun)> {
        let key = |(samples, sum): &(u64, u64)| if by_sum { *sum } else { *samples };
        let behind = self
            .milestones
            .partition_point(|stone| key(stone) <= wanted);
        let stone = behind.checked_sub(1)?;
        let (mut samples, mut sum) = self.milestones.get(stone).copied()?;
        let first = stone * STRIDE;
        for run in first..(first + STRIDE).min(self.range.len() / self.entry) {
            let (count, value) = of(run)?;
            let length = count.saturating_mul(value);
            let within = match by_sum {
                false => wanted - samples,
                true if value == 0 => count,
                true => (wanted - sum) / value,
            };
            if within < count {
                return Some((samples + within, InRun { run, within, sum }));
            }
            samples = samples.saturating_add(count);
            sum = sum.saturating_add(length);
        }
        None
    }

    fn at(&self, run: usize) -> usize {
        self.range.start + run * self.entry
    }
}

/// A run of `stts` or `ctts`. Durations of over 2^31 are how some writers went back in time: taken as none.
fn timed(bytes: &[u8], at: usize) -> Option<(u64, u64)> {
    let (count, value) = (be32(bytes, at)?, be32(bytes, at + 4)?);
    let value = if value > i32::MAX as u32 { 0 } else { value };
    Some((count.into(), value.into()))
}

/// A run of chunks: how many samples it has. It ends where the next one begins, or with the last of `chunks`.
fn chunked(bytes: &[u8], range: &Range<usize>, run: usize, chunks: u64) -> Option<(u64, u64)> {
    let at = range.start + run * 12;
    let (first, each) = (be32(bytes, at)?, be32(bytes, at + 4)?);
    let next = match at + 12 < range.end {
        true => u64::from(be32(bytes, at + 12)?),
        false => chunks + 1,
    };
    let count = next.min(chunks + 1).saturating_sub(first.into());
    Some((count.saturating_mul(each.into()), u64::from(each)))
}

impl Sizes {
    fn new(bytes: &[u8], stbl: Range<usize>) -> Option<(Self, u64)> {
        let (range, bits, count) = if let Some(stsz) = child(bytes, stbl.clone(), *b"stsz") {
            let (same, count) = (be32(bytes, stsz.start + 4)?, be32(bytes, stsz.start + 8)?);
            if same > 0 {
                return Some((Self::Same(same), count.into()));
            }
            (entries(bytes, stsz, 8, 4)?, 32, count)
        } else {
            let stz2 = child(bytes, stbl, *b"stz2")?;
            let bits = usize::from(*bytes.get(stz2.start + 7)?);
            let count = be32(bytes, stz2.start + 8)?;
            if ![4, 8, 16].contains(&bits) {
                return None;
            }
            (stz2.start + 12..stz2.end, bits, count)
        };
        let room = range.len() * 8 / bits;
        let samples = room.min(count as usize);
        let mut each = Self::Each {
            range,
            bits,
            sums: Vec::new(),
        };
        let mut sums = Vec::new();
        let mut sum = 0u64;
        for sample in 0..samples as u64 {
            if sample % STRIDE as u64 == 0 {
                sums.push(sum);
            }
            sum += u64::from(each.of(bytes, sample)?);
        }
        if let Self::Each { sums: place, .. } = &mut each {
            *place = sums;
        }
        Some((each, samples as u64))
    }

    fn of(&self, bytes: &[u8], sample: u64) -> Option<u32> {
        let (range, bits) = match self {
            Self::Same(size) => return Some(*size),
            Self::Each { range, bits, .. } => (range, *bits),
        };
        let at = usize::try_from(sample).ok()?.checked_mul(bits)?;
        let start = range.start + at / 8;
        if start + bits / 8 > range.end {
            return None;
        }
        match bits {
            32 => be32(bytes, start),
            16 => Some(be32(bytes, start.checked_sub(2)?)? & 0xFFFF),
            8 => bytes.get(start).map(|byte| u32::from(*byte)),
            _ => bytes
                .get(start)
                .map(|byte| u32::from(byte >> (4 - at % 8) & 0xF)),
        }
    }

    /// Bytes of all samples before this one.
    fn before(&self, bytes: &[u8], sample: u64) -> Option<u64> {
        let sums = match self {
            Self::Same(size) => return sample.checked_mul(u64::from(*size)),
            Self::Each { sums, .. } => sums,
        };
        let stride = STRIDE as u64;
        let mut sum = *sums.get(usize::try_from(sample / stride).ok()?)?;
        for earlier in sample - sample % stride..sample {
            sum += u64::from(self.of(bytes, earlier)?);
        }
        Some(sum)
    }
}

impl Table {
    /// The tables in the `stbl` at this place; none: one is missing, or ends within its own header.
    pub(super) fn new(bytes: &[u8], stbl: Range<usize>) -> Option<Self> {
        let (sizes, samples) = Sizes::new(bytes, stbl.clone())?;
        let (chunks, long_chunks) = match child(bytes, stbl.clone(), *b"stco") {
            Some(stco) => (entries(bytes, stco, 4, 4)?, false),
            None => (
                entries(bytes, child(bytes, stbl.clone(), *b"co64")?, 4, 8)?,
                true,
            ),
        };
        let count = (chunks.len() / if long_chunks { 8 } else { 4 }) as u64;
        let stsc = entries(bytes, child(bytes, stbl.clone(), *b"stsc")?, 4, 12)?;
        let to_chunk = Runs::new(stsc.clone(), 12, |run| chunked(bytes, &stsc, run, count));
        let timed_runs = |kind| {
            let range = entries(bytes, child(bytes, stbl.clone(), kind)?, 4, 8)?;
            let start = range.start;
            Some(Runs::new(range, 8, |run| timed(bytes, start + run * 8)))
        };
        let syncs = child(bytes, stbl.clone(), *b"stss");
        let composition = timed_runs(*b"ctts");
        let offset = |run| be32(bytes, composition.as_ref()?.at(run) + 4);
        let runs = composition
            .as_ref()
            .map_or(0, |runs| runs.range.len() / runs.entry);
        let lowest = (0..runs)
            .filter_map(offset)
            .map(|offset| offset as i32)
            .min();
        Some(Self {
            late: lowest.unwrap_or(0).min(0).unsigned_abs(),
            samples,
            sizes,
            chunks,
            long_chunks,
            to_chunk,
            times: timed_runs(*b"stts")?,
            composition,
            syncs: syncs.and_then(|stss| entries(bytes, stss, 4, 4)),
        })
    }

    /// A sample, counted from 0; none: there is no such one, or the tables do not agree about it.
    pub(super) fn sample(&self, bytes: &[u8], sample: u64) -> Option<Sample> {
        if sample >= self.samples {
            return None;
        }
        let chunks = self.chunk_count();
        let of_chunk = |run| chunked(bytes, &self.to_chunk.range, run, chunks);
        let (_, found) = self.to_chunk.find(sample, false, of_chunk)?;
        let at = self.to_chunk.at(found.run);
        let (first, each) = (be32(bytes, at)?, u64::from(be32(bytes, at + 4)?));
        let chunk = u64::from(first).checked_sub(1)? + found.within / each;
        let begin = sample - found.within % each;
        let before = self.sizes.before(bytes, sample)? - self.sizes.before(bytes, begin)?;
        let (time, duration) = self.time(bytes, sample)?;
        Some(Sample {
            offset: self.chunk(bytes, chunk)?.saturating_add(before),
            size: self.sizes.of(bytes, sample)?,
            time,
            duration,
            shown_after: self.shown_after(bytes, sample),
            is_sync: self.sync_at_or_before(bytes, sample) == Some(sample),
        })
    }

    /// When a sample is decoded, and for how long.
    pub(super) fn time(&self, bytes: &[u8], sample: u64) -> Option<(u64, u32)> {
        let of = |run| timed(bytes, self.times.at(run));
        let (_, found) = self.times.find(sample, false, of)?;
        let (_, duration) = of(found.run)?;
        let time = found.sum.checked_add(found.within.checked_mul(duration)?)?;
        Some((time, duration as u32))
    }

    /// Where the last sample ends.
    pub(super) fn end(&self, bytes: &[u8]) -> Option<u64> {
        let (time, duration) = self.time(bytes, self.samples.checked_sub(1)?)?;
        time.checked_add(duration.into())
    }

    /// The last sample that is decoded at or before `time`.
    pub(super) fn sample_at(&self, bytes: &[u8], time: u64) -> u64 {
        let of = |run| timed(bytes, self.times.at(run));
        let last = self.samples.saturating_sub(1);
        match self.times.find(time, true, of) {
            Some((sample, _)) => sample.min(last),
            None => last,
        }
    }

    /// The last sync sample at or before this one, or the first there is.
    pub(super) fn sync_at_or_before(&self, bytes: &[u8], sample: u64) -> Option<u64> {
        let Some(syncs) = &self.syncs else {
            return Some(sample);
        };
        let number = |at: usize| be32(bytes, syncs.start + at * 4).map(u64::from);
        let (mut low, mut high) = (0, syncs.len() / 4);
        while low < high {
            let middle = low.midpoint(high);
            match number(middle)? <= sample + 1 {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        number(low.saturating_sub(1))?.checked_sub(1)
    }

    fn shown_after(&self, bytes: &[u8], sample: u64) -> i32 {
        let Some(runs) = &self.composition else {
            return 0;
        };
        let found = runs.find(sample, false, |run| timed(bytes, runs.at(run)));
        let value = found.and_then(|(_, found)| be32(bytes, runs.at(found.run) + 4));
        // Version 0 should be unsigned, and many writers have put negative values into it.
        value.unwrap_or(0) as i32
    }

    fn chunk_count(&self) -> u64 {
        (self.chunks.len() / if self.long_chunks { 8 } else { 4 }) as u64
    }

    fn chunk(&self, bytes: &[u8], chunk: u64) -> Option<u64> {
        let each = if self.long_chunks { 8 } else { 4 };
        let at = usize::try_from(chunk).ok()?.checked_mul(each)?;
        let mut fields = Fields::new(bytes.get(self.chunks.clone())?.get(at..)?);
        match self.long_chunks {
            true => fields.u64(),
            false => fields.u32().map(u64::from),
        }
    }
}
