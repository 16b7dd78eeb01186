use super::damage::Noted;
use super::schema::begin;
use super::tally::{self, Source, Tally};
use super::wal_mark::{Beside, Mark, State, has_log};
use super::write::{Writer, checkpoint, is_corrupt, is_full, unless_full, unless_later, words};
use super::{Change, Damaged, Depth, Document, Engine, Key, Order, Place, Row, Span, Table, documents, sums};
use crate::Error;
use crate::disk::Room;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// "PSCA", so that `file store.db` can tell whose it is.
pub(super) const APPLICATION_ID: i64 = 0x5053_4341;
/// That of the stores which were written before there was a release: in formats that are read no more.
const DEVELOPMENT_ID: i64 = 0x5065_7363;
/// The format of all that lies in the file. Grows with a release, when an older pescaia could not read what this one writes.
pub(super) const FORMAT: i64 = 1;
/// Pages in the write-ahead log after which the writer moves them into the database, between two commits: many, for a page of the log
/// table that was written and freed in between is then written once.
const CHECKPOINT_PAGES: u32 = 8192;
/// Commits after which it is looked how many there are.
const LOOK_COMMITS: u64 = 16;

/// Rows in one SQLite file: write-ahead log, `synchronous=FULL`, so that a commit is one synced append.
pub(crate) struct Sqlite {
    path: PathBuf,
    /// As it was found, before this opening; nothing in a new store.
    found: Option<Mark>,
    lacks_log: bool,
    /// A snapshot: nothing is written to it.
    is_only_read: bool,
    writer: Mutex<Writer>,
    readers: Mutex<Vec<Connection>>,
    noted: Noted,
    /// Kinds of documents that were asked for: what is damaged among them is noted.
    asked: Mutex<BTreeSet<String>>,
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
        let (beside, had_log) = (Beside::read(path), has_log(path));
        let connection = Connection::open(path).map_err(failed)?;
        recognise(&connection, path)?;
        connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(())).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
        // What is deleted is overwritten within its page; whole free pages are given back by `settle`.
        connection.query_row("PRAGMA secure_delete=FAST", [], |_| Ok(())).map_err(failed)?;
        connection.pragma_update(None, "cache_size", -32_768).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(64);
        let mut writer = Writer::of(connection);
        let mut load = || {
            for (kept, table) in writer.tallies.iter_mut().zip(tally::TABLES) {
                *kept = tally::kept(&writer.connection, table)?;
            }
            Mark::of(&writer.connection)
        };
        let found = load().map_err(failed)?;
        let lacks_log = found.is_some_and(|found| found.lacks_log(beside, had_log));
        // What was left behind with its log there is whole, also when the next kill comes after the log has gone into the file.
        writer.mark = found.filter(|found| found.state == State::Behind).map(|found| Mark { state: State::Whole, ..found });
        let whole = writer.mark.map(Mark::put);
        let opened = whole.map_or(Ok(()), |whole| writer.write(&[whole]));
        opened.or_else(unless_full).and_then(|()| checkpoint(&writer.connection, "TRUNCATE")).map_err(failed)?;
        writer.mark = Some(Mark::next(found, beside));
        writer.renew_mark(path).or_else(unless_later).map_err(failed)?;
        Ok(Self::of(path, found, lacks_log, writer, Vec::new()))
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
        let (beside, had_log) = (Beside::read(path), has_log(path));
        let reader = open()?;
        reader.busy_timeout(std::time::Duration::from_secs(5)).map_err(failed)?;
        reader.execute_batch("BEGIN").map_err(failed)?;
        recognise(&reader, path)?;
        // Beside a pescaia that goes on nothing is said of its log.
        let found = Mark::of(&reader).map_err(failed)?;
        let lacks_log = found.is_some_and(|found| found.lacks_log(beside, had_log)) && !is_held(path);
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
        let writer = Writer { poisoned: Some("it is open to be read only".into()), ..Writer::of(open()?) };
        Ok((Self::of(path, found, lacks_log, writer, vec![reader]), faults))
    }

    fn of(path: &Path, found: Option<Mark>, lacks_log: bool, writer: Writer, readers: Vec<Connection>) -> Self {
        let (noted, asked) = (Noted::default(), Mutex::default());
        let is_only_read = writer.poisoned.is_some();
        Self {
            path: path.to_owned(),
            found,
            lacks_log,
            is_only_read,
            writer: Mutex::new(writer),
            readers: Mutex::new(readers),
            noted,
            asked,
        }
    }

    fn reading<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.try_reading(read).map_err(|cause| io("reading", &cause))
    }

    fn try_reading<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let spare = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match spare {
            Some(connection) => connection,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
                connection.busy_timeout(std::time::Duration::from_secs(5))?;
                connection
            }
        };
        let answer = read(&connection);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }
}

