//! Every bound of the server, in one place, each with its reason.
//!
//! A peer that crosses one costs itself its connection; nobody else notices.

use crate::time::Duration;

// ---- Chunk stream ---------------------------------------------------------------------------

/// The chunk size both sides start with (RTMP 1.0 §5.4.1).
pub const CHUNK_SIZE_INITIAL: u32 = 128;
/// What we send with unless told otherwise: the predecessor's figure. Large enough that most frames are one chunk.
pub const CHUNK_SIZE_DEFAULT: u32 = 60_000;
/// The largest chunk size we send with. Larger ones save nothing and let a keyframe block a ping for longer.
pub const CHUNK_SIZE_SEND_MAX: u32 = 65_536;
/// The largest chunk size a peer may announce: 31 bits (RTMP 1.0 §5.4.1). It reserves no memory.
pub const CHUNK_SIZE_RECEIVE_MAX: u32 = 0x7FFF_FFFF;
/// Chunk streams one connection may use. Real encoders use at most 8 (see the transcripts); nginx-rtmp allows 32.
pub const CHUNK_STREAMS: usize = 64;
/// Bytes of one message. The protocol's own bound is 16,777,215; a 4K keyframe at 100 Mbit/s is about 5 MB.
pub const MESSAGE_BYTES: u32 = 10 * 1024 * 1024;
/// Bytes of all partly received messages of one connection: one large message and some small ones beside it.
pub const PARTIAL_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that may be reserved for a message before they came, because one as large came on its chunk stream before: a
/// keyframe that crosses reads is then not copied while it grows. With [`CHUNK_STREAMS`] as much as [`PARTIAL_BYTES`].
pub const PARTIAL_RESERVE: usize = 256 * 1024;
/// Bytes of one command or control message: the longest real `connect` is under 2 KiB.
pub const COMMAND_BYTES: u32 = 64 * 1024;
/// Bytes a peer may send before its `connect` was accepted: two handshake packets, a command, and slack.
pub const PRE_CONNECT_BYTES: usize = 128 * 1024;

// ---- AMF ------------------------------------------------------------------------------------

/// How deep AMF values may nest; real ones nest at most 4 deep. Bounds the recursion of the decoder.
pub const AMF_DEPTH: usize = 32;
/// How many AMF values one message may hold. `onMetaData` of the chattiest encoder has under 100.
pub const AMF_VALUES: usize = 4_096;
/// Bytes that the string and traits references of one AMF3 message may stand for in all. A reference is two bytes
/// and may repeat 64 KiB, so the values alone would not bound the memory.
pub const AMF_EXPANDED_BYTES: usize = 256 * 1024;

// ---- Session --------------------------------------------------------------------------------

/// Message streams on one connection. Real clients open one; a relay a few.
pub const MESSAGE_STREAMS: usize = 16;
/// Bytes of an application or stream name, query included. File names and log lines stay sane.
pub const NAME_BYTES: usize = 1_024;
/// The acknowledgement window we ask for (RTMP 1.0 §5.4.4): what SRS, FFmpeg and gortmplib use.
pub const WINDOW_ACK_SIZE_DEFAULT: u32 = 2_500_000;
/// The peer bandwidth we announce (RTMP 1.0 §5.4.5), limit type 2 (dynamic).
pub const PEER_BANDWIDTH_DEFAULT: u32 = 2_500_000;
/// The smallest window or bandwidth that may be configured: below it a peer would acknowledge every packet.
pub const WINDOW_MIN: u32 = 1_024;
/// Bytes of replies that may wait for a peer that does not read: hundreds of replies.
pub const REPLY_BYTES: usize = 256 * 1024;
/// Bytes of sequence headers and metadata that may wait for a peer that does not read: each `play` and each going on
/// after `pause` brings a set, so that asking again and again would pile them up. Two of the largest sets.
pub const PRELUDE_BYTES: usize = 2 * (STREAM_HEADERS_BYTES + HEADER_BYTES);

