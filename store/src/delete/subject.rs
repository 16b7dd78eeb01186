//! What a device said that is in no datastream: raw payloads, and messages in the quarantine. Those of a meter speak of a person.

use super::{Deletion, Tombstone};
use crate::engine::{Change, Order, Row, Span, Table, damaged_rows};
use crate::writer::Work;
use crate::{Batch, Error, Replayed, Store, Wanted};
use model::{DeviceId, Interval, OwnerId, Scope, Timestamp, Viewer};
use serde::{Deserialize, Serialize};
use std::sync::PoisonError;

/// Rows that go together.
const AT_ONCE: usize = 1000;

/// Everything that one device said, as far as it is not in its datastreams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Words", into = "Words")]
pub struct Subject {
    pub owner: OwnerId,
    pub device: DeviceId,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
struct Words {
    owner: String,
    device: String,
}

impl From<Words> for Subject {
    fn from(Words { owner, device }: Words) -> Self {
        Self { owner: owner.into(), device: device.into() }
    }
}

impl From<Subject> for Words {
    fn from(Subject { owner, device }: Subject) -> Self {
        Self { owner: owner.to_string(), device: device.to_string() }
    }
}

impl Subject {
    pub(super) fn word(&self) -> String {
        format!("device {}/{}", self.owner, self.device)
    }
}

/// How much of a device goes, or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    pub payloads: u64,
    /// Messages in the quarantine.
    pub messages: u64,
}

impl Store {
    /// Deletes what came of a device in an interval and is in no datastream, with a tombstone, so that no backup brings it back. The audit
    /// says who and why.
    ///
    /// # Errors
    /// As [`Store::delete`].
    pub fn delete_subject(&self, subject: &Subject, interval: Interval, who: &str, why: &str) -> Result<Erased, Error> {
        let erased = self.count_of(subject, interval)?;
        let now = self.clock().now();
        let count = erased.payloads + erased.messages;
        let what = Deletion { of: subject.word(), interval, change: "raw payloads and refused messages deleted for good", count };
        self.commit_blocking(Batch { audit: vec![what.entry(now, who, why)], ..Batch::default() })?;
        self.bury(&Tombstone {
            datastream: String::new(),
            subject: Some(subject.clone()),
            from_us: interval.from.micros(),
            to_us: interval.to.micros(),
            at_s: now.seconds(),
            pending: true,
        })?;
        Ok(erased)
    }

    /// How much [`Store::delete_subject`] would take.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn count_of(&self, subject: &Subject, interval: Interval) -> Result<Erased, Error> {
        let mut payloads = 0;
        self.each_payload(subject, interval, &mut |rows| {
            payloads += rows.len() as u64;
            Ok(())
        })?;
        Ok(Erased { payloads, messages: self.refused_of(subject, interval, i64::MAX)?.len() as u64 })
    }

    /// Does it: what had come by then, and not since.
    pub(super) fn erase(&self, subject: &Subject, interval: Interval, by_s: i64) -> Result<(), Error> {
        let came_by = Timestamp::from_seconds(by_s.saturating_add(1));
        let until = Interval { from: interval.from, to: interval.to.min(came_by) };
        self.each_payload(subject, until, &mut |rows| {
            let delete = |row: &Row| Change::Delete { table: Table::Payload, part: row.part, at: row.at };
            let changes = rows.iter().map(delete).collect();
            self.ask(|answer| Work::Documents(changes, answer))
        })?;
        // What can't be read may hold what goes.
        let number = self.shared().book.read().unwrap_or_else(PoisonError::into_inner).number(&subject.owner, &subject.device);
        if let Some(part) = number.map(i64::from) {
            let within = |at: &i64| until.contains(Timestamp::from_micros(*at));
            let damaged = damaged_rows(self.shared().engine.as_ref(), Table::Payload, part).into_iter().filter(within);
            let changes = damaged.map(|at| Change::Delete { table: Table::Payload, part, at }).collect();
            self.ask(|answer| Work::Documents(changes, answer))?;
        }
        let gone = self.refused_of(subject, interval, by_s)?;
        for some in gone.chunks(AT_ONCE) {
            let replayed = some.iter().map(|number| Replayed { number: *number, left: Vec::new() }).collect();
            self.commit_blocking(Batch { replayed, ..Batch::default() })?;
        }
        Ok(())
    }

    /// The raw payloads of an interval, a thousand at a time.
    fn each_payload(&self, subject: &Subject, interval: Interval, each: &mut dyn FnMut(&[Row]) -> Result<(), Error>) -> Result<(), Error> {
        let number = self.shared().book.read().unwrap_or_else(PoisonError::into_inner).number(&subject.owner, &subject.device);
        let Some(part) = number.map(i64::from).filter(|_| !interval.is_empty()) else { return Ok(()) };
        let mut span = Span { part, from: interval.from.micros(), to: interval.to.micros().saturating_sub(1) };
        loop {
            let rows = self.shared().engine.range(Table::Payload, span, Order::Ascending, AT_ONCE)?;
            let Some(last) = rows.last() else { return Ok(()) };
            span.from = last.at.saturating_add(1);
            each(&rows)?;
        }
    }

    /// Numbers of its messages in the quarantine that first came in an interval, and last by a second.
    fn refused_of(&self, subject: &Subject, interval: Interval, by_s: i64) -> Result<Vec<u64>, Error> {
        let view = self.seen_by(&Viewer::Token { owner: subject.owner.clone(), scopes: Scope::ALL.to_vec() });
        let wanted = Wanted { device: Some(subject.device.clone()), ..Wanted::default() };
        let entries = view.quarantine(&wanted, usize::MAX)?;
        let meant = entries.iter().filter(|entry| interval.contains(entry.first) && entry.last.seconds() <= by_s);
        Ok(meant.map(|entry| entry.number).collect())
    }
}
