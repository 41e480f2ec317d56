//! What each kind of message is: legacy, enhanced, data.

use super::super::codec::FourCc;
use super::*;

fn video(payload: &[u8]) -> Class {
    classify(MediaKind::Video, payload)
}
fn audio(payload: &[u8]) -> Class {
    classify(MediaKind::Audio, payload)
}
fn tracks(ids: &[u8]) -> TrackSet {
    ids.iter().copied().collect()
}
fn config(ids: &[u8]) -> Class {
    Class::Header(HeaderPart::VideoConfig, tracks(ids))
}
fn key(ids: &[u8]) -> Class {
    Class::Picture {
        key: true,
        tracks: tracks(ids),
    }
}
fn inter(ids: &[u8]) -> Class {
    Class::Picture {
        key: false,
        tracks: tracks(ids),
    }
}

#[test]
fn legacy_video() {
    assert_eq!(video(&[0x17, 0, 0, 0, 0, 1]), config(&[0]));
    assert_eq!(video(&[0x17, 1, 0, 0, 40]), key(&[0]));
    assert_eq!(video(&[0x27, 1, 0, 0, 0]), inter(&[0]));
    assert_eq!(video(&[0x37, 1, 0, 0, 0]), inter(&[0]), "disposable");
    assert_eq!(video(&[0x17, 2, 0, 0, 0]), Class::VideoEnd(tracks(&[0])));
    assert_eq!(video(&[0x57, 0]), Class::Other, "client-side seek begins");
    assert_eq!(video(&[]), Class::Other);
    for codec in 2..=6 {
        assert_eq!(video(&[0x10 | codec]), key(&[0]), "no packet type");
        assert_eq!(video(&[0x20 | codec, 0]), inter(&[0]));
    }
}

/// Field (b) 3: xop read the second byte of messages of one.
#[test]
fn xop_one_byte_messages_are_not_read_past_their_end() {
    assert_eq!(video(&[0x17]), Class::Other);
    assert_eq!(video(&[0x90]), Class::Other);
    assert_eq!(audio(&[0xAF]), Class::Sound(tracks(&[0])));
    assert_eq!(audio(&[0x90]), Class::Other);
}

/// Field (b) 15: HEVC never started in xop's players, for its configuration was none to it.
#[test]
fn xop_hevc_has_headers_and_keyframes_in_both_forms() {
    assert_eq!(video(&[0x1C, 0, 0, 0, 0, 1]), config(&[0]));
    assert_eq!(video(&[0x1C, 1, 0, 0, 0]), key(&[0]));
    assert_eq!(video(b"\x90hvc1\x01"), config(&[0]));
    assert_eq!(video(b"\x91hvc1\x00\x00\x28"), key(&[0]));
}

#[test]
fn enhanced_video() {
    assert_eq!(video(b"\x93hvc1\x00"), key(&[0]));
    assert_eq!(video(b"\xA1av01\x00"), inter(&[0]));
    assert_eq!(video(b"\x95av01\x00"), config(&[0]), "for MPEG-2 TS");
    assert_eq!(video(b"\x92hvc1"), Class::VideoEnd(tracks(&[0])));
    assert_eq!(
        video(b"\x97\x02\x07\xA1\x20\x01hvc1\x00\x00\x00"),
        key(&[0]),
        "ModEx: 500,000 ns"
    );
    for colour in [b"\x84hvc1\x02", b"\x94hvc1\x02", b"\xD4hvc1\x02"] {
        let expected = Class::Header(HeaderPart::VideoMetadata, tracks(&[0]));
        assert_eq!(video(colour), expected);
    }
    assert_eq!(video(b"\xD1\x00"), Class::Other, "a command");
    assert_eq!(video(b"\x9Cavc1"), Class::Other, "packet type 12");
    assert_eq!(video(b"\x97\xFF"), Class::Other, "cut off inside ModEx");
}

/// `ModEx` longer than any head that is peeked at.
#[test]
fn a_long_mod_ex_hides_no_keyframe() {
    let mut payload = b"\x97\xFF\x01\x00".to_vec();
    payload.extend([0; 257]);
    payload.extend(b"\x01hvc1\x00\x00\x00");
    assert_eq!(video(&payload), key(&[0]));
}

