//! What an operator does while scripts play, and what the server has counted at the end.

use std::rc::Rc;

use super::World;
use crate::checkers::recordings::Shelf;
use crate::journal::Observation;
use crate::scenario::{Intervention, Order, Scenario};

/// The next last.
pub(super) fn in_order(interventions: &[Intervention]) -> Vec<Intervention> {
    let mut interventions = interventions.to_vec();
    interventions.sort_by_key(|one| core::cmp::Reverse(one.at_ms));
    interventions
}

impl World {
    /// Has the server do what it is time for.
    pub(super) fn intervene(&mut self) {
        let millis = self.millis();
        while let Some(due) = self.interventions.pop_if(|next| next.at_ms <= millis) {
            if self.broken || self.stopped_by.is_some() || !self.host.is_up() {
                continue;
            }
            match due.order {
                Order::Kick(client) => self.kick(&client),
                Order::EndStream(name) => self.end_stream(&name),
            }
        }
    }

    fn kick(&self, client: &str) {
        let Some(address) = self.shared.net.address_of(client) else {
            return; // it has never come
        };
        if self.host.operate(|operator| operator.kicks(address)) == Some(true) {
            self.befalls(client, &Observation::Kicked);
        }
    }

    fn end_stream(&self, name: &str) {
        let publisher = self.host.operate(|operator| operator.ends(name)).flatten();
        if let Some(publisher) = publisher {
            let client = self.shared.net.script_at(publisher);
            let name = Rc::from(name);
            self.befalls(&client, &Observation::Ended { name });
        }
    }

    /// To everybody who knows nothing of operators that is a fault like any other.
    fn befalls(&self, client: &str, what: &Observation) {
        let (now, journal) = (self.now(), &self.shared.journal);
        journal.whisper(now, client, what);
        let injected = match what {
            Observation::Kicked => "an operator closes its connection",
            _ => "an operator ends its stream",
        };
        journal.note(now, client, &Observation::Injected { what: injected });
        let lets_go = Observation::LetsGo {
            why: "an operator has the say",
        };
        journal.note(now, client, &lets_go);
    }

    /// Shows the checkers what the server has counted: in one life, which ended when all had gone.
    pub(super) fn add_up(&self, scenario: &Scenario) {
        if scenario.server.record.is_some() && !self.broken {
            self.show_recordings(scenario);
        }
        let alone = scenario.stop_ms.is_none() && self.host.boots() == 1;
        if !alone || self.broken || !self.host.is_over() {
            return;
        }
        if let Some(tally) = self.host.operate(|operator| operator.tally()) {
            let journal = &self.shared.journal;
            journal.whisper(self.now(), "world", &Observation::Tally(tally));
        }
    }

    fn show_recordings(&self, scenario: &Scenario) {
        let counted = self.host.operate(|operator| operator.tally().record_gaps);
        let shelf = Shelf {
            files: Rc::new(self.shared.disk.files()),
            gaps: counted.filter(|_| self.host.boots() == 1),
            healthy: scenario.disk.are_off() && self.host.is_over(),
            left: self.trouble.unfinished,
            safe: Rc::new([&self.trouble.safe[..], &self.trouble.written].concat()),
            unsafe_for: self.trouble.unsafe_for.clone(),
            sound: scenario.disk.are_off(),
            lost_power: scenario.outages.iter().any(|outage| outage.power),
        };
        let journal = &self.shared.journal;
        journal.whisper(self.now(), "world", &Observation::Recorded(shelf));
    }
}