/// Events one side of a session may hold for its owner, who takes them after every read: one for each byte of a read,
/// which is what empty messages with format 3 headers come to.
pub const SESSION_EVENTS: usize = 128 * 1024;
/// Events there is room for when none waits: memory that a flood took is given back.
pub const SESSION_EVENTS_KEPT: usize = 64;
/// Calls a client's session may have open: a relay of [`MESSAGE_STREAMS`] streams has a few for each.
pub const OPEN_CALLS: usize = 256;
/// Events of one shared object message: nobody here uses them, and Flash sends one for each changed property.
pub const SHARED_OBJECT_EVENTS: usize = 64;
/// Bytes of one shared object's event.
pub const SHARED_OBJECT_BYTES: usize = 4 * 1024;
/// AMF0 references followed in one command: none in the field, and each may repeat a command's worth of memory.
pub const COMMAND_REFERENCES: usize = 8;
/// FourCCs of one `connect`'s `fourCcList`, and of each of its info maps: Enhanced RTMP knows 12.
pub const FOUR_CCS: usize = 64;
/// Messages inside one aggregate (type 22). FMS batches under a second of media: fewer than 200.
pub const AGGREGATE_MESSAGES: usize = 4_096;

// ---- Time -----------------------------------------------------------------------------------

/// From accept to the end of the handshake. A slow mobile link needs under 3 s; half-open floods are cut here.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// From the handshake to `connect`: no client waits in between.
pub const CONNECT_TIME: Duration = Duration::from_secs(15);
/// From the handshake to the first `publish` or `play`. OBS waits for no human in between.
pub const COMMAND_TIME: Duration = Duration::from_secs(15);
/// How long a publisher may say nothing before it is taken for dead. Encoders send audio every 20–50 ms. Whole messages
/// count: one that sends a byte now and then holds its name no longer.
pub const PUBLISHER_IDLE: Duration = Duration::from_secs(30);
/// After so long without a byte from a publisher it is pinged, and once after its publish, to learn whether it answers at
/// all (OBS does not). A stalled uplink of a phone is mostly shorter.
pub const PUBLISHER_PING: Duration = Duration::from_secs(5);
/// How long one that is known to answer may leave a ping unanswered, and say nothing else. FFmpeg reads only when it
/// writes: a camera that hangs for some seconds must not end it.
pub const PUBLISHER_ANSWER: Duration = Duration::from_secs(15);
/// After so long without a byte from a player it is pinged: TCP then finds out whether its host is still there.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long a player's socket may take nothing while we have something for it.
pub const WRITE_STALL: Duration = Duration::from_secs(30);
/// How long we wait for the peer's FIN after ours, so that unread input does not turn our last words into a RST.
pub const LINGER: Duration = Duration::from_secs(2);
/// How long a graceful stop waits for connections to drain, unless configured.
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(5);
/// The shortest patience with a peer that may be configured: a round trip round the world, and some of it lost.
pub const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// The longest patience that may be configured: a peer that is silent for so long is gone.
pub const PATIENCE_MAX: Duration = Duration::from_secs(3_600);
/// The longest drain that may be configured: service managers kill a stopping program much earlier (systemd: 90 s).
pub const DRAIN_MAX: Duration = Duration::from_secs(600);
/// How long a stream whose publisher vanished waits for it, unless configured: what OBS needs to notice and come back.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(10);
/// The longest such wait that may be configured: players see a still picture meanwhile, and the ring is kept.
pub const GRACE_MAX: Duration = Duration::from_secs(60);
/// How far a publisher's time may step back and be passed on as it is. Encoders that interleave badly step back by some
/// hundred milliseconds; whatever starts anew does by all the time it ran.
pub const CLOCK_BACK: Duration = Duration::from_secs(1);
/// How far a publisher's time may run ahead of what the time that passed and its other tracks explain, and be passed on
/// as it is. Frames that an encoder dropped are explained; a player that had to wait for more would show nothing.
pub const CLOCK_AHEAD: Duration = Duration::from_secs(5);
/// What lies between the last frame before a jump of a publisher's time and the first behind it: a picture of 25 a second.
/// The other tracks begin there, too, some a little earlier than the one that jumped first.
pub const CLOCK_SEAM: Duration = Duration::from_millis(40);
/// The pause after a failed accept (out of file descriptors): long enough not to spin, short enough not to be felt.
pub const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How often the log says at most that accept fails: where descriptors run short for long, it succeeds now and then.
pub const ACCEPT_ERRORS_LOGGED: Duration = Duration::from_secs(10);

// ---- Media ----------------------------------------------------------------------------------

