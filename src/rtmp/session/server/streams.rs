//! The message streams of one connection and what each is for.

use crate::limits;
use crate::rtmp::session::{MessageStreamId, SessionError};

/// What a message stream does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// Created, or its role has ended.
    Idle,
    /// Asked to publish `name` (without query).
    Publish { name: String, accepted: bool },
    /// Asked to play `name` (without query).
    Play {
        name: String,
        reset: bool,
        accepted: bool,
    },
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: MessageStreamId,
    pub(super) role: Role,
}

impl Stream {
    fn publishes(&self) -> bool {
        matches!(self.role, Role::Publish { .. })
    }
}

/// At most [`limits::MESSAGE_STREAMS`], in no order.
#[derive(Debug, Default)]
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    /// Makes one with the lowest free number: nearly everybody then has 1, for which the shared bytes are laid out.
    pub(super) fn create(&mut self) -> Result<MessageStreamId, SessionError> {
        let taken = |id: &MessageStreamId| self.0.iter().any(|s| s.id == *id);
        let id = (1..).find(|id| !taken(id)).unwrap_or(1);
        self.insert(id)?;
        Ok(id)
    }

    fn insert(&mut self, id: MessageStreamId) -> Result<(), SessionError> {
        if self.0.len() >= limits::MESSAGE_STREAMS {
            return Err(SessionError::Bound {
                what: "message streams",
                limit: limits::MESSAGE_STREAMS,
            });
        }
        let role = Role::Idle;
        self.0.push(Stream { id, role });
        Ok(())
    }

    /// The number of the stream a command on `id` means: `id` itself, or the only one there is, as librtmp sends some
    /// commands on 0.
    pub(super) fn meant(&self, id: MessageStreamId) -> Option<MessageStreamId> {
        match self.0.as_slice() {
            streams if streams.iter().any(|s| s.id == id) => Some(id),
            [only] if id == 0 => Some(only.id),
            _ => None,
        }
    }

    /// The same for `publish` and `play`, which make the stream if there is none: some gear never asks for one.
    pub(super) fn meant_or_new(
        &mut self,
        id: MessageStreamId,
    ) -> Result<MessageStreamId, SessionError> {
        match self.meant(id) {
            Some(id) => Ok(id),
            None if id == 0 => self.create(),
            None => self.insert(id).map(|()| id),
        }
    }

    /// The number of the publishing stream that media on `id` belongs to. Message stream 0 means the only one.
    pub(super) fn publishing(&self, id: MessageStreamId) -> Option<MessageStreamId> {
        if self.0.iter().any(|s| s.id == id && s.publishes()) {
            return Some(id);
        }
        let mut publishing = self.0.iter().filter(|s| s.publishes());
        let only = publishing.next()?;
        (id == 0 && publishing.next().is_none()).then_some(only.id)
    }

    /// The stream that publishes `name`, or the only one that publishes anything: encoders do not agree whether
    /// FCUnpublish repeats the query.
    pub(super) fn publishing_name(&self, name: &str) -> Option<MessageStreamId> {
        let mut all = self.0.iter();
        let named = all.find(|s| matches!(&s.role, Role::Publish { name: n, .. } if n == name));
        named.map(|s| s.id).or_else(|| self.publishing(0))
    }

    pub(super) fn role(&mut self, id: MessageStreamId) -> Option<&mut Role> {
        let stream = self.0.iter_mut().find(|s| s.id == id)?;
        Some(&mut stream.role)
    }

    /// Gives `id` a role and returns the one it had.
    pub(super) fn set_role(&mut self, id: MessageStreamId, role: Role) -> Role {
        match self.role(id) {
            Some(place) => core::mem::replace(place, role),
            None => Role::Idle,
        }
    }

    pub(super) fn remove(&mut self, id: MessageStreamId) {
        self.0.retain(|s| s.id != id);
    }

    pub(super) fn ids(&self) -> Vec<MessageStreamId> {
        self.0.iter().map(|s| s.id).collect()
    }
}
