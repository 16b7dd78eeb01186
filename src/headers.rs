//! What every answer says besides its content, whoever made it: what browsers may do with it, and who may keep it.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// The cookie of a session. There are no sessions yet; what is asked for with one is already nobody else's.
pub(crate) const SESSION_COOKIE: &str = "pescaia_session";

const PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);
/// What is no page loads nothing, also when somebody opens it as one.
const NO_PAGE: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// How this instance is reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    Plainly,
    /// `[http] public_url` says https.
    OverTls,
}

/// Around everything: also errors and redirects say it.
pub(crate) async fn guarded(State(reached): State<Reached>, mut request: Request, next: Next) -> Response {
    let is_personal = is_personal(request.headers());
    let is_static = request.uri().path().starts_with("/static/");
    if is_personal {
        // Whoever is answered in person keeps no copy that could be asked about.
        for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_RANGE] {
            request.headers_mut().remove(name);
        }
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    protect(headers, reached);
    if is_personal {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.remove(header::ETAG);
        headers.remove(header::LAST_MODIFIED);
    }
    let control = headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if control.to_str().is_ok_and(|control| control.contains("public")) && !is_static {
        vary_by(headers, &["cookie", "authorization"]);
    }
    response
}

/// Whether it is asked by somebody in particular.
fn is_personal(headers: &HeaderMap) -> bool {
    let is_session = |pair: &str| pair.trim().split_once('=').is_some_and(|(name, _)| name.trim() == SESSION_COOKIE);
    let has_session = |cookies: &HeaderValue| cookies.to_str().is_ok_and(|cookies| cookies.split(';').any(is_session));
    headers.contains_key(header::AUTHORIZATION) || headers.get_all(header::COOKIE).iter().any(has_session)
}

fn protect(headers: &mut HeaderMap, reached: Reached) {
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    // What any page may ask for, any page may show.
    let is_open = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin == "*");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, if is_page { PAGE } else { NO_PAGE });
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static(if is_open { "cross-origin" } else { "same-origin" }));
    if reached == Reached::OverTls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

fn vary_by(headers: &mut HeaderMap, names: &[&str]) {
    let said: Vec<String> =
        headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok()).map(str::to_ascii_lowercase).collect();
    let mut words: Vec<&str> = said.iter().flat_map(|value| value.split(',')).map(str::trim).filter(|word| !word.is_empty()).collect();
    let missing = names.iter().copied().filter(|name| !words.contains(name)).collect::<Vec<_>>();
    words.extend(missing);
    words.sort_unstable();
    words.dedup();
    if let Ok(value) = HeaderValue::from_str(&words.join(", ")) {
        headers.insert(header::VARY, value);
    }
}