/// Frames a stream's ring holds at most: the predecessor's GOP cache default; about 70 s of 30 fps with audio.
pub const RING_FRAMES_DEFAULT: usize = 5_000;
/// Frames a stream's ring may be configured to hold: its index then takes some megabytes a stream.
pub const RING_FRAMES_MAX: usize = 100_000;
/// Bytes a stream's ring holds at most: 10 s at 25 Mbit/s.
pub const RING_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes a stream may be told to keep at least: less would not hold a keyframe of a small picture.
pub const RING_BYTES_MIN: u64 = 64 * 1024;
/// Bytes a stream may be told to keep: a minute of what cinemas get.
pub const RING_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes of frames that a server keeps for players, unless told otherwise: a thousand streams of 4 Mbit/s and 8 s each.
pub const MEDIA_BYTES_DEFAULT: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes of frames a server may be told to keep: more than machines have.
pub const MEDIA_BYTES_MAX: u64 = 1 << 50;
/// The shortest lag that makes a player jump: below it every hiccup of a network would.
pub const LATENCY_MIN: Duration = Duration::from_millis(500);
/// How often a player may lose frames in a minute, unless told otherwise. One whose network is too slow for good loses some
/// every [`RING_AGE`] at most, and still sees a picture at times: that is left to it.
pub const JUMPS_PER_MINUTE: u32 = 20;
/// The most jumps a minute that may be asked for; more is as good as no bound.
pub const JUMPS_PER_MINUTE_MAX: u32 = 10_000;
/// Over how long a publisher's bitrate is measured: a keyframe of a still picture, or what a network held back, is many times
/// the rate for a second.
pub const BITRATE_WINDOW: Duration = Duration::from_secs(5);
/// How far back the ring reaches behind the newest GOP, so that a briefly slow player loses nothing.
pub const RING_AGE: Duration = Duration::from_secs(5);
/// Tracks of one message that are looked at: a track id is one byte, so that more are repetitions.
pub const MESSAGE_TRACKS: usize = 256;
/// `ModEx` prefixes of one message that are followed: one type is known (nanoseconds). A prefix takes 3 bytes, so that
/// [`MESSAGE_BYTES`] of nothing else would be millions of steps, on every shard that carries the stream.
pub const MESSAGE_MOD_EX: usize = 16;
/// Sequence headers kept per stream for late joiners: 4 parts (video and audio configuration, HDR colours, speakers) ×
/// 16 tracks, each in a message of its own. OBS sends at most 10 tracks of video and 6 of audio. What is beyond it is
/// passed on to who is there, not kept, and counted.
pub const STREAM_HEADERS: usize = 64;
/// Bytes of all kept headers of a stream, `onMetaData` apart: 16 KiB each, many times what they take.
pub const STREAM_HEADERS_BYTES: usize = 1024 * 1024;
/// Bytes of one kept header. An hvcC with many parameter sets is under 4 KiB; onMetaData with cue points under 64.
pub const HEADER_BYTES: usize = 64 * 1024;

/// Bytes of an FLV file's header: version 1 has 9, and whoever adds to it adds some fields.
pub const FLV_HEADER_BYTES: u32 = 1_024;
/// The latest time of an FLV file, milliseconds: players take its 32 bits for signed ones. After 24 days another file.
pub const FLV_TIME_MAX: u64 = i32::MAX as u64;
/// Keyframes that an FLV recording has room for in its metadata, 18 bytes each: 4.5 hours with one every two seconds. Of
/// a longer recording's every second, fourth … is listed.
pub const FLV_KEYFRAMES: usize = 8_192;
/// Places of a file's index that are kept in memory, 16 bytes each: three days with a keyframe every two seconds.
pub const FLV_INDEX_PLACES: usize = 131_072;
/// Bytes of a tag's body that are looked at to tell what it is: the header of Enhanced RTMP and its first track, behind three
/// ModEx of the longest short form (256 bytes); nanoseconds, all there is of them, take 7.
pub const FLV_GLANCE: usize = 1_024;
/// Tags at the beginning of an FLV file that are looked at to learn what it holds.
pub const FLV_HEAD_TAGS: usize = 512;
/// The same as time: who has sound and pictures begins both by then.
pub const FLV_HEAD_TIME: Duration = Duration::from_secs(5);
/// Tags that have to follow one another before a place in the middle of a file is taken for the beginning of a tag.
pub const FLV_CHAIN: usize = 3;
/// Reads that are spent on what looks like a tag in the middle of a file and may be none, until no more is tried.
pub const FLV_CANDIDATES: usize = 64;
/// The stretch of an FLV file that is walked through, tag by tag; longer ones are halved first.
pub const FLV_STRETCH: u64 = 256 * 1024;
/// How far back a keyframe is looked for in a file without an index: 10 s at 50 Mbit/s. Where there is none, a viewer
/// begins with another picture, as in a live stream that has but one keyframe.
pub const FLV_BACK: u64 = 64 * 1024 * 1024;
/// How far the index of a foreign file may be wrong about a keyframe's time (FFmpeg's own tolerance).
pub const FLV_INDEX_SLACK: Duration = Duration::from_millis(2_500);
/// Bytes that are read where one tag's time is wanted: it and a few others, mostly sound.
pub const FLV_PEEK: usize = 4 * 1024;
/// Bytes that a file is read in where it is walked through.
pub const FILE_BLOCK: usize = 64 * 1024;
/// The same for a repair, which reads most of the file.
pub const REPAIR_BLOCK: usize = 1024 * 1024;
/// A file that begins later than this is a piece of a live stream, and its time counts from there.
pub const FILE_BEGIN: Duration = Duration::from_secs(1);
/// How far apart the places are that an index has of sound without video.
pub const SOUND_SYNC: Duration = Duration::from_secs(1);

