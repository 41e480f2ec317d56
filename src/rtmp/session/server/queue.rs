//! Events that wait for the shell, each with the role it belongs to.
//!
//! One read can bring tens of thousands of them, and hundreds of requests that the shell refuses: what it does not want
//! to hear of any more is marked and passed over on its way out, never searched for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Event;
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
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<(RoleId, Event)>,
    /// Roles the shell ended, of which it is to hear no more. Empty when the queue is.
    ended: BTreeSet<RoleId>,
    /// The last role of each message stream that the shell was asked for, and that has not ended for it.
    heard: BTreeMap<MessageStreamId, Heard>,
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

    /// The next event the shell is to hear.
    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = loop {
            let Some((role, event)) = self.events.pop_front() else {
                self.ended.clear();
                return None;
            };
            #[cfg(test)]
            {
                self.steps += 1;
            }
            if !self.ended.contains(&role) {
                self.note(role, &event);
                break event;
            }
        };
        Some(event)
    }

    fn note(&mut self, role: RoleId, event: &Event) {
        match event {
            Event::PublishRequested { stream, .. } | Event::PlayRequested { stream, .. } => {
                let heard = Heard {
                    role,
                    publishes: matches!(event, Event::PublishRequested { .. }),
                    waits: true,
                };
                self.heard.insert(*stream, heard);
            }
            Event::StreamClosed { stream } => {
                self.heard.remove(stream);
            }
            _ => {}
        }
    }

    /// The shell says yes to what it was last asked for `stream`: the role, if it has not answered yet.
    pub(super) fn accept(&mut self, stream: MessageStreamId) -> Option<RoleId> {
        let heard = self.heard.get_mut(&stream).filter(|heard| heard.waits)?;
        heard.waits = false;
        Some(heard.role)
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
