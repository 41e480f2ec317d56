//! The broadcast a script sends.

use std::rc::Rc;

use millstream::time::{Duration, Instant};

use super::{Actor, PATIENCE, Stage};
use crate::client::link::Link;
use crate::journal::Observation;
use crate::media::{Broadcast, Frame, Shape};
use crate::scenario::SendMedia;

/// Messages that wait for a picture to stand among its chunks, at most.
const INTERLEAVED: usize = 8;

impl<S: Stage> Actor<S> {
    pub(super) async fn send_media(&mut self, media: &SendMedia) {
        let mut batch = Vec::new();
        for n in 1..=media.frames {
            if self.is_over(media) {
                if !batch.is_empty() {
                    self.send_frames(media, batch);
                }
                return self.flush().await;
            }
            let Some((due, frame)) = self.next_frame(media) else {
                return;
            };
            if due > self.stage.now() {
                self.until(due, |_, _| false).await;
            }
            // Chunks of a picture need not wait for the audio before it; the audio waits for the picture.
            let enough = match media.chunking.interleave {
                true => frame.sort.is_picture() || batch.len() + 1 >= INTERLEAVED,
                false => batch.len() + 1 >= media.aggregate,
            };
            batch.push(frame);
            if !enough && n < media.frames {
                continue;
            }
            if !self.send_frames(media, std::mem::take(&mut batch)) {
                return;
            }
            self.until(self.stage.now() + PATIENCE * 10, |_, link| {
                link.is_flushed()
            })
            .await;
        }
    }

    /// Whether the broadcast has come to the end of this piece.
    fn is_over(&self, media: &SendMedia) -> bool {
        let source = self
            .broadcast
            .as_ref()
            .and_then(|on_air| on_air.source.as_ref());
        let offset = source.map_or(0, Broadcast::next_offset);
        media.until_ms > 0 && offset >= media.until_ms
    }

    /// The next frame of what is on air, and when it is due.
    fn next_frame(&mut self, media: &SendMedia) -> Option<(Instant, Rc<Frame>)> {
        let now = self.stage.now();
        let client = &self.name;
        let on_air = self.broadcast.as_mut().filter(|_| !self.state.refused)?;
        if on_air.source.is_none() {
            on_air.began = now;
        }
        let publication = on_air.publication;
        let source = on_air
            .source
            .get_or_insert_with(|| Broadcast::new(shape(media), client, publication));
        let offset = Duration::from_millis(u64::from(source.next_offset()));
        let due = match media.paced {
            true => on_air.began + offset,
            false => now,
        };
        Some((due, Rc::new(source.next_frame())))
    }

    /// Sends them, in one message or each alone. False if there is nobody to send to any more.
    fn send_frames(&mut self, media: &SendMedia, frames: Vec<Rc<Frame>>) -> bool {
        let stands = |link: &&mut Link<S>| link.over().is_none() && !link.is_deaf();
        let (Some(link), true, Some(stream)) = (
            self.link.as_mut().filter(stands),
            self.broadcast.is_some(),
            self.state.on_air,
        ) else {
            return false;
        };
        let parts = frames.iter().map(|f| (f.kind, f.timestamp, &f.payload[..]));
        if media.aggregate > 0 {
            let parts: Vec<_> = parts.collect();
            link.session.send_aggregate(stream, &parts);
        } else if media.chunking.is_sessions() {
            for (kind, timestamp, payload) in parts {
                let type_id = kind.type_id();
                link.session
                    .send_message(type_id, stream, timestamp, payload);
            }
        } else {
            self.weave(&media.chunking, stream, &frames);
        }
        let Some(on_air) = self.broadcast.as_mut() else {
            return false;
        };
        let first = on_air.index;
        on_air.index += frames.len();
        let (name, publication) = (on_air.name.clone(), on_air.publication);
        for (index, frame) in (first..).zip(frames) {
            self.note(&Observation::Sent {
                name: name.clone(),
                publication,
                index,
                frame,
            });
        }
        true
    }
}

fn shape(media: &SendMedia) -> Shape {
    Shape {
        gop: media.gop,
        phase: media.phase,
        picture_ms: media.picture_ms,
        audio_ms: media.audio_ms,
        picture_bytes: media.picture_bytes,
        start: media.first_timestamp,
        headers_every: media.headers_every,
        tracks: media.tracks,
        jumps: std::array::from_fn(|n| media.jumps.get(n).copied().unwrap_or_default()),
        zero_headers: media.zero_headers,
        decodable: media.decodable,
    }
}
