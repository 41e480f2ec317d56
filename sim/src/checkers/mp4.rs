//! Fragmented MP4 as a recorder writes it, taken apart by ISO/IEC 14496-12 and not by the server's own hand.

use bytes::Bytes;

/// A file.
#[derive(Default, Debug)]
pub(super) struct Movie {
    pub(super) tracks: Vec<Track>,
    /// What its header says, milliseconds; 0 where it was never finished.
    pub(super) duration: u64,
    /// Something in it does not say so.
    disagrees: bool,
    /// Places in its index: a time, and the fragment that begins then. None: it has no index.
    pub(super) index: Option<Vec<(u64, u64)>>,
    fragments: u32,
}

/// A track of it.
#[derive(Default, Debug)]
pub(super) struct Track {
    id: u32,
    pub(super) is_video: bool,
    pub(super) duration: u64,
    pub(super) samples: Vec<Sample>,
    /// Where the last of them ends.
    end: u64,
}

/// A sample; times in milliseconds.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) time: u64,
    pub(super) shown: i64,
    pub(super) is_sync: bool,
    /// Where its fragment begins in the file.
    fragment: u64,
    pub(super) bytes: Bytes,
}

/// Why a file is not read to its end.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum End {
    /// It ends within a box, or behind one that more must follow.
    Cut,
    /// Something is wrong in it.
    Wrong(String),
}

type Read<T> = Result<T, End>;

fn wrong<T>(what: impl Into<String>) -> Read<T> {
    Err(End::Wrong(what.into()))
}

/// Fields, one behind the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn number(&mut self, bytes: usize) -> Read<u64> {
        let Some((head, rest)) = self.0.split_at_checked(bytes) else {
            return wrong("a box is shorter than what must stand in it");
        };
        self.0 = rest;
        Ok(head.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }

    fn u32(&mut self) -> Read<u32> {
        Ok(self.number(4)? as u32)
    }

    /// Version and flags.
    fn full(&mut self) -> Read<(u8, u32)> {
        Ok((self.number(1)? as u8, self.number(3)? as u32))
    }

    fn skip(&mut self, bytes: usize) -> Read<()> {
        self.number(0)?;
        match self.0.get(bytes..) {
            Some(rest) => self.0 = rest,
            None => return wrong("a box is shorter than what must stand in it"),
        }
        Ok(())
    }
}

/// What a box is called, its body, and what is behind it.
type Found<'a> = ([u8; 4], &'a [u8], &'a [u8]);

/// The box at the beginning of `bytes`. None: there is nothing more.
fn next(bytes: &[u8]) -> Read<Option<Found<'_>>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (Some(size), Some(kind)) = (bytes.first_chunk::<4>(), bytes.get(4..8)) else {
        return Err(End::Cut);
    };
    let size = u32::from_be_bytes(*size) as usize;
    if size < 8 {
        return wrong(format!("a box of {size} bytes"));
    }
    let (Some(body), Some(rest)) = (bytes.get(8..size), bytes.get(size..)) else {
        return Err(End::Cut);
    };
    Ok(Some(([kind[0], kind[1], kind[2], kind[3]], body, rest)))
}

/// All boxes in a body, which is whole.
fn boxes(mut bytes: &[u8]) -> Read<Vec<([u8; 4], &[u8])>> {
    let mut all = Vec::new();
    loop {
        match next(bytes) {
            Ok(Some((kind, body, rest))) => {
                all.push((kind, body));
                bytes = rest;
            }
            Ok(None) => return Ok(all),
            Err(End::Cut) => return wrong("a box ends behind the one that it is in"),
            Err(wrong) => return Err(wrong),
        }
    }
}

/// The body of the box that one finds on this way.
fn inner<'a>(mut body: &'a [u8], way: &[&[u8; 4]]) -> Read<&'a [u8]> {
    for kind in way {
        let found = boxes(body)?.into_iter().find(|(of, _)| of == *kind);
        body = match found {
            Some((_, body)) => body,
            None => return wrong(format!("there is no {}", kind.escape_ascii())),
        };
    }
    Ok(body)
}

/// Reads a file as far as it goes.
pub(super) fn read(content: &[u8]) -> (Movie, Read<()>) {
    let mut movie = Movie::default();
    let end = movie.read(content);
    (movie, end)
}

