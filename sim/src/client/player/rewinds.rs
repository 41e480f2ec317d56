//! What a script does to go back in a live stream. From then on what comes is no live stream to the checkers, but the past
//! of one: the client claims nothing of what is live any more.

use millstream::time::Duration;

use super::{ANSWER_TIME, Actor, Stage, State};
use crate::client::link::Link;
use crate::journal::Observation;

impl<S: Stage> Actor<S> {
    /// Holds the stream for so long, and wants to go on where it was.
    pub(super) async fn hold(&mut self, ms: u64) {
        if !self.goes_back() {
            return;
        }
        let at = f64::from(self.state.newest.0);
        self.with_link(|link| link.session.pause(true, at));
        let until = self.stage.now() + Duration::from_millis(ms);
        self.until(until, |_, _| false).await;
        self.state.returning = true;
        self.with_link(|link| link.session.pause(false, at));
        self.must_be_back("the answer to pause").await;
    }

    /// Seeks so many milliseconds before what it has had last.
    pub(super) async fn rewind(&mut self, ms: u64) {
        if !self.goes_back() {
            return;
        }
        let to = f64::from(self.state.newest.0) - ms as f64;
        self.state.returning = true;
        self.with_link(|link| link.session.seek(to.max(0.0)));
        self.must_be_back("the answer to seek").await;
    }

    fn goes_back(&mut self) -> bool {
        if self.state.refused {
            return false; // nobody published it in time
        }
        if self.state.playing && !self.state.relives {
            self.state.relives = true;
            self.note(&Observation::GoesBack);
            self.note(&Observation::LetsGo { why: "goes back" });
        }
        self.state.relives
    }

    async fn must_be_back(&mut self, what: &str) {
        let answered =
            |state: &State, _: &Link<S>| !state.returning || state.ended || state.refused;
        self.must(what, ANSWER_TIME, answered).await;
    }

    /// The server has confirmed it.
    pub(super) fn is_back(&mut self, sought: bool) {
        if std::mem::take(&mut self.state.returning) {
            self.note(&Observation::IsBack { sought });
        }
    }
}
