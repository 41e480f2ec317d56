use super::build::{boxed, full, u16, u32, zeros};
use super::*;
use crate::media::file::{MediaFile, Muxer, Packet, Patch, Pushed, Step, SyncIndex, Task};
use crate::rtmp::wire::{MediaKind, WireMessage};
use crate::time::Timestamp;

mod untimed;

pub(super) use untimed::without_times;

/// A configuration by FFmpeg 9.0.2 with libx264: 320x180.
const AVC: &[u8] = b"\x01\x4d\x40\x0c\xff\xe1\x00\x17\x67\x4d\x40\x0c\xda\x05\x06\x7e\x7c\x04\x40\x00\x00\x03\x00\x40\x00\x00\x0c\x83\xc5\x0a\xa8\x01\x00\x04\x68\xef\x3c\x80";

fn message(kind: MediaKind, payload: &[u8]) -> WireMessage {
    WireMessage::new(kind, Timestamp(0), payload, 128)
}

fn video_header() -> WireMessage {
    message(MediaKind::Video, &[b"\x17\0\0\0\0", AVC].concat())
}

fn sound_header() -> WireMessage {
    message(MediaKind::Audio, b"\xaf\0\x12\x10")
}

fn picture(n: u64) -> WireMessage {
    let first = if n.is_multiple_of(25) { 0x17 } else { 0x27 };
    message(MediaKind::Video, &[first, 1, 0, 0, 80, n as u8, 1, 2])
}

fn sound(n: u64) -> WireMessage {
    message(MediaKind::Audio, &[0xAF, 1, n as u8, 9])
}

/// What a stream of three seconds is written as: the file, and where each piece of it was complete.
fn written() -> (Vec<u8>, Vec<Patch>, Vec<usize>, Mp4Writer) {
    let (mut file, mut ends) = (Vec::new(), Vec::new());
    let mut writer = Mp4Writer::new();
    writer.begin(&[video_header(), sound_header()], &mut file);
    for n in 0..75 {
        assert_eq!(writer.push(&picture(n), n * 40, &mut file), Pushed::Taken);
        assert_eq!(writer.push(&sound(n), n * 40 + 7, &mut file), Pushed::Taken);
        if ends.last() != Some(&file.len()) {
            ends.push(file.len());
        }
    }
    writer.flush(&mut file);
    ends.push(file.len());
    let patches = writer.finish(&mut file);
    (file, patches, ends, writer)
}

fn patched(mut file: Vec<u8>, patches: &[Patch]) -> Vec<u8> {
    for Patch { offset, bytes } in patches {
        let (at, end) = (*offset as usize, *offset as usize + bytes.len());
        file.resize(file.len().max(end), 0);
        file[at..end].copy_from_slice(bytes);
    }
    file
}

/// A finished recording.
pub(super) fn recording() -> Vec<u8> {
    let (file, patches, ..) = written();
    patched(file, &patches)
}

fn run<T: Task<Error = Mp4Error>>(mut task: T, file: &[u8]) -> Result<T::Output, Mp4Error> {
    let mut input: &[u8] = &[];
    loop {
        match task.step(input)? {
            Step::Read { offset, len } => {
                let from = (offset as usize).min(file.len());
                input = &file[from..(from + len).min(file.len())];
            }
            Step::Done(output) => return Ok(output),
        }
    }
}

fn open(file: &[u8]) -> Result<Mp4File, Mp4Error> {
    run(Mp4Open::new(file.len() as u64), file)
}

fn rest(opened: &mut Mp4File, cursor: &mut Mp4Cursor, file: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut input: &[u8] = &[];
    loop {
        match opened
            .next(cursor, file.len() as u64, input)
            .expect("a good file")
        {
            Step::Read { offset, len } => input = &file[offset as usize..offset as usize + len],
            Step::Done(Some(packet)) => {
                input = &[];
                packets.push(packet);
            }
            Step::Done(None) => return packets,
        }
    }
}

fn from(opened: &mut Mp4File, time: u64, file: &[u8]) -> Vec<Packet> {
    let mut cursor = opened.seek(time, None);
    rest(opened, &mut cursor, file)
}

