use crate::Error;
use polars::frame::DataFrame;
use polars_io::parquet::write::{ParquetCompression, ParquetWriter};

/// Zstandard, statistics in every column; instants in µs.
pub(super) fn write(rows: &DataFrame) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None)).finish(&mut rows.clone())?;
    Ok(bytes)
}
