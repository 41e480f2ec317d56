//! When all have gone, nothing is left.

use super::{Checker, Leftovers};
use crate::journal::Observation;

/// Invariant 19 of the reference: no task, socket, stream or byte stays behind.
#[derive(Default)]
pub struct Emptiness {
    /// Connections that there were: each had its tasks, its sockets and its bytes.
    connections: u64,
    exercised: u64,
}

impl Checker for Emptiness {
    fn name(&self) -> &'static str {
        "an empty world at the end"
    }

    fn observe(&mut self, _who: &str, seen: &Observation) -> Result<(), String> {
        if matches!(seen, Observation::Connected) {
            self.connections += 1;
        }
        Ok(())
    }

    fn finish(&mut self, leftovers: &Leftovers) -> Result<(), String> {
        self.exercised = self.connections;
        let left: Vec<String> = leftovers
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        Err(format!(
            "all have gone and there is still: {}",
            left.join(", ")
        ))
    }

    fn exercised(&self) -> u64 {
        self.exercised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_is_found_and_named() {
        let mut checker = Emptiness::default();
        let mut left = Leftovers::from([("tasks on shard 0".to_owned(), 0)]);
        assert_eq!(checker.finish(&left), Ok(()));
        left.insert("sockets".into(), 1);
        let found = checker.finish(&left).unwrap_err();
        assert!(found.contains("1 sockets"), "{found}");
    }
}
