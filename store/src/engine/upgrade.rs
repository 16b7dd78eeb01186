//! The tables of a store, made in a new file or out of those of an older format: all in one transaction, so that a kill leaves the one
//! or the other.

use super::sqlite::{APPLICATION_ID, FORMAT};
use super::{Table, sums};
use crate::Error;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};

/// Since then chunks have a summary.
pub(super) const SUMMARIES: i64 = 4;
/// Since then there is a checksum beside every row and document that has none of its own, and a second copy of some documents.
pub(super) const SUMS: i64 = 5;
/// Rows that are in memory at once.
const AT_ONCE: i64 = 64;

/// Makes a store without anything in it. Under another name first: a kill leaves no file that is none.
pub(super) fn begin(path: &Path) -> Result<(), Error> {
    let failed = |cause: String| Error::Io { action: format!("making {}", path.display()), cause };
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    if std::fs::metadata(beside("-wal")).is_ok_and(|log| log.len() > 0) {
        let cause =
            "it is missing, and its store.db-wal is there: bring store.db back, or take the log away to start anew without what they held";
        return Err(failed(cause.into()));
    }
    let new = beside(".new");
    for left in [".new", ".new-journal", "-wal", "-shm"] {
        let _ = std::fs::remove_file(beside(left));
    }
    // What SQLite puts beside a database has its rights.
    crate::private::create_private(&new).map_err(|cause| failed(cause.to_string()))?;
    let made = (|| {
        let mut connection = Connection::open(&new)?;
        connection.pragma_update(None, "page_size", 4096)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        upgrade(&mut connection, 0)
    })();
    made.map_err(|cause: rusqlite::Error| failed(cause.to_string()))?;
    crate::disk::put_in_place(&new, path).map_err(|cause| failed(cause.to_string()))
}

/// Makes what is missing in a file of this format; 0 is an empty one.
pub(super) fn upgrade(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if (1..SUMMARIES).contains(&found) {
        transaction.execute_batch("ALTER TABLE chunk ADD COLUMN summary BLOB; DROP INDEX chunk_key;")?;
    }
    transaction.execute_batch(&schema())?;
    if (1..SUMS).contains(&found) {
        let summed = sum_all(&transaction)?;
        tracing::info!(
            event = "upgraded",
            from = found,
            to = FORMAT,
            summed,
            "the store was of an older format and is of this one now: each of its rows and documents has a checksum; an older pescaia refuses it"
        );
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

fn schema() -> String {
    let mut sql = String::new();
    for table in Table::ALL {
        let name = table.name();
        let sum = if table.has_own_sum() { "" } else { ", sum INTEGER" };
        if table.is_single_part() {
            sql += &format!("CREATE TABLE IF NOT EXISTS {name}(at INTEGER PRIMARY KEY, body BLOB NOT NULL{sum});");
        } else if table.has_summaries() {
            sql += &format!(
                "CREATE TABLE IF NOT EXISTS {name}(part INTEGER NOT NULL, at INTEGER NOT NULL, \
                 weight INTEGER NOT NULL, body BLOB NOT NULL, summary BLOB);\
                 CREATE UNIQUE INDEX IF NOT EXISTS {name}_keys ON {name}(part, at, weight, summary);"
            );
        } else {
            sql += &format!(
                "CREATE TABLE IF NOT EXISTS {name}(part INTEGER NOT NULL, at INTEGER NOT NULL, \
                 weight INTEGER NOT NULL, body BLOB NOT NULL{sum});\
                 CREATE UNIQUE INDEX IF NOT EXISTS {name}_key ON {name}(part, at, weight);"
            );
        }
    }
    for name in ["document", "spare"] {
        sql += &format!(
            "CREATE TABLE IF NOT EXISTS {name}(kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, sum INTEGER, \
             PRIMARY KEY(kind, id)) WITHOUT ROWID;"
        );
    }
    sql
}

/// Gives what was written without a checksum the one of what it is now. How many rows and documents.
fn sum_all(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let mut count = 0;
    for table in Table::ALL.into_iter().filter(|table| !table.has_own_sum()) {
        if add_column(transaction, table.name())? {
            count += sum_rows(transaction, table)?;
        }
    }
    add_column(transaction, "document")?;
    Ok(count + sum_documents(transaction)?)
}

/// Whether it was missing.
fn add_column(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<bool> {
    let has = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = 'sum'";
    let missing = transaction.query_row(has, [name], |row| row.get::<_, i64>(0))? == 0;
    if missing {
        transaction.execute_batch(&format!("ALTER TABLE {name} ADD COLUMN sum INTEGER"))?;
    }
    Ok(missing)
}

fn sum_rows(transaction: &Transaction<'_>, table: Table) -> rusqlite::Result<u64> {
    let (name, key) = (table.name(), if table.is_single_part() { "0, at, 0" } else { "part, at, weight" });
    let mut some = transaction.prepare(&format!("SELECT rowid, {key}, body FROM {name} WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"))?;
    let mut put = transaction.prepare(&format!("UPDATE {name} SET sum = ?1 WHERE rowid = ?2"))?;
    let (mut count, mut last) = (0, i64::MIN);
    loop {
        let sums = some.query_map(params![last, AT_ONCE], |row| {
            let sum = sums::of_row(table, [row.get(1)?, row.get(2)?, row.get(3)?], row.get_ref(4)?.as_bytes().unwrap_or_default());
            Ok((row.get::<_, i64>(0)?, sum))
        })?;
        let sums = sums.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some((end, _)) = sums.last() else { return Ok(count) };
        last = *end;
        for (rowid, sum) in &sums {
            put.execute(params![sum, rowid])?;
        }
        count += sums.len() as u64;
    }
}

fn sum_documents(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let mut all = transaction.prepare("SELECT kind, id, body FROM document")?;
    let mut put = transaction.prepare("UPDATE document SET sum = ?3 WHERE kind = ?1 AND id = ?2")?;
    let mut spare = transaction.prepare("INSERT OR REPLACE INTO spare(kind, id, body, sum) VALUES(?1, ?2, ?3, ?4)")?;
    let found = all.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    for (kind, id, body) in &found {
        let sum = sums::of_document(kind.as_bytes(), id.as_bytes(), body.as_bytes());
        put.execute(params![kind, id, sum])?;
        if sums::is_spared(kind) {
            spare.execute(params![kind, id, body, sum])?;
        }
    }
    Ok(found.len() as u64)
}
