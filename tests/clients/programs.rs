//! The real clients: how each is told to publish or to play without a screen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{Program, scratch, wait_for};

/// Whether a program is there. Where `MILLSTREAM_CLIENTS=all` (as in `.ci/run`) it has to be.
pub(crate) fn have(program: &str) -> bool {
    let there = Command::new("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", program])
        .status();
    if there.unwrap().success() {
        return true;
    }
    let all = std::env::var("MILLSTREAM_CLIENTS").is_ok_and(|clients| clients == "all");
    assert!(
        !all,
        "{program} is not installed, and MILLSTREAM_CLIENTS=all demands it"
    );
    println!("skipped: {program} is not installed");
    false
}

/// An FFmpeg that speaks Enhanced RTMP with several tracks (8 and later): `MILLSTREAM_FFMPEG`, or the system's if new
/// enough.
pub(crate) fn enhanced_ffmpeg() -> Option<String> {
    let program = std::env::var("MILLSTREAM_FFMPEG").unwrap_or_else(|_| "ffmpeg".to_owned());
    if !have(&program) {
        return None;
    }
    let version = Command::new(&program).arg("-version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    // FFmpeg's own builds are called `n7.1`, others `7.1.1-2`.
    let number = version.split_whitespace().nth(2).unwrap_or_default();
    let number = number.trim_start_matches('n').to_owned();
    let major: u32 = number
        .split(['.', '-'])
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    if major >= 8 {
        return Some(program);
    }
    let all = std::env::var("MILLSTREAM_CLIENTS").is_ok_and(|clients| clients == "all");
    assert!(
        !all,
        "{program} is {number}: name a newer one in MILLSTREAM_FFMPEG"
    );
    println!("skipped: {program} is {number}, several tracks need 8");
    None
}

/// FFmpeg without questions and with nothing to say but errors.
pub(crate) fn ffmpeg(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments);
    command
}

/// FFmpeg that sends a file at its own pace, once.
pub(crate) fn publish(program: &str, file: &Path, url: &str) -> Program {
    let file = file.to_str().unwrap();
    let arguments = ["-re", "-i", file, "-c", "copy", "-f", "flv", url];
    Program::start("ffmpeg-publish", &mut ffmpeg(program, &arguments))
}

/// FFmpeg that plays and decodes everything, and complains of everything.
pub(crate) fn decode(url: &str) -> Program {
    let arguments = ["-xerror", "-i", url, "-f", "null", "-"];
    Program::start("ffmpeg-decode", &mut ffmpeg("ffmpeg", &arguments))
}

/// rtmpdump into a file.
pub(crate) fn rtmpdump(url: &str) -> (Program, PathBuf) {
    let file = scratch("rtmpdump").join("played.flv");
    let mut command = Command::new("rtmpdump");
    command.args(["-q", "-r", url, "--live", "-o"]).arg(&file);
    (Program::start("rtmpdump", &mut command), file)
}

/// GStreamer's rtmp2src into a file.
pub(crate) fn rtmp2src(url: &str) -> (Program, PathBuf) {
    let file = scratch("rtmp2src").join("played.flv");
    let mut command = Command::new("gst-launch-1.0");
    command
        .args([
            "-q",
            "rtmp2src",
            &format!("location={url}"),
            "!",
            "filesink",
        ])
        .arg(format!("location={}", file.display()));
    (Program::start("rtmp2src", &mut command), file)
}

/// GStreamer's rtmp2sink sending H.264 and AAC of a file at its own pace.
pub(crate) fn rtmp2sink(file: &Path, url: &str) -> Program {
    let pipeline = format!(
        "filesrc location={} ! flvdemux name=d d.video ! queue ! h264parse ! flvmux name=m streamable=true \
         ! rtmp2sink location={url} sync=true d.audio ! queue ! aacparse ! m.",
        file.display()
    );
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "-e"]).args(pipeline.split_whitespace());
    Program::start("rtmp2sink", &mut command)
}

/// mpv, every decoded picture into a file.
pub(crate) fn mpv(url: &str) -> (Program, PathBuf) {
    let pictures = scratch("mpv");
    let mut command = Command::new("mpv");
    command
        .args([
            "--no-config",
            "--msg-level=all=warn",
            "--ao=null",
            "--vo=image",
        ])
        .arg(format!("--vo-image-outdir={}", pictures.display()))
        .arg(url);
    (Program::start("mpv", &mut command), pictures)
}

