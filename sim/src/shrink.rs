//! From a failing scenario to a small one that fails the same way.
//!
//! Leaves things out (clients, steps, faults, settings) and halves numbers, as long as the same checker still objects.
//! Leaving a client out shifts what the seed decides for everyone else in the net's order, so that a smaller scenario
//! may miss the moment: a candidate is tried with some neighbouring seeds before it is given up.

use serde_json::Value;

use crate::scenario::{Outcome, Scenario};

/// Seeds a candidate is tried with: its own, and the next ones.
const NEIGHBOURS: u64 = 4;

/// What shrinking made of a scenario.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest scenario found that fails the same way.
    pub scenario: Scenario,
    /// Runs it took.
    pub runs: usize,
}

/// Makes `start` smaller, in at most `runs` runs of `run`, while the outcome stays `wanted`.
pub fn shrink(
    start: &Scenario,
    wanted: &Outcome,
    runs: usize,
    run: &mut dyn FnMut(&Scenario) -> Outcome,
) -> Shrunk {
    let mut shrinker = Shrinker {
        best: start.clone(),
        wanted,
        runs: 0,
        most: runs,
        run,
    };
    while shrinker.pass() {}
    Shrunk {
        scenario: shrinker.best,
        runs: shrinker.runs,
    }
}

/// Clients and steps of a scenario: how large it is to a reader.
pub fn size(scenario: &Scenario) -> (usize, usize) {
    let steps = scenario.clients.iter().map(|script| script.steps.len());
    (scenario.clients.len(), steps.sum())
}

struct Shrinker<'a> {
    best: Scenario,
    wanted: &'a Outcome,
    runs: usize,
    most: usize,
    run: &'a mut dyn FnMut(&Scenario) -> Outcome,
}

impl Shrinker<'_> {
    /// Tries everything once, the coarse first; true if anything got smaller.
    fn pass(&mut self) -> bool {
        let mut smaller = self.leave_out(|scenario| &mut scenario.clients);
        for client in 0..self.best.clients.len() {
            smaller |= self.leave_out(|scenario| &mut scenario.clients[client].steps);
        }
        smaller |= self.leave_out(|scenario| &mut scenario.network.events);
        smaller |= self.leave_out(|scenario| &mut scenario.outages);
        smaller |= self.leave_out(|scenario| &mut scenario.operator);
        smaller |= self.leave_settings_out();
        smaller |= self.halve_numbers();
        smaller
    }

    /// Keeps `candidate` if it fails as wanted, with its own seed or a neighbouring one.
    fn keeps(&mut self, mut candidate: Scenario) -> bool {
        if candidate == self.best || candidate.check().is_err() {
            return false;
        }
        let seed = candidate.seed;
        for neighbour in 0..NEIGHBOURS {
            if self.runs >= self.most {
                return false;
            }
            self.runs += 1;
            candidate.seed = seed.wrapping_add(neighbour);
            if (self.run)(&candidate) == *self.wanted {
                self.best = candidate;
                return true;
            }
        }
        false
    }

    /// Leaves out pieces of a list: halves first, single items last.
    fn leave_out<T: Clone>(&mut self, list: impl Fn(&mut Scenario) -> &mut Vec<T>) -> bool {
        let mut smaller = false;
        let mut piece = list(&mut self.best).len().div_ceil(2);
        while piece > 0 {
            let mut at = 0;
            while at < list(&mut self.best).len() {
                let mut candidate = self.best.clone();
                let items = list(&mut candidate);
                items.drain(at..items.len().min(at + piece));
                if self.keeps(candidate) {
                    smaller = true; // what stood behind has moved up
                } else {
                    at += piece;
                }
            }
            piece /= 2;
        }
        smaller
    }

    /// Sets each setting that has a default to it.
    fn leave_settings_out(&mut self) -> bool {
        let mut smaller = false;
        for room in ["faults", "network", "server", "clocks", "mail"] {
            for key in keys(&self.best, room) {
                let without = edited(&self.best, |scenario| {
                    let fields = scenario.get_mut(room).and_then(Value::as_object_mut);
                    fields.map(|fields| fields.remove(&key));
                });
                smaller |= without.is_some_and(|candidate| self.keeps(candidate));
            }
        }
        for key in ["swarm", "order", "shards", "stop_ms", "buggify"] {
            let without = edited(&self.best, |scenario| {
                scenario.as_object_mut().map(|fields| fields.remove(key));
            });
            smaller |= without.is_some_and(|candidate| self.keeps(candidate));
        }
        smaller
    }

    /// Halves each number in the scripts, as far as it goes.
    fn halve_numbers(&mut self) -> bool {
        let mut smaller = false;
        let mut index = 0;
        loop {
            let mut found = false;
            let halved = edited(&self.best, |scenario| {
                let mut left = index;
                if let Some(clients) = scenario.get_mut("clients") {
                    found = halve(clients, &mut left);
                }
            });
            if !found {
                return smaller;
            }
            if halved.is_some_and(|candidate| self.keeps(candidate)) {
                smaller = true;
            } else {
                index += 1;
            }
        }
    }
}