impl Movie {
    fn read(&mut self, content: &[u8]) -> Read<()> {
        let whole = Bytes::copy_from_slice(content);
        let mut rest = content;
        let at = |rest: &[u8]| content.len() - rest.len();
        let mut expected: &[&[u8; 4]] = &[b"ftyp"];
        loop {
            let begin = at(rest);
            let (kind, body, behind) = match next(rest)? {
                Some(found) => found,
                None if expected.contains(&b"moof") => return Ok(()),
                None => return Err(End::Cut),
            };
            if !expected.contains(&&kind) {
                return wrong(format!("at byte {begin} stands {}", kind.escape_ascii()));
            }
            expected = match &kind {
                b"ftyp" => &[b"moov"],
                b"moov" => {
                    self.header(body)?;
                    &[b"moof", b"mfra"]
                }
                b"moof" => {
                    // With its samples, or not at all.
                    let Some((data, bytes, further)) = next(behind)? else {
                        return Err(End::Cut);
                    };
                    if &data != b"mdat" {
                        return wrong(format!("behind a moof stands {}", data.escape_ascii()));
                    }
                    let Some((samples, number)) = bytes.split_last_chunk::<4>() else {
                        return wrong("a fragment without samples");
                    };
                    let from = at(behind) + 8;
                    self.fragment(body, begin, &whole, from..from + samples.len())?;
                    if *number != self.fragments.to_be_bytes() {
                        return wrong(format!(
                            "the fragment at byte {begin} was not written whole"
                        ));
                    }
                    rest = further;
                    expected = &[b"moof", b"mfra"];
                    continue;
                }
                _ => {
                    self.index = Some(index(body, (rest.len() - behind.len()) as u64)?);
                    &[]
                }
            };
            rest = behind;
            if expected.is_empty() {
                return match rest.is_empty() {
                    true => Ok(()),
                    false => wrong("something stands behind the index"),
                };
            }
        }
    }

    fn header(&mut self, moov: &[u8]) -> Read<()> {
        self.duration = duration(inner(moov, &[b"mvhd"])?, 20)?;
        let mut mehd = Fields(inner(moov, &[b"mvex", b"mehd"])?);
        mehd.full()?;
        self.disagrees = mehd.number(8)? != self.duration;
        for (_, trak) in boxes(moov)?.iter().filter(|(kind, _)| kind == b"trak") {
            let mut tkhd = Fields(inner(trak, &[b"tkhd"])?);
            tkhd.skip(20)?;
            let id = tkhd.u32()?;
            tkhd.skip(4)?;
            let mut mdhd = Fields(inner(trak, &[b"mdia", b"mdhd"])?);
            mdhd.skip(20)?;
            let (timescale, duration) = (mdhd.u32()?, mdhd.number(8)?);
            if timescale != 1_000 {
                return wrong(format!("track {id} has {timescale} units a second"));
            }
            self.disagrees |= duration != tkhd.number(8)?;
            let mut hdlr = Fields(inner(trak, &[b"mdia", b"hdlr"])?);
            hdlr.skip(8)?;
            self.tracks.push(Track {
                id,
                is_video: hdlr.u32()?.to_be_bytes() == *b"vide",
                duration,
                ..Track::default()
            });
        }
        Ok(())
    }

    fn fragment(
        &mut self,
        moof: &[u8],
        begin: usize,
        whole: &Bytes,
        data: core::ops::Range<usize>,
    ) -> Read<()> {
        let mut mfhd = Fields(inner(moof, &[b"mfhd"])?);
        mfhd.full()?;
        self.fragments += 1;
        if mfhd.u32()? != self.fragments {
            return wrong(format!(
                "at byte {begin} stands no {}th fragment",
                self.fragments
            ));
        }
        let mut at = data.start;
        for (_, traf) in boxes(moof)?.iter().filter(|(kind, _)| kind == b"traf") {
            let mut tfhd = Fields(inner(traf, &[b"tfhd"])?);
            let (_, flags) = tfhd.full()?;
            let id = tfhd.u32()?;
            let mut tfdt = Fields(inner(traf, &[b"tfdt"])?);
            tfdt.full()?;
            let time = tfdt.number(8)?;
            let run = Fields(inner(traf, &[b"trun"])?);
            let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) else {
                return wrong(format!("samples of track {id}, which there is not"));
            };
            // How long the last sample of a fragment lasts was a guess, if the next one had not come.
            let newest = track.samples.last().map_or(0, |last| last.time);
            if flags != 0x02_0000 || time < newest {
                return wrong(format!(
                    "track {id} goes on at {time} ms, before {newest} ms"
                ));
            }
            track.run(run, time, (begin, &mut at), whole)?;
        }
        match at == data.end {
            true => Ok(()),
            false => wrong(format!("bytes {at} to {} belong to no sample", data.end)),
        }
    }
}

