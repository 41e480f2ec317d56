//! `onMetaData` of a recording: the stream's own properties, what only the file knows, and the keyframes.
//!
//! ```text
//! "onMetaData" { duration, lasttimestamp, filesize, …the stream's…,
//!                keyframes { times [n], filepositions [n], step [1], spacer [NaN × 2 (room - n)] } }
//! ```
//!
//! Its size never changes: while the file is written the array of keyframes is empty, and the spacer takes its place.
//! The object is called `keyspacer` as long as there are fewer than two, since FFmpeg complains of an index without any.
//! `step`: of so many keyframes one is listed.

use crate::limits;
use crate::media::file::{Patch, Sync, SyncIndex};
use crate::rtmp::amf::amf0::{self, Properties, Value};
use crate::rtmp::amf::{AmfError, Reader};

const BEGIN: &[u8] = b"\x02\x00\x0aonMetaData\x08";
const END: &[u8] = &[0, 0, 9];
const STRICT_ARRAY: u8 = 0x0A;
/// Bytes of a number in an array.
const NUMBER: usize = 9;
/// The two names of the object that lists the keyframes, alike in length.
const NAMES: [&str; 2] = ["keyframes", "keyspacer"];
/// Properties that are the file's, or would be wrong in another: the stream's are left out.
const OURS: [&str; 14] = [
    "duration",
    "lasttimestamp",
    "filesize",
    "fileSize",
    "keyframes",
    "keyspacer",
    "lastkeyframetimestamp",
    "lastkeyframelocation",
    "hasKeyframes",
    "hasCuePoints",
    "canSeekToEnd",
    "datasize",
    "audiosize",
    "videosize",
];

/// What the file knows of itself.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Facts {
    /// Milliseconds.
    pub(super) duration: u64,
    /// Milliseconds.
    pub(super) last: u64,
    /// Bytes.
    pub(super) size: u64,
}

/// The body of a recording's `onMetaData`.
#[derive(Clone, Debug)]
pub(super) struct Script {
    properties: Properties,
    /// Keyframes there is room for.
    room: usize,
    /// Bytes that are too few for another keyframe; the spacer's name is longer by them.
    odd: usize,
}

impl Script {
    /// With room for `room` keyframes, and the properties of the stream's own `onMetaData`.
    pub(super) fn new(metadata: Option<&[u8]>, room: usize) -> Self {
        let read = metadata.map(Found::read).unwrap_or_default();
        Self {
            properties: read.properties,
            room,
            odd: 0,
        }
    }

    /// Of the same size as this body, which a crash may have torn; none if it is not one of ours.
    pub(super) fn restore(body: &[u8]) -> Option<Self> {
        let mut script = Self::new(Some(body), 0);
        let spare = match body.len().checked_sub(script.len()) {
            Some(spare) => spare,
            None => {
                script.properties.clear();
                body.len().checked_sub(script.len())?
            }
        };
        script.room = spare / (2 * NUMBER);
        script.odd = spare % (2 * NUMBER);
        Some(script)
    }

    /// Bytes of the body.
    pub(super) fn len(&self) -> usize {
        let keyframes = self.keyframes(None).0.len() + 2 * NUMBER * self.room;
        self.front(Facts::default()).len() + keyframes + 2 * END.len()
    }

    /// Keyframes there is room for.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// The body of a file that is being written.
    pub(super) fn unfinished(&self) -> Vec<u8> {
        self.whole(Facts::default(), None)
    }

    /// The body of a finished file.
    pub(super) fn finished(&self, facts: Facts, index: &SyncIndex) -> Vec<u8> {
        self.whole(facts, Some(index))
    }

    /// What makes the body at byte `offset` of the file that of a finished one.
    pub(super) fn patches(&self, facts: Facts, index: &SyncIndex, offset: u64) -> Vec<Patch> {
        let (front, before) = (self.front(facts), self.front(Facts::default()));
        let differ = front.iter().zip(&before).rposition(|(a, b)| a != b);
        let numbers = Patch {
            offset,
            bytes: front
                .get(..differ.map_or(0, |at| at + 1))
                .unwrap_or_default()
                .to_vec(),
        };
        let keyframes = Patch {
            offset: offset + front.len() as u64,
            bytes: self.keyframes(Some(index)).0,
        };
        let mut patches = vec![numbers, keyframes];
        patches.retain(|patch| !patch.bytes.is_empty());
        patches
    }

