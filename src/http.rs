//! The HTTP door: who may hold a connection, for how long, and how it is closed when everything stops.

mod callers;
pub(crate) mod wire;

use axum::Router;
use axum::body::Body;
use axum::http::header::RETRY_AFTER;
use axum::http::{Request, Response, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::IntoResponse;
use callers::{Callers, Place, client_of};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use ingest::source::guard::{AcceptFailures, Networks, Stranger, StrangerLimits, Strangers};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::{Connection, Wire};

/// Connections that have not yet sent the whole head of a request, from all addresses together.
const MOST_STRANGERS: usize = 1_024;
/// How long a client may take for the head of a request, and how long it may then say nothing before the next.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read ahead of one connection, bytes.
const READ_AHEAD: usize = 64 * 1024;

/// What the door is told about those who come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpSettings {
    /// Connections from one address that have not sent a whole head.
    pub(crate) per_address: usize,
    /// Networks whose addresses are not counted each.
    pub(crate) exempt: Networks,
    /// Proxies: whom they speak for stands in X-Forwarded-For.
    pub(crate) trusted_proxies: Networks,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { per_address: 64, exempt: Networks::default(), trusted_proxies: Networks::default() }
    }
}

/// What all connections have in common.
struct Shared {
    app: Router,
    /// For the last connections that there is room for.
    crowded: Router,
    callers: Callers,
    trusted_proxies: Networks,
}

/// `app`, with a slash too many at the end of an address forgiven.
fn forgiving(app: Router) -> Router {
    Router::new().fallback_service(app).layer(axum::middleware::from_fn(|mut request: Request<Body>, next: Next| {
        if let Some(uri) = without_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        next.run(request)
    }))
}

/// The address without its slashes at the end, when it has any and is not the root.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().trim_end_matches('/');
    if path.is_empty() || path.len() == uri.path().len() {
        return None;
    }
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Serves `app` until `stop`, then lets the requests that are under way end.
pub(crate) async fn serve(listener: Arc<TcpListener>, app: Router, settings: HttpSettings, most: usize, mut stop: watch::Receiver<bool>) {
    let HttpSettings { per_address, exempt, trusted_proxies } = settings;
    let uncounted = Networks([exempt.0.as_slice(), &trusted_proxies.0].concat());
    let strangers = Strangers::new(StrangerLimits { most: MOST_STRANGERS, per_address, exempt: uncounted.clone() });
    let app = forgiving(app);
    let crowded = app.clone().layer(axum::middleware::from_fn(refuse_long));
    let shared = Arc::new(Shared { app, crowded, callers: Callers::new(uncounted, most), trusted_proxies });
    let mut failures = AcceptFailures::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                failures.over();
                let address = peer.ip().to_canonical();
                match (shared.callers.connected(address), strangers.admit(address)) {
                    (Some(place), Some(stranger)) => {
                        drop(connections.spawn(connection(Knock { stream, peer, place, stranger }, shared.clone(), stop.clone())));
                    }
                    _ => tracing::debug!(event = "http_too_many", %peer, "a connection too many was closed"),
                }
            }
            Err(cause) => {
                let (pause, is_told) = failures.another(&cause, Instant::now());
                if is_told {
                    tracing::warn!(event = "http_accept", %cause, "HTTP connections can't be accepted; if descriptors have run out, raise the service's limit of open files (LimitNOFILE)");
                }
                tokio::time::sleep(pause).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// What is held for hours is for others when there is little room.
async fn refuse_long(request: Request<Body>, next: Next) -> Response<Body> {
    if request.uri().path() == "/api/v1/live" {
        let detail = "too many watch; ask /api/v1/latest meanwhile, and come again";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "30")], detail).into_response();
    }
    next.run(request).await
}

/// A connection that nothing has been said on.
struct Knock {
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    stranger: Stranger,
}

/// Whose request it is: beside it, for whoever bounds what one address may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) IpAddr);

async fn connection(knock: Knock, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let Knock { stream, peer, place, stranger } = knock;
    let _ = stream.set_nodelay(true);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(READ_AHEAD);
    // One of the last is given back after each request.
    let is_last = place.is_last();
    builder.keep_alive(!is_last);
    let evicted = stranger.eviction();
    let stranger = Mutex::new(Some(stranger));
    let known = Connection::of(peer);
    let wire = Wire::new(stream, known.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        // The whole head of a request has come: it is a stranger no more.
        drop(stranger.lock().unwrap_or_else(PoisonError::into_inner).take());
        request.extensions_mut().insert(known.clone());
        let app = if is_last { shared.crowded.clone() } else { shared.app.clone() };
        answer(shared.clone(), app, peer.ip().to_canonical(), request)
    });
    let mut serving = std::pin::pin!(builder.serve_connection(wire, service));
    let is_stopping = tokio::select! {
        // In this order: what lies unread may be the head of a request.
        biased;
        // That a client goes away, or never comes to its request, is its own affair.
        _ = serving.as_mut() => false,
        () = evicted => false,
        () = async { drop(stop.wait_for(|stop| *stop).await) } => true,
    };
    if is_stopping {
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
    drop(place);
}

async fn answer(shared: Arc<Shared>, app: Router, peer: IpAddr, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let client = client_of(peer, request.headers(), &shared.trusted_proxies);
    request.extensions_mut().insert(Client(client));
    // A proxy's connections are not counted: those that it speaks for are, while their request is under way.
    let _asking = if client == peer {
        None
    } else {
        match shared.callers.asks(client) {
            Some(place) => Some(place),
            None => return Ok(callers::too_many().into_response()),
        }
    };
    TowerToHyperService::new(app).call(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_of_an_address_is_forgiven() {
        for (uri, expected) in
            [("/api/v1/latest/?x=1/", Some("/api/v1/latest?x=1/")), ("/a//", Some("/a")), ("/a", None), ("/", None), ("//", None)]
        {
            let found = without_slash(&uri.parse().expect(uri)).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{uri}");
        }
    }
}
