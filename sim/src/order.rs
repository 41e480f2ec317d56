//! Which task runs next, chosen by the seed.

use fastrand::Rng;
use millstream::runtime::executor::{Order, TaskInfo};
use serde::{Deserialize, Serialize};

use crate::faults::{Fault, FaultCounts};
use crate::seed;

/// How the executors of a scenario choose among runnable tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Oldest first, as production does.
    #[default]
    Fifo,
    /// Newest first.
    Lifo,
    /// Any, all alike.
    Uniform,
    /// One unlucky task (by the seed) runs only when nothing else can; the others uniformly.
    StarveOne,
}

impl OrderKind {
    /// Every kind, for generators.
    pub const ALL: [Self; 4] = [Self::Fifo, Self::Lifo, Self::Uniform, Self::StarveOne];

    /// The order for the executor called `site`.
    pub fn build(self, world_seed: u64, site: &str, counts: FaultCounts) -> SeededOrder {
        let mut rng = seed::rng(world_seed, &format!("order/{site}"));
        let victim = rng.u64(..VICTIMS);
        SeededOrder {
            kind: self,
            rng,
            victim,
            counts,
        }
    }
}

/// Of how many consecutive tasks one is starved: small, so that the victim is usually a connection that lives.
const VICTIMS: u64 = 8;

/// An [`Order`] drawn from a seed.
#[derive(Debug)]
pub struct SeededOrder {
    kind: OrderKind,
    rng: Rng,
    victim: u64,
    counts: FaultCounts,
}

impl Order for SeededOrder {
    fn pick(&mut self, queued: &[&TaskInfo]) -> usize {
        let (picked, fault) = match self.kind {
            OrderKind::Fifo => (0, Fault::Fifo),
            OrderKind::Lifo => (queued.len().saturating_sub(1), Fault::Lifo),
            OrderKind::Uniform => (self.rng.usize(..queued.len().max(1)), Fault::Uniform),
            OrderKind::StarveOne => return self.pick_other(queued),
        };
        // A choice among one is none, and any that falls on the oldest is production's.
        if queued.len() > 1 && (picked > 0 || fault == Fault::Fifo) {
            self.counts.count(fault);
        }
        picked
    }
}

impl SeededOrder {
    fn pick_other(&mut self, queued: &[&TaskInfo]) -> usize {
        let start = self.rng.usize(..queued.len().max(1));
        if queued.len() > 1 && queued.iter().any(|task| task.id % VICTIMS == self.victim) {
            self.counts.count(Fault::Starved);
        }
        (0..queued.len())
            .map(|step| (start + step) % queued.len())
            .find(|index| queued[*index].id % VICTIMS != self.victim)
            .unwrap_or(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(n: u64) -> Vec<TaskInfo> {
        (0..n).map(|id| TaskInfo { id, name: "t" }).collect()
    }

    fn picks(kind: OrderKind, seed: u64, n: u64) -> Vec<usize> {
        let tasks = tasks(n);
        let queued: Vec<&TaskInfo> = tasks.iter().collect();
        let mut order = kind.build(seed, "shard 0", FaultCounts::default());
        (0..50).map(|_| order.pick(&queued)).collect()
    }

    #[test]
    fn every_kind_stays_in_range_and_repeats_from_its_seed() {
        for kind in OrderKind::ALL {
            for n in 1..6 {
                assert!(picks(kind, 3, n).iter().all(|index| *index < n as usize));
                assert_eq!(picks(kind, 3, n), picks(kind, 3, n));
            }
        }
        assert_ne!(
            picks(OrderKind::Uniform, 1, 5),
            picks(OrderKind::Uniform, 2, 5)
        );
    }

    #[test]
    fn the_starved_task_runs_only_alone() {
        let mut order = OrderKind::StarveOne.build(9, "x", FaultCounts::default());
        let victim = TaskInfo {
            id: order.victim,
            name: "victim",
        };
        let other = TaskInfo {
            id: order.victim + 1,
            name: "other",
        };
        assert!((0..50).all(|_| order.pick(&[&victim, &other]) == 1));
        assert_eq!(order.pick(&[&victim]), 0);
    }
}
