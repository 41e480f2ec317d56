//! What the server has recorded and what it plays of files, as FFmpeg sees both: every packet, once, in its time.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::frames::{ANEW, Track, assert_same, list, tracks};
use crate::packets::{of_file, parse, probe};
use crate::programs::{enhanced_ffmpeg, ffmpeg, have, publish};
use crate::support::{Program, Server, millstream, scratch, wait_for};
use crate::{ATTACH, LEAVE, PUBLISH, media, publish_all, runtimes};

/// For a recording to be finished, or repaired, on a busy machine.
const FINISH: Duration = Duration::from_secs(20);
/// For a film of 6 s to be played by who has just begun.
const PLAY: Duration = Duration::from_secs(25);
/// What may be missing at the end of a recording whose server was killed: limits::RECORD_FLUSH and RECORD_INTERVAL, and
/// what two busy cores add.
const LOST: i64 = 1_500;

const CLIPS: [&str; 12] = [
    "h264_aac_bframes",
    "h264_mp3",
    "h264_only",
    "aac_only",
    "hevc_aac",
    "av1_opus",
    "vp9_opus",
    "h264_ac3",
    "h264_eac3",
    "h264_flac",
    "h264_aac_multitrack",
    "two_video_two_audio",
];
/// Those that are recorded in pieces, too.
const CUT: [&str; 3] = ["h264_aac_bframes", "aac_only", "av1_opus"];

/// A server that records all below `dir` in both containers, in pieces of two seconds what is published to `cut`.
fn recorder(dir: &Path, runtime: &str) -> Server {
    let config = format!(
        r#"
[server]
vod = {dir:?}
[[application]]
name = "*"
record_dir = {dir:?}
record_format = "both"
record_name = "{{app}}/{{stream}}"
[[application]]
name = "cut"
record_name = "{{app}}/{{stream}}/{{n}}"
segment_time = "2s"
"#
    );
    let file = dir.with_extension("toml");
    fs::write(&file, config).unwrap();
    let mut command = millstream(&["--listen", "127.0.0.1:0", "--shards", "2"]);
    command.args(["--runtime", runtime, "--config"]).arg(&file);
    Server::launch(&mut command)
}

fn list_file(program: &str, file: &Path) -> Vec<Track> {
    tracks(&list(program, file.to_str().unwrap()).succeeds(PUBLISH))
}

/// FFmpeg decodes the whole file, and has nothing to say about it.
fn decodes_silently(program: &str, file: &Path) {
    let file = file.to_str().unwrap();
    let arguments = [
        "-v", "warning", "-xerror", "-i", file, "-map", "0", "-f", "null", "-",
    ];
    Program::start("ffmpeg-decode", &mut ffmpeg(program, &arguments)).succeeds(PUBLISH);
}

/// The files in a directory, by name.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn are_finished(files: &[PathBuf]) -> bool {
    let is_part = |file: &PathBuf| file.extension().is_some_and(|it| it == "part");
    !files.is_empty() && !files.iter().any(is_part)
}

fn seconds(source: &str) -> f64 {
    let mut command = std::process::Command::new("ffprobe");
    let what = [
        "-v",
        "error",
        "-show_entries",
        "format=duration",
        "-of",
        "csv=p=0",
    ];
    command.args(what).arg(source);
    let said = Program::start("ffprobe-duration", &mut command).succeeds(PLAY);
    said.trim()
        .parse()
        .unwrap_or_else(|_| panic!("{source}: {said}"))
}

#[test]
#[ignore = "drives FFprobe and an FFmpeg with Enhanced RTMP (8 or later); .ci/run installs them"]
fn recordings_hold_every_packet_and_play_it_back() {
    let Some(program) = enhanced_ffmpeg().filter(|_| have("ffprobe")) else {
        return;
    };
    let (program, dir) = (program.as_str(), &scratch("recorded"));
    let server = &recorder(dir, runtimes()[0]);
    let live = &dir.join("live");
    thread::scope(|scope| {
        for clip in CLIPS {
            scope.spawn(move || records_whole(program, server, live, clip));
        }
        for clip in CUT {
            let dir = dir.join("cut").join(clip);
            scope.spawn(move || records_in_pieces(program, server, &dir, clip));
        }
    });
    for ending in ["flv", "mp4"] {
        let file = live.join(format!("{}.{ending}", CLIPS[0]));
        let length = seconds(media(&format!("{}.flv", CLIPS[0])).to_str().unwrap());
        for source in [file.to_str().unwrap(), &server.of_vod("live", &file)] {
            let said = seconds(source);
            assert!(
                (said - length).abs() < 0.2,
                "{source}: {said} s of {length}"
            );
        }
    }
}

