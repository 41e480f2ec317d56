//! Events that wait for the shell, each with the role it belongs to.
//!
//! One read can bring tens of thousands of them, and hundreds of requests that the shell refuses: what it does not want
//! to hear of any more is marked and passed over on its way out, never searched for.

use core::ops::RangeInclusive;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Event;
use crate::limits;
use crate::rtmp::session::MessageStreamId;

/// One publish or play: they are numbered in the order they were asked for, from 1. 0 is none.
pub(super) type RoleId = u64;

/// What the shell knows of a message stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    pub(super) role: RoleId,
    /// Whether it publishes.
    pub(super) publishes: bool,
    /// Whether the shell has not answered yet.
    waits: bool,
    /// Whether the client was told that it is accepted.
    told: bool,
    /// Whether it takes the place of a play that the client was told of.
    pub(super) changes: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<(RoleId, Event)>,
    /// Roles the shell ended, of which it is to hear no more. Empty when the queue is.
    ended: BTreeSet<RoleId>,
    /// The last role of each message stream that the shell was asked for, and that has not ended for it.
    heard: BTreeMap<MessageStreamId, Heard>,
    /// The accepted role whose end was the last event, and its message stream.
    left: Option<(MessageStreamId, Heard)>,
    /// Events looked at so far: a test counts them.
    #[cfg(test)]
    pub(super) steps: u64,
}

impl Queue {
    pub(super) fn push(&mut self, role: RoleId, event: Event) {
        self.events.push_back((role, event));
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.events.capacity()
    }

    /// The next event the shell is to hear.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = loop {
            let Some((role, mut event)) = self.events.pop_front() else {
                self.ended.clear();
                if self.events.capacity() > limits::SESSION_EVENTS_KEPT {
                    self.events = VecDeque::new();
                }
                return None;
            };
            #[cfg(test)]
            {
                self.steps += 1;
            }
            if !self.ended.contains(&role) {
                self.note(role, &mut event);
                break event;
            }
        };
        Some(event)
    }

    fn note(&mut self, role: RoleId, event: &mut Event) {
        let left = self.left.take();
        let mut heard = Heard {
            role,
            publishes: false,
            waits: true,
            told: false,
            changes: false,
        };
        match event {
            Event::PublishRequested { stream, .. } => {
                heard.publishes = true;
                self.heard.insert(*stream, heard);
            }
            Event::PlayRequested {
                stream, transition, ..
            } => {
                let left = left.filter(|(at, left)| at == stream && !left.publishes);
                *transition = transition.take().filter(|_| left.is_some());
                heard.changes = transition.is_some() && left.is_some_and(|(_, left)| left.told);
                self.heard.insert(*stream, heard);
            }
            Event::StreamClosed { stream, .. } => {
                let ended = self.heard.remove(stream);
                self.left = ended.filter(|h| !h.waits).map(|h| (*stream, h));
            }
            _ => {}
        }
    }

    /// The shell says yes to what it was last asked for `stream`, and the client is told so if that is the role
    /// `current`, the last it asked for, or one that this follows. None if the client is not told, or the shell has
    /// answered before.
    pub(super) fn accept(
        &mut self,
        stream: MessageStreamId,
        current: &RangeInclusive<RoleId>,
    ) -> Option<Heard> {
        let heard = self.heard.get_mut(&stream).filter(|heard| heard.waits)?;
        heard.waits = false;
        heard.told = current.contains(&heard.role);
        heard.told.then_some(*heard)
    }

    /// Whether the shell speaks of the role `current` when it speaks of `stream`, and the client knows that role.
    pub(super) fn speaks_of(
        &self,
        stream: MessageStreamId,
        current: &RangeInclusive<RoleId>,
    ) -> bool {
        let heard = self.heard.get(&stream);
        heard.is_some_and(|heard| heard.told && current.contains(&heard.role))
    }

    /// The shell says no, or not any more, to what it was last asked for `stream`. It hears no more of that.
    pub(super) fn end(&mut self, stream: MessageStreamId, answered: bool) -> Option<Heard> {
        let heard = *self.heard.get(&stream).filter(|h| h.waits != answered)?;
        self.heard.remove(&stream);
        if !self.events.is_empty() {
            self.ended.insert(heard.role);
        }
        Some(heard)
    }
}
