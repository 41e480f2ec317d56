//! What is written is read, repaired and found again.

use core::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::media::file::{MediaFile, Muxer, Packet, Patch, Pushed, Repaired, Step, Task};
use crate::media::frame::classify::{Class, classify};
use crate::rtmp::amf::{Value, amf0};
use crate::rtmp::wire::WireMessage;

mod giant;
mod remux;

/// A file's bytes, and what was read of them.
struct Disk<F> {
    read: F,
    size: u64,
    reads: usize,
    bytes: usize,
}

fn disk(file: &[u8]) -> Disk<impl Fn(Range<u64>) -> Vec<u8>> {
    Disk {
        read: |range: Range<u64>| file[range.start as usize..range.end as usize].to_vec(),
        size: file.len() as u64,
        reads: 0,
        bytes: 0,
    }
}

impl<F: Fn(Range<u64>) -> Vec<u8>> Disk<F> {
    fn answer(&mut self, offset: u64, len: usize) -> Vec<u8> {
        assert!(len > 0);
        self.reads += 1;
        self.bytes += len;
        (self.read)(offset.min(self.size)..(offset + len as u64).min(self.size))
    }

    fn run<T: Task>(&mut self, mut task: T) -> Result<T::Output, T::Error> {
        let mut input = Vec::new();
        loop {
            match task.step(&input)? {
                Step::Read { offset, len } => input = self.answer(offset, len),
                Step::Done(done) => return Ok(done),
            }
        }
    }

    fn open(&mut self) -> FlvFile {
        self.run(FlvOpen::new(self.size)).unwrap()
    }

    fn next(&mut self, file: &mut FlvFile, cursor: &mut FlvCursor) -> Option<Packet> {
        let mut input = Vec::new();
        loop {
            match file.next(cursor, self.size, &input).unwrap() {
                Step::Read { offset, len } => input = self.answer(offset, len),
                Step::Done(packet) => return packet,
            }
        }
    }

    fn play(&mut self, file: &mut FlvFile, time: u64) -> Vec<Packet> {
        let mut cursor = file.seek(time, None);
        std::iter::from_fn(|| self.next(file, &mut cursor)).collect()
    }
}

fn patched(mut file: Vec<u8>, patches: &[Patch]) -> Vec<u8> {
    for Patch { offset, bytes } in patches {
        let at = *offset as usize;
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }
    file
}

fn repaired(file: &[u8]) -> (Vec<u8>, Repaired) {
    let done = disk(file).run(FlvRepair::new(file.len() as u64)).unwrap();
    let whole = patched(file[..done.len as usize].to_vec(), &done.patches);
    (whole, done)
}

fn message(kind: MediaKind, payload: &[u8]) -> WireMessage {
    WireMessage::new(kind, Timestamp(7), payload, 100)
}

const AVC: &[u8] = &[0x17, 0, 0, 0, 0, 1, 2, 3, 4, 0xFF];
const AAC: &[u8] = &[0xAF, 0, 0x12, 0x10];

fn metadata() -> WireMessage {
    let properties = Value::object([
        ("duration", Value::Number(0.0)),
        ("width", Value::Number(320.0)),
        ("encoder", Value::string("somebody's")),
        ("filesize", Value::Number(5.0)),
    ]);
    let payload = amf0::encode_all(&[Value::string("onMetaData"), properties]);
    message(MediaKind::Data, &payload)
}

/// What a recording was made of, and what became of it.
struct Recording {
    writer: FlvWriter,
    unfinished: Vec<u8>,
    finished: Vec<u8>,
    /// Behind the prelude and behind each message: how long the file was.
    ends: Vec<usize>,
}

fn record(room: usize, prelude: &[WireMessage], media: &[(WireMessage, u64)]) -> Recording {
    let mut writer = FlvWriter::new(room);
    let mut unfinished = Vec::new();
    writer.begin(prelude, &mut unfinished);
    let mut ends = vec![unfinished.len()];
    for (message, time) in media {
        assert_eq!(writer.push(message, *time, &mut unfinished), Pushed::Taken);
        ends.push(unfinished.len());
    }
    writer.flush(&mut unfinished);
    let patches = writer.finish(&mut unfinished);
    Recording {
        finished: patched(unfinished.clone(), &patches),
        writer,
        unfinished,
        ends,
    }
}

