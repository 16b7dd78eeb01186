//! CSV that a spreadsheet opens and a program reads: UTF-8, RFC 3339 times in UTC; `csv=it` writes `;` and decimal commas with
//! a byte order mark, and of each time two columns: the wall clock of Europe/Rome, and its offset from UTC. A text cell that a
//! spreadsheet would run as a formula is made harmless; numbers stay numbers.

use model::{Column, ColumnKind, Timestamp};

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

/// Columns of instants, wherever they stand.
const INSTANTS: [&str; 5] = ["phenomenon_time", "received_at", "start", "end", "max_at"];

/// Appends the line of column names, with what a file begins with before it.
pub(crate) fn put_header(dialect: Dialect, columns: &[&str], out: &mut Vec<u8>) {
    put_names(dialect, columns.iter().flat_map(|name| dialect.names(name, INSTANTS.contains(name))), out);
}

fn put_names(dialect: Dialect, names: impl Iterator<Item = String>, out: &mut Vec<u8>) {
    out.extend_from_slice(dialect.mark());
    let names: Vec<String> = names.collect();
    out.extend_from_slice(names.join(&char::from(dialect.delimiter()).to_string()).as_bytes());
    out.push(b'\n');
}

/// Appends an instant as the dialect writes it.
pub(crate) fn put_italian(at: Timestamp, out: &mut Vec<u8>) {
    let (clock, offset) = at.italian();
    out.extend_from_slice(clock.as_bytes());
    out.push(Dialect::Italian.delimiter());
    out.extend_from_slice(offset.as_bytes());
}

/// A dataset's CSV file in the Italian dialect. `columns` are those of the file, in its order.
pub(crate) fn italian(file: &[u8], columns: &[Column]) -> Vec<u8> {
    let dialect = Dialect::Italian;
    let mut out = Vec::with_capacity(file.len() + file.len() / 4);
    put_names(dialect, columns.iter().flat_map(|column| dialect.names(&column.name, column.kind == ColumnKind::Instant)), &mut out);
    // What is read was written by ourselves.
    for record in csv::Reader::from_reader(file).records().flatten() {
        let cell = |(text, column): (&str, &Column)| match column.kind {
            ColumnKind::Instant => Cell::Instant(text.to_owned()),
            ColumnKind::Day => Cell::Day(text.to_owned()),
            // Its formulas are harmless already.
            ColumnKind::Text | ColumnKind::Count => Cell::Ready(text.to_owned()),
            ColumnKind::Number => Cell::Ready(text.replace('.', ",")),
        };
        let cells: Vec<Cell> = record.iter().zip(columns).map(cell).collect();
        put_line(dialect, &cells, &mut out);
    }
    out
}

/// Appends a line.
pub(crate) fn put_line(dialect: Dialect, cells: &[Cell], out: &mut Vec<u8>) {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            out.push(dialect.delimiter());
        }
        match cell {
            Cell::Text(text) => put_text(dialect, text, out),
            Cell::Instant(text) if dialect == Dialect::Italian => match Timestamp::parse(text) {
                Ok(at) => put_italian(at, out),
                Err(_) => out.push(dialect.delimiter()),
            },
            Cell::Day(text) if dialect == Dialect::Italian => {
                let parts: Vec<&str> = text.split('-').rev().collect();
                out.extend_from_slice(parts.join("/").as_bytes());
            }
            Cell::Instant(text) | Cell::Day(text) | Cell::Ready(text) => put_quoted(dialect, "", text, out),
            Cell::Whole(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Cell::Number(value) => {
                let from = out.len();
                out.extend_from_slice(value.to_string().as_bytes());
                dialect.point(out.get_mut(from..).unwrap_or_default());
            }
        }
    }
    out.push(b'\n');
}

/// What a spreadsheet would run as a formula is made harmless; what would end the cell or the line is quoted.
fn put_text(dialect: Dialect, text: &str, out: &mut Vec<u8>) {
    let harmless = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    put_quoted(dialect, harmless, text, out);
}

fn put_quoted(dialect: Dialect, harmless: &str, text: &str, out: &mut Vec<u8>) {
    if !text.contains([char::from(dialect.delimiter()), '"', '\n', '\r']) {
        out.extend_from_slice(harmless.as_bytes());
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(harmless.as_bytes());
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, text: &str, number: f64, expected: &str) {
        let mut out = Vec::new();
        put_header(dialect, &["name", "value", "quality"], &mut out);
        put_line(dialect, &[Cell::Text(text.into()), Cell::Number(number), Cell::Whole(1)], &mut out);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn formulas_are_made_harmless_and_numbers_stay_numbers() {
        check(Dialect::Plain, "=HYPERLINK(\"x\")", -3.2, "name,value,quality\n\"'=HYPERLINK(\"\"x\"\")\",-3.2,1\n");
        check(Dialect::Plain, "@x", 1e21, "name,value,quality\n'@x,1000000000000000000000,1\n");
        check(Dialect::Italian, "Ponte; nuovo", 1.42, "\u{feff}name;value;quality\n\"Ponte; nuovo\";1,42;1\n");
    }
    #[test]
    fn italian_times_are_the_clock_on_the_wall_and_its_offset() {
        let mut found = Vec::new();
        put_header(Dialect::Italian, &["phenomenon_time", "result"], &mut found);
        for time in ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"] {
            put_line(Dialect::Italian, &[Cell::Instant(time.into()), Cell::Number(-0.5)], &mut found);
        }
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
