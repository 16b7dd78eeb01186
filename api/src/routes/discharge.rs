//! What flows, derived from a level when it is asked for.

use crate::auth::Seen;
use crate::csv::{Cell, download, write};
use crate::page::{DEFAULT, MOST, Page, cursor, keep, resume, with_cursor};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::wire::DischargeOut;
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::{Interval, TimestampWriter};

const COLUMNS: [&str; 7] = ["phenomenon_time", "discharge", "quality", "stage", "extrapolated", "why", "received_at"];

/// Discharge in m³/s at the observations of a level in `[from, to)`, ascending, each by the rating (scala di deflusso) that holds at its
/// phenomenon time. Derived anew from what is known, or was known at `as_of`: values and ratings both. Where no rating holds, the stage
/// can't be trusted or nobody measured there, discharge is null and why says so.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}/discharge", tag = "observations",
    params(("id" = String, Path, example = "bisenzio-gamberame-level"),
        ("from" = Option<String>, Query, description = "RFC 3339 with an offset, included", example = "2026-11-22T00:00:00Z"),
        ("to" = Option<String>, Query, description = "RFC 3339 with an offset, excluded; now when left out"),
        ("period" = Option<String>, Query, description = "ISO 8601 duration back from now instead of from and to; PT24H when nothing is said", example = "PT36H"),
        ("limit" = Option<usize>, Query, description = "1 to 50000, default 1000"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("f" = Option<String>, Query, description = "json (default) or csv"),
        ("csv" = Option<String>, Query, description = "it: semicolons and decimal commas"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was served at that moment, whatever was revised or received since, and by the ratings of then")),
    responses((status = 200, body = Page<DischargeOut>), (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such datastream, or it has no rating", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Part of it is in InfluxDB, which does not answer; Retry-After says when to come again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["from", "to", "period", "limit", "cursor", "f", "csv", "as_of"])?;
    let datastream = seen.datastream(&id, &params)?;
    if datastream.ratings.is_empty() {
        let then = if seen.view.looks_back() { " at that moment" } else { "" };
        let detail = format!("{id} has no rating{then}; ask for its observations, or give it a [[datastream.rating]] in its network file");
        return Err(Problem::new(StatusCode::NOT_FOUND, "No rating", detail).at(&params.path));
    }
    let asked = params.interval(seen.view.now())?;
    let interval = Interval::new(resume(&params, asked.from)?, asked.to);
    let dialect = params.dialect()?;
    let is_csv = params.choice("f", &["json", "csv"])? == "csv";
    // A file is wanted whole.
    let limit = params.limit(if is_csv { MOST } else { DEFAULT }, MOST)?;
    let view = seen.view;
    let response = blocking(&params.path, move || {
        let mut found = view.discharges(&datastream, interval, limit + 1)?;
        let next_cursor = found.get(limit).map(|first| cursor(first.stage.phenomenon_time));
        found.truncate(limit);
        let mut times = TimestampWriter::default();
        let items: Vec<DischargeOut> = found.iter().map(|flow| DischargeOut::of(flow, &mut times)).collect();
        if !is_csv {
            return Ok(Json(Page { items, limit, next_cursor }).into_response());
        }
        let name = format!("{}-discharge", datastream.key);
        Ok(with_cursor(download(write(dialect, &COLUMNS, items.into_iter().map(cells)), &name), next_cursor))
    });
    Ok(keep(response.await?, seen.is_public, 5))
}

fn cells(one: DischargeOut) -> Vec<Cell> {
    vec![
        Cell::Instant(one.phenomenon_time),
        one.discharge.map_or_else(|| Cell::Text(String::new()), Cell::Number),
        Cell::Whole(one.quality.into()),
        Cell::Number(one.stage),
        Cell::Text(one.extrapolated.to_string()),
        Cell::Text(one.why.unwrap_or_default().to_owned()),
        Cell::Instant(one.received_at),
    ]
}