fn is_as_published(packets: &[Packet], first: u64) {
    for (at, packet) in packets.iter().enumerate() {
        let n = first + at as u64 / 2;
        let (expected, time) = match at % 2 {
            0 => (picture(n), n * 40),
            _ => (sound(n), n * 40 + 7),
        };
        assert_eq!((packet.kind, packet.time), (expected.kind(), time));
        let payload: Vec<u8> = expected.payload().flatten().copied().collect();
        assert_eq!(packet.payload, payload);
        assert_eq!(packet.is_sync, at % 2 == 0 && n.is_multiple_of(25));
    }
}

#[test]
fn what_is_recorded_plays_back_as_it_was_published() {
    let file = recording();
    let mut opened = open(&file).expect("our own");
    assert_eq!(opened.info().duration, Some(3_007));
    let headers: Vec<Vec<u8>> = (opened.info().headers.iter())
        .map(|(_, header)| header.to_vec())
        .collect();
    let expected = [video_header(), sound_header()];
    let expected = expected.map(|m| m.payload().flatten().copied().collect::<Vec<u8>>());
    assert_eq!(headers, expected);
    let packets = from(&mut opened, 0, &file);
    assert_eq!(packets.len(), 150);
    is_as_published(&packets, 0);
    for (time, first) in [(999, 0), (1_000, 25), (1_999, 25), (2_000, 50), (9_999, 50)] {
        let packets = from(&mut opened, time, &file);
        assert_eq!(packets.len() as u64, 150 - 2 * first, "from {time}");
        is_as_published(&packets, first);
    }
}

#[test]
fn a_file_that_grows_is_played_up_to_what_is_whole() {
    let (file, _, ends, writer) = written();
    let mut opened = open(&file[..ends[1]]).expect("moov and a fragment");
    let mut cursor = opened.seek(0, Some(&SyncIndex::new(8)));
    let mut got = Vec::new();
    for end in (ends[1]..file.len()).step_by(50) {
        got.extend(rest(&mut opened, &mut cursor, &file[..end]));
    }
    got.extend(rest(&mut opened, &mut cursor, &file));
    assert_eq!(got.len(), 150);
    is_as_published(&got, 0);
    let mut late = opened.seek(2_500, Some(writer.index()));
    is_as_published(&rest(&mut opened, &mut late, &file), 50);
    is_as_published(&from(&mut opened, 2_500, &file), 50);
}

#[test]
fn cut_off_anywhere_it_is_repaired_up_to_the_last_whole_fragment() {
    let (file, patches, ends, _) = written();
    let finished = patched(file.clone(), &patches);
    for cut in 0..=file.len() {
        let whole = ends
            .iter()
            .copied()
            .filter(|end| *end <= cut)
            .max()
            .unwrap_or(0);
        for zeros in [0, 3_000] {
            let mut torn = file[..cut].to_vec();
            // Half of the patches may have come to the disk.
            for patch in patches.iter().take(cut % 7) {
                let at = patch.offset as usize;
                if cut == file.len() {
                    torn[at..at + 8].copy_from_slice(&patch.bytes);
                }
            }
            torn.resize(cut + zeros, 0);
            let Ok(repaired) = run(Mp4Repair::new(torn.len() as u64), &torn) else {
                panic!("cut at {cut}")
            };
            if zeros == 0 {
                let ftyp = 32.min(whole);
                assert_eq!(repaired.is_empty, whole <= ftyp, "cut at {cut}");
                assert!(
                    repaired.is_empty || repaired.len == whole as u64,
                    "cut at {cut}"
                );
            }
            assert!(
                repaired.is_empty || repaired.len >= whole as u64,
                "cut at {cut}"
            );
            if cut == file.len() {
                torn.truncate(repaired.len as usize);
                assert_eq!(
                    patched(torn, &repaired.patches),
                    finished,
                    "as if it had been finished"
                );
            }
        }
    }
}

/// A write that a power loss has torn, and the next one that came to the disk all the same.
#[test]
fn a_fragment_that_was_not_written_whole_ends_the_file_though_more_follows() {
    let (file, _, ends, _) = written();
    let (begin, end) = (ends[1], ends[2]);
    assert!(file.len() > end);
    for torn in begin..end {
        let mut torn_file = file.clone();
        torn_file[torn..end].fill(0);
        let repaired = run(Mp4Repair::new(file.len() as u64), &torn_file).unwrap();
        let is_as_written = torn_file == file;
        let whole = if is_as_written { file.len() } else { begin };
        assert_eq!(repaired.len, whole as u64, "torn at {torn}");
    }
}

