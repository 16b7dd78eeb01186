//! The HTTP door: who may hold a connection, for how long, and how it is closed when everything stops.

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::Next;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections in all, and from one address. A proxy on this machine speaks for many, and has no bound of its own.
const MOST: usize = 10_000;
const MOST_OF_ONE: usize = 1_000;
/// How long a client may take for the head of a request, and how long it may then say nothing before the next.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read ahead of one connection, bytes.
const READ_AHEAD: usize = 64 * 1024;

/// `app`, with a slash too many at the end of an address forgiven.
fn forgiving(app: Router) -> Router {
    Router::new().fallback_service(app).layer(axum::middleware::from_fn(|mut request: Request, next: Next| {
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
pub(crate) async fn serve(listener: TcpListener, app: Router, mut stop: watch::Receiver<bool>) {
    let app = forgiving(app);
    let callers = Callers::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match callers.admit(peer) {
                Some(place) => drop(connections.spawn(connection(stream, app.clone(), stop.clone(), place))),
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

async fn connection(stream: TcpStream, app: Router, mut stop: watch::Receiver<bool>, place: Place) {
    let _ = stream.set_nodelay(true);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(READ_AHEAD);
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
#[derive(Clone, Default)]
struct Callers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// Given back when it is dropped.
struct Place(Callers, IpAddr);

impl Callers {
    fn admit(&self, peer: SocketAddr) -> Option<Place> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most_of_one = if peer.ip().is_loopback() { MOST } else { MOST_OF_ONE };
        if held.values().sum::<usize>() >= MOST || held.get(&peer.ip()).is_some_and(|count| *count >= most_of_one) {
            return None;
        }
        *held.entry(peer.ip()).or_default() += 1;
        Some(Place(self.clone(), peer.ip()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.1);
            }
        }
    }
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

    #[test]
    fn one_address_may_hold_so_many_and_gets_them_back() {
        let callers = Callers::default();
        let (one, other): (SocketAddr, SocketAddr) = ("192.0.2.1:5000".parse().unwrap(), "192.0.2.2:5000".parse().unwrap());
        let mut places: Vec<Place> = (0..MOST_OF_ONE).map(|_| callers.admit(one).expect("a place")).collect();
        assert!(callers.admit(one).is_none());
        assert!(callers.admit(other).is_some());
        places.pop();
        assert!(callers.admit(one).is_some());
        drop(places);
        assert!(callers.0.lock().unwrap().is_empty());
    }
}
