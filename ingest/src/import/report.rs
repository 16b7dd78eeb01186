//! The outcome of an import, and what in the file was a surprise.

use super::choice::Condition;
use super::columns::{Column, Columns};
use super::pattern::Pattern;
use super::repeated::Repeated;
use super::rows::Rows;
use model::{DatastreamKey, Timestamp};
use std::io::Read;

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
    /// Those that the pattern chooses, without repeated headers.
    pub rows: u64,
    /// Values that were understood.
    pub values: u64,
    pub accepted: u64,
    pub duplicates: u64,
    pub revised: u64,
    /// Rows of which something was not taken.
    pub refused: u64,
    /// Values that were taken but that no sensor of their property can mean: kept with quality 4.
    pub failed_range: u64,
    /// Rows that no `[[value]]` is of.
    pub of_nothing: u64,
    /// Of the file.
    pub bytes: u64,
    pub columns: Vec<ColumnReport>,
    /// What a person would want to know of how the file was read, a sentence each.
    pub notes: Vec<String>,
}

/// What to say of a file of which the pattern chooses nothing; `None` where it has no rows.
pub(super) fn nothing_chosen<R: Read>(rows: &Rows<R>, report: &Report) -> Option<String> {
    let passed = rows.passed().not_chosen + report.of_nothing;
    let conditions: Vec<String> = rows.chosen().iter().map(Condition::words).collect();
    let of = if conditions.is_empty() { "of any [[value]]".to_owned() } else { format!("of {}", conditions.join(", ")) };
    (passed > 0)
        .then(|| format!("none of its {passed} rows is {of}; look at its cells, and mend where, heading or datastreams in the pattern"))
}

/// What was passed over, supposed or surprising.
pub(super) fn notes<R: Read>(rows: &Rows<R>, columns: &Columns, repeated: &Repeated, pattern: &Pattern, report: &Report) -> Vec<String> {
    let passed = rows.passed();
    let mut notes: Vec<String> = columns.iter().filter_map(Column::warning).map(|warning| format!("warning: {warning}")).collect();
    notes.dedup();
    if rows.times().are_dates() && pattern.time.label.is_none() {
        for column in columns.iter().filter(|column| column.is_of_intervals()) {
            notes.push(format!(
                "warning: of {} a date alone is taken as the end of its interval, the midnight at which that day begins; write label = \"start\" in [time] if it names the day \
                 that is summed, label = \"end\" if it is meant so",
                column.datastream.key
            ));
        }
    }
    let mut count = |count: u64, words: &str| {
        if count > 0 {
            notes.push(format!("{count} {words}"));
        }
    };
    count(passed.headers, "repeated headers were passed over");
    count(passed.empty, "rows without any cell were passed over");
    let chosen: Vec<String> = rows.chosen().iter().map(Condition::words).collect();
    count(passed.not_chosen, &format!("rows were passed over that are not of {}", chosen.join(", ")));
    count(report.of_nothing, "rows were passed over that no [[value]] is of");
    count(passed.bare_dates, "times were a date without an hour, and are its midnight");
    count(rows.as_windows(), "lines were no UTF-8 and were read as Windows-1252");
    count(repeated.count(), "values were other ones than those that count for the same time (same_time)");
    if repeated.is_partial() {
        notes.push("the file is so long that values for the same time were looked for only near one another in its later part".to_owned());
    }
    notes
}
