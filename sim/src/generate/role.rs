//! A script before it has its name and its host.

use std::collections::BTreeMap;

use crate::scenario::{Script, Step};

/// What somebody does, and as what.
#[derive(Clone, Debug)]
pub(super) struct Role {
    what: &'static str,
    start_ms: u64,
    steps: Vec<Step>,
}

impl Role {
    pub(super) fn new(what: &'static str, start_ms: u64, steps: Vec<Step>) -> Self {
        Self {
            what,
            start_ms,
            steps,
        }
    }
}

/// Names them by role and number, and spreads them over hosts.
pub(super) fn cast(roles: Vec<Role>) -> Vec<Script> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let scripts = roles.into_iter().map(|role| {
        let number = numbers.entry(role.what).or_default();
        let n = *number;
        *number += 1;
        Script {
            name: format!("{}-{n}", role.what),
            // A publisher and its namesake among the players are not always neighbours.
            host: n + usize::from(role.what == "player"),
            start_ms: role.start_ms,
            steps: role.steps,
        }
    });
    scripts.collect()
}
