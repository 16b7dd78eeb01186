//! How many rows a table must hold, and which: kept beside it and changed by the same commits, so that a row that is gone is missed, and an
//! index that does not say what was written is known, and made anew from the rows.

use super::{Document, Key, Row, Table, documents};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

pub(super) const KIND: &str = "tally";

/// What the keys of a table come to: one that comes or goes changes it, whatever the others are, and the difference of one row is that
/// row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) rows: i64,
    pub(super) weight: i64,
    part: i64,
    at: i64,
    /// The sum of the checksums over all that stands in the index. No exclusive or: a CRC is linear, and two that changed places would not
    /// be seen.
    check: i64,
}

/// What a row's entry in the index says.
pub(super) struct IndexEntry {
    pub(super) id: i64,
    pub(super) key: Key,
}

impl IndexEntry {
    /// From columns id, part, at, weight and summary; `None` where one of them is not of its kind.
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Self>> {
        let integer = |column| row.get_ref(column).map(|value| value.as_i64().ok());
        let summary = match row.get_ref(4)? {
            ValueRef::Null => Vec::new(),
            ValueRef::Blob(summary) => summary.to_vec(),
            _ => return Ok(None),
        };
        let (Some(id), Some(part), Some(at), Some(weight)) = (integer(0)?, integer(1)?, integer(2)?, integer(3)?) else {
            return Ok(None);
        };
        Ok(Some(Self { id, key: Key { part, at, weight, summary } }))
    }

    fn check(&self) -> u32 {
        let mut sum = crc32fast::Hasher::new();
        for word in [self.id, self.key.part, self.key.at, self.key.weight] {
            sum.update(&word.to_le_bytes());
        }
        sum.update(&self.key.summary);
        sum.finalize()
    }
}

impl Tally {
    /// With one more, or without one.
    pub(super) fn count(&mut self, entry: &IndexEntry, rows: i64) {
        self.rows = self.rows.wrapping_add(rows);
        self.weight = self.weight.wrapping_add(entry.key.weight.wrapping_mul(rows));
        self.part ^= entry.key.part;
        self.at ^= entry.key.at;
        self.check = self.check.wrapping_add(i64::from(entry.check()).wrapping_mul(rows));
    }

    /// The key of the one row that `self` has and `found` lacks; `None` when it is not one.
    pub(super) fn lacks(&self, found: &Self) -> Option<(i64, i64)> {
        (self.rows.wrapping_sub(found.rows) == 1).then_some((self.part ^ found.part, self.at ^ found.at))
    }

    fn text(&self) -> String {
        format!("{} {} {} {} {}", self.rows, self.weight, self.part, self.at, self.check)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut next = || words.next()?.parse::<i64>().ok();
        let (rows, weight, part, at, check) = (next()?, next()?, next()?, next()?, next()?);
        Some(Self { rows, weight, part, at, check })
    }
}

/// The tables of which there is one.
pub(super) const TABLES: [Table; COUNT] = [Table::Chunk, Table::Superseded, Table::Gap, Table::Ledger];
const COUNT: usize = 4;
pub(super) const UNKNOWN: Tallies = [None; COUNT];

/// Of each of [`TABLES`], in their order; `None` where it can't be read.
pub(super) type Tallies = [Option<Tally>; COUNT];

/// What is kept of a table: nothing was ever written to one of which nothing is kept. `None` when it can't be read.
pub(super) fn kept(connection: &Connection, table: Table) -> rusqlite::Result<Option<Tally>> {
    let mut statement = connection.prepare_cached("SELECT id, body, sum FROM document WHERE kind = ?1 AND id = ?2")?;
    let found = statement.query_row([KIND, table.name()], |row| documents::sound_text(row, KIND)).optional()?;
    Ok(match found {
        None => Some(Tally::default()),
        Some(text) => text.as_deref().and_then(Tally::parse),
    })
}

pub(super) fn put(transaction: &Transaction<'_>, table: Table, tally: &Tally) -> rusqlite::Result<()> {
    documents::put(transaction, &Document { kind: KIND.into(), id: table.name().into(), body: tally.text() })
}

/// The entries of a table's index, or of its rows themselves, ascending by key; what they come to.
pub(super) fn entries(connection: &Connection, table: Table, source: Source) -> rusqlite::Result<(Vec<Key>, Tally)> {
    let name = table.name();
    let summary = if table.has_summaries() { "summary" } else { "NULL" };
    let how = match source {
        Source::Index => format!("INDEXED BY {name}_keys ORDER BY part, at"),
        Source::Rows => "NOT INDEXED".into(),
    };
    let mut statement = connection.prepare_cached(&format!("SELECT id, part, at, weight, {summary} FROM {name} {how}"))?;
    let mut rows = statement.query([])?;
    let (mut keys, mut tally) = (Vec::new(), Tally::default());
    while let Some(row) = rows.next()? {
        // One that is no entry at all is missing.
        if let Some(entry) = IndexEntry::read(row)? {
            tally.count(&entry, 1);
            keys.push(entry.key);
        }
    }
    if source == Source::Rows {
        keys.sort_by_key(|key| (key.part, key.at));
    }
    Ok((keys, tally))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Index,
    Rows,
}

/// Puts a row into a table of many parts, and counts it.
pub(super) fn insert(transaction: &Transaction<'_>, table: Table, row: &Row, sum: u32, tally: Option<&mut Tally>) -> rusqlite::Result<()> {
    let name = table.name();
    if table.has_summaries() {
        let sql = format!("INSERT INTO {name}(part, at, weight, body, summary) VALUES(?1, ?2, ?3, ?4, ?5)");
        transaction.prepare_cached(&sql)?.execute(params![row.part, row.at, row.weight, row.body, row.summary])?;
    } else {
        let sql = format!("INSERT INTO {name}(part, at, weight, body, sum) VALUES(?1, ?2, ?3, ?4, ?5)");
        transaction.prepare_cached(&sql)?.execute(params![row.part, row.at, row.weight, row.body, sum])?;
    }
    if let Some(tally) = tally {
        let key = Key { part: row.part, at: row.at, weight: row.weight, summary: row.summary.clone() };
        tally.count(&IndexEntry { id: transaction.last_insert_rowid(), key }, 1);
    }
    Ok(())
}

/// Takes rows out, and counts them.
pub(super) fn delete(
    transaction: &Transaction<'_>,
    table: Table,
    (condition, part, at): (&str, i64, i64),
    tally: Option<&mut Tally>,
) -> rusqlite::Result<()> {
    let name = table.name();
    let Some(tally) = tally else {
        return transaction.prepare_cached(&format!("DELETE FROM {name} WHERE {condition}"))?.execute(params![part, at]).map(|_| ());
    };
    // As the index has them: that is what was counted.
    let summary = if table.has_summaries() { "summary" } else { "NULL" };
    let sql = format!("SELECT id, part, at, weight, {summary} FROM {name} INDEXED BY {name}_keys WHERE {condition}");
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query(params![part, at])?;
    let mut any = false;
    while let Some(row) = rows.next()? {
        any = true;
        if let Some(entry) = IndexEntry::read(row)? {
            tally.count(&entry, -1);
        }
    }
    drop(rows);
    if any {
        transaction.prepare_cached(&format!("DELETE FROM {name} WHERE {condition}"))?.execute(params![part, at])?;
    }
    Ok(())
}
