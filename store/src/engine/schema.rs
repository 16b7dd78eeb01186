//! The tables of a store, made in a new file.

use super::sqlite::{APPLICATION_ID, FORMAT};
use super::{Table, wal_mark};
use crate::Error;
use rusqlite::{Connection, TransactionBehavior};
use std::path::{Path, PathBuf};

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
    for left in [".new", ".new-journal", "-wal", "-shm", wal_mark::SUFFIX] {
        let _ = std::fs::remove_file(beside(left));
    }
    // What SQLite puts beside a database has its rights.
    crate::private::create_private(&new).map_err(|cause| failed(cause.to_string()))?;
    let made = (|| {
        let mut connection = Connection::open(&new)?;
        connection.pragma_update(None, "page_size", 4096)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(&tables())?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()
    })();
    made.map_err(|cause: rusqlite::Error| failed(cause.to_string()))?;
    crate::disk::put_in_place(&new, path).map_err(|cause| failed(cause.to_string()))
}

/// Rows of many parts have a number of their own, so that a copy of the file keeps it, and an index with all that stands beside the body:
/// keys are read without bodies.
fn tables() -> String {
    let mut sql = String::new();
    for table in Table::ALL {
        let name = table.name();
        let sum = if table.has_own_sum() { "" } else { ", sum INTEGER NOT NULL" };
        if table.is_single_part() {
            sql += &format!("CREATE TABLE {name}(at INTEGER PRIMARY KEY, body BLOB NOT NULL{sum});");
        } else {
            let (summary, in_index) = if table.has_summaries() { (", summary BLOB NOT NULL", ", summary") } else { ("", "") };
            sql += &format!(
                "CREATE TABLE {name}(id INTEGER PRIMARY KEY, part INTEGER NOT NULL, at INTEGER NOT NULL, weight INTEGER NOT NULL\
                 {summary}, body BLOB NOT NULL{sum});\
                 CREATE UNIQUE INDEX {name}_keys ON {name}(part, at, weight{in_index});"
            );
        }
    }
    for name in ["document", "spare"] {
        sql += &format!(
            "CREATE TABLE {name}(kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL, \
             PRIMARY KEY(kind, id)) WITHOUT ROWID;"
        );
    }
    sql
}
