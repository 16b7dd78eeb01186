//! Every route, in one table.

use crate::api::Api;
use crate::live::{OwnWatchers, Public};
use crate::problem::Problem;
use crate::routes::datasets::Files;
use crate::routes::{datasets, datastreams, discharge, health, increments, latest, ledger, live, observations, push, quarantine, stations};
use axum::Router;
use axum::extract::OriginalUri;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;
use tokio::sync::watch;
use tower_http::cors::{Any, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "pescaia", description = "Water levels and other telemetry: what was measured, when, and how far it can be trusted. Public data: CC BY 4.0, not validated. Times are UTC with Z, intervals [from, to), numbers are numbers.", license(name = "EUPL-1.2", identifier = "EUPL-1.2")),
    paths(stations::list, stations::one, datastreams::list, datastreams::one, datastreams::gaps, datastreams::revisions, observations::list, increments::list, discharge::list, latest::list, live::live, datasets::list, datasets::one, datasets::file, quarantine::list, quarantine::summary, quarantine::one, ledger::list,
        push::push, push::write, push::replay, push::proposals, push::adopt, health::alive, health::ready, health::status, health::metrics),
    components(schemas(push::Readings, push::Pushed, crate::wire::BucketOut, crate::wire::ThinnedOut)),
    modifiers(&Tokens)
)]
struct Description;

struct Tokens;

impl Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        if let Some(components) = openapi.components.as_mut() {
            components.add_security_scheme("token", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
        }
    }
}

/// The contract, as OpenAPI 3.1 in JSON.
#[must_use]
pub fn openapi() -> String {
    described(None)
}

/// With the address that it is reached at, where that is known.
fn described(public_url: Option<&str>) -> String {
    let mut description = Description::openapi();
    description.servers = public_url.map(|url| vec![utoipa::openapi::Server::new(url)]);
    description.to_pretty_json().unwrap_or_default()
}

/// The API over `store`; `metrics` holds what the doors count, and gets the store's own meters added.
///
/// `public_url` is what absolute addresses begin with. Must be called within a runtime: it begins to watch what is committed.
pub fn router(store: Store, mut metrics: Registry, started: Instant, stop: watch::Receiver<bool>, public_url: Option<&str>) -> Router {
    metrics.register_collector(Box::new(health::StoreMeters(health::StoreRef(store.clone()))));
    let (live, own_watchers, files) = (Public::start(&store, stop.clone()), OwnWatchers::default(), Files::default());
    let api = Api { live, own_watchers, files, store, metrics: Arc::new(metrics), started, stop };
    // A token is sent because a program says so, never because a browser has it: any page may ask with one.
    let open = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD])
        .allow_headers([
            header::AUTHORIZATION,
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            header::IF_MODIFIED_SINCE,
            header::RANGE,
        ])
        .expose_headers([
            HeaderName::from_static("x-next-cursor"),
            header::ETAG,
            header::LINK,
            header::RETRY_AFTER,
            header::CONTENT_DISPOSITION,
        ])
        .max_age(Duration::from_secs(3600));
    let data = Router::new()
        .route("/api/v1/stations", get(stations::list))
        .route("/api/v1/stations/{id}", get(stations::one))
        .route("/api/v1/datastreams", get(datastreams::list))
        .route("/api/v1/datastreams/{id}", get(datastreams::one))
        .route("/api/v1/datastreams/{id}/gaps", get(datastreams::gaps))
        .route("/api/v1/datastreams/{id}/revisions", get(datastreams::revisions))
        .route("/api/v1/datastreams/{id}/observations", get(observations::list))
        .route("/api/v1/datastreams/{id}/increments", get(increments::list))
        .route("/api/v1/datastreams/{id}/discharge", get(discharge::list))
        .route("/api/v1/latest", get(latest::list))
        .route("/api/v1/live", get(live::live))
        .route("/api/v1/datasets", get(datasets::list))
        .route("/api/v1/datasets/{id}", get(datasets::one))
        .route("/api/v1/datasets/{id}/files/{name}", get(datasets::file))
        .route("/api/v1/quarantine", get(quarantine::list))
        .route("/api/v1/quarantine/summary", get(quarantine::summary))
        .route("/api/v1/quarantine/{number}", get(quarantine::one))
        .route("/api/v1/ledger", get(ledger::list))
        // Before the layer, or a browser's question whether it may ask would be answered by it.
        .method_not_allowed_fallback(method_not_allowed)
        .layer(open)
        .layer(SetResponseHeaderLayer::overriding(header::LINK, HeaderValue::from_static("</openapi.json>; rel=\"service-desc\"")));
    let contract: Arc<str> = described(public_url).into();
    let kept = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "public, max-age=60")];
    Router::new()
        .merge(data)
        .route("/openapi.json", get(move || async move { (kept, contract.to_string()) }))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/status", get(health::status))
        .route("/metrics", get(health::metrics))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(api)
}

/// For every path that nobody has.
pub async fn not_found(OriginalUri(uri): OriginalUri) -> Response {
    Problem::new(StatusCode::NOT_FOUND, "No such page", "nothing is here; /openapi.json lists what there is").at(uri.path()).into_response()
}

async fn method_not_allowed(OriginalUri(uri): OriginalUri) -> Response {
    let detail = "this address takes other methods; /openapi.json says which";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail).at(uri.path()).into_response()
}
