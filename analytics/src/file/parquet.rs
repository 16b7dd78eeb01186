use crate::Error;
use polars::prelude::{Column, CompatLevel, DataFrame, DataType, PolarsResult, Schema, SchemaExt, TimeUnit, TimeZone};
use polars_io::parquet::write::{KeyValueMetadata, ParquetCompression, ParquetWriter};
use polars_parquet::write::{KeyValue, schema_to_metadata_key};
use std::io::Write;

/// Zstandard, statistics in every column; instants in µs, UTC.
pub(super) fn write(rows: &DataFrame) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let columns = rows.columns().iter().map(|column| match column.dtype() {
        DataType::Datetime(TimeUnit::Microseconds, None) => instants(column),
        _ => Ok(column.clone()),
    });
    let mut rows = DataFrame::new_infer_height(columns.collect::<PolarsResult<_>>()?)?;
    let schema = rows.schema().clone();
    writer(&mut bytes, &schema).finish(&mut rows)?;
    Ok(bytes)
}

/// Microseconds since 1970 as instants. A column without a zone is a wall clock's to other readers: DuckDB in Europe/Rome shows it two
/// hours off. The zone is set and not cast to, for polars casts to zones only with its `timezones` feature.
pub(crate) fn instants(micros: &Column) -> PolarsResult<Column> {
    let micros = micros.as_materialized_series().cast(&DataType::Int64)?;
    Ok(micros.into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into())
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
