//! Who is let in: bounds on connections, kept at accept by the control thread.
//!
//! Each connection that is let in carries a [`Ticket`] to its shard, which counts it out when it is dropped, however the
//! connection ends: control hears of no end, and nothing can forget to tell.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::config::ConnectionLimits;
use crate::limits;
use crate::planted::{Bug, planted};
use crate::time::{Duration, Instant};

/// Connections there are and were, as all threads see them. Only control counts up, so that no bound is overrun.
#[derive(Debug, Default)]
pub struct Attendance {
    connections: AtomicUsize,
    handshakes: AtomicUsize,
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Attendance {
    /// Connections that were let in and have not gone.
    pub fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Those of them whose handshake is not complete.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Relaxed)
    }

    /// Connections that were not let in, for that reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused
            .get(why as usize)
            .map_or(0, |n| n.load(Relaxed))
    }
}

/// Why somebody is not let in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Refusal {
    /// [`ConnectionLimits::connections`]
    Connections,
    /// [`ConnectionLimits::handshakes`]
    Handshakes,
    /// [`ConnectionLimits::connections_per_address`]
    Address,
    /// [`ConnectionLimits::connects_per_second`]
    Rate,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Connections,
        Self::Handshakes,
        Self::Address,
        Self::Rate,
    ];

    /// The key of the limit.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Handshakes => "handshakes",
            Self::Address => "connections_per_address",
            Self::Rate => "connects_per_second",
        }
    }
}

/// A connection's place among all; dropping it gives the place back.
#[derive(Debug)]
pub struct Ticket {
    attendance: Arc<Attendance>,
    /// Of its address, where that is counted.
    neighbours: Option<Arc<AtomicUsize>>,
    shaking: bool,
}

impl Ticket {
    /// The handshake is complete.
    pub(super) fn shook_hands(&mut self) {
        if std::mem::take(&mut self.shaking) {
            self.attendance.handshakes.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if planted(Bug::TicketKept) {
            return;
        }
        self.shook_hands();
        self.attendance.connections.fetch_sub(1, Relaxed);
        if let Some(neighbours) = &self.neighbours {
            neighbours.fetch_sub(1, Relaxed);
        }
    }
}

/// One address.
struct Visitor {
    open: Arc<AtomicUsize>,
    /// When as many may come at once again as come in a second. (The generic cell rate algorithm: a token bucket that is
    /// one number.)
    full_at: Instant,
}

impl Visitor {
    fn may_be_forgotten(&self, now: Instant) -> bool {
        self.full_at <= now && self.open.load(Relaxed) == 0
    }
}

/// The control thread's gate.
pub(super) struct Gate {
    attendance: Arc<Attendance>,
    visitors: BTreeMap<IpAddr, Visitor>,
    /// After how many newcomers those are forgotten who are gone.
    sweep_in: usize,
    /// When refusals may be logged again, and how many were not.
    quiet_until: Instant,
    unsaid: u64,
}

impl Gate {
    pub(super) fn new(attendance: Arc<Attendance>) -> Self {
        Self {
            attendance,
            visitors: BTreeMap::new(),
            sweep_in: limits::ADDRESSES_SWEPT,
            quiet_until: Instant::ZERO,
            unsaid: 0,
        }
    }

    /// Lets `peer` in, or not.
    pub(super) fn admit(
        &mut self,
        peer: IpAddr,
        limits: &ConnectionLimits,
        now: Instant,
    ) -> Result<Ticket, Refusal> {
        let admitted = self.look_at(peer, limits, now);
        if let Err(why) = admitted
            && let Some(count) = self.attendance.refused.get(why as usize)
        {
            count.fetch_add(1, Relaxed);
        }
        admitted
    }

    fn look_at(
        &mut self,
        peer: IpAddr,
        limits: &ConnectionLimits,
        now: Instant,
    ) -> Result<Ticket, Refusal> {
        let full = |count: &AtomicUsize, most| most > 0 && count.load(Relaxed) >= most;
        let attendance = Arc::clone(&self.attendance);
        if full(&attendance.connections, limits.connections) {
            return Err(Refusal::Connections);
        }
        if full(&attendance.handshakes, limits.handshakes) {
            return Err(Refusal::Handshakes);
        }
        let neighbours = match self.visitor(peer, now) {
            Some(visitor) => {
                if full(&visitor.open, limits.connections_per_address) && !planted(Bug::GateAjar) {
                    return Err(Refusal::Address);
                }
                if limits.connects_per_second > 0 {
                    let pause = Duration::from_secs(1) / limits.connects_per_second;
                    let next = visitor.full_at.max(now) + pause;
                    if next > now + Duration::from_secs(1) {
                        return Err(Refusal::Rate);
                    }
                    visitor.full_at = next;
                }
                visitor.open.fetch_add(1, Relaxed);
                Some(Arc::clone(&visitor.open))
            }
            None => None,
        };
        attendance.connections.fetch_add(1, Relaxed);
        attendance.handshakes.fetch_add(1, Relaxed);
        Ok(Ticket {
            attendance,
            neighbours,
            shaking: true,
        })
    }

    /// What is known of an address; `None` if more are here than are counted: their bound is that of all.
    fn visitor(&mut self, peer: IpAddr, now: Instant) -> Option<&mut Visitor> {
        let peer = network(peer);
        if !self.visitors.contains_key(&peer) {
            if self.sweep_in == 0 {
                self.visitors
                    .retain(|_, visitor| !visitor.may_be_forgotten(now));
                // So that a sweep costs each newcomer some steps, also where all are here still.
                self.sweep_in = (self.visitors.len() / 16).max(limits::ADDRESSES_SWEPT);
            }
            self.sweep_in -= 1;
            if self.visitors.len() >= limits::ADDRESSES {
                return None;
            }
        }
        let visitor = self.visitors.entry(peer).or_insert_with(|| Visitor {
            open: Arc::default(),
            full_at: now,
        });
        Some(visitor)
    }

