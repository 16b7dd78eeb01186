//! CSV that a spreadsheet opens and a program reads: UTF-8, RFC 3339 times in UTC; `csv=it` writes `;` and decimal commas with
//! a byte order mark. A text cell that a spreadsheet would run as a formula is made harmless; numbers stay numbers.

use crate::rows;
use crate::wire::ObservationOut;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use model::{Datastream, Interval};
use std::io::Write;
use store::View;

/// How numbers and columns are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Plain,
    Italian,
}

impl Dialect {
    pub(crate) const fn delimiter(self) -> u8 {
        match self {
            Self::Plain => b',',
            Self::Italian => b';',
        }
    }
    /// What a file begins with.
    pub(crate) const fn mark(self) -> &'static [u8] {
        match self {
            Self::Plain => b"",
            Self::Italian => "\u{feff}".as_bytes(),
        }
    }
    /// Gives a number its decimal point.
    pub(crate) fn point(self, number: &mut [u8]) {
        if self == Self::Italian
            && let Some(byte) = number.iter_mut().find(|byte| **byte == b'.')
        {
            *byte = b',';
        }
    }
}

/// One cell.
pub(crate) enum Cell {
    Text(String),
    Number(f64),
    Whole(u64),
}

pub(crate) fn write(dialect: Dialect, header: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> Vec<u8> {
    let mut out = dialect.mark().to_vec();
    let mut writer = csv::WriterBuilder::new().delimiter(dialect.delimiter()).from_writer(&mut out);
    // Writing to memory does not fail.
    let _ = writer.write_record(header);
    for row in rows {
        let _ = writer.write_record(row.into_iter().map(|cell| text_of(cell, dialect)));
    }
    let _ = writer.flush();
    drop(writer);
    out
}

/// Observations read at once while a long interval is written.
const READ: usize = 50_000;

/// Every observation of `[from, to)` as CSV: `phenomenon_time, result, quality, received_at`.
///
/// # Errors
/// When the store can't be read, or `out` can't be written.
pub fn stream(view: &View, datastream: &Datastream, interval: Interval, dialect: Dialect, out: &mut dyn Write) -> std::io::Result<()> {
    let mut from = interval.from;
    let mut is_start = true;
    loop {
        let found = view.observations(datastream, Interval::new(from, interval.to), READ).map_err(std::io::Error::other)?;
        out.write_all(&rows::csv(&found, dialect, is_start))?;
        is_start = false;
        match found.last() {
            Some(last) if found.len() == READ => from = last.phenomenon_time.plus_micros(1),
            _ => return Ok(()),
        }
    }
}

/// The columns of an observation.
pub(crate) const OBSERVATION: [&str; 4] = ["phenomenon_time", "result", "quality", "received_at"];

pub(crate) fn observation(one: &ObservationOut) -> Vec<Cell> {
    let time = |text: &String| Cell::Text(text.clone());
    vec![time(&one.phenomenon_time), Cell::Number(one.result), Cell::Whole(one.quality.into()), time(&one.received_at)]
}

fn text_of(cell: Cell, dialect: Dialect) -> String {
    match cell {
        Cell::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Cell::Text(text) => text,
        Cell::Number(value) if dialect == Dialect::Italian => value.to_string().replace('.', ","),
        Cell::Number(value) => value.to_string(),
        Cell::Whole(value) => value.to_string(),
    }
}

/// As a download of this name.
pub(crate) fn download(bytes: Vec<u8>, name: &str) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.csv\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, text: &str, number: f64, expected: &str) {
        let rows = std::iter::once(vec![Cell::Text(text.into()), Cell::Number(number), Cell::Whole(1)]);
        assert_eq!(String::from_utf8(write(dialect, &["name", "value", "quality"], rows)).expect("UTF-8"), expected);
    }

    #[test]
    fn formulas_are_made_harmless_and_numbers_stay_numbers() {
        check(Dialect::Plain, "=HYPERLINK(\"x\")", -3.2, "name,value,quality\n\"'=HYPERLINK(\"\"x\"\")\",-3.2,1\n");
        check(Dialect::Plain, "@x", 1e21, "name,value,quality\n'@x,1000000000000000000000,1\n");
        check(Dialect::Italian, "Ponte; nuovo", 1.42, "\u{feff}name;value;quality\n\"Ponte; nuovo\";1,42;1\n");
    }
}
