//! What a counter counted.

use crate::auth::Seen;
use crate::page::{DEFAULT, MOST, Page, cursor, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::wire::IncrementOut;
use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use model::{Interval, SignalClass};
use store::Bucket;

/// What a counter counted in `[from, to)`: by buckets, or from reading to reading. Rollover, resets, replaced meters and single
/// readings of zero are accounted for; between two readings what was counted is shared by time, and null where they lie more than 48 hours apart.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}/increments", tag = "observations",
    params(("id" = String, Path, example = "castelletti-energy"),
        ("from" = Option<String>, Query, description = "RFC 3339 with an offset, included"),
        ("to" = Option<String>, Query, description = "RFC 3339 with an offset, excluded; now when left out"),
        ("period" = Option<String>, Query, description = "ISO 8601 duration back from now instead of from and to"),
        ("agg" = Option<String>, Query, description = "PT15M, PT1H or P1D (the civil day of Europe/Rome); from reading to reading when left out"),
        ("limit" = Option<usize>, Query, description = "1 to 50000, default 1000"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was served at that moment, whatever was revised or received since")),
    responses((status = 200, body = Page<IncrementOut>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["from", "to", "period", "agg", "limit", "cursor", "as_of"])?;
    let datastream = seen.datastream(&id, &params)?;
    if datastream.class != SignalClass::Counter {
        let class = datastream.class.word();
        return Err(params.bad(format!("{id} is no counter but of the class {class}; ask for its observations instead")));
    }
    let asked = params.interval(seen.view.now())?;
    let interval = Interval::new(params.resume(asked.from)?, asked.to);
    let bucket = match params.choice("agg", &["", "PT15M", "PT1H", "P1D"])? {
        "PT15M" => Some(Bucket::Seconds(900)),
        "PT1H" => Some(Bucket::Seconds(3600)),
        "P1D" => Some(Bucket::CivilDay),
        _ => None,
    };
    let (view, limit) = (seen.view, params.limit(DEFAULT, MOST)?);
    let response = blocking(&params.path, move || {
        let (mut items, starts): (Vec<IncrementOut>, Vec<_>) = match bucket {
            Some(bucket) => {
                let rows = view.increases(&datastream, interval, bucket, limit + 1)?;
                rows.iter().map(|row| (row.into(), row.start)).unzip()
            }
            None => {
                let rows = view.increments(&datastream, interval, limit + 1)?;
                rows.iter().map(|row| (row.into(), row.to)).unzip()
            }
        };
        let next_cursor = starts.get(limit).map(|start| cursor(*start));
        items.truncate(limit);
        Ok(Json(Page { items, limit, next_cursor }).into_response())
    });
    Ok(keep(response.await?, seen.is_public, 5))
}
