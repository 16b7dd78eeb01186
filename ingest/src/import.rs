//! History from a file: a CSV whose columns a small declared [`Pattern`] names. The file is read twice: first to see whether it can be
//! what the pattern says, then row by row as at every door: bound, qualified, committed in groups; what can't be taken is given back
//! with its line and the cure, and the rest goes on.

mod choice;
mod civil;
mod columns;
mod encoding;
mod fold;
mod header_unit;
pub(crate) mod lines;
mod number;
mod pattern;
mod record;
mod refused;
mod repeated;
mod report;
mod rows;
#[cfg(test)]
mod tests;
mod text_lines;
mod zone;

pub use pattern::Pattern;
pub use report::{ColumnReport, Report};

use crate::qualify::qualify;
use columns::Columns;
use model::{DatastreamId, Observation, Quality, Timestamp};
use repeated::Repeated;
use rows::{Row, Rows};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
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
    /// So many rows are read, so many bytes of the file. A file that is written is read twice: half of the bytes count each time.
    Progress { rows: u64, bytes: u64 },
    /// What a file of refused rows begins with, before the first of them: whole lines in the file's own form.
    Head(&'a str),
    /// A row, or some of its values, were not taken. `row` is the row as it stands in the file with the reasons in a cell more,
    /// without its line end.
    Refused { row: &'a str, complaints: &'a [Complaint] },
}

/// Reads `source` to its end, twice when it is written. `name` stands in complaints. Everything in the report is on disk when it
/// returns `Ok`, unless it was a dry run. Blocking.
///
/// # Errors
/// Complaints about the file as a whole, before anything was taken: its header, the pattern, the datastreams, times with several
/// values; or one about the store, after which what was committed before stays, and importing the file again goes on.
pub fn import(
    store: &Store,
    mut source: impl Read + Seek,
    name: &str,
    pattern: &Pattern,
    mode: Mode,
    tell: &mut dyn FnMut(Told<'_>),
) -> Result<Report, Vec<Complaint>> {
    let unreadable = |cause: std::io::Error| {
        vec![Complaint { file: name.to_owned(), line: 0, column: 0, message: format!("it can't be read: {cause}") }]
    };
    let start = source.stream_position().map_err(unreadable)?;
    let mut first = Taker::new(store, name, pattern);
    if mode == Mode::DryRun {
        return first.read(&mut source, None, tell).map(|(report, _)| report);
    }
    let mut half = |told: Told<'_>| {
        if let Told::Progress { rows, bytes } = told {
            tell(Told::Progress { rows, bytes: bytes / 2 });
        }
    };
    let (checked, winners) = first.read(&mut source, None, &mut half)?;
    source.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let mut second = Taker::new(store, name, pattern);
    let (written, _) = second.read(&mut source, Some(winners), &mut |told| match told {
        Told::Progress { rows, bytes } => tell(Told::Progress { rows, bytes: checked.bytes / 2 + bytes / 2 }),
        told => tell(told),
    })?;
    Ok(Report { notes: checked.notes, ..written })
}

/// Which value counts, by datastream and microsecond, where a file has several.
type Winners = HashMap<(DatastreamId, i64), f64>;

struct Taker<'a> {
    store: &'a Store,
    name: &'a str,
    pattern: &'a Pattern,
    now: Timestamp,
    group: Vec<Observation>,
    /// The commit before this one, which goes to the disk while rows are read.
    outstanding: Option<oneshot::Receiver<Result<Receipt, store::Error>>>,
    /// The heading of the last refused row.
    told_heading: Option<Arc<str>>,
    report: Report,
}

/// What is known of the file while its rows are taken.
struct Reading {
    columns: Columns,
    /// When it is written.
    winners: Option<Winners>,
    /// When it is looked at first.
    repeated: Option<Repeated>,
}

impl<'a> Taker<'a> {
    fn new(store: &'a Store, name: &'a str, pattern: &'a Pattern) -> Self {
        let now = store.clock().now();
        Self { store, name, pattern, now, group: Vec::new(), outstanding: None, told_heading: None, report: Report::default() }
    }