// ---- Delivery -------------------------------------------------------------------------------

/// Slices of one `writev`: what the measurements found enough (Linux's own bound is 1,024).
pub const GATHER_SLICES: usize = 64;
/// Bytes of one `writev`: a GOP burst is sliced, so that one joiner does not delay the others.
pub const GATHER_BYTES: usize = 256 * 1024;
/// How long frames may be made to wait for others: far less than [`RING_AGE`], or players would fall behind by it.
pub const MERGE_MAX: Duration = Duration::from_secs(1);
/// Players served in one turn of the pump, about 0.3 ms: a stream with 10,000 delays another on its shard by 1 ms (by
/// 2.2 with 128, by 0.4 with 32, which costs 0.03 system calls a frame more).
pub const PUMP_PLAYERS: usize = 64;
/// Messages that may wait in one shard's mailbox before media for it is left out and sent again as a snapshot.
pub const MAILBOX_BACKLOG: usize = 4_096;
/// Backlogs that a shard's mailbox may hold when the last frames of a publication, which were left for later, are sent
/// all the same: after its end there is no later. A shard that is further behind loses them.
pub const MAILBOX_BACKLOGS_AT_END: usize = 2;
/// How late mail between shards is in the simulator, when the seed has it late: many rounds of the other shards.
pub const LATE_MAIL: Duration = Duration::from_millis(20);
/// The shared read buffer of a shard.
pub const SCRATCH_BYTES: usize = 64 * 1024;
/// Connections accepted in one turn, so that a reconnect storm does not starve publish and play requests.
pub const ACCEPTS_PER_TURN: u64 = 16;
/// Reads of one connection in one turn, so that a fast publisher does not starve its neighbours.
pub const READS_PER_TURN: usize = 4;
/// Bytes the kernel may hold unsent for a player (TCP_NOTSENT_LOWAT): what is measured to bound a stalled player.
pub const NOTSENT_LOWAT: u32 = 128 * 1024;
/// How long sent data may stay unacknowledged before the kernel gives the connection up (TCP_USER_TIMEOUT): a
/// peer whose machine vanished. The kernel's own bound is about 15 minutes; no longer than [`WRITE_STALL`].
pub const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that may wait to be accepted: a reconnect storm of a whole audience. The kernel caps it (somaxconn).
pub const LISTEN_BACKLOG: u16 = 4_096;
/// I/O events taken from the kernel at once: more come with the next call, and timers are not kept waiting.
pub const EVENTS_PER_WAIT: usize = 1_024;
/// The longest a thread waits without a look at its timers, so that no timeout overflows the kernel's int.
pub const PARK_MAX: Duration = Duration::from_secs(3_600);
/// Bytes of a file read whole, a configuration: no one writes more by hand.
pub const FILE_BYTES: usize = 1024 * 1024;
/// Data shards of one server.
pub const SHARDS_MAX: usize = 64;
/// Streams of one application, should an operator bound them: as many as there may be connections on a shard.
pub const STREAMS_MAX: usize = CONNECTIONS_PER_SHARD;
/// Addresses that are told apart for limits per address; beyond it newcomers count only among all. Some megabytes.
pub const ADDRESSES: usize = 65_536;
/// At how many addresses those are forgotten first whose connections have gone.
pub const ADDRESSES_SWEPT: usize = 1_024;
/// How often refused connections are logged: a flood must not fill the disk, too.
pub const REFUSALS_LOGGED: Duration = Duration::from_secs(1);
/// Connections a second from one address that may be configured: more than one core accepts.
pub const CONNECTS_PER_SECOND_MAX: u32 = 100_000;
/// Connections of one shard: beyond it a new one is closed at once.
pub const CONNECTIONS_PER_SHARD: usize = 100_000;

