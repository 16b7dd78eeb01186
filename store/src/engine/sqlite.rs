use super::damage::Noted;
use super::upgrade::{SUMMARIES, SUMS, begin, upgrade};
use super::{Change, Damaged, Depth, Document, Engine, Key, Order, Row, Span, Table, documents, sums};
use crate::Error;
use crate::disk::Room;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// "Pesc", so that `file store.db` can tell whose it is.
pub(super) const APPLICATION_ID: i64 = 0x5065_7363;
/// The format of the tables. Grows when an older pescaia could not read them.
/// 2: tables `late` and `file`. 3: `ledger`, `payload`, `audit`, `outbox`; log records may end with lines of the ledger. 4: log records of
/// version 2; a summary beside the key of a chunk. 5: a checksum beside rows and documents; `spare`, second copies of documents.
pub(super) const FORMAT: i64 = 5;
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
    noted: Noted,
    /// Kinds of documents that were asked for: what is damaged among them is noted.
    asked: Mutex<BTreeSet<String>>,
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
        match std::fs::metadata(path) {
            // SQLite would take it for a new one, and drop what lies in a log beside it.
            Ok(found) if found.len() == 0 => return Err(Error::Empty { path: path.to_owned() }),
            Ok(_) => {}
            Err(_) => begin(path)?,
        }
        let mut connection = Connection::open(path).map_err(failed)?;
        let found = recognise(&connection, path)?;
        connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(())).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
        // What is deleted is overwritten within its page; whole free pages are given back by `settle`.
        connection.query_row("PRAGMA secure_delete=FAST", [], |_| Ok(())).map_err(failed)?;
        connection.pragma_update(None, "cache_size", -32_768).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        upgrade(&mut connection, found).map_err(|cause| match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) if found < FORMAT => {
                let cause = "database or disk is full: every row gets a checksum once, which takes as much room as all that is not observations has; free some space and start again, nothing was changed".into();
                Error::Io { action: format!("taking over the store of format {found} in"), cause }
            }
            _ => failed(cause),
        })?;
        checkpoint(&connection, "TRUNCATE").map_err(failed)?;
        Ok(Self::of(path, FORMAT, Writer { connection, commits: 0, poisoned: None }, Vec::new()))
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
        if std::fs::metadata(path).is_ok_and(|found| found.len() == 0) {
            return Err(Error::Empty { path: path.to_owned() });
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
        Ok((Self::of(path, format, writer, vec![reader]), faults))
    }

    fn of(path: &Path, format: i64, writer: Writer, readers: Vec<Connection>) -> Self {
        let (noted, asked) = (Noted::default(), Mutex::default());
        Self { path: path.to_owned(), format, writer: Mutex::new(writer), readers: Mutex::new(readers), noted, asked }
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
    fn has_sums(&self, table: Table) -> bool {
        self.format >= SUMS && !table.has_own_sum()
    }

    /// The sound rows of a statement that gives the place, the weight, the body and the checksum; the damaged are noted.
    fn rows(&self, table: Table, (from, end): (&str, &str), span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        let (name, _, weight) = words(table);
        let sum = if self.has_sums(table) { "sum" } else { "NULL" };
        let sql = format!("SELECT at, {weight}, body, {sum} FROM {name} WHERE {from} ORDER BY {end}");
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = statement.query(params![span.part, span.from, span.to])?;
            let mut rows = Vec::new();
            while rows.len() < limit
                && let Some(row) = found.next()?
            {
                match self.sound(table, span.part, row)? {
                    Ok(row) => rows.push(row),
                    Err(at) => self.noted.note(Damaged::Row { table, part: span.part, at }),
                }
            }
            Ok(rows)
        })
    }

    /// A row as it was written, or where it stands.
    fn sound(&self, table: Table, part: i64, row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Row, i64>> {
        let integer = |column| row.get_ref(column).map(|value| value.as_i64().ok());
        let (at, weight) = (integer(0)?, integer(1)?);
        let body = row.get_ref(2)?.as_bytes().ok();
        let (Some(at), Some(weight), Some(body)) = (at, weight, body) else { return Ok(Err(at.unwrap_or(0))) };
        let is_sound =
            || matches!(row.get_ref(3), Ok(ValueRef::Integer(sum)) if sum == i64::from(sums::of_row(table, [part, at, weight], body)));
        if self.has_sums(table) && !is_sound() {
            return Ok(Err(at));
        }
        Ok(Ok(Row { part, at, weight, summary: Vec::new(), body: body.to_vec() }))
    }

    /// Notes what is damaged in a whole table.
    fn look_over_table(&self, table: Table) -> Result<(), Error> {
        let (name, _, weight) = words(table);
        let part = if table.is_single_part() { "0" } else { "part" };
        let sql = format!("SELECT at, {weight}, body, sum, {part} FROM {name}");
        self.reading(|connection| {
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let part = row.get_ref(4)?.as_i64().unwrap_or(0);
                if let Err(at) = self.sound(table, part, row)? {
                    self.noted.note(Damaged::Row { table, part, at });
                }
            }
            Ok(())
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
                self.noted.committed(changes);
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
        let order = if order == Order::Ascending { "at ASC" } else { "at DESC" };
        let (_, of_part, _) = words(table);
        self.rows(table, (&format!("{of_part} AND at BETWEEN ?2 AND ?3"), order), span, limit)
    }

    fn covering(&self, table: Table, span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        let (name, of_part, _) = words(table);
        let first = format!("coalesce((SELECT max(at) FROM {name} WHERE {of_part} AND at <= ?2), ?2)");
        self.rows(table, (&format!("{of_part} AND at BETWEEN {first} AND ?3"), "at"), span, limit)
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
        if self.format < SUMS {
            return self.reading(|connection| documents::read_unsummed(connection, kind));
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.contains(kind) {
            asked.insert(kind.to_owned());
        }
        drop(asked);
        self.reading(|connection| documents::read(connection, kind, &self.noted))
    }

    fn look_over(&self, depth: Depth) -> Result<(), Error> {
        if self.format < SUMS {
            return Ok(());
        }
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kinds = self.reading(documents::kinds)?;
        for kind in kinds.difference(&asked) {
            self.documents(kind)?;
        }
        if kinds.contains(documents::NAMELESS) {
            self.reading(|connection| documents::note_nameless(connection, &self.noted))?;
        }
        if depth == Depth::All {
            for table in Table::ALL.into_iter().filter(|table| self.has_sums(*table)) {
                self.look_over_table(table)?;
            }
        }
        Ok(())
    }

    fn damaged(&self) -> Vec<Damaged> {
        self.noted.all()
    }

    fn mend(&self) -> Result<u64, Error> {
        if !self.noted.all().iter().any(|damaged| matches!(damaged, Damaged::Copy { .. })) {
            return Ok(0);
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mended = (|| {
            let transaction = writer.connection.transaction()?;
            let mended = documents::mend(&transaction)?;
            transaction.commit().map(|()| mended)
        })();
        mended.map_err(|cause| io("mending what is damaged", &cause))
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

fn write(connection: &mut Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in changes {
        match change {
            Change::Put { table, row } => {
                let sum = || sums::of_row(*table, [row.part, row.at, if table.is_single_part() { 0 } else { row.weight }], &row.body);
                let name = table.name();
                if table.is_single_part() && table.has_own_sum() {
                    let sql = format!("INSERT OR REPLACE INTO {name}(at, body) VALUES(?1, ?2)");
                    transaction.prepare_cached(&sql)?.execute(params![row.at, row.body])?;
                } else if table.is_single_part() {
                    let sql = format!("INSERT OR REPLACE INTO {name}(at, body, sum) VALUES(?1, ?2, ?3)");
                    transaction.prepare_cached(&sql)?.execute(params![row.at, row.body, sum()])?;
                } else {
                    // The weight is part of the index, so that counting reads no body: replace by hand.
                    delete(&transaction, *table, row.part, row.at, "=")?;
                    if table.has_summaries() {
                        let sql = format!("INSERT INTO {name}(part, at, weight, body, summary) VALUES(?1, ?2, ?3, ?4, ?5)");
                        let values = params![row.part, row.at, row.weight, row.body, row.summary];
                        transaction.prepare_cached(&sql)?.execute(values)?;
                    } else {
                        let sql = format!("INSERT INTO {name}(part, at, weight, body, sum) VALUES(?1, ?2, ?3, ?4, ?5)");
                        transaction.prepare_cached(&sql)?.execute(params![row.part, row.at, row.weight, row.body, sum()])?;
                    }
                }
            }
            Change::Delete { table, part, at } => delete(&transaction, *table, *part, *at, "=")?,
            Change::DropThrough { table, part, at } => delete(&transaction, *table, *part, *at, "<=")?,
            Change::PutDocument(document) => documents::put(&transaction, document)?,
            Change::DeleteDocument { kind, id } => documents::delete(&transaction, kind, id)?,
        }
    }
    transaction.commit()
}

fn delete(transaction: &rusqlite::Transaction<'_>, table: Table, part: i64, at: i64, compare: &str) -> rusqlite::Result<()> {
    let (name, of_part, _) = words(table);
    let sql = format!("DELETE FROM {name} WHERE {of_part} AND at {compare} ?2");
    transaction.prepare_cached(&sql)?.execute(params![part, at]).map(|_| ())
}
