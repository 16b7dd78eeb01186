use crate::Error;
use polars::frame::DataFrame;
use polars::prelude::{CompatLevel, Schema, SchemaExt};
use polars_io::parquet::write::{KeyValueMetadata, ParquetCompression, ParquetWriter};
use polars_parquet::write::{KeyValue, schema_to_metadata_key};
use std::io::Write;

/// Zstandard, statistics in every column; instants in µs.
pub(super) fn write(rows: &DataFrame) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    writer(&mut bytes, rows.schema()).finish(&mut rows.clone())?;
    Ok(bytes)
}

/// As every Parquet file of the house is written. It says of its texts that they are texts: where it says views, as polars does, pyarrow
/// 21 (and pandas with it) can't filter by them ("no kernel matching input types (string_view, string)").
pub(crate) fn writer<W: Write>(to: W, schema: &Schema) -> ParquetWriter<W> {
    ParquetWriter::new(to)
        .with_compression(ParquetCompression::Zstd(None))
        .with_key_value_metadata(Some(KeyValueMetadata::Static(vec![plain_schema(schema)])))
}

/// What a file says of its columns to readers of Arrow.
pub(crate) fn plain_schema(schema: &Schema) -> KeyValue {
    schema_to_metadata_key(&schema.to_arrow(CompatLevel::oldest()))
}
