//! Whether somebody publishes a stream: for players that are not to wait.

use std::future::poll_fn;
use std::task::Poll;

use super::{Answer, Request, Requests};
use crate::media::directory::StreamKey;
use crate::runtime::Runtime;
use crate::server::message::{ControlMessage, RequestId};
use crate::server::shard::Shard;

/// Takes the question back when the asker goes.
struct Asked<'a>(&'a Requests, RequestId);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.waiting.borrow_mut().remove(&self.1);
    }
}

impl<R: Runtime> Shard<R> {
    /// Whether `key` is published, on whichever shard: the directory's word.
    pub(in crate::server) async fn is_published(&self, key: &StreamKey) -> bool {
        let requests = self.requests();
        let request = self.next_request();
        let waiting = &requests.waiting;
        waiting.borrow_mut().insert(request, Request::default());
        let _asked = Asked(requests, request);
        requests.asked.set(requests.asked.get() + 1);
        self.tell_control(ControlMessage::Look {
            request,
            key: key.clone(),
            shard: self.id(),
        });
        poll_fn(|cx| match waiting.borrow_mut().get_mut(&request) {
            Some(Request {
                answer: None,
                waker,
            }) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Request {
                answer: Some(Answer::Seen(published)),
                ..
            }) => Poll::Ready(*published),
            _ => Poll::Ready(false),
        })
        .await
    }

    /// The directory's answer.
    pub(in crate::server) fn seen(&self, request: RequestId, published: bool) {
        self.requests().answer(request, Answer::Seen(published));
    }
}
