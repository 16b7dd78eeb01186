//! One month of a dataset as bytes, in each format. The same rows give the same bytes: no file says when it was made.

mod cells;
mod csv;
mod geojson;
mod parquet;
pub(crate) use parquet::{instants, plain_schema, writer};

use crate::Error;
use crate::frames::Frames;
use model::Column;
use polars::frame::DataFrame;
use store::Format;

/// The rows as a file. `columns` are those of the frame, in its order.
///
/// # Errors
/// [`Error::Write`] or [`Error::Polars`] when the rows are not as `columns` says.
pub fn write(format: Format, rows: &DataFrame, columns: &[Column], frames: &Frames) -> Result<Vec<u8>, Error> {
    match format {
        Format::Csv => csv::write(rows, columns),
        Format::Parquet => parquet::write(rows),
        Format::GeoJson => geojson::write(rows, columns, frames),
    }
}
