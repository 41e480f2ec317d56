//! Names → streams: who publishes (a lease, at most one a name), and which shards have players.
//!
//! Owned by the control thread; touched at publish, play and close, never per frame.

use crate::planted::{Bug, planted};
use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A stream's name within the server: `app/name`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey(Arc<str>);

impl StreamKey {
    /// The key of stream `name` in application `app`. `live` + `a/b` and `live/a` + `b` are the same stream,
    /// since clients split the URL differently (OBS and FFmpeg do).
    pub fn new(app: &str, name: &str) -> Self {
        // OBS given `rtmp://host` and the key `live/a`: the application is empty.
        match app {
            "" => Self(name.into()),
            app => Self(format!("{app}/{name}").into()),
        }
    }

    /// The application a stream belongs to: everything before its last part, wherever its client split the URL.
    pub fn application(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(path, _)| path)
    }

    /// `app/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A data shard's number, from 0.
pub type ShardId = usize;
/// One lease of a name, never reused in a server's life.
pub type PublicationId = u64;
/// One shard's wish to get a stream; numbered by the shard, never reused by it.
pub type SubscriptionId = u64;

/// A shard that has players of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subscriber {
    /// The shard.
    pub shard: ShardId,
    /// Its subscription; what is sent to it carries the number, so that stale messages are known as such.
    pub subscription: SubscriptionId,
}

/// The right to publish under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Its number.
    pub publication: PublicationId,
    /// The shard of the publisher's connection.
    pub shard: ShardId,
}

/// The names in use.
#[derive(Default)]
pub struct Directory {
    streams: BTreeMap<StreamKey, Entry>,
    next_publication: PublicationId,
}

#[derive(Default)]
struct Entry {
    lease: Option<Lease>,
    audience: BTreeMap<ShardId, SubscriptionId>,
}

impl Directory {
    /// Leases `key` to a publisher on `shard`; the lease and the shards that wait for it.
    ///
    /// # Errors
    /// The lease that holds the name.
    pub fn publish(
        &mut self,
        key: &StreamKey,
        shard: ShardId,
    ) -> Result<(Lease, Vec<Subscriber>), Lease> {
        let entry = self.streams.entry(key.clone()).or_default();
        if let Some(holder) = entry.lease
            && !planted(Bug::TwoClaims)
        {
            return Err(holder);
        }
        let lease = Lease {
            publication: self.next_publication,
            shard,
        };
        self.next_publication += 1;
        entry.lease = Some(lease);
        let audience = entry
            .audience
            .iter()
            .map(|(&shard, &subscription)| Subscriber {
                shard,
                subscription,
            })
            .collect();
        Ok((lease, audience))
    }

    /// Gives a lease back. One that is not held any more is ignored.
    pub fn unpublish(&mut self, key: &StreamKey, publication: PublicationId) {
        if let Some(entry) = self.streams.get_mut(key) {
            if entry
                .lease
                .is_some_and(|lease| lease.publication == publication)
            {
                entry.lease = None;
            }
            self.forget_if_empty(key);
        }
    }

    /// Notes that `subscriber` has players of `key`; the publisher to tell, if there is one.
    pub fn subscribe(&mut self, key: &StreamKey, subscriber: Subscriber) -> Option<Lease> {
        let entry = self.streams.entry(key.clone()).or_default();
        entry
            .audience
            .insert(subscriber.shard, subscriber.subscription);
        entry.lease
    }

    /// Notes that `subscriber` has no players of `key` any more; the publisher to tell, if there is one.
    pub fn unsubscribe(&mut self, key: &StreamKey, subscriber: Subscriber) -> Option<Lease> {
        let entry = self.streams.get_mut(key)?;
        if entry.audience.get(&subscriber.shard) == Some(&subscriber.subscription) {
            entry.audience.remove(&subscriber.shard);
        }
        let lease = entry.lease;
        self.forget_if_empty(key);
        lease
    }

    /// Whether somebody publishes `key`.
    pub fn is_published(&self, key: &StreamKey) -> bool {
        self.streams.get(key).is_some_and(|it| it.lease.is_some())
    }

