//! hyper over our own connections: no other runtime, and the same code in the simulator.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::Office;
use crate::limits;
use crate::runtime::{Conn, Runtime};
use crate::server::backoff::Backoff;

/// Connections that are open, and who waits for one to end.
#[derive(Default)]
struct Seats {
    taken: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

/// One of them.
struct Seat(Rc<Seats>);

impl Seat {
    /// Waits for a free one.
    async fn take(seats: &Rc<Seats>) -> Self {
        poll_fn(|cx| {
            if seats.taken.get() < limits::HTTP_CONNECTIONS {
                seats.taken.set(seats.taken.get() + 1);
                return Poll::Ready(Self(Rc::clone(seats)));
            }
            *seats.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.set(self.0.taken.get().saturating_sub(1));
        if let Some(waker) = self.0.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Lets operators in, a bounded number at a time. Dropping it drops them.
pub(in crate::server) async fn accept<R: Runtime>(listener: R::Listener, office: Office<R>) {
    let seats: Rc<Seats> = Rc::default();
    // Dropped with this future, and with them what is being asked.
    let mut tasks = Vec::new();
    let mut backoff = Backoff::new("operators");
    loop {
        let seat = Seat::take(&seats).await;
        tasks.retain(|task: &crate::runtime::Task<()>| !task.is_finished());
        let runtime = office.runtime();
        match runtime.accept(&listener).await {
            Ok((socket, _)) => {
                backoff.is_over();
                match runtime.adopt(socket) {
                    Ok(conn) => {
                        tasks.push(runtime.spawn("http client", serve(conn, office.clone(), seat)));
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an operator was gone before it was served");
                    }
                }
            }
            Err(error) => backoff.pause(runtime, &error).await,
        }
    }
}

/// Serves one connection to its end: at the latest [`limits::HTTP_TIME`] after its last request came, and
/// [`limits::HTTP_HEAD_TIME`] after it came itself if it has asked nothing by then.
async fn serve<R: Runtime>(conn: R::Conn, office: Office<R>, seat: Seat) {
    let runtime = office.runtime().clone();
    let until = Cell::new(runtime.now() + limits::HTTP_HEAD_TIME);
    let service = service_fn(|request| {
        until.set(runtime.now() + limits::HTTP_TIME);
        let office = office.clone();
        async move { Ok::<_, Infallible>(office.answer(request).await) }
    });
    let mut served = pin!(
        http1::Builder::new()
            // Its clock is the real one.
            .auto_date_header(false)
            .header_read_timeout(None)
            .max_headers(limits::HTTP_HEADERS)
            .max_buf_size(limits::HTTP_HEAD_BYTES)
            .serve_connection(Stream(Box::new(conn)), service)
    );
    let mut patience = None;
    poll_fn(|cx| {
        if let Poll::Ready(result) = served.as_mut().poll(cx) {
            if let Err(error) = result {
                tracing::debug!(%error, "an operator's connection broke");
            }
            return Poll::Ready(());
        }
        loop {
            let until = until.get();
            if runtime.now() >= until {
                return Poll::Ready(());
            }
            let timer = patience.get_or_insert_with(|| Box::pin(runtime.sleep_until(until)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            patience = None;
        }
    })
    .await;
    drop(seat);
}

/// One of our connections, as hyper wants it.
struct Stream<C>(Box<C>);

impl<C: Conn> Stream<C> {
    fn poll_io(
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> io::Result<usize>,
        mut wait: impl FnMut(&mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            match wait(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<C: Conn> Read for Stream<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4_096];
        let room = buf.remaining().min(bytes.len());
        let Some(bytes) = bytes.get_mut(..room) else {
            return Poll::Ready(Ok(()));
        };
        let conn = &self.0;
        let read = Self::poll_io(cx, || conn.try_read(bytes), |cx| conn.poll_readable(cx));
        read.map_ok(|count| buf.put_slice(&bytes[..count.min(room)]))
    }
}

impl<C: Conn> Write for Stream<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let conn = &self.0;
        let write = || match slices.get(..limits::GATHER_SLICES) {
            Some(first) => conn.try_writev(first),
            None => conn.try_writev(slices),
        };
        Self::poll_io(cx, write, |cx| conn.poll_writable(cx))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown_write())
    }
}

/// The body of an answer: all of it at once.
pub(super) struct Whole(pub(super) Bytes);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
