//! The message streams of one connection and what each is for.

use core::ops::RangeInclusive;

use super::queue::RoleId;
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
        change: Change,
    },
}

/// Whether a play takes the place of another (`play2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It does not, as far as the client knows.
    None,
    /// It is about to, and the client knows.
    Begun,
    /// It has, and the client knows.
    Made,
}

#[derive(Debug)]
pub(super) struct Stream {
    id: MessageStreamId,
    role: Role,
    /// The number of the role; 0 if it is idle.
    role_id: RoleId,
    /// The number of the first play of the list that it is part of; its own if it is not one that follows others.
    first: RoleId,
    /// How long its player buffers, milliseconds, if it has said so.
    buffer: Option<u32>,
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
        self.0.push(Stream {
            id,
            role: Role::Idle,
            role_id: 0,
            first: 0,
            buffer: None,
        });
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
    pub(super) fn publishing(&self, id: MessageStreamId) -> Option<(MessageStreamId, RoleId)> {
        let mut all = self.0.iter();
        if let Some(stream) = all.find(|s| s.id == id && s.publishes()) {
            return Some((id, stream.role_id));
        }
        let mut publishing = self.0.iter().filter(|s| s.publishes());
        let only = publishing.next()?;
        (id == 0 && publishing.next().is_none()).then_some((only.id, only.role_id))
    }

    /// The stream that publishes `name` (without query); no name means the only one that publishes anything. Another
    /// name means none: it may be that of a stream which was deleted before its FCUnpublish.
    pub(super) fn publishing_name(&self, name: &str) -> Option<MessageStreamId> {
        if name.is_empty() {
            return self.publishing(0).map(|(id, _)| id);
        }
        let mut all = self.0.iter();
        let named = all.find(|s| matches!(&s.role, Role::Publish { name: n, .. } if n == name));
        named.map(|s| s.id)
    }

    pub(super) fn role(&mut self, id: MessageStreamId) -> Option<&mut Role> {
        let stream = self.0.iter_mut().find(|s| s.id == id)?;
        Some(&mut stream.role)
    }

    /// The number of `id`'s role; 0 if it has none.
    pub(super) fn role_id(&self, id: MessageStreamId) -> RoleId {
        let stream = self.0.iter().find(|s| s.id == id);
        stream.map_or(0, |s| s.role_id)
    }

    /// Gives `id` a role with a number and returns those it had.
    pub(super) fn set_role(
        &mut self,
        id: MessageStreamId,
        role: Role,
        role_id: RoleId,
    ) -> (Role, RoleId) {
        let Some(stream) = self.0.iter_mut().find(|s| s.id == id) else {
            return (Role::Idle, 0);
        };
        let role = core::mem::replace(&mut stream.role, role);
        stream.first = role_id;
        (role, core::mem::replace(&mut stream.role_id, role_id))
    }

    /// The role of `id` follows others of a list, of which `first` was the first.
    pub(super) fn follows(&mut self, id: MessageStreamId, first: RoleId) {
        if let Some(stream) = self.0.iter_mut().find(|s| s.id == id) {
            stream.first = first;
        }
    }

    /// The numbers of `id`'s role and of those it follows. (Roles of other message streams may lie between.)
    pub(super) fn role_ids(&self, id: MessageStreamId) -> RangeInclusive<RoleId> {
        let stream = self.0.iter().find(|s| s.id == id);
        stream.map_or(0..=0, |s| s.first..=s.role_id)
    }

    /// SetBufferLength. Of a message stream that nobody made it is ignored.
    pub(super) fn set_buffer(&mut self, id: MessageStreamId, millis: u32) {
        let Some(id) = self.meant(id) else { return };
        if let Some(stream) = self.0.iter_mut().find(|s| s.id == id) {
            stream.buffer = Some(millis);
        }
    }

    /// What SetBufferLength said, milliseconds.
    pub(super) fn buffer(&self, id: MessageStreamId) -> Option<u32> {
        self.0.iter().find(|s| s.id == id)?.buffer
    }

    pub(super) fn remove(&mut self, id: MessageStreamId) {
        self.0.retain(|s| s.id != id);
    }

    pub(super) fn ids(&self) -> Vec<MessageStreamId> {
        self.0.iter().map(|s| s.id).collect()
    }
}
