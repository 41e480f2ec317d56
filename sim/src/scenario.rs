//! A scenario is data: everything that a run depends on, in one JSON file.

use std::path::Path;

use millstream::limits;
use millstream::planted::{self, Bug};
use serde::{Deserialize, Serialize};

use crate::clocks::Clocks;
use crate::disk::DiskFaults;
use crate::faults::FaultConfig;
use crate::generate::Kind;
use crate::media::{TimeJump, Tracks};
use crate::order::OrderKind;

mod acts;
mod server;

pub use acts::{
    Chunking, Cut, CutKind, Ending, Garbage, GarbageKind, Intervention, Order, Tell, View,
};
pub use server::{Conflict, Few, Format, RECORDINGS, Record, ServerConfig, Tight};

/// The version of the file's format.
pub const FORMAT: u32 = 1;

/// One run: the seed, the world's shape, what goes wrong, and what each client does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// [`FORMAT`].
    pub format: u32,
    /// What this scenario shows or once broke, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
    /// Everything random in the run comes from it.
    pub seed: u64,
    /// The kinds of behaviour its generator had switched on: for readers, a run does not look at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub swarm: Vec<Kind>,
    /// Data shards of the server, 1 to 64.
    #[serde(default = "one")]
    pub shards: usize,
    /// How executors choose among runnable tasks.
    #[serde(default)]
    pub order: OrderKind,
    /// The server's settings that matter here.
    #[serde(default)]
    pub server: ServerConfig,
    /// What goes wrong on connections.
    #[serde(default)]
    pub faults: FaultConfig,
    /// The links between the hosts.
    #[serde(default)]
    pub network: Network,
    /// What goes wrong with the disk of the server's machine.
    #[serde(default, skip_serializing_if = "DiskFaults::are_off")]
    pub disk: DiskFaults,
    /// When the server is gone for a while, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
    /// What an operator does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operator: Vec<Intervention>,
    /// The clocks of the server's threads.
    #[serde(default, skip_serializing_if = "Clocks::are_right")]
    pub clocks: Clocks,
    /// The mail between the server's threads.
    #[serde(default, skip_serializing_if = "Mail::is_prompt")]
    pub mail: Mail,
    /// When the server is told to stop, milliseconds; otherwise when all scripts have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_ms: Option<u64>,
    /// Whether rare things happen at the server's `buggify` sites: the chance of each site to be on.
    #[serde(default)]
    pub buggify: f64,
    /// The bug that is planted in the server, in a build with the feature `planted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<Bug>,
    /// Whether it must fail, see [`crate::canary`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub canary: bool,
    /// The scripts.
    pub clients: Vec<Script>,
    /// What must come out.
    #[serde(default)]
    pub expect: Expect,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_false(yes: &bool) -> bool {
    !*yes
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn none(n: &usize) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_one(n: &u64) -> bool {
    *n == 1
}

fn one() -> usize {
    1
}

/// The links between server and clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Latency of a segment: from, to, milliseconds.
    pub latency_ms: [u64; 2],
    /// How often the network moves, milliseconds: what is sent between arrives together. A tick costs time whether
    /// anything happens in it or not.
    #[serde(skip_serializing_if = "is_one")]
    pub tick_ms: u64,
    /// Hosts that the clients live on, 1 to 4. (A turmoil host costs time in every tick.)
    pub hosts: usize,
    /// What happens to links, in order of time.
    pub events: Vec<LinkEvent>,
    /// How latencies are spread between the two: exponentially by this rate, so that a small one has a heavy tail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub curve: Option<f64>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            latency_ms: [1, 5],
            tick_ms: 1,
            hosts: 1,
            events: Vec::new(),
            curve: None,
        }
    }
}

/// Something happens to the link between the server and one host of clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkEvent {
    /// When, milliseconds from the start.
    pub at_ms: u64,
    /// Which host of clients, from 0.
    pub host: usize,
    /// What.
    pub change: LinkChange,
}

impl LinkEvent {
    /// Whether what is sent from now on is lost, so that only timeouts tell.
    pub fn cuts(&self) -> bool {
        matches!(
            self.change,
            LinkChange::Vanish | LinkChange::CutUp | LinkChange::CutDown
        )
    }
}