impl Sqlite {
    /// The sound rows of a statement that gives the place, the weight, the body and the checksum; the damaged are noted.
    fn rows(&self, table: Table, (from, end): (&str, &str), span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        let (name, _, weight) = words(table);
        let sum = if table.has_own_sum() { "NULL" } else { "sum" };
        let sql = format!("SELECT at, {weight}, body, {sum} FROM {name} WHERE {from} ORDER BY {end}");
        let read = self.try_reading(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = statement.query(params![span.part, span.from, span.to])?;
            let mut rows = Vec::new();
            while rows.len() < limit
                && let Some(row) = found.next()?
            {
                match sound(table, span.part, row)? {
                    Ok(row) => rows.push(row),
                    Err(at) => self.noted.note(Damaged::Row { table, part: span.part, at }),
                }
            }
            Ok(rows)
        });
        match read {
            Err(cause) if !table.is_single_part() && is_corrupt(&cause) => {
                self.noted.note(Damaged::Pages { table });
                self.each_by_itself(table, (from, end), span, limit)
            }
            read => read.map_err(|cause| io("reading", &cause)),
        }
    }

    /// As [`Sqlite::rows`], where one of them can't be reached: the others are still given. In the place of a chunk that can't be read one
    /// without bytes is, for there may be a fence around it.
    fn each_by_itself(&self, table: Table, (from, end): (&str, &str), span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        let (name, sum) = (table.name(), if table.has_own_sum() { "NULL" } else { "sum" });
        let keys = self.reading(|connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT at, weight FROM {name} WHERE {from} ORDER BY {end}"))?;
            let keys = statement.query_map(params![span.part, span.from, span.to], |row| Ok((row.get(0)?, row.get(1)?)))?;
            keys.take(limit).collect::<rusqlite::Result<Vec<(i64, i64)>>>()
        })?;
        let sql = format!("SELECT at, weight, body, {sum} FROM {name} WHERE part = ?1 AND at = ?2");
        let one = |at: i64| {
            self.try_reading(|connection| {
                connection.prepare_cached(&sql)?.query_row(params![span.part, at], |row| sound(table, span.part, row))
            })
        };
        let mut rows = Vec::with_capacity(keys.len());
        for (at, weight) in keys {
            match one(at) {
                Ok(Ok(row)) => rows.push(row),
                _ if table.has_own_sum() => rows.push(Row { part: span.part, at, weight, summary: Vec::new(), body: Vec::new() }),
                _ => self.noted.note(Damaged::Row { table, part: span.part, at }),
            }
        }
        Ok(rows)
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
                if let Err(at) = sound(table, part, row)? {
                    self.noted.note(Damaged::Row { table, part, at });
                }
            }
            Ok(())
        })
    }
}

