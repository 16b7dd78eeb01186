use super::cells::{Cell, columns};
use crate::Error;
use model::Column;
use polars::frame::DataFrame;

/// RFC 4180, UTF-8: comma, decimal point, times in UTC; an absent value is an empty cell.
pub(super) fn write(rows: &DataFrame, described: &[Column]) -> Result<Vec<u8>, Error> {
    let failed = |cause: csv::Error| Error::Write(cause.to_string());
    let cells = columns(rows, described)?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(described.iter().map(|column| column.name.as_str())).map_err(failed)?;
    for row in 0..rows.height() {
        for column in &cells {
            let text = match column.at(row) {
                Cell::Nothing => String::new(),
                // What a spreadsheet would run as a formula is made harmless.
                Cell::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
                Cell::Text(text) => text,
                Cell::Number(number) => number.to_string(),
                Cell::Count(count) => count.to_string(),
            };
            writer.write_field(text).map_err(failed)?;
        }
        writer.write_record(None::<&[u8]>).map_err(failed)?;
    }
    writer.into_inner().map_err(|cause| Error::Write(cause.to_string()))
}
