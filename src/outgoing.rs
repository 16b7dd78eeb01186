//! Answers on their way out: how much memory they may take together, and for one address. Who finds no room waits a moment and is asked
//! to come again then; who takes nothing of an answer is cut by the wire (`http/wire.rs`), which gives its room back.

use crate::http::Client;
use crate::http::wire::Connection;
use api::HeldBytes;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Frame, SizeHint};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// KiB that all long answers on their way may take, and those for one address. All others have as much: who fetches files, or leaves
/// them unread, does not keep pages from the others behind the same address.
const ROOM: u32 = 32 * 1024;
const ROOM_OF_ONE: u32 = 12 * 1024;
/// KiB that an answer is taken to need before it is made: rows that were read, a piece of text, what compressing it takes.
const AHEAD: u32 = 512;
/// Live feeds in all and of one address.
const WATCHERS: u32 = 4000;
const WATCHERS_OF_ONE: u32 = 1000;
/// Answers up to so many bytes are worth no counting.
const SMALL: u64 = 16 * 1024;
/// Answers up to so many bytes are compressed whole, before anything of them is sent.
const WHOLE: u64 = 256 * 1024;
/// How long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// A piece that is larger than this is handed on in copies of parts, so that what has left is not kept.
const PART: usize = 32 * 1024;

/// Room for answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outgoing {
    long: Room,
    others: Room,
    watchers: Room,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            long: Room::new(ROOM, ROOM_OF_ONE, PATIENCE),
            others: Room::new(ROOM, ROOM_OF_ONE, PATIENCE),
            watchers: Room::new(WATCHERS, WATCHERS_OF_ONE, PATIENCE),
        }
    }
}

/// A bound in all, and for one address, so that nobody can take all of it.
#[derive(Clone)]
struct Room {
    all: Arc<Semaphore>,
    of_one: u32,
    /// How long a request waits for room.
    patience: Duration,
    of: Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>,
}

/// Room that is held; given back when it is dropped.
struct Place {
    of_all: OwnedSemaphorePermit,
    of_one: OwnedSemaphorePermit,
}

impl Room {
    fn new(all: u32, of_one: u32, patience: Duration) -> Self {
        Self { all: Arc::new(Semaphore::new(all as usize)), of_one, patience, of: Arc::default() }
    }

    /// Waits for so much room, in the order of asking; what is larger than all that one address may have counts as that. `None` when
    /// there is none in time.
    async fn admit(&self, client: IpAddr, amount: u32) -> Option<Place> {
        let amount = amount.clamp(1, self.of_one);
        let own = self.of_address(network(client));
        let all = self.all.clone();
        let waiting = async {
            let of_one = own.acquire_many_owned(amount).await.ok()?;
            Some(Place { of_all: all.acquire_many_owned(amount).await.ok()?, of_one })
        };
        tokio::time::timeout(self.patience, waiting).await.ok().flatten()
    }

    fn of_address(&self, address: IpAddr) -> Arc<Semaphore> {
        /// Addresses that are remembered although nothing is on its way to them.
        const IDLE: usize = 256;
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.len() > IDLE {
            of.retain(|_, own| Arc::strong_count(own) > 1);
        }
        of.entry(address).or_insert_with(|| Arc::new(Semaphore::new(self.of_one as usize))).clone()
    }
}

impl Place {
    /// Gives back what is beyond `amount`.
    fn shrink(&mut self, amount: u32) {
        for permit in [&mut self.of_all, &mut self.of_one] {
            let beyond = permit.num_permits().saturating_sub(amount.max(1) as usize);
            drop(permit.split(beyond));
        }
    }
}

/// Whoever has one address of IPv6 has 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or_else(
            || {
                let [a, b, c, d, ..] = six.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            },
            IpAddr::V4,
        ),
    }
}

/// For a body that is small: it is compressed at once.
#[derive(Clone, Copy)]
struct IsSmall;

/// Marks answers that are small before they are compressed.
pub(crate) async fn mark_small(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.body().size_hint().exact().is_some_and(|bytes| bytes <= WHOLE) {
        response.extensions_mut().insert(IsSmall);
    }
    response
}

/// What compresses small answers as well as it can, and what compresses the others with little memory: of those many may be unread.
#[derive(Clone, Copy)]
pub(crate) enum Compressing {
    Small,
    Large,
}

impl tower_http::compression::Predicate for Compressing {
    fn should_compress<B: hyper::body::Body>(&self, response: &axum::http::Response<B>) -> bool {
        let is_small = response.extensions().get::<IsSmall>().is_some();
        is_small == matches!(self, Self::Small) && tower_http::compression::DefaultPredicate::new().should_compress(response)
    }
}