/// A row as it was written, or where it stands. One that has a checksum of its own is given as it is.
fn sound(table: Table, part: i64, row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<Row, i64>> {
    let integer = |column| row.get_ref(column).map(|value| value.as_i64().ok());
    let (at, weight) = (integer(0)?, integer(1)?);
    let body = row.get_ref(2)?.as_bytes().ok();
    let (Some(at), Some(weight)) = (at, weight) else { return Ok(Err(at.unwrap_or(0))) };
    if table.has_own_sum() {
        return Ok(Ok(Row { part, at, weight, summary: Vec::new(), body: body.unwrap_or_default().to_vec() }));
    }
    let Some(body) = body else { return Ok(Err(at)) };
    let sum = sums::of_row(Place { table, part, at, weight }, body);
    if !matches!(row.get_ref(3), Ok(ValueRef::Integer(kept)) if kept == i64::from(sum)) {
        return Ok(Err(at));
    }
    Ok(Ok(Row { part, at, weight, summary: Vec::new(), body: body.to_vec() }))
}

/// Whether a pescaia runs on the store that lies at `path`.
fn is_held(path: &Path) -> bool {
    let lock = File::open(path.with_file_name("store.lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
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
        let outcome = writer.write(changes).and_then(|()| {
            self.noted.committed(changes);
            let is_looked_at = commit % LOOK_COMMITS == LOOK_COMMITS - 1;
            let is_long = is_looked_at && wal_pages(&self.path) > CHECKPOINT_PAGES;
            // What was committed is, whether there is room for the rest of the work or not.
            if is_long { writer.checkpoint(&self.path).or_else(unless_later) } else { Ok(()) }
        });
        match outcome {
            Ok(()) => {
                writer.commits += 1;
                Ok(())
            }
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::DiskFull) => Err(Error::Full),
            // Nothing was written, and nothing went wrong: somebody else writes into the file.
            Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                let cause = "another program holds a write lock on it (e.g. sqlite3, or a browser for databases, with a change that is not committed); end it, and what was sent is taken when it is sent again";
                Err(Error::Io { action: format!("writing {}", self.path.display()), cause: cause.into() })
            }
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
        let is_tallied = tally::TABLES.contains(&table);
        let (keys, found) = self.reading(|connection| {
            if !is_tallied {
                return Ok((tally::entries(connection, table, Source::Index)?.0, None));
            }
            // Both of one moment; within a snapshot as well.
            connection.execute_batch("SAVEPOINT one_moment")?;
            // An index that can't be walked says nothing.
            let of_index = tally::entries(connection, table, Source::Index).or_else(|cause| match is_corrupt(&cause) {
                true => Ok((Vec::new(), Tally::default())),
                false => Err(cause),
            });
            let read = of_index.and_then(|of_index| Ok((of_index, tally::kept(connection, table)?)));
            connection.execute_batch("RELEASE one_moment")?;
            let ((keys, found), kept) = read?;
            Ok((keys, kept.filter(|kept| *kept != found).map(|kept| (kept, found))))
        })?;
        let Some((kept, found)) = found else { return Ok(keys) };
        self.keys_of_rows(table, keys, kept, found)
    }

    fn documents(&self, kind: &str) -> Result<Vec<Document>, Error> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.contains(kind) {
            asked.insert(kind.to_owned());
        }
        drop(asked);
        self.reading(|connection| documents::read(connection, kind, &self.noted))
    }

    fn look_over(&self, depth: Depth) -> Result<(), Error> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let kinds = self.reading(documents::kinds)?;
        for kind in kinds.difference(&asked) {
            self.documents(kind)?;
        }
        if kinds.contains(documents::NAMELESS) {
            self.reading(|connection| documents::note_nameless(connection, &self.noted))?;
        }
        if depth == Depth::All {
            for table in Table::ALL.into_iter().filter(|table| !table.has_own_sum()) {
                self.look_over_table(table)?;
            }
            tally::TABLES.into_iter().try_for_each(|table| self.keys(table).map(drop))?;
        }
        Ok(())
    }

    fn damaged(&self) -> Vec<Damaged> {
        self.noted.all()
    }

    fn mend(&self) -> Result<u64, Error> {
        let noted = self.noted.all();
        if self.is_only_read {
            return Ok(0);
        }
        let indices: Vec<Table> =
            noted.iter().filter_map(|damaged| if let Damaged::Index { table } = damaged { Some(*table) } else { None }).collect();
        let mut mended = 0;
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mend = || {
            if noted.iter().any(|damaged| matches!(damaged, Damaged::Copy { .. })) {
                let transaction = writer.connection.transaction()?;
                mended += documents::mend(&transaction)?;
                transaction.commit()?;
            }
            for table in indices {
                writer.connection.execute_batch(&format!("REINDEX {}_keys", table.name()))?;
                mended += 1;
            }
            if writer.tallies.contains(&None) {
                writer.recount()?;
                self.noted.forget(|damaged| matches!(damaged, Damaged::Document { kind, .. } if kind == tally::KIND));
            }
            Ok(())
        };
        match mend() {
            // What is damaged is served from what is sound until there is room.
            Err(cause) if is_full(&cause) || is_corrupt(&cause) => {
                tracing::error!(event = "not_mended", %cause, "what is damaged could not be made anew; restore a backup with: pescaia restore FILE");
                Ok(mended)
            }
            done => done.map(|()| mended).map_err(|cause| io("mending what is damaged", &cause)),
        }
    }

    fn recount(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.recount().map_err(|cause| io("counting rows", &cause))?;
        self.noted.forget(|damaged| matches!(damaged, Damaged::Missing { .. }));
        Ok(())
    }

    fn lacks_log(&self) -> bool {
        self.lacks_log
    }

    fn last_record(&self) -> i64 {
        self.found.map_or(0, |found| found.record)
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
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = writer.settle().and_then(|()| writer.renew_mark(&self.path).or_else(unless_full));
        settled.map_err(|cause| io("settling the database", &cause))
    }

    fn close(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.poisoned.is_some() {
            return Ok(());
        }
        let closed = writer.put_mark(State::Closed).or_else(unless_full).and_then(|()| writer.settle());
        closed.map_err(|cause| io("closing the database", &cause))
    }

    fn copy_to(&self, path: &Path) -> Result<(), Error> {
        // A file of its own, compact, of one moment; whoever reads it needs no write-ahead log.
        let target = path.display().to_string();
        self.reading(|connection| connection.execute("VACUUM INTO ?1", [&target]))?;
        let sync = || std::fs::File::open(path)?.sync_all();
        sync().map_err(|cause| Error::Io { action: format!("syncing {target}"), cause: cause.to_string() })
    }
}