fn tags(file: &[u8]) -> Vec<FlvTag> {
    let (mut reader, mut input, mut tags) = (FlvReader::new(), file, Vec::new());
    while let Some(tag) = reader.read(&mut input).unwrap() {
        tags.push(tag);
    }
    reader.finish().unwrap();
    tags
}

fn bytes(message: &WireMessage) -> Vec<u8> {
    message.payload().flatten().copied().collect()
}

/// Kind, payload and time of what follows the metadata, sequence headers apart.
fn media_of(
    packets: impl Iterator<Item = (MediaKind, Vec<u8>, u64)>,
) -> Vec<(MediaKind, Vec<u8>, u64)> {
    let is_media = |(kind, payload, _): &(MediaKind, Vec<u8>, u64)| {
        !matches!(
            classify(*kind, &payload[..]),
            Class::Header(..) | Class::Metadata
        )
    };
    packets.filter(is_media).collect()
}

fn picture(key: bool, fill: u8, size: usize) -> WireMessage {
    let mut payload = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    payload.resize(5 + size, fill);
    message(MediaKind::Video, &payload)
}

fn sound(fill: u8, size: usize) -> WireMessage {
    let mut payload = vec![0xAF, 1];
    payload.resize(2 + size, fill);
    message(MediaKind::Audio, &payload)
}

#[derive(Clone, Debug)]
enum Part {
    Key(u8),
    Inter(u8),
    Sound(u8),
    Data(u8),
    /// A new sequence header.
    Config(u8),
}

fn parts() -> impl Strategy<Value = Vec<(Part, u64)>> {
    let part = prop_oneof![
        2 => any::<u8>().prop_map(Part::Key),
        6 => any::<u8>().prop_map(Part::Inter),
        6 => any::<u8>().prop_map(Part::Sound),
        1 => any::<u8>().prop_map(Part::Data),
        1 => (0..3_u8).prop_map(Part::Config),
    ];
    let step = prop_oneof![9 => 0..100_u64, 1 => 0..10_000_u64];
    proptest::collection::vec((part, step), 0..60)
}

fn messages(parts: &[(Part, u64)], has_video: bool) -> Vec<(WireMessage, u64)> {
    let mut time = 0;
    let of = |(part, step): &(Part, u64)| {
        time += step;
        let message = match part {
            Part::Key(fill) if has_video => picture(true, *fill, usize::from(*fill) * 5),
            Part::Inter(fill) if has_video => picture(false, *fill, usize::from(*fill)),
            Part::Config(n) if has_video => message(MediaKind::Video, &[AVC, &[*n]].concat()),
            Part::Data(fill) => {
                let values = [Value::string("onCuePoint"), Value::Number((*fill).into())];
                message(MediaKind::Data, &amf0::encode_all(&values))
            }
            Part::Sound(fill) | Part::Key(fill) | Part::Inter(fill) | Part::Config(fill) => {
                sound(*fill, usize::from(*fill) / 8)
            }
        };
        (message, time)
    };
    parts.iter().map(of).collect()
}

fn prelude(has_video: bool) -> Vec<WireMessage> {
    let mut prelude = vec![metadata()];
    if has_video {
        prelude.push(message(MediaKind::Video, AVC));
    }
    prelude.push(message(MediaKind::Audio, AAC));
    prelude
}

