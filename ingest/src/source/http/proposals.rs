//! `GET /api/v1/proposals` and `POST /api/v1/proposals/adopt`: unknown channels of your owner, and one call that makes them known.

use super::{command, holder, problem};
use crate::pipeline::Intake;
use crate::propose::{Adopted, Adoption, Proposal, Publicity, Unadopted, proposals};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::{ObservedProperty, Scope, Unit, Viewer};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize)]
struct List {
    items: Vec<Item>,
    limit: usize,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize)]
struct Item {
    device: String,
    known_as: Option<String>,
    channel: String,
    count: u64,
    first: String,
    last: String,
    value: f64,
    property: Option<&'static str>,
    class: Option<&'static str>,
    unit: Option<&'static str>,
    period_s: u32,
}

impl From<Proposal> for Item {
    fn from(one: Proposal) -> Self {
        Self {
            device: one.device,
            known_as: one.known_as,
            channel: one.channel,
            count: one.count,
            first: one.first.to_string(),
            last: one.last.to_string(),
            value: one.value,
            property: one.property.map(ObservedProperty::word),
            class: one.property.map(|property| property.class().word()),
            unit: one.unit.map(Unit::symbol),
            period_s: one.period_s,
        }
    }
}

pub(super) async fn list(State(intake): State<Intake>, request: Request) -> Response {
    let viewer = match holder(&intake, request.uri().query(), request.headers(), Scope::Manage) {
        Ok(viewer) => viewer,
        Err(response) => return *response,
    };
    let work = tokio::task::spawn_blocking(move || proposals(&intake.store().seen_by(&viewer), &intake));
    match work.await {
        Ok(Ok(found)) => {
            let items: Vec<Item> = found.into_iter().map(Into::into).collect();
            Json(List { limit: items.len(), items, next_cursor: None }).into_response()
        }
        Ok(Err(cause)) => problem(StatusCode::SERVICE_UNAVAILABLE, "Not readable", cause.to_string(), None),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "the log says why", None),
    }
}

/// What is made of one proposal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    device: String,
    channel: String,
    station: String,
    datastream: Option<String>,
    property: Option<String>,
    unit: Option<String>,
    period_s: Option<u32>,
    #[serde(default)]
    public: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    datastream: String,
    changes: Vec<String>,
    accepted: u64,
    left: usize,
}

pub(super) async fn adopt(State(intake): State<Intake>, request: Request) -> Response {
    let viewer = match holder(&intake, request.uri().query(), request.headers(), Scope::Manage) {
        Ok(viewer) => viewer,
        Err(response) => return *response,
    };
    let Viewer::Token { owner, .. } = viewer else { return StatusCode::UNAUTHORIZED.into_response() };
    let order: Order = match command(request).await {
        Ok(order) => order,
        Err(response) => return *response,
    };
    let adoption = match adoption(order) {
        Ok(adoption) => adoption,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, "Bad request", detail, None),
    };
    let adopting = tokio::task::spawn_blocking(move || {
        let done = intake.adopt(&owner, &adoption, &format!("a token of {owner}"));
        if let Err(Unadopted::Forbidden(cause)) = &done {
            tracing::warn!(event = "not_allowed", %owner, cause, "a token was to adopt onto what is another owner's");
        }
        done
    });
    match adopting.await {
        Ok(Ok(Adopted { changes, datastream, accepted, left })) => Json(Answer { datastream, changes, accepted, left }).into_response(),
        Ok(Err(Unadopted::Wrong(detail))) => problem(StatusCode::UNPROCESSABLE_ENTITY, "Not adopted", detail, None),
        Ok(Err(Unadopted::Missing(detail))) => problem(StatusCode::NOT_FOUND, "Not found", detail, None),
        Ok(Err(Unadopted::Forbidden(detail))) => problem(StatusCode::FORBIDDEN, "Not allowed", detail, None),
        Ok(Err(Unadopted::Network(complaints))) => {
            let said: Vec<String> = complaints.iter().map(|complaint| complaint.message.clone()).collect();
            problem(StatusCode::UNPROCESSABLE_ENTITY, "Not adopted", said.join("; "), None)
        }
        Ok(Err(Unadopted::Store(cause))) => problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", cause.to_string(), None),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "the log says why", None),
    }
}

fn adoption(order: Order) -> Result<Adoption, String> {
    Ok(Adoption {
        property: order.property.as_deref().map(crate::propose::property).transpose()?,
        unit: order.unit.as_deref().map(crate::propose::unit).transpose()?,
        device: order.device,
        channel: order.channel,
        station: order.station,
        datastream: order.datastream,
        period_s: order.period_s,
        is_public: if order.public { Publicity::Public } else { Publicity::Private },
    })
}
