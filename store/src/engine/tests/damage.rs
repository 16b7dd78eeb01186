//! Every kind of row and document, with a bit of it flipped by another hand.

use super::super::*;
use crate::scratch::Dir;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params};

struct Text(Vec<u8>);
impl ToSql for Text {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

const SUMMED: [Table; 9] = [
    Table::Superseded,
    Table::Quarantine,
    Table::Gap,
    Table::Late,
    Table::File,
    Table::Ledger,
    Table::Payload,
    Table::Audit,
    Table::Outbox,
];

fn row(table: Table, at: i64) -> Row {
    let (part, weight) = if table.is_single_part() { (0, 0) } else { (7, 3) };
    Row { part, at, weight, summary: Vec::new(), body: format!("row {at}").into() }
}

fn document(kind: &str, id: &str) -> Change {
    Change::PutDocument(Document { kind: kind.into(), id: id.into(), body: format!("body of {id}") })
}

/// Three rows in each table and three documents of two kinds, one of which has second copies.
fn filled(dir: &Dir) -> Sqlite {
    let engine = Sqlite::open(&dir.file()).expect("open");
    let rows = SUMMED.iter().flat_map(|table| (1..4).map(|at| Change::Put { table: *table, row: row(*table, at) }));
    let documents = ["datastream", "session"].into_iter().flat_map(|kind| ["a", "m", "z"].map(|id| document(kind, id)));
    engine.commit(&rows.chain(documents).collect::<Vec<_>>()).expect("commit");
    engine
}

fn all(table: Table) -> Span {
    Span { part: row(table, 0).part, from: i64::MIN, to: i64::MAX }
}

fn served(engine: &Sqlite, table: Table) -> Vec<i64> {
    let found = engine.range(table, all(table), Order::Ascending, 9).expect("read");
    assert!(found.iter().all(|one| *one == row(table, one.at)), "what is served is as it was");
    found.iter().map(|row| row.at).collect()
}

#[test]
fn a_flipped_bit_of_any_row_is_named_and_the_rest_is_served() {
    let dir = Dir::new("row-bits");
    drop(filled(&dir));
    let raw = Connection::open(dir.file()).expect("raw");
    for table in SUMMED {
        let name = table.name();
        for bit in (0..40).step_by(3) {
            let mut body: Vec<u8> = raw.query_row(&format!("SELECT body FROM {name} WHERE at = 2"), [], |row| row.get(0)).expect("a row");
            body[bit / 8] ^= 1 << (bit % 8);
            raw.execute(&format!("UPDATE {name} SET body = ?1 WHERE at = 2"), [&body]).expect("flipped");
            let engine = Sqlite::open(&dir.file()).expect("open");
            assert_eq!(served(&engine, table), [1, 3], "{name}, bit {bit}");
            let part = row(table, 2).part;
            assert_eq!(engine.damaged(), [Damaged::Row { table, part, at: 2 }], "{name}, bit {bit}");
            // What takes its place is sound again.
            engine.commit(&[Change::Put { table, row: row(table, 2) }]).expect("commit");
            assert_eq!((served(&engine, table), engine.damaged()), (vec![1, 2, 3], vec![]), "{name}, bit {bit}");
        }
    }
}

#[test]
fn rows_that_changed_places_or_keys_are_found() {
    let dir = Dir::new("row-places");
    drop(filled(&dir));
    let raw = Connection::open(dir.file()).expect("raw");
    for table in SUMMED {
        let name = table.name();
        raw.execute_batch(&format!(
            "UPDATE {name} SET body = (SELECT body FROM {name} WHERE at = 1), sum = (SELECT sum FROM {name} WHERE at = 1) WHERE at = 2;
             UPDATE {name} SET at = 9 WHERE at = 3;"
        ))
        .expect("changed");
    }
    let engine = Sqlite::open(&dir.file()).expect("open");
    engine.look_over(Depth::All).expect("looked");
    for table in SUMMED {
        assert_eq!(served(&engine, table), [1], "{}", table.name());
        assert!(!table.is_single_part() || last_at(&engine, table).expect("read") == 9, "its number is not given again");
        let part = row(table, 0).part;
        // One that is counted besides is known to hold a row under a key that it was not written for.
        let is_row = |damaged: &Damaged| damaged.kind() == table.name() && matches!(damaged, Damaged::Row { .. });
        let found = engine.damaged().into_iter().filter(is_row).collect::<Vec<_>>();
        assert_eq!(found, [2, 9].map(|at| Damaged::Row { table, part, at }));
    }
}

/// Flips a bit of a text of one copy of the document `m`.
fn flip(raw: &Connection, table: &str, kind: &str, column: &str, bit: usize) {
    let select = format!("SELECT CAST({column} AS BLOB) FROM {table} WHERE kind = ?1 AND id = 'm'");
    let mut text: Vec<u8> = raw.query_row(&select, [kind], |row| row.get(0)).expect("a document");
    text[bit / 8] ^= 1 << (bit % 8);
    let update = format!("UPDATE {table} SET {column} = ?1 WHERE kind = ?2 AND id = 'm'");
    assert_eq!(raw.execute(&update, params![Text(text), kind]).expect("flipped"), 1);
}

fn ids(engine: &Sqlite, kind: &str) -> Vec<String> {
    let found = engine.documents(kind).expect("read");
    assert!(found.iter().all(|one| one.body == format!("body of {}", one.id)), "what is served is as it was");
    found.into_iter().map(|one| one.id).collect()
}

#[test]
fn a_flipped_bit_of_a_document_is_named_and_not_served() {
    for (column, bits) in [("body", 72), ("id", 8), ("kind", 48)] {
        for bit in (0..bits).step_by(5) {
            let dir = Dir::new("document-bits");
            drop(filled(&dir));
            flip(&Connection::open(dir.file()).expect("raw"), "document", "session", column, bit);
            let engine = Sqlite::open(&dir.file()).expect("open");
            assert_eq!(ids(&engine, "session"), ["a", "z"], "{column}, bit {bit}");
            engine.look_over(Depth::Documents).expect("looked");
            assert!(matches!(engine.damaged().as_slice(), [Damaged::Document { .. }]), "{column}, bit {bit}: {:?}", engine.damaged());
            assert_eq!(unreadable(&engine, "session").len(), usize::from(column != "kind"), "{column}, bit {bit}");
        }
    }
}

#[test]
fn a_second_copy_takes_the_place_of_a_damaged_one_and_mends_it() {
    for table in ["document", "spare"] {
        for (column, bits) in [("body", 72), ("id", 8), ("kind", 80)] {
            for bit in (0..bits).step_by(5) {
                let dir = Dir::new("document-copies");
                drop(filled(&dir));
                flip(&Connection::open(dir.file()).expect("raw"), table, "datastream", column, bit);
                for start in 0..2 {
                    let engine = Sqlite::open(&dir.file()).expect("open");
                    assert_eq!(ids(&engine, "datastream"), ["a", "m", "z"], "{table}.{column}, bit {bit}");
                    engine.look_over(Depth::Documents).expect("looked");
                    let is_named = engine.damaged().contains(&Damaged::Copy { kind: "datastream".into(), id: "m".into() });
                    assert_eq!((is_named, engine.damaged().is_empty()), (start == 0, start == 1), "{table}.{column}, bit {bit}");
                    assert_eq!(engine.mend().expect("mended"), 1 - start, "{table}.{column}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn what_is_damaged_in_both_copies_is_not_served() {
    let dir = Dir::new("document-both");
    drop(filled(&dir));
    let raw = Connection::open(dir.file()).expect("raw");
    flip(&raw, "document", "datastream", "body", 9);
    flip(&raw, "spare", "datastream", "body", 11);
    let engine = Sqlite::open(&dir.file()).expect("open");
    assert_eq!((ids(&engine, "datastream"), engine.mend().expect("nothing to mend with")), (vec!["a".into(), "z".into()], 0));
    assert_eq!(unreadable(&engine, "datastream"), ["m"]);
    engine.commit(&[document("datastream", "m")]).expect("commit");
    assert_eq!((ids(&engine, "datastream").len(), engine.damaged()), (3, vec![]));
}

#[test]
fn a_store_that_was_emptied_is_refused_and_one_whose_making_was_cut_short_is_not() {
    let dir = Dir::new("emptied");
    std::fs::write(dir.file(), b"").expect("written");
    for log in [&b""[..], b"a log"] {
        std::fs::write(dir.0.join("store.db-wal"), log).expect("written");
        assert!(matches!(Sqlite::open(&dir.file()), Err(Error::Empty { .. })));
        assert_eq!(std::fs::read(dir.0.join("store.db-wal")).expect("there"), log, "nothing was touched");
    }
    std::fs::remove_file(dir.file()).expect("removed");
    assert!(matches!(Sqlite::open(&dir.file()), Err(Error::Io { .. })), "a log of nothing");
    std::fs::remove_file(dir.0.join("store.db-wal")).expect("removed");
    // As kills leave it, at any byte of the making.
    drop(Sqlite::open(&dir.file()).expect("made"));
    let whole = std::fs::read(dir.file()).expect("bytes");
    for length in [0, 100, 4096, whole.len()] {
        let kept = std::fs::read_dir(&dir.0).expect("there").map(|entry| entry.expect("an entry").path());
        kept.for_each(|path| std::fs::remove_file(path).expect("removed"));
        std::fs::write(dir.0.join("store.db.new"), &whole[..length]).expect("written");
        std::fs::write(dir.0.join("store.db.new-journal"), b"half").expect("written");
        let engine = Sqlite::open(&dir.file()).expect("begun again");
        engine.commit(&[document("session", "a")]).expect("commit");
        assert!(!dir.0.join("store.db.new").exists());
    }
}
