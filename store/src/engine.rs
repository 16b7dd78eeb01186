//! Where opaque rows are kept: rows in, rows out, one durable commit. Knows nothing of observations.
//!
//! Public so that the torture harness can put a disk of its own making under the whole store ([`crate::Store::open_on`]): one that loses
//! power, tears, flips bits and fills up as its seed says. The product itself only ever uses SQLite, and tests memory.

mod damage;
mod documents;
mod memory;
mod schema;
mod sqlite;
mod sums;
mod tally;
#[cfg(test)]
mod tests;
mod wal_mark;
mod write;

pub use damage::Damaged;
pub use memory::Memory;
pub(crate) use sqlite::Sqlite;
pub(crate) use sums::{Place, of_row as checksum};

use crate::Error;
use crate::disk::Room;
use std::path::Path;

/// The tables of rows with two whole numbers as key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Commits that are not yet wholly in chunks; part 0, at = commit.
    Log,
    /// Sealed observations; part = datastream, at = first time in µs.
    Chunk,
    /// What a revision replaced; part = datastream, at = commit.
    Superseded,
    /// Refused messages; part 0, at = number.
    Quarantine,
    /// Failed polls; part = datastream, at = first time in µs.
    Gap,
    /// Civil days that were over when something of them was committed; part 0, at = commit.
    Late,
    /// Published files; part 0, at = number.
    File,
    /// What became of what a device sent; part = civil day since 1970, at = the device's number in the ledger.
    Ledger,
    /// Payloads of devices whose bytes are laid out by a profile, to be read again; part = the device's number in the ledger, at =
    /// receipt in µs.
    Payload,
    /// Who changed what, and why; part 0, at = number.
    Audit,
    /// What an edge has not yet handed to its centre; part 0, at = sequence.
    Outbox,
}

impl Table {
    pub const ALL: [Self; 11] = [
        Self::Log,
        Self::Chunk,
        Self::Superseded,
        Self::Quarantine,
        Self::Gap,
        Self::Late,
        Self::File,
        Self::Ledger,
        Self::Payload,
        Self::Audit,
        Self::Outbox,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Chunk => "chunk",
            Self::Superseded => "superseded",
            Self::Quarantine => "quarantine",
            Self::Gap => "gap",
            Self::Late => "late",
            Self::File => "file",
            Self::Ledger => "ledger",
            Self::Payload => "payload",
            Self::Audit => "audit",
            Self::Outbox => "outbox",
        }
    }
    /// Every row has part 0.
    pub const fn is_single_part(self) -> bool {
        matches!(self, Self::Log | Self::Quarantine | Self::Late | Self::File | Self::Audit | Self::Outbox)
    }
    /// The bytes of a row carry a checksum of their own; all others have one beside them.
    pub const fn has_own_sum(self) -> bool {
        matches!(self, Self::Log | Self::Chunk)
    }
    /// Rows may have a summary.
    pub const fn has_summaries(self) -> bool {
        matches!(self, Self::Chunk)
    }
}

/// A row of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub part: i64,
    pub at: i64,
    /// A count kept beside the key, read without the body.
    pub weight: i64,
    /// A few bytes kept beside the key, read with it by [`Engine::keys`] and only there. Of chunks; empty in other tables.
    pub summary: Vec<u8>,
    pub body: Vec<u8>,
}

/// A row's key and what stands beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub part: i64,
    pub at: i64,
    pub weight: i64,
    /// Empty where a row was written without one.
    pub summary: Vec<u8>,
}

/// A named text: the registry's entries, tokens, session marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub kind: String,
    pub id: String,
    pub body: String,
}

/// One change of a commit.
#[derive(Debug, Clone)]
pub enum Change {
    /// Replaces a row of the same key.
    Put {
        table: Table,
        row: Row,
    },
    Delete {
        table: Table,
        part: i64,
        at: i64,
    },
    /// Deletes every row of the part up to and with `at`.
    DropThrough {
        table: Table,
        part: i64,
        at: i64,
    },
    PutDocument(Document),
    DeleteDocument {
        kind: &'static str,
        id: String,
    },
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// Keys of one part, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub part: i64,
    pub from: i64,
    pub to: i64,
}

