//! The world notices what no script can see: busy loops, panics, leaks. Shown with tiny servers that do just that.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::rc::Rc;

use millstream::runtime::Runtime;
use millstream::time::Duration;
use millstream_sim::checkers::{Leftovers, invariants};
use millstream_sim::generate;
use millstream_sim::host::{Running, Sites, Software};
use millstream_sim::order::OrderKind;
use millstream_sim::scenario::{Outcome, Scenario};
use millstream_sim::world::{self, Report};

/// What the tiny server does with its first connection.
#[derive(Clone, Copy)]
enum Bug {
    BusyLoop,
    Panic,
    Leak,
    EndsEarly,
}

struct Tiny(Bug);

impl Software for Tiny {
    fn boot(&self, sites: Sites) -> Running {
        let (bug, runtime, shard) = (self.0, sites.control.clone(), sites.shards[0].clone());
        let serve = async move {
            let accepted = runtime.accept(&sites.listener).await;
            match bug {
                Bug::BusyLoop => loop {
                    futures_yield().await;
                },
                Bug::Panic => panic!("planted"),
                Bug::Leak => {
                    let (socket, _) = accepted.unwrap();
                    let conn = shard.adopt(socket).unwrap();
                    let keeps = async move {
                        let _conn = conn;
                        std::future::pending::<()>().await;
                    };
                    shard.spawn("leak", keeps).detach();
                    std::future::pending::<()>().await;
                }
                Bug::EndsEarly => {}
            }
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

/// Pending once, woken at once.
async fn futures_yield() {
    let mut again = false;
    std::future::poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut again, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

fn visit(bug: Bug) -> Report {
    let text = r#"{"format": 1, "seed": 1, "clients": [{"name": "alice", "steps": [
        {"connect": {"pipelined": true}}, {"wait_ms": 100}, "abort"]}]}"#;
    let scenario: Scenario = serde_json::from_str(text).unwrap();
    world::run_software(&scenario, Rc::new(Tiny(bug)), Duration::from_secs(1))
}

fn found(report: &Report, checker: &str) -> bool {
    report
        .violations
        .iter()
        .any(|violation| violation.checker == checker)
}

#[test]
fn a_busy_loop_fails_instead_of_hanging() {
    assert!(found(&visit(Bug::BusyLoop), "livelock"));
}

#[test]
fn a_panic_and_an_early_end_are_found() {
    assert!(found(&visit(Bug::Panic), "no panic"));
    assert!(found(&visit(Bug::EndsEarly), "no panic"));
}

#[test]
fn a_leaked_task_and_socket_are_found_and_named() {
    let report = visit(Bug::Leak);
    let emptiness = report
        .violations
        .iter()
        .find(|violation| violation.checker == "an empty world at the end")
        .unwrap();
    assert!(
        emptiness.what.contains("1 tasks on shard 0"),
        "{}",
        emptiness.what
    );
    assert!(emptiness.what.contains("1 sockets"), "{}", emptiness.what);
}

#[test]
fn the_server_holds_what_it_promises_in_forty_worlds() {
    let mut exercised = std::collections::BTreeMap::new();
    let mut fired = std::collections::BTreeMap::new();
    for seed in 0..40 {
        let report = world::run(&generate::scenario(seed));
        let again = format!("replay it: cargo sim run --seed {seed}");
        assert_eq!(
            report.outcome(),
            Outcome::Pass,
            "{:?}\n{again}",
            report.violations
        );
        for (checker, times) in report.exercised {
            *exercised.entry(checker).or_insert(0) += times;
        }
        for (fault, times) in report.faults {
            *fired.entry(fault).or_insert(0) += times;
        }
    }
    // Some are rare: a longer sweep must have them all.
    let unchecked = invariants::unchecked(&exercised);
    assert!(unchecked.len() <= 6, "{unchecked:?}: {exercised:?}");
    for fault in [
        "short read",
        "short write",
        "spurious pending",
        "stall",
        "reset",
        "task panic",
        "link held",
    ] {
        assert!(fired.contains_key(fault), "{fault} never fired");
    }
}

#[test]
fn the_first_broadcast_passes_in_every_order_on_one_to_four_shards() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../corpus/seeds/first-broadcast.json"
    );
    let mut scenario = Scenario::load(file.as_ref()).unwrap();
    for order in OrderKind::ALL {
        for shards in 1..=4 {
            scenario.order = order;
            scenario.shards = shards;
            let report = world::run(&scenario);
            assert_eq!(
                report.outcome(),
                Outcome::Pass,
                "{order:?}, {shards} shards: {:?}",
                report.violations
            );
        }
    }
}
