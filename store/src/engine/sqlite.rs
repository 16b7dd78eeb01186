use super::{Change, Document, Engine, Key, Order, Row, Span, Table};
use crate::Error;
use crate::disk::Room;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// "Pesc", so that `file store.db` can tell whose it is.
const APPLICATION_ID: i64 = 0x5065_7363;
/// The format of the tables. Grows when an older pescaia could not read them.
/// 2: tables `late` and `file`. 3: `ledger`, `payload`, `audit`, `outbox`; log records may end with lines of the ledger. 4: log records of
/// version 2; a summary beside the key of a chunk.
const FORMAT: i64 = 4;
/// Since then chunks have a summary.
const SUMMARIES: i64 = 4;
/// Pages in the write-ahead log after which the writer moves them into the database, between two commits: many, for a page of the log
/// table that was written and freed in between is then written once.
const CHECKPOINT_PAGES: u32 = 8192;
/// Commits after which it is looked how many there are.
const LOOK_COMMITS: u64 = 16;

/// Rows in one SQLite file: write-ahead log, `synchronous=FULL`, so that a commit is one synced append.
pub(crate) struct Sqlite {
    path: PathBuf,
    /// What the file is of; a snapshot is not brought up to ours.
    format: i64,
    writer: Mutex<Writer>,
    readers: Mutex<Vec<Connection>>,
}

struct Writer {
    connection: Connection,
    commits: u64,
    poisoned: Option<String>,
}

impl Sqlite {
    /// Opens or makes the file; what a crash left in the write-ahead log is in the database and synced when it returns.
    ///
    /// # Errors
    /// [`Error::Foreign`], [`Error::Newer`]: not touched. [`Error::Io`] otherwise.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Error::Foreign { path: path.to_owned() },
            _ => io("opening the database", &cause),
        };
        let fresh = std::fs::metadata(path).map_or(true, |found| found.len() == 0);
        let connection = Connection::open(path).map_err(failed)?;
        let mut found = 0;
        if fresh {
            connection.pragma_update(None, "page_size", 4096).map_err(failed)?;
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
            connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        } else {
            found = recognise(&connection, path)?;
        }
        connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(())).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
        // What is deleted is overwritten within its page; whole free pages are given back by `settle`.
        connection.query_row("PRAGMA secure_delete=FAST", [], |_| Ok(())).map_err(failed)?;
        connection.pragma_update(None, "cache_size", -32_768).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.execute_batch(&schema(found)).map_err(failed)?;
        checkpoint(&connection, "TRUNCATE").map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            format: FORMAT,
            writer: Mutex::new(Writer { connection, commits: 0, poisoned: None }),
            readers: Mutex::new(Vec::new()),
        })
    }

    /// Opens a file to look at it, as it is at this moment: a backup, or the store of an instance that goes on beside. Nothing can
    /// be committed to it. Also says what SQLite itself finds wrong with the file.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub(crate) fn snapshot(path: &Path) -> Result<(Self, Vec<String>), Error> {
        if !path.is_file() {
            return Err(Error::Io { action: format!("opening {}", path.display()), cause: "there is no such file".into() });
        }
        let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Error::Foreign { path: path.to_owned() },
            _ => io(&format!("opening {}", path.display()), &cause),
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || Connection::open_with_flags(path, flags).map_err(failed);
        let reader = open()?;
        reader.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
        reader.execute_batch("BEGIN").map_err(failed)?;
        let format = recognise(&reader, path)?;
        let mut faults = Vec::new();
        let checked = (|| {
            let mut statement = reader.prepare("PRAGMA integrity_check(20)")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                faults.push(row.get::<_, String>(0)?);
            }
            Ok(())
        })();
        match checked {
            Ok(()) => faults.retain(|fault| fault != "ok"),
            Err::<(), rusqlite::Error>(cause) => faults.push(cause.to_string()),
        }
        let writer = Writer { connection: open()?, commits: 0, poisoned: Some("it is open to be read only".into()) };
        Ok((Self { path: path.to_owned(), format, writer: Mutex::new(writer), readers: Mutex::new(vec![reader]) }, faults))
    }

    fn reading<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let spare = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match spare {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags).map_err(|cause| io("reading", &cause))?;
                connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(|cause| io("reading", &cause))?;
                connection
            }
        };
        let answer = read(&connection).map_err(|cause| io("reading", &cause));
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }
}

impl Sqlite {
    fn rows(&self, sql: &str, span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![span.part, span.from, span.to, limit], |row| {
                Ok(Row { part: span.part, at: row.get(0)?, weight: row.get(1)?, summary: Vec::new(), body: row.get(2)? })
            })?;
            rows.collect()
        })
    }
}

