//! What a shard does with its mail: sockets, the directory's answers, and streams from other shards.

use std::rc::Rc;

use super::message::{Beginning, Route, ShardMessage};
use super::play::notice_for;
use super::shard::Shard;
use super::stream::{LiveStream, Source, State};
use crate::media::directory::StreamKey;
use crate::media::ring::NoticeKind;
use crate::media::stream::Snapshot;
use crate::planted::{Bug, planted};
use crate::rtmp::wire::WireMessage;
use crate::runtime::Runtime;

impl<R: Runtime> Shard<R> {
    pub(super) fn handle(&self, message: ShardMessage<R::Socket>) {
        match message {
            ShardMessage::Accepted {
                socket,
                peer,
                connection,
                ticket,
            } => self.accepted(socket, peer, connection, ticket),
            ShardMessage::Granted {
                request,
                key,
                lease,
                audience,
                heritage,
            } => {
                self.granted(request, &key, lease, audience, heritage);
            }
            ShardMessage::Yield { key, publication } => self.yield_name(&key, publication),
            ShardMessage::Refused { request } => self.refused(request),
            ShardMessage::Full { request } => self.full(request),
            ShardMessage::Seen { request, published } => self.seen(request, published),
            ShardMessage::Subscribed {
                key,
                publication,
                subscriber,
            } => {
                self.subscribed(&key, publication, subscriber);
            }
            ShardMessage::Unsubscribed {
                key,
                publication,
                subscriber,
            } => {
                self.unsubscribed(&key, publication, subscriber);
            }
            ShardMessage::Snapshot {
                route,
                beginning,
                snapshot,
            } => self.snapshot(&route, beginning, snapshot),
            ShardMessage::Frames { route, messages } => self.frames(&route, messages),
            ShardMessage::MetadataCleared { route } => {
                if let Some(stream) = self.routed(&route, true) {
                    stream.state.borrow_mut().media.clear_metadata();
                }
            }
            ShardMessage::Recorded { route, timeline } => {
                if let Some(stream) = self.routed(&route, true) {
                    let media = &mut stream.state.borrow_mut().media;
                    media.set_timeline(Some(timeline));
                }
            }
            ShardMessage::Ended { route } => self.ended(&route),
            ShardMessage::Asked { number, ask } => self.asked(number, &ask),
            ShardMessage::ArchiveListed { dir } => self.recorders().release(dir),
            ShardMessage::Reload { settings } => self.reload(settings),
            ShardMessage::Drain { deadline } => self.drain(deadline),
        }
    }

    /// The stream that `route` means, unless the message was overtaken: by our last player's leaving, by a
    /// publisher of our own, or (if `current`) by another publication.
    fn routed(&self, route: &Route, current: bool) -> Option<Rc<LiveStream<R::Conn>>> {
        let stream = self.known_stream(&route.key)?;
        let fits = {
            let state = stream.state.borrow();
            let ours = state.subscription == Some(route.subscription)
                && (route.publication >= state.newest || planted(Bug::StaleMailTaken));
            ours && match state.source {
                Source::None => !current,
                Source::Remote { publication } => !current || publication == route.publication,
                Source::Local(_) => false,
            }
        };
        fits.then_some(stream)
    }

    /// The beginning of a stream from another shard, or all of it anew after we lagged.
    fn snapshot(&self, route: &Route, beginning: Beginning, snapshot: Snapshot) {
        let Some(stream) = self.routed(route, false) else {
            return;
        };
        {
            let now = self.runtime().now();
            let state = &mut *stream.state.borrow_mut();
            let known = matches!(state.source, Source::Remote { publication } if publication == route.publication);
            // Players that had the publication before hear nothing of one that goes on with its stream.
            let quiet = beginning == Beginning::Resumption && state.media.is_live();
            if !known && !quiet {
                self.end_remote(&stream.key, state);
                state.configure(&stream.key, &self.settings());
            }
            state.source = Source::Remote {
                publication: route.publication,
            };
            state.newest = route.publication;
            let chunk_size = self.settings().chunk_size;
            let told = beginning != Beginning::Copy && !quiet;
            let notice =
                told.then(|| notice_for(NoticeKind::Began, 1, stream.key.as_str(), chunk_size));
            state.media.begin_from(snapshot, notice, now);
            if !known {
                state.joiners.begin_anew(now);
            }
        }
        stream.deliver_new(self.runtime());
    }

    fn frames(&self, route: &Route, messages: Vec<WireMessage>) {
        let Some(stream) = self.routed(route, true) else {
            return;
        };
        let now = self.runtime().now();
        for message in messages {
            stream.state.borrow_mut().media.push(message, now);
        }
        stream.deliver_new(self.runtime());
        self.keep_within_memory();
    }

    fn ended(&self, route: &Route) {
        let Some(stream) = self.routed(route, true) else {
            return;
        };
        self.end_remote(&stream.key, &mut stream.state.borrow_mut());
        stream.deliver_new(self.runtime());
    }

    /// If the stream came from another shard: it does not any more, and the players are told.
    pub(super) fn end_remote(&self, key: &StreamKey, state: &mut State<R::Conn>) {
        if let Source::Remote { .. } = state.source {
            state.source = Source::None;
            let notice = notice_for(
                NoticeKind::Ended,
                1,
                key.as_str(),
                self.settings().chunk_size,
            );
            state.media.end(notice, self.runtime().now());
        }
    }
}
