//! How a connection ends: why, in words; what the peer is still told; and how long we wait for it to hear.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use futures_lite::future::yield_now;

use super::{Connection, Order, Role};
use crate::limits;
use crate::media::directory::StreamKey;
use crate::planted::{Bug, planted};
use crate::rtmp::session::Status;
use crate::rtmp::session::server::{SessionError, play_stopped};
use crate::runtime::{Conn, Runtime};
use crate::server::meters::End;
use crate::server::outbox::Failure;

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
    /// Somebody else publishes its name now, and it was told.
    TakenOver(String),
    /// An operator wanted it gone.
    Kicked,
    /// An operator ended the only stream it published.
    StreamEnded,
    /// The server stops.
    Drained,
}

impl Close {
    /// As it is counted.
    fn end(&self) -> End {
        match self {
            Self::PeerLeft => End::Left,
            Self::Io(_) => End::Network,
            Self::Protocol(_) => End::Protocol,
            Self::Late(_) => End::Late,
            Self::Refused(_) => End::Refused,
            Self::TakenOver(_) => End::TakenOver,
            Self::Kicked => End::Kicked,
            Self::StreamEnded => End::StreamEnded,
            Self::Drained => End::Drained,
        }
    }

    /// Whether the peer is owed the rest of what we said.
    fn is_polite(&self) -> bool {
        matches!(
            self,
            Self::Refused(_)
                | Self::TakenOver(_)
                | Self::Kicked
                | Self::StreamEnded
                | Self::Drained
        )
    }
}

impl From<Failure> for Close {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Io(kind) => Self::Io(kind),
            Failure::TooSlow(rule) => Self::Late(rule),
        }
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
            Self::TakenOver(what) => f.write_str(what),
            Self::Kicked => f.write_str("an operator closed it"),
            Self::StreamEnded => f.write_str("an operator ended what it published"),
            Self::Drained => f.write_str("the server is stopping"),
        }
    }
}

impl<R: Runtime> Connection<R> {
    /// Does what somebody else than the peer wants.
    pub(super) async fn obey(&mut self, order: Order) -> Result<(), Close> {
        match order {
            Order::Drain => {
                let why = "the server is stopping";
                // In front of everything else: clients come back instead of taking the end of their stream for it.
                let asked =
                    !planted(Bug::ReconnectNotAsked) && self.session.request_reconnect(None, why);
                self.say_goodbye(why, asked).await;
                Err(Close::Drained)
            }
            Order::Kick => {
                if !planted(Bug::KickForgetsThePlayer) {
                    self.say_goodbye("closed by the server's operator", false)
                        .await;
                }
                Err(Close::Kicked)
            }
            Order::EndStream(key) => self.end_stream(&key),
        }
    }

    /// An operator ends a publication. The connection goes with it, unless it has something else to do here.
    fn end_stream(&mut self, key: &StreamKey) -> Result<(), Close> {
        let mut roles = self.roles.iter();
        let found = roles.find_map(|(stream, role)| match role {
            Role::Publish(publication) if publication.key() == key.as_str() => Some(*stream),
            _ => None,
        });
        let Some(stream) = found else {
            return Ok(()); // it has just ended by itself
        };
        let role = self.roles.remove(&stream);
        if planted(Bug::EndLeavesTheLease) {
            std::mem::forget(role);
        } else {
            drop(role);
        }
        let description = format!("{key}: ended by the server's operator");
        self.session.end_publish(stream, &description);
        if self.roles.is_empty() {
            return Err(Close::StreamEnded);
        }
        self.enter_stage();
        Ok(())
    }

    /// Publishers and players are told, players get what is in the ring before. Who is asked to come back is not told the
    /// error that a shutdown is.
    async fn say_goodbye(&mut self, why: &str, comes_back: bool) {
        self.catch_up().await;
        for (stream, role) in std::mem::take(&mut self.roles) {
            match role {
                Role::Publish(publication) => {
                    let key = publication.key().to_owned();
                    publication.close();
                    self.session.end_publish(stream, &format!("{key}: {why}"));
                }
                Role::Play(play) => {
                    let chunk_size = self.shard.settings().chunk_size;
                    let last = play_stopped(play.message_stream(), play.key(), chunk_size);
                    drop(play);
                    self.queue_replies();
                    self.outbox.reply(last);
                }
                Role::View(viewing) => {
                    let chunk_size = self.shard.settings().chunk_size;
                    let last = play_stopped(stream, viewing.key(), chunk_size);
                    drop(viewing);
                    self.queue_replies();
                    self.outbox.reply(last);
                }
            }
        }
        if self.session.is_connected() && !comes_back {
            self.session.announce_shutdown(why);
        }
    }

    /// If somebody else publishes a name of this connection: tells the client, and ends. Other roles of it end as well.
    pub(super) fn leave_taken_over(&mut self) -> Result<(), Close> {
        let taken = self.roles.iter().find_map(|(stream, role)| match role {
            Role::Publish(publication) if publication.is_taken_over() => Some(*stream),
            _ => None,
        });
        let Some((stream, Role::Publish(publication))) =
            taken.and_then(|stream| self.roles.remove_entry(&stream))
        else {
            return Ok(()); // it has let go of it by itself
        };
        let description = format!("{} has another publisher now", publication.key());
        drop(publication);
        (self.session).revoke_publish(stream, Status::PublishBadName, &description);
        Err(Close::TakenOver(description))
    }

    /// A publisher that sends faster than its application allows is told, and ends.
    pub(super) fn turn_away_the_excessive(&mut self) -> Result<(), Close> {
        let excess = self.roles.iter().find_map(|(stream, role)| match role {
            Role::Publish(publication) => Some((*stream, publication.excess()?)),
            Role::Play(_) | Role::View(_) => None,
        });
        let Some((stream, most)) = excess else {
            return Ok(());
        };
        let Some(Role::Publish(publication)) = self.roles.remove(&stream) else {
            return Ok(());
        };
        let key = publication.key();
        let description = format!(
            "{key} has more than the {most} kbit/s that its application allows (bitrate_max)"
        );
        publication.close();
        (self.session).revoke_publish(stream, Status::PublishRejected, &description);
        Err(Close::Refused(description))
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
        self.log_end(&close);
        self.handle.end.set(close.end());
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

    /// One line for each connection, with what there is to know of it: those that came to nothing only for the curious.
    fn log_end(&self, close: &Close) {
        let handle = &self.handle;
        let (reason, fault) = (close.end().word(), close.end().fault());
        let (sent, received) = (self.outbox.sent(), handle.received.get());
        let (app, stream) = (&*handle.app.borrow(), &*handle.stream.borrow());
        let stream = stream.as_ref().map_or("", StreamKey::as_str);
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(connection = self.id, peer = %handle.peer, app, stream, reason, fault, sent, received,
                    "closed: {close}")
            };
        }
        match close {
            Close::Protocol(_) | Close::Late(_) | Close::Refused(_) => log!(warn),
            Close::Kicked | Close::StreamEnded => log!(info),
            _ if stream.is_empty() => log!(debug),
            _ => log!(info),
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
