//! CSV that a spreadsheet opens and a program reads: UTF-8, RFC 3339 times in UTC; `csv=it` writes `;` and decimal commas with
//! a byte order mark, and of each time two columns: the wall clock of Europe/Rome, and its offset from UTC. A text cell that a spreadsheet would run as a formula is made harmless; numbers stay numbers.

use crate::rows;
use crate::wire::ObservationOut;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use model::{Column, ColumnKind, Datastream, Interval, Timestamp};
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
    /// The names of a column: an Italian instant has two, its clock and its offset.
    pub(crate) fn names(self, name: &str, is_instant: bool) -> Vec<String> {
        match (self, is_instant, name) {
            (Self::Italian, true, "phenomenon_time") => vec!["data_ora".into(), "offset".into()],
            (Self::Italian, true, name) => vec![name.into(), format!("{name}_offset")],
            (_, _, name) => vec![name.into()],
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
    /// RFC 3339; empty where there is none.
    Instant(String),
    /// A civil day, `2026-11-23`.
    Day(String),
    /// As it is written.
    Ready(String),
    Number(f64),
    Whole(u64),
}

pub(crate) fn write(dialect: Dialect, header: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> Vec<u8> {
    let mut out = dialect.mark().to_vec();
    let mut writer = csv::WriterBuilder::new().delimiter(dialect.delimiter()).from_writer(&mut out);
    // Writing to memory does not fail.
    let _ = writer.write_record(header.iter().flat_map(|name| dialect.names(name, INSTANTS.contains(name))));
    for row in rows {
        for cell in row {
            for text in texts_of(cell, dialect) {
                let _ = writer.write_field(text);
            }
        }
        let _ = writer.write_record(None::<&[u8]>);
    }
    let _ = writer.flush();
    drop(writer);
    out
}

/// A dataset's CSV file in the Italian dialect. `columns` are those of the file, in its order.
pub(crate) fn italian(file: &[u8], columns: &[Column]) -> Vec<u8> {
    let dialect = Dialect::Italian;
    let mut out = dialect.mark().to_vec();
    let mut writer = csv::WriterBuilder::new().delimiter(dialect.delimiter()).from_writer(&mut out);
    // Writing to memory does not fail, and what is read was written by ourselves.
    let _ = writer.write_record(columns.iter().flat_map(|column| dialect.names(&column.name, column.kind == ColumnKind::Instant)));
    for record in csv::Reader::from_reader(file).records().flatten() {
        for (text, column) in record.iter().zip(columns) {
            let cell = match column.kind {
                ColumnKind::Instant => Cell::Instant(text.to_owned()),
                ColumnKind::Day => Cell::Day(text.to_owned()),
                // Its formulas are harmless already.
                ColumnKind::Text | ColumnKind::Count => Cell::Ready(text.to_owned()),
                ColumnKind::Number => Cell::Ready(text.replace('.', ",")),
            };
            for text in texts_of(cell, dialect) {
                let _ = writer.write_field(text);
            }
        }
        let _ = writer.write_record(None::<&[u8]>);
    }
    let _ = writer.flush();
    drop(writer);
    out
}

/// Observations read at once while a long interval is written.
const READ: usize = 50_000;

/// Every observation of `[from, to)` as CSV: `phenomenon_time, result, quality, received_at`; in the Italian dialect `data_ora, offset,
/// result, quality, received_at, received_at_offset`.
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
    let time = |text: &String| Cell::Instant(text.clone());
    vec![time(&one.phenomenon_time), Cell::Number(one.result), Cell::Whole(one.quality.into()), time(&one.received_at)]
}

/// Columns of instants, wherever they stand.
const INSTANTS: [&str; 5] = ["phenomenon_time", "received_at", "start", "end", "max_at"];

/// The texts of a cell: of an instant two in the Italian dialect.
fn texts_of(cell: Cell, dialect: Dialect) -> Vec<String> {
    let is_italian = dialect == Dialect::Italian;
    match cell {
        Cell::Instant(text) if is_italian => match Timestamp::parse(&text) {
            Ok(at) => {
                let (clock, offset) = at.italian();
                vec![clock, offset]
            }
            Err(_) => vec![String::new(), String::new()],
        },
        Cell::Day(text) if is_italian => {
            let parts: Vec<&str> = text.split('-').rev().collect();
            vec![parts.join("/")]
        }
        Cell::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => vec![format!("'{text}")],
        Cell::Text(text) | Cell::Instant(text) | Cell::Day(text) | Cell::Ready(text) => vec![text],
        Cell::Number(value) if is_italian => vec![value.to_string().replace('.', ",")],
        Cell::Number(value) => vec![value.to_string()],
        Cell::Whole(value) => vec![value.to_string()],
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

    #[test]
    fn italian_times_are_the_clock_on_the_wall_and_its_offset() {
        let cells = |time: &str| vec![Cell::Instant(time.into()), Cell::Number(-0.5)];
        let times = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"];
        let found = write(Dialect::Italian, &["phenomenon_time", "result"], times.into_iter().map(cells));
        let expected = "\u{feff}data_ora;offset;result\n25/10/2026 02:30:00;+02:00;-0,5\n25/10/2026 02:30:00;+01:00;-0,5\n";
        assert_eq!(String::from_utf8(found).expect("UTF-8"), expected);
        let column = |name: &str, kind| Column { name: name.into(), kind, unit: None, meaning: model::Text::new("", "") };
        let columns = [
            column("river", ColumnKind::Text),
            column("day", ColumnKind::Day),
            column("mean", ColumnKind::Number),
            column("max_at", ColumnKind::Instant),
        ];
        let file = b"river,day,mean,max_at\n\"Po; Delta\",2014-10-01,2.5,2014-09-30T22:00:00Z\nPo,2014-10-02,,\n";
        let expected =
            "\u{feff}river;day;mean;max_at;max_at_offset\n\"Po; Delta\";01/10/2014;2,5;01/10/2014 00:00:00;+02:00\nPo;02/10/2014;;;\n";
        assert_eq!(String::from_utf8(italian(file, &columns)).expect("UTF-8"), expected);
    }
}
