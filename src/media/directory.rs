//! Names → streams: who publishes (a lease, at most one a name), and which shards have players.
//!
//! Owned by the control thread; touched at publish, play and close, never per frame.
//!
//! A lease is never taken away here: where the second publisher of a name wins ([`OnConflict`]), it waits until the
//! first one's shard has given the lease back, which that is asked to do at once. So what a publication sends to its
//! players' shards ends before the next one is granted.

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

    /// The stream's name within its application: the last part.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
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

/// What becomes of a publisher that asks for a name which somebody publishes already.
///
/// Who may publish may take over: there is nothing yet that tells one publisher from another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnConflict {
    /// It is refused.
    #[default]
    Refuse,
    /// It wins: the first is told so and closed. Players stay; they are told of the end and of the beginning, and their
    /// clock goes on. (Two encoders that both come back by themselves would take over from each other for ever.)
    Takeover,
    /// The same, and one that vanishes without a goodbye has a time of grace to come back, in which players see no end.
    Resume,
}

/// A publisher that asks for a name, as its shard knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claimant {
    /// Its connection's shard.
    pub shard: ShardId,
    /// The question, numbered by that shard.
    pub request: u64,
}

/// What comes of a claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// The name is leased to it.
    Granted(Grant),
    /// Somebody holds the name.
    Taken,
    /// Somebody holds the name and is to let go of it; then it is this claimant's.
    Waits {
        /// Who is to be asked; nobody if it has been asked already.
        holder: Option<Lease>,
        /// Who waited before, and is turned away.
        displaced: Option<Claimant>,
    },
}

/// A lease, to whom, and the shards that wait for the stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The lease.
    pub lease: Lease,
    /// Who asked.
    pub claimant: Claimant,
    /// Who has players.
    pub audience: Vec<Subscriber>,
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
    /// Who gets the name next: the holder is asked to let go of it.
    successor: Option<Claimant>,
    audience: BTreeMap<ShardId, SubscriptionId>,
}

impl Entry {
    fn grant(&mut self, publication: PublicationId, claimant: Claimant) -> Grant {
        let lease = Lease {
            publication,
            shard: claimant.shard,
        };
        self.lease = Some(lease);
        let audience = self.audience.iter();
        let audience = audience.map(|(&shard, &subscription)| Subscriber {
            shard,
            subscription,
        });
        Grant {
            lease,
            claimant,
            audience: audience.collect(),
        }
    }
}

impl Directory {
    /// Leases `key` to `claimant`, now or when its holder has let go of it.
    pub fn publish(
        &mut self,
        key: &StreamKey,
        claimant: Claimant,
        on_conflict: OnConflict,
    ) -> Claim {
        let entry = self.streams.entry(key.clone()).or_default();
        match (entry.lease, on_conflict) {
            _ if planted(Bug::TwoClaims) => {}
            (None, _) => {}
            (Some(_), OnConflict::Refuse) => return Claim::Taken,
            (Some(holder), OnConflict::Takeover | OnConflict::Resume) => {
                let displaced = entry.successor.replace(claimant);
                return Claim::Waits {
                    holder: displaced.is_none().then_some(holder),
                    displaced,
                };
            }
        }
        let publication = self.next_publication;
        self.next_publication += 1;
        Claim::Granted(entry.grant(publication, claimant))
    }

    /// Gives a lease back. One that is not held any more is ignored. Returns the lease of who waited for the name.
    pub fn unpublish(&mut self, key: &StreamKey, publication: PublicationId) -> Option<Grant> {
        let entry = self.streams.get_mut(key)?;
        if entry
            .lease
            .is_some_and(|lease| lease.publication == publication)
        {
            entry.lease = None;
            if let Some(claimant) = entry.successor.take() {
                let publication = self.next_publication;
                self.next_publication += 1;
                return Some(entry.grant(publication, claimant));
            }
        }
        self.forget_if_empty(key);
        None
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

    fn by(shard: ShardId) -> Claimant {
        Claimant { shard, request: 9 }
    }
    fn granted(claim: Claim) -> Grant {
        match claim {
            Claim::Granted(grant) => grant,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_publisher_a_name() {
        const REFUSE: OnConflict = OnConflict::Refuse;
        let mut directory = Directory::default();
        let grant = granted(directory.publish(&key(), by(3), REFUSE));
        assert!(grant.audience.is_empty());
        assert_eq!((grant.claimant, grant.lease.shard), (by(3), 3));
        assert_eq!(directory.publish(&key(), by(4), REFUSE), Claim::Taken);
        let publication = grant.lease.publication;
        assert_eq!(directory.unpublish(&key(), publication + 1), None);
        assert_eq!(
            directory.publish(&key(), by(4), REFUSE),
            Claim::Taken,
            "a stale number frees nothing"
        );
        assert_eq!(directory.unpublish(&key(), publication), None);
        assert!(directory.is_empty());
        let second = granted(directory.publish(&key(), by(4), REFUSE));
        assert_ne!(second.lease.publication, publication);
    }

    #[test]
    fn the_last_who_asks_gets_the_name_once_its_holder_has_let_go() {
        for policy in [OnConflict::Takeover, OnConflict::Resume] {
            let mut directory = Directory::default();
            let first = granted(directory.publish(&key(), by(1), policy)).lease;
            directory.subscribe(&key(), on(5, 1));
            let waits = |holder, displaced| Claim::Waits { holder, displaced };
            assert_eq!(
                directory.publish(&key(), by(2), policy),
                waits(Some(first), None)
            );
            assert_eq!(
                directory.publish(&key(), by(3), policy),
                waits(None, Some(by(2))),
                "asked once"
            );
            assert_eq!(
                directory.subscribe(&key(), on(6, 1)),
                Some(first),
                "it holds the name till then"
            );
            assert_eq!(directory.unpublish(&key(), 77), None);
            let grant = directory.unpublish(&key(), first.publication);
            let grant = grant.expect("somebody waits");
            assert_eq!(grant.claimant, by(3));
            assert!(grant.lease.publication > first.publication);
            assert_eq!(grant.audience, [on(5, 1), on(6, 1)]);
            assert_eq!(directory.unpublish(&key(), first.publication), None);
            assert_eq!(directory.unpublish(&key(), grant.lease.publication), None);
            directory.unsubscribe(&key(), on(5, 1));
            directory.unsubscribe(&key(), on(6, 1));
            assert!(directory.is_empty());
        }
    }

    #[test]
    fn players_may_come_first() {
        let mut directory = Directory::default();
        assert_eq!(directory.subscribe(&key(), on(1, 7)), None);
        let grant = granted(directory.publish(&key(), by(0), OnConflict::Refuse));
        assert_eq!(grant.audience, [on(1, 7)]);
        let lease = grant.lease;
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
            granted(directory.publish(&key, by(0), OnConflict::Refuse));
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