    /// Reads the file once, and writes what it says when it is known which of several values counts.
    fn read(
        &mut self,
        source: &mut impl Read,
        winners: Option<Winners>,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> Result<(Report, Winners), Vec<Complaint>> {
        let mut rows = Rows::open(source, self.name, self.pattern)?;
        let columns = Columns::find(self.store.registry(), &mut rows, self.pattern)?;
        tell(Told::Head(rows.head()));
        let repeated = winners.is_none().then(|| Repeated::new(self.pattern.same_time, rows.other_places()));
        let mut reading = Reading { columns, winners, repeated };
        while let Some(row) = rows.next()? {
            self.report.rows += 1;
            self.row(&row, &rows, &mut reading, tell);
            if self.group.len() >= GROUP {
                self.commit()?;
            }
            if self.report.rows.is_multiple_of(SPEAK) {
                tell(Told::Progress { rows: self.report.rows, bytes: rows.bytes() });
            }
        }
        self.commit()?;
        self.settle()?;
        tell(Told::Progress { rows: self.report.rows, bytes: rows.bytes() });
        let mut report = std::mem::take(&mut self.report);
        report.bytes = rows.bytes();
        let Reading { columns, repeated, .. } = reading;
        let Some(repeated) = repeated else {
            report.columns = columns.into_reports();
            return Ok((report, Winners::new()));
        };
        if let Some((line, message)) = repeated.complaint(rows.header()) {
            return Err(vec![Complaint { file: self.name.to_owned(), line, column: 1, message }]);
        }
        if report.rows == 0
            && let Some(message) = report::nothing_chosen(&rows, &report)
        {
            return Err(vec![Complaint { file: self.name.to_owned(), line: 0, column: 0, message }]);
        }
        report.notes = report::notes(&rows, &columns, &repeated, self.pattern, &report);
        report.columns = columns.into_reports();
        Ok((report, repeated.into_winners()))
    }

    fn row<R: Read>(&mut self, row: &Row, rows: &Rows<R>, reading: &mut Reading, tell: &mut dyn FnMut(Told<'_>)) {
        let mut wrong = Vec::new();
        match &row.time {
            Err((column, message)) => wrong.push((*column, message.clone())),
            Ok(time) => match self.span(*time, rows).or_else(|| reading.columns.name(row, self.pattern).err()) {
                Some(found) => wrong.push(found),
                None => self.values(row, *time, rows, reading, &mut wrong),
            },
        }
        if wrong.is_empty() {
            return;
        }
        self.report.refused += 1;
        let complaint = |(column, message)| Complaint { file: self.name.to_owned(), line: row.line, column, message };
        let complaints: Vec<Complaint> = wrong.into_iter().map(complaint).collect();
        let is_first = row.heading != self.told_heading;
        self.told_heading.clone_from(&row.heading);
        tell(Told::Refused { row: &refused::refused_row(row, &complaints, self.pattern, is_first), complaints: &complaints });
    }

    /// Why a time is none that is taken.
    fn span<R: Read>(&self, time: Timestamp, rows: &Rows<R>) -> Option<(usize, String)> {
        let cure = || rows.times().year_cure();
        if time.seconds() < EARLIEST_S {
            return Some((1, format!("{time} lies before 1850, from when on history is taken{}", cure())));
        }
        (time > self.now.plus_seconds(600)).then(|| (1, format!("{time} lies ahead of now{}", cure())))
    }

    fn values<R: Read>(&mut self, row: &Row, of_row: Timestamp, rows: &Rows<R>, reading: &mut Reading, wrong: &mut Vec<(usize, String)>) {
        if let Some(repeated) = &mut reading.repeated {
            repeated.row(row);
        }
        let mut is_chosen = false;
        for column in reading.columns.iter_mut() {
            if !column.is_of(row) {
                continue;
            }
            is_chosen = true;
            let time = column.time(of_row, rows.times());
            let result = match column.value(&row.cells) {
                Ok(Some(result)) => result,
                Ok(None) => continue,
                Err(message) => {
                    wrong.push((column.place() + 1, message));
                    continue;
                }
            };
            if let Some(repeated) = &mut reading.repeated {
                repeated.value(&column.datastream, time, result, row.line);
            }
            let winner = reading.winners.as_ref().and_then(|winners| winners.get(&(column.datastream.id, time.micros())));
            if winner.is_some_and(|winner| winner.to_bits() != result.to_bits()) {
                continue;
            }
            column.measured(time, result);
            self.report.values += 1;
            let plain = Observation {
                datastream: column.datastream.id,
                phenomenon_time: time,
                received_at: self.now,
                result,
                quality: Quality::NOT_EVALUATED,
            };
            let qualified = qualify(plain, &column.datastream);
            self.report.failed_range += u64::from(!qualified.quality.is_usable());
            if reading.winners.is_some() {
                self.group.push(qualified);
            }
        }
        if !is_chosen {
            self.report.rows -= 1;
            self.report.of_nothing += 1;
        }
    }

    fn commit(&mut self) -> Result<(), Vec<Complaint>> {
        self.settle()?;
        let group = std::mem::replace(&mut self.group, Vec::with_capacity(GROUP));
        if !group.is_empty() {
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
