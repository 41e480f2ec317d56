//! What a script asks the server for.

use std::rc::Rc;

use millstream::rtmp::command::{Play2, PlayOptions, PlayStart};
use millstream::rtmp::message;
use millstream::rtmp::shared_object::{SharedEvent, SharedObject};
use millstream::time::Timestamp;

use super::{ANSWER_TIME, Actor, Asked, Beside, OnAir, Stage, State};
use crate::client::link::Link;
use crate::journal::Observation;
use crate::scenario::{Stream, View};

/// The chunk stream of messages that are taken back; the session uses others.
const ABORTED_CSID: u8 = 40;

/// What of it, in seconds, as the specification has it.
fn part(view: &View) -> PlayOptions {
    let seconds = |ms: u64| ms as f64 / 1e3;
    PlayOptions {
        start: match view.start_ms {
            0 => PlayStart::default(),
            ms => PlayStart::Recorded(seconds(ms)),
        },
        duration: view.for_ms.map(seconds),
        reset: true,
    }
}

impl<S: Stage> Actor<S> {
    pub(super) async fn publish(&mut self, stream: Stream) {
        let name = self.full_name(&stream);
        let publication = self.publications;
        self.publications += 1;
        self.note(&Observation::AsksToPublish {
            name: name.clone(),
            publication,
        });
        self.broadcast = Some(OnAir {
            name,
            publication,
            index: 0,
            source: None,
            began: self.stage.now(),
        });
        self.state.publishing = false;
        self.state.on_air = None;
        self.state.refused = false;
        self.state.asked.push_back(Asked::Publish);
        self.with_link(|link| link.session.publish(&stream.name));
        if self.config.pipelined {
            // Frames may follow as soon as there is a stream to put them on.
            let created = |state: &State, _: &Link<S>| state.on_air.is_some() || state.refused;
            return self.must("a stream", ANSWER_TIME, created).await;
        }
        let answered = |state: &State, _: &Link<S>| state.publishing || state.refused;
        self.must("the answer to publish", ANSWER_TIME, answered)
            .await;
        self.refusal("publish", &stream);
    }

    pub(super) async fn play(&mut self, stream: Stream) {
        let name = self.full_name(&stream);
        self.note(&Observation::AsksToPlay { name: name.clone() });
        self.state.views = false;
        self.begin(name, &stream.name, PlayOptions::default()).await;
        if !self.config.pipelined {
            self.refusal("play", &stream);
        }
    }

    pub(super) async fn view(&mut self, view: View) {
        let name = self.asks_to_view(&view, false);
        self.state.views = true;
        self.state.unplayable = false;
        self.begin(name, &view.name, part(&view)).await;
    }

    /// Nobody answers that, unless it is refused.
    pub(super) async fn append(&mut self, view: &View) {
        let plays = self.state.views && self.state.playing;
        let Some(on) = self.state.stream.filter(|_| plays) else {
            return;
        };
        self.asks_to_view(view, true);
        self.with_link(|link| link.session.play_next(on, &view.name, part(view)));
        self.flush().await;
    }

    fn asks_to_view(&self, view: &View, appended: bool) -> Rc<str> {
        let name: Rc<str> = Rc::from(format!("{}/{}", self.config.app, view.name));
        self.note(&Observation::AsksToView {
            name: name.clone(),
            from_ms: view.start_ms,
            for_ms: view.for_ms,
            appended,
        });
        name
    }

    pub(super) async fn seek(&mut self, ms: u64) {
        if !self.state.views || !self.state.playing {
            return;
        }
        self.state.sought = Some(ms);
        self.whisper(&Observation::Seeks);
        self.with_link(|link| link.session.seek(ms as f64));
        let answered = |state: &State, _: &Link<S>| state.sought.is_none();
        self.must("the answer to seek", ANSWER_TIME, answered).await;
    }