/// Where playing begins that is to begin at `time`: at the last sync point, by a look at each message.
fn reference(all: &[Packet], time: u64) -> usize {
    if time == 0 {
        return 0;
    }
    let found = all
        .iter()
        .rposition(|packet| packet.is_sync && packet.time <= time);
    let Some(found) = found else {
        return 0;
    };
    let is_header = |packet: &&Packet| {
        matches!(
            classify(packet.kind, &packet.payload[..]),
            Class::Header(..)
        )
    };
    found - all[..found].iter().rev().take_while(is_header).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(parts in parts(), has_video: bool, room in 2..20_usize) {
        let media = messages(&parts, has_video);
        let recording = record(room, &prelude(has_video), &media);
        let written = media.iter().map(|(message, time)| (message.kind(), bytes(message), *time));
        let written = media_of(written);
        for file in [&recording.unfinished, &recording.finished] {
            let read = tags(file).into_iter();
            let read = media_of(read.map(|tag| (tag.kind, tag.payload.to_vec(), tag.timestamp.0.into())));
            prop_assert_eq!(&read, &written);
            let mut opened = disk(file).open();
            let played = disk(file).play(&mut opened, 0).into_iter();
            let played = media_of(played.map(|packet| (packet.kind, packet.payload.to_vec(), packet.time)));
            prop_assert_eq!(&played, &written);
            prop_assert_eq!(opened.info().headers.len(), if has_video { 2 } else { 1 });
        }
        prop_assert_eq!(tags(&recording.finished)[0].payload.len(), tags(&recording.unfinished)[0].payload.len());
    }

    #[test]
    fn a_seek_finds_what_a_look_at_everything_finds(parts in parts(), has_video: bool, room in 2..20_usize, times in proptest::collection::vec(0..20_000_u64, 1..8)) {
        let media = messages(&parts, has_video);
        let recording = record(room, &prelude(has_video), &media);
        let mut trailerless = recording.finished.clone();
        let mut at = 13;
        while at < trailerless.len() {
            let length = u32::from_be_bytes([0, trailerless[at + 1], trailerless[at + 2], trailerless[at + 3]]) as usize;
            trailerless[at + 11 + length..at + 15 + length].fill(0);
            at += 15 + length;
        }
        for file in [&recording.finished, &recording.unfinished, &trailerless] {
            let mut opened = disk(file).open();
            let all = disk(file).play(&mut opened, 0);
            for time in &times {
                let expected = &all[reference(&all, *time)..];
                prop_assert_eq!(disk(file).play(&mut opened, *time), expected);
                let mut cursor = opened.seek(*time, Some(recording.writer.index()));
                let found = disk(file).next(&mut opened, &mut cursor);
                prop_assert_eq!(found.as_ref(), expected.first());
            }
        }
    }

    #[test]
    fn cut_anywhere_what_is_whole_stays(parts in parts(), has_video: bool, room in 2..6_usize) {
        let media = messages(&parts[..parts.len().min(12)], has_video);
        let recording = record(room, &prelude(has_video), &media);
        let file = &recording.unfinished;
        let (whole, done) = repaired(file);
        prop_assert!(whole == recording.finished || done.is_empty);
        prop_assert_eq!(done.duration, recording.writer.duration());
        let starts: Vec<usize> = tags(file).iter().map(|tag| tag.offset as usize).chain([file.len()]).collect();
        for cut in 0..file.len() {
            let (whole, done) = repaired(&file[..cut]);
            let expected = starts.iter().rev().find(|start| **start <= cut).copied().unwrap_or(cut.min(13));
            prop_assert_eq!(done.len as usize, if cut < 9 { 0 } else { expected }, "cut at {}", cut);
            if !done.is_empty {
                let count = recording.ends.iter().filter(|end| **end <= cut).count() - 1;
                let part = record(room, &prelude(has_video), &media[..count]);
                // Headers that are repeated stand in front of their keyframe, which may be cut off.
                if part.unfinished.len() as u64 == done.len {
                    prop_assert!(whole == part.finished, "cut at {}", cut);
                }
                tags(&whole);
            }
        }
    }

    #[test]
    fn torn_patches_are_repaired(parts in parts(), room in 2..20_usize, torn in proptest::collection::vec(any::<bool>(), 1..40), destroyed: bool) {
        let media = messages(&parts, true);
        let recording = record(room, &prelude(true), &media);
        let mut file = recording.unfinished.clone();
        let end = tags(&file).get(1).unwrap().offset as usize - 4;
        for (at, torn) in (24..end).zip(torn.iter().cycle()) {
            if *torn {
                file[at] = recording.finished[at];
            }
        }
        if destroyed {
            file[24..end].fill(0);
        }
        let (whole, done) = repaired(&file);
        if done.is_empty {
            return Ok(());
        }
        let opened = disk(&whole).open();
        if destroyed {
            prop_assert_eq!(whole.len(), recording.finished.len());
            prop_assert_eq!(&whole[end..], &recording.finished[end..]);
        } else {
            prop_assert!(whole == recording.finished);
        }
        let duration = disk(&recording.finished).open().info().duration;
        prop_assert_eq!(opened.info().duration, duration);
        prop_assert!(repaired(&whole).1.patches.is_empty());
    }
}

