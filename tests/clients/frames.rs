//! Every packet of a file or URL, as FFmpeg's `framemd5` lists them without decoding: tracks, times and payloads.

use crate::programs::ffmpeg;
use crate::support::Program;

/// A configuration that FFmpeg writes anew when it publishes.
pub(crate) const ANEW: &str = "anew";

/// One packet, times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Frame {
    pub(crate) hash: String,
    pub(crate) dts: i64,
    pub(crate) pts: i64,
}

/// One track: what it is (`video`, `audio`), and its packets in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Track {
    pub(crate) kind: String,
    /// The hash of the decoder's configuration, if it has one.
    pub(crate) configuration: String,
    pub(crate) frames: Vec<Frame>,
}

/// FFmpeg that lists the packets of all tracks.
pub(crate) fn list(program: &str, source: &str) -> Program {
    let arguments = [
        "-i", source, "-map", "0", "-c", "copy", "-f", "framemd5", "-",
    ];
    Program::start("ffmpeg-list", &mut ffmpeg(program, &arguments))
}

/// Reads what [`list`] prints. Tracks come in an order of their own: which is numbered first depends on which came first.
pub(crate) fn tracks(text: &str) -> Vec<Track> {
    let mut tracks: Vec<Track> = Vec::new();
    let (mut configurations, mut bases) = (Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("#extradata ") {
            let mut fields = rest.split(',').map(str::trim);
            let number: usize = fields.next().unwrap().parse().unwrap();
            configurations.push((number, fields.next_back().unwrap().to_owned()));
        } else if let Some(rest) = line.strip_prefix("#media_type ") {
            let (number, kind) = rest.split_once(": ").unwrap();
            assert_eq!(number.parse(), Ok(tracks.len()), "{line}");
            let mut of_track = configurations.iter().filter(|it| it.0 == tracks.len());
            let configuration = of_track.next().map(|it| it.1.clone()).unwrap_or_default();
            tracks.push(Track {
                kind: kind.to_owned(),
                configuration,
                frames: Vec::new(),
            });
        } else if let Some(rest) = line.strip_prefix("#tb ") {
            let (_, base) = rest.split_once(": ").unwrap();
            let (over, under) = base.split_once('/').unwrap();
            bases.push((over.parse::<i64>().unwrap(), under.parse::<i64>().unwrap()));
        } else if !line.starts_with('#') && !line.is_empty() {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let track = fields[0].parse::<usize>().unwrap();
            let (over, under) = bases[track];
            let time = |field: &str| {
                let units = field.parse::<i64>().unwrap();
                (2_000 * units * over + under).div_euclid(2 * under)
            };
            tracks[track].frames.push(Frame {
                hash: fields[5].to_owned(),
                dts: time(fields[1]),
                pts: time(fields[2]),
            });
        }
    }
    tracks.sort();
    tracks
}

/// The same with a clock that begins at 0.
fn zeroed(tracks: &[Track]) -> Vec<Track> {
    let all = tracks.iter().flat_map(|track| &track.frames);
    let begin = all.map(|frame| frame.dts).min().unwrap_or(0);
    let mut tracks = tracks.to_vec();
    for frame in tracks.iter_mut().flat_map(|track| &mut track.frames) {
        frame.dts -= begin;
        frame.pts -= begin;
    }
    tracks
}

/// All that was published has come in its order, and with the same clock, but for a millisecond where the source's is finer.
pub(crate) fn assert_same(came: &[Track], published: &[Track], rounded: bool, who: &str) {
    let (came, published) = (zeroed(came), zeroed(published));
    assert_eq!(came.len(), published.len(), "{who}: tracks");
    let slack = u64::from(rounded);
    for (came, published) in came.iter().zip(&published) {
        let kind = &published.kind;
        assert_eq!(&came.kind, kind, "{who}");
        let is_anew = published.configuration == ANEW;
        assert!(
            is_anew || came.configuration == published.configuration,
            "{who}: the configuration of {kind}"
        );
        let is_same = |(one, other): (&Frame, &Frame)| {
            let near = |one: i64, other: i64| one.abs_diff(other) <= slack;
            one.hash == other.hash && near(one.dts, other.dts) && near(one.pts, other.pts)
        };
        let (len, wanted) = (came.frames.len(), published.frames.len());
        let mut pairs = came.frames.iter().zip(&published.frames);
        if let Some(at) = pairs.position(|pair| !is_same(pair)) {
            let pair = (&came.frames[at], &published.frames[at]);
            panic!("{who}: packet {at} of {kind} differs ({len} of {wanted} came): {pair:?}");
        }
        assert_eq!(len, wanted, "{who}: packets of {kind}");
    }
}
