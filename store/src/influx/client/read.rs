//! Reading back, in Flux. Not by the library: its queries unwrap what an answer may lack, and the type of its values belongs to a crate
//! of its own. Each field of each series is a table of the answer; what belongs together is put together here, because a pivot there
//! would hold the whole interval in memory before it gives the first row.

use super::{Client, EARLIEST, LATEST, words};
use crate::influx::InfluxSettings;
use crate::influx::line::shown;
use model::{Datastream, Interval, Observation, Quality, Timestamp};
use std::collections::BTreeMap;

/// Observations in the order of their times, and where to go on; `None` when this is all.
#[derive(Debug, Default, PartialEq)]
pub(in crate::influx) struct Page {
    pub(in crate::influx) observations: Vec<Observation>,
    /// More may follow from here on; of the last ones: more may lie before.
    pub(in crate::influx) next: Option<Timestamp>,
}

/// Which of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::influx) enum Which {
    First(usize),
    Last(usize),
}

/// The fields of one point, as far as they are there.
#[derive(Debug, Clone, Copy, Default)]
struct Fields {
    value: Option<f64>,
    quality: Option<u8>,
    tests: Option<u32>,
    received: Option<i64>,
}

impl Client {
    /// What a datastream has there of an interval: about so many, and where to go on.
    ///
    /// # Errors
    /// In words; never a part of the answer.
    pub(in crate::influx) async fn read(&self, datastream: &Datastream, interval: Interval, which: Which) -> Result<Page, String> {
        let interval = Interval::new(interval.from.max(EARLIEST), interval.to.min(LATEST));
        if interval.is_empty() {
            return Ok(Page::default());
        }
        let InfluxSettings { url, org, token, bucket } = &self.settings;
        let request = self.plain.post(format!("{}/api/v2/query", url.trim_end_matches('/'))).query(&[("org", org)]);
        let request = request.header("authorization", format!("Token {}", token.current())).header("content-type", "application/vnd.flux");
        let answer = request.header("accept", "application/csv").body(question(bucket, datastream, interval, which)).send().await;
        let answer = answer.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        if !status.is_success() {
            return Err(format!("{status}: {}", words(&text)));
        }
        page(&text, datastream, which)
    }
}

/// Without the address: whoever reads is told.
fn failed(cause: reqwest::Error) -> String {
    let cause = cause.without_url();
    let deepest = std::iter::successors(std::error::Error::source(&cause), |cause| cause.source()).last();
    words(&deepest.map_or_else(|| cause.to_string(), ToString::to_string))
}

fn question(bucket: &str, datastream: &Datastream, interval: Interval, which: Which) -> String {
    let some = match which {
        Which::First(count) => format!("limit(n: {count})"),
        Which::Last(count) => format!("tail(n: {count})"),
    };
    let time = |at: Timestamp| format!("time(v: {})", i128::from(at.micros()) * 1000);
    format!(
        "from(bucket: {}) |> range(start: {}, stop: {}) \
         |> filter(fn: (r) => r._measurement == {} and r.datastream == {} and \
         (r._field == \"value\" or r._field == \"quality\" or r._field == \"tests\" or r._field == \"received\")) \
         |> {some} |> drop(columns: [\"_start\", \"_stop\", \"_measurement\", \"datastream\"])",
        quoted(bucket),
        time(interval.from),
        time(interval.to),
        quoted(&shown(datastream.property.word())),
        quoted(&shown(datastream.key.as_str())),
    )
}

