//! A reader of chunks that shares nothing with the server's: short, slow, strict and obviously right (RTMP 1.0 §5.3).

use std::collections::BTreeMap;

/// A message, put together from its chunks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// 8 audio, 9 video, 18 data, 20 command, …
    pub type_id: u8,
    /// Its message stream.
    pub stream: u32,
    /// Its time, milliseconds.
    pub timestamp: u32,
    /// Its payload.
    pub payload: Vec<u8>,
    /// How many chunks it came in, and of what size they were allowed to be at its last one.
    pub chunks: usize,
    /// Bytes.
    pub chunk_size: usize,
}

impl Message {
    /// The AMF0 string its payload begins with, of a command or a data message. (A command of AMF3 has a byte before.)
    pub fn name(&self) -> Option<&[u8]> {
        let payload = self.values();
        let length = usize::from(u16::from_be_bytes([*payload.get(1)?, *payload.get(2)?]));
        (payload.first() == Some(&2)).then(|| payload.get(3..3 + length))?
    }

    /// The transaction of a command.
    pub fn transaction(&self) -> Option<f64> {
        let number = self.values().get(3 + self.name()?.len()..)?;
        let bytes = number.get(1..9)?.try_into().ok()?;
        (number.first() == Some(&0)).then(|| f64::from_be_bytes(bytes))
    }

    /// Its AMF values.
    pub fn values(&self) -> &[u8] {
        let wrapped = matches!(self.type_id, 15 | 17) && self.payload.first() == Some(&0);
        self.payload.get(usize::from(wrapped)..).unwrap_or_default()
    }

    /// Whether `text` stands in it anywhere.
    pub fn says(&self, text: &str) -> bool {
        self.payload
            .windows(text.len())
            .any(|at| at == text.as_bytes())
    }
}

/// Reads one direction of a connection, from behind the handshake.
#[derive(Debug)]
pub struct Reader {
    chunk_size: usize,
    streams: BTreeMap<u32, ChunkStream>,
    unread: Vec<u8>,
    at: usize,
    announced: Option<(u8, usize)>,
}

#[derive(Clone, Debug, Default)]
struct ChunkStream {
    timestamp: u32,
    delta: u32,
    extended: bool,
    length: usize,
    type_id: u8,
    stream: u32,
    /// What has come of the present message.
    partial: Option<(Vec<u8>, usize)>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            chunk_size: 128,
            streams: BTreeMap::new(),
            unread: Vec::new(),
            at: 0,
            announced: None,
        }
    }
}

/// The type ids there are.
const TYPES: [u8; 15] = [1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 17, 18, 19, 20, 22];