// ---- Files --------------------------------------------------------------------------------------

/// Operations of the process's recorders on its disks at a time, each on a thread of the blocking pool (whose own bound is
/// 500): a disk keeps some dozens busy, and one that hangs costs so many threads.
pub const DISK_OPERATIONS: usize = 64;
/// The same of its viewers: however many of them wait for a disk, recorders do not wait for them.
pub const DISK_VIEWS: usize = 64;
/// Names of one directory that are looked at: a year of recordings in segments of ten minutes, and more.
pub const DISK_ENTRIES: usize = 100_000;

/// Bytes of a path that may be configured: what Linux takes.
pub const PATH_BYTES: usize = 4_096;
/// Letters of a recording's name beside what its fields stand for. With [`RECORD_PIECE_BYTES`] twice, date, time and two
/// numbers, and `.flv.part`, a name has no more than the 255 bytes that file systems take.
pub const RECORD_NAME_BYTES: usize = 64;
/// Bytes of an application's or a stream's name in the name of a file; longer ones are cut off, and have a hash.
pub const RECORD_PIECE_BYTES: usize = 72;
/// Names that are tried for a recording, if all before are taken.
pub const RECORD_NAMES: u32 = 100;
/// How long files may get, and be kept: ten years.
pub const RECORD_TIME_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);
/// How often a recorder looks what its stream has brought: one write of so much costs little, and a power loss costs
/// no more than this beside [`RECORD_SYNC`].
pub const RECORD_INTERVAL: Duration = Duration::from_millis(250);
/// How often a recording is made playable up to now: a fragment of MP4.
pub const RECORD_FLUSH: Duration = Duration::from_secs(1);
/// How often a recording is made safe from a power loss.
pub const RECORD_SYNC: Duration = Duration::from_secs(2);
/// How long a recorder waits until it tries again what the disk has refused.
pub const RECORD_RETRY: Duration = Duration::from_secs(1);
/// How often it tries so to finish a file, until it leaves it to be repaired at the next start.
pub const RECORD_RETRIES: u32 = 5;
/// How long after its stream has ended a recorder waits for a disk.
pub const RECORD_GIVE_UP: Duration = Duration::from_secs(30);
/// How long a graceful stop waits for recordings beyond its drain time: for a disk that works, it is milliseconds.
pub const RECORD_STOP: Duration = Duration::from_secs(3);
/// Bytes of a recording that wait to be written, unless configured: some seconds of a good picture.
pub const RECORD_BUFFER: u64 = 4 * 1024 * 1024;
/// The fewest.
pub const RECORD_BUFFER_MIN: u64 = 64 * 1024;
/// The most.
pub const RECORD_BUFFER_MAX: u64 = 256 * 1024 * 1024;
/// How often recordings are looked at that may be too old or too many.
pub const RECORD_SWEEP: Duration = Duration::from_secs(60);
/// Bytes of a stream that has ended which its recorder still has to write: what a ring holds unless configured.
pub const RECORD_TAIL: usize = RING_BYTES as usize;
/// What the recordings of a shard hold beside its streams' rings, until their disk takes it, is at most one part in so many
/// of what the shard may keep; as long as something is recorded, rings do without that part, whether it is held or not, so
/// that a slow disk is nothing that players notice. Recorders look every [`RECORD_INTERVAL`]: more than a little only those
/// hold whose disk is behind. Beyond it each recorder makes no more than [`RECORD_BUFFER_MIN`] at a time.
pub const RECORD_SHARE: u64 = 4;
/// Bytes that a recorder keeps ready for the next ones: a good picture of [`RECORD_INTERVAL`]. What a slow disk made it hold
/// beyond them goes back.
pub const RECORD_READY: usize = 1024 * 1024;
/// Keyframes that a recording's index lists, if there are so many; of more, every second one, and so on. In FLV each takes
/// 18 bytes at the file's beginning, whether it comes or not: 36 KiB.
pub const RECORD_KEYFRAMES: usize = 2_048;
/// Files of recordings that are looked at: as many as of one directory.
pub const RECORD_FILES: usize = DISK_ENTRIES;
// ---- MP4 ------------------------------------------------------------------------------------

