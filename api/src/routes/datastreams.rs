//! What is measured where.

use crate::auth::Seen;
use crate::page::{Page, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::wire::{DatastreamOut, GapOut};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;

/// Datastreams that you may see.
#[utoipa::path(get, path = "/api/v1/datastreams", tag = "datastreams",
    params(("station" = Option<String>, Query, description = "Only those of this station")),
    responses((status = 200, description = "All of them, by id", body = Page<DatastreamOut>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["station"])?;
    let datastreams = seen.view.datastreams(params.get("station"));
    let items = datastreams.iter().map(|datastream| DatastreamOut::of(datastream, seen.view.extent(datastream))).collect();
    Ok(keep(Json(Page::whole(items)), seen.is_public, 30))
}

/// One datastream.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}", tag = "datastreams", params(("id" = String, Path, example = "bisenzio-gamberame-level")),
    responses((status = 200, body = DatastreamOut), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&[])?;
    let datastream =
        seen.view.datastream(&id).ok_or_else(|| Problem::missing("datastream", &id, "/api/v1/datastreams").at(&params.path))?;
    Ok(keep(Json(DatastreamOut::of(&datastream, seen.view.extent(&datastream))), seen.is_public, 30))
}

/// Times in which polls of the device failed, and why. A value is never carried across them.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}/gaps", tag = "datastreams",
    params(("id" = String, Path), ("from" = Option<String>, Query), ("to" = Option<String>, Query), ("period" = Option<String>, Query, example = "P7D"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was served at that moment, whatever was revised or received since")),
    responses((status = 200, body = Page<GapOut>), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn gaps(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["from", "to", "period", "as_of"])?;
    let datastream =
        seen.view.datastream(&id).ok_or_else(|| Problem::missing("datastream", &id, "/api/v1/datastreams").at(&params.path))?;
    let interval = params.interval(seen.view.now())?;
    let view = seen.view;
    let gaps = blocking(&params.path, move || Ok(view.gaps(&datastream, interval)?)).await?;
    Ok(keep(Json(Page::whole(gaps.iter().map(GapOut::from).collect())), seen.is_public, 10))
}
