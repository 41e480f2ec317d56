//! The load tester: publishers that keep time, and players that verify what they get and measure when they get it.
//!
//! One thread and one executor carry all of them; everything but [`start()`] is generic over the runtime.
//!
//! * [`Plan`], [`run`]: what is to be done, and doing it; [`Report`]: what came of it
//! * [`target`]: URLs, for one stream or many
//! * [`clip`], [`synthetic`]: what is published: an FLV file or the built-in stream, over and over on a clock that runs on
//! * `marker`: what publishers put into pictures, so that players know when those left
//! * `viewer`: what players look at

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::rc::Rc;

use crate::limits;
use crate::runtime::{Dial, SocketAddr};
use crate::time::{Duration, Instant};

pub mod clip;
mod histogram;
mod link;
mod marker;
mod play;
mod publish;
mod report;
#[cfg(feature = "production")]
pub mod start;
pub mod synthetic;
mod tally;
pub mod target;
mod viewer;

pub use report::Report;
#[cfg(feature = "production")]
pub use start::start;

use clip::Clip;
use link::within;
use tally::Shared;
use target::Target;

/// How often a run looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);
/// Looks from one line of progress to the next.
const LOOKS_PER_LINE: u32 = 10;

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// Where the server is; tried in this order.
    pub addresses: Vec<SocketAddr>,
    /// What it calls the streams.
    pub target: Target,
    /// How many streams, from 1 to [`limits::LOAD_STREAMS_MAX`].
    pub streams: usize,
    /// How long everybody publishes or plays, at most [`limits::LOAD_TIME_MAX`]; `Plan::ramp_time` comes before it.
    pub duration: Duration,
    /// Over how long the connects are spread; `Plan::ramp_time` may make it longer.
    pub ramp: Duration,
    /// What the connections do.
    pub role: Role,
}

/// What the connections do.
#[derive(Debug)]
pub enum Role {
    /// One publisher for each stream.
    Publish {
        /// What is published.
        clip: Rc<Clip>,
        /// Whether markers are put into its pictures, where it takes them.
        markers: bool,
    },
    /// Players, dealt over the streams in turn.
    Play {
        /// How many, from 1 to [`limits::LOAD_PLAYERS_MAX`].
        players: usize,
        /// A gap longer than this, between two messages of a player, is a stall.
        stall: Duration,
    },
}

/// What the connections of a run share.
struct World<R> {
    runtime: R,
    plan: Plan,
    tally: Shared,
    /// When the run is over.
    until: Instant,
    /// It is over early.
    stopped: Cell<bool>,
    /// What one read brings.
    scratch: RefCell<Vec<u8>>,
}

impl<R: Dial> World<R> {
    fn is_over(&self) -> bool {
        self.stopped.get() || self.runtime.now() >= self.until
    }
}

impl Plan {
    /// How many connections there will be.
    fn connections(&self) -> usize {
        match self.role {
            Role::Publish { .. } => self.streams,
            Role::Play { players, .. } => players,
        }
    }

    /// Over how long the connects are spread: as asked, and never more than [`limits::LOAD_CONNECTS_PER_SECOND`].
    fn ramp_time(&self) -> Duration {
        // The number of connections is bounded: it fits.
        let connections = self.connections() as u32;
        let shortest = Duration::from_secs(1) * connections / limits::LOAD_CONNECTS_PER_SECOND;
        self.ramp.max(shortest)
    }
}

