//! What a script does that sessions do not do by themselves.

use millstream::limits;
use millstream::rtmp::amf::Value;
use millstream::rtmp::message;
use millstream::rtmp::session::MessageStreamId;
use millstream::rtmp::wire::MediaKind;
use millstream::runtime::Conn;
use millstream::time::Timestamp;

use super::{Actor, Link, Rc, Stage};
use crate::client::chunks::{Head, Open, go_on};
use crate::client::garbage;
use crate::journal::Observation;
use crate::media::Frame;
use crate::scenario::{Chunking, Cut, CutKind, Ending, Garbage, Tell};

/// Bytes that the answer to a ping has at least: a header of format 3, and its 6.
const ANSWER_TO_PING: u64 = 7;

impl<S: Stage> Actor<S> {
    pub(super) fn cut_after(&mut self, cut: Cut) {
        let cut = Cut {
            after: cut.after.max(1),
            ..cut
        };
        self.cut = Some(cut);
        self.with_link(|link| link.cut_after(cut.after));
    }

    /// The last byte that may leave has left.
    pub(super) fn cut_off(&mut self) {
        match self.cut.take().map(|cut| cut.how) {
            Some(CutKind::Rst) => self.abort(),
            Some(CutKind::Fin) => self.leave("is gone"),
            Some(CutKind::HalfClose) | None => {
                self.note(&Observation::LetsGo { why: "half-closes" });
                self.note(&Observation::Strays { how: "half-closes" });
                // Unlike one who half-closes by itself, it has more to say.
                self.whisper(&Observation::Strays { how: "is cut off" });
                self.with_link(|link| {
                    link.fall_silent();
                    // It may be over already; then there is nothing left to close.
                    let _ = link.conn.shutdown_write();
                });
            }
        }
    }

    pub(super) async fn litter(&mut self, garbage: &Garbage) {
        let raw = self.link.as_ref().is_some_and(Link::is_raw);
        if !raw && !self.state.established {
            return;
        }
        let how = "sends garbage";
        self.note(&Observation::Strays { how });
        let fatal = self.state.connected && garbage.is_fatal();
        let bytes = garbage::bytes(garbage, self.chunk_size);
        self.with_link(|link| link.session.send_raw(&bytes));
        self.flush().await;
        // Only now is it on its way; the server may have been faster.
        let stands = self.link.as_ref().is_some_and(|l| l.over().is_none());
        if fatal && stands {
            self.note(&Observation::Breaks { how });
        }
    }

    pub(super) async fn tell(&mut self, tell: &Tell) {
        if !self.state.established {
            return;
        }
        let mut times = 1;
        let (type_id, payload) = match tell {
            Tell::WindowAckSize(size) => (message::WINDOW_ACK_SIZE, size.to_be_bytes().to_vec()),
            Tell::PeerBandwidth { size, limit } => {
                let mut payload = size.to_be_bytes().to_vec();
                payload.push(*limit);
                (message::SET_PEER_BANDWIDTH, payload)
            }
            Tell::Acknowledgement(n) => (message::ACKNOWLEDGEMENT, n.to_be_bytes().to_vec()),
            Tell::Pings(n) => {
                times = *n;
                (message::USER_CONTROL, vec![0, 6, 1, 2, 3, 4])
            }
            Tell::BufferLength { stream, ms } => {
                let mut payload = vec![0, 3];
                payload.extend(stream.to_be_bytes());
                payload.extend(ms.to_be_bytes());
                (message::USER_CONTROL, payload)
            }
            Tell::Message { type_id, payload } => (*type_id, payload.clone()),
        };
        self.with_link(|link| {
            for _ in 0..times {
                link.session
                    .send_message(type_id, 0, Timestamp(0), &payload);
            }
        });
        self.flush().await;
        let asked = u64::from(times) * ANSWER_TO_PING;
        if asked > limits::REPLY_BYTES as u64
            && self
                .link
                .as_ref()
                .is_some_and(|link| link.reads_nothing() && link.is_flushed())
        {
            let how = "asks and does not read the answers";
            self.note(&Observation::Breaks { how });
        }
    }

    /// Takes the metadata back, in the order of its broadcast.
    pub(super) async fn clear_metadata(&mut self) {
        let stands = self.link.as_ref().is_some_and(|link| !link.is_deaf());
        let (Some(stream), Some(on_air), true) =
            (self.state.on_air, self.broadcast.as_mut(), stands)
        else {
            return;
        };
        let Some(timestamp) = on_air.source.as_ref().map(|source| source.next_timestamp()) else {
            return;
        };
        let frame = Rc::new(Frame::cleared(timestamp));
        let sent = Observation::Sent {
            name: on_air.name.clone(),
            publication: on_air.publication,
            index: on_air.index,
            frame: frame.clone(),
        };
        on_air.index += 1;
        self.with_link(|link| {
            let session = &mut link.session;
            session.send_message(message::DATA_AMF0, stream, timestamp, &frame.payload);
        });
        self.note(&sent);
        self.flush().await;
    }

