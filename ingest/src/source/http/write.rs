//! `POST /api/v2/write`: line protocol, as Telegraf's `influxdb_v2` output and InfluxDB's clients send it. 204 when every line could be
//! read; 400 names the lines that could not, and the others are stored. What nobody knows yet waits in the quarantine, and is no
//! reason for Telegraf to worry.

use super::body::{self, Kept, Unkept};
use super::encoding::Packed;
use super::{BUSY, MOST_BYTES, TOO_LONG, TOO_SLOW, closing, holder, in_time};
use crate::bounds::MOST_READINGS;
use crate::frame::Frame;
use crate::pipeline::{Intake, TooMany};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{RejectReason, Scope, Viewer};
use serde_json::json;
use store::Error;

pub(super) const PATH: &str = "/api/v2/write";
/// InfluxDB 1's.
pub(super) const PATH_1: &str = "/write";

/// InfluxDB's own shape of a no.
fn refuse(status: StatusCode, code: &str, message: impl Into<String>) -> Response {
    let mut response = (status, Json(json!({ "code": code, "message": message.into() }))).into_response();
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}

/// What clients look for before they write.
pub(super) async fn ping() -> Response {
    const VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");
    (StatusCode::NO_CONTENT, [(VERSION, "v2.7-pescaia")]).into_response()
}

pub(super) async fn write(State(intake): State<Intake>, request: Request) -> Response {
    let bearing = bearer(request.headers());
    take(intake, request, bearing, &["ns", "us", "ms", "s"]).await
}

/// As InfluxDB 1 is written to: `?db=…&precision=…`, the token as the password `p`, in the address or as Basic. What database is
/// named says nothing here.
pub(super) async fn write_1(State(intake): State<Intake>, request: Request) -> Response {
    let in_address = request.uri().query().unwrap_or("").split('&').find_map(|pair| pair.strip_prefix("p=")).map(str::to_owned);
    let bearing = match in_address.or_else(|| basic(request.headers())) {
        Some(token) => bearing(&token),
        None => bearer(request.headers()),
    };
    take(intake, request, bearing, &["ns", "n", "us", "u", "ms", "s", "m", "h"]).await
}

async fn take(intake: Intake, request: Request, bearing: HeaderMap, precisions: &[&str]) -> Response {
    let (head, body) = request.into_parts();
    let viewer = holder(&intake, head.uri.query(), &bearing, Scope::Ingest);
    let Ok(Viewer::Token { owner, .. }) = viewer else {
        body::refuse(&head.headers, body).await;
        let message = "send Authorization: Token … with a token of scope ingest that is known, not expired and not revoked; make one with: pescaia token new --owner … --scope ingest";
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized", message);
    };
    let Kept { bytes, held: _held } = match body::collect_unpacked(&intake, &owner, &head.headers, body).await {
        Ok(body) => body,
        Err(cause) => return unkept(cause),
    };
    let asked = head.uri.query().unwrap_or("").split('&').find_map(|pair| pair.strip_prefix("precision=")).unwrap_or("ns");
    let Some(precision) = precisions.iter().find(|known| **known == asked) else {
        let asked: String = asked.chars().take(20).collect();
        return refuse(StatusCode::BAD_REQUEST, "invalid", format!("precision={asked} is not known; it may be {}", precisions.join(", ")));
    };
    let frame = Frame {
        source: "http",
        format: "line-protocol",
        route: format!("{PATH}?precision={precision}"),
        owner,
        device: None,
        channel: None,
        received_at: intake.store().clock().now(),
        bytes,
    };
    let settled = in_time(async {
        match intake.take_whole(frame).await {
            Ok(settling) => Ok(settling.await),
            Err(TooMany) => Err(TooMany),
        }
    });
    let settled = match settled.await {
        Some(Ok(settled)) => settled,
        Some(Err(TooMany)) => {
            let detail = format!("more than {MOST_READINGS} numbers in one batch; send smaller ones; nothing was kept");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "request too large", detail);
        }
        None => return refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", TOO_LONG),
    };
    match settled {
        Ok(settled) => {
            // What can be read and is only not known yet is kept, and comes in once it is.
            let known_later =
                |reason| matches!(reason, RejectReason::UnknownDevice | RejectReason::UnknownChannel | RejectReason::UntrustedClock);
            let bad: Vec<&str> = settled
                .rejected
                .iter()
                .filter(|placed| !known_later(placed.what.reason))
                .map(|placed| placed.what.detail.as_str())
                .collect();
            if bad.is_empty() {
                return StatusCode::NO_CONTENT.into_response();
            }
            let more = if bad.len() > 10 { format!("; and {} more", bad.len() - 10) } else { String::new() };
            let told: Vec<&str> = bad.iter().take(10).copied().collect();
            refuse(
                StatusCode::BAD_REQUEST,
                "invalid",
                format!("partial write: {}{more}; {} points are stored", told.join("; "), settled.stored.len()),
            )
        }
        Err(Error::Full) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the disk is full; nothing was kept; send it again later")
        }
        Err(cause) => refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", format!("{cause}; nothing was kept; send it again later")),
    }
}

/// InfluxDB's clients say `Token` where others say `Bearer`.
fn bearer(headers: &HeaderMap) -> HeaderMap {
    let said = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = said.and_then(|value| value.strip_prefix("Token ").or_else(|| value.strip_prefix("Bearer ")));
    token.map(bearing).unwrap_or_default()
}

fn bearing(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).ok();
    value.into_iter().map(|value| (header::AUTHORIZATION, value)).collect()
}

fn unkept(cause: Unkept) -> Response {
    match cause {
        Unkept::TooLarge | Unkept::Packed(Packed::TooLarge) => too_large(),
        Unkept::Packed(packed @ Packed::Unknown(_)) => refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid", packed.detail()),
        Unkept::Packed(packed @ Packed::Broken(_)) => refuse(StatusCode::BAD_REQUEST, "invalid", packed.detail()),
        Unkept::Packed(packed @ Packed::Closing) => refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", packed.detail()),
        Unkept::Broken => refuse(StatusCode::BAD_REQUEST, "invalid", "the body did not arrive whole; nothing was kept"),
        Unkept::Slow => closing(refuse(StatusCode::REQUEST_TIMEOUT, "request timeout", TOO_SLOW)),
        Unkept::Busy => closing(refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", BUSY)),
    }
}

/// The password of a `Basic` header.
fn basic(headers: &HeaderMap) -> Option<String> {
    let said = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(said.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

fn too_large() -> Response {
    refuse(
        StatusCode::PAYLOAD_TOO_LARGE,
        "request too large",
        format!("a batch may be {MOST_BYTES} bytes long, unpacked too; send smaller ones"),
    )
}
