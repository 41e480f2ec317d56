//! The strategies of the generator are proptest's own: a runner of proptest can draw from them and shrink what fails.
#![allow(clippy::unwrap_used, clippy::panic)]

use millstream_sim::generate;
use millstream_sim::scenario::{Scenario, Step};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

/// Stands in for a bug: somebody pauses, somebody else's connection is cut.
fn bug(scenario: &Scenario) -> bool {
    let mut steps = scenario.clients.iter().flat_map(|script| &script.steps);
    let (mut cuts, mut pauses) = (false, false);
    for step in &mut steps {
        cuts |= matches!(step, Step::CutAfter(_));
        pauses |= matches!(step, Step::Pause(true));
    }
    cuts && pauses
}

#[test]
fn what_fails_shrinks_to_what_it_needs() {
    let config = Config {
        cases: 1_000,
        rng_seed: RngSeed::Fixed(4),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let found = runner.run(&generate::scenarios(), |scenario| {
        prop_assert!(!bug(&scenario));
        Ok(())
    });
    let Err(TestError::Fail(_, smallest)) = found else {
        panic!("nothing was found: {found:?}");
    };
    assert!(bug(&smallest));
    // One publisher and two players are the least there is.
    let steps: usize = smallest
        .clients
        .iter()
        .map(|script| script.steps.len())
        .sum();
    assert!(
        smallest.clients.len() <= 4,
        "{} clients",
        smallest.clients.len()
    );
    assert!(steps <= 40, "{steps} steps");
    assert!(smallest.swarm.len() <= 3, "{:?}", smallest.swarm);
}
