//! What the benches beside the peers have in common: the recording.

use millstream::rtmp::chunk::encoder::Encoder;
use millstream::rtmp::chunk::{CSID_AUDIO, CSID_VIDEO};
use millstream::rtmp::message::{AUDIO, VIDEO};
use millstream::time::Timestamp;

/// How long the recording is.
pub const SECONDS: u32 = 10;

/// One message of the recording.
#[derive(Debug)]
pub struct Frame {
    /// Chunk stream.
    pub csid: u32,
    /// Message type id.
    pub type_id: u8,
    /// Timestamp, milliseconds.
    pub time: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

/// Ten seconds of 4 Mbit/s: 30 fps at 3.85 Mbit/s with a keyframe of about 100 KB every two seconds, and audio of 350
/// bytes every 21 ms. Sizes vary by an eighth, as an encoder's do; contents are noise from a fixed seed.
pub fn recording() -> Vec<Frame> {
    let mut noise = Noise(1);
    let mut frames = Vec::new();
    for n in 0..SECONDS * 30 {
        let size = if n % 60 == 0 { 100_000 } else { 14_600 };
        frames.push(Frame {
            csid: CSID_VIDEO,
            type_id: VIDEO,
            time: n * 100 / 3,
            payload: noise.payload(size),
        });
    }
    for n in 0..SECONDS * 47 {
        frames.push(Frame {
            csid: CSID_AUDIO,
            type_id: AUDIO,
            time: n * 64 / 3,
            payload: noise.payload(350),
        });
    }
    frames.sort_by_key(|frame| frame.time);
    frames
}

/// Our encoding of `frames`, on message stream 1.
pub fn encode(frames: &[Frame], chunk_size: u32, out: &mut Vec<u8>) {
    let mut encoder = Encoder::new();
    encoder.set_chunk_size(chunk_size);
    for frame in frames {
        let time = Timestamp(frame.time);
        encoder.encode(out, frame.csid, frame.type_id, 1, time, &frame.payload);
    }
}

/// xorshift64.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn payload(&mut self, size: usize) -> Vec<u8> {
        let len = size - size / 8 + (self.next() as usize) % (size / 4);
        (0..len).map(|_| self.next() as u8).collect()
    }
}
