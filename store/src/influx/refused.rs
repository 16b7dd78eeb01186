//! Lines that InfluxDB refuses: kept with its words, so that a person can mend the cause. The observations stay in the store.

use super::KIND;
use crate::engine::{Change, Document};
use crate::writer::Work;
use crate::{Error, Store};
use serde::{Deserialize, Serialize};

/// The last that are kept; all are counted.
const KEPT: usize = 1000;
const PREFIX: &str = "refused ";

/// One line, and why it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLine {
    pub line: String,
    /// In InfluxDB's words.
    pub reason: String,
    pub at: String,
}

impl Store {
    /// Lines that InfluxDB refused, the oldest first.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn influx_refused(&self) -> Result<Vec<RefusedLine>, Error> {
        let mut kept = self.shared().engine.documents(KIND)?;
        kept.retain(|document| document.id.starts_with(PREFIX));
        Ok(kept.iter().filter_map(|document| serde_json::from_str(&document.body).ok()).collect())
    }

    pub(super) fn refuse_influx(&self, lines: Vec<RefusedLine>) -> Result<(), Error> {
        let known: Vec<String> = self.shared().engine.documents(KIND)?.into_iter().map(|document| document.id).collect();
        let mut numbers: Vec<u64> = known.iter().filter_map(|id| id.strip_prefix(PREFIX)?.parse().ok()).collect();
        numbers.sort_unstable();
        let next = numbers.last().map_or(1, |last| last + 1);
        let mut changes = Vec::with_capacity(lines.len());
        for (line, number) in lines.iter().zip(next..) {
            let body = serde_json::to_string(line).map_err(|cause| Error::Damaged { what: cause.to_string() })?;
            changes.push(Change::PutDocument(Document { kind: KIND.into(), id: format!("{PREFIX}{number:012}"), body }));
            numbers.push(number);
        }
        let gone = numbers.len().saturating_sub(KEPT);
        changes.extend(numbers.iter().take(gone).map(|number| Change::DeleteDocument { kind: KIND, id: format!("{PREFIX}{number:012}") }));
        self.ask(|answer| Work::Documents(changes, answer))
    }
}
