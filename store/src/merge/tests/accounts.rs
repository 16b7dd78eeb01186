//! What a backup brings of the ledger, the quarantine and the audit.

use super::{NOW, changes, open, value};
use crate::engine::{Change, Engine, Order, Span, Sqlite, Table};
use crate::scratch::{Dir, refusal};
use crate::{Batch, Error, Replayed, Store, Subject, Tally, Wanted, check, sha256_hex};
use model::{Account, Interval, Quality, Scope, Timestamp, Viewer};
use std::path::PathBuf;

fn day(number: i64) -> Timestamp {
    Timestamp::from_seconds(NOW - (5 - number) * 86_400)
}

/// A device says something on a day: as many values that are taken, and messages that are refused.
fn says(store: &Store, device: &str, on: i64, taken: i64, refused: &[&str]) {
    let minute = |one: i64| value(store, on * 100 + one, 1.5, Quality::GOOD, 1);
    let reject = |text: &&str| refusal(device, day(on), text.as_bytes());
    let (observations, quarantined) = (u32::try_from(taken).expect("few"), i32::try_from(refused.len()).expect("few"));
    let tally = Tally {
        owner: "o".into(),
        device: device.into(),
        received_at: day(on),
        received: observations.cast_signed() + quarantined,
        observations,
        repeated: 0,
        quarantined,
    };
    store
        .commit_blocking(Batch {
            observations: (0..taken).map(minute).collect(),
            rejects: refused.iter().map(reject).collect(),
            tallies: vec![tally],
            ..Batch::default()
        })
        .expect("committed");
}

/// Received, accepted, repeated and quarantined of a device on a day.
fn line(store: &Store, device: &str, on: i64) -> [u64; 4] {
    let view = store.seen_by(&Viewer::Token { owner: "o".into(), scopes: vec![Scope::Audit] });
    let lines = view.ledger(Interval::new(day(on), day(on).plus_seconds(1)), None).expect("read");
    let account = lines.iter().find(|line| line.device.as_str() == device).map_or_else(Account::default, |line| line.account);
    assert!(account.balances(), "{account:?}");
    [account.received, account.accepted, account.duplicates, account.quarantined]
}

fn waiting(store: &Store) -> Vec<(u64, String)> {
    let view = store.seen_by(&Viewer::Token { owner: "o".into(), scopes: Scope::ALL.to_vec() });
    let found = view.quarantine(&Wanted::default(), 99).expect("read");
    let mut found: Vec<_> = found.iter().map(|entry| (entry.number, String::from_utf8_lossy(&entry.bytes).into_owned())).collect();
    found.sort();
    found
}

fn texts(store: &Store) -> Vec<String> {
    let mut texts: Vec<_> = waiting(store).into_iter().map(|(_, text)| text).collect();
    texts.sort();
    texts
}

/// A backup in which `meter` said something on days 1 and 2, and a person changed something.
fn with_a_backup(dir: &Dir) -> PathBuf {
    let store = open(dir);
    says(&store, "meter", 1, 2, &["one"]);
    store.seal_all().expect("sealed");
    says(&store, "meter", 2, 3, &["two", "three"]);
    changes(&store, vec![value(&store, 0, 7.5, Quality::GOOD, 9)]);
    let backup = dir.0.join("backup.db");
    store.backup(&backup, &mut |_| ()).expect("backed up");
    store.close_blocking();
    backup
}

