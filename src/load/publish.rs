//! One publisher: a clip's messages when they are due.

use std::rc::Rc;

use super::clip::{Cue, Script};
use super::link::{End, Link};
use super::marker::Marker;
use super::{Role, World, within};
use crate::limits;
use crate::rtmp::session::client::ClientEvent;
use crate::rtmp::wire::MediaKind;
use crate::runtime::Dial;
use crate::time::Instant;

/// One publisher's state.
struct Publisher<'a, R: Dial> {
    world: &'a World<R>,
    link: Link<R>,
    script: Script,
    /// Whether pictures get markers; of which run.
    run: Option<u32>,
    sequence: u32,
    /// What waits for the server, as it is counted in the tally.
    unsent: usize,
    /// Kept for its capacity.
    marked: Vec<u8>,
}

/// Publishes stream `number` until the run is over.
pub(super) async fn publish<R: Dial>(world: &World<R>, number: usize) -> Result<(), End> {
    let Role::Publish { clip, markers } = &world.plan.role else {
        return Ok(());
    };
    let deadline = world.runtime.now() + limits::LOAD_SETUP_TIME;
    let (app, name) = world.plan.target.stream(number, world.plan.streams);
    let chunk_size = limits::CHUNK_SIZE_DEFAULT;
    let mut link = Link::open(&world.runtime, &world.plan, &app, chunk_size, deadline).await?;
    link.session.publish(&name);
    let mut publisher = Publisher {
        world,
        link,
        script: Script::new(Rc::clone(clip)),
        run: markers.then(|| world.runtime.entropy("load run").u32(..)),
        sequence: 0,
        unsent: 0,
        marked: Vec::new(),
    };
    let Some(admitted) = within(&world.runtime, deadline, publisher.admitted()).await else {
        return Err(End::Late(limits::LOAD_SETUP_TIME));
    };
    admitted?;
    world.tally.borrow_mut().started += 1;
    publisher.broadcast().await
}

impl<R: Dial> Publisher<'_, R> {
    /// Waits for NetStream.Publish.Start.
    async fn admitted(&mut self) -> Result<(), End> {
        loop {
            self.link.flush()?;
            if self.hear()? {
                return Ok(());
            }
            self.link.flush()?;
            self.link.wait().await?;
        }
    }

    /// Reads what the server says; whether it has let us in.
    fn hear(&mut self) -> Result<bool, End> {
        let mut scratch = self.world.scratch.borrow_mut();
        let mut admitted = false;
        // What is left makes the next wait end at once, behind what is due by then.
        for _ in 0..limits::READS_PER_TURN {
            let Some(taken) = self.link.read(&mut scratch)? else {
                break;
            };
            while let Some(event) = self.link.session.poll_event() {
                match event {
                    ClientEvent::Refused { code, description } => {
                        return Err(End::Refused { code, description });
                    }
                    ClientEvent::Status { code, .. } => {
                        admitted |= code == "NetStream.Publish.Start";
                    }
                    _ => {}
                }
            }
            if taken < scratch.len() {
                break;
            }
        }
        Ok(admitted)
    }

    async fn broadcast(&mut self) -> Result<(), End> {
        let began = self.world.runtime.now();
        while !self.world.is_over() {
            self.send_due(began);
            self.flush()?;
            let next = (began + self.script.due()).min(self.world.until);
            if self.world.runtime.now() < next {
                self.link.wait_until(next).await?;
            }
            self.hear()?;
        }
        self.link.session.close_stream();
        let patience = self.world.runtime.now() + limits::LOAD_FAREWELL;
        while self.link.unsent() > 0 && self.world.runtime.now() < patience {
            self.flush()?;
            if self.link.unsent() > 0 {
                self.link.wait_until(patience).await?;
                self.hear()?;
            }
        }
        self.link.finish();
        Ok(())
    }

    /// Every time is counted from the beginning, so that being late once is not being late for ever.
    fn send_due(&mut self, began: Instant) {
        let now = self.world.runtime.now();
        while began + self.script.due() <= now {
            let Some(cue) = self.script.next() else {
                return;
            };
            self.send(&cue);
            let mut tally = self.world.tally.borrow_mut();
            tally.delay(now.since(began + cue.due));
            match cue.kind {
                MediaKind::Video => tally.video += 1,
                MediaKind::Audio => tally.audio += 1,
                MediaKind::Data => {}
            }
        }
    }

    fn send(&mut self, cue: &Cue) {
        let session = &mut self.link.session;
        let (Some(run), Some((at, length_bytes))) = (self.run, cue.marker) else {
            return session.send_media(cue.kind, cue.timestamp, &cue.payload);
        };
        let marker = Marker {
            run,
            sequence: self.sequence,
            sent: self.world.runtime.wall(),
        };
        self.sequence = self.sequence.wrapping_add(1);
        let (before, behind) = cue.payload.split_at(at.min(cue.payload.len()));
        self.marked.clear();
        self.marked.extend_from_slice(before);
        marker.write(length_bytes, &mut self.marked);
        self.marked.extend_from_slice(behind);
        session.send_media(cue.kind, cue.timestamp, &self.marked);
        self.world.tally.borrow_mut().marked += 1;
    }

    fn flush(&mut self) -> Result<(), End> {
        let written = self.link.flush()?;
        let unsent = self.link.unsent();
        let mut tally = self.world.tally.borrow_mut();
        tally.bytes += written as u64;
        let before = core::mem::replace(&mut self.unsent, unsent);
        match tally.waits(before, unsent) {
            true => Ok(()),
            false => Err(End::Behind),
        }
    }
}

impl<R: Dial> Drop for Publisher<'_, R> {
    fn drop(&mut self) {
        // No borrow of it outlives a poll of the task that is dropped here.
        if let Ok(mut tally) = self.world.tally.try_borrow_mut() {
            tally.waits(self.unsent, 0);
        }
    }
}
