//! Fragments that do not say when they begin, or not as ours do.

use bytes::Bytes;

use super::*;

/// A file with something else for the boxes that say when a track's part of a fragment begins (`tfdt`), and the sizes and
/// places that follow from it: fragments of ours count theirs from their own beginning. `with`: gets the place of the part
/// in its fragment, and the box.
fn retimed(file: &[u8], with: impl Fn(usize, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let be32 = |bytes: &[u8], at: usize| {
        let bytes = bytes[at..at + 4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes) as usize
    };
    let boxes = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let (mut at, mut boxes) = (0, Vec::new());
        while at < bytes.len() {
            let end = at + be32(bytes, at);
            boxes.push(bytes[at..end].to_vec());
            at = end;
        }
        boxes
    };
    let mut out = Vec::new();
    for one in boxes(file) {
        match &one[4..8] {
            b"moof" => {
                let start = out.len();
                let mut places = Vec::new();
                boxed(&mut out, *b"moof", |out| {
                    for inner in boxes(&one[8..]) {
                        if &inner[4..8] != b"traf" {
                            out.extend(inner);
                            continue;
                        }
                        boxed(out, *b"traf", |out| {
                            for inner in boxes(&inner[8..]) {
                                match &inner[4..8] {
                                    b"tfdt" => out.extend(with(places.len(), &inner)),
                                    _ => out.extend(&inner),
                                }
                                if &inner[4..8] == b"trun" {
                                    places.push(out.len() - inner.len() + 16);
                                }
                            }
                        });
                    }
                });
                let shift = out.len() - start;
                for place in places {
                    let offset = be32(&out, place) + shift - one.len();
                    out[place..place + 4].copy_from_slice(&(offset as u32).to_be_bytes());
                }
            }
            b"mfra" => {} // its places are others now
            _ => out.extend(one),
        }
    }
    out
}

/// `tfdt` as Smooth Streaming says it: pictures of ours are shown 80 ms after they are decoded.
fn tfxd(place: usize, tfdt: &[u8]) -> Vec<u8> {
    let shown_after = if place == 0 { 80 } else { 0 };
    let time = u64::from_be_bytes(tfdt[12..20].try_into().expect("eight bytes"));
    let mut out = Vec::new();
    boxed(&mut out, *b"uuid", |out| {
        out.extend(b"\x6d\x1d\x9b\x05\x42\xd5\x44\xe6\x80\xe2\x14\x1d\xaf\xf7\x57\xb2\x01\0\0\0");
        out.extend((time + shown_after).to_be_bytes());
        zeros(out, 8);
    });
    out
}

/// Recordings whose fragments do not say when they begin, and such as say it as Smooth Streaming does.
pub(in crate::media::mp4) fn without_times() -> [Vec<u8>; 2] {
    [
        retimed(&recording(), |_, _| Vec::new()),
        retimed(&recording(), tfxd),
    ]
}

/// Pictures: when each is shown, whether it is a keyframe, and what it is.
fn shown(packets: &[Packet]) -> Vec<(u64, bool, Bytes)> {
    let pictures = packets.iter().filter(|it| it.kind == MediaKind::Video);
    let shown = pictures.map(|it| {
        let after = u64::from(it.payload[4]);
        (it.time + after, it.is_sync, it.payload.slice(5..))
    });
    shown.collect()
}

#[test]
fn fragments_that_do_not_say_when_they_begin_go_on_where_the_last_one_ended() {
    let timed = recording();
    let mut wanted = from(&mut open(&timed).expect("our own"), 0, &timed);
    // What was before the first sound, nothing says: it begins with the pictures, 7 ms sooner.
    for packet in wanted.iter_mut().filter(|it| it.kind == MediaKind::Audio) {
        packet.time -= 7;
    }
    let [file, _] = without_times();
    assert!(!file.windows(4).any(|it| it == b"tfdt"));
    let mut opened = open(&file).expect("a good file");
    assert_eq!(opened.info().duration, Some(3_000));
    assert_eq!(from(&mut opened, 0, &file), wanted);
    for (time, first) in [(999, 0), (1_000, 25), (1_999, 25), (2_000, 50), (9_999, 50)] {
        let packets = from(&mut opened, time, &file);
        assert_eq!(packets, wanted[2 * first..], "from {time}");
    }
}

