//! No task of the server asks for the real clock or for real chance while it runs in a simulation: the calls are
//! counted where they enter the C library. And a task that does is caught.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::rc::Rc;

use millstream::runtime::Runtime;
use millstream::time::Duration;
use millstream_sim::checkers::Leftovers;
use millstream_sim::host::{Running, Sites, Software};
use millstream_sim::scenario::Scenario;
use millstream_sim::{generate, watch, world};

/// Counts while `run` runs, on a fresh thread: hash keys are drawn once a thread.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread of the test, not of the server"
)]
fn calls(run: impl FnOnce() + Send) -> (u64, u64) {
    let counted = || {
        watch::turns(Some(millstream_tripwire::arm));
        millstream_tripwire::take();
        run();
        millstream_tripwire::take()
    };
    std::thread::scope(|scope| scope.spawn(counted).join().unwrap())
}

#[test]
fn no_task_of_twenty_seeds_asks_for_time_or_chance() {
    for seed in 0..20 {
        let counted = calls(|| drop(world::run(&generate::scenario(seed))));
        assert_eq!(
            counted,
            (0, 0),
            "calls for the clock and for chance: cargo sim run --seed {seed}"
        );
    }
}

/// What a task should not do.
#[derive(Clone, Copy)]
enum Leak {
    Clock,
    Chance,
    None,
}

struct Leaky(Leak);

impl Software for Leaky {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is what the tripwire is for"
    )]
    fn boot(&self, sites: Sites) -> Running {
        let (leak, runtime) = (self.0, sites.control.clone());
        let serve = async move {
            let _accepted = runtime.accept(&sites.listener).await;
            match leak {
                Leak::Clock => drop(std::time::Instant::now()),
                Leak::Chance => _ = millstream_tripwire::ask_for_chance(),
                Leak::None => {}
            }
            std::future::pending::<()>().await;
        };
        sites.control.spawn("serve", serve).detach();
        Running {
            operator: None,
            stop: Box::new(|| ()),
            excess: Box::new(|| None),
            census: Box::new(Leftovers::new),
            estate: Box::new(Leftovers::new),
        }
    }
}

fn leaks(leak: Leak) -> (u64, u64) {
    let text = r#"{"format": 1, "seed": 1, "clients": [{"name": "alice", "steps": [
        {"connect": {"pipelined": true}}, {"wait_ms": 100}, "abort"]}]}"#;
    let scenario: Scenario = serde_json::from_str(text).unwrap();
    calls(|| {
        world::run_software(&scenario, Rc::new(Leaky(leak)), Duration::from_secs(1));
    })
}

#[test]
fn a_task_that_asks_is_caught() {
    assert_eq!(leaks(Leak::None), (0, 0));
    assert_eq!(leaks(Leak::Clock), (1, 0));
    assert_eq!(leaks(Leak::Chance), (0, 1));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is what the tripwire is for"
)]
fn the_standard_library_asks_through_the_tripwire() {
    let counted = calls(|| {
        millstream_tripwire::arm(true);
        drop(std::collections::HashMap::<u8, u8>::new());
        let _ = std::time::Instant::now();
        let _ = std::time::SystemTime::now();
        millstream_tripwire::arm(false);
        let _ = std::time::Instant::now();
    });
    assert_eq!(counted, (2, 1));
}
