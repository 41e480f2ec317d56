//! What was published and what was played, packet by packet, and how the two must agree.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::Program;

/// One packet as FFmpeg sees it, times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) key: bool,
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) hash: String,
}

/// The packets of one stream or file, in order, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Packets {
    pub(crate) video: Vec<Packet>,
    pub(crate) audio: Vec<Packet>,
}

/// An `ffprobe` that lists the packets of a file or URL.
pub(crate) fn probe(source: &str) -> Command {
    let mut command = Command::new("ffprobe");
    command
        .args([
            "-v",
            "error",
            "-show_data_hash",
            "md5",
            "-of",
            "compact=p=0",
        ])
        .args(["-show_entries", "packet=codec_type,pts,dts,flags,data_hash"])
        .arg(source);
    command
}

/// Reads what [`probe`] prints.
pub(crate) fn parse(text: &str) -> Packets {
    let mut packets = Packets::default();
    for line in text.lines() {
        let field = |name: &str| {
            let found = line
                .split('|')
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default().to_owned()
        };
        let time = |name: &str| field(name).parse().unwrap_or(i64::MIN);
        let packet = Packet {
            key: field("flags").starts_with('K'),
            pts: time("pts"),
            dts: time("dts"),
            hash: field("data_hash"),
        };
        match field("codec_type").as_str() {
            "video" => packets.video.push(packet),
            "audio" => packets.audio.push(packet),
            _ => {}
        }
    }
    packets
}

/// The packets of a file.
pub(crate) fn of_file(file: &Path) -> Packets {
    let text = Program::start("ffprobe", &mut probe(file.to_str().unwrap()))
        .succeeds(Duration::from_secs(20));
    parse(&text)
}

/// The packets of a recording that may end in the middle of one: FFmpeg's complaint about it, and the torn
/// last packets of each kind, are left out.
pub(crate) fn of_torn_file(file: &Path) -> Packets {
    let ended = Program::start("ffprobe", &mut probe(file.to_str().unwrap()))
        .ended(Duration::from_secs(20));
    let mut packets = parse(&ended.out);
    packets.video.pop();
    packets.audio.pop();
    packets
}

impl Packets {
    fn kinds(&self) -> [(&'static str, &[Packet]); 2] {
        [("video", &self.video), ("audio", &self.audio)]
    }

    /// The same packets with a clock that begins at 0: FFmpeg leaves out what a file's clock begins with.
    fn zeroed(&self) -> Self {
        let all = self.video.iter().chain(&self.audio);
        let start = all.map(|packet| packet.dts).min().unwrap_or(0);
        let shifted = |packets: &[Packet]| {
            let shift = |packet: &Packet| Packet {
                pts: packet.pts - start,
                dts: packet.dts - start,
                ..packet.clone()
            };
            packets.iter().map(shift).collect()
        };
        Self {
            video: shifted(&self.video),
            audio: shifted(&self.audio),
        }
    }

    /// Everything that was published has come, with the same clock.
    pub(crate) fn assert_same(&self, published: &Self, who: &str) {
        let (played, published) = (self.zeroed(), published.zeroed());
        for ((kind, played), (_, published)) in played.kinds().into_iter().zip(published.kinds()) {
            let first = played.iter().zip(published).position(|(a, b)| a != b);
            assert!(
                first.is_none() && played.len() == published.len(),
                "{who}: {} of {} {kind} packets came; the first that differs: {:?}",
                played.len(),
                published.len(),
                first.map(|i| (i, &played[i], &published[i]))
            );
        }
    }

    /// The same payloads in the same order; the clock may be the client's own.
    pub(crate) fn assert_same_payloads(&self, published: &Self, who: &str) {
        for ((kind, played), (_, published)) in self.kinds().into_iter().zip(published.kinds()) {
            let hashes = |packets: &[Packet]| -> Vec<String> {
                packets.iter().map(|packet| packet.hash.clone()).collect()
            };
            assert!(
                hashes(played) == hashes(published),
                "{who}: {kind} differs: {} packets of {}",
                played.len(),
                published.len()
            );
        }
    }

    /// What came is one unbroken piece of what was published; `whole_end` when it must reach its end. Returns
    /// how many packets were published before it.
    pub(crate) fn assert_piece(&self, published: &Self, whole_end: bool, who: &str) -> usize {
        let mut before = 0;
        for ((kind, played), (_, published)) in self.kinds().into_iter().zip(published.kinds()) {
            if published.is_empty() && played.is_empty() {
                continue;
            }
            let first = played
                .first()
                .unwrap_or_else(|| panic!("{who}: no {kind} came"));
            let start = published.iter().position(|packet| packet == first);
            let start = start.unwrap_or_else(|| panic!("{who}: {kind} begins with {first:?}"));
            let rest = &published[start..];
            assert!(
                rest.starts_with(played),
                "{who}: {kind} is broken: {} packets from {start}",
                played.len()
            );
            assert!(
                !whole_end || rest.len() == played.len(),
                "{who}: {} packets at the end of {kind} are missing",
                rest.len() - played.len()
            );
            before += start;
        }
        if let Some(first) = self.video.first() {
            assert!(
                first.key,
                "{who}: video begins with {first:?}, which is no keyframe"
            );
        }
        before
    }
}
