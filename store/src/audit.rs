//! Who changed what, when and why: a list that only grows, each entry with the hash of the one before, so that a line that is altered or
//! left out is found. An entry lies in the commit that holds the change.

use crate::digest::sha256_hex;
use crate::engine::{Change, Document, Engine, Order, Row, Span, Table, last_at};
use crate::writer::Work;
use crate::{Error, Store};
use model::{DatastreamId, Observation};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::Path;

/// One change that a person made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Given by the store.
    #[serde(default)]
    pub number: u64,
    /// The commit that holds the change; given by the store.
    #[serde(default)]
    pub commit: u64,
    pub at: String,
    pub who: String,
    /// `correct` or `undo`.
    pub what: String,
    pub datastream: String,
    /// `[from, to)`.
    pub from: String,
    pub to: String,
    /// In words and numbers, e.g. `× 0.01 + 0`.
    pub change: String,
    pub why: String,
    /// Seconds that were added to the times.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shift_s: i64,
    /// Observations that changed.
    pub count: u64,
    /// The entry that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The end of the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    last: u64,
    hash: String,
}

impl Chain {
    pub(crate) fn restore(engine: &dyn Engine) -> Result<Self, Error> {
        let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
        let rows = engine.range(Table::Audit, all, Order::Descending, 1)?;
        let chain = |row: &Row| Self { last: row.at.cast_unsigned(), hash: sha256_hex(&row.body) };
        let chain = rows.first().map_or_else(Self::default, chain);
        // After an entry that can't be read the chain begins anew: what comes next must not stand in its place.
        let last = last_at(engine, Table::Audit)?.cast_unsigned();
        Ok(if last > chain.last { Self { last, hash: String::new() } } else { chain })
    }

    /// Adds entries to a commit; the chain is true once that is done.
    pub(crate) fn put<'a>(&self, entries: impl Iterator<Item = &'a AuditEntry>, commit: u64, changes: &mut Vec<Change>) -> Self {
        let mut chain = self.clone();
        for entry in entries {
            let entry = AuditEntry { number: chain.last + 1, commit, ..entry.clone() };
            let body = format!("{}\n{}", chain.hash, serde_json::to_string(&entry).unwrap_or_default()).into_bytes();
            chain = Self { last: entry.number, hash: sha256_hex(&body) };
            changes.push(Change::Put {
                table: Table::Audit,
                row: Row { part: 0, at: entry.number.cast_signed(), weight: 0, summary: Vec::new(), body },
            });
        }
        chain
    }
}

/// Entries of the audits of other stores, by the hash of what they say.
const OTHERS: &str = "audit-of";

/// An entry that was made in another store, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignEntry {
    /// The file name of the backup that brought it first.
    pub backup: String,
    pub entry: AuditEntry,
}

/// The entry of a row, and the hash of the one before.
fn read(text: &str) -> Option<(&str, AuditEntry)> {
    let (before, body) = text.split_once('\n')?;
    Some((before, serde_json::from_str(body).ok()?))
}

/// Of every entry that a store has, its own and those of others.
fn hashes(engine: &dyn Engine, of_others: &[Document]) -> Result<HashSet<String>, Error> {
    let own = engine.range(Table::Audit, Span { part: 0, from: i64::MIN, to: i64::MAX }, Order::Ascending, usize::MAX)?;
    Ok(own.iter().map(|row| sha256_hex(&row.body)).chain(of_others.iter().map(|document| document.id.clone())).collect())
}

