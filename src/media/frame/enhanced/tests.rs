//! The reference's examples, and what encoders might get wrong.

use super::*;

fn video(payload: &[u8]) -> EnhancedVideo<'_, [u8]> {
    EnhancedVideo::parse(payload).expect("well formed")
}

fn audio(payload: &[u8]) -> EnhancedAudio<'_, [u8]> {
    EnhancedAudio::parse(payload).expect("well formed")
}

fn only<P: Payload + ?Sized>(mut tracks: Tracks<'_, P>) -> Track {
    let track = tracks.next().expect("one track");
    assert_eq!(tracks.next(), None);
    track
}

/// Id, FourCC and body of every track.
fn shown<'a>(payload: &'a [u8], tracks: Tracks<'_, [u8]>) -> Vec<(u8, [u8; 4], &'a [u8])> {
    tracks
        .map(|track| (track.id, track.four_cc.0, &payload[track.body]))
        .collect()
}

#[test]
fn hevc_configuration_and_pictures() {
    let view = video(b"\x90hvc1\x01\x02");
    assert_eq!(view.packet_type, VideoPacketType::SequenceStart);
    assert_eq!((view.frame_type, view.layout), (1, Layout::Single));
    assert_eq!(
        shown(b"\x90hvc1\x01\x02", view.tracks()),
        [(0, *b"hvc1", &[1, 2][..])]
    );

    let view = video(b"\x91hvc1\x00\x00\x28NALU");
    assert_eq!(view.packet_type, VideoPacketType::CodedFrames);
    let track = only(view.tracks());
    assert_eq!((track.composition_time, track.body), (40, 8..12));

    let view = video(b"\x93hvc1NALU");
    assert_eq!(view.packet_type, VideoPacketType::CodedFramesX);
    let track = only(view.tracks());
    assert_eq!((track.composition_time, track.body), (0, 5..9));

    let negative = video(b"\xA1vvc1\xFF\xFF\xD8NALU");
    assert_eq!(only(negative.tracks()).composition_time, -40);
}

#[test]
fn only_avc_hevc_and_vvc_have_a_composition_time() {
    for (codec, start) in [
        (b"avc1", 8),
        (b"hvc1", 8),
        (b"vvc1", 8),
        (b"av01", 5),
        (b"vp08", 5),
        (b"vp09", 5),
    ] {
        let payload = [&b"\x91"[..], codec, b"\x00\x00\x00body"].concat();
        assert_eq!(only(video(&payload).tracks()).body, start..12, "{codec:?}");
    }
    let short = only(video(b"\x91hvc1\x00\x00").tracks());
    assert_eq!(short.body, 5..7, "too short for one: shown as it is");
}

#[test]
fn av1_and_opus() {
    assert_eq!(only(video(b"\x91av01OBUs").tracks()).body, 5..9);
    let view = audio(b"\x91Opuspacket");
    assert_eq!(view.packet_type, AudioPacketType::CodedFrames);
    let track = only(view.tracks());
    assert_eq!((track.four_cc, track.body), (FourCc::OPUS, 5..11));
    let empty = audio(b"\x90Opus");
    assert_eq!(empty.packet_type, AudioPacketType::SequenceStart);
    assert!(
        only(empty.tracks()).body.is_empty(),
        "its header may be left out"
    );
}

#[test]
fn mod_ex_with_a_nanosecond_offset() {
    let view = video(b"\x97\x02\x07\xA1\x20\x01hvc1\x00\x00\x00NALU");
    assert_eq!(view.packet_type, VideoPacketType::CodedFrames);
    assert_eq!(view.nano_offset, Some(500_000));
    assert_eq!(only(view.tracks()).body, 13..17);
}

#[test]
fn mod_ex_chained_long_and_of_unknown_types() {
    // Type 3 with one byte; type 0 with 300 (size escaped); type 0 with a value that is none; then the packet.
    let mut payload = b"\x97\x00\xAA\x37".to_vec();
    payload.extend([255, 1, 43, 0, 0, 9]);
    payload.extend([0x55; 297]);
    payload.push(0x07);
    payload.extend(b"\x02\x0F\x42\x40\x07"); // 1,000,000: a millisecond is none
    payload.extend(b"\x01\x00\x05\x06"); // two bytes are none; then multitrack
    payload.extend(b"\x01avc1\x03\x00\x00\x00NALU");
    let view = video(&payload);
    assert_eq!((view.nano_offset, view.layout), (Some(9), Layout::OneTrack));
    assert_eq!(
        shown(&payload, view.tracks()),
        [(3, *b"avc1", &b"NALU"[..])]
    );

    // 255 and 256 bytes, on both sides of the escape.
    for (size, escaped) in [(255_u16, &[254_u8][..]), (256, &[255, 0, 255])] {
        let mut payload = vec![0x97];
        payload.extend(escaped);
        payload.extend(vec![0; size.into()]);
        payload.extend(b"\x11Opus!");
        let view = audio(&payload);
        assert_eq!(view.nano_offset, None, "type 1 is nobody's yet");
        assert_eq!(only(view.tracks()).body.len(), 1);
    }
}

