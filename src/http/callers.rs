//! Who holds how many connections, or asks how many questions through a proxy.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ingest::source::guard::{Networks, group_of};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections from one address, and requests of one behind a proxy. A proxy on this machine speaks for many, and has no bound of its own.
const MOST_OF_ONE: usize = 1_000;
/// Of all connections the last so many are for requests that end: `/readyz`, devices and commands get in when viewers hold the rest.
const KEPT_FREE: usize = 32;
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Callers(Arc<Counted>);

struct Counted {
    /// Connections in all, and requests through proxies.
    most: usize,
    /// Proxies, and whoever else speaks for many.
    uncounted: Networks,
    connections: Mutex<HashMap<IpAddr, usize>>,
    requests: Mutex<HashMap<IpAddr, usize>>,
}

/// Given back when it is dropped.
pub(super) struct Place {
    callers: Callers,
    kind: Kind,
    group: IpAddr,
    is_last: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Connection,
    Request,
}

impl Callers {
    pub(super) fn new(uncounted: Networks, most: usize) -> Self {
        Self(Arc::new(Counted { most, uncounted, connections: Mutex::default(), requests: Mutex::default() }))
    }

    /// A place for a connection; `None` when there are too many.
    pub(super) fn connected(&self, address: IpAddr) -> Option<Place> {
        let speaks_for_many = address.is_loopback() || self.0.uncounted.contain(address);
        self.admit(Kind::Connection, address, if speaks_for_many { self.0.most } else { MOST_OF_ONE })
    }

    /// A place for a request that a proxy brings of a client; `None` when it has too many under way.
    pub(super) fn asks(&self, client: IpAddr) -> Option<Place> {
        self.admit(Kind::Request, client, MOST_OF_ONE)
    }

    fn admit(&self, kind: Kind, address: IpAddr, most_of_one: usize) -> Option<Place> {
        let group = group_of(address);
        let mut held = self.held(kind).lock().unwrap_or_else(PoisonError::into_inner);
        let all = held.values().sum::<usize>();
        if all >= self.0.most || held.get(&group).is_some_and(|count| *count >= most_of_one) {
            return None;
        }
        *held.entry(group).or_default() += 1;
        Some(Place { callers: self.clone(), kind, group, is_last: all + KEPT_FREE >= self.0.most })
    }

    fn held(&self, kind: Kind) -> &Mutex<HashMap<IpAddr, usize>> {
        match kind {
            Kind::Connection => &self.0.connections,
            Kind::Request => &self.0.requests,
        }
    }
}

impl Place {
    /// Whether it is one of those that are kept free for requests that end.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.callers.held(self.kind).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.group) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.group);
            }
        }
    }
}

/// Whose request it is: the peer's, or where that is a trusted proxy, of the last address that it names which is none itself. What stands
/// before that in X-Forwarded-For anybody may have written.
pub(super) fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let mut client = peer;
    if !trusted.contain(peer) {
        return client;
    }
    let values: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    for named in values.iter().flat_map(|value| value.split(',')).rev() {
        let named = named.trim();
        let address = named.parse::<IpAddr>().or_else(|_| named.parse::<SocketAddr>().map(|named| named.ip()));
        let Ok(address) = address.or_else(|_| named.trim_matches(['[', ']']).parse()) else { break };
        client = address.to_canonical();
        if !trusted.contain(client) {
            break;
        }
    }
    client
}

pub(super) fn too_many() -> Response {
    let problem = serde_json::json!({
        "type": "about:blank", "title": "Too many requests", "status": 429,
        "detail": format!("{MOST_OF_ONE} requests from your address are under way; wait for some of them"),
    });
    let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::RETRY_AFTER, "5")];
    (StatusCode::TOO_MANY_REQUESTS, headers, problem.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_may_hold_so_many_and_gets_them_back() {
        let callers = Callers::new(Networks(vec!["198.51.100.0/24".parse().unwrap()]), 10_000);
        let (one, other, proxy) = (address("192.0.2.1"), address("192.0.2.2"), address("198.51.100.7"));
        let mut places: Vec<Place> = (0..MOST_OF_ONE).map(|_| callers.connected(one).expect("a place")).collect();
        assert!(callers.connected(one).is_none());
        assert!(callers.connected(other).is_some());
        places.pop();
        assert!(callers.connected(one).is_some());
        let proxied: Vec<Place> = (0..MOST_OF_ONE + 300).map(|_| callers.connected(proxy).expect("a place")).collect();
        drop((places, proxied));
        assert!(callers.0.connections.lock().unwrap().is_empty());
    }

    #[test]
    fn only_a_trusted_proxy_says_who_asks() {
        let trusted = Networks(vec!["10.0.0.0/8".parse().unwrap()]);
        let check = |peer: &str, forwarded: &[&'static str], expected: &str| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
            }
            assert_eq!(client_of(address(peer), &headers, &trusted), address(expected), "{peer} {forwarded:?}");
        };
        check("203.0.113.5", &["192.0.2.1"], "203.0.113.5");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["192.0.2.1"], "192.0.2.1");
        check("10.0.0.1", &["6.6.6.6, 192.0.2.1, 10.0.0.2"], "192.0.2.1");
        check("10.0.0.1", &["6.6.6.6", "192.0.2.1"], "192.0.2.1");
        check("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1");
        check("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
        check("10.0.0.1", &["192.0.2.1, nonsense"], "10.0.0.1");
    }
}