/// What other stores' audits say, each entry as it was there, each with the one before it.
pub(crate) fn of_others(engine: &dyn Engine) -> Result<Vec<ForeignEntry>, Error> {
    let documents = engine.documents(OTHERS)?;
    let mut known = hashes(engine, &documents)?;
    known.insert(String::new());
    let mut found = Vec::with_capacity(documents.len());
    for Document { id, body, .. } in documents {
        let damaged = || Error::Damaged { what: format!("the list of changes of another store, at {id}") };
        let (backup, text) = body.split_once('\n').ok_or_else(damaged)?;
        let (before, entry) = read(text).ok_or_else(damaged)?;
        if sha256_hex(text.as_bytes()) != id || !known.contains(before) {
            return Err(damaged());
        }
        found.push(ForeignEntry { backup: backup.to_owned(), entry });
    }
    found.sort_by(|one, other| (&one.entry.at, one.entry.number).cmp(&(&other.entry.at, other.entry.number)));
    Ok(found)
}

/// Every entry, with each link of the chain looked at.
pub(crate) fn entries(engine: &dyn Engine) -> Result<Vec<AuditEntry>, Error> {
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    let rows = engine.range(Table::Audit, all, Order::Ascending, usize::MAX)?;
    let mut hash = String::new();
    let mut entries = Vec::with_capacity(rows.len());
    for (row, number) in rows.iter().zip(1_u64..) {
        let damaged = || Error::Damaged { what: format!("the list of changes at entry {number}") };
        let text = std::str::from_utf8(&row.body).map_err(|_| damaged())?;
        let (before, body) = text.split_once('\n').ok_or_else(damaged)?;
        let entry: AuditEntry = serde_json::from_str(body).map_err(|_| damaged())?;
        if before != hash || entry.number != number {
            return Err(damaged());
        }
        hash = sha256_hex(&row.body);
        entries.push(entry);
    }
    Ok(entries)
}

impl Store {
    /// What people changed in the stores of backups that were taken in, the first first. It is no part of this store's own list.
    ///
    /// # Errors
    /// As [`Store::audit`].
    pub fn audit_of_others(&self) -> Result<Vec<ForeignEntry>, Error> {
        of_others(self.shared().engine.as_ref())
    }

    /// Keeps those entries of a backup's audit that are neither in this one's nor kept already; its own and those it keeps of others. How
    /// many.
    pub(crate) fn take_over_audit(&self, other: &dyn Engine, backup: &Path) -> Result<u64, Error> {
        // Whole, each link of it.
        entries(other)?;
        of_others(other)?;
        let engine = self.shared().engine.as_ref();
        let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
        let known = hashes(engine, &engine.documents(OTHERS)?)?;
        let name = backup.file_name().map_or_else(String::new, |name| name.to_string_lossy().replace('\n', " "));
        let of_it = |row: Row| {
            let text = String::from_utf8_lossy(&row.body);
            Document { kind: OTHERS.into(), id: sha256_hex(&row.body), body: format!("{name}\n{text}") }
        };
        let theirs = other.range(Table::Audit, all, Order::Ascending, usize::MAX)?.into_iter().map(of_it);
        let mut new: Vec<Document> = theirs.chain(other.documents(OTHERS)?).collect();
        new.retain(|document| !known.contains(&document.id));
        let count = new.len() as u64;
        if count > 0 {
            self.ask(|answer| Work::Documents(new.into_iter().map(Change::PutDocument).collect(), answer))?;
        }
        Ok(count)
    }

    /// Every change that people made, the first first.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read; [`Error::Damaged`] when an entry is not as it was written, or one is missing.
    pub fn audit(&self) -> Result<Vec<AuditEntry>, Error> {
        entries(self.shared().engine.as_ref())
    }

    /// What a commit replaced in a datastream, ascending in time.
    ///
    /// # Errors
    /// As [`crate::View::observations`].
    pub fn replaced_by(&self, datastream: DatastreamId, commit: u64) -> Result<Vec<Observation>, Error> {
        self.shared().chunks.superseded(datastream, commit, commit)
    }

    /// What the commits after this one replaced.
    ///
    /// # Errors
    /// As [`Store::replaced_by`].
    pub fn replaced_after(&self, datastream: DatastreamId, commit: u64) -> Result<Vec<Observation>, Error> {
        self.shared().chunks.superseded(datastream, commit + 1, u64::MAX)
    }
}