/// Name of the table, its condition on the part in `?1`, and its weight.
fn words(table: Table) -> (&'static str, &'static str, &'static str) {
    if table.is_single_part() { (table.name(), "?1 = 0", "0") } else { (table.name(), "part = ?1", "weight") }
}

impl Engine for Sqlite {
    fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let commit = writer.commits;
        if let Some(cause) = &writer.poisoned {
            return Err(Error::Poisoned { commit, cause: cause.clone() });
        }
        // Found before the write: what frees room still has some to work with.
        let adds = changes.iter().any(|change| matches!(change, Change::Put { .. } | Change::PutDocument(_)));
        if adds && self.room().is_some_and(|room| room.is_short()) {
            return Err(Error::Full);
        }
        let outcome = write(&mut writer.connection, changes).and_then(|()| {
            let is_looked_at = commit % LOOK_COMMITS == LOOK_COMMITS - 1;
            let is_long = is_looked_at && wal_pages(&self.path) > CHECKPOINT_PAGES;
            if is_long { checkpoint(&writer.connection, "PASSIVE") } else { Ok(()) }
        });
        match outcome {
            Ok(()) => {
                writer.commits += 1;
                Ok(())
            }
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::DiskFull) => Err(Error::Full),
            Err(cause) => {
                writer.poisoned = Some(cause.to_string());
                Err(Error::Poisoned { commit, cause: cause.to_string() })
            }
        }
    }

    fn range(&self, table: Table, span: Span, order: Order, limit: usize) -> Result<Vec<Row>, Error> {
        let order = if order == Order::Ascending { "ASC" } else { "DESC" };
        let (name, of_part, weight) = words(table);
        let sql = format!("SELECT at, {weight}, body FROM {name} WHERE {of_part} AND at BETWEEN ?2 AND ?3 ORDER BY at {order} LIMIT ?4");
        self.rows(&sql, span, limit)
    }

    fn covering(&self, table: Table, span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        let (name, of_part, weight) = words(table);
        let sql = format!(
            "SELECT at, {weight}, body FROM {name} WHERE {of_part} AND at BETWEEN \
             coalesce((SELECT max(at) FROM {name} WHERE {of_part} AND at <= ?2), ?2) AND ?3 ORDER BY at LIMIT ?4"
        );
        self.rows(&sql, span, limit)
    }

    fn keys(&self, table: Table) -> Result<Vec<Key>, Error> {
        let summary = if table.has_summaries() && self.format >= SUMMARIES { "summary" } else { "NULL" };
        let sql = format!("SELECT part, at, weight, {summary} FROM {} ORDER BY part, at", table.name());
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let keys = statement.query_map([], |row| {
                let summary = row.get::<_, Option<Vec<u8>>>(3)?.unwrap_or_default();
                Ok(Key { part: row.get(0)?, at: row.get(1)?, weight: row.get(2)?, summary })
            })?;
            keys.collect()
        })
    }

    fn documents(&self, kind: &str) -> Result<Vec<Document>, Error> {
        self.reading(|connection| {
            let mut statement = connection.prepare_cached("SELECT id, body FROM document WHERE kind = ?1 ORDER BY id")?;
            let rows = statement.query_map([kind], |row| Ok(Document { kind: kind.to_owned(), id: row.get(0)?, body: row.get(1)? }))?;
            rows.collect()
        })
    }

    fn disk_bytes(&self) -> u64 {
        let length = |suffix: &str| {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            std::fs::metadata(path).map_or(0, |found| found.len())
        };
        length("") + length("-wal")
    }

    fn room(&self) -> Option<Room> {
        Room::at(self.path.parent()?).ok()
    }

    fn settle(&self) -> Result<(), Error> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = (|| {
            let mut vacuum = writer.connection.prepare("PRAGMA incremental_vacuum")?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
            drop(rows);
            checkpoint(&writer.connection, "TRUNCATE")
        })();
        settled.map_err(|cause| io("settling the database", &cause))
    }

    fn copy_to(&self, path: &Path) -> Result<(), Error> {
        // A file of its own, compact, of one moment; whoever reads it needs no write-ahead log.
        let target = path.display().to_string();
        self.reading(|connection| connection.execute("VACUUM INTO ?1", [&target]))?;
        let sync = || std::fs::File::open(path)?.sync_all();
        sync().map_err(|cause| Error::Io { action: format!("syncing {target}"), cause: cause.to_string() })
    }
}

/// The format of the file, if it is ours and this pescaia knows it.
fn recognise(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::Foreign { path: path.to_owned() },
        _ => io("opening the database", &cause),
    };
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).map_err(failed);
    if pragma("application_id")? != APPLICATION_ID {
        return Err(Error::Foreign { path: path.to_owned() });
    }
    let found = pragma("user_version")?;
    if found > FORMAT {
        return Err(Error::Newer { found, known: FORMAT });
    }
    Ok(found)
}