    fn whole(&self, facts: Facts, index: Option<&SyncIndex>) -> Vec<u8> {
        let mut out = self.front(facts);
        let (keyframes, spare) = self.keyframes(index);
        out.extend(keyframes);
        for _ in 0..spare {
            number(f64::NAN, &mut out);
        }
        out.extend_from_slice(END);
        out.extend_from_slice(END);
        out
    }

    /// Up to the keyframes.
    fn front(&self, facts: Facts) -> Vec<u8> {
        let mut out = BEGIN.to_vec();
        let count = self.properties.len() as u32 + 4;
        out.extend_from_slice(&count.to_be_bytes());
        key("duration", &mut out);
        number(seconds(facts.duration), &mut out);
        key("lasttimestamp", &mut out);
        number(seconds(facts.last), &mut out);
        key("filesize", &mut out);
        number(facts.size as f64, &mut out);
        for (name, value) in &self.properties {
            key(name, &mut out);
            amf0::encode(value, &mut out);
        }
        out
    }

    /// The object of keyframes up to the numbers of its spacer, and how many those are.
    fn keyframes(&self, index: Option<&SyncIndex>) -> (Vec<u8>, usize) {
        let listed = index.map(SyncIndex::entries).unwrap_or_default();
        // (An index has no more entries than there is room for; it may be another's.)
        let listed = listed.get(..self.room).unwrap_or(listed);
        let [name, empty] = NAMES;
        let mut out = Vec::new();
        key(if listed.len() > 1 { name } else { empty }, &mut out);
        out.push(3);
        array("times", listed.len(), &mut out);
        listed
            .iter()
            .for_each(|sync| number(seconds(sync.time), &mut out));
        array("filepositions", listed.len(), &mut out);
        listed
            .iter()
            .for_each(|sync| number(sync.offset as f64, &mut out));
        // (A number by itself would be one of the stream's properties to FFmpeg.)
        array("step", 1, &mut out);
        number(index.map_or(1, SyncIndex::stride) as f64, &mut out);
        let spare = 2 * (self.room - listed.len());
        array(&format!("spacer{}", "_".repeat(self.odd)), spare, &mut out);
        (out, spare)
    }
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}

fn key(name: &str, out: &mut Vec<u8>) {
    // Property names were read from AMF0, or are ours: none is longer than its length field can say.
    let name = name.get(..usize::from(u16::MAX)).unwrap_or(name);
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
}

fn number(n: f64, out: &mut Vec<u8>) {
    amf0::encode(&Value::Number(n), out);
}

fn array(name: &str, count: usize, out: &mut Vec<u8>) {
    key(name, out);
    out.push(STRICT_ARRAY);
    out.extend_from_slice(&(count as u32).to_be_bytes());
}

/// What stands in an `onMetaData`, ours or anybody's.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// The stream's own properties, as far as they could be read.
    pub(super) properties: Properties,
    /// Milliseconds.
    pub(super) duration: Option<u64>,
    /// The keyframes it lists, if they may be true: in order, as many times as places.
    pub(super) index: Option<SyncIndex>,
    /// It is a recording of ours, whose clock begins at 0.
    pub(super) is_ours: bool,
}

impl Found {
    /// Reads as much as can be read.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut found = Self::default();
        // What cannot be read ends it; what came before stays.
        let _ = found.fill(body);
        found
    }

    fn fill(&mut self, body: &[u8]) -> Result<(), AmfError> {
        let mut reader = Reader::new(body);
        amf0::decode(&mut reader)?; // its name
        match reader.u8()? {
            0x03 => {}
            0x08 => drop(reader.u32()?),
            _ => return self.fill_whole(body),
        }
        while !reader.is_empty() && !ends(&mut reader)? {
            let name = name(&mut reader)?;
            let is_object = matches!(reader.rest(), [0x03 | 0x08, ..]);
            if is_object && names_keyframes(&name) {
                let read = keyframes(&mut reader)?;
                self.is_ours = read.step.is_some();
                self.index = read.index();
                continue;
            }
            let value = amf0::decode(&mut reader)?;
            self.property(name, value);
        }
        Ok(())
    }

    /// Values of AMF3 and others that are rare in a file.
    fn fill_whole(&mut self, body: &[u8]) -> Result<(), AmfError> {
        let (values, _) = amf0::decode_all(body);
        let properties = values.iter().find_map(Value::properties);
        for (name, value) in properties.unwrap_or_default() {
            self.property(name.clone(), value.clone());
        }
        Ok(())
    }

    fn property(&mut self, name: String, value: Value) {
        if name == "duration" {
            let sane = |seconds: &f64| (0.0..=4_294_967.0).contains(seconds);
            self.duration =
                (value.as_number().filter(sane)).map(|seconds| (seconds * 1_000.0).round() as u64);
        }
        // A reference counts the objects in front of it, which are others in the file.
        if !OURS.contains(&name.as_str()) && !matches!(value, Value::Reference(_)) {
            self.properties.push((name, value));
        }
    }

    /// The payload for a viewer: without what concerns the file alone.
    pub(super) fn for_viewers(self, duration: Option<u64>) -> Vec<u8> {
        let mut properties = Properties::new();
        if let Some(duration) = duration {
            properties.push(("duration".to_owned(), Value::Number(seconds(duration))));
        }
        properties.extend(self.properties);
        amf0::encode_all(&[Value::string("onMetaData"), Value::EcmaArray(properties)])
    }
}