    /// Says in the log that somebody was refused: a flood is one line a second.
    pub(super) fn log(&mut self, peer: IpAddr, why: Refusal, now: Instant) {
        if now < self.quiet_until {
            self.unsaid += 1;
            return;
        }
        let others = std::mem::take(&mut self.unsaid);
        self.quiet_until = now + limits::REFUSALS_LOGGED;
        tracing::warn!(%peer, limit = why.key(), others, "refused: as many as the limit allows are here or come; others were since the last such line");
    }
}

/// Whom an address stands for: an IPv6 host has a whole /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => {
            let high = ip.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(high))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }
    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
    fn gate() -> Gate {
        Gate::new(Arc::default())
    }

    #[test]
    fn connections_are_bounded_in_all_and_counted_out() {
        let mut gate = gate();
        let limits = ConnectionLimits {
            connections: 2,
            ..ConnectionLimits::default()
        };
        let one = gate.admit(ip("10.0.0.1"), &limits, at(0)).unwrap();
        let _two = gate.admit(ip("10.0.0.2"), &limits, at(0)).unwrap();
        let refused = gate.admit(ip("10.0.0.3"), &limits, at(0));
        assert_eq!(refused.unwrap_err(), Refusal::Connections);
        assert_eq!(gate.attendance.refused(Refusal::Connections), 1);
        drop(one);
        let _three = gate.admit(ip("10.0.0.3"), &limits, at(0)).unwrap();
        assert_eq!(gate.attendance.connections(), 2);
        assert_eq!(gate.attendance.handshakes(), 2);
    }

    #[test]
    fn handshakes_are_bounded_until_they_are_complete() {
        let mut gate = gate();
        let limits = ConnectionLimits {
            handshakes: 1,
            ..ConnectionLimits::default()
        };
        let mut one = gate.admit(ip("10.0.0.1"), &limits, at(0)).unwrap();
        let refused = gate.admit(ip("10.0.0.2"), &limits, at(0));
        assert_eq!(refused.unwrap_err(), Refusal::Handshakes);
        one.shook_hands();
        one.shook_hands();
        let two = gate.admit(ip("10.0.0.2"), &limits, at(0)).unwrap();
        drop(two);
        drop(one);
        assert_eq!(gate.attendance.handshakes(), 0);
        assert_eq!(gate.attendance.connections(), 0);
    }

    #[test]
    fn an_address_is_an_ipv4_address_or_an_ipv6_network() {
        let mut gate = gate();
        let limits = ConnectionLimits {
            connections_per_address: 1,
            ..ConnectionLimits::default()
        };
        let mut held = Vec::new();
        let mut comes = |peer| match gate.admit(ip(peer), &limits, at(0)) {
            Ok(ticket) => {
                held.push(ticket);
                true
            }
            Err(why) => {
                assert_eq!(why, Refusal::Address);
                false
            }
        };
        assert!(comes("10.0.0.1"));
        assert!(!comes("10.0.0.1"));
        assert!(!comes("::ffff:10.0.0.1"), "the same, mapped");
        assert!(comes("10.0.0.2"));
        assert!(comes("2001:db8:0:1::1"));
        assert!(!comes("2001:db8:0:1:ffff::2"), "the same /64");
        assert!(comes("2001:db8:0:2::1"));
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_then_one_at_a_time() {
        let mut gate = gate();
        let limits = ConnectionLimits {
            connects_per_second: 4,
            ..ConnectionLimits::default()
        };
        let mut come = |millis| {
            let peer = ip("10.0.0.1");
            let here = (0..10).filter(|_| gate.admit(peer, &limits, at(millis)).is_ok());
            here.count()
        };
        assert_eq!(come(1_000), 4);
        assert_eq!(come(1_249), 0);
        assert_eq!(come(1_250), 1);
        assert_eq!(come(1_400), 0, "what is refused costs nothing");
        assert_eq!(come(1_500), 1);
        assert_eq!(come(60_000), 4, "no more is saved up");
        let other = gate.admit(ip("10.0.0.2"), &limits, at(60_000));
        assert!(other.is_ok(), "another address has its own");
    }

    #[test]
    fn no_more_addresses_are_kept_than_are_bounded() {
        let mut gate = gate();
        let limits = ConnectionLimits {
            connections_per_address: 1,
            ..ConnectionLimits::default()
        };
        let address = |n: u32| IpAddr::V4(n.into());
        for n in 0..100_000 {
            assert!(gate.admit(address(n), &limits, at(0)).is_ok());
        }
        assert!(gate.visitors.len() <= limits::ADDRESSES_SWEPT, "gone");
        let held: Vec<_> = (0..100_000)
            .map(|n| gate.admit(address(n), &limits, at(0)).unwrap())
            .collect();
        assert_eq!(gate.visitors.len(), limits::ADDRESSES);
        assert!(gate.admit(address(0), &limits, at(0)).is_err(), "known");
        drop(held);
        for n in 200_000..210_000 {
            assert!(gate.admit(address(n), &limits, at(1)).is_ok());
        }
        assert!(gate.visitors.len() <= 5_000, "forgotten");
    }
}