#[test]
fn a_box_that_is_not_whole_is_no_place_to_begin_behind() {
    let moof = recording()
        .windows(4)
        .position(|w| w == b"moof")
        .expect("it is there")
        - 4;
    let mut torn = recording()[..moof].to_vec();
    u32(&mut torn, 9_000);
    torn.extend(b"freerest");
    let repaired = run(Mp4Repair::new(torn.len() as u64), &torn).expect("moov is whole");
    assert_eq!((repaired.len, repaired.is_empty), (moof as u64, true));
}

#[test]
fn what_changes_needs_a_new_file_and_what_does_not_is_taken() {
    let (mut file, mut writer) = (Vec::new(), Mp4Writer::new());
    writer.begin(&[video_header()], &mut file);
    let mut push = |message: &WireMessage, time| writer.push(message, time, &mut file);
    assert_eq!(
        push(&sound(0), 0),
        Pushed::LeftOut,
        "AAC without its header"
    );
    assert_eq!(push(&picture(0), 0), Pushed::Taken);
    assert_eq!(push(&video_header(), 10), Pushed::Taken, "the same again");
    assert_eq!(
        push(&sound_header(), 20),
        Pushed::Taken,
        "moov is not written yet"
    );
    assert_eq!(push(&sound(1), 20), Pushed::Taken);
    assert_eq!(push(&picture(1), 1_200), Pushed::Taken);
    let other = message(MediaKind::Audio, b"\xaf\0\x11\x90");
    assert_eq!(push(&other, 1_300), Pushed::NewSegment);
    let second = message(MediaKind::Audio, b"\x95\0mp4a\x01\x12\x10");
    assert_eq!(push(&second, 1_300), Pushed::NewSegment, "a track more");
    let ac3 = b"\x91ac-3\x0b\x77\x4b\x20\x48\x40\x2f\x84";
    assert_eq!(
        push(&message(MediaKind::Audio, ac3), 1_300),
        Pushed::NewSegment
    );
    assert_eq!(
        push(&message(MediaKind::Audio, b"\xb2spx"), 0),
        Pushed::LeftOut
    );
    assert_eq!(
        push(&message(MediaKind::Data, b"\x02\0\x0aonMetaData"), 0),
        Pushed::LeftOut
    );
    assert_eq!(
        push(&sound(2), 1_400),
        Pushed::Taken,
        "it goes on as before"
    );
}

/// A file as anyone writes it: `mdat` first, then `moov` with a table; two chunks of two samples, the second of which is
/// no sync sample.
pub(super) fn movie_with_table() -> Vec<u8> {
    with_table(|_| {})
}

/// The same with `more` behind its track.
fn with_table(more: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut file = Vec::new();
    boxed(&mut file, *b"ftyp", |out| out.extend(b"f4v \0\0\0\0"));
    boxed(&mut file, *b"mdat", |out| out.extend(b"abbcccdddd"));
    boxed(&mut file, *b"moov", |out| {
        full(out, *b"mvhd", 0, 0, |out| {
            zeros(out, 8);
            u32(out, 600);
            u32(out, 2_400);
            zeros(out, 80);
        });
        boxed(out, *b"trak", track);
        more(out);
    });
    file
}

/// The same with two samples more, in a fragment: what FFmpeg writes with `frag_keyframe` alone.
pub(super) fn table_and_fragment() -> Vec<u8> {
    let mut file = with_table(|out| {
        boxed(out, *b"mvex", |out| {
            full(out, *b"trex", 0, 0, |out| {
                [1, 1, 0, 0, 0]
                    .into_iter()
                    .for_each(|value| u32(out, value));
            });
        });
    });
    let mut track = track::Track::new(entry::Coding::Avc);
    for (time, is_sync, byte) in [(315_000, true, b'e'), (360_000, false, b'f')] {
        track.data.push(byte);
        track.push(time, 1, 9_000, is_sync);
    }
    fragment::fragment(&mut file, 1, [(1, &track)].into_iter());
    file
}