/// Whether it is one of the two names, or what a torn write makes of them.
fn names_keyframes(name: &str) -> bool {
    let [a, b] = NAMES.map(str::as_bytes);
    let is_either = |((got, a), b): ((&u8, &u8), &u8)| got == a || got == b;
    name.len() == a.len() && name.as_bytes().iter().zip(a).zip(b).all(is_either)
}

fn ends(reader: &mut Reader<'_>) -> Result<bool, AmfError> {
    let ends = reader.rest().starts_with(END);
    if ends {
        reader.take(END.len())?;
    }
    Ok(ends)
}

fn name(reader: &mut Reader<'_>) -> Result<String, AmfError> {
    let length = reader.u16()?;
    reader.text(usize::from(length))
}

/// What an object of keyframes holds: two arrays of numbers, as they are in the file.
#[derive(Default)]
struct Keyframes<'a> {
    times: Option<&'a [u8]>,
    offsets: Option<&'a [u8]>,
    step: Option<f64>,
}

/// Arrays of numbers are taken in bulk: there may be more of them than a message has values.
fn keyframes<'a>(reader: &mut Reader<'a>) -> Result<Keyframes<'a>, AmfError> {
    if reader.u8()? == 0x08 {
        reader.u32()?;
    }
    let mut found = Keyframes::default();
    while !reader.is_empty() && !ends(reader)? {
        let name = name(reader)?;
        if reader.rest().first() != Some(&STRICT_ARRAY) {
            amf0::decode(reader)?;
            continue;
        }
        reader.u8()?;
        let count = reader.u32()? as usize;
        let numbers = reader.take(count.saturating_mul(NUMBER))?;
        match name.as_str() {
            "times" => found.times = Some(numbers),
            "filepositions" => found.offsets = Some(numbers),
            "step" => found.step = floats(numbers).next().flatten(),
            _ => {}
        }
    }
    Ok(found)
}

impl Keyframes<'_> {
    fn index(&self) -> Option<SyncIndex> {
        let (times, offsets) = self.times.zip(self.offsets)?;
        if times.len() != offsets.len() {
            return None;
        }
        let mut index = SyncIndex::new(limits::FLV_INDEX_PLACES);
        let mut last: Option<Sync> = None;
        for (time, offset) in floats(times).zip(floats(offsets)) {
            let is_sane = |n: f64| (0.0..=1e15).contains(&n); // not NaN either
            let (time, offset) = time.zip(offset)?;
            if !is_sane(time) || !is_sane(offset) {
                return None;
            }
            let sync = Sync {
                time: (time * 1_000.0).round() as u64,
                offset: offset as u64,
            };
            if last.is_some_and(|last| last.offset >= sync.offset || last.time > sync.time) {
                return None;
            }
            last = Some(sync);
            index.push(sync);
        }
        let step = self.step.map_or(1, |step| step.clamp(1.0, 1e9) as u64);
        (!index.entries().is_empty()).then(|| index.thinned_by(step))
    }
}

fn floats(numbers: &[u8]) -> impl Iterator<Item = Option<f64>> {
    let (numbers, _) = numbers.as_chunks::<NUMBER>();
    numbers
        .iter()
        .map(|[marker, bytes @ ..]| (*marker == 0).then(|| f64::from_be_bytes(*bytes)))
}