/// What happens to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkChange {
    /// Nothing arrives any more, but nothing is lost.
    Hold,
    /// What was held arrives, and the link works again.
    Release,
    /// Every message takes so many milliseconds from now on.
    Latency(u64),
    /// The clients are gone without a word: nothing passes any more, and what is under way is lost.
    Vanish,
    /// What the clients send is lost.
    CutUp,
    /// What the server sends is lost.
    CutDown,
    /// The link works again, for new connections: those that lost something are dead.
    Mend,
}

/// The server is gone for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// From when, milliseconds from the start.
    pub at_ms: u64,
    /// For how long, milliseconds; then it is started anew.
    pub down_ms: u64,
    /// The whole machine, so that no peer is told; otherwise the process alone, whose sockets its kernel closes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub power: bool,
}

/// How late mail between the server's threads is.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// How often everything from one thread to another begins to come late.
    pub late: f64,
    /// How late at most, milliseconds.
    pub late_ms: u64,
}

impl Mail {
    /// Whether mail comes at once.
    pub fn is_prompt(&self) -> bool {
        *self == Self::default()
    }
}

/// What one client does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Unique in the scenario; every line of its trace carries it.
    pub name: String,
    /// Which host it lives on, modulo their number.
    #[serde(default)]
    pub host: usize,
    /// When it starts, milliseconds.
    #[serde(default)]
    pub start_ms: u64,
    /// What it does, in order. A lost connection skips to the next `connect`.
    pub steps: Vec<Step>,
}

/// One step of a script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Opens a connection, shakes hands and sends `connect`.
    Connect(Connect),
    /// Opens a connection that says nothing by itself, and hears nothing: only `raw` speaks.
    ConnectRaw,
    /// Publishes a stream.
    Publish(Stream),
    /// Plays a stream, beside what it publishes.
    Play(Stream),
    /// Plays one more stream on the same connection; to the checkers it is a client of its own, `NAME/2`.
    PlayBeside(Stream),
    /// Has another stream take the place of the one it plays (`play2`).
    Play2(Stream),
    /// Holds the live stream that it plays for so many milliseconds, to go on where it was.
    Hold(u64),
    /// Goes back in the live stream that it plays, so many milliseconds before what it has had last.
    Rewind(u64),
    /// Plays a recording, on a connection to the application `vod`.
    View(View),
    /// Has another recording follow the one that plays.
    Append(View),
    /// Goes on at so many milliseconds of it.
    Seek(u64),
    /// Calls something by name, and waits for the answer, whatever it is.
    Call(String),
    /// Sends a shared object message.
    SharedObject(String),
    /// Begins a message and takes it back.
    AbortMessage,
    /// Sends a piece of a broadcast; a second piece goes on where the first ended.
    SendMedia(SendMedia),
    /// Goes on for so many milliseconds: reads, and answers what the protocol answers by itself.
    WaitMs(u64),
    /// Goes on until so many frames have come since the last `play`.
    WaitForFrames(Wait),
    /// Goes on until the stream that is played has ended.
    WaitForEnd(Within),
    /// Does nothing at all for so many milliseconds, not even read.
    SilenceMs(u64),
    /// From now on reads so many bytes at most, then none for so long.
    ReadSlowly(ReadPace),
    /// Announces and uses another chunk size.
    ChunkSize(u32),
    /// Holds the play, or lets it go on.
    Pause(bool),
    /// Wants the stream's audio or not.
    ReceiveAudio(bool),
    /// Wants the stream's video or not.
    ReceiveVideo(bool),
    /// Sends bytes that no session would.
    Raw(#[serde(with = "hex")] Vec<u8>),
    /// The same, made from few numbers.
    Garbage(Garbage),
    /// Sends a message that no session sends by itself.
    Tell(Tell),
    /// Takes the metadata of its publish back (`@clearDataFrame`).
    ClearMetadata,
    /// The present connection, or else the next one, ends after so many more bytes.
    CutAfter(Cut),
    /// Ends the publish or play in one of the other ways; the connection stays.
    EndStream(Ending),
    /// Ends the publish or play with the commands the protocol has for it; the connection stays.
    CloseStream,
    /// Sends FIN and goes on reading.
    HalfClose,
    /// Leaves politely: `CloseStream`, FIN, reads until the server's FIN.
    Close,
    /// Leaves with a RST.
    Abort,
}