impl Sqlite {
    /// The keys of a table whose index, from which `keys` are, does not say what was written: those of its rows, when they do.
    fn keys_of_rows(&self, table: Table, keys: Vec<Key>, kept: Tally, found: Tally) -> Result<Vec<Key>, Error> {
        if kept == Tally::default() {
            // What counts them is gone, not they.
            self.noted.note(Damaged::Document { kind: tally::KIND.into(), id: table.name().into() });
            self.writer.lock().unwrap_or_else(PoisonError::into_inner).tallies = tally::UNKNOWN;
            return Ok(keys);
        }
        match self.reading(|connection| tally::entries(connection, table, Source::Rows)) {
            Ok((of_rows, held)) if held == kept => {
                self.noted.note(Damaged::Index { table });
                Ok(of_rows)
            }
            _ => {
                let (rows, weight) = (kept.rows.wrapping_sub(found.rows), kept.weight.wrapping_sub(found.weight));
                self.noted.note(Damaged::Missing { table, rows, weight, key: kept.lacks(&found) });
                Ok(keys)
            }
        }
    }
}

/// Whether the file is ours, and of the format that this pescaia knows.
fn recognise(connection: &Connection, path: &Path) -> Result<(), Error> {
    let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::Foreign { path: path.to_owned() },
        _ => io("opening the database", &cause),
    };
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).map_err(failed);
    match pragma("application_id")? {
        APPLICATION_ID => {}
        DEVELOPMENT_ID => return Err(Error::Development { path: path.to_owned() }),
        _ => return Err(Error::Foreign { path: path.to_owned() }),
    }
    match pragma("user_version")? {
        FORMAT => Ok(()),
        found if found > FORMAT => Err(Error::Newer { found, known: FORMAT }),
        _ => Err(Error::Foreign { path: path.to_owned() }),
    }
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