/// The names of the fields in one room of a scenario.
fn keys(scenario: &Scenario, room: &str) -> Vec<String> {
    let value = serde_json::to_value(scenario).unwrap_or_default();
    let fields = value.get(room).and_then(Value::as_object);
    fields.map_or_else(Vec::new, |fields| fields.keys().cloned().collect())
}

/// The scenario with its JSON changed; none if that is not a scenario any more.
fn edited(scenario: &Scenario, edit: impl FnOnce(&mut Value)) -> Option<Scenario> {
    let mut value = serde_json::to_value(scenario).ok()?;
    edit(&mut value);
    serde_json::from_value(value).ok()
}

/// Halves the number that `left` others stand before; false if there are not so many.
fn halve(value: &mut Value, left: &mut usize) -> bool {
    match value {
        Value::Number(number) => {
            let Some(large) = number.as_u64().filter(|n| *n > 0) else {
                return false;
            };
            if *left > 0 {
                *left -= 1;
                return false;
            }
            *value = (large / 2).into();
            true
        }
        Value::Array(items) => items.iter_mut().any(|item| halve(item, left)),
        Value::Object(fields) => fields.values_mut().any(|field| halve(field, left)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;
    use crate::scenario::{SendMedia, Step};

    /// Stands in for a bug: fails whenever somebody sends at least 7 frames while reads may be short.
    fn bug(scenario: &Scenario) -> Outcome {
        let mut steps = scenario.clients.iter().flat_map(|script| &script.steps);
        let sends =
            steps.any(|step| matches!(step, Step::SendMedia(SendMedia { frames: 7.., .. })));
        if sends && scenario.faults.short_reads > 0.0 {
            Outcome::Fail("the bug".into())
        } else {
            Outcome::Pass
        }
    }

    #[test]
    fn only_what_the_failure_needs_stays() {
        let wanted = Outcome::Fail("the bug".into());
        let failing = |seed: &u64| bug(&generate::scenario(*seed)) == wanted;
        let seed = (0..1_000).find(failing).unwrap();
        let start = generate::scenario(seed);
        let shrunk = shrink(&start, &wanted, 100_000, &mut bug);
        assert_eq!(bug(&shrunk.scenario), wanted);
        assert_eq!(size(&shrunk.scenario), (1, 1));
        let [Step::SendMedia(media)] = &*shrunk.scenario.clients[0].steps else {
            panic!("{:?}", shrunk.scenario.clients[0].steps);
        };
        assert!((7..14).contains(&media.frames), "{}", media.frames);
        assert!(shrunk.scenario.faults.stalls.abs() < f64::EPSILON);
        assert_eq!(shrunk.scenario.shards, 1);
    }

    #[test]
    fn runs_are_bounded_and_what_does_not_fail_stays_as_it_is() {
        let start = generate::scenario(3);
        let mut runs = 0;
        let mut holds = |_: &Scenario| {
            runs += 1;
            Outcome::Pass
        };
        let shrunk = shrink(&start, &Outcome::Fail("x".into()), 10, &mut holds);
        assert_eq!((runs, shrunk.runs), (10, 10));
        assert_eq!(shrunk.scenario, start);
    }
}
