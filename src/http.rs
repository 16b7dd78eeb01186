//! The HTTP door: who may hold a connection, for how long, and how it is closed when everything stops.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections from one address. A proxy on this machine speaks for many, and has no bound of its own.
/// Of all connections the last so many are for requests that end: `/readyz`, devices and commands get in when viewers hold the rest.
const KEPT_FREE: usize = 32;
const MOST_OF_ONE: usize = 1_000;
/// How long a client may take for the head of a request, and how long it may then say nothing before the next.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read ahead of one connection, bytes.
const READ_AHEAD: usize = 64 * 1024;

/// Serves `app` until `stop`, then lets the requests that are under way end.
pub(crate) async fn serve(listener: Arc<TcpListener>, app: Router, most: usize, mut stop: watch::Receiver<bool>) {
    let callers = Callers::new(most);
    let crowded = app.clone().layer(axum::middleware::from_fn(refuse_long));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match callers.admit(peer) {
                Some(place) => {
                    let app = if place.is_last { crowded.clone() } else { app.clone() };
                    connections.spawn(connection(stream, app, stop.clone(), place));
                }
                None => tracing::debug!(event = "http_too_many", %peer, "a connection too many was closed"),
            },
            Err(cause) => {
                // Out of descriptors, most likely: give others time to close theirs.
                tracing::warn!(event = "http_accept", %cause, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// What is held for hours is for others when there is little room.
async fn refuse_long(request: Request, next: Next) -> Response {
    if request.uri().path() == "/api/v1/live" {
        let detail = "too many watch; ask /api/v1/latest meanwhile, and come again";
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "30")], detail).into_response();
    }
    next.run(request).await
}

async fn connection(stream: TcpStream, app: Router, mut stop: watch::Receiver<bool>, place: Place) {
    let _ = stream.set_nodelay(true);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(READ_AHEAD);
    // One of the last is given back after each request.
    builder.keep_alive(!place.is_last);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)));
    let is_stopping = tokio::select! {
        // That a client goes away, or never comes to its request, is its own affair.
        _ = serving.as_mut() => false,
        () = async { drop(stop.wait_for(|stop| *stop).await) } => true,
    };
    if is_stopping {
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }
    drop(place);
}

/// Who holds how many connections.
#[derive(Clone)]
struct Callers {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

/// Given back when it is dropped.
struct Place {
    callers: Callers,
    peer: IpAddr,
    /// One of those that are kept free for requests that end.
    is_last: bool,
}

impl Callers {
    fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    fn admit(&self, peer: SocketAddr) -> Option<Place> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let most_of_one = if peer.ip().is_loopback() { self.most } else { MOST_OF_ONE };
        let all = held.values().sum::<usize>();
        if all >= self.most || held.get(&peer.ip()).is_some_and(|count| *count >= most_of_one) {
            return None;
        }
        *held.entry(peer.ip()).or_default() += 1;
        Some(Place { callers: self.clone(), peer: peer.ip(), is_last: all + KEPT_FREE >= self.most })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.callers.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_may_hold_so_many_and_gets_them_back() {
        let callers = Callers::new(10_000);
        let (one, other): (SocketAddr, SocketAddr) = ("192.0.2.1:5000".parse().unwrap(), "192.0.2.2:5000".parse().unwrap());
        let mut places: Vec<Place> = (0..MOST_OF_ONE).map(|_| callers.admit(one).expect("a place")).collect();
        assert!(callers.admit(one).is_none());
        assert!(callers.admit(other).is_some());
        places.pop();
        assert!(callers.admit(one).is_some());
        drop(places);
        assert!(callers.held.lock().unwrap().is_empty());
    }
}