/// Fails with the cause as text: the operating system's words reach the person who mends it.
fn io(action: &str, cause: &rusqlite::Error) -> Error {
    Error::Io { action: action.to_owned(), cause: cause.to_string() }
}

/// Pages in the write-ahead log now: its file stays as long as it ever was. They are counted in the header of its index, which is
/// documented (<https://sqlite.org/walformat.html>, `mxFrame`).
fn wal_pages(path: &Path) -> u32 {
    let mut index = path.as_os_str().to_owned();
    index.push("-shm");
    let mut pages = [0; 4];
    let read = std::fs::File::open(index).and_then(|index| index.read_exact_at(&mut pages, 16));
    read.map_or(u32::MAX, |()| u32::from_ne_bytes(pages))
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).optional().map(|_| ())
}

/// What is missing in a file of this format; 0 is an empty one.
fn schema(found: i64) -> String {
    let mut sql = String::from("BEGIN;");
    if (1..SUMMARIES).contains(&found) {
        sql += "ALTER TABLE chunk ADD COLUMN summary BLOB; DROP INDEX chunk_key;";
    }
    for table in Table::ALL {
        let name = table.name();
        if table.is_single_part() {
            sql += &format!("CREATE TABLE IF NOT EXISTS {name}(at INTEGER PRIMARY KEY, body BLOB NOT NULL);");
        } else if table.has_summaries() {
            sql += &format!(
                "CREATE TABLE IF NOT EXISTS {name}(part INTEGER NOT NULL, at INTEGER NOT NULL, \
                 weight INTEGER NOT NULL, body BLOB NOT NULL, summary BLOB);\
                 CREATE UNIQUE INDEX IF NOT EXISTS {name}_keys ON {name}(part, at, weight, summary);"
            );
        } else {
            sql += &format!(
                "CREATE TABLE IF NOT EXISTS {name}(part INTEGER NOT NULL, at INTEGER NOT NULL, \
                 weight INTEGER NOT NULL, body BLOB NOT NULL);\
                 CREATE UNIQUE INDEX IF NOT EXISTS {name}_key ON {name}(part, at, weight);"
            );
        }
    }
    sql += "CREATE TABLE IF NOT EXISTS document(kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, \
            PRIMARY KEY(kind, id)) WITHOUT ROWID;";
    sql += &format!("PRAGMA user_version={FORMAT}; COMMIT;");
    sql
}

fn write(connection: &mut Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in changes {
        match change {
            Change::Put { table, row } if table.is_single_part() => {
                let sql = format!("INSERT OR REPLACE INTO {}(at, body) VALUES(?1, ?2)", table.name());
                transaction.prepare_cached(&sql)?.execute(params![row.at, row.body])?;
            }
            Change::Put { table, row } => {
                // The weight is part of the index, so that counting reads no body: replace by hand.
                delete(&transaction, *table, row.part, row.at, "=")?;
                if table.has_summaries() {
                    let sql = format!("INSERT INTO {}(part, at, weight, body, summary) VALUES(?1, ?2, ?3, ?4, ?5)", table.name());
                    transaction.prepare_cached(&sql)?.execute(params![row.part, row.at, row.weight, row.body, row.summary])?;
                } else {
                    let sql = format!("INSERT INTO {}(part, at, weight, body) VALUES(?1, ?2, ?3, ?4)", table.name());
                    transaction.prepare_cached(&sql)?.execute(params![row.part, row.at, row.weight, row.body])?;
                }
            }
            Change::Delete { table, part, at } => delete(&transaction, *table, *part, *at, "=")?,
            Change::DropThrough { table, part, at } => delete(&transaction, *table, *part, *at, "<=")?,
            Change::PutDocument(document) => {
                let sql = "INSERT OR REPLACE INTO document(kind, id, body) VALUES(?1, ?2, ?3)";
                transaction.prepare_cached(sql)?.execute(params![document.kind, document.id, document.body])?;
            }
            Change::DeleteDocument { kind, id } => {
                transaction.prepare_cached("DELETE FROM document WHERE kind = ?1 AND id = ?2")?.execute(params![kind, id])?;
            }
        }
    }
    transaction.commit()
}

fn delete(transaction: &rusqlite::Transaction<'_>, table: Table, part: i64, at: i64, compare: &str) -> rusqlite::Result<()> {
    let (name, of_part, _) = words(table);
    let sql = format!("DELETE FROM {name} WHERE {of_part} AND at {compare} ?2");
    transaction.prepare_cached(&sql)?.execute(params![part, at]).map(|_| ())
}
