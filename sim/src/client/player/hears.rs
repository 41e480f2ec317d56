//! What the server says, and what the journal is told of it.

use std::rc::Rc;

use bytes::Bytes;
use millstream::rtmp::session::MessageStreamId;
use millstream::rtmp::session::client::ClientEvent;
use millstream::rtmp::wire::MediaKind;
use millstream::time::Timestamp;

use super::{Actor, Asked, Stage};
use crate::faults::Fault;
use crate::journal::Observation;

/// What names of recordings begin with.
const VOD: &str = "vod/";

impl<S: Stage> Actor<S> {
    pub(super) fn handle(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Established => self.state.established = true,
            ClientEvent::Connected => {
                self.state.connected = true;
                self.note(&Observation::Connected);
            }
            ClientEvent::Refused { code, .. } if code == "NetStream.Seek.Failed" => {
                self.state.returning = false; // nothing is recorded
                self.told(code);
            }
            ClientEvent::Refused { code, description } if self.is_of_view(&code) => {
                self.cannot_view(code, &description);
            }
            ClientEvent::Refused { code, .. } => {
                self.state.refused = true;
                self.told(code);
            }
            ClientEvent::Status {
                stream,
                code,
                level,
                ..
            } => self.handle_status(stream, code, &level),
            ClientEvent::Media {
                stream,
                kind,
                timestamp,
                payload,
            } => self.receive(stream, kind, timestamp, payload),
            ClientEvent::StreamCreated { stream } => match self.state.asked.pop_front() {
                Some(Asked::Play) => self.state.stream = Some(stream),
                Some(Asked::Beside) => {
                    if let Some(beside) = &mut self.state.beside {
                        beside.stream = Some(stream);
                    }
                }
                Some(Asked::Publish) => self.state.on_air = Some(stream),
                None => {}
            },
            ClientEvent::Answered { .. } => self.state.answers += 1,
            ClientEvent::Control { .. }
            | ClientEvent::ChunkSize(_)
            | ClientEvent::Acknowledged(_)
            | ClientEvent::Redirected { .. } => {}
        }
    }

    fn receive(
        &mut self,
        stream: MessageStreamId,
        kind: MediaKind,
        timestamp: Timestamp,
        payload: Bytes,
    ) {
        let received = |name: &Rc<str>| Observation::Received {
            name: name.clone(),
            kind,
            timestamp,
            payload: payload.clone(),
        };
        let beside = self.state.beside.as_ref();
        if let Some(beside) = beside.filter(|beside| beside.stream == Some(stream)) {
            return self.note_beside(&received(&beside.name));
        }
        if self.state.stream == Some(stream) {
            if kind != MediaKind::Data {
                self.state.frames += 1;
            }
            self.state.newest = timestamp;
            if self.state.relives {
                self.note(&Observation::Relived {
                    kind,
                    timestamp,
                    payload,
                });
            } else if self.state.views {
                self.note(&Observation::Viewed {
                    kind,
                    timestamp,
                    payload,
                });
            } else if let Some(name) = &self.state.played {
                self.note(&received(name));
            }
        } else if !self.state.closed {
            let what = format!("{}: media on message stream {stream}", self.name);
            let now = self.stage.now();
            self.journal
                .fail(now, "the server speaks the protocol", what);
        }
    }

    fn handle_status(&mut self, stream: MessageStreamId, code: String, level: &str) {
        if self.handle_beside(stream, &code) {
            return;
        }
        let mine = self.state.stream == Some(stream);
        match &*code {
            "NetStream.Publish.Start" if self.state.on_air == Some(stream) => {
                self.state.publishing = true;
                if let Some(on_air) = &self.broadcast {
                    let name = on_air.name.clone();
                    self.note(&Observation::Publishes { name });
                }
            }
            "NetStream.Play.Start" if mine && !self.state.playing => {
                self.state.playing = true;
                if let Some(name) = self.state.played.clone().filter(|_| !self.state.views) {
                    self.note(&Observation::Plays { name });
                }
            }
            "NetStream.Unpause.Notify" if mine => self.is_back(false),
            "NetStream.Seek.Notify" if mine => {
                self.is_back(true);
                if let Some(ms) = self.state.sought.take() {
                    self.note(&Observation::Sought { ms });
                }
            }
            "NetStream.Play.Transition" if mine => {
                if let Some(name) = self.state.next.take() {
                    self.note(&Observation::AsksToPlay { name: name.clone() });
                    self.note(&Observation::Plays { name: name.clone() });
                    self.state.played = Some(name);
                    self.state.frames = 0;
                    self.state.ended = false;
                }
            }
            // Late words about what was closed.
            "NetStream.Play.UnpublishNotify" | "NetStream.Play.PublishNotify" if !mine => return,
            "NetStream.Play.UnpublishNotify" | "NetStream.Play.Stop" => self.state.ended = true,
            "NetStream.Play.PublishNotify" => self.state.ended = false,
            // Sent to whoever closes, too; by then it may have asked anew.
            "NetStream.Unpublish.Success" if self.state.publishing => {
                self.note(&Observation::LetsGo { why: "is told so" });
            }
            _ => {}
        }
        if level == "error" {
            self.state.refused = true;
        }
        self.told(code);
    }

    /// Whether an error is about what it views, or asks to view.
    fn is_of_view(&self, code: &str) -> bool {
        self.state.views && code.starts_with("NetStream.Play.")
    }

    /// A refusal begins with what was asked for.
    fn cannot_view(&mut self, code: String, description: &str) {
        self.state.unplayable = true;
        let name = description.split(": ").next().unwrap_or_default();
        let refused = name.starts_with(VOD).then(|| Rc::from(name));
        self.note(&Observation::Unplayable { code, refused });
    }

    fn told(&self, code: String) {
        if code == "NetStream.Publish.BadName" {
            self.stage.fires(Fault::DuplicatePublish);
        }
        self.note(&Observation::Told { code });
    }

    /// What the second play is told; false if it is not meant.
    fn handle_beside(&mut self, stream: MessageStreamId, code: &str) -> bool {
        let beside = self.state.beside.as_mut();
        let Some(beside) = beside.filter(|beside| beside.stream == Some(stream)) else {
            return false;
        };
        if code == "NetStream.Play.Start" && !beside.playing {
            beside.playing = true;
            let name = beside.name.clone();
            self.note_beside(&Observation::Plays { name });
        }
        self.note_beside(&Observation::Told { code: code.into() });
        true
    }
}
