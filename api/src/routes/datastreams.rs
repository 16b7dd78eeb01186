//! What is measured where.

use crate::auth::Seen;
use crate::page::{DEFAULT, MOST, Page, cursor, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::stream::{self, Whole, json, put_item};
use crate::wire::{DatastreamOut, GapOut, RevisionOut};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use model::{Interval, Scope, Viewer};

/// Datastreams that you may see.
#[utoipa::path(get, path = "/api/v1/datastreams", tag = "datastreams",
    params(("station" = Option<String>, Query, description = "Only those of this station"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was described at that moment")),
    responses((status = 200, description = "All of them, by id", body = Page<DatastreamOut>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["station", "as_of"])?;
    let datastreams = seen.view.datastreams(params.get("station"));
    let (permission, view) = (seen.permission(), seen.view);
    let whole = Whole::of(datastreams, move |some, out| {
        for datastream in some {
            put_item(&DatastreamOut::seen(&view, datastream)?, out);
        }
        Ok(some.len())
    });
    let response = blocking(&params.path, move || stream::response(permission, whole)).await?;
    Ok(keep(json(response), seen.is_public, 30))
}

/// One datastream.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}", tag = "datastreams", params(("id" = String, Path, example = "bisenzio-gamberame-level"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was described at that moment")),
    responses((status = 200, body = DatastreamOut), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["as_of"])?;
    let datastream = seen.datastream(&id, &params)?;
    let view = seen.view;
    let found = blocking(&params.path, move || Ok(DatastreamOut::seen(&view, &datastream)?)).await?;
    Ok(keep(Json(found), seen.is_public, 30))
}

/// Times in which polls of the device failed, and why. A value is never carried across them.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}/gaps", tag = "datastreams",
    params(("id" = String, Path), ("from" = Option<String>, Query), ("to" = Option<String>, Query), ("period" = Option<String>, Query, example = "P7D"),
        ("limit" = Option<usize>, Query, description = "1 to 50000, default 1000"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was served at that moment, whatever was revised or received since")),
    responses((status = 200, body = Page<GapOut>), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn gaps(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["from", "to", "period", "limit", "cursor", "as_of"])?;
    let datastream = seen.datastream(&id, &params)?;
    let asked = params.interval(seen.view.now())?;
    let interval = Interval::new(params.resume(asked.from)?, asked.to);
    let limit = params.limit(DEFAULT, MOST)?;
    let is_resumed = params.get("cursor").is_some();
    let view = seen.view;
    let mut gaps = blocking(&params.path, move || Ok(view.gaps_at_most(&datastream, interval, limit + 2)?)).await?;
    // One that began before a page's start touches it, and stood on the page before.
    gaps.retain(|gap| !is_resumed || gap.from >= interval.from);
    let next_cursor = gaps.get(limit).map(|next| cursor(next.from));
    gaps.truncate(limit);
    let items = gaps.iter().map(GapOut::from).collect();
    Ok(keep(Json(Page { items, limit, next_cursor }), seen.is_public, 10))
}

/// What was changed in the description of a datastream, its station and its owner, the newest first: thresholds, ratings, zero, name, visibility.
/// For its owner, with a token of scope audit or manage.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}/revisions", tag = "datastreams", params(("id" = String, Path)),
    responses((status = 200, body = Page<RevisionOut>), (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revisions(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&[])?;
    seen.needs(&[Scope::Audit, Scope::Manage]).map_err(|problem| problem.at(&params.path))?;
    let datastream = seen.datastream(&id, &params)?;
    if !matches!(seen.view.viewer(), Viewer::Token { owner, .. } if *owner == datastream.owner) {
        let detail = format!("{id} belongs to {}; a token of theirs is needed", datastream.owner);
        return Err(Problem::new(StatusCode::FORBIDDEN, "Not allowed", detail).at(&params.path));
    }
    let view = seen.view;
    let found = blocking(&params.path, move || Ok(view.revisions(&datastream)?)).await?;
    Ok(keep(Json(Page::whole(found.iter().map(RevisionOut::from).collect())), false, 0))
}