    pub(super) async fn end_stream(&mut self, ending: Ending) {
        self.answer_to_publish().await;
        self.flush().await;
        let stream = self.state.on_air.or(self.state.stream);
        let publishes = self
            .broadcast
            .as_ref()
            .filter(|_| self.state.on_air.is_some());
        let name = publishes.map(|on_air| on_air.name.clone());
        let Some(stream) = stream else {
            return self.close_stream().await;
        };
        let name = name.as_deref().and_then(|name| name.split_once('/'));
        let name = name.map(|(_, name)| Value::string(name));
        self.with_link(|link| {
            let session = &mut link.session;
            let number = || vec![Value::Number(f64::from(stream))];
            let mut call = |on: MessageStreamId, command: &str, arguments| {
                // Some are not answered: few enough to leave open.
                let _ = session.call(on, command, arguments);
            };
            match (ending, name) {
                (Ending::FcUnpublish, Some(name)) => call(0, "FCUnpublish", vec![name]),
                (Ending::DeleteStream | Ending::FcUnpublish, _) => {
                    call(0, "deleteStream", number());
                }
                (Ending::CloseStream, _) => call(stream, "closeStream", vec![]),
                (Ending::False, Some(_)) => call(stream, "publish", vec![Value::Boolean(false)]),
                (Ending::False, None) => call(stream, "play", vec![Value::Boolean(false)]),
                (Ending::All, name) => {
                    call(0, "FCUnpublish", name.into_iter().collect());
                    call(stream, "closeStream", vec![]);
                    call(0, "deleteStream", number());
                }
            }
        });
        self.has_closed();
        self.flush().await;
    }

    /// Sends `frames`, whose last may be long, as chunks among each other's.
    pub(super) fn weave(&mut self, how: &Chunking, stream: MessageStreamId, frames: &[Rc<Frame>]) {
        self.weaver.full_headers = how.full_headers;
        self.weaver.omit_extended = how.omit_extended;
        let Some((last, others)) = frames.split_last() else {
            return;
        };
        let mut out = Vec::new();
        let (head, payload) = (head(how, stream, last), &last.payload[..]);
        // A chunk stream has one message at a time: before a picture's headers are whole, it has not begun.
        let same = others.iter().rposition(|frame| frame.kind == last.kind);
        let (before, mut others) = others.split_at(same.map_or(0, |index| index + 1));
        for frame in before {
            self.finish(&mut out, how, stream, frame);
        }
        // Now, as those may have changed the chunk size.
        let long = payload.len() > self.chunk_size as usize;
        self.woven += usize::from(long);
        if !long || !how.interleave {
            for frame in std::mem::take(&mut others) {
                self.finish(&mut out, how, stream, frame);
            }
        }
        let long = payload.len() > self.chunk_size as usize;
        if long && how.take_back && self.woven % 3 == 1 {
            // Its first chunk is all of it that comes. Its header stays in force behind it: a server that has not dropped
            // the rest takes what leans on it for that.
            let half_way = self.weaver.half_way(head);
            let begun = Head {
                timestamp: half_way.unwrap_or(head.timestamp),
                ..head
            };
            let _ = self.weaver.begin(&mut out, begun, payload, self.chunk_size);
            self.say(&mut out);
            let csid = head.csid.to_be_bytes();
            self.with_link(|link| {
                link.session
                    .send_message(message::ABORT, 0, Timestamp(0), &csid);
            });
            if half_way.is_none() {
                self.weaver.forget(head.csid);
            }
        }
        let mut picture = self.weaver.begin(&mut out, head, payload, self.chunk_size);
        let mut first = true;
        for frame in others {
            let head = self::head(how, stream, frame);
            let mut other = self
                .weaver
                .begin(&mut out, head, &frame.payload, self.chunk_size);
            while !other.is_done() {
                self.resize(&mut out, how, std::mem::take(&mut first));
                // All others are complete before the picture is, or their order would be another.
                if picture.left() > self.chunk_size as usize {
                    go_on(&mut out, &mut picture, self.chunk_size);
                }
                go_on(&mut out, &mut other, self.chunk_size);
            }
        }
        self.complete(&mut out, how, picture);
        self.say(&mut out);
    }

    /// A message without others in it.
    fn finish(
        &mut self,
        out: &mut Vec<u8>,
        how: &Chunking,
        stream: MessageStreamId,
        frame: &Frame,
    ) {
        let head = head(how, stream, frame);
        let open = self
            .weaver
            .begin(out, head, &frame.payload, self.chunk_size);
        self.complete(out, how, open);
        self.say(out);
    }

    fn complete(&mut self, out: &mut Vec<u8>, how: &Chunking, mut open: Open<'_>) {
        let mut first = true;
        while !open.is_done() {
            self.resize(out, how, first);
            go_on(out, &mut open, self.chunk_size);
            first = false;
        }
    }

    /// Changes the chunk size where the message stands, once a message.
    fn resize(&mut self, out: &mut Vec<u8>, how: &Chunking, now: bool) {
        if how.resize.is_empty() || !now {
            return;
        }
        self.say(out);
        self.woven += 1;
        let size = how.resize.get(self.woven % how.resize.len());
        self.chunk_size = size.copied().unwrap_or(128).clamp(1, 65_536);
        let size = self.chunk_size;
        self.with_link(|link| link.session.set_chunk_size(size));
    }

    /// Hands over what was written, before the session says something itself.
    fn say(&mut self, out: &mut Vec<u8>) {
        self.with_link(|link| link.session.send_raw(out));
        out.clear();
    }
}

fn head(how: &Chunking, stream: MessageStreamId, frame: &Frame) -> Head {
    let beside = match frame.kind {
        MediaKind::Video => 0,
        MediaKind::Audio => 1,
        MediaKind::Data => 2,
    };
    Head {
        csid: how.csid + beside,
        type_id: frame.kind.type_id(),
        stream,
        timestamp: frame.timestamp,
    }
}