#[test]
fn the_three_layouts_of_multitrack() {
    let one = b"\x96\x01avc1\x01\x00\x00\x00NALU";
    let view = video(one);
    assert_eq!(view.layout, Layout::OneTrack);
    assert_eq!(view.packet_type, VideoPacketType::CodedFrames);
    assert_eq!(shown(one, view.tracks()), [(1, *b"avc1", &b"NALU"[..])]);

    let many = b"\x96\x10hvc1\x00\x00\x00\x02ab\x07\x00\x00\x00\x01\x00\x00\x01c";
    let view = video(many);
    assert_eq!(view.layout, Layout::ManyTracks);
    assert_eq!(view.packet_type, VideoPacketType::SequenceStart);
    assert_eq!(
        shown(many, view.tracks()),
        [
            (0, *b"hvc1", &b"ab"[..]),
            (7, *b"hvc1", b""),
            (1, *b"hvc1", b"c")
        ]
    );

    let codecs = b"\x95\x20Opus\x00\x00\x00\x02abmp4a\x01\x00\x00\x01c";
    let view = audio(codecs);
    assert_eq!(view.layout, Layout::ManyTracksManyCodecs);
    assert_eq!(
        shown(codecs, view.tracks()),
        [(0, *b"Opus", &b"ab"[..]), (1, *b"mp4a", b"c")]
    );
}

#[test]
fn a_track_longer_than_the_message_is_none() {
    let torn = b"\x96\x10hvc1\x00\x00\x00\x02ab\x01\x00\x00\x02c";
    assert_eq!(
        shown(torn, video(torn).tracks()),
        [(0, *b"hvc1", &b"ab"[..])]
    );
    let huge = b"\x96\x10hvc1\x00\xFF\xFF\xFFab";
    assert_eq!(video(huge).tracks().next(), None);
}

#[test]
fn colour_information_is_no_command_whatever_its_frame_type() {
    for first in [0x84, 0x94, 0xD4] {
        let payload = [&[first][..], b"hvc1\x02\x00\x09colorInfo\x06"].concat();
        let view = video(&payload);
        assert_eq!(view.packet_type, VideoPacketType::Metadata);
        assert_eq!(view.command, None);
        assert_eq!(only(view.tracks()).body, 5..18);
    }
}

#[test]
fn commands_have_no_tracks() {
    let view = video(b"\xD1\x00");
    assert_eq!((view.command, view.frame_type), (Some(0), 5));
    assert_eq!(view.tracks().next(), None);
    let seek_end = video(b"\xD7\x00\x00\x10\x01\x01");
    assert_eq!(seek_end.command, Some(1), "behind ModEx");
    assert_eq!(video(b"\xD6\x01").command, Some(1), "no multitrack header");
}

#[test]
fn multichannel_configuration() {
    let view = audio(b"\x94Opus\x01\x06\x00\x00\x00\x3F");
    assert_eq!(view.packet_type, AudioPacketType::MultichannelConfig);
    assert_eq!(only(view.tracks()).body, 5..11);
    let track = audio(b"\x95\x04ac-3\x02\x00\x02");
    assert_eq!(track.packet_type, AudioPacketType::MultichannelConfig);
    assert_eq!(only(track.tracks()).id, 2);
}

#[test]
fn unknown_packet_types_and_codecs_are_shown() {
    assert_eq!(video(b"\x9Bx266").packet_type, VideoPacketType::Unknown(11));
    let view = audio(b"\x93mp5a");
    assert_eq!(view.packet_type, AudioPacketType::Unknown(3));
    assert_eq!(only(view.tracks()).four_cc, FourCc(*b"mp5a"));
    assert_eq!(
        video(b"\x96\x07avc1\x00").packet_type,
        VideoPacketType::Unknown(7),
        "ModEx stands before multitrack, not in it"
    );
}

#[test]
fn malformed_headers_say_where() {
    let truncated = |what, at| Some(Malformed::Truncated { what, at });
    let bad = |payload: &[u8]| EnhancedVideo::parse(payload).err();
    assert_eq!(bad(b""), truncated("first byte", 0));
    assert_eq!(bad(b"\x90"), truncated("FourCC", 1));
    assert_eq!(bad(b"\x90hvc"), truncated("FourCC", 1));
    assert_eq!(bad(b"\x97"), truncated("ModEx size", 1));
    assert_eq!(bad(b"\x97\xFF\x00"), truncated("ModEx size", 2));
    assert_eq!(
        bad(b"\x97\x02\x00\x00"),
        truncated("ModEx data and type", 5)
    );
    let prefixes = |n| {
        [
            &[0x97][..],
            &[0, 0xAA, 0x37].repeat(n - 1),
            b"\x00\xAA\x33hvc1",
        ]
        .concat()
    };
    assert_eq!(bad(&prefixes(limits::MESSAGE_MOD_EX)), None);
    assert_eq!(
        bad(&prefixes(limits::MESSAGE_MOD_EX + 1)),
        Some(Malformed::ModEx)
    );
    assert_eq!(bad(b"\xD1"), truncated("command", 1));
    assert_eq!(bad(b"\x96"), truncated("multitrack type", 1));
    assert_eq!(bad(b"\x96\x30avc1"), Some(Malformed::Layout(3)));
    assert_eq!(bad(b"\x96\x16avc1\x00"), Some(Malformed::Nested));
    assert_eq!(bad(b"\x17\x01"), Some(Malformed::NotEnhanced));
    assert_eq!(
        EnhancedAudio::parse(&b"\xAF\x01"[..]).err(),
        Some(Malformed::NotEnhanced)
    );
    assert_eq!(
        Malformed::Truncated {
            what: "FourCC",
            at: 1
        }
        .to_string(),
        "the message ends at byte 1, inside its FourCC"
    );
}