/// How far one looks for damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Documents of kinds that nobody has asked for yet: all that are there were then looked at.
    Documents,
    /// Every row and document that has a checksum beside it.
    All,
}

pub trait Engine: Send + Sync + 'static {
    /// All changes or none, on disk and synced when it returns `Ok`. Called by one writer at a time.
    ///
    /// # Errors
    /// [`Error::Full`]: nothing was written, go on later. [`Error::Poisoned`]: a write or sync failed, never commit again.
    fn commit(&self, changes: &[Change]) -> Result<(), Error>;
    /// At most `limit` rows of the span. What is damaged is left out and noted.
    fn range(&self, table: Table, span: Span, order: Order, limit: usize) -> Result<Vec<Row>, Error>;
    /// As an ascending [`Engine::range`], but begins with the last row at or before `span.from`, if there is one.
    fn covering(&self, table: Table, span: Span, limit: usize) -> Result<Vec<Row>, Error>;
    /// Every key of a table of many parts, ascending.
    fn keys(&self, table: Table) -> Result<Vec<Key>, Error>;
    /// Those of a kind, by id. What is damaged in every copy is left out and noted.
    fn documents(&self, kind: &str) -> Result<Vec<Document>, Error>;
    /// Notes what is damaged.
    fn look_over(&self, _: Depth) -> Result<(), Error> {
        Ok(())
    }
    /// What reading found to be damaged so far, and nothing took the place of.
    fn damaged(&self) -> Vec<Damaged> {
        Vec::new()
    }
    /// Writes anew what is damaged and can be made from what is sound: second copies, an index. How many.
    fn mend(&self) -> Result<u64, Error> {
        Ok(0)
    }
    /// Takes what is there for all there is: what was missing has been taken in from elsewhere, or is given up.
    fn recount(&self) -> Result<(), Error> {
        Ok(())
    }
    /// Whether what was committed to a write-ahead log is not there, for it was removed, or the file was copied without it.
    fn lacks_log(&self) -> bool {
        false
    }
    /// The greatest number that a record of the log must have; 0 where that is not known.
    fn last_record(&self) -> i64 {
        0
    }
    /// As [`Engine::settle`], when nothing will be committed any more.
    fn close(&self) -> Result<(), Error> {
        self.settle()
    }
    /// Bytes that it takes on disk, write-ahead log included.
    fn disk_bytes(&self) -> u64;
    /// Room on its disk; `None` where there is none.
    fn room(&self) -> Option<Room>;
    /// Gives freed space back and empties the write-ahead log; for backups, benches and a quiet end.
    fn settle(&self) -> Result<(), Error>;
    /// Writes all that is committed at one moment into a new file, beside a writer that goes on. Synced when it returns `Ok`.
    fn copy_to(&self, path: &Path) -> Result<(), Error>;
}

/// Ids of the documents of a kind that can't be read, as far as they can be told. The kind must have been asked for before.
pub(crate) fn unreadable(engine: &dyn Engine, kind: &str) -> Vec<String> {
    let of_kind = |damaged| match damaged {
        Damaged::Document { kind: of, id } if of == kind => Some(id),
        _ => None,
    };
    engine.damaged().into_iter().filter_map(of_kind).collect()
}

/// Where the damaged rows of one part of a table stand, as far as reading came upon them.
pub(crate) fn damaged_rows(engine: &dyn Engine, table: Table, part: i64) -> Vec<i64> {
    let of_part = |damaged| match damaged {
        Damaged::Row { table: of, part: within, at } if of == table && within == part => Some(at),
        _ => None,
    };
    engine.damaged().into_iter().filter_map(of_part).collect()
}

/// The greatest key of a table of one part, damaged or not; 0 without a row.
pub(crate) fn last_at(engine: &dyn Engine, table: Table) -> Result<i64, Error> {
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    let last = engine.range(table, all, Order::Descending, 1)?.first().map_or(0, |row| row.at);
    Ok(damaged_rows(engine, table, 0).into_iter().fold(last, i64::max))
}
