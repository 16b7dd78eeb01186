//! What writes into a store's file: one transaction for all changes of a commit, with what is counted, and the generations of its log.

use super::tally::{self, Source, Tallies, Tally};
use super::wal_mark::{Beside, Mark, State};
use super::{Change, Place, Table, documents, sums};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use std::path::Path;

/// The one connection that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) commits: u64,
    pub(super) poisoned: Option<String>,
    pub(super) tallies: Tallies,
    /// Of the log that is written; nothing where there was no room to say so.
    pub(super) mark: Option<Mark>,
}

impl Writer {
    pub(super) fn of(connection: Connection) -> Self {
        Self { connection, commits: 0, poisoned: None, tallies: tally::UNKNOWN, mark: None }
    }
}

impl Writer {
    /// All changes or none; what is counted is counted with them.
    pub(super) fn write(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let mut tallies = self.tallies;
        let transaction = self.connection.transaction()?;
        write(&transaction, changes, &mut tallies)?;
        for (table, (now, before)) in tally::TABLES.into_iter().zip(tallies.iter().zip(&self.tallies)) {
            if let Some(now) = now.filter(|now| Some(*now) != *before) {
                tally::put(&transaction, table, &now)?;
            }
        }
        transaction.commit()?;
        self.tallies = tallies;
        Ok(())
    }

    pub(super) fn recount(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        let mut tallies = tally::UNKNOWN;
        for (kept, table) in tallies.iter_mut().zip(tally::TABLES) {
            let found = tally::entries(&transaction, table, Source::Index)?.1;
            tally::put(&transaction, table, &found)?;
            *kept = Some(found);
        }
        transaction.commit()?;
        self.tallies = tallies;
        Ok(())
    }

    pub(super) fn settle(&self) -> rusqlite::Result<()> {
        let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum")?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        drop(rows);
        checkpoint(&self.connection, "TRUNCATE")
    }

    /// Moves what is in the log into the file, and goes on.
    pub(super) fn checkpoint(&mut self, path: &Path) -> rusqlite::Result<()> {
        checkpoint(&self.connection, "PASSIVE")?;
        // Once more, for little: between the two marks a copy that another program makes by SQLite's own means would count as behind.
        self.renew_mark(path)
    }

    /// Begins another generation of the log: the file alone says that it is behind, with the log it is whole.
    pub(super) fn renew_mark(&mut self, path: &Path) -> rusqlite::Result<()> {
        self.put_mark(State::Behind)?;
        checkpoint(&self.connection, "PASSIVE")?;
        let Some(mark) = self.mark else { return Ok(()) };
        let mark = Mark { state: State::Whole, ..mark };
        self.write(&[mark.put()])?;
        // Without it a log that was removed is still missed, unless somebody read the whole time while it went into the file.
        if let Err(cause) = Beside::write(path, mark) {
            tracing::warn!(event = "no_mark", %cause, "the file that says which write-ahead log belongs to the store could not be written");
        }
        self.mark = Some(Mark { generation: mark.generation.saturating_add(1), ..mark });
        Ok(())
    }

    pub(super) fn put_mark(&mut self, state: State) -> rusqlite::Result<()> {
        let Some(mark) = self.mark else { return Ok(()) };
        let record = self.connection.query_row("SELECT coalesce(max(at), 0) FROM log", [], |row| row.get(0))?;
        let mark = Mark { state, record, ..mark };
        self.write(&[mark.put()])?;
        self.mark = Some(mark);
        Ok(())
    }
}

pub(super) fn is_corrupt(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
}

pub(super) fn is_full(cause: &rusqlite::Error) -> bool {
    cause.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Nor does another program that writes into the file.
pub(super) fn unless_later(cause: rusqlite::Error) -> rusqlite::Result<()> {
    if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) { Ok(()) } else { unless_full(cause) }
}

/// A full disk stops nothing that can be done later.
pub(super) fn unless_full(cause: rusqlite::Error) -> rusqlite::Result<()> {
    if is_full(&cause) { Ok(()) } else { Err(cause) }
}

pub(super) fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).optional().map(|_| ())
}

/// Name of the table, its condition on the part in `?1`, and its weight.
pub(super) fn words(table: Table) -> (&'static str, &'static str, &'static str) {
    if table.is_single_part() { (table.name(), "?1 = 0", "0") } else { (table.name(), "part = ?1", "weight") }
}

fn write(transaction: &Transaction<'_>, changes: &[Change], tallies: &mut Tallies) -> rusqlite::Result<()> {
    for change in changes {
        match change {
            Change::Put { table, row } => {
                let sum = || sums::of_row(Place::of(*table, row), &row.body);
                let name = table.name();
                if table.is_single_part() && table.has_own_sum() {
                    let sql = format!("INSERT OR REPLACE INTO {name}(at, body) VALUES(?1, ?2)");
                    transaction.prepare_cached(&sql)?.execute(params![row.at, row.body])?;
                } else if table.is_single_part() {
                    let sql = format!("INSERT OR REPLACE INTO {name}(at, body, sum) VALUES(?1, ?2, ?3)");
                    transaction.prepare_cached(&sql)?.execute(params![row.at, row.body, sum()])?;
                } else {
                    // The weight is part of the index, so that counting reads no body: replace by hand.
                    delete(transaction, *table, (row.part, row.at, "="), tallies)?;
                    let sum = if table.has_own_sum() { 0 } else { sum() };
                    tally::insert(transaction, *table, row, sum, tally_of(*table, tallies))?;
                }
            }
            Change::Delete { table, part, at } => delete(transaction, *table, (*part, *at, "="), tallies)?,
            Change::DropThrough { table, part, at } => delete(transaction, *table, (*part, *at, "<="), tallies)?,
            Change::PutDocument(document) => documents::put(transaction, document)?,
            Change::DeleteDocument { kind, id } => documents::delete(transaction, kind, id)?,
        }
    }
    Ok(())
}

fn tally_of(table: Table, tallies: &mut Tallies) -> Option<&mut Tally> {
    let place = tally::TABLES.iter().position(|of| *of == table)?;
    tallies.get_mut(place)?.as_mut()
}

fn delete(
    transaction: &Transaction<'_>,
    table: Table,
    (part, at, compare): (i64, i64, &str),
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    let (_, of_part, _) = words(table);
    tally::delete(transaction, table, (&format!("{of_part} AND at {compare} ?2"), part, at), tally_of(table, tallies))
}
