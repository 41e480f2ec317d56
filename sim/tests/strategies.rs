//! The strategies of the generator are proptest's own: a runner of proptest can draw from them and shrink what fails.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::RefCell;

use millstream_sim::generate;
use millstream_sim::scenario::{Scenario, Step};
use millstream_sim::shrink::size;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

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
    let first = RefCell::new(None);
    let found = runner.run(&generate::scenarios(), |scenario| {
        if bug(&scenario) {
            first.borrow_mut().get_or_insert(size(&scenario));
            return Err(TestCaseError::fail("the bug"));
        }
        Ok(())
    });
    let Err(TestError::Fail(_, smallest)) = found else {
        panic!("nothing was found: {found:?}");
    };
    assert!(bug(&smallest));
    // What is on in the swarm comes with scripts of its own: as few as that are left, not fewer.
    let (scripts, steps) = first.take().unwrap();
    let (fewer_scripts, fewer_steps) = size(&smallest);
    assert!(
        fewer_scripts <= 8 && fewer_scripts < scripts && fewer_steps * 2 < steps,
        "{scripts} scripts of {steps} steps became {fewer_scripts} of {fewer_steps}"
    );
}