/// FFmpeg writes the configuration of VP9 with another level, and that of FLAC once more at the end, with the length.
fn is_anew(clip: &str) -> bool {
    clip.starts_with("vp9") || clip.ends_with("flac")
}

/// Publishes a clip, and compares it with what was recorded, in both containers, and with what is played of that.
fn records_whole(program: &str, server: &Server, live: &Path, clip: &str) {
    let recorded = ["flv", "mp4"].map(|ending| live.join(format!("{clip}.{ending}")));
    let file = media(&format!("{clip}.flv"));
    let mut published = list_file(program, &file);
    for track in published.iter_mut().filter(|_| is_anew(clip)) {
        track.configuration = ANEW.to_owned();
    }
    let play = |file: &PathBuf| list(program, &server.of_vod("live", file));
    let publisher = publish_all(program, &file, &server.url(clip));
    // Somebody watches the recording while it is being written.
    let watches = if clip == CLIPS[0] { &recorded[..] } else { &[] };
    thread::sleep(ATTACH * 2);
    let watchers: Vec<_> = watches.iter().map(play).collect();
    publisher.succeeds(PUBLISH);
    wait_for("finished recordings", FINISH, || {
        recorded.iter().all(|file| file.exists()).then_some(())
    });
    let viewers = recorded.each_ref().map(play);
    for file in &recorded {
        decodes_silently(program, file);
        let who = file.file_name().unwrap().to_string_lossy();
        assert_same(&list_file(program, file), &published, false, &who);
    }
    for viewer in viewers.into_iter().chain(watchers) {
        let played = tracks(&viewer.succeeds(PLAY));
        assert_same(&played, &published, false, &format!("{clip}, played"));
    }
}

/// Publishes a clip that is recorded in pieces: joined, they are the clip, no packet lost or doubled.
fn records_in_pieces(program: &str, server: &Server, dir: &Path, clip: &str) {
    let file = media(&format!("{clip}.flv"));
    let url = format!("rtmp://{}/cut/{clip}", server.address);
    publish_all(program, &file, &url).succeeds(PUBLISH);
    wait_for("finished pieces", FINISH, || {
        are_finished(&files(dir)).then_some(())
    });
    let published = hashes(&list_file(program, &file));
    for ending in ["flv", "mp4"] {
        let pieces = files(dir).into_iter();
        let pieces = pieces.filter(|it| it.extension().is_some_and(|it| it == ending));
        let mut joined = vec![Vec::new(); published.len()];
        let mut count = 0;
        for piece in pieces {
            count += 1;
            let name = format!("{count:04}.{ending}");
            assert!(piece.ends_with(name), "{piece:?}");
            decodes_silently(program, &piece);
            let hashes = hashes(&list_file(program, &piece));
            assert_eq!(hashes.len(), joined.len(), "{piece:?}");
            for (joined, hashes) in joined.iter_mut().zip(hashes) {
                joined.extend(hashes);
            }
        }
        assert_eq!(count, 3, "{clip}.{ending}");
        assert_eq!(joined, published, "{clip}.{ending}");
    }
}

/// What the tracks hold, in their order of kinds.
fn hashes(tracks: &[Track]) -> Vec<Vec<String>> {
    let mut tracks: Vec<&Track> = tracks.iter().collect();
    tracks.sort_by_key(|track| track.kind.clone());
    let frames = tracks.into_iter().map(|track| &track.frames);
    frames
        .map(|it| it.iter().map(|frame| frame.hash.clone()).collect())
        .collect()
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn a_killed_server_loses_no_more_than_the_last_moment() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let file = &media("h264_aac.flv");
    let published = &of_file(file);
    thread::scope(|scope| {
        for runtime in runtimes() {
            scope.spawn(move || {
                let dir = scratch("killed");
                let server = recorder(&dir, runtime);
                let url = server.url("cam");
                let player = Program::start("ffprobe", &mut probe(&url));
                thread::sleep(ATTACH);
                let publisher = publish("ffmpeg", file, &url);
                thread::sleep(Duration::from_millis(4_300));
                server.program.signal(&["KILL"]);
                // What somebody has seen, the server had.
                let seen = parse(&player.ended(LEAVE).out);
                publisher.ended(LEAVE);
                drop(server);
                let live = dir.join("live");
                assert!(!are_finished(&files(&live)), "{:?}", files(&live));
                let _server = recorder(&dir, runtime);
                wait_for("repaired recordings", FINISH, || {
                    are_finished(&files(&live)).then_some(())
                });
                let repaired = files(&live);
                assert_eq!(repaired.len(), 2, "{repaired:?}");
                for recorded in &repaired {
                    let who = format!("{runtime}, {}", recorded.display());
                    decodes_silently("ffmpeg", recorded);
                    let has = of_file(recorded);
                    assert_eq!(has.assert_piece(published, false, &who), 0);
                    for (has, seen) in [(&has.video, &seen.video), (&has.audio, &seen.audio)] {
                        let (has, seen) = (has.last().unwrap().dts, seen.last().unwrap().dts);
                        println!("{who}: to {has} of {seen} ms");
                        assert!(seen > 2_000, "{who}: the player saw {seen} ms");
                        assert!(has + LOST >= seen, "{who}: {has} of {seen} ms");
                    }
                }
            });
        }
    });
}