fn track(out: &mut Vec<u8>) {
    full(out, *b"tkhd", 0, 7, |out| {
        zeros(out, 8);
        u32(out, 1);
        zeros(out, 68);
    });
    boxed(out, *b"edts", |out| {
        full(out, *b"elst", 0, 0, |out| {
            // Half a second of nothing, then from the media's second 0.1 on.
            for value in [2, 300, u32::MAX, 0x1_0000, 2_100, 9_000, 0x1_0000] {
                u32(out, value);
            }
        });
    });
    boxed(out, *b"mdia", |out| {
        full(out, *b"mdhd", 0, 0, |out| {
            zeros(out, 8);
            u32(out, 90_000);
            u32(out, 360_000);
            zeros(out, 4);
        });
        boxed(out, *b"minf", |out| boxed(out, *b"stbl", tables));
    });
}

fn tables(out: &mut Vec<u8>) {
    full(out, *b"stsd", 0, 0, |out| {
        u32(out, 1);
        boxed(out, *b"avc1", |out| {
            zeros(out, 24);
            u16(out, 320);
            u16(out, 180);
            zeros(out, 50);
            boxed(out, *b"avcC", |out| out.extend(AVC));
        });
    });
    let mut table = |kind, values: &[u32]| {
        full(out, kind, 0, 0, |out| {
            values.iter().for_each(|value| u32(out, *value))
        });
    };
    table(*b"stts", &[2, 3, 90_000, 1, 45_000]);
    table(*b"ctts", &[2, 1, 9_000, 3, 18_000]);
    table(*b"stss", &[2, 1, 3]);
    table(*b"stsc", &[1, 1, 2, 1]);
    table(*b"stsz", &[0, 4, 1, 2, 3, 4]);
    table(*b"stco", &[2, 24, 27]);
}

fn seen(packets: Vec<Packet>) -> Vec<(u64, u8, bool, String)> {
    let seen = packets.iter().map(|packet| {
        let payload = String::from_utf8_lossy(&packet.payload[5..]).into_owned();
        (packet.time, packet.payload[4], packet.is_sync, payload)
    });
    seen.collect()
}

/// What the table says.
fn in_table() -> [(u64, u8, bool, String); 4] {
    [
        (400, 100, true, "a".to_owned()),
        (1_400, 200, false, "bb".to_owned()),
        (2_400, 200, true, "ccc".to_owned()),
        (3_400, 200, false, "dddd".to_owned()),
    ]
}

#[test]
fn a_file_with_a_table_and_edits() {
    let file = movie_with_table();
    let mut opened = open(&file).expect("a good file");
    assert_eq!(opened.info().duration, Some(4_000));
    let all = in_table();
    assert_eq!(seen(from(&mut opened, 0, &file)), all);
    assert_eq!(seen(from(&mut opened, 2_399, &file)), all);
    assert_eq!(seen(from(&mut opened, 2_400, &file)), all[2..]);
    assert_eq!(seen(from(&mut opened, u64::MAX, &file)), all[2..]);
}

#[test]
fn hostile_files_are_refused_with_a_reason() {
    let file = movie_with_table();
    let at = |kind: &[u8]| {
        file.windows(4)
            .position(|w| w == kind)
            .expect("it is there")
    };
    let with = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    // Endless tables hold what there is of them, or nothing.
    for (kind, offset) in [
        (b"stsz", 12),
        (b"stts", 8),
        (b"ctts", 8),
        (b"stsc", 8),
        (b"stco", 8),
    ] {
        let file = with(at(kind) + offset, &[0xFF; 4]);
        let mut opened = open(&file).expect("the rest is good");
        assert!(from(&mut opened, 0, &file).len() <= 4);
    }
    let same = with(at(b"stsz") + 8, &[0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]);
    let mut opened = open(&same).expect("the rest is good");
    assert_eq!(
        from(&mut opened, 0, &same).len(),
        4,
        "as many as the other tables know"
    );
    assert!(matches!(
        open(&with(at(b"trak") - 4, &[0x7F, 0xFF, 0, 0])),
        Err(Mp4Error::BoxSize { kind, .. }) if kind == *b"trak"
    ));
    assert!(matches!(
        open(&with(at(b"avc1"), b"mp4v")),
        Err(Mp4Error::NoTrack { found }) if found == "mp4v"
    ));
    assert_eq!(
        open(b"FLV\x01\x05\0\0\0\x09").err(),
        Some(Mp4Error::NoMovie)
    );
    let long = [b"\0\0\0\x01moov\0\0\0\0\x7f\0\0\0".as_slice(), &[0; 64]].concat();
    assert!(matches!(open(&long), Err(Mp4Error::TooLarge { .. })));
    // A hundred thousand boxes inside one another: nobody goes down there.
    let mut nested = Vec::new();
    for depth in (1..=100_000u32).rev() {
        u32(&mut nested, depth * 8);
        nested.extend(b"moov");
    }
    assert!(open(&nested).is_err());
}