/// How much of a stream one fragment of a recording holds, ms: what a power cut may cost.
pub const MP4_FRAGMENT_MS: u64 = 1_000;
/// Of a stream of keyframes alone, ms: a fragment costs some hundred bytes, so that not each gets its own.
pub const MP4_FRAGMENT_KEY_MS: u64 = 200;
/// Bytes of samples that wait for their fragment to be written, and one message more: a second of 64 Mbit/s.
pub const MP4_FRAGMENT_BYTES: usize = 8 * 1024 * 1024;
/// Samples of them: 40 tracks of sound have that many in a second; a flood of tiny messages has more.
pub const MP4_FRAGMENT_SAMPLES_WRITTEN: usize = 4_096;
/// Bytes of memory that a track keeps from one fragment to the next.
pub const MP4_FRAGMENT_KEPT_BYTES: usize = 1024 * 1024;
/// Tracks of a recording, and of a file that is played.
pub const MP4_TRACKS: usize = 32;
/// Places in a recording's index; thinned out beyond: a keyframe a second for 18 hours.
pub const MP4_INDEX_ENTRIES: usize = 65_536;

/// Fragments of a file that do not say when they begin, at which it is known how far its tracks have come; thinned out
/// beyond: with 32 tracks 2 MB, with two 0.4 MB.
pub const MP4_MARKS: usize = 4_096;

/// Bytes of `moov` that are read: of a film of 10 GB with a sample each 10 ms it has 30 MB.
pub const MP4_MOOV_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of a fragment's description: a minute of 30 tracks has a hundred kilobytes.
pub const MP4_MOOF_BYTES: u64 = 4 * 1024 * 1024;
/// Samples of one fragment that is played: some writers put minutes into one. 48 bytes of memory each.
pub const MP4_MOOF_SAMPLES: usize = 131_072;
/// Bytes of `mfra`: a million keyframes.
pub const MP4_MFRA_BYTES: u64 = 20 * 1024 * 1024;
/// Bytes of `sidx`: all the pieces that one can list, 65,535 of 12 bytes.
pub const MP4_SIDX_BYTES: u64 = 1024 * 1024;
/// Bytes that are read at a time of what is read whole.
pub const MP4_READ_BYTES: u64 = 1024 * 1024;
/// Bytes that are read to find out what a box is: most descriptions of fragments are shorter.
pub const MP4_WALK_BYTES: u64 = 4_096;
/// Boxes before the first samples, and before `moov`: few files have ten.
pub const MP4_BOXES: u64 = 4_096;
/// Edits at the beginning of a track that are looked at: one or two in the field.
pub const MP4_EDITS: u32 = 16;
/// Samples that are known ahead, where each fragment holds one track only: some seconds of sound.
pub const MP4_SAMPLES_AHEAD: usize = 1_024;
/// Bytes of one sample that is played: a message, less its head.
pub const MP4_SAMPLE_BYTES: u32 = MESSAGE_BYTES - 16;

// ---- Operators' HTTP --------------------------------------------------------------------------

/// HTTP connections at a time; who is one too many waits in the kernel's queue. A scraper, some people, a script.
pub const HTTP_CONNECTIONS: usize = 64;
/// Bytes of a request's head, and of what is read ahead. Real ones take under 1 KiB.
pub const HTTP_HEAD_BYTES: usize = 16 * 1024;
/// Header lines of a request.
pub const HTTP_HEADERS: usize = 64;
/// Bytes of a request's body: none of ours needs one; some clients send `{}`.
pub const HTTP_BODY_BYTES: usize = 1_024;
/// From a request's arrival to the end of the next request's head: an answer that is not taken by then is
/// not taken at all. Longer than a scrape interval of 15 s, so that scrapers keep their connection.
pub const HTTP_TIME: Duration = Duration::from_secs(60);
/// From accept to the end of the first request's head: who connects has something to ask. Drips of a head, or none, hold a
/// seat no longer.
pub const HTTP_HEAD_TIME: Duration = Duration::from_secs(5);
/// How long all shards may take to answer an operator: they do within a turn, unless one has failed.
pub const REPORT_TIME: Duration = Duration::from_secs(2);
/// Streams or clients of one answer: about half a megabyte, and a shard's turn of some hundred microseconds.
pub const REPORT_ROWS: usize = 1_000;
/// A token that is guessed is a server that is lost: at least 16 characters.
pub const HTTP_TOKEN_MIN: usize = 16;
/// The longest token: a header line is short.
pub const HTTP_TOKEN_MAX: usize = 256;
/// Bytes of an answer that `millstream status` takes.
pub const STATUS_BYTES: usize = 4 * 1024 * 1024;
/// How often `millstream status --watch` asks.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// How long `millstream status` waits for the server.
pub const STATUS_TIME: Duration = Duration::from_secs(5);
// ---- Load tester ----------------------------------------------------------------------------

