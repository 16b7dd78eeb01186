//! What flows, derived from a level when it is asked for.

use crate::auth::Seen;
use crate::page::{Page, cursor, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::rows;
use crate::table::{Extent, Format, Table};
use crate::wire::DischargeOut;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use model::Interval;

/// Discharge in m³/s at the observations of a level in `[from, to)`, ascending, each by the rating (scala di deflusso) that holds at its
/// phenomenon time. Derived anew from what is known, or was known at `as_of`: values and ratings both. Where no rating holds, the stage
/// can't be trusted or nobody measured there, discharge is null and why says so.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}/discharge", tag = "observations",
    params(("id" = String, Path, example = "bisenzio-gamberame-level"),
        ("from" = Option<String>, Query, description = "RFC 3339 with an offset, included", example = "2026-11-22T00:00:00Z"),
        ("to" = Option<String>, Query, description = "RFC 3339 with an offset, excluded; now when left out"),
        ("period" = Option<String>, Query, description = "ISO 8601 duration back from now instead of from and to; PT24H when nothing is said", example = "PT36H"),
        ("limit" = Option<usize>, Query, description = "A page of so many rows, 1 to 50000. Left out: pages of 1000 in JSON, and all of the interval, however long, in CSV"),
        ("cursor" = Option<String>, Query, description = "A page: next_cursor, or x-next-cursor, of the page before"),
        ("f" = Option<String>, Query, description = "json (default) or csv"),
        ("csv" = Option<String>, Query, description = "it: semicolons and decimal commas"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was served at that moment, whatever was revised or received since, and by the ratings of then")),
    responses((status = 200, body = Page<DischargeOut>,
            headers(("x-next-cursor" = Option<String>, description = "CSV where a page was asked for with limit or cursor, and more follows: the cursor of the next page"))), (status = 400, body = Problem, content_type = "application/problem+json"),
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
    let interval = Interval::new(params.resume(asked.from)?, asked.to);
    let dialect = params.dialect()?;
    let format = if params.choice("f", &["json", "csv"])? == "csv" { Format::Csv(dialect) } else { Format::Json };
    let limit = params.page(matches!(format, Format::Json))?;
    let (permission, view) = (seen.permission(), seen.view);
    let response = blocking(&params.path, move || {
        let name = format!("{}-discharge", datastream.key);
        let (interval, extent) = match limit {
            None => (interval, Extent::Whole),
            Some(limit) => {
                let next = view.observations(&datastream, interval, limit + 1)?.get(limit).map(|first| first.phenomenon_time);
                (Interval::new(interval.from, next.unwrap_or(interval.to)), Extent::Page { limit, next_cursor: next.map(cursor) })
            }
        };
        Table::new(format, extent, rows::discharges(view, datastream, interval)).response(permission, &name)
    });
    Ok(keep(response.await?, seen.is_public, 5))
}