impl Reader {
    /// Takes in `bytes`.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.unread.drain(..std::mem::take(&mut self.at));
        self.unread.extend_from_slice(bytes);
    }

    /// The type and the length that the newest chunk header speaks of, whether or not the rest has come.
    pub fn announced(&self) -> Option<(u8, usize)> {
        self.announced
    }

    /// The next whole message; `None`: more is needed.
    ///
    /// # Errors
    /// This is no chunk stream, or not one that goes on so.
    pub fn take(&mut self) -> Result<Option<Message>, String> {
        loop {
            let Some((csid, taken)) = self.chunk()? else {
                return Ok(None);
            };
            self.at += taken;
            let chunk_size = self.chunk_size;
            let Some(stream) = self.streams.get_mut(&csid) else {
                return Ok(None);
            };
            let length = stream.length;
            let whole = |(body, _): &mut (Vec<u8>, usize)| body.len() == length;
            let Some((payload, chunks)) = stream.partial.take_if(whole) else {
                continue;
            };
            let message = Message {
                type_id: stream.type_id,
                stream: stream.stream,
                timestamp: stream.timestamp,
                payload,
                chunks,
                chunk_size,
            };
            self.control(csid, &message)?;
            return Ok(Some(message));
        }
    }

    /// One whole chunk, if it is there: its chunk stream, and how many bytes it takes.
    fn chunk(&mut self) -> Result<Option<(u32, usize)>, String> {
        let unread = self.unread.get(self.at..).unwrap_or_default();
        let mut bytes = unread.iter().copied();
        let mut next = || bytes.next().map(u32::from);
        let Some((format, csid)) = basic(&mut next) else {
            return Ok(None);
        };
        let known = self.streams.get(&csid);
        let mut stream = match known {
            Some(stream) => stream.clone_header(),
            None if format == 0 => ChunkStream::default(),
            None => return Err(format!("csid {csid} begins with format {format}")),
        };
        let underway = known.is_some_and(|stream| stream.partial.is_some());
        if underway && format != 3 {
            return Err(format!(
                "a message begins on csid {csid} in the middle of another"
            ));
        }
        if stream.header(format, underway, &mut next).is_none() {
            return Ok(None);
        }
        if !TYPES.contains(&stream.type_id) {
            return Err(format!("csid {csid}: a message of type {}", stream.type_id));
        }
        let before = known.and_then(|stream| stream.partial.as_ref());
        let missing = stream.length - before.map_or(0, |(body, _)| body.len());
        let header = unread.len() - bytes.len();
        let end = header + missing.min(self.chunk_size);
        self.announced = Some((stream.type_id, stream.length));
        let Some(body) = unread.get(header..end) else {
            return Ok(None);
        };
        let old = self.streams.entry(csid).or_default();
        let (mut payload, chunks) = old.partial.take().unwrap_or_default();
        payload.extend_from_slice(body);
        *old = ChunkStream {
            partial: Some((payload, chunks + 1)),
            ..stream
        };
        Ok(Some((csid, end)))
    }

    /// What a protocol control message does, and what it must look like.
    fn control(&mut self, csid: u32, message: &Message) -> Result<(), String> {
        let Message {
            type_id,
            stream,
            payload,
            ..
        } = message;
        if !matches!(type_id, 1..=6) {
            return Ok(());
        }
        let fits = match type_id {
            4 => payload.len() >= 6,
            6 => payload.len() == 5,
            _ => payload.len() == 4,
        };
        let value = payload.first_chunk().map_or(0, |b| u32::from_be_bytes(*b));
        if !fits || csid != 2 || *stream != 0 {
            return Err(format!(
                "a control message of type {type_id} and {} bytes on csid {csid} and stream {stream}",
                payload.len()
            ));
        }
        match type_id {
            1 if value == 0 || value > 0x7fff_ffff => Err(format!("a chunk size of {value}")),
            1 => {
                self.chunk_size = value as usize;
                Ok(())
            }
            2 => {
                if let Some(stream) = self.streams.get_mut(&value) {
                    stream.partial = None;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Format and csid.
fn basic(next: &mut impl FnMut() -> Option<u32>) -> Option<(u8, u32)> {
    let first = next()?;
    let csid = match first & 0x3f {
        0 => 64 + next()?,
        1 => 64 + next()? + 256 * next()?,
        csid => csid,
    };
    Some(((first >> 6) as u8, csid))
}

fn number(next: &mut impl FnMut() -> Option<u32>, bytes: usize) -> Option<u32> {
    (0..bytes).try_fold(0, |value, _| Some(value << 8 | next()?))
}

impl ChunkStream {
    fn clone_header(&self) -> Self {
        Self {
            partial: None,
            ..*self
        }
    }

    /// Takes in the message header of `format`; `None` if it is not all there.
    fn header(
        &mut self,
        format: u8,
        underway: bool,
        next: &mut impl FnMut() -> Option<u32>,
    ) -> Option<()> {
        let mut time = self.delta;
        if format < 3 {
            time = number(next, 3)?;
            self.extended = time == 0x00ff_ffff;
        }
        if format < 2 {
            self.length = number(next, 3)? as usize;
            self.type_id = next()? as u8;
        }
        if format == 0 {
            self.stream = number(next, 4)?.swap_bytes();
        }
        if self.extended {
            let extended = number(next, 4)?;
            time = if underway { time } else { extended };
        }
        if !underway {
            self.delta = time;
            self.timestamp = match format {
                0 => time,
                _ => self.timestamp.wrapping_add(time),
            };
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Message>, String> {
        let mut reader = Reader::default();
        let mut messages = Vec::new();
        for byte in bytes {
            reader.feed(&[*byte]);
            while let Some(message) = reader.take()? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    fn chunk_size(size: u32) -> Vec<u8> {
        [
            &[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0][..],
            &size.to_be_bytes(),
        ]
        .concat()
    }

    /// 200 bytes of audio on csid 4 at 1,000 ms, in chunks of `size`.
    fn audio(size: usize) -> Vec<u8> {
        let mut out = vec![4, 0, 3, 0xe8, 0, 0, 200, 8, 1, 0, 0, 0];
        for (n, chunk) in [7; 200].chunks(size).enumerate() {
            if n > 0 {
                out.push(0xc4);
            }
            out.extend(chunk);
        }
        out
    }

    #[test]
    fn chunks_become_messages_and_a_new_size_holds_for_all_later_ones() {
        let read = all(&[
            audio(128),
            chunk_size(50),
            audio(50),
            chunk_size(9_000),
            audio(9_000),
        ]
        .concat());
        let read = read.unwrap();
        let of = |message: &Message| {
            (
                message.type_id,
                message.stream,
                message.timestamp,
                message.chunks,
            )
        };
        let audio: Vec<_> = read.iter().filter(|m| m.type_id == 8).map(of).collect();
        assert_eq!(
            audio,
            [(8, 1, 1_000, 2), (8, 1, 1_000, 4), (8, 1, 1_000, 1)]
        );
        assert!(read.iter().all(|m| m.type_id == 1 || m.payload == [7; 200]));
    }

    #[test]
    fn a_size_that_was_not_announced_or_came_early_is_found() {
        for bytes in [
            [audio(100), audio(100)].concat(),
            [audio(50), chunk_size(50), audio(50)].concat(),
            [chunk_size(50), audio(128), audio(128)].concat(),
        ] {
            assert!(all(&bytes).is_err());
        }
    }

    #[test]
    fn formats_and_extended_timestamps_add_up() {
        let mut bytes = vec![4, 0xff, 0xff, 0xff, 0, 0, 130, 8, 1, 0, 0, 0, 1, 0, 0, 0];
        bytes.extend([1; 128]);
        bytes.extend([0xc4, 1, 0, 0, 0, 1, 1]);
        bytes.extend([0x84, 0, 0, 5]);
        bytes.extend([2; 128]);
        bytes.extend([0xc4, 2, 2]);
        bytes.extend([0x44, 0, 0, 6, 0, 0, 1, 9, 3]);
        bytes.extend([0xc4, 4]);
        let read = all(&bytes).unwrap();
        let times: Vec<_> = read.iter().map(|m| (m.type_id, m.timestamp)).collect();
        let start = 0x0100_0000;
        let expected = [(8, start), (8, start + 5), (9, start + 11), (9, start + 17)];
        assert_eq!(times, expected);
    }

    #[test]
    fn a_message_in_the_middle_of_another_is_found() {
        let mut bytes = audio(128);
        bytes.truncate(100 + 12);
        bytes.resize(12 + 128, 7);
        bytes.extend(audio(128));
        assert!(all(&bytes).is_err());
        assert!(
            all(&[0x44, 0, 0, 0, 0, 0, 1, 8, 1]).is_err(),
            "a delta to nothing"
        );
        assert!(all(&[4, 0, 0, 0, 0, 0, 1, 77, 0, 0, 0, 0, 1]).is_err());
    }
}