/// Streams that one load tester publishes or plays: one thread is busy with fewer.
pub const LOAD_STREAMS_MAX: usize = 10_000;
/// Players of one load tester: one address has about as many ports towards one server.
pub const LOAD_PLAYERS_MAX: usize = 60_000;
/// The longest run of a load tester: a day.
pub const LOAD_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// The lowest bitrate of its built-in stream, kbit/s: pictures and sound without any filling take less.
pub const LOAD_KBITS_MIN: u64 = 200;
/// The highest, kbit/s: a keyframe is then about 3 MB.
pub const LOAD_KBITS_MAX: u64 = 200_000;
/// Bytes of an FLV file that it publishes; it is held in memory.
pub const LOAD_FILE_BYTES: u64 = 1024 * 1024 * 1024;
/// The shortest file that it repeats: a shorter one would be a flood.
pub const LOAD_LOOP_MIN: Duration = Duration::from_millis(100);
/// How long a connection may take until it publishes or plays, from the first packet on.
pub const LOAD_SETUP_TIME: Duration = Duration::from_secs(10);
/// Connects of one load tester a second: the ramp is made longer where it would be steeper. Beyond it the
/// kernel's queue of connections that wait to be accepted would be measured, not the server.
pub const LOAD_CONNECTS_PER_SECOND: u32 = 5_000;
/// Bytes that may wait for a server that takes less than is published: it is too slow then, and the stream is over.
pub const LOAD_UNSENT_BYTES: usize = 16 * 1024 * 1024;
/// The same of all streams together: many streams would not fit into memory otherwise.
pub const LOAD_UNSENT_TOTAL: usize = 1024 * 1024 * 1024;
/// Addresses of one host name that are tried, in the resolver's order.
pub const LOAD_ADDRESSES: usize = 8;
/// Different reasons of failure that are told apart in a report.
pub const LOAD_REASONS: usize = 16;
/// How long publishers may take to say good-bye.
pub const LOAD_FAREWELL: Duration = Duration::from_secs(1);

const _: () = {
    assert!(REPORT_TIME.as_secs() < HTTP_TIME.as_secs());
    assert!(HTTP_HEAD_TIME.as_secs() < HTTP_TIME.as_secs());
    assert!(HTTP_TOKEN_MAX < HTTP_HEAD_BYTES);
    assert!(CHUNK_SIZE_DEFAULT <= CHUNK_SIZE_SEND_MAX);
    assert!(CHUNK_SIZE_SEND_MAX <= CHUNK_SIZE_RECEIVE_MAX);
    assert!(COMMAND_BYTES <= MESSAGE_BYTES);
    assert!(MESSAGE_BYTES as usize <= PARTIAL_BYTES);
    assert!(PARTIAL_RESERVE * CHUNK_STREAMS <= PARTIAL_BYTES);
    assert!(PRE_CONNECT_BYTES > 3_073 + COMMAND_BYTES as usize / 2);
    assert!(SESSION_EVENTS >= SCRATCH_BYTES && SESSION_EVENTS >= PRE_CONNECT_BYTES);
    assert!((MESSAGE_BYTES as u64) < RING_BYTES);
    assert!(RING_FRAMES_DEFAULT <= RING_FRAMES_MAX);
    assert!(MERGE_MAX.as_micros() * 4 <= RING_AGE.as_micros());
    assert!(HEADER_BYTES <= STREAM_HEADERS_BYTES);
    assert!(WINDOW_MIN <= WINDOW_ACK_SIZE_DEFAULT && WINDOW_MIN <= PEER_BANDWIDTH_DEFAULT);
    assert!(DRAIN_DEFAULT.as_secs() <= DRAIN_MAX.as_secs());
    assert!(PATIENCE_MIN.as_secs() <= CONNECT_TIME.as_secs());
    assert!(2 * ADDRESSES_SWEPT <= ADDRESSES);
    assert!(SCRATCH_BYTES >= 4_096);
    assert!(GATHER_SLICES <= 1_024);
    assert!(MESSAGE_BYTES < 0x0100_0000);
    assert!(FLV_GLANCE + 32 <= FILE_BLOCK && FILE_BLOCK <= REPAIR_BLOCK);
    assert!(FLV_STRETCH <= FLV_BACK);
    assert!(USER_TIMEOUT.as_secs() <= WRITE_STALL.as_secs());
    assert!(PUBLISHER_PING.as_secs() + PUBLISHER_ANSWER.as_secs() < PUBLISHER_IDLE.as_secs());
    assert!(GRACE_DEFAULT.as_secs() <= GRACE_MAX.as_secs());
    assert!(CLOCK_SEAM.as_millis() < CLOCK_BACK.as_millis());
    assert!(CLOCK_BACK.as_millis() <= CLOCK_AHEAD.as_millis());
    assert!(PARK_MAX.as_millis() < i32::MAX as u128);
};