#[test]
fn what_a_store_never_heard_of_comes_in_once_and_stays_true() {
    let (there, into) = (Dir::new("accounts-there"), Dir::new("accounts-into"));
    let backup = with_a_backup(&there);
    let store = open(&into);
    says(&store, "other", 1, 1, &["mine"]);
    let merged = store.merge(&backup, "test", &mut |_| ()).expect("taken in");
    assert_eq!((merged.lines, merged.quarantined, merged.quarantined_left, merged.audited), (2, 3, 0, 1));
    let is_so = |store: &Store| {
        assert_eq!((line(store, "meter", 1), line(store, "meter", 2), line(store, "other", 1)), ([3, 2, 0, 1], [5, 3, 0, 2], [2, 1, 0, 1]));
        assert_eq!(texts(store), ["mine", "one", "three", "two"]);
        let others = store.audit_of_others().expect("whole");
        assert_eq!(others.iter().map(|one| (one.backup.as_str(), one.entry.who.as_str())).collect::<Vec<_>>(), [("backup.db", "anna")]);
        assert!(store.audit().expect("whole").iter().all(|entry| entry.who == "test"), "its own list is its own");
    };
    is_so(&store);
    let again = store.merge(&backup, "test", &mut |_| ()).expect("again");
    assert_eq!((again.lines, again.quarantined, again.quarantined_left, again.audited), (0, 0, 0, 0));
    is_so(&store);
    // What is new gets another number than what came in.
    says(&store, "meter", 3, 0, &["four"]);
    let mut numbers: Vec<_> = waiting(&store).into_iter().map(|(number, _)| number).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), 5);
    // What was mended here does not come back.
    let (number, text) = waiting(&store).into_iter().find(|(_, text)| text == "two").expect("waits");
    let tally = |received, quarantined, observations| Tally {
        owner: "o".into(),
        device: "meter".into(),
        received_at: day(2),
        received,
        observations,
        repeated: 0,
        quarantined,
    };
    store
        .commit_blocking(Batch {
            observations: vec![value(&store, 299, 1.5, Quality::GOOD, 1)],
            tallies: vec![tally(1, 0, 1), tally(-1, -1, 0)],
            replayed: vec![Replayed { number, left: Vec::new() }],
            ..Batch::default()
        })
        .expect("replayed");
    assert_eq!((line(&store, "meter", 2), text.as_str()), ([5, 4, 0, 1], "two"));
    let again = store.merge(&backup, "test", &mut |_| ()).expect("again");
    assert_eq!((again.quarantined, again.quarantined_left), (0, 1));
    store.close_blocking();
    drop(store);
    let store = open(&into);
    assert_eq!((line(&store, "meter", 2), texts(&store)), ([5, 4, 0, 1], ["four", "mine", "one", "three"].map(String::from).to_vec()));
    store.close_blocking();
    assert_eq!(check(&into.file(), &mut |_, _| ()).expect("checked").damage, [""; 0]);
}

#[test]
fn of_a_day_that_both_heard_the_one_who_heard_more_is_believed() {
    let (there, into) = (Dir::new("accounts-both"), Dir::new("accounts-both-into"));
    let backup = with_a_backup(&there);
    let store = open(&into);
    says(&store, "meter", 1, 9, &["here"]);
    says(&store, "meter", 2, 0, &["here too"]);
    let merged = store.merge(&backup, "test", &mut |_| ()).expect("taken in");
    assert_eq!((merged.lines, merged.quarantined, merged.quarantined_left), (1, 2, 1));
    assert_eq!(line(&store, "meter", 1), [10, 9, 0, 1], "it heard more here: the other's message stays where it is");
    assert_eq!(line(&store, "meter", 2), [6, 3, 0, 3], "and what waits here besides");
    assert_eq!(texts(&store), ["here", "here too", "three", "two"]);
    store.close_blocking();
}

#[test]
fn what_was_erased_here_does_not_come_back_with_the_quarantine() {
    let (there, into) = (Dir::new("accounts-erased"), Dir::new("accounts-erased-into"));
    let backup = with_a_backup(&there);
    let store = open(&into);
    let subject = Subject { owner: "o".into(), device: "meter".into() };
    store.delete_subject(&subject, Interval::ALL, "anna", "asked for").expect("deleted");
    let merged = store.merge(&backup, "test", &mut |_| ()).expect("taken in");
    assert_eq!((merged.quarantined, merged.quarantined_left, texts(&store).len()), (0, 0, 0));
    store.close_blocking();
}

#[test]
fn an_audit_that_was_written_over_is_not_taken_in() {
    let (there, into) = (Dir::new("accounts-audit"), Dir::new("accounts-audit-into"));
    let backup = with_a_backup(&there);
    let store = open(&into);
    store.merge(&backup, "test", &mut |_| ()).expect("taken in");
    store.close_blocking();
    drop(store);
    // By a hand that knows of checksums, and not of the hash of the one before.
    let engine = Sqlite::open(&into.file()).expect("open");
    let mut document = engine.documents("audit-of").expect("read").remove(0);
    document.body = document.body.replace("anna", "nina");
    engine.commit(&[Change::PutDocument(document.clone())]).expect("put");
    drop(engine);
    let store = open(&into);
    assert!(matches!(store.audit_of_others(), Err(Error::Damaged { .. })));
    store.close_blocking();
    let engine = Sqlite::open(&backup).expect("open");
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    let mut row = engine.range(Table::Audit, all, Order::Ascending, 1).expect("read").remove(0);
    row.body = [b"0".as_slice(), &row.body].concat();
    assert_ne!(document.id, sha256_hex(&row.body));
    engine.commit(&[Change::Put { table: Table::Audit, row }]).expect("put");
    drop(engine);
    let third = Dir::new("accounts-audit-third");
    let store = open(&third);
    let refused = store.merge(&backup, "test", &mut |_| ());
    assert!(matches!(&refused, Err(Error::Damaged { what }) if what.contains("the list of changes")), "{refused:?}");
    store.close_blocking();
}
