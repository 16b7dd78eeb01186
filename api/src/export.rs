//! Files for the command line, as the addresses of the API answer them.

use crate::csv::Dialect;
use crate::rows::observations;
use crate::stream::{Flow, PIECE, Pieces};
use crate::table::{Extent, Format, Table};
use model::{Datastream, Interval};
use std::io::Write;
use std::sync::Arc;
use store::View;

/// Every observation of `[from, to)` as CSV: `phenomenon_time, result, quality, received_at`. Flat in memory, however long.
///
/// # Errors
/// When the store can't be read, or `out` can't be written.
pub fn write_csv(view: &View, datastream: &Datastream, interval: Interval, dialect: Dialect, out: &mut dyn Write) -> std::io::Result<()> {
    let mut table = Table::new(Format::Csv(dialect), Extent::Whole, observations(view.clone(), Arc::new(datastream.clone()), interval));
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        piece.clear();
        let flow = table.next(&mut piece).map_err(std::io::Error::other)?;
        out.write_all(&piece)?;
        if flow == Flow::Last {
            return Ok(());
        }
    }
}
