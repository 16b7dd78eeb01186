//! The cells of a frame, one row after the other.

use crate::Error;
use model::{Column, ColumnKind, Timestamp, day_of_epoch};
use polars::prelude::*;

/// One cell, as text formats write it.
pub(super) enum Cell {
    Nothing,
    Text(String),
    Number(f64),
    Count(i64),
}

/// A column that can be read row by row.
pub(super) enum Cells<'a> {
    Text(&'a StringChunked),
    Day(&'a Logical<DateType, Int32Type>),
    Instant(&'a Logical<DatetimeType, Int64Type>),
    Number(&'a Float64Chunked),
    Count(&'a Int64Chunked),
}

/// The columns of a frame, each as its description says.
pub(super) fn columns<'a>(rows: &'a DataFrame, columns: &[Column]) -> Result<Vec<Cells<'a>>, Error> {
    let typed = |column: &Column| {
        let series = rows.column(&column.name)?.as_materialized_series();
        Ok(match column.kind {
            ColumnKind::Text => Cells::Text(series.str()?),
            ColumnKind::Day => Cells::Day(series.date()?),
            ColumnKind::Instant => Cells::Instant(series.datetime()?),
            ColumnKind::Number => Cells::Number(series.f64()?),
            ColumnKind::Count => Cells::Count(series.i64()?),
        })
    };
    columns.iter().map(typed).collect()
}

impl Cells<'_> {
    pub(super) fn at(&self, row: usize) -> Cell {
        let cell = match self {
            Self::Text(text) => text.get(row).map(|text| Cell::Text(text.to_owned())),
            Self::Day(day) => day.physical().get(row).map(|days| Cell::Text(day_of_epoch(days).to_string())),
            Self::Instant(instant) => instant.physical().get(row).map(|micros| Cell::Text(Timestamp::from_micros(micros).to_string())),
            Self::Number(number) => number.get(row).map(Cell::Number),
            Self::Count(count) => count.get(row).map(Cell::Count),
        };
        cell.unwrap_or(Cell::Nothing)
    }
}