/// A text of Flux.
fn quoted(plain: &str) -> String {
    let escaped: String = plain
        .chars()
        .flat_map(|char| match char {
            '"' | '\\' => vec!['\\', char],
            '$' => "\\x24".chars().collect(),
            _ => vec![char],
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Where in a row what stands.
struct Columns {
    table: usize,
    time: usize,
    value: usize,
    field: usize,
    tags: [Option<usize>; 3],
}

fn page(text: &str, datastream: &Datastream, which: Which) -> Result<Page, String> {
    let wrong = |what: &str| format!("its answer can't be read: {}", words(what));
    let ours = [datastream.owner.as_str(), datastream.station.as_str(), datastream.property.unit().symbol()].map(shown);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut columns: Option<Columns> = None;
    let mut fails = false;
    // A series that was written under other tags, e.g. of another owner, counts only where ours has nothing.
    let mut points: BTreeMap<(Timestamp, bool, [String; 3]), Fields> = BTreeMap::new();
    let mut tables: BTreeMap<(usize, String), (usize, Timestamp, Timestamp)> = BTreeMap::new();
    let mut headers = 0;
    for row in reader.records() {
        let row = row.map_err(|cause| wrong(&cause.to_string()))?;
        let place = |name: &str| row.iter().position(|cell| cell == name);
        if fails {
            return Err(words(row.get(1).unwrap_or("it fails in the middle of its answer")));
        }
        if row.get(1) == Some("error") {
            fails = true;
            continue;
        }
        if row.get(1) == Some("result") {
            let found = || {
                let tags = ["owner", "station", "unit"].map(place);
                Some(Columns { table: place("table")?, time: place("_time")?, value: place("_value")?, field: place("_field")?, tags })
            };
            columns = Some(found().ok_or_else(|| wrong("a column is missing"))?);
            headers += 1;
            continue;
        }
        let Some(columns) = &columns else { return Err(wrong(row.as_slice())) };
        let cell = |place: usize| row.get(place).ok_or_else(|| wrong("a row is too short"));
        let at = Timestamp::parse(cell(columns.time)?).map_err(|cause| wrong(&cause.to_string()))?;
        let tags = columns.tags.map(|place| place.and_then(|place| row.get(place)).unwrap_or_default().to_owned());
        let (count, _, last) = tables.entry((headers, cell(columns.table)?.to_owned())).or_insert((0, at, at));
        (*count, *last) = (*count + 1, at);
        let point = points.entry((at, tags != ours, tags)).or_default();
        let value = cell(columns.value)?;
        let unread = || wrong(value);
        match cell(columns.field)? {
            "value" => point.value = Some(value.parse().map_err(|_| unread())?),
            "quality" => point.quality = Some(value.parse().map_err(|_| unread())?),
            "tests" => point.tests = Some(value.parse().map_err(|_| unread())?),
            "received" => point.received = Some(value.parse().map_err(|_| unread())?),
            _ => {}
        }
    }
    // Beyond the end of a table that was cut, not all is known.
    let (known, next) = match which {
        Which::First(limit) => {
            let end = tables.values().filter(|(count, ..)| *count >= limit).map(|(.., last)| last.plus_micros(1)).min();
            (Interval::new(Timestamp::MIN, end.unwrap_or(Timestamp::MAX)), end)
        }
        Which::Last(limit) => {
            let start = tables.values().filter(|(count, ..)| *count >= limit).map(|(_, first, _)| *first).max();
            (Interval::new(start.unwrap_or(Timestamp::MIN), Timestamp::MAX), start)
        }
    };
    let mut observations: Vec<Observation> = Vec::new();
    for ((at, ..), fields) in points.into_iter().filter(|((at, ..), _)| known.contains(*at)) {
        let Some(result) = fields.value.filter(|_| observations.last().is_none_or(|last| last.phenomenon_time < at)) else { continue };
        let bits = fields.tests.unwrap_or_default() << 8 | u32::from(fields.quality.unwrap_or_default());
        observations.push(Observation {
            datastream: datastream.id,
            phenomenon_time: at,
            received_at: fields.received.map_or(at, Timestamp::from_seconds),
            result,
            quality: Quality::from_bits(bits).unwrap_or(Quality::NOT_EVALUATED),
        });
    }
    Ok(Page { observations, next })
}
