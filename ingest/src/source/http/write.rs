//! `POST /api/v2/write`: line protocol, as Telegraf's `influxdb_v2` output and InfluxDB's clients send it. 204 when every line could be
//! read; 400 names the lines that could not, and the others are stored. What nobody knows yet waits in the quarantine, and is no
//! reason for Telegraf to worry.

use super::body::{self, Terms, Unkept};
use super::{BUSY, MOST_BYTES, TOO_LONG, TOO_SLOW, closing, holder, in_time};
use crate::bounds::MOST_READINGS;
use crate::frame::Frame;
use crate::pipeline::{Intake, TooMany};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use model::{RejectReason, Scope, Viewer};
use serde_json::json;
use std::io::Read;
use store::Error;

/// Bytes that are unpacked before it is asked again whether it is too much.
const UNPACKED_AT_ONCE: usize = 1 << 20;

pub(super) const PATH: &str = "/api/v2/write";

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
    let (head, body) = request.into_parts();
    let viewer = holder(&intake, head.uri.query(), &bearer(&head.headers), Scope::Ingest);
    let Ok(Viewer::Token { owner, .. }) = viewer else {
        body::refuse(&head.headers, body).await;
        let message = "send Authorization: Token … with a token of scope ingest that is known, not expired and not revoked; make one with: pescaia token new --owner … --scope ingest";
        return refuse(StatusCode::UNAUTHORIZED, "unauthorized", message);
    };
    let is = |name, wanted: &str| {
        head.headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    let is_packed = is(header::CONTENT_ENCODING, "gzip");
    // Unpacked it may be as long as any body, however short it comes.
    let terms = Terms { most: MOST_BYTES, room: intake.body_room(), owner: &owner, beside: if is_packed { MOST_BYTES } else { 0 } };
    let body = match body::collect(body, &terms).await {
        Ok(body) => body,
        Err(cause) => return unkept(cause),
    };
    let bytes = if is_packed {
        // By its length unpacked: that is what it may cost.
        match intake.in_turn(&owner, MOST_BYTES, move |_| unpacked(&body.bytes)).await {
            Some(Ok(Some(bytes))) => bytes,
            Some(Ok(None)) => return too_large(),
            Some(Err(cause)) => {
                return refuse(StatusCode::BAD_REQUEST, "invalid", format!("the body is no gzip, or ends too early: {cause}"));
            }
            None => {
                return refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "pescaia is closing; nothing was kept; send it again later");
            }
        }
    } else {
        body.bytes
    };
    let _held = body.held;
    let precision = head.uri.query().unwrap_or("").split('&').find(|pair| pair.starts_with("precision=")).unwrap_or("precision=ns");
    if !["precision=ns", "precision=us", "precision=ms", "precision=s"].contains(&precision) {
        return refuse(StatusCode::BAD_REQUEST, "invalid", format!("{precision} is not known; it may be ns, us, ms or s"));
    }
    let frame = Frame {
        source: "http",
        format: "line-protocol",
        route: format!("{PATH}?{precision}"),
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
    let value = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
    value.into_iter().map(|value| (header::AUTHORIZATION, value)).collect()
}

fn unkept(cause: Unkept) -> Response {
    match cause {
        Unkept::TooLarge => too_large(),
        Unkept::Broken => refuse(StatusCode::BAD_REQUEST, "invalid", "the body did not arrive whole; nothing was kept"),
        Unkept::Slow => closing(refuse(StatusCode::REQUEST_TIMEOUT, "request timeout", TOO_SLOW)),
        Unkept::Busy => closing(refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable", BUSY)),
    }
}

fn too_large() -> Response {
    refuse(
        StatusCode::PAYLOAD_TOO_LARGE,
        "request too large",
        format!("a batch may be {MOST_BYTES} bytes long, unpacked too; send smaller ones"),
    )
}

/// `None` when it is more than may be kept, found out without keeping it.
fn unpacked(packed: &Bytes) -> std::io::Result<Option<Bytes>> {
    let (mut bytes, mut source) = (Vec::new(), MultiGzDecoder::new(packed.as_ref()));
    loop {
        // As much again each time would be half as much too much at the end.
        bytes.reserve_exact(UNPACKED_AT_ONCE);
        let count = source.by_ref().take(UNPACKED_AT_ONCE as u64).read_to_end(&mut bytes)?;
        if bytes.len() > MOST_BYTES {
            return Ok(None);
        }
        if count < UNPACKED_AT_ONCE {
            return Ok(Some(bytes.into()));
        }
    }
}