#[test]
fn viewers_get_the_streams_metadata_with_the_duration() {
    let media = [
        (picture(true, 1, 10), 0),
        (picture(false, 2, 10), 40),
        (picture(true, 3, 10), 80),
    ];
    let recording = record(8, &prelude(true), &media);
    let opened = disk(&recording.finished).open();
    let (values, error) = amf0::decode_all(opened.info().metadata.as_ref().unwrap());
    assert_eq!((values[0].as_str(), error), (Some("onMetaData"), None));
    assert_eq!(values[1].get("duration"), Some(&Value::Number(0.12)));
    assert_eq!(values[1].get("encoder"), Some(&Value::string("somebody's")));
    assert_eq!(values[1].properties().unwrap().len(), 3);
    assert_eq!(opened.info().duration, Some(120));
    let file = amf0::decode_all(&tags(&recording.finished)[0].payload).0;
    let size = recording.finished.len() as f64;
    assert_eq!(file[1].get("filesize"), Some(&Value::Number(size)));
    assert_eq!(file[1].get("lasttimestamp"), Some(&Value::Number(0.08)));
    let times = file[1]
        .get("keyframes")
        .and_then(|keyframes| keyframes.get("times"));
    let expected = [0.0, 0.08].map(Value::Number).to_vec();
    assert_eq!(times, Some(&Value::StrictArray(expected)));
}

#[test]
fn from_the_beginning_nothing_is_left_out() {
    let media = [
        (sound(1, 20), 0),
        (picture(true, 2, 50), 0),
        (sound(3, 20), 23),
        (picture(false, 4, 50), 40),
    ];
    let recording = record(64, &prelude(true), &media);
    let mut opened = disk(&recording.finished).open();
    assert!(opened.index.is_some());
    assert_eq!(disk(&recording.finished).play(&mut opened, 0).len(), 4);
    let mut cursor = opened.seek(0, Some(recording.writer.index()));
    let first = disk(&recording.unfinished).next(&mut opened, &mut cursor);
    assert!(first.is_some_and(|first| first.kind == MediaKind::Audio));
    let later = disk(&recording.finished).play(&mut opened, 30);
    assert_eq!(later.len(), 3, "from the keyframe on");
}

#[test]
fn a_wrong_index_is_not_believed() {
    let media: Vec<_> = (0..200_u64)
        .map(|n| (picture(n % 10 == 0, n as u8, 50), n * 40))
        .collect();
    let recording = record(64, &prelude(true), &media);
    let mut file = recording.finished.clone();
    // Something was put in behind the metadata, as some editors do.
    let at = tags(&file)[1].offset as usize;
    let mut tag = Vec::new();
    tag::write(
        MediaKind::Data,
        0,
        30,
        std::iter::once(&[2; 30][..]),
        &mut tag,
    );
    file.splice(at..at, tag);
    let mut opened = disk(&file).open();
    assert!(opened.index.is_some());
    let packet = disk(&file).play(&mut opened, 4_399).remove(0);
    assert_eq!((packet.time, packet.is_sync), (4_000, true));
    assert!(opened.index.is_none());
}

#[test]
fn a_file_that_grows_goes_on() {
    let media: Vec<_> = (0..20_u64)
        .map(|n| (picture(n % 10 == 0, n as u8, 50), n * 40))
        .collect();
    let recording = record(64, &prelude(true), &media);
    let file = &recording.unfinished;
    let mut opened = disk(&file[..recording.ends[5]]).open();
    assert_eq!(opened.info().duration, Some(160));
    let (mut cursor, mut times) = (opened.seek(0, None), Vec::new());
    for size in recording.ends[0]..=file.len() {
        while let Some(packet) = disk(&file[..size]).next(&mut opened, &mut cursor) {
            times.push(packet.time);
        }
    }
    assert_eq!(times, (0..20).map(|n| n * 40).collect::<Vec<_>>());
    let mut cursor = opened.seek(500, Some(recording.writer.index()));
    let packet = disk(file).next(&mut opened, &mut cursor).unwrap();
    assert_eq!((packet.time, packet.is_sync), (400, true));
}

#[test]
fn the_end_of_the_clock_is_the_end_of_a_file() {
    let mut writer = FlvWriter::default();
    let mut out = Vec::new();
    writer.begin(&[], &mut out);
    let last = limits::FLV_TIME_MAX;
    let before = out.len();
    assert_eq!(
        writer.push(&sound(1, 4), last + 1, &mut out),
        Pushed::NewSegment
    );
    assert_eq!(out.len(), before);
    assert_eq!(writer.push(&sound(1, 4), last, &mut out), Pushed::Taken);
    assert_eq!(tags(&out)[1].timestamp.0, i32::MAX as u32);
}
