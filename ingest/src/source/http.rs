//! HTTP push: `POST /api/v1/observations`, answered after the commit. The same JSON as over MQTT, each object with its `device`.

mod body;
mod edge;
mod encoding;
mod proposals;
mod replay;
mod write;

use crate::commit::Settled;
use crate::frame::Frame;
use crate::pipeline::Intake;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, RequestExt, Router};
use body::{Kept, Unkept};
use encoding::Packed;
use model::{OwnerId, RejectReason, Scope, Viewer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use store::{Error, Outcome};

/// The largest body, bytes.
const MOST_BYTES: usize = 10 << 20;
const PATH: &str = "/api/v1/observations";
/// How long a sender waits for the disk once all has come.
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);
/// How long the whole of a command may take to arrive.
const COMMAND_PATIENCE: Duration = Duration::from_secs(10);

/// The push door, to be merged with the rest of the API.
pub fn router(intake: Intake) -> Router {
    Router::new()
        .route(PATH, post(push).fallback(other_method))
        .route("/api/v1/edges/{name}", post(edge::take))
        .route("/api/v1/quarantine/replay", post(replay::replay))
        .route("/api/v1/proposals", get(proposals::list))
        .route("/api/v1/proposals/adopt", post(proposals::adopt))
        .route(write::PATH, post(write::write))
        .route(write::PATH_1, post(write::write_1))
        .route("/api/v2/ping", get(write::ping))
        .route("/ping", get(write::ping))
        .with_state(intake)
}

async fn other_method() -> Response {
    let mut response = problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "Method not allowed",
        "readings are sent here with POST; they are read at /api/v1/datastreams/{id}/observations",
        None,
    );
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

/// What became of a request's readings, all of them on disk.
#[derive(Debug, Serialize)]
struct Answer {
    accepted: u64,
    duplicates: u64,
    revised: u64,
    rejected: Vec<Rejected>,
}

/// One refused reading; `index` is that of its object in the array that was sent, which several values of one object share, and
/// `detail` names the channel. A `too-many` stands for its object and all behind it.
#[derive(Debug, Serialize)]
struct Rejected {
    index: usize,
    code: &'static str,
    detail: String,
}

impl From<Settled> for Answer {
    fn from(settled: Settled) -> Self {
        let of = |wanted| settled.stored.iter().filter(|(_, outcome)| *outcome == wanted).count() as u64;
        let (accepted, duplicates, revised) = (of(Outcome::Accepted), of(Outcome::Duplicate), of(Outcome::Revised));
        let rejected = settled.rejected.into_iter();
        let rejected = rejected.map(|placed| Rejected { index: placed.index, code: placed.what.reason.code(), detail: placed.what.detail });
        Self { accepted, duplicates, revised, rejected: rejected.collect() }
    }
}

/// RFC 9457.
#[derive(Debug, Serialize)]
struct Problem {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    instance: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
}

fn problem(status: StatusCode, title: &'static str, detail: impl Into<String>, answer: Option<Answer>) -> Response {
    let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), detail: detail.into(), instance: PATH, answer };
    let mut response = (status, axum::Json(problem)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    match status {
        StatusCode::UNAUTHORIZED => drop(response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
        StatusCode::SERVICE_UNAVAILABLE => drop(response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"))),
        _ => {}
    }
    response
}

/// Who sends is looked at before a byte of what is sent is kept.
async fn push(State(intake): State<Intake>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let owner = match sender(&intake, head.uri.query(), &head.headers).and_then(|owner| announced(&head.headers).map(|()| owner)) {
        Ok(owner) => owner,
        Err(response) => {
            body::refuse(&head.headers, body).await;
            return *response;
        }
    };
    let Kept { bytes, held } = match body::collect_unpacked(&intake, &owner, &head.headers, body).await {
        Ok(body) => body,
        Err(cause) => return unkept(cause),
    };
    let frame = Frame {
        source: "http",
        format: "native",
        route: PATH.to_owned(),
        owner,
        device: None,
        channel: None,
        received_at: intake.store().clock().now(),
        bytes,
    };
    let settled = in_time(async { intake.take(frame).await.await }).await;
    drop(held);
    let Some(settled) = settled else { return problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", TOO_LONG, None) };
    match settled {
        // Nothing is wrong with it: it comes in by itself once this machine's clock is set.
        Ok(settled) if settled.rejected.iter().any(|placed| placed.what.reason == RejectReason::UntrustedClock) => {
            axum::Json(Answer::from(settled)).into_response()
        }
        Ok(settled) if settled.stored.is_empty() => {
            let detail = "none of the readings could be taken; each has its reason under \"rejected\", and waits in the quarantine";
            problem(StatusCode::UNPROCESSABLE_ENTITY, "Nothing acceptable", detail, Some(settled.into()))
        }
        Ok(settled) => axum::Json(Answer::from(settled)).into_response(),
        Err(Error::Full) => problem(StatusCode::SERVICE_UNAVAILABLE, "Disk full", "nothing was kept; send it again later", None),
        Err(cause) => problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", format!("{cause}; send it again later"), None),
    }
}

/// What the headers say of the body: JSON, and not too long.
fn announced(headers: &HeaderMap) -> Result<(), Box<Response>> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !header(header::CONTENT_TYPE).split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Box::new(problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Unsupported content type",
            "send Content-Type: application/json",
            None,
        )));
    }
    if header(header::CONTENT_LENGTH).parse::<usize>().is_ok_and(|length| length > MOST_BYTES) {
        return Err(Box::new(too_large()));
    }
    Ok(())
}