/// What others make of our clips: the name, and what FFmpeg is told for it.
const FOREIGN: [(&str, &[&str]); 13] = [
    ("moov-behind.mp4", &[]),
    ("moov-before.mp4", &["-movflags", "+faststart"]),
    ("fragments.mp4", &["-movflags", "+frag_keyframe+empty_moov"]),
    ("first-in-moov.mp4", &["-movflags", "+frag_keyframe"]),
    (
        "indexed.mp4",
        &[
            "-movflags",
            "+frag_keyframe+empty_moov+default_base_moof+global_sidx+skip_trailer",
        ],
    ),
    (
        "each-track.mp4",
        &[
            "-movflags",
            "+frag_keyframe+separate_moof+delay_moov",
            "-frag_duration",
            "500000",
        ],
    ),
    // Each track's fragments by themselves, with tfxd instead of tfdt; and, in the latter, without an index.
    ("smooth.mp4", &["-f", "ismv"]),
    (
        "smooth-live.mp4",
        &["-f", "ismv", "-movflags", "+isml+frag_keyframe"],
    ),
    // Made so by [`untimed`].
    (
        "untimed.mp4",
        &["-movflags", "+frag_keyframe+empty_moov+skip_trailer"],
    ),
    ("adobe.f4v", &["-f", "f4v"]),
    ("quicktime.mov", &[]),
    ("plain.flv", &["-flvflags", "no_duration_filesize"]),
    ("keyframes.flv", &["-flvflags", "add_keyframe_index"]),
];

/// As writers of old left it: no fragment says when it begins.
fn untimed(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let mut at = 0;
    while let Some(next) = bytes[at..].windows(4).position(|it| it == b"tfdt") {
        at += next;
        bytes[at..at + 4].copy_from_slice(b"free");
    }
    assert!(at > 0, "{file:?} has fragments");
    fs::write(file, bytes).unwrap();
}

/// Makes a file of a clip with an FFmpeg, without anything of ours.
fn make(program: &str, clip: &str, made: &Path, options: &[&str]) {
    let source = media(&format!("{clip}.flv"));
    let [input, output] = [&source, made].map(|it| it.to_str().unwrap());
    let before = ["-i", input, "-map", "0", "-c", "copy"];
    let arguments = [&before[..], options, &[output]].concat();
    Program::start("ffmpeg-make", &mut ffmpeg(program, &arguments)).succeeds(PUBLISH);
}

#[test]
#[ignore = "drives FFmpeg; .ci/run installs it"]
fn files_of_others_are_played_whole() {
    if !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let dir = &scratch("foreign");
    let server = &Server::start(&["--vod", dir.to_str().unwrap(), "--shards", "2"]);
    thread::scope(|scope| {
        for clip in ["h264_aac_bframes", "h264_aac"] {
            for (name, options) in FOREIGN {
                scope.spawn(move || {
                    let made = dir.join(format!("{clip}-{name}"));
                    make("ffmpeg", clip, &made, options);
                    if name.starts_with("untimed") {
                        untimed(&made);
                    }
                    let url = server.of_vod("", &made);
                    let length = seconds(&url);
                    assert!((5.8..6.3).contains(&length), "{name}: {length} s");
                    let mut played = tracks(&list("ffmpeg", &url).succeeds(PLAY));
                    // FFmpeg makes a track of metadata that come at another time than 0.
                    played.retain(|track| track.kind != "subtitle");
                    let source = list_file("ffmpeg", &media(&format!("{clip}.flv")));
                    // Not as the clip: what a file cannot say, it does not have. But FFmpeg passes over tfxd.
                    if name.starts_with("smooth") {
                        assert_shown(&played, &source, name);
                    } else {
                        assert_same(&played, &list_file("ffmpeg", &made), true, name);
                    }
                    assert_eq!(hashes(&played), hashes(&source), "{name}");
                });
            }
        }
    });
}

