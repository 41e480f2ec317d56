//! One player.

use super::World;
use super::link::{End, Link, within};
use super::viewer::Viewer;
use crate::limits;
use crate::rtmp::control::UserControl;
use crate::rtmp::session::client::ClientEvent;
use crate::runtime::Dial;
use crate::time::Duration;

/// One player's state.
struct Player<'a, R: Dial> {
    world: &'a World<R>,
    link: Link<R>,
    viewer: Viewer,
    started: bool,
}

/// Plays stream `number`, and looks at what comes. It ends when it is dropped, or by failing.
pub(super) async fn play<R: Dial>(
    world: &World<R>,
    number: usize,
    stall: Duration,
) -> Result<(), End> {
    let viewer = Viewer::new(world.runtime.now(), stall);
    let deadline = world.runtime.now() + limits::LOAD_SETUP_TIME;
    let (app, name) = world.plan.target.stream(number, world.plan.streams);
    let chunk_size = limits::CHUNK_SIZE_INITIAL;
    let mut link = Link::open(&world.runtime, &world.plan, &app, chunk_size, deadline).await?;
    link.session.play(&name);
    let mut player = Player {
        world,
        link,
        viewer,
        started: false,
    };
    if within(&world.runtime, deadline, player.watch(true))
        .await
        .transpose()?
        .is_none()
    {
        return Err(End::Late(limits::LOAD_SETUP_TIME));
    }
    player.watch(false).await
}

impl<R: Dial> Player<'_, R> {
    /// Plays on; only until the server says NetStream.Play.Start, if that is all that is waited for.
    async fn watch(&mut self, until_started: bool) -> Result<(), End> {
        loop {
            for _ in 0..limits::READS_PER_TURN {
                if !self.read()? {
                    break;
                }
            }
            self.link.flush()?;
            if until_started && self.started {
                return Ok(());
            }
            // It comes back at once if there is more, behind everybody else.
            self.link.wait().await?;
            futures_lite::future::yield_now().await;
        }
    }

    /// Reads once; whether there may be more.
    fn read(&mut self) -> Result<bool, End> {
        let mut scratch = self.world.scratch.borrow_mut();
        let Some(taken) = self.link.read(&mut scratch)? else {
            return Ok(false);
        };
        let clock = (self.world.runtime.now(), self.world.runtime.wall());
        let mut tally = self.world.tally.borrow_mut();
        tally.bytes += taken as u64;
        while let Some(event) = self.link.session.poll_event() {
            match event {
                ClientEvent::Media {
                    kind,
                    timestamp,
                    payload,
                    ..
                } => self
                    .viewer
                    .sees(clock, kind, timestamp, &payload, &mut tally),
                ClientEvent::StreamCreated { .. } => self.viewer.asks(clock.1),
                ClientEvent::Refused { code, description } => {
                    return Err(End::Refused { code, description });
                }
                ClientEvent::Status { code, .. } => match code.as_str() {
                    "NetStream.Play.Start" if !self.started => {
                        self.started = true;
                        tally.started += 1;
                    }
                    "NetStream.Play.UnpublishNotify" => self.viewer.turns(),
                    _ => {}
                },
                ClientEvent::Control { event, .. }
                    if event == UserControl::StreamEof(0).event() =>
                {
                    self.viewer.turns();
                }
                _ => {}
            }
        }
        Ok(taken == scratch.len())
    }
}

impl<R: Dial> Drop for Player<'_, R> {
    fn drop(&mut self) {
        // No borrow of it outlives a poll of the task that is dropped here.
        if let Ok(mut tally) = self.world.tally.try_borrow_mut() {
            self.viewer.ends(self.world.runtime.now(), &mut tally);
        }
    }
}