/// Bytes that are read of a played file at a time: a tenth of a second to a second of it, one read of the disk.
pub const VOD_BLOCK_BYTES: usize = 256 * 1024;
/// Bytes of played files that a shard keeps for all of its viewers. The system keeps what it can, too: this is what spares
/// viewers of the same place the thread that would have to ask for it.
pub const VOD_CACHE_BYTES: usize = 64 * 1024 * 1024;
/// Files that a shard has open for viewers: each costs a descriptor and its tables.
pub const VOD_FILES: usize = 1_024;
/// How long opening a file may take: a disk that hangs holds its viewer up, and nobody else.
pub const VOD_OPEN_TIME: Duration = Duration::from_secs(10);
/// How far ahead of its time a recording is sent to who has not said how long its buffer is. FFmpeg, VLC and librtmp say.
pub const VOD_BUFFER: Duration = Duration::from_secs(3);
/// And the least and the most that anybody gets: FFmpeg's default is 3 s, librtmp's ten hours, which would send everything
/// at once.
pub const VOD_BUFFER_MIN: Duration = Duration::from_secs(1);
/// See [`VOD_BUFFER_MIN`].
pub const VOD_BUFFER_MAX: Duration = Duration::from_secs(30);
/// Bytes of a recording that are queued for a viewer until they are written: as one write holds.
pub const VOD_WRITE_BYTES: usize = 64 * 1024;
/// Messages of a recording that one viewer is served in a turn, should all of them be at hand.
pub const VOD_PACKETS_PER_TURN: u32 = 64;
/// How often a viewer at the end of a recording that is still being written looks whether it has grown.
pub const VOD_GROWTH: Duration = Duration::from_millis(250);
/// How long what a directory of recordings held serves all who look for a stream's newest recording: however many ask, each
/// shard lists it about once a second, and nobody is given what is older than that.
pub const VOD_LISTED: Duration = Duration::from_secs(1);
/// Directories of which a shard knows that, each of at most [`DISK_ENTRIES`] names: those of the applications that are asked for now.
pub const VOD_LISTINGS: usize = 4;
/// Recordings that may wait behind what plays (`play` with `reset` false).
pub const PLAYLIST: usize = 64;
/// Files of a live stream's recording that players may go back to: a week of segments of ten minutes. Each costs some
/// hundred bytes on every shard that carries the stream.
pub const TIMELINE: usize = 1_024;
/// How close to what is live nobody goes back: what lies between is not on the disk yet ([`RECORD_INTERVAL`],
/// [`RECORD_FLUSH`]), and would be played with a stutter.
pub const REWIND_MIN: Duration = Duration::from_secs(2);
/// Messages of a ring that are looked at for the sound or picture that a player has had last: headers and data between them
/// are few.
pub const REWIND_LOOK_BACK: u64 = 64;
/// How long a player that has gone back waits for the recording's next file, and for its first, before it goes on with what
/// is live: between two files there is a rename and two syncs of the disk.
pub const REWIND_GAP: Duration = Duration::from_secs(5);
/// The same once its publisher has gone: what was published by then may still begin one.
pub const REWIND_END: Duration = Duration::from_millis(500);
const _: () = assert!(VOD_BLOCK_BYTES * 4 <= VOD_CACHE_BYTES);
