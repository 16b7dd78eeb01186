//! Values over time, as they are or in buckets.

use crate::auth::Seen;
use crate::page::{Page, cursor, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::rows::{self, Summed};
use crate::stream::{HeldBytes, Permission};
use crate::table::{BATCH, Extent, Format, Table};
use crate::wire::ObservationOut;
use axum::extract::Path;
use axum::response::Response;
use model::{Datastream, Interval, Place, SignalClass};
use std::sync::Arc;
use store::{Bucket, Thinned, View};

/// Parts that an interval is thinned into at most: four observations each are as many as a page may hold.
const MOST_PARTS: u32 = 10_000;

/// What becomes of the observations on their way out.
#[derive(Clone, Copy)]
enum Shape {
    AsTheyAre,
    Buckets(Bucket),
    /// The first, least, greatest and last of each of so many parts.
    Thin(u32),
}

/// What is asked of one datastream.
struct Question {
    view: View,
    permission: Permission,
    datastream: Arc<Datastream>,
    interval: Interval,
    /// Rows of a page; all where none is asked for.
    limit: Option<usize>,
    format: Format,
}

/// Observations of `[from, to)`, ascending in time, each with its latest revision.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}/observations", tag = "observations",
    params(("id" = String, Path, example = "bisenzio-gamberame-level"),
        ("from" = Option<String>, Query, description = "RFC 3339 with an offset, included", example = "2026-11-22T00:00:00Z"),
        ("to" = Option<String>, Query, description = "RFC 3339 with an offset, excluded; now when left out"),
        ("period" = Option<String>, Query, description = "ISO 8601 duration back from now instead of from and to, months and years by the calendar of Europe/Rome; PT24H when nothing is said", example = "PT36H"),
        ("agg" = Option<String>, Query, description = "PT15M, PT1H or P1D (the civil day of Europe/Rome): rows of min, mean, max, count, and of an interval quantity such as rain sum, instead of observations; its buckets are (start, end], for its time is its interval's end"),
        ("thin" = Option<u32>, Query, description = "1 to 10000, for charts: of each of so many equal parts of the interval the first, least, greatest and last observation of quality 1 or 2, at most four, as they were measured, with after_gap where no line may lead to one. No crest is lost. The answer is whole: without agg, limit and cursor", example = 720),
        ("limit" = Option<usize>, Query, description = "A page of so many rows, 1 to 50000. Left out: pages of 1000 in JSON, and all of the interval, however long, in CSV and GeoJSON"),
        ("cursor" = Option<String>, Query, description = "A page: next_cursor, or x-next-cursor, of the page before"),
        ("f" = Option<String>, Query, description = "json (default), csv or geojson"),
        ("csv" = Option<String>, Query, description = "it: semicolons, decimal commas, and times as data_ora (dd/mm/yyyy hh:mm:ss, Europe/Rome) with their offset"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was served at that moment, whatever was revised or received since")),
    responses((status = 200, description = "Observations; with thin each has after_gap too; with agg rows of start, end, min, mean, max, max_at, count, and sum of an interval quantity. A file that breaks off is broken off on the wire too: it never looks whole", body = Page<ObservationOut>,
            headers(("x-next-cursor" = Option<String>, description = "CSV and GeoJSON where a page was asked for with limit or cursor, and more follows: the cursor of the next page"))),
        (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Part of it is in InfluxDB, which does not answer, or too much is on its way; Retry-After says when to come again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["from", "to", "period", "agg", "thin", "limit", "cursor", "f", "csv", "as_of"])?;
    let datastream = seen.datastream(&id, &params)?;
    let asked = params.interval(seen.view.now())?;
    let interval = Interval::new(params.resume(asked.from)?, asked.to);
    let shape = match (params.choice("agg", &["", "PT15M", "PT1H", "P1D"])?, parts(&params)?) {
        ("", Some(parts)) => Shape::Thin(parts),
        (_, Some(_)) => return Err(params.bad("give either agg or thin")),
        ("PT15M", None) => Shape::Buckets(Bucket::Seconds(900)),
        ("PT1H", None) => Shape::Buckets(Bucket::Seconds(3600)),
        ("P1D", None) => Shape::Buckets(Bucket::CivilDay),
        _ => Shape::AsTheyAre,
    };
    let dialect = params.dialect()?;
    let format = match params.choice("f", &["json", "csv", "geojson"])? {
        "csv" => Format::Csv(dialect),
        "geojson" => {
            let station = seen.view.station(datastream.station.as_str());
            Format::GeoJson(station.map_or(Place { latitude: 0.0, longitude: 0.0 }, |station| station.place))
        }
        _ => Format::Json,
    };
    let limit = params.page(matches!(format, Format::Json))?;
    let permission = seen.permission();
    let question = Question { view: seen.view, permission, datastream, interval, limit, format };
    let response = blocking(&params.path, move || match shape {
        Shape::AsTheyAre => plain(question),
        Shape::Buckets(bucket) => aggregated(question, bucket),
        Shape::Thin(parts) => thinned(question, parts),
    });
    Ok(keep(response.await?, seen.is_public, 5))
}

/// Into how many parts the interval is thinned, if it is.
fn parts(params: &Params) -> Result<Option<u32>, Problem> {
    let Some(given) = params.get("thin") else { return Ok(None) };
    if params.get("limit").or(params.get("cursor")).is_some() {
        return Err(params.bad("what is thinned comes whole; leave limit and cursor out"));
    }
    let parts = given.parse().ok().filter(|parts| (1..=MOST_PARTS).contains(parts));
    parts.map(Some).ok_or_else(|| params.bad(format!("thin={given} can't be; it may be 1 to {MOST_PARTS}")))
}

fn thinned(question: Question, parts: u32) -> Result<Response, Problem> {
    let Question { view, permission, datastream, interval, format, .. } = question;
    let found = view.thinned(&datastream, interval, parts)?;
    // Nothing of it is left out, so that what a page says of itself is known.
    let extent = match format {
        Format::Json => Extent::Page { limit: found.len(), next_cursor: None },
        _ => Extent::Whole,
    };
    let held = HeldBytes(found.len() * size_of::<Thinned>());
    let mut found = Some(found);
    let table = Table::new(format, extent, move || Ok(found.take().unwrap_or_default()));
    let mut response = table.response(permission, datastream.key.as_str())?;
    response.extensions_mut().insert(held);
    Ok(response)
}

fn plain(question: Question) -> Result<Response, Problem> {
    let Question { view, permission, datastream, interval, limit, format } = question;
    let name = datastream.key.clone();
    let Some(limit) = limit else {
        let read = rows::observations(view, datastream, interval);
        return Table::new(format, Extent::Whole, read).response(permission, name.as_str());
    };
    let mut found = view.observations(&datastream, interval, limit + 1)?;
    let next = found.get(limit).map(|first| first.phenomenon_time);
    let extent = Extent::Page { limit, next_cursor: next.map(cursor) };
    if limit > BATCH {
        // Read anew piece by piece, up to where the next page begins.
        drop(found);
        let interval = Interval::new(interval.from, next.unwrap_or(interval.to));
        return Table::new(format, extent, rows::observations(view, datastream, interval)).response(permission, name.as_str());
    }
    found.truncate(limit);
    let mut found = Some(found);
    Table::new(format, extent, move || Ok(found.take().unwrap_or_default())).response(permission, name.as_str())
}

fn aggregated(question: Question, bucket: Bucket) -> Result<Response, Problem> {
    let Question { view, permission, datastream, interval, limit, format } = question;
    let name = datastream.key.clone();
    let (interval, extent) = match limit {
        None => (interval, Extent::Whole),
        Some(limit) => {
            let next = view.buckets(&datastream, interval, bucket, limit + 1)?.get(limit).map(|first| first.start);
            let upto = next.map_or(interval.to, |next| next.max(interval.from));
            (Interval::new(interval.from, upto), Extent::Page { limit, next_cursor: next.map(cursor) })
        }
    };
    let sums = datastream.class == SignalClass::Interval;
    let mut read = rows::buckets(view, datastream, interval, bucket);
    if sums {
        return Table::new(format, extent, move || Ok(Summed::of(read()?))).response(permission, name.as_str());
    }
    Table::new(format, extent, read).response(permission, name.as_str())
}
