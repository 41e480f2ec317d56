//! How a connection ends: why, in words; what the peer is still told; and how long we wait for it to hear.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use futures_lite::future::yield_now;

use super::{Connection, Role};
use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::session::server::{SessionError, play_stopped};
use crate::runtime::{Conn, Runtime};

/// Why a connection ended.
pub(super) enum Close {
    /// FIN.
    PeerLeft,
    /// The socket failed.
    Io(io::ErrorKind),
    /// The peer broke the protocol or a bound.
    Protocol(SessionError),
    /// The peer was too slow for a rule.
    Late(&'static str),
    /// We turned it away, and told it.
    Refused(String),
    /// The server stops.
    Drained,
}

impl Close {
    /// Whether the peer is owed the rest of what we said.
    fn is_polite(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Drained)
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerLeft => f.write_str("the peer closed it"),
            Self::Io(kind) => write!(f, "the network broke it: {kind}"),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Late(rule) => write!(f, "the peer was too slow: {rule}"),
            Self::Refused(what) => write!(f, "refused: {what}"),
            Self::Drained => f.write_str("the server is stopping"),
        }
    }
}

impl<R: Runtime> Connection<R> {
    /// A graceful stop: publishers and players are told, players get what is in the ring before.
    pub(super) async fn say_goodbye(&mut self) {
        const WHY: &str = "the server is stopping";
        self.catch_up().await;
        for (stream, role) in std::mem::take(&mut self.roles) {
            match role {
                Role::Publish(publication) => {
                    let key = publication.key().to_owned();
                    drop(publication);
                    self.session.end_publish(stream, &format!("{key}: {WHY}"));
                }
                Role::Play(play) => {
                    let chunk_size = self.shard.settings().chunk_size;
                    let last = play_stopped(play.message_stream(), play.key(), chunk_size);
                    drop(play);
                    self.queue_replies();
                    self.outbox.reply(last);
                }
            }
        }
        if self.session.is_connected() {
            self.session.announce_shutdown(WHY);
        }
    }

    /// Writes until this connection's players have everything or the socket is full.
    async fn catch_up(&mut self) {
        loop {
            self.behind = false;
            if self.reply().is_err() || self.flush().is_err() || !self.behind {
                return;
            }
            yield_now().await;
        }
    }

    /// Logs the end; a polite one flushes, sends FIN and waits a moment for the peer's, so that unread input does
    /// not turn our last words into a reset.
    pub(super) async fn finish(mut self, close: Close) {
        let runtime = self.shard.runtime().clone();
        runtime.trace(format_args!("connection {} ends: {close}", self.id));
        let (connection, peer, sent) = (self.id, self.peer, self.outbox.sent());
        match &close {
            Close::Protocol(_) | Close::Late(_) | Close::Refused(_) => {
                tracing::warn!(connection, %peer, sent, "closed: {close}");
            }
            _ if self.roles.is_empty() => {
                tracing::debug!(connection, %peer, sent, "closed: {close}")
            }
            _ => tracing::info!(connection, %peer, sent, "closed: {close}"),
        }
        if planted(Bug::LeaseKeptOnReset) && matches!(close, Close::Io(_)) {
            std::mem::forget(std::mem::take(&mut self.roles));
        }
        self.roles.clear();
        self.queue_replies();
        if matches!(close, Close::PeerLeft) {
            // It may still read (a half-close): what it asked for just before its FIN is answered, as far as the socket
            // takes it at once.
            self.outbox.flush(self.now());
        }
        if close.is_polite() {
            let mut patience = Box::pin(runtime.sleep_until(runtime.now() + limits::LINGER));
            let mut told = false;
            poll_fn(|cx| {
                if patience.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                self.poll_linger(cx, &mut told)
            })
            .await;
        }
    }

    /// Flushes, sends FIN once, then throws away what the peer still sends until its FIN.
    fn poll_linger(&self, cx: &mut Context<'_>, told: &mut bool) -> Poll<()> {
        self.outbox.set_waker(cx.waker());
        if !self.outbox.is_open()
            && matches!(self.outbox.conn().poll_writable(cx), Poll::Ready(Ok(())))
        {
            self.outbox.unblock();
        }
        self.outbox.flush(self.now());
        if self.outbox.failed().is_some() {
            return Poll::Ready(());
        }
        if self.outbox.is_empty()
            && !std::mem::replace(told, true)
            && self.outbox.conn().shutdown_write().is_err()
        {
            return Poll::Ready(());
        }
        let scratch = &mut *self.shard.scratch().borrow_mut();
        for _ in 0..limits::READS_PER_TURN {
            let Poll::Ready(readable) = self.outbox.conn().poll_readable(cx) else {
                return Poll::Pending;
            };
            let read = readable.and_then(|()| self.outbox.conn().try_read(scratch));
            match read {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref(); // it still sends: the neighbours first
        Poll::Pending
    }
}