/// Why a body was not kept, for who sent it.
fn unkept(cause: Unkept) -> Response {
    match cause {
        Unkept::TooLarge | Unkept::Packed(Packed::TooLarge) => too_large(),
        Unkept::Packed(packed @ Packed::Unknown(_)) => {
            problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported content encoding", packed.detail(), None)
        }
        Unkept::Packed(packed @ Packed::Broken(_)) => problem(StatusCode::BAD_REQUEST, "Broken request", packed.detail(), None),
        Unkept::Packed(packed @ Packed::Closing) => problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", packed.detail(), None),
        Unkept::Broken => {
            let detail = "the body did not arrive whole; nothing was kept; send it again";
            problem(StatusCode::BAD_REQUEST, "Broken request", detail, None)
        }
        Unkept::Slow => closing(problem(StatusCode::REQUEST_TIMEOUT, "Too slow", TOO_SLOW, None)),
        Unkept::Busy => closing(problem(StatusCode::SERVICE_UNAVAILABLE, "Busy", BUSY, None)),
    }
}

const TOO_SLOW: &str = "the body did not come in time: within ten seconds, or four kilobytes a second where it is larger; nothing was kept; send it again, or in smaller parts";
const BUSY: &str = "other requests of your owner are still being taken, and leave no room for this one; nothing was kept; send it again later, and fewer at once";

/// What is done with a body that has come whole; `None` when it takes so long that its sender should hear so.
async fn in_time<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(COMMIT_PATIENCE, work).await.ok()
}

const TOO_LONG: &str =
    "it is not on disk after half a minute; send it again later: what has come in meanwhile is known, and is not taken twice";

/// The last answer of its connection: what is left of the request is not waited for.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The JSON of a request that commands something.
async fn command<T: DeserializeOwned + 'static>(request: Request) -> Result<T, Box<Response>> {
    let extracted = tokio::time::timeout(COMMAND_PATIENCE, request.extract::<Result<Json<T>, JsonRejection>, _>()).await;
    match extracted {
        Err(_) => Err(Box::new(unkept(Unkept::Slow))),
        Ok(Ok(Ok(Json(order)))) => Ok(order),
        Ok(Ok(Err(cause))) => Err(Box::new(problem(StatusCode::BAD_REQUEST, "Bad request", cause.body_text(), None))),
        Ok(Err(never)) => match never {},
    }
}

fn too_large() -> Response {
    let detail = format!("a body may be {MOST_BYTES} bytes long; send the rest in another request; nothing was kept");
    problem(StatusCode::PAYLOAD_TOO_LARGE, "Too large", detail, None)
}

fn sender(intake: &Intake, query: Option<&str>, headers: &HeaderMap) -> Result<OwnerId, Box<Response>> {
    match holder(intake, query, headers, Scope::Ingest)? {
        Viewer::Token { owner, .. } => Ok(owner),
        Viewer::Public => Ok("".into()),
    }
}

/// The holder of the token that a request carries, if it has the scope.
fn holder(intake: &Intake, query: Option<&str>, headers: &HeaderMap, scope: Scope) -> Result<Viewer, Box<Response>> {
    let word = scope.word();
    let refuse = |status, title, detail: &str| Err(Box::new(problem(status, title, detail, None)));
    if query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("token="))) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "Token in the address",
            "addresses end up in logs; send the token as Authorization: Bearer …",
        );
    }
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    match token.and_then(|token| intake.store().viewer_of(token.trim())) {
        Some(viewer) if !viewer.may(scope) => refuse(
            StatusCode::FORBIDDEN,
            "Not allowed",
            &format!("this token lacks the scope {word}; make one with: pescaia token new --owner … --scope {word}"),
        ),
        Some(viewer @ Viewer::Token { .. }) => Ok(viewer),
        _ if token.is_some() => refuse(StatusCode::UNAUTHORIZED, "No valid token", &format!("{} {word}", store::TOKEN_REFUSED)),
        _ => refuse(
            StatusCode::UNAUTHORIZED,
            "A token is needed",
            &format!("send Authorization: Bearer …; make a token with: pescaia token new --owner … --scope {word}"),
        ),
    }
}

#[cfg(test)]
mod tests;