    /// Streams that are published in `application`, counted up to `most`.
    pub fn published_in(&self, application: &str, most: usize) -> usize {
        // A stream's name begins with its application's; between those of one application are those of its children.
        let first = StreamKey::new(application, "");
        let mine = self
            .streams
            .range(&first..)
            .take_while(|(key, _)| key.as_str().starts_with(first.as_str()));
        mine.filter(|(key, entry)| entry.lease.is_some() && key.application() == application)
            .take(most)
            .count()
    }

    /// How many names are known. Zero when nobody publishes or plays.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether no name is known.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    fn forget_if_empty(&mut self, key: &StreamKey) {
        if self
            .streams
            .get(key)
            .is_some_and(|entry| entry.lease.is_none() && entry.audience.is_empty())
        {
            self.streams.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> StreamKey {
        StreamKey::new("live", "test")
    }
    fn on(shard: ShardId, subscription: SubscriptionId) -> Subscriber {
        Subscriber {
            shard,
            subscription,
        }
    }

    #[test]
    fn one_publisher_a_name() {
        let mut directory = Directory::default();
        let (lease, audience) = directory.publish(&key(), 3).expect("free");
        assert!(audience.is_empty());
        assert_eq!(directory.publish(&key(), 4), Err(lease));
        directory.unpublish(&key(), lease.publication + 1);
        assert_eq!(
            directory.publish(&key(), 4),
            Err(lease),
            "a stale number frees nothing"
        );
        directory.unpublish(&key(), lease.publication);
        assert!(directory.is_empty());
        let (second, _) = directory.publish(&key(), 4).expect("free again");
        assert_ne!(second.publication, lease.publication);
    }

    #[test]
    fn players_may_come_first() {
        let mut directory = Directory::default();
        assert_eq!(directory.subscribe(&key(), on(1, 7)), None);
        let (lease, audience) = directory.publish(&key(), 0).expect("free");
        assert_eq!(audience, [on(1, 7)]);
        assert_eq!(directory.subscribe(&key(), on(2, 1)), Some(lease));
        assert_eq!(
            directory.unsubscribe(&key(), on(1, 6)),
            Some(lease),
            "stale, but the lease is told"
        );
        directory.unpublish(&key(), lease.publication);
        assert_eq!(directory.len(), 1, "players still wait");
        directory.unsubscribe(&key(), on(1, 7));
        directory.unsubscribe(&key(), on(2, 1));
        assert!(directory.is_empty());
    }

    #[test]
    fn streams_are_counted_by_application() {
        let mut directory = Directory::default();
        for (app, name) in [
            ("live", "a"),
            ("live", "b"),
            ("live/x", "c"),
            ("liver", "d"),
            ("", "e"),
        ] {
            let key = StreamKey::new(app, name);
            assert!(!directory.is_published(&key));
            directory.publish(&key, 0).expect("free");
            assert!(directory.is_published(&key));
        }
        directory.subscribe(&StreamKey::new("live", "waits"), on(0, 1));
        assert!(!directory.is_published(&StreamKey::new("live", "waits")));
        for (application, count) in [
            ("live", 2),
            ("live/x", 1),
            ("liver", 1),
            ("", 1),
            ("other", 0),
        ] {
            assert_eq!(
                directory.published_in(application, 9),
                count,
                "{application:?}"
            );
        }
        assert_eq!(directory.published_in("live", 1), 1, "no more than asked");
    }

    #[test]
    fn the_url_may_be_split_anywhere() {
        assert_eq!(StreamKey::new("live", "a/b"), StreamKey::new("live/a", "b"));
        assert_eq!(StreamKey::new("", "live/a"), StreamKey::new("live", "a"));
        for (app, name, application) in [
            ("live", "a", "live"),
            ("live", "a/b", "live/a"),
            ("live/a", "b", "live/a"),
            ("", "live/a", "live"),
            ("", "a", ""),
        ] {
            assert_eq!(StreamKey::new(app, name).application(), application);
        }
    }
}
