//! Rows of one datastream as JSON, CSV or GeoJSON, read from the store batch by batch.

use crate::csv::{self, Cell, Dialect};
use crate::geo;
use crate::page::with_cursor;
use crate::problem::Problem;
use crate::stream::{self, Flow, PIECE, Permission, Pieces};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use model::{Place, TimestampWriter};

/// Rows that are read at once: a few hundred kilobytes.
pub(crate) const BATCH: usize = 4096;

/// The calendars of a row's times: those of neighbours are mostly of one day.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) of: TimestampWriter,
    /// Of the second time of a row, which may be of another day.
    pub(crate) other: TimestampWriter,
}

/// One row.
pub(crate) trait Row: Send + 'static {
    /// The columns in CSV.
    const COLUMNS: &'static [&'static str];
    /// Appends it as an object.
    fn put_json(&self, times: &mut Times, out: &mut Vec<u8>);
    /// Its cells, in the order of the columns.
    fn cells(&self, times: &mut Times) -> Vec<Cell>;
    /// Appends it as a line.
    fn put_csv(&self, dialect: Dialect, times: &mut Times, out: &mut Vec<u8>) {
        csv::put_line(dialect, &self.cells(times), out);
    }
}

/// In what the rows are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    Json,
    Csv(Dialect),
    /// Each row is a point at this place.
    GeoJson(Place),
}

/// What was asked for of all rows.
#[derive(Debug, Clone)]
pub(crate) enum Extent {
    Whole,
    Page { limit: usize, next_cursor: Option<String> },
}

/// Rows on their way out.
pub(crate) struct Table<T> {
    /// Reads the next rows; none are the end.
    read: Box<dyn FnMut() -> Result<Vec<T>, store::Error> + Send>,
    batch: std::vec::IntoIter<T>,
    format: Format,
    extent: Extent,
    times: Times,
    /// Rows written so far.
    count: u64,
}

impl<T: Row> Table<T> {
    pub(crate) fn new(format: Format, extent: Extent, read: impl FnMut() -> Result<Vec<T>, store::Error> + Send + 'static) -> Self {
        Self { read: Box::new(read), batch: Vec::new().into_iter(), format, extent, times: Times::default(), count: 0 }
    }

    /// As an answer; a file is called `name`. To be called where reading may block.
    ///
    /// # Errors
    /// The store's, as long as nothing was sent.
    pub(crate) fn response(self, permission: Permission, name: &str) -> Result<Response, Problem> {
        let (format, extent) = (self.format, self.extent.clone());
        let mut response = stream::response(permission, self)?;
        let headers = response.headers_mut();
        let kind = match format {
            Format::Json => "application/json",
            Format::Csv(_) => "text/csv; charset=utf-8",
            Format::GeoJson(_) => "application/geo+json",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        if let (Format::Csv(_), Ok(value)) = (format, HeaderValue::from_str(&format!("attachment; filename=\"{name}.csv\""))) {
            headers.insert(header::CONTENT_DISPOSITION, value);
        }
        Ok(match (format, extent) {
            (Format::Csv(_) | Format::GeoJson(_), Extent::Page { next_cursor, .. }) => with_cursor(response, next_cursor),
            _ => response,
        })
    }

    fn begin(&self, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => out.extend_from_slice(b"{\"items\":["),
            Format::GeoJson(_) => out.extend_from_slice(geo::COLLECTION),
            Format::Csv(dialect) => csv::put_header(dialect, T::COLUMNS, out),
        }
    }

    fn put(&mut self, row: &T, out: &mut Vec<u8>) {
        if self.count > 0 && !matches!(self.format, Format::Csv(_)) {
            out.push(b',');
        }
        match self.format {
            Format::Json => row.put_json(&mut self.times, out),
            Format::Csv(dialect) => row.put_csv(dialect, &mut self.times, out),
            Format::GeoJson(place) => {
                geo::begin(place, out);
                row.put_json(&mut self.times, out);
                out.push(b'}');
            }
        }
        self.count += 1;
    }

    fn end(&self, out: &mut Vec<u8>) {
        if matches!(self.format, Format::Csv(_)) {
            return;
        }
        out.push(b']');
        if let Extent::Page { limit, next_cursor } = &self.extent {
            out.extend_from_slice(format!(",\"limit\":{limit},\"next_cursor\":").as_bytes());
            let _ = serde_json::to_writer(&mut *out, next_cursor);
        }
        out.push(b'}');
    }
}

impl<T: Row> Pieces for Table<T> {
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Flow, store::Error> {
        if self.count == 0 {
            self.begin(out);
        }
        while out.len() < PIECE {
            let Some(row) = self.batch.next() else {
                self.batch = (self.read)()?.into_iter();
                if self.batch.as_slice().is_empty() {
                    self.end(out);
                    return Ok(Flow::Last);
                }
                continue;
            };
            self.put(&row, out);
        }
        Ok(Flow::More)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DatastreamId, Observation, Quality, Timestamp};

    fn written(format: Format, extent: Extent, count: i64) -> String {
        let mut left = (0..count).map(|n| Observation {
            datastream: DatastreamId(0),
            phenomenon_time: Timestamp::from_seconds(n),
            received_at: Timestamp::from_seconds(n + 3),
            result: 1.5,
            quality: Quality::NOT_EVALUATED,
        });
        let mut table = Table::new(format, extent, move || Ok(left.by_ref().take(7).collect()));
        let mut out = Vec::new();
        loop {
            let mut piece = Vec::new();
            let flow = table.next(&mut piece).expect("read");
            assert!(piece.len() < PIECE + 1000, "a piece is bounded");
            out.extend(piece);
            if flow == Flow::Last {
                return String::from_utf8(out).expect("UTF-8");
            }
        }
    }

    #[test]
    fn every_row_is_there_once_in_every_format_and_extent() {
        let page = Extent::Page { limit: 9, next_cursor: Some("t0".into()) };
        for count in [0, 1, 7, 8, 5000] {
            for extent in [Extent::Whole, page.clone()] {
                let place = Place { latitude: 43.9, longitude: 11.1 };
                let geo: serde_json::Value = serde_json::from_str(&written(Format::GeoJson(place), extent.clone(), count)).expect("JSON");
                let features = geo["features"].as_array().expect("features");
                assert_eq!(features.len() as i64, count);
                let times = (0..count).map(|n| Timestamp::from_seconds(n).to_string());
                assert!(features.iter().zip(times).all(|(one, time)| one["properties"]["phenomenon_time"] == time.as_str()));
                assert_eq!(geo.get("next_cursor").is_some(), matches!(extent, Extent::Page { .. }));
                assert_eq!(written(Format::Csv(Dialect::Plain), extent, count).lines().count() as i64, count + 1);
            }
            let json: serde_json::Value = serde_json::from_str(&written(Format::Json, page.clone(), count)).expect("JSON");
            assert_eq!((json["items"].as_array().map(Vec::len), &json["next_cursor"]), (Some(count as usize), &"t0".into()));
        }
    }
}
