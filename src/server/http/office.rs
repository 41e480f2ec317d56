//! Who may ask, which answer is where, and what everything else is answered.

use core::net::IpAddr;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::wire::Whole;
use super::{Reload, page, rows};
use crate::limits;
use crate::media::directory::{ShardId, StreamKey};
use crate::runtime::Runtime;
use crate::server::control::Door;
use crate::server::desk::Desk;
use crate::server::report::{Answer, Ask};
use crate::time::Instant;

/// Answers operators; clones are the same one.
pub(in crate::server) struct Office<R: Runtime>(Rc<Inner<R>>);

impl<R: Runtime> Clone for Office<R> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

struct Inner<R: Runtime> {
    runtime: R,
    desk: Rc<Desk<R::Socket>>,
    door: Rc<Door>,
    reload: Option<Reload>,
    started: Instant,
}

/// An answer that is not what was asked for.
struct Refused {
    status: StatusCode,
    why: String,
    header: Option<(HeaderName, &'static str)>,
}

fn refused(status: StatusCode, why: impl Into<String>) -> Refused {
    Refused {
        status,
        why: why.into(),
        header: None,
    }
}

type Answered = Result<Response<Whole>, Refused>;

/// What there is to ask.
enum Route<'a> {
    Health,
    Ready,
    Metrics,
    Streams,
    Clients,
    Reload,
    Client(&'a str),
    Kick(&'a str),
    Stream(&'a str),
    Recording(&'a str),
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/api/v1/streams" => Self::Streams,
            "/api/v1/clients" => Self::Clients,
            "/api/v1/reload" => Self::Reload,
            _ => {
                if let Some(id) = path.strip_prefix("/api/v1/clients/") {
                    id.strip_suffix("/kick")
                        .map_or(Self::Client(id), Self::Kick)
                } else if let Some(name) = path.strip_prefix("/api/v1/recordings/") {
                    Self::Recording(name)
                } else {
                    Self::Stream(path.strip_prefix("/api/v1/streams/")?)
                }
            }
        })
    }

    fn methods(&self) -> &'static str {
        match self {
            Self::Client(_) | Self::Stream(_) => "DELETE",
            Self::Kick(_) | Self::Reload => "POST",
            Self::Recording(_) => "POST, DELETE",
            _ => "GET, HEAD",
        }
    }

    /// Whether anybody may ask who can connect: a balancer has no token, and learns nothing.
    fn is_open(&self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }
}

impl<R: Runtime> Office<R> {
    pub(in crate::server) fn new(
        runtime: R,
        desk: Rc<Desk<R::Socket>>,
        door: Rc<Door>,
        reload: Option<Reload>,
    ) -> Self {
        Self(Rc::new(Inner {
            started: runtime.now(),
            runtime,
            desk,
            door,
            reload,
        }))
    }

    pub(super) fn runtime(&self) -> &R {
        &self.0.runtime
    }

