//! The media of `corpus/media`, recorded from their tags: what comes out is what went in.

use super::*;

const FILES: [(&str, &[u8]); 13] = [
    (
        "aac_only",
        include_bytes!("../../../../corpus/media/aac_only.flv"),
    ),
    (
        "av1_opus",
        include_bytes!("../../../../corpus/media/av1_opus.flv"),
    ),
    (
        "h264_aac",
        include_bytes!("../../../../corpus/media/h264_aac.flv"),
    ),
    (
        "h264_aac_bframes",
        include_bytes!("../../../../corpus/media/h264_aac_bframes.flv"),
    ),
    (
        "h264_aac_multitrack",
        include_bytes!("../../../../corpus/media/h264_aac_multitrack.flv"),
    ),
    (
        "h264_aac_short",
        include_bytes!("../../../../corpus/media/h264_aac_short.flv"),
    ),
    (
        "h264_ac3",
        include_bytes!("../../../../corpus/media/h264_ac3.flv"),
    ),
    (
        "h264_flac",
        include_bytes!("../../../../corpus/media/h264_flac.flv"),
    ),
    (
        "h264_mp3",
        include_bytes!("../../../../corpus/media/h264_mp3.flv"),
    ),
    (
        "h264_only",
        include_bytes!("../../../../corpus/media/h264_only.flv"),
    ),
    (
        "hevc_aac",
        include_bytes!("../../../../corpus/media/hevc_aac.flv"),
    ),
    (
        "two_video_two_audio",
        include_bytes!("../../../../corpus/media/two_video_two_audio.flv"),
    ),
    (
        "vp9_opus",
        include_bytes!("../../../../corpus/media/vp9_opus.flv"),
    ),
];

/// A recording of a file, as a server makes it: metadata and headers first, then everything else.
fn remux(file: &[u8]) -> Recording {
    let class = |tag: &FlvTag| classify(tag.kind, &tag.payload[..]);
    let is_prelude = |tag: &FlvTag| matches!(class(tag), Class::Metadata | Class::Header(..));
    let tags = tags(file);
    let (prelude, media): (Vec<&FlvTag>, Vec<&FlvTag>) =
        tags.iter().partition(|tag| is_prelude(tag));
    let message = |tag: &&FlvTag| message(tag.kind, &tag.payload);
    let media: Vec<_> = media
        .iter()
        .map(|tag| (message(tag), tag.timestamp.0.into()))
        .collect();
    record(64, &prelude.iter().map(message).collect::<Vec<_>>(), &media)
}

#[test]
fn every_codec_is_recorded_as_it_is() {
    for (name, file) in FILES {
        let recording = remux(file);
        let of = |file: &[u8]| {
            media_of(
                tags(file)
                    .into_iter()
                    .map(|tag| (tag.kind, tag.payload.to_vec(), tag.timestamp.0.into())),
            )
        };
        assert!(of(&recording.finished) == of(file), "{name}");
        let opened = disk(&recording.finished).open();
        let source = disk(file).open();
        assert_eq!(opened.info().headers, source.info().headers);
        assert_eq!(opened.info().has_video, name != "aac_only");
        assert_eq!(opened.info().has_audio, name != "h264_only");
        assert_eq!(opened.layout.lead, source.layout.lead);
    }
}

#[test]
fn the_files_of_others_are_sought_in() {
    for (name, file) in FILES {
        let mut opened = disk(file).open();
        let all = disk(file).play(&mut opened, 0);
        for time in (0..8_000).step_by(330) {
            let expected = &all[reference(&all, time)..];
            let played = disk(file).play(&mut opened, time);
            assert!(played == expected, "{name} at {time}");
        }
    }
}
