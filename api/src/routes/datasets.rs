//! Datasets: what is shared as files, whole months at a time.

use crate::auth::Seen;
use crate::csv::{Dialect, italian};
use crate::page::{Page, keep};
use crate::partial::File;
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::wire::{DatasetOut, DatasetWhole};
use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use model::Timestamp;
use store::Format;

/// What was published at an earlier moment is not kept, unless nothing took its place since: then it is refused, and not answered with
/// what is published now.
fn stood_then(seen: &Seen, what: &str, changed_at: Timestamp) -> Result<(), Problem> {
    if !seen.view.looks_back() || changed_at.seconds() <= seen.view.now().seconds() {
        return Ok(());
    }
    Err(Problem::bad(format!(
        "{what} was published at {changed_at}, and what it took the place of is not kept; leave as_of out, or ask for observations as of then"
    )))
}

/// Every dataset, with when it last changed.
#[utoipa::path(get, path = "/api/v1/datasets", tag = "datasets",
    params(("as_of" = Option<String>, Query, description = "RFC 3339 with an offset: answered when every edition of today was published by then, else refused")),
    responses((status = 200, description = "By id", body = Page<DatasetOut>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["as_of"])?;
    let datasets = seen.view.datasets();
    for one in &datasets {
        stood_then(&seen, &one.dataset.id, one.published_at).map_err(|problem| problem.at(&params.path))?;
    }
    let datasets = datasets.iter().map(|one| DatasetOut::from(one.as_ref())).collect();
    Ok(keep(Json(Page::<DatasetOut>::whole(datasets)), seen.is_public, 60))
}

/// One dataset: its columns, and the manifest of its files.
#[utoipa::path(get, path = "/api/v1/datasets/{id}", tag = "datasets", params(("id" = String, Path, example = "livelli-giornalieri"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset: answered when the edition of today was published by then, else refused")),
    responses((status = 200, body = DatasetWhole), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["as_of"])?;
    let found = seen.view.dataset(&id).ok_or_else(|| Problem::missing("dataset", &id, "/api/v1/datasets").at(&params.path))?;
    stood_then(&seen, &id, found.published_at).map_err(|problem| problem.at(&params.path))?;
    Ok(keep(Json(DatasetWhole::from(found.as_ref())), seen.is_public, 30))
}

/// A file of a dataset. Its ETag is its SHA-256, so a copy that is still right costs nothing to check; If-Modified-Since and one Range are
/// understood too.
#[utoipa::path(get, path = "/api/v1/datasets/{id}/files/{name}", tag = "datasets",
    params(("id" = String, Path, example = "livelli-giornalieri"), ("name" = String, Path, example = "livelli-giornalieri-2026-10.csv"),
        ("csv" = Option<String>, Query, description = "it, of a CSV file: semicolons, decimal commas, and times of Europe/Rome with their offset"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset: answered when the file has not changed since, else refused")),
    responses((status = 200, description = "CSV, Parquet or GeoJSON"), (status = 206, description = "The part that Range asks for"), (status = 304, description = "Yours is still right"),
        (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn file(
    seen: Seen,
    Path((id, name)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&["csv", "as_of"])?;
    let is_italian = params.dialect()? == Dialect::Italian;
    let (view, wanted) = (seen.view.clone(), (id.clone(), name.clone()));
    let found = blocking(&params.path, move || {
        let found = view.dataset_file(&wanted.0, &wanted.1)?;
        let columns = view.dataset(&wanted.0).filter(|_| is_italian).map(|known| known.dataset.columns.clone());
        Ok(found.map(|(file, bytes)| match columns {
            Some(columns) if file.format == Format::Csv => (file, italian(&bytes, &columns)),
            _ => (file, bytes),
        }))
    });
    let found = found.await?;
    let (file, bytes) = found.ok_or_else(|| Problem::missing("file", &name, &format!("/api/v1/datasets/{id}")).at(&params.path))?;
    stood_then(&seen, &name, file.changed_at).map_err(|problem| problem.at(&params.path))?;
    if is_italian && file.format != Format::Csv {
        return Err(params.bad(format!("csv=it is for CSV files, and {name} is none; leave it out")));
    }
    let etag = format!("\"{}{}\"", file.sha256, if is_italian { "-it" } else { "" });
    let mut response = File { bytes, etag, changed_at: file.changed_at }.answer(&headers);
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, file.format.media_type());
    set(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{}\"", file.name));
    Ok(keep(response, seen.is_public, 30))
}
