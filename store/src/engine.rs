//! Where opaque rows are kept: rows in, rows out, one durable commit. Knows nothing of observations.
//!
//! Public so that the torture harness can put a disk of its own making under the whole store ([`crate::Store::open_on`]): one that loses
//! power, tears, flips bits and fills up as its seed says. The product itself only ever uses SQLite, and tests memory.

mod memory;
mod sqlite;

pub use memory::Memory;
pub(crate) use sqlite::Sqlite;

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

pub trait Engine: Send + Sync + 'static {
    /// All changes or none, on disk and synced when it returns `Ok`. Called by one writer at a time.
    ///
    /// # Errors
    /// [`Error::Full`]: nothing was written, go on later. [`Error::Poisoned`]: a write or sync failed, never commit again.
    fn commit(&self, changes: &[Change]) -> Result<(), Error>;
    /// At most `limit` rows of the span.
    fn range(&self, table: Table, span: Span, order: Order, limit: usize) -> Result<Vec<Row>, Error>;
    /// As an ascending [`Engine::range`], but begins with the last row at or before `span.from`, if there is one.
    fn covering(&self, table: Table, span: Span, limit: usize) -> Result<Vec<Row>, Error>;
    /// Every key of a table of many parts, ascending.
    fn keys(&self, table: Table) -> Result<Vec<Key>, Error>;
    fn documents(&self, kind: &str) -> Result<Vec<Document>, Error>;
    /// Bytes that it takes on disk, write-ahead log included.
    fn disk_bytes(&self) -> u64;
    /// Room on its disk; `None` where there is none.
    fn room(&self) -> Option<Room>;
    /// Gives freed space back and empties the write-ahead log; for backups, benches and a quiet end.
    fn settle(&self) -> Result<(), Error>;
    /// Writes all that is committed at one moment into a new file, beside a writer that goes on. Synced when it returns `Ok`.
    fn copy_to(&self, path: &Path) -> Result<(), Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: Table, part: i64, at: i64, body: &str) -> Change {
        let summary = if table.has_summaries() { vec![7, 0, 9] } else { Vec::new() };
        Change::Put { table, row: Row { part, at, weight: 3, summary, body: body.into() } }
    }

    fn keys(engine: &dyn Engine, table: Table, span: Span, order: Order, limit: usize) -> Vec<i64> {
        engine.range(table, span, order, limit).expect("range").iter().map(|row| row.at).collect()
    }

    /// What every engine does alike.
    fn check(engine: &dyn Engine) {
        let all = |part| Span { part, from: i64::MIN, to: i64::MAX };
        engine
            .commit(&[
                put(Table::Chunk, 1, -5, "a"),
                put(Table::Chunk, 1, 7, "b"),
                put(Table::Chunk, 2, 7, "c"),
                put(Table::Log, 0, 1, "l1"),
                put(Table::Log, 0, 2, "l2"),
            ])
            .expect("commit");
        assert_eq!(keys(engine, Table::Chunk, all(1), Order::Ascending, 9), [-5, 7]);
        assert_eq!(keys(engine, Table::Chunk, all(1), Order::Descending, 1), [7]);
        assert_eq!(keys(engine, Table::Chunk, Span { part: 1, from: -5, to: 6 }, Order::Ascending, 9), [-5]);
        let covering = |from, to| {
            let rows = engine.covering(Table::Chunk, Span { part: 1, from, to }, 9).expect("covering");
            rows.iter().map(|row| row.at).collect::<Vec<_>>()
        };
        assert_eq!((covering(0, 6), covering(-9, 6), covering(7, 9), covering(-9, -6)), (vec![-5], vec![-5], vec![7], vec![]));
        let key = |part, at| Key { part, at, weight: 3, summary: vec![7, 0, 9] };
        assert_eq!(engine.keys(Table::Chunk).expect("keys"), [key(1, -5), key(1, 7), key(2, 7)]);
        engine
            .commit(&[
                put(Table::Chunk, 1, 7, "b2"),
                Change::Delete { table: Table::Chunk, part: 1, at: -5 },
                Change::DropThrough { table: Table::Log, part: 0, at: 1 },
                Change::PutDocument(Document { kind: "token".into(), id: "x".into(), body: "1".into() }),
                Change::PutDocument(Document { kind: "token".into(), id: "y".into(), body: "2".into() }),
                Change::DeleteDocument { kind: "token", id: "x".into() },
            ])
            .expect("commit");
        let left = engine.range(Table::Chunk, all(1), Order::Ascending, 9).expect("range");
        assert_eq!(left, [Row { part: 1, at: 7, weight: 3, summary: Vec::new(), body: b"b2".to_vec() }]);
        assert_eq!(keys(engine, Table::Log, all(0), Order::Ascending, 9), [2]);
        let tokens = engine.documents("token").expect("documents");
        assert_eq!(tokens.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), ["y"]);
    }

    #[test]
    fn memory_and_sqlite_do_alike() {
        check(&Memory::default());
        let dir = std::env::temp_dir().join(format!("pescaia-engine-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        check(&Sqlite::open(&dir.join("store.db")).expect("open"));
        std::fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn a_store_of_format_1_is_taken_over_with_what_it_holds() {
        let dir = std::env::temp_dir().join(format!("pescaia-format-1-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("store.db");
        Sqlite::open(&path).expect("open").commit(&[put(Table::Chunk, 1, 7, "old")]).expect("commit");
        let raw = rusqlite::Connection::open(&path).expect("raw");
        raw.execute_batch(
            "DROP TABLE late; DROP TABLE file; DROP TABLE ledger; DROP TABLE payload; DROP TABLE audit; DROP TABLE outbox;
             DROP INDEX chunk_keys; ALTER TABLE chunk DROP COLUMN summary; CREATE UNIQUE INDEX chunk_key ON chunk(part, at, weight);
             PRAGMA user_version=1;",
        )
        .expect("as format 1 was");
        drop(raw);
        let engine = Sqlite::open(&path).expect("taken over");
        engine.commit(&[put(Table::Late, 0, 1, "mark"), put(Table::File, 0, 1, "bytes")]).expect("commit");
        let all = |part| Span { part, from: i64::MIN, to: i64::MAX };
        assert_eq!(keys(&engine, Table::Chunk, all(1), Order::Ascending, 9), [7]);
        assert_eq!(keys(&engine, Table::Late, all(0), Order::Ascending, 9), [1]);
        let old = Key { part: 1, at: 7, weight: 3, summary: Vec::new() };
        assert_eq!(engine.keys(Table::Chunk).expect("keys"), [old]);
        drop(engine);
        let raw = rusqlite::Connection::open(&path).expect("raw");
        assert_eq!(raw.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).expect("pragma"), 4);
        std::fs::remove_dir_all(&dir).expect("clean up");
    }

    #[test]
    fn a_foreign_and_a_newer_database_are_refused_and_left_alone() {
        let dir = std::env::temp_dir().join(format!("pescaia-foreign-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("store.db");
        std::fs::write(&path, b"not a database at all, but long enough to be read as one").expect("write");
        assert!(matches!(Sqlite::open(&path), Err(Error::Foreign { .. })));
        std::fs::remove_file(&path).expect("remove");
        drop(Sqlite::open(&path).expect("open"));
        let raw = rusqlite::Connection::open(&path).expect("raw");
        raw.pragma_update(None, "user_version", 99).expect("pragma");
        drop(raw);
        assert!(matches!(Sqlite::open(&path), Err(Error::Newer { found: 99, .. })));
        std::fs::remove_dir_all(&dir).expect("clean up");
    }
}
