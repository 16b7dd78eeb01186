//! Values over time, as they are or in buckets.

use crate::auth::Seen;
use crate::csv::{self, Cell, Dialect, download, write};
use crate::geo;
use crate::page::{DEFAULT, MOST, Page, cursor, keep, resume, with_cursor};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::rows;
use crate::wire::{BucketOut, ObservationOut, ThinnedOut};
use axum::Json;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use geojson::JsonObject;
use model::{Datastream, Interval, Place, SignalClass, TimestampWriter};
use serde::Serialize;
use std::sync::Arc;
use store::{Bucket, View};

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
    datastream: Arc<Datastream>,
    interval: Interval,
    limit: usize,
    format: &'static str,
    dialect: Dialect,
}

/// Observations of `[from, to)`, ascending in time, each with its latest revision.
#[utoipa::path(get, path = "/api/v1/datastreams/{id}/observations", tag = "observations",
    params(("id" = String, Path, example = "bisenzio-gamberame-level"),
        ("from" = Option<String>, Query, description = "RFC 3339 with an offset, included", example = "2026-11-22T00:00:00Z"),
        ("to" = Option<String>, Query, description = "RFC 3339 with an offset, excluded; now when left out"),
        ("period" = Option<String>, Query, description = "ISO 8601 duration back from now instead of from and to, months and years by the calendar of Europe/Rome; PT24H when nothing is said", example = "PT36H"),
        ("agg" = Option<String>, Query, description = "PT15M, PT1H or P1D (the civil day of Europe/Rome): rows of min, mean, max, count, and of an interval quantity such as rain sum, instead of observations; its buckets are (start, end], for its time is its interval's end"),
        ("thin" = Option<u32>, Query, description = "1 to 10000, for charts: of each of so many equal parts of the interval the first, least, greatest and last observation of quality 1 or 2, at most four, as they were measured, with after_gap where no line may lead to one. No crest is lost. The answer is whole: without agg, limit and cursor", example = 720),
        ("limit" = Option<usize>, Query, description = "1 to 50000, default 1000"),
        ("cursor" = Option<String>, Query, description = "next_cursor of the page before"),
        ("f" = Option<String>, Query, description = "json (default), csv or geojson"),
        ("csv" = Option<String>, Query, description = "it: semicolons, decimal commas, and times as data_ora (dd/mm/yyyy hh:mm:ss, Europe/Rome) with their offset"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was served at that moment, whatever was revised or received since")),
    responses((status = 200, description = "Observations; with thin each has after_gap too; with agg rows of start, end, min, mean, max, max_at, count, and sum of an interval quantity", body = Page<ObservationOut>),
        (status = 400, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Part of it is in InfluxDB, which does not answer; Retry-After says when to come again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["from", "to", "period", "agg", "thin", "limit", "cursor", "f", "csv", "as_of"])?;
    let datastream = seen.datastream(&id, &params)?;
    let asked = params.interval(seen.view.now())?;
    let interval = Interval::new(resume(&params, asked.from)?, asked.to);
    let shape = match (params.choice("agg", &["", "PT15M", "PT1H", "P1D"])?, parts(&params)?) {
        ("", Some(parts)) => Shape::Thin(parts),
        (_, Some(_)) => return Err(params.bad("give either agg or thin")),
        ("PT15M", None) => Shape::Buckets(Bucket::Seconds(900)),
        ("PT1H", None) => Shape::Buckets(Bucket::Seconds(3600)),
        ("P1D", None) => Shape::Buckets(Bucket::CivilDay),
        _ => Shape::AsTheyAre,
    };
    let dialect = params.dialect()?;
    let format = params.choice("f", &["json", "csv", "geojson"])?;
    // A file is wanted whole.
    let limit = params.limit(if format == "csv" { MOST } else { DEFAULT }, MOST)?;
    let question = Question { view: seen.view, datastream, interval, limit, format, dialect };
    let response = blocking(&params.path, move || match shape {
        Shape::AsTheyAre => plain(&question),
        Shape::Buckets(bucket) => aggregated(&question, bucket),
        Shape::Thin(parts) => thinned(&question, parts),
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

fn thinned(question: &Question, parts: u32) -> Result<Response, Problem> {
    let Question { view, datastream, interval, .. } = question;
    let items: Vec<ThinnedOut> = view.thinned(datastream, *interval, parts)?.iter().map(Into::into).collect();
    let header = [&csv::OBSERVATION[..], &["after_gap"]].concat();
    let whole = Question { limit: items.len(), view: view.clone(), datastream: datastream.clone(), ..*question };
    Ok(answer(&whole, items, None, &header, |item| {
        let mut cells = csv::observation(&item.observation);
        cells.push(Cell::Text(item.after_gap.to_string()));
        cells
    }))
}

fn plain(question: &Question) -> Result<Response, Problem> {
    let Question { view, datastream, interval, limit, .. } = question;
    let mut found = view.observations(datastream, *interval, limit + 1)?;
    let next = found.get(*limit).map(|first| cursor(first.phenomenon_time));
    found.truncate(*limit);
    match question.format {
        "geojson" => {
            let items: Vec<ObservationOut> = found.iter().map(Into::into).collect();
            Ok(answer(question, items, next, &csv::OBSERVATION, csv::observation))
        }
        "csv" => {
            let response = download(rows::csv(&found, question.dialect, true), datastream.key.as_str());
            Ok(with_cursor(response, next))
        }
        _ => {
            let body = rows::json(&found, *limit, next.as_deref());
            Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
        }
    }
}

fn aggregated(question: &Question, bucket: Bucket) -> Result<Response, Problem> {
    let Question { view, datastream, interval, limit, .. } = question;
    let mut found = view.buckets(datastream, *interval, bucket, limit + 1)?;
    let next = found.get(*limit).map(|first| cursor(first.start));
    found.truncate(*limit);
    let mut times = TimestampWriter::default();
    let items: Vec<BucketOut> = found.iter().map(|row| BucketOut::of(row, datastream.class, &mut times)).collect();
    let mut header = vec!["start", "end", "min", "mean", "max", "max_at", "count"];
    header.extend((datastream.class == SignalClass::Interval).then_some("sum"));
    Ok(answer(question, items, next, &header, |item| {
        let text = |text: &String| Cell::Instant(text.clone());
        let mut cells = vec![
            text(&item.start),
            text(&item.end),
            Cell::Number(item.min),
            Cell::Number(item.mean),
            Cell::Number(item.max),
            text(&item.max_at),
            Cell::Whole(item.count),
        ];
        cells.extend(item.sum.map(Cell::Number));
        cells
    }))
}

fn answer<T: Serialize>(
    question: &Question,
    items: Vec<T>,
    next: Option<String>,
    header: &[&str],
    cells: impl Fn(&T) -> Vec<Cell>,
) -> Response {
    let response = match question.format {
        "csv" => download(write(question.dialect, header, items.iter().map(cells)), question.datastream.key.as_str()),
        "geojson" => {
            let station = question.view.station(question.datastream.station.as_str());
            let place = station.map_or(Place { latitude: 0.0, longitude: 0.0 }, |station| station.place);
            let mut beside = JsonObject::new();
            beside.insert("limit".into(), question.limit.into());
            beside.insert("next_cursor".into(), next.clone().into());
            geo::collection(items.iter().map(|item| geo::feature(place, item)).collect(), beside)
        }
        _ => return Json(Page { items, limit: question.limit, next_cursor: next }).into_response(),
    };
    with_cursor(response, next)
}