#[test]
fn a_seek_goes_no_further_back_than_to_the_last_mark() {
    let (timed, ends) = a_minute(&[]);
    let wanted = from(&mut open(&timed).expect("a good file"), 30_500, &timed);
    let file = retimed(&timed, |_, _| Vec::new());
    // An index gives the times of one track: it does not spare visiting all.
    let first = file.windows(4).position(|it| it == b"moof").expect("one") - 4;
    let with_index = [
        &file[..first],
        &sidx(1, &[file.len() - first], 0),
        &file[first..],
    ]
    .concat();
    for file in [file, with_index] {
        let (reads, mut opened) = counted(Mp4Open::new(file.len() as u64), &file);
        assert!((ends.len()..ends.len() + 15).contains(&reads), "{reads}");
        let mut cursor = opened.seek(30_500, None);
        let (mut reads, mut input): (usize, &[u8]) = (0, &[]);
        let size = file.len() as u64;
        while let Step::Read { offset, len } =
            (opened.next(&mut cursor, size, input)).expect("a good file")
        {
            reads += 1;
            input = &file[offset as usize..offset as usize + len];
        }
        assert!(reads < 6, "{reads} to the first picture");
        let got = from(&mut opened, 30_500, &file);
        assert_eq!(got[0].time, 30_000);
        assert_eq!(shown(&got), shown(&wanted));
    }
}

#[test]
fn a_fragment_is_shown_when_smooth_streaming_says() {
    let timed = recording();
    let sounds = |packets: &[Packet]| -> Vec<Packet> {
        let sounds = packets.iter().filter(|it| it.kind == MediaKind::Audio);
        sounds.cloned().collect()
    };
    let wanted = from(&mut open(&timed).expect("our own"), 0, &timed);
    let [_, file] = without_times();
    let (reads, mut opened) = counted(Mp4Open::new(file.len() as u64), &file);
    assert!(reads < 15, "{reads}");
    for (time, first) in [(0, 0), (1_079, 0), (1_080, 25), (9_999, 50)] {
        let packets = from(&mut opened, time, &file);
        assert_eq!(shown(&packets), shown(&wanted)[first..], "from {time}");
        let (sounds, wanted) = (sounds(&packets), sounds(&wanted));
        assert!(wanted.ends_with(&sounds), "from {time}");
    }
}

#[test]
fn in_the_middle_of_a_file_that_begins_with_times_there_have_to_be_some() {
    let file = recording();
    let half = file.len() / 2;
    let (mut at, mut cut) = (0, file.clone());
    while let Some(next) = file[at..].windows(4).position(|it| it == b"tfdt") {
        at += next + 4;
        if at > half {
            cut[at - 4..at].copy_from_slice(b"free");
        }
    }
    let mut opened = open(&cut).expect("its index is good");
    assert_eq!(
        from(&mut opened, 0, &cut).len(),
        150,
        "from the beginning it is known"
    );
    let mut cursor = opened.seek(2_000, None);
    let mut input: &[u8] = &[];
    let error = loop {
        match opened.next(&mut cursor, cut.len() as u64, input) {
            Ok(Step::Read { offset, len }) => input = &cut[offset as usize..offset as usize + len],
            Ok(Step::Done(packet)) => unreachable!("{packet:?}"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, Mp4Error::Malformed { kind, .. } if kind == *b"traf"),
        "{error}"
    );
}

#[test]
fn fragments_go_on_where_the_table_ends() {
    let file = table_and_fragment();
    for file in [file.clone(), retimed(&file, |_, _| Vec::new())] {
        let mut opened = open(&file).expect("a good file");
        assert_eq!(opened.info().duration, Some(4_900));
        let mut all = in_table().to_vec();
        all.push((3_900, 100, true, "e".to_owned()));
        all.push((4_400, 100, false, "f".to_owned()));
        for (time, first) in [
            (0, 0),
            (2_399, 0),
            (2_400, 2),
            (3_899, 2),
            (3_900, 4),
            (9_999, 4),
        ] {
            let packets = from(&mut opened, time, &file);
            assert_eq!(seen(packets), all[first..], "from {time}");
        }
    }
}