/// The reads of `task`, and what came of it.
fn counted<T: Task<Error = Mp4Error>>(mut task: T, file: &[u8]) -> (usize, T::Output) {
    let (mut reads, mut input): (usize, &[u8]) = (0, &[]);
    loop {
        match task.step(input).expect("a good file") {
            Step::Read { offset, len } => {
                reads += 1;
                let from = offset as usize;
                input = &file[from..(from + len).min(file.len())];
            }
            Step::Done(output) => return (reads, output),
        }
    }
}

/// A recording of a minute that was not finished, with `before` between `moov` and its fragments; where each fragment ends.
fn a_minute(before: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut file, mut ends) = (Vec::new(), Vec::new());
    let mut writer = Mp4Writer::new();
    writer.begin(&[video_header(), sound_header()], &mut file);
    for n in 0..1_500 {
        writer.push(&picture(n), n * 40, &mut file);
        if n == 0 {
            continue;
        }
        writer.push(&sound(n), n * 40 + 7, &mut file);
        if ends.last() != Some(&file.len()) {
            ends.push(file.len());
        }
    }
    writer.flush(&mut file);
    ends.push(file.len());
    ends.dedup();
    let moof = file.windows(4).position(|it| it == b"moof").expect("one");
    file.splice(moof - 4..moof - 4, before.iter().copied());
    ends.retain(|end| *end >= moof);
    let ends = ends.into_iter().map(|end| end + before.len());
    (file, ends.collect())
}

/// `sidx` of the track `id`: so many bytes to each piece, a second long.
fn sidx(id: u32, pieces: &[usize], kind: u32) -> Vec<u8> {
    let mut out = Vec::new();
    full(&mut out, *b"sidx", 0, 0, |out| {
        // In a timescale of its own, with nothing before the first piece.
        for field in [id, 90_000, 0, 0, pieces.len() as u32] {
            u32(out, field);
        }
        for piece in pieces {
            for field in [kind << 31 | *piece as u32, 90_000, 0x9000_0000] {
                u32(out, field);
            }
        }
    });
    out
}

#[test]
fn without_an_index_each_fragment_costs_one_read() {
    let (file, ends) = a_minute(&[]);
    let (reads, mut opened) = counted(Mp4Open::new(file.len() as u64), &file);
    assert!(ends.len() >= 60, "{}", ends.len());
    assert!(reads <= ends.len() + 10, "{reads} for {}", ends.len());
    assert_eq!(opened.info().duration, Some(60_007));
    assert_eq!(from(&mut opened, 30_500, &file)[0].time, 30_000);
}

#[test]
fn an_index_before_the_fragments_spares_visiting_them() {
    let (plain, ends) = a_minute(&[]);
    let first = plain.windows(4).position(|it| it == b"moof").expect("one") - 4;
    let begins = [&[first], &ends[..ends.len() - 1]].concat();
    let pieces: Vec<usize> = begins.iter().zip(&ends).map(|(a, b)| b - a).collect();
    let wanted = from(&mut open(&plain).expect("a good file"), 30_500, &plain);
    let another = sidx(7, &pieces, 0);
    let (whole, few) = (sidx(1, &pieces, 0), sidx(1, &pieces[..3], 0));
    for (index, spares) in [
        (whole.clone(), true),
        ([another, whole].concat(), true),
        // The first of many, as streams are kept that were fetched piece by piece; an index of indices; nothing.
        (few, false),
        (sidx(1, &pieces, 1), false),
        (sidx(1, &[], 0), false),
    ] {
        let (file, _) = a_minute(&index);
        let (reads, mut opened) = counted(Mp4Open::new(file.len() as u64), &file);
        assert_eq!(reads < 15, spares, "{reads}");
        // It knows of the leading track alone: the other ends 7 ms later.
        let length = if spares { 60_000 } else { 60_007 };
        assert_eq!(opened.info().duration, Some(length));
        assert_eq!(from(&mut opened, 30_500, &file), wanted);
    }
}