    /// The answer to a request, whatever it is.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Whole> {
        let mut response = match self.direct(request).await {
            Ok(response) => response,
            Err(refused) => {
                let error = serde_json::json!({ "error": refused.why });
                let mut response = json(&error);
                *response.status_mut() = refused.status;
                if let Some((name, value)) = refused.header {
                    response
                        .headers_mut()
                        .insert(name, HeaderValue::from_static(value));
                }
                response
            }
        };
        let no_store = HeaderValue::from_static("no-store");
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, no_store);
        response
    }

    async fn direct(&self, request: Request<Incoming>) -> Answered {
        let (head, body) = request.into_parts();
        let route = Route::of(head.uri.path());
        if !route.as_ref().is_some_and(Route::is_open) {
            self.admit(&head.headers)?;
        }
        let Some(route) = route else {
            return Err(refused(
                StatusCode::NOT_FOUND,
                "there is nothing here; see docs/http.md for what there is",
            ));
        };
        let methods = route.methods();
        if !methods
            .split(", ")
            .any(|method| head.method.as_str() == method)
        {
            return Err(Refused {
                header: Some((header::ALLOW, methods)),
                ..refused(
                    StatusCode::METHOD_NOT_ALLOWED,
                    format!("{} is not for this; {methods} is", head.method),
                )
            });
        }
        // What only looks has no body that anybody waits for.
        if head.method != Method::GET && head.method != Method::HEAD {
            swallow(body).await?;
        }
        let query = head.uri.query().unwrap_or_default();
        match route {
            Route::Health => Ok(text("ok\n")),
            Route::Ready if self.0.desk.draining.get() => Err(refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server is stopping",
            )),
            Route::Ready => Ok(text("ready\n")),
            Route::Metrics => self.metrics().await,
            Route::Streams => {
                let after = parameter(query, "after").map(|after| StreamKey::new("", &after));
                let answers = self.ask(Ask::Streams { after }).await?;
                Ok(json(&rows::streams(answers)))
            }
            Route::Clients => self.clients(query).await,
            Route::Client(id) | Route::Kick(id) => {
                let missing = || refused(StatusCode::NOT_FOUND, format!("no client {id} is here"));
                let connection = id.parse().map_err(|_| missing())?;
                tracing::info!(connection, "an operator closes a connection");
                self.order(Ask::Kick(connection), missing).await
            }
            Route::Stream(name) => {
                let key = StreamKey::new("", &decoded(name));
                tracing::info!(stream = %key, "an operator ends a stream");
                let missing = || refused(StatusCode::NOT_FOUND, format!("nobody publishes {key}"));
                self.order(Ask::EndStream(key.clone()), missing).await
            }
            Route::Recording(name) => self.record(name, head.method == Method::POST).await,
            Route::Reload => self.reload(),
        }
    }

    /// A stream is to be recorded from now on, or no more.
    async fn record(&self, name: &str, on: bool) -> Answered {
        let key = StreamKey::new("", &decoded(name));
        tracing::info!(stream = %key, on, "an operator has a stream recorded, or no more");
        let missing = || {
            let why = format!("nobody publishes {key}, or its application records nothing");
            refused(StatusCode::NOT_FOUND, why)
        };
        self.order(Ask::Record(key.clone(), on), missing).await
    }

    /// Who may ask: who shows the token. Without one, whoever is on this machine, web pages in its browsers excepted:
    /// those send an `Origin`, or come under a name that somebody made an alias of 127.0.0.1.
    fn admit(&self, headers: &hyper::HeaderMap) -> Result<(), Refused> {
        let token = self.0.door.http_token();
        if token.is_none() {
            let host = headers
                .get(header::HOST)
                .map_or(b"localhost".as_slice(), HeaderValue::as_bytes);
            return if headers.contains_key(header::ORIGIN) || !is_plain_host(host) {
                Err(refused(
                    StatusCode::FORBIDDEN,
                    "not for web pages, unless the server has an http_token",
                ))
            } else {
                Ok(())
            };
        }
        let shown = headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes);
        let shown = shown.and_then(|shown| shown.split_at_checked(b"Bearer ".len()));
        match shown {
            Some((scheme, shown)) if scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(shown) => {
                Ok(())
            }
            _ => Err(Refused {
                header: Some((header::WWW_AUTHENTICATE, "Bearer realm=\"millstream\"")),
                ..refused(
                    StatusCode::UNAUTHORIZED,
                    "show the server's http_token: Authorization: Bearer TOKEN",
                )
            }),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Vec<(ShardId, Answer)>, Refused> {
        let answers = self.0.desk.ask(&self.0.runtime, ask).await;
        answers.ok_or_else(|| refused(StatusCode::SERVICE_UNAVAILABLE, "a shard does not answer"))
    }

    /// Gives an order; `missing` if no shard has what it is about.
    async fn order(&self, ask: Ask, missing: impl Fn() -> Refused) -> Answered {
        let answers = self.ask(ask).await?;
        if answers
            .iter()
            .any(|(_, answer)| matches!(answer, Answer::Done(true)))
        {
            Ok(json(&serde_json::json!({ "done": true })))
        } else {
            Err(missing())
        }
    }

    async fn clients(&self, query: &str) -> Answered {
        let from = match parameter(query, "from").map(|from| from.parse()) {
            None => 0,
            Some(Ok(from)) => from,
            Some(Err(_)) => {
                return Err(refused(
                    StatusCode::BAD_REQUEST,
                    "from is a client's number",
                ));
            }
        };
        let answers = self.ask(Ask::Clients { from }).await?;
        Ok(json(&rows::clients(answers)))
    }

    async fn metrics(&self) -> Answered {
        let answers = self.ask(Ask::Sums).await?;
        let shards: Vec<_> = answers
            .into_iter()
            .filter_map(|(shard, answer)| match answer {
                Answer::Sums(sums) => Some((shard, *sums)),
                _ => None,
            })
            .collect();
        let uptime = self.0.runtime.now().since(self.0.started);
        let control = self.0.runtime.load();
        let page = page::page(&shards, &self.0.desk.attendance, control, uptime);
        let mut response = text(page);
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        Ok(response)
    }

    fn reload(&self) -> Answered {
        let Some(reload) = &self.0.reload else {
            return Err(refused(
                StatusCode::NOT_FOUND,
                "this server has no configuration to read again",
            ));
        };
        match reload() {
            Ok(kept) => Ok(json(
                &serde_json::json!({ "done": true, "restart_needed": kept }),
            )),
            Err(why) => Err(refused(StatusCode::UNPROCESSABLE_ENTITY, why)),
        }
    }
}

