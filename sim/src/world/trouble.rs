//! What happens to links and to the server's machine while scripts play.

use std::collections::BTreeMap;
use std::path::PathBuf;

use millstream::time::Duration;

use super::{SERVER, World, client_host};
use crate::faults::Fault;
use crate::net::Cut;
use crate::scenario::{LinkChange, Outage};

/// A link held again so soon after its release flaps.
const FLAP: Duration = Duration::from_secs(1);

/// What the links and the server's machine suffer.
#[derive(Default)]
pub(super) struct Trouble {
    /// What is still to come, the next last.
    outages: Vec<Outage>,
    /// When the server is started again.
    back_at: Option<Duration>,
    wall_jumps: Vec<crate::clocks::WallJump>,
    links: BTreeMap<usize, Link>,
    /// Recordings that the server had not finished when it died, in all.
    pub(super) unfinished: u64,
    /// What was safe of each file when the power went, each time.
    pub(super) safe: Vec<(PathBuf, Vec<u8>)>,
    /// What was in each file when the server's process was killed, each time since the power went last.
    pub(super) written: Vec<(PathBuf, Vec<u8>)>,
    /// Where something had not been safe for the longest time then, and for how long.
    pub(super) unsafe_for: Option<(PathBuf, Duration)>,
}

#[derive(Clone, Copy, Default)]
struct Link {
    held: bool,
    cut: bool,
    released: Option<Duration>,
}

impl Trouble {
    pub(super) fn new(outages: &[Outage], wall_jumps: &[crate::clocks::WallJump]) -> Self {
        let mut outages = outages.to_vec();
        outages.sort_by_key(|outage| core::cmp::Reverse(outage.at_ms));
        Self {
            outages,
            wall_jumps: wall_jumps.to_vec(),
            ..Self::default()
        }
    }
}

impl World {
    /// Takes the server down or brings it back, if it is time for either.
    pub(super) fn go_through_outages(&mut self) {
        let millis = self.millis();
        let jumped = |jump: &crate::clocks::WallJump| jump.at_ms <= millis;
        while let Some(at) = self.trouble.wall_jumps.iter().position(jumped) {
            let jump = self.trouble.wall_jumps.remove(at);
            self.counts.count(if jump.by_ms < 0 {
                Fault::WallBack
            } else {
                Fault::WallForward
            });
        }
        match self.trouble.back_at {
            Some(at) if self.sim.elapsed() >= at => self.bring_back(),
            None if self.stopped_by.is_none() => {
                let due = |outage: &mut Outage| outage.at_ms <= millis;
                if let Some(outage) = self.trouble.outages.pop_if(due) {
                    self.take_down(outage);
                }
            }
            _ => {}
        }
    }

    /// No more outages; the server is there from now on.
    pub(super) fn end_outages(&mut self) {
        self.trouble.outages.clear();
        if self.trouble.back_at.is_some() {
            self.bring_back();
        }
        while !self.host.is_up() && self.step() {}
    }

    fn take_down(&mut self, outage: Outage) {
        let (fault, how) = if outage.power {
            (Fault::PowerLoss, "the server's machine loses its power")
        } else {
            (Fault::Crash, "the server's process is killed")
        };
        self.counts.count(fault);
        self.world_line(how);
        self.shared.net.server_dies(!outage.power);
        if outage.power {
            for host in 0..self.hosts {
                self.sim.partition(SERVER, &*client_host(host));
            }
        }
        self.sim.crash(SERVER);
        self.host.bury();
        if outage.power {
            self.note_what_is_safe();
            self.shared.disk.lose_power();
            self.reconnect_links();
            self.trouble.written.clear();
        } else {
            // The system has it, and writes it down sooner or later.
            self.trouble.written.extend(self.shared.disk.files());
        }
        self.count_unfinished();
        let down = Duration::from_millis(outage.down_ms.max(1));
        self.trouble.back_at = Some(self.sim.elapsed() + down);
    }

    fn note_what_is_safe(&mut self) {
        let safe = self.shared.disk.safe(self.now());
        self.trouble.safe.extend(safe.files);
        let longest = self.trouble.unsafe_for.take().into_iter();
        let longest = longest.chain(safe.unsafe_for);
        self.trouble.unsafe_for = longest.max_by_key(|(_, age)| *age);
    }

    fn count_unfinished(&mut self) {
        let files = self.shared.disk.files();
        let is_part = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "part");
        self.trouble.unfinished += files.keys().filter(is_part).count() as u64;
    }

    /// Every link is again what its own events have made of it.
    fn reconnect_links(&mut self) {
        for host in 0..self.hosts {
            let link = self.trouble.links.get(&host).copied().unwrap_or_default();
            let client = client_host(host);
            if !link.cut {
                self.sim.repair(SERVER, &*client);
            }
            if link.held {
                self.sim.hold(SERVER, &*client);
            }
        }
    }

    fn bring_back(&mut self) {
        self.trouble.back_at = None;
        self.counts.count(Fault::Bounce);
        self.world_line("the server is started again");
        self.shared.net.server_returns();
        self.sim.bounce(SERVER);
    }

    pub(super) fn change_link(&mut self, host: usize, change: LinkChange) {
        let client = client_host(host);
        let now = self.sim.elapsed();
        let link = self.trouble.links.entry(host).or_default();
        match change {
            LinkChange::Hold => {
                link.held = true;
                let flaps = link.released.is_some_and(|at| now < at + FLAP);
                if flaps {
                    self.counts.count(Fault::LinkFlaps);
                }
                self.counts.count(Fault::LinkHeld);
                self.sim.hold(SERVER, &*client);
                self.world_line(&format!("holds the link of {client}"));
            }
            LinkChange::Release => {
                link.held = false;
                link.released = Some(now);
                self.sim.release(SERVER, &*client);
                self.world_line(&format!("releases the link of {client}"));
            }
            LinkChange::Latency(ms) => {
                self.counts.count(Fault::LatencyChanged);
                let latency = Duration::from_millis(ms);
                self.sim.set_link_latency(SERVER, &*client, latency);
                self.world_line(&format!("{ms} ms from and to {client}"));
            }
            LinkChange::Mend => {
                link.cut = false;
                self.sim.repair(SERVER, &*client);
                self.shared.net.mend(self.sim.lookup(&*client));
                self.world_line(&format!("mends the link of {client}"));
            }
            LinkChange::Vanish | LinkChange::CutUp | LinkChange::CutDown => {
                link.cut = true;
                self.cut_link(&client, change);
            }
        }
    }

    fn cut_link(&mut self, client: &str, change: LinkChange) {
        let (fault, what) = match change {
            LinkChange::CutUp => (Fault::CutUp, "loses what is sent from"),
            LinkChange::CutDown => (Fault::CutDown, "loses what is sent to"),
            _ => (Fault::Zombie, "is cut off from"),
        };
        self.counts.count(fault);
        self.world_line(&format!("the server {what} {client}"));
        match change {
            LinkChange::CutUp => self.sim.partition_oneway(client, SERVER),
            LinkChange::CutDown => self.sim.partition_oneway(SERVER, client),
            _ => self.sim.partition(SERVER, client),
        }
        let cut = match change {
            LinkChange::CutUp | LinkChange::CutDown => Cut::OneWay,
            _ => Cut::ClientsGone,
        };
        self.shared.net.cut(self.sim.lookup(client), cut);
    }
}