/// VLC, every fifth decoded picture into a file. It refuses to run as root, so root runs it as nobody.
pub(crate) fn vlc(url: &str) -> (Program, PathBuf) {
    // Not below the target directory: nobody may be barred from a home directory.
    let home = std::env::temp_dir().join(format!("millstream-vlc-{}", std::process::id()));
    fs::create_dir_all(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).unwrap();
    let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let mut command = if root {
        let mut setpriv = Command::new("setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cvlc"]);
        setpriv
    } else {
        Command::new("cvlc")
    };
    command
        .env("HOME", &home)
        .args([
            "-q",
            "--vout",
            "dummy",
            "--aout",
            "dummy",
            "--video-filter",
            "scene",
        ])
        .args([
            "--scene-format",
            "png",
            "--scene-ratio",
            "5",
            "--scene-path",
        ])
        .arg(&home)
        .args([url, "vlc://quit"]);
    (Program::start("vlc", &mut command), home)
}

/// How many files with this ending are in a directory.
pub(crate) fn count(dir: &Path, ending: &str) -> usize {
    let entries = fs::read_dir(dir).unwrap();
    let named = entries.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(ending)
    });
    named.count()
}

/// OBS on a screen of its own, publishing a plain colour and silence.
pub(crate) struct Obs {
    pub(crate) program: Program,
    _screen: Program,
}

impl Obs {
    pub(crate) fn publish(address: &str, key: &str) -> Self {
        let home = scratch("obs");
        let profile = home.join("obs-studio/basic/profiles/Test");
        let scenes = home.join("obs-studio/basic/scenes");
        fs::create_dir_all(&profile).unwrap();
        fs::create_dir_all(&scenes).unwrap();
        fs::write(home.join("obs-studio/global.ini"), GLOBAL).unwrap();
        fs::write(profile.join("basic.ini"), PROFILE).unwrap();
        fs::write(scenes.join("Test.json"), SCENE).unwrap();
        let service = format!(
            r#"{{"type":"rtmp_custom","settings":{{"server":"rtmp://{address}/live","key":"{key}"}}}}"#
        );
        fs::write(profile.join("service.json"), service).unwrap();
        let mut xvfb = Command::new("Xvfb");
        xvfb.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "640x480x24",
            "-nolisten",
            "tcp",
        ]);
        let screen = Program::start("xvfb", &mut xvfb);
        let display = wait_for("Xvfb's display", Duration::from_secs(20), || {
            let out = screen.out();
            out.ends_with('\n').then(|| format!(":{}", out.trim()))
        });
        let mut command = Command::new("obs");
        command
            .env("DISPLAY", display)
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", &home)
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("QT_QPA_PLATFORM", "xcb")
            .args(["--multi", "--startstreaming", "--minimize-to-tray"]);
        let program = Program::start("obs", &mut command);
        Self {
            program,
            _screen: screen,
        }
    }
}

const GLOBAL: &str = "[General]\nFirstRun=true\nEnableAutoUpdates=false\nConfirmOnExit=false\n\
    [Basic]\nProfile=Test\nProfileDir=Test\nSceneCollection=Test\nSceneCollectionFile=Test\n";
const PROFILE: &str = "[General]\nName=Test\n\
    [Video]\nBaseCX=320\nBaseCY=180\nOutputCX=320\nOutputCY=180\nFPSCommon=25 PAL\n\
    [Output]\nMode=Simple\n\
    [SimpleOutput]\nVBitrate=300\nABitrate=64\nStreamEncoder=x264\nPreset=ultrafast\n";
const SCENE: &str = r#"{"name":"Test","current_scene":"Scene","current_program_scene":"Scene",
"scene_order":[{"name":"Scene"}],"sources":[
{"id":"scene","name":"Scene","settings":{"id_counter":1,"items":[{"name":"Color","id":1,"visible":true}]}},
{"id":"color_source","versioned_id":"color_source_v3","name":"Color",
"settings":{"color":4278255360,"width":320,"height":180}}]}"#;
