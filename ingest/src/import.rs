//! History from a file: a CSV whose columns a small declared [`Pattern`] names. Row by row as at every door: bound, qualified,
//! committed in groups; what can't be taken is given back with its line and the cure, and the rest goes on.

mod columns;
pub(crate) mod lines;
mod number;
mod pattern;
mod rows;
#[cfg(test)]
mod tests;
mod zone;

pub use pattern::Pattern;

use crate::qualify::qualify;
use columns::Columns;
use model::{DatastreamKey, Observation, Quality, Timestamp};
use rows::{Row, Rows};
use std::io::Read;
use store::{Batch, Complaint, Outcome, Receipt, Store};
use tokio::sync::oneshot;

/// Observations in one commit.
const GROUP: usize = 5000;
/// Rows between two words of progress.
const SPEAK: u64 = 10_000;
/// History is taken from here on: 1850-01-01.
pub(crate) const EARLIEST_S: i64 = -3_786_825_600;

/// Whether the store is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    /// Only says what it understood.
    DryRun,
}

/// What is told while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    /// So many rows are read, so many bytes of the file.
    Progress { rows: u64, bytes: u64 },
    /// The header as it was read, before the first refused row.
    Header(&'a [String]),
    /// A row, or one value of it, was not taken. `cells` is the row as it was read.
    Refused { cells: &'a [String], complaint: &'a Complaint },
}

/// What became of one value column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnReport {
    pub column: String,
    pub datastream: DatastreamKey,
    pub unit: String,
    pub values: u64,
    /// Cells that say that nothing was measured.
    pub missing: u64,
    pub first: Option<(Timestamp, f64)>,
    pub last: Option<(Timestamp, f64)>,
}

/// What became of the file. In a dry run nothing is accepted, duplicate or revised yet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub rows: u64,
    pub accepted: u64,
    pub duplicates: u64,
    pub revised: u64,
    /// Rows of which something was not taken.
    pub refused: u64,
    /// Values that were taken but that no sensor of their property can mean: kept with quality 4.
    pub failed_range: u64,
    pub columns: Vec<ColumnReport>,
}

/// Reads `source` to its end. `name` stands in complaints. Everything in the report is on disk when it returns `Ok`, unless it was
/// a dry run. Blocking.
///
/// # Errors
/// Complaints about the file as a whole, before anything was taken: its header, the pattern, the datastreams; or one about the
/// store, after which what was committed before stays, and importing the file again goes on.
pub fn import(
    store: &Store,
    source: impl Read,
    name: &str,
    pattern: &Pattern,
    mode: Mode,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<Report, Vec<Complaint>> {
    let mut rows = Rows::open(source, name, pattern)?;
    let columns = Columns::find(&store.registry(), &rows, pattern)?;
    tell(Told::Header(rows.header()));
    let mut taker = Taker {
        store,
        name,
        mode,
        now: store.clock().now(),
        columns,
        group: Vec::with_capacity(GROUP),
        outstanding: None,
        report: Report::default(),
    };
    while let Some(row) = rows.next()? {
        taker.report.rows += 1;
        taker.row(&row, tell);
        if taker.group.len() >= GROUP {
            taker.commit()?;
        }
        if taker.report.rows.is_multiple_of(SPEAK) {
            tell(Told::Progress { rows: taker.report.rows, bytes: rows.bytes() });
        }
    }
    taker.commit()?;
    taker.settle()?;
    tell(Told::Progress { rows: taker.report.rows, bytes: rows.bytes() });
    taker.report.columns = taker.columns.into_reports();
    Ok(taker.report)
}

struct Taker<'a> {
    store: &'a Store,
    name: &'a str,
    mode: Mode,
    now: Timestamp,
    columns: Columns,
    group: Vec<Observation>,
    /// The commit before this one, which goes to the disk while rows are read.
    outstanding: Option<oneshot::Receiver<Result<Receipt, store::Error>>>,
    report: Report,
}

impl Taker<'_> {
    fn row(&mut self, row: &Row, tell: &mut dyn FnMut(Told<'_>)) {
        let refused = |column: usize, message: String, tell: &mut dyn FnMut(Told<'_>)| {
            let complaint = Complaint { file: self.name.to_owned(), line: row.line, column, message };
            tell(Told::Refused { cells: &row.cells, complaint: &complaint });
        };
        let time = match &row.time {
            Ok(time) => *time,
            Err((column, message)) => {
                self.report.refused += 1;
                refused(*column, message.clone(), tell);
                return;
            }
        };
        if time > self.now.plus_seconds(600) || time.seconds() < EARLIEST_S {
            self.report.refused += 1;
            refused(
                1,
                format!("{time} lies outside the years that are taken, 1850 to now; mend the time, or its format in the pattern"),
                tell,
            );
            return;
        }
        let mut is_refused = false;
        for column in self.columns.iter_mut() {
            match column.value(&row.cells) {
                Ok(None) => {}
                Ok(Some(result)) => {
                    column.measured(time, result);
                    let plain = Observation {
                        datastream: column.datastream.id,
                        phenomenon_time: time,
                        received_at: self.now,
                        result,
                        quality: Quality::NOT_EVALUATED,
                    };
                    let qualified = qualify(plain, &column.datastream);
                    self.report.failed_range += u64::from(!qualified.quality.is_usable());
                    self.group.push(qualified);
                }
                Err(message) => {
                    is_refused = true;
                    refused(column.place + 1, message, tell);
                }
            }
        }
        self.report.refused += u64::from(is_refused);
    }

    fn commit(&mut self) -> Result<(), Vec<Complaint>> {
        self.settle()?;
        let group = std::mem::replace(&mut self.group, Vec::with_capacity(GROUP));
        if !group.is_empty() && self.mode == Mode::Write {
            self.outstanding = Some(self.store.submit(Batch { observations: group, ..Batch::default() }));
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Vec<Complaint>> {
        let Some(receipt) = self.outstanding.take() else { return Ok(()) };
        let receipt = receipt.blocking_recv().unwrap_or(Err(store::Error::Closed)).map_err(|cause| {
            let message = format!(
                "{cause}; about {} rows before here are in the store, import the file again when that is mended: what is there already changes nothing",
                self.report.rows.saturating_sub(2 * GROUP as u64)
            );
            vec![Complaint { file: self.name.to_owned(), line: 0, column: 0, message }]
        })?;
        for outcome in receipt.outcomes {
            match outcome {
                Outcome::Accepted => self.report.accepted += 1,
                Outcome::Duplicate => self.report.duplicates += 1,
                Outcome::Revised => self.report.revised += 1,
            }
        }
        Ok(())
    }
}