/// Field (c) 9, MediaMTX #3685: every track of a multitrack message counts, whatever its codec.
#[test]
fn mediamtx_3685_multitrack_messages_are_of_all_their_tracks() {
    assert_eq!(video(b"\x96\x00avc1\x01\x00"), config(&[1]));
    assert_eq!(
        video(b"\x96\x10avc1\x00\x00\x00\x01a\x02\x00\x00\x01b"),
        config(&[0, 2])
    );
    assert_eq!(
        video(b"\x96\x21avc1\x01\x00\x00\x03\x00\x00\x00av01\x00\x00\x00\x01x"),
        key(&[0, 1])
    );
    assert_eq!(video(b"\xA6\x03new!\x05"), inter(&[5]), "an unknown FourCC");
    assert_eq!(video(b"\x96\x10avc1"), Class::Other, "no track at all");
}

#[test]
fn sound() {
    let config = |ids| Class::Header(HeaderPart::AudioConfig, tracks(ids));
    let sound = |ids| Class::Sound(tracks(ids));
    assert_eq!(audio(&[0xAF, 0, 0x12, 0x10]), config(&[0]));
    assert_eq!(audio(&[0xAF, 1, 1]), sound(&[0]));
    assert_eq!(audio(&[]), sound(&[0]), "silence");
    assert_eq!(audio(&[0x2F, 0]), sound(&[0]), "MP3 has no header");
    assert_eq!(audio(b"\x90OpusOpusHead"), config(&[0]));
    assert_eq!(audio(b"\x91Opus\x01"), sound(&[0]));
    assert_eq!(audio(b"\x92Opus"), Class::Other, "its end");
    assert_eq!(
        audio(b"\x94Opus\x01\x06"),
        Class::Header(HeaderPart::MultichannelConfig, tracks(&[0]))
    );
    assert_eq!(audio(b"\x95\x00mp4a\x01\x12\x10"), config(&[1]));
    assert_eq!(
        audio(b"\x95\x20mp4a\x01\x00\x00\x01aOpus\x04\x00\x00\x00"),
        config(&[1, 4])
    );
}

#[test]
fn data() {
    let data = |payload: &[u8]| classify(MediaKind::Data, payload);
    assert_eq!(data(b"\x02\x00\x0aonMetaData\x08"), Class::Metadata);
    assert_eq!(data(b"\x02\x00\x0aonMetaData"), Class::Metadata);
    assert_eq!(data(b"\x0c\x00\x00\x00\x0aonMetaData"), Class::Metadata);
    assert_eq!(data(b"\x11\x06\x15onMetaData\x11\x0A"), Class::Metadata);
    assert_eq!(data(b"\x02\x00\x0aonTextData"), Class::Data);
    assert_eq!(data(b"\x02\x00\x0aonMetaDat"), Class::Data);
    assert_eq!(data(b""), Class::Data);
}

#[test]
fn codecs_are_shown_per_track() {
    let shown = |kind, payload: &[u8]| {
        let mut found = Vec::new();
        codecs(kind, payload, |track, codec| {
            found.push((track, codec.to_string()));
        });
        found
    };
    let name = |track: u8, name: &str| (track, name.to_owned());
    assert_eq!(shown(MediaKind::Video, &[0x17, 0]), [name(0, "H.264")]);
    assert_eq!(shown(MediaKind::Audio, &[0xAF, 0]), [name(0, "AAC")]);
    assert_eq!(
        shown(
            MediaKind::Video,
            b"\x96\x20hvc1\x00\x00\x00\x00av01\x01\x00\x00\x00"
        ),
        [name(0, "H.265"), name(1, "AV1")]
    );
    assert_eq!(
        shown(MediaKind::Audio, b"\x90Opus"),
        [(0, Codec::Enhanced(FourCc::OPUS).to_string())]
    );
    assert!(shown(MediaKind::Audio, &[]).is_empty());
    assert!(shown(MediaKind::Data, b"\x02").is_empty());
}