/// Everything is shown when it was published to be, but for a millisecond, and for where the clock begins.
fn assert_shown(played: &[Track], published: &[Track], who: &str) {
    let shown = |tracks: &[Track]| -> Vec<i64> {
        let frames = tracks.iter().flat_map(|track| &track.frames);
        let times: Vec<i64> = frames.map(|frame| frame.pts).collect();
        let begin = times.iter().min().copied().unwrap_or(0);
        times.into_iter().map(|time| time - begin).collect()
    };
    let (played, published) = (shown(played), shown(published));
    assert_eq!(played.len(), published.len(), "{who}");
    for (played, published) in played.iter().zip(&published) {
        assert!(
            played.abs_diff(*published) <= 1,
            "{who}: {played}, {published} ms"
        );
    }
}

/// Files of codecs that Debian's FFmpeg does not find in our clips.
const FOREIGN_CODECS: [(&str, &str, &[&str]); 19] = [
    (
        "hevc_aac",
        "plain.flv",
        &["-flvflags", "no_duration_filesize"],
    ),
    (
        "av1_opus",
        "keyframes.flv",
        &["-flvflags", "add_keyframe_index"],
    ),
    (
        "h264_eac3",
        "plain.flv",
        &["-flvflags", "no_duration_filesize"],
    ),
    (
        "two_video_two_audio",
        "plain.flv",
        &["-flvflags", "no_duration_filesize"],
    ),
    ("hevc_aac", "moov-behind.mp4", &[]),
    (
        "hevc_aac",
        "first-in-moov.mp4",
        &["-movflags", "+frag_keyframe"],
    ),
    ("hevc_aac", "quicktime.mov", &["-movflags", "+faststart"]),
    // FFmpeg's edits would have FFmpeg leave out the last sound.
    (
        "av1_opus",
        "moov-before.mp4",
        &["-movflags", "+faststart", "-use_editlist", "0"],
    ),
    (
        "av1_opus",
        "fragments.mp4",
        &["-movflags", "+frag_keyframe+empty_moov"],
    ),
    (
        "vp9_opus",
        "moov-before.mp4",
        &["-movflags", "+faststart", "-use_editlist", "0"],
    ),
    ("vp9_opus", "fragments.mp4", &["-movflags", "+dash"]),
    ("h264_mp3", "moov-behind.mp4", &[]),
    ("h264_mp3", "adobe.f4v", &["-f", "f4v"]),
    (
        "h264_flac",
        "moov-before.mp4",
        &["-movflags", "+faststart", "-use_editlist", "0"],
    ),
    ("h264_ac3", "quicktime.mov", &[]),
    ("h264_eac3", "moov-behind.mp4", &[]),
    (
        "h264_aac_multitrack",
        "moov-before.mp4",
        &["-movflags", "+faststart"],
    ),
    ("two_video_two_audio", "moov-behind.mp4", &[]),
    (
        "two_video_two_audio",
        "fragments.mp4",
        &["-movflags", "+frag_keyframe+empty_moov"],
    ),
];

#[test]
#[ignore = "drives FFprobe and an FFmpeg with Enhanced RTMP (8 or later); .ci/run installs them"]
fn files_of_others_are_played_whole_whatever_is_in_them() {
    let Some(program) = enhanced_ffmpeg() else {
        return;
    };
    let (program, dir) = (program.as_str(), &scratch("foreign-codecs"));
    let server = &Server::start(&["--vod", dir.to_str().unwrap(), "--shards", "2"]);
    // Some at a time: tests beside this one have times to keep.
    for some in FOREIGN_CODECS.chunks(5) {
        thread::scope(|scope| {
            for (clip, name, options) in some {
                scope.spawn(move || {
                    let made = dir.join(format!("{clip}-{name}"));
                    make(program, clip, &made, options);
                    let url = server.of_vod("", &made);
                    let played = tracks(&list(program, &url).succeeds(PLAY));
                    let who = format!("{clip}, {name}");
                    let mut wanted = list_file(program, &made);
                    for track in wanted.iter_mut().filter(|_| is_anew(clip)) {
                        track.configuration = ANEW.to_owned();
                    }
                    assert_same(&played, &wanted, true, &who);
                });
            }
        });
    }
}

impl Server {
    /// The URL of a file in the directory of what is played, or in one below it.
    fn of_vod(&self, below: &str, file: &Path) -> String {
        let name = file.file_name().unwrap().to_str().unwrap();
        let slash = if below.is_empty() { "" } else { "/" };
        format!("rtmp://{}/vod/{below}{slash}{name}", self.address)
    }
}