/// Bytes as a string of hexadecimal digits.
mod hex {
    use core::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let text = bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let digits: Vec<u8> = String::deserialize(from)?
            .chars()
            .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
            .collect::<Option<_>>()
            .ok_or_else(|| D::Error::custom("raw bytes are hexadecimal digits"))?;
        if !digits.len().is_multiple_of(2) {
            return Err(D::Error::custom("raw bytes are pairs of digits"));
        }
        let pairs = digits.chunks_exact(2);
        Ok(pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
    }
}

/// How a client introduces itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connect {
    /// The application.
    pub app: String,
    /// Chunk size it announces and sends with; 128 announces nothing.
    pub chunk_size: u32,
    /// The handshake with digests.
    pub digest: bool,
    /// Sends the following commands without waiting for answers.
    pub pipelined: bool,
    /// Asks for AMF3, and then wraps its commands (type 17).
    #[serde(skip_serializing_if = "is_false")]
    pub amf3: bool,
    /// With `digest`: Flash's old place for it (schema 0).
    #[serde(skip_serializing_if = "is_false")]
    pub schema0: bool,
    /// The Window Acknowledgement Size it announces, bytes; 0 leaves the session's. (Not where `pipelined`.)
    #[serde(skip_serializing_if = "is_zero")]
    pub window_ack_size: u32,
    /// One too many: it may be turned away.
    #[serde(skip_serializing_if = "is_false")]
    pub may_be_refused: bool,
    /// Acknowledges nothing, as OBS does while it publishes.
    #[serde(skip_serializing_if = "is_false")]
    pub never_acks: bool,
    /// Says that it knows Enhanced RTMP's ReconnectRequest (`capsEx`).
    #[serde(skip_serializing_if = "is_false")]
    pub reconnects: bool,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            app: "live".into(),
            chunk_size: 4_096,
            digest: false,
            pipelined: false,
            amf3: false,
            schema0: false,
            window_ack_size: 0,
            may_be_refused: false,
            never_acks: false,
            reconnects: false,
        }
    }
}

/// Which stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Its name within the application.
    pub name: String,
    /// A refusal is as good as a permission.
    #[serde(default)]
    pub may_be_refused: bool,
}

/// A piece of a broadcast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SendMedia {
    /// Messages: metadata and sequence headers first, then pictures and audio.
    pub frames: usize,
    /// It ends before this time of the broadcast, milliseconds, whatever is left of `frames`; 0 does not.
    #[serde(skip_serializing_if = "is_zero")]
    pub until_ms: u32,
    /// Pictures from one keyframe to the next.
    pub gop: u32,
    /// Pictures of the first GOP that are left out, as by an encoder that was running when it connected. (Not with
    /// [`Tracks::MoreKeys`], whose first keyframe would be of a track alone.)
    #[serde(skip_serializing_if = "is_zero")]
    pub phase: u32,
    /// Milliseconds between pictures.
    pub picture_ms: u32,
    /// Milliseconds between audio frames; 0 for none.
    pub audio_ms: u32,
    /// The largest picture, bytes.
    pub picture_bytes: usize,
    /// Pictures from one changed header to the next, wherever keyframes are; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub headers_every: u32,
    /// Its tracks and codecs.
    #[serde(skip_serializing_if = "Tracks::is_legacy")]
    pub tracks: Tracks,
    /// The first timestamp.
    pub first_timestamp: u32,
    /// Where its time jumps: [`crate::media::JUMPS`] at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<TimeJump>,
    /// Headers in the middle of it come with time 0.
    #[serde(skip_serializing_if = "is_false")]
    pub zero_headers: bool,
    /// In codecs that MP4 knows, with decoder configurations that it takes.
    #[serde(skip_serializing_if = "is_false")]
    pub decodable: bool,
    /// At the pace of its timestamps; otherwise as fast as the connection takes it.
    pub paced: bool,
    /// So many messages in one (type 22); 0 for each alone.
    #[serde(skip_serializing_if = "none")]
    pub aggregate: usize,
    /// How they become chunks. Not of aggregates.
    #[serde(skip_serializing_if = "Chunking::is_sessions")]
    pub chunking: Chunking,
}

