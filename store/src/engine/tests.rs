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
fn a_foreign_a_newer_and_a_development_database_are_refused_and_left_alone() {
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
    let raw = rusqlite::Connection::open(&path).expect("raw");
    raw.pragma_update(None, "user_version", 5).expect("pragma");
    raw.pragma_update(None, "application_id", 0x5065_7363).expect("pragma");
    drop(raw);
    let before = std::fs::read(&path).expect("bytes");
    for refused in [Sqlite::open(&path).err(), Sqlite::snapshot(&path).err()] {
        let told = refused.expect("refused").to_string();
        assert!(told.contains("a development version of pescaia before 0.1") && told.contains("export"), "{told}");
    }
    assert_eq!(std::fs::read(&path).expect("bytes"), before, "not a byte of it changed");
    std::fs::remove_dir_all(&dir).expect("clean up");
}

mod damage;