impl Track {
    fn run(
        &mut self,
        mut trun: Fields<'_>,
        mut time: u64,
        (begin, at): (usize, &mut usize),
        whole: &Bytes,
    ) -> Read<()> {
        let (_, flags) = trun.full()?;
        let (count, offset) = (trun.u32()?, trun.u32()?);
        if flags & 0x301 != 0x301 || begin + offset as usize != *at {
            return wrong(format!(
                "samples at {offset} of the fragment at byte {begin}"
            ));
        }
        for _ in 0..count {
            let (duration, size) = (trun.u32()?, trun.u32()? as usize);
            let is_sync = match flags & 0x400 {
                0 => !self.is_video,
                _ => trun.u32()? & 0x1_0000 == 0,
            };
            let after = match flags & 0x800 {
                0 => 0,
                _ => trun.u32()?.cast_signed(),
            };
            if *at + size > whole.len() {
                return wrong("a sample ends behind the file");
            }
            self.samples.push(Sample {
                time,
                shown: time as i64 + i64::from(after),
                is_sync,
                fragment: begin as u64,
                bytes: whole.slice(*at..*at + size),
            });
            *at += size;
            time += u64::from(duration);
        }
        self.end = time;
        Ok(())
    }
}

fn duration(mvhd: &[u8], skip: usize) -> Read<u64> {
    let mut mvhd = Fields(mvhd);
    mvhd.skip(skip + 4)?;
    mvhd.number(8)
}

fn index(mfra: &[u8], size: u64) -> Read<Vec<(u64, u64)>> {
    let mut tfra = Fields(inner(mfra, &[b"tfra"])?);
    tfra.skip(12)?;
    let places = (0..tfra.u32()?).map(|_| {
        let place = (tfra.number(8)?, tfra.number(8)?);
        tfra.skip(3)?;
        Ok(place)
    });
    let places: Read<Vec<_>> = places.collect();
    let mut mfro = Fields(inner(mfra, &[b"mfro"])?);
    mfro.full()?;
    match u64::from(mfro.u32()?) == size {
        true => places,
        false => wrong("the index does not say how long it is"),
    }
}

impl Movie {
    /// Whether it is a finished file: it says how long it is, and where one can begin.
    pub(super) fn is_finished(&self) -> Result<(), String> {
        let ends = self.tracks.iter().map(|track| track.end).max();
        let is_other = |track: &Track| track.end != track.duration;
        if self.disagrees || ends != Some(self.duration) || self.tracks.iter().any(is_other) {
            return Err(format!(
                "it is said to be {} ms long, and its tracks end at {ends:?} ms",
                self.duration
            ));
        }
        let Some(index) = &self.index else {
            return Err("it has no index".into());
        };
        let leading = self.tracks.first().map_or(&[][..], |track| &track.samples);
        // The index has times of presentation; the first sample's stands for all.
        let delay = leading
            .first()
            .map_or(0, |first| first.shown - first.time as i64);
        for (time, fragment) in index {
            let mut first = leading.iter().filter(|sample| sample.fragment == *fragment);
            let is_right =
                |sample: &Sample| sample.is_sync && sample.time as i64 + delay == *time as i64;
            if !first.next().is_some_and(is_right) {
                return Err(format!(
                    "nothing can begin in the fragment at byte {fragment}, at {time} ms as its index says"
                ));
            }
        }
        let begins = leading.iter().any(|sample| sample.is_sync);
        match index.is_empty() && begins {
            true => Err("its index is empty".into()),
            false => Ok(()),
        }
    }
}
