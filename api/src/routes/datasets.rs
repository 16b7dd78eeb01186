//! Datasets: what is shared as files, whole months at a time.

use crate::api::Api;
use crate::auth::Seen;
use crate::csv::{Dialect, italian};
use crate::page::{Page, keep};
use crate::partial::File;
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::stream::{self, Shared};
use crate::wire::{DatasetOut, DatasetWhole};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use model::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use store::{Format, PublishedFile, View};

/// Files that are on their way to somebody, by their SHA-256: however many read one, or leave it unread, it is in memory once.
#[derive(Clone, Default)]
pub(crate) struct Files(Arc<Mutex<HashMap<String, Weak<Vec<u8>>>>>);

/// A file and what it holds.
type Found = (PublishedFile, Arc<Vec<u8>>);

impl Files {
    /// A file of the version that holds now, checked when it was read from the store; a CSV file in this dialect.
    fn get(&self, view: &View, id: &str, name: &str, dialect: Dialect) -> Result<Option<Found>, store::Error> {
        let dataset = view.dataset(id);
        let known = dataset.as_ref().and_then(|found| found.files.iter().find(|file| file.name == name).cloned());
        // Read under the lock, so that a thousand who ask at once make one read.
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known
            && let Some(bytes) = files.get(&version(&file, dialect)).and_then(Weak::upgrade)
        {
            return Ok(Some((file, bytes)));
        }
        let Some((file, bytes)) = view.dataset_file(id, name)? else { return Ok(None) };
        let bytes = match &dataset {
            Some(known) if dialect == Dialect::Italian && file.format == Format::Csv => italian(&bytes, &known.dataset.columns),
            _ => bytes,
        };
        let bytes = Arc::new(bytes);
        files.retain(|_, bytes| bytes.strong_count() > 0);
        files.insert(version(&file, dialect), Arc::downgrade(&bytes));
        Ok(Some((file, bytes)))
    }
}

/// What a file's bytes are known by.
fn version(file: &PublishedFile, dialect: Dialect) -> String {
    format!("{}{}", file.sha256, if dialect == Dialect::Italian { "-it" } else { "" })
}

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
    State(api): State<Api>,
    seen: Seen,
    Path((id, name)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    params.only(&["csv", "as_of"])?;
    let dialect = params.dialect()?;
    let (view, wanted, files) = (seen.view.clone(), (id.clone(), name.clone()), api.files.clone());
    let found = blocking(&params.path, move || Ok(files.get(&view, &wanted.0, &wanted.1, dialect)?)).await?;
    let (file, bytes) = found.ok_or_else(|| Problem::missing("file", &name, &format!("/api/v1/datasets/{id}")).at(&params.path))?;
    stood_then(&seen, &name, file.changed_at).map_err(|problem| problem.at(&params.path))?;
    if dialect == Dialect::Italian && file.format != Format::Csv {
        return Err(params.bad(format!("csv=it is for CSV files, and {name} is none; leave it out")));
    }
    let about = File { length: bytes.len(), etag: format!("\"{}\"", version(&file, dialect)), changed_at: file.changed_at };
    let mut response = about.answer(&headers, |part| stream::response(seen.permission(), Shared::of(bytes, part)))?;
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, file.format.media_type());
    set(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{}\"", file.name));
    Ok(keep(response, seen.is_public, 30))
}