/// Whether `host` is an address or `localhost`, with or without a port.
fn is_plain_host(host: &[u8]) -> bool {
    let Ok(host) = core::str::from_utf8(host) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Reads a body that nobody wants, within its bound: unread, it would be taken for the next request.
async fn swallow(mut body: Incoming) -> Result<(), Refused> {
    let too_much = || Refused {
        header: Some((header::CONNECTION, "close")),
        ..refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "no request needs more than {} bytes",
                limits::HTTP_BODY_BYTES
            ),
        )
    };
    if body.size_hint().lower() > limits::HTTP_BODY_BYTES as u64 {
        return Err(too_much());
    }
    let mut bytes = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame
            .map_err(|error| refused(StatusCode::BAD_REQUEST, format!("a broken body: {error}")))?;
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > limits::HTTP_BODY_BYTES {
            return Err(too_much());
        }
    }
    Ok(())
}

/// The value of `name` in a query.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decoded(value))
}

/// `%41` is `A` (RFC 3986 §2.1). What is not UTF-8 becomes U+FFFD, as in names that came by RTMP.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn text(body: impl Into<Bytes>) -> Response<Whole> {
    let mut response = Response::new(Whole(body.into()));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn json(value: &serde_json::Value) -> Response<Whole> {
    let mut response = Response::new(Whole(format!("{value}\n").into()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded() {
        for (text, name) in [
            ("live/a", "live/a"),
            ("live%2Fa%20b", "live/a b"),
            ("%E4%BD%A0", "\u{4F60}"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%", "%zz%"),
            ("%ff", "\u{FFFD}"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(decoded(text), name, "{text}");
        }
        assert_eq!(
            parameter("x=1&after=live%2Fa", "after").as_deref(),
            Some("live/a")
        );
        assert_eq!(parameter("afters=1&after", "after"), None);
    }

    #[test]
    fn hosts_are_addresses_or_this_one() {
        for good in [
            "127.0.0.1",
            "127.0.0.1:8935",
            "localhost:1",
            "LOCALHOST",
            "[::1]:8935",
            "[::1]",
        ] {
            assert!(is_plain_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:8935",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
        ] {
            assert!(!is_plain_host(bad.as_bytes()), "{bad}");
        }
    }
}
