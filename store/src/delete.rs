//! Deleting for good: with a preview, a reason in the audit, and a tombstone, so that no backup brings back what was deleted.

mod subject;
#[cfg(test)]
mod tests;

pub use subject::{Erased, Subject};

use crate::engine::{Change, Document, Engine, unreadable};
use crate::writer::{Cut, Purpose, Work};
use crate::{AuditEntry, Batch, Error, Store};
use model::{DatastreamId, Interval, Timestamp};
use serde::{Deserialize, Serialize};

const KIND: &str = "deleted";

/// That something was deleted: what had come by then stays deleted, whatever a backup says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The datastream's id, as in the network file; empty when it is of a device.
    #[serde(default)]
    pub datastream: String,
    /// The device whose raw payloads and refused messages are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// `[from, to)`, µs: of phenomenon times; of a device, of the times at which its messages came.
    pub from_us: i64,
    pub to_us: i64,
    /// When, seconds since 1970.
    pub at_s: i64,
    /// All of it is gone; else the next start goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
}

impl Tombstone {
    fn id(&self) -> String {
        let of = self.subject.as_ref().map_or_else(|| self.datastream.clone(), Subject::word);
        format!("{of} {} {} {}", self.from_us, self.to_us, self.at_s)
    }
    fn change(&self) -> Result<Change, Error> {
        let body = serde_json::to_string(self).map_err(|cause| Error::Damaged { what: cause.to_string() })?;
        Ok(Change::PutDocument(Document { kind: KIND.into(), id: self.id(), body }))
    }
    /// Whether it hides a value of `at` µs that had come in second `received_s`.
    pub(crate) fn hides(&self, at: i64, received_s: i64) -> bool {
        (self.from_us..self.to_us).contains(&at) && received_s <= self.at_s
    }
}

/// As the audit has it.
struct Deletion {
    of: String,
    interval: Interval,
    change: &'static str,
    count: u64,
}

impl Deletion {
    fn entry(self, now: Timestamp, who: &str, why: &str) -> AuditEntry {
        AuditEntry {
            number: 0,
            commit: 0,
            at: now.to_string(),
            who: who.into(),
            what: "delete".into(),
            datastream: self.of,
            from: self.interval.from.to_string(),
            to: self.interval.to.to_string(),
            change: self.change.into(),
            why: why.into(),
            shift_s: 0,
            count: self.count,
            undoes: None,
        }
    }
}

/// That all deletions are known: where one can't be read, what it speaks of could come back.
///
/// # Errors
/// [`Error::Damaged`] names it.
pub(crate) fn all_known(engine: &dyn Engine) -> Result<(), Error> {
    engine.documents(KIND)?;
    match unreadable(engine, KIND).first() {
        None => Ok(()),
        Some(id) => Err(Error::Damaged {
            what: format!(
                "the deletion \"{id}\" can't be read, and what it took out could come back; first bring it back with the list of deletions that lies beside a backup"
            ),
        }),
    }
}

/// Every deletion that was ever made.
pub(crate) fn tombstones(engine: &dyn Engine) -> Result<Vec<Tombstone>, Error> {
    let read = |document: Document| {
        serde_json::from_str(&document.body).map_err(|cause| Error::Damaged { what: format!("the deletion {}: {cause}", document.id) })
    };
    engine.documents(KIND)?.into_iter().map(read).collect()
}

impl Store {
    /// Deletes what a datastream holds of an interval, with the values that were replaced, physically; what is derived from it is made
    /// again. The audit says who, why and how many. Observations that went, when all of it is on disk.
    ///
    /// # Errors
    /// As [`Store::commit`]; what was begun then is ended by the next start.
    pub fn delete(&self, datastream: DatastreamId, interval: Interval, who: &str, why: &str) -> Result<u64, Error> {
        let registry = self.registry();
        let known = registry.datastream(datastream).ok_or_else(|| Error::Damaged { what: "no such datastream".into() })?;
        let now = self.clock().now();
        let tombstone = Tombstone {
            datastream: known.key.to_string(),
            subject: None,
            from_us: interval.from.micros(),
            to_us: interval.to.micros(),
            at_s: now.seconds(),
            pending: true,
        };
        let count = self.count_in(datastream, interval)?;
        let what = Deletion { of: known.key.to_string(), interval, change: "deleted for good", count };
        self.commit_blocking(Batch { audit: vec![what.entry(now, who, why)], ..Batch::default() })?;
        self.bury(&tombstone)
    }

    /// How many observations a deletion would take.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn count_in(&self, datastream: DatastreamId, interval: Interval) -> Result<u64, Error> {
        let mut count = 0;
        self.shared().chunks.visit(datastream, interval, None, |_| {
            count += 1;
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(count)
    }

    /// Does what a tombstone says, and keeps it.
    fn bury(&self, tombstone: &Tombstone) -> Result<u64, Error> {
        let interval = Interval { from: Timestamp::from_micros(tombstone.from_us), to: Timestamp::from_micros(tombstone.to_us) };
        self.ask(|answer| match tombstone.change() {
            Ok(change) => Work::Documents(vec![change], answer),
            Err(_) => Work::Documents(Vec::new(), answer),
        })?;
        let mut removed = 0;
        if let Some(subject) = &tombstone.subject {
            self.erase(subject, interval, tombstone.at_s)?;
        } else if let Some(known) = self.registry().datastream_by_key(&tombstone.datastream) {
            let came_by = Timestamp::from_seconds(tombstone.at_s);
            let cut = Cut { datastreams: vec![known.id], interval, came_by, purpose: Purpose::Erase };
            removed = self.cut(cut)?.into_iter().sum();
        }
        let done = Tombstone { pending: false, ..tombstone.clone() }.change()?;
        self.ask(|answer| Work::Documents(vec![done], answer))?;
        // Nothing may have gone here, and something there.
        self.shared().last_commit.send_modify(|_| ());
        Ok(removed)
    }

    /// Every deletion, to be kept with the backups.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn tombstones(&self) -> Result<Vec<Tombstone>, Error> {
        tombstones(self.shared().engine.as_ref())
    }

    /// Does again those deletions that this store does not know of, or has not ended: after a restore, and after a kill. Observations that
    /// went.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn delete_again(&self, others: &[Tombstone]) -> Result<u64, Error> {
        let known = self.tombstones()?;
        let ended: Vec<String> = known.iter().filter(|one| !one.pending).map(Tombstone::id).collect();
        let mut removed = 0;
        for tombstone in known.iter().chain(others).filter(|one| !ended.contains(&one.id())) {
            removed += self.bury(tombstone)?;
            let of = tombstone.subject.as_ref().map_or_else(|| tombstone.datastream.clone(), Subject::word);
            tracing::info!(event = "deleted", of, "a deletion was done again");
        }
        Ok(removed)
    }
}