/// Lets a request in when there is room for its answer, and holds that until the answer has left.
pub(crate) async fn bounded(State(outgoing): State<Outgoing>, request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let connection = connection.unwrap_or_else(|| Connection::of(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))));
    // Behind a proxy it is whom that speaks for.
    let client = request.extensions().get::<Client>().map_or(connection.peer.ip(), |client| client.0);
    let path = request.uri().path().to_owned();
    let is_live = path == "/api/v1/live";
    let (room, amount) = match path.as_str() {
        "/api/v1/live" => (&outgoing.watchers, 1),
        path if is_long(path) => (&outgoing.long, AHEAD),
        _ => (&outgoing.others, AHEAD),
    };
    let mut place = None;
    if is_made_for_it(request.method(), &path) {
        place = room.admit(client, amount).await;
        if place.is_none() {
            return full(&path);
        }
    }
    let mut response = next.run(request).await;
    if response.extensions_mut().remove::<IsSmall>().is_some() && response.headers().contains_key(header::CONTENT_ENCODING) {
        response = collected(response).await;
    }
    if !is_live {
        let held = response.extensions_mut().remove::<HeldBytes>().map_or(0, |held| held.0 as u64);
        place = match measured(room, client, place, response.body().size_hint().exact(), held).await {
            Ok(place) => place,
            Err(()) => return full(&path),
        };
    }
    response.map(|inner| Body::new(Leaving { inner, rest: Bytes::new(), place, connection }))
}

/// Whether its answer may be as long as the store is large.
fn is_long(path: &str) -> bool {
    const OF_A_DATASTREAM: [&str; 4] = ["observations", "discharge", "increments", "gaps"];
    let is_of_one = path.starts_with("/api/v1/datastreams/") && path.rsplit('/').next().is_some_and(|last| OF_A_DATASTREAM.contains(&last));
    is_of_one || ["/api/v1/quarantine", "/api/v1/ledger"].iter().any(|start| path.starts_with(start)) || path.contains("/files/")
}

/// Whether it is worth room before it is made: what tells how this instance is must be told when it is busy too.
fn is_made_for_it(method: &Method, path: &str) -> bool {
    let is_kept = ["/healthz", "/readyz", "/status", "/metrics", "/openapi.json", "/ping"].contains(&path) || path.starts_with("/static/");
    matches!(*method, Method::GET | Method::HEAD) && !is_kept
}

/// The room that an answer needs now that it is known. `Err` when there is none.
async fn measured(room: &Room, client: IpAddr, place: Option<Place>, bytes: Option<u64>, held: u64) -> Result<Option<Place>, ()> {
    let kib = |bytes: u64| u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let wanted = match bytes {
        Some(bytes) if bytes + held <= SMALL => return Ok(None),
        Some(bytes) => kib(bytes + held),
        None => AHEAD.saturating_add(kib(held.saturating_sub(128 * 1024))),
    };
    match place {
        Some(mut place) if wanted <= AHEAD => {
            place.shrink(wanted);
            Ok(Some(place))
        }
        // Given back first: who holds a little and waits for more would keep others waiting.
        held => {
            drop(held);
            room.admit(client, wanted).await.map(Some).ok_or(())
        }
    }
}

/// With its whole body, and how long that is.
async fn collected(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => {
            head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            Response::from_parts(head, Body::from(bytes))
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn full(path: &str) -> Response {
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": "Too much is on its way",
        "status": 503,
        "detail": "as many answers as there is room for are on their way, to your address or in all; read those to their end or close them, and ask again after Retry-After seconds",
        "instance": path,
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::RETRY_AFTER, "5"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, problem.to_string()).into_response()
}

/// The body of an answer with the room that it holds.
struct Leaving {
    inner: Body,
    /// Of a large piece what has not been handed on.
    rest: Bytes,
    place: Option<Place>,
    connection: Arc<Connection>,
}

impl hyper::body::Body for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            match std::task::ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if bytes.len() > 2 * PART => this.rest = bytes,
                    Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                Some(Err(cause)) => {
                    this.connection.is_broken_off();
                    return Poll::Ready(Some(Err(cause)));
                }
                None => return Poll::Ready(None),
            }
        }
        let part = this.rest.split_to(PART.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(&part)))))
    }
    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.connection.keep_until_flushed(Box::new(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_never_has_all_the_room_and_gets_its_own_back() {
        let room = Room::new(10, 4, Duration::from_millis(20));
        let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let first = room.admit(one, 4).await.expect("room");
        assert!(room.admit(one, 1).await.is_none(), "it has as much as it may");
        let mut of_other = room.admit(other, 99).await.expect("more than there is counts as all that one may have");
        let same_network: IpAddr = "2001:db8::ffff".parse().unwrap();
        assert!(room.admit(same_network, 1).await.is_none());
        of_other.shrink(1);
        assert!(room.admit(same_network, 3).await.is_some());
        drop((first, of_other));
        assert_eq!(room.all.available_permits(), 10);
        assert!(room.admit(one, 4).await.is_some());
    }
}