/// Does what the plan says, until its end, until `stop` completes or until nobody is left. `progress` gets a line each
/// second.
pub async fn run<R: Dial>(
    runtime: R,
    plan: Plan,
    stop: impl Future<Output = ()>,
    progress: impl FnMut(&str),
) -> Report {
    let begun = runtime.now();
    let ramp = plan.ramp_time();
    let world = Rc::new(World {
        until: begun + ramp + plan.duration,
        runtime,
        plan,
        tally: Shared::default(),
        stopped: Cell::new(false),
        scratch: RefCell::new(vec![0; limits::SCRATCH_BYTES]),
    });
    let count = world.plan.connections();
    let tasks: Vec<_> = (0..count)
        .map(|index| {
            // A share of the ramp each: u32 holds every bound there is.
            let starts = begun + ramp * (index as u32) / (count as u32);
            let connection = connection(Rc::clone(&world), index, starts);
            world.runtime.spawn("load", connection)
        })
        .collect();
    until_over(watch(&world, begun, progress), stop).await;
    let elapsed = world.runtime.now().since(begun);
    world.stopped.set(true);
    if matches!(world.plan.role, Role::Publish { .. }) {
        let patience = world.runtime.now() + limits::LOAD_FAREWELL;
        while !everybody_ended(&world) && world.runtime.now() < patience {
            let soon = world.runtime.now() + LOOK / 10;
            world.runtime.sleep_until(soon).await;
        }
    }
    for task in tasks {
        // Here players say what they have seen to the end.
        task.cancel().await;
    }
    let tally = world.tally.borrow();
    Report::new(&world.plan, &tally, elapsed)
}

/// The first of the two that comes; `stop` is looked at second.
async fn until_over(watch: impl Future<Output = ()>, stop: impl Future<Output = ()>) {
    let (mut watch, mut stop) = (pin!(watch), pin!(stop));
    poll_fn(|cx| match watch.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => stop.as_mut().poll(cx),
    })
    .await;
}

fn everybody_ended<R>(world: &World<R>) -> bool {
    world.tally.borrow().ended >= world.plan.connections() as u64
}

/// Waits for the end, with a line of progress each second.
async fn watch<R: Dial>(world: &World<R>, begun: Instant, mut progress: impl FnMut(&str)) {
    let (mut at, mut bytes) = (begun, 0);
    for look in 1_u32.. {
        at = at + LOOK;
        world.runtime.sleep_until(at.min(world.until)).await;
        let now = world.runtime.now();
        if now >= world.until || everybody_ended(world) {
            return;
        }
        world.tally.borrow_mut().alarms.add(now.since(at));
        if look.is_multiple_of(LOOKS_PER_LINE) {
            let mut tally = world.tally.borrow_mut();
            let elapsed = world.runtime.now().since(begun);
            let line = report::line(&world.plan, &tally, elapsed, tally.bytes - bytes);
            bytes = tally.bytes;
            tally.latest.clear();
            drop(tally);
            progress(&line);
        }
    }
}

/// One connection from its turn on the ramp to its end.
async fn connection<R: Dial>(world: Rc<World<R>>, index: usize, starts: Instant) {
    world.runtime.sleep_until(starts).await;
    if world.is_over() {
        return;
    }
    world.tally.borrow_mut().begun += 1;
    let stream = index % world.plan.streams + 1;
    let result = match world.plan.role {
        Role::Publish { .. } => publish::publish(&world, stream).await,
        Role::Play { stall, .. } => play::play(&world, stream, stall).await,
    };
    let mut tally = world.tally.borrow_mut();
    tally.ended += 1;
    if let Err(end) = result {
        tracing::debug!(stream, error = %end, "a connection of the load failed");
        tally.fail(end.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_ramp_is_too_steep() {
        let time = |players, ramp| {
            let stall = Duration::from_secs(1);
            let plan = Plan {
                addresses: Vec::new(),
                target: Target::parse("rtmp://a/l/x").unwrap(),
                streams: 1,
                duration: stall,
                ramp: Duration::from_millis(ramp),
                role: Role::Play { players, stall },
            };
            plan.ramp_time().as_millis()
        };
        let second = limits::LOAD_CONNECTS_PER_SECOND as usize;
        assert_eq!((time(1, 0), time(1, 700)), (0, 700));
        assert_eq!(
            (time(second * 2, 0), time(second * 2, 2_500)),
            (2_000, 2_500)
        );
        assert!(time(limits::LOAD_PLAYERS_MAX, 0) > 1_000);
    }
}