impl Default for SendMedia {
    fn default() -> Self {
        Self {
            frames: 100,
            until_ms: 0,
            gop: 10,
            phase: 0,
            picture_ms: 40,
            audio_ms: 23,
            picture_bytes: 4_000,
            headers_every: 0,
            tracks: Tracks::Legacy,
            first_timestamp: 0,
            jumps: Vec::new(),
            zero_headers: false,
            decodable: false,
            paced: true,
            aggregate: 0,
            chunking: Chunking::default(),
        }
    }
}

/// So many frames, within so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Audio and video messages.
    pub frames: usize,
    /// Milliseconds; longer is a violation.
    pub within_ms: u64,
}

/// Within so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// Milliseconds; longer is a violation.
    pub within_ms: u64,
}

/// A slow reader's pace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadPace {
    /// Bytes of one read at most.
    pub bytes: usize,
    /// Milliseconds from one read to the next.
    pub every_ms: u64,
}

/// What must come out of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// Whether it passes, or which checker fails it.
    pub outcome: Outcome,
    /// The hash of the trace; `None` compares nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_hash: Option<String>,
    /// Which version failed so; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its git revision, `-dirty` if the tree had changes; for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
}

/// How a run ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No checker found anything.
    #[default]
    Pass,
    /// The named checker found something first.
    Fail(String),
}

impl Scenario {
    /// Reads a scenario from a file.
    ///
    /// # Errors
    /// The file cannot be read, is not a scenario, or not one this version understands: in one sentence.
    #[expect(
        clippy::disallowed_methods,
        reason = "scenarios are files; the server is not involved"
    )]
    pub fn load(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
        let scenario: Self =
            serde_json::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        scenario
            .check()
            .map_err(|error| format!("{shown}: {error}"))?;
        Ok(scenario)
    }

    /// The file's text.
    ///
    /// # Errors
    /// A number in it is not one JSON has.
    pub fn to_json(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string())
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let names: std::collections::BTreeSet<&str> =
            self.clients.iter().map(|script| &*script.name).collect();
        if self.format != FORMAT {
            return Err(format!("format {} is not {FORMAT}", self.format));
        }
        if !(1..=limits::SHARDS_MAX).contains(&self.shards) {
            return Err(format!("shards = {} is not 1 to 64", self.shards));
        }
        if !(1..=4).contains(&self.network.hosts) {
            return Err(format!("hosts = {} is not 1 to 4", self.network.hosts));
        }
        if !(1..=100).contains(&self.network.tick_ms) {
            return Err(format!(
                "tick_ms = {} is not 1 to 100",
                self.network.tick_ms
            ));
        }
        if self.network.latency_ms[0] > self.network.latency_ms[1] {
            return Err("latency_ms: the first is the smaller one".into());
        }
        if self.clocks.drift_ppm.unsigned_abs() > 100_000 || self.clocks.skew_ms > 10_000 {
            return Err("clocks differ by at most 10,000 ms and 100,000 ppm".into());
        }
        if let Some(bug) = self.planted.filter(|_| !planted::POSSIBLE) {
            return Err(format!(
                "{bug} can be planted only with `--features planted`"
            ));
        }
        if names.len() != self.clients.len() {
            return Err("two clients have the same name".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> Scenario {
        let text = r#"{"format": 1, "seed": 7, "clients": [{"name": "alice", "steps": [
            {"connect": {}}, {"publish": {"name": "test"}}, {"send_media": {"frames": 5}}, "close"]}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_short_file_is_enough_and_survives_being_written() {
        let scenario = minimal();
        assert_eq!(scenario.check(), Ok(()));
        let text = scenario.to_json().unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
    }

    #[test]
    fn raw_bytes_are_pairs_of_hexadecimal_digits() {
        let step = Step::Raw(vec![0, 0x1f, 0xff]);
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(text, r#"{"raw":"001fff"}"#);
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step);
        assert!(serde_json::from_str::<Step>(r#"{"raw":"0"}"#).is_err());
        assert!(serde_json::from_str::<Step>(r#"{"raw":"xy"}"#).is_err());
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        let mut scenario = minimal();
        scenario.shards = 0;
        assert!(scenario.check().unwrap_err().contains("shards"));
        let mut scenario = minimal();
        scenario.clients.push(scenario.clients[0].clone());
        assert!(scenario.check().unwrap_err().contains("same name"));
        assert!(
            serde_json::from_str::<Scenario>(r#"{"format":1,"seed":1,"clients":[],"x":1}"#)
                .is_err()
        );
    }
}
