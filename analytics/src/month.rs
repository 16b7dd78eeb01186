//! Months: how the days of a dataset are laid into files, and how healed days take the place of old ones.

use crate::Error;
use model::{Timestamp, civil_day};
use polars::prelude::*;
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use std::io::Cursor;

/// A calendar month of Europe/Rome.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CivilMonth {
    /// `2026-10`
    pub(crate) name: String,
}

impl CivilMonth {
    pub(crate) fn around(at: Timestamp) -> Self {
        let day = civil_day(at);
        Self { name: format!("{:04}-{:02}", day.year(), day.month()) }
    }
}

/// Back from the Parquet file of a month, its instants as jobs make them: without a zone, UTC.
pub(crate) fn read(bytes: Vec<u8>) -> Result<DataFrame, Error> {
    let rows = ParquetReader::new(Cursor::new(bytes)).finish()?;
    let columns = rows.columns().iter().map(|column| match column.dtype() {
        DataType::Datetime(unit, Some(_)) => column.cast(&DataType::Datetime(*unit, None)),
        _ => Ok(column.clone()),
    });
    Ok(DataFrame::new_infer_height(columns.collect::<PolarsResult<_>>()?)?)
}

/// `old` without the days of the datastreams that were made again, and with what they are now. `again`: columns `datastream`, `day`.
pub(crate) fn healed(old: DataFrame, again: DataFrame, new: Vec<DataFrame>) -> Result<DataFrame, Error> {
    let key = || [col("datastream"), col("day")];
    let marked = again.lazy().with_columns([lit(true).alias("again")]);
    let kept = old
        .lazy()
        .join(marked, key(), key(), JoinArgs::new(JoinType::Left))
        .filter(col("again").is_null())
        .drop(cols(["again"]))
        .collect()?;
    in_order(new.into_iter().try_fold(kept, |all, part| all.vstack(&part))?)
}

/// By station, datastream and day: the order of every file.
pub(crate) fn in_order(rows: DataFrame) -> Result<DataFrame, Error> {
    Ok(rows.sort(["station", "datastream", "day"], SortMultipleOptions::default())?)
}