    async fn begin(&mut self, name: Rc<str>, asked: &str, options: PlayOptions) {
        let state = std::mem::take(&mut self.state);
        self.state = State {
            played: Some(name),
            stream: None,
            next: None,
            playing: false,
            refused: false,
            frames: 0,
            ended: false,
            newest: Timestamp(0),
            relives: false,
            returning: false,
            ..state
        };
        self.state.asked.push_back(Asked::Play);
        self.with_link(|link| link.session.play_with(asked, options));
        if self.config.pipelined {
            return;
        }
        let answered =
            |state: &State, _: &Link<S>| state.playing || state.refused || state.unplayable;
        self.must("the answer to play", ANSWER_TIME, answered).await;
    }

    pub(super) async fn play_beside(&mut self, stream: Stream) {
        let name = self.full_name(&stream);
        self.note_beside(&Observation::AsksToPlay { name: name.clone() });
        self.state.beside = Some(Beside {
            name,
            stream: None,
            playing: false,
        });
        self.state.asked.push_back(Asked::Beside);
        self.with_link(|link| link.session.play(&stream.name));
        if !self.config.pipelined {
            let playing = |state: &State, _: &Link<S>| {
                state.refused || state.beside.as_ref().is_some_and(|beside| beside.playing)
            };
            self.must("the answer to a second play", ANSWER_TIME, playing)
                .await;
        }
    }

    /// Until the answer, what comes is still of the other stream.
    pub(super) async fn play2(&mut self, stream: Stream) {
        let Some(on) = self.state.stream.filter(|_| self.state.playing) else {
            return;
        };
        self.state.next = Some(self.full_name(&stream));
        let play = Play2 {
            name: Some(stream.name.clone()),
            ..Play2::default()
        };
        self.with_link(|link| link.session.play2(on, &play));
        let answered = |state: &State, _: &Link<S>| state.next.is_none() || state.refused;
        self.must("the answer to play2", ANSWER_TIME, answered)
            .await;
        self.refusal("play2", &stream);
    }

    pub(super) async fn call(&mut self, name: &str) {
        let before = self.state.answers;
        self.with_link(|link| {
            // None is open: each is waited for.
            let _ = link.session.call(0, name, vec![]);
        });
        let answered = |state: &State, _: &Link<S>| state.answers > before || state.refused;
        let what = format!("the answer to {name}");
        self.must(&what, ANSWER_TIME, answered).await;
    }

    pub(super) async fn shared_object(&mut self, name: String) {
        let data = b"\x00\x04name\x02\x00\x05value".to_vec();
        let object = SharedObject {
            name,
            version: 1,
            flags: 2,
            events: vec![SharedEvent { kind: 3, data }],
        };
        let (type_id, payload) = (message::SHARED_OBJECT_AMF0, object.encode());
        self.with_link(|link| {
            link.session
                .send_message(type_id, 0, Timestamp(0), &payload);
        });
        self.flush().await;
    }

    /// The first chunk of a command, which is all of it that ever comes.
    pub(super) async fn abort_message(&mut self) {
        if !self.state.established {
            return;
        }
        let chunk = self.chunk_size;
        let [_, l0, l1, l2] = (chunk + 1).to_be_bytes();
        let mut bytes = vec![ABORTED_CSID, 0, 0, 0, l0, l1, l2, 20, 0, 0, 0, 0];
        bytes.resize(bytes.len() + chunk as usize, 0);
        let aborted = u32::from(ABORTED_CSID).to_be_bytes();
        self.with_link(|link| {
            link.session.send_raw(&bytes);
            link.session
                .send_message(message::ABORT, 0, Timestamp(0), &aborted);
        });
        self.flush().await;
    }

    fn refusal(&mut self, what: &str, stream: &Stream) {
        if self.state.refused && !stream.may_be_refused {
            let what = format!("permission to {what} {}", stream.name);
            self.note(&Observation::Starved { what });
        }
    }
}
