use super::*;
use crate::{Batch, Settings};
use model::{Clock, DatastreamId, Observation, Quality, Text, Viewer};
use std::path::PathBuf;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-11-23T12:00:00Z").expect("a time")
    }
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pescaia-published-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
    fn open(&self) -> Store {
        Store::open(&self.0, Settings::default(), Arc::new(Fixed)).expect("a store")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn dataset() -> Dataset {
    let text = || Text::new("it", "en");
    let column =
        |kind: model::ColumnKind| model::Column { name: kind.word().into(), kind, unit: Some(model::Unit::Metre), meaning: text() };
    Dataset {
        id: "days".into(),
        title: text(),
        description: text(),
        caution: text(),
        licence: "CC-BY-4.0".into(),
        licence_url: "https://example.org".into(),
        columns: vec![column(model::ColumnKind::Day), column(model::ColumnKind::Number)],
    }
}

fn publish(store: &Store, files: Vec<PublishedFile>, watermark: u64) -> Arc<Published> {
    let complete_to = Fixed.now();
    store.publish(Edition { dataset: dataset(), complete_to, watermark, basis: "b".into(), files }).expect("published")
}

fn stage(store: &Store, month: &str, bytes: &str) -> PublishedFile {
    store.stage_file("days", month, Format::Csv, 3, bytes.into()).expect("staged")
}

fn text(store: &Store, name: &str) -> Option<String> {
    let found = store.seen_by(&Viewer::Public).dataset_file("days", name).expect("read");
    found.map(|(_, bytes)| String::from_utf8(bytes).expect("UTF-8"))
}

fn files_on_disk(store: &Store) -> usize {
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    store.shared().engine.range(Table::File, all, Order::Ascending, usize::MAX).expect("range").len()
}

#[test]
fn a_version_replaces_the_last_whole_and_is_found_again() {
    let dir = Dir::new("whole");
    let store = dir.open();
    let first = publish(&store, vec![stage(&store, "2026-10", "october"), stage(&store, "2026-11", "november")], 0);
    assert_eq!((first.edition, first.rows(), files_on_disk(&store)), (1, 6, 2));
    // The same bytes are the same file; it keeps its place on the disk.
    assert_eq!(stage(&store, "2026-10", "october"), first.files[0]);
    let second = publish(&store, vec![first.files[0].clone(), stage(&store, "2026-11", "healed")], 7);
    assert_eq!((second.edition, files_on_disk(&store)), (2, 3), "who asked for the old one a moment ago still gets it");
    let second = publish(&store, second.files.clone(), 7);
    assert_eq!((second.edition, files_on_disk(&store)), (3, 2));
    let second = publish(&store, vec![first.files[0].clone(), stage(&store, "2026-11", "healed")], 7);
    store.close_blocking();
    drop(store);
    let store = dir.open();
    assert_eq!(store.seen_by(&Viewer::Public).dataset("days").as_deref(), Some(second.as_ref()));
    assert_eq!(text(&store, "days-2026-11.csv").as_deref(), Some("healed"));
    assert_eq!(text(&store, "days-2026-12.csv"), None);
}

#[test]
fn what_was_staged_and_never_published_is_gone_after_a_restart() {
    let dir = Dir::new("staged");
    let store = dir.open();
    publish(&store, vec![stage(&store, "2026-10", "october")], 0);
    stage(&store, "2026-10", "half of a new version");
    assert_eq!((files_on_disk(&store), text(&store, "days-2026-10.csv").as_deref()), (2, Some("october")));
    store.close_blocking();
    drop(store);
    let store = dir.open();
    assert_eq!((files_on_disk(&store), text(&store, "days-2026-10.csv").as_deref()), (1, Some("october")));
}

#[test]
fn a_day_that_was_over_is_marked_with_its_commit_and_struck_off_once() {
    let dir = Dir::new("late");
    let store = dir.open();
    let commit = |at: &str, received: &str, result: f64| {
        let (phenomenon_time, received_at) = (Timestamp::parse(at).expect("a time"), Timestamp::parse(received).expect("a time"));
        let observation = Observation { datastream: DatastreamId(3), phenomenon_time, received_at, result, quality: Quality::GOOD };
        store.commit_blocking(Batch { observations: vec![observation], ..Batch::default() }).expect("committed").commit
    };
    commit("2026-11-22T23:00:00Z", "2026-11-23T12:00:00Z", 1.0);
    assert_eq!(store.late_days().expect("read"), [], "today in Rome begins at 23:00 UTC");
    let late = commit("2026-11-22T22:59:59Z", "2026-11-23T12:00:00Z", 1.0);
    commit("2026-11-22T22:59:59Z", "2026-11-23T12:00:00Z", 1.0);
    let start = Timestamp::parse("2026-11-21T23:00:00Z").expect("a time");
    let marked = [crate::LateDay { commit: late, datastream: DatastreamId(3), start }];
    assert_eq!(store.late_days().expect("read"), marked, "a repetition is no news");
    assert_eq!(*store.late_changes().borrow(), late);
    store.close_blocking();
    drop(store);
    let store = dir.open();
    assert_eq!((store.late_days().expect("read"), *store.late_changes().borrow()), (marked.to_vec(), late));
    store.forget_late(late).expect("struck off");
    assert_eq!(store.late_days().expect("read"), []);
}

#[test]
fn whoever_reads_while_versions_follow_each_other_gets_a_whole_file() {
    let dir = Dir::new("reading");
    let store = dir.open();
    publish(&store, vec![stage(&store, "2026-11", "version 0")], 0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let view = store.seen_by(&Viewer::Public);
                    let mut reads = 0;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let (file, bytes) = view.dataset_file("days", "days-2026-11.csv").expect("no error").expect("there");
                        assert_eq!(sha256_hex(&bytes), file.sha256);
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        for version in 1..=150 {
            publish(&store, vec![stage(&store, "2026-11", &format!("version {version}"))], 0);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(readers.into_iter().map(|reader| reader.join().expect("a reader")).sum::<u64>() > 150);
    });
}

#[test]
fn a_published_file_that_is_damaged_is_named_and_not_served() {
    let dir = Dir::new("damaged");
    let store = dir.open();
    let file = stage(&store, "2026-10", "day;1.42\n");
    publish(&store, vec![file, stage(&store, "2026-11", "day;1.50\n")], 0);
    let path = dir.0.join("store.db");
    assert!(crate::check(&path, &mut |_, _| ()).expect("checked").is_sound());
    store.close_blocking();
    drop(store);
    let raw = rusqlite::Connection::open(&path).expect("raw");
    raw.execute("UPDATE file SET body = CAST('day;1.43\n' AS BLOB) WHERE at = 1", []).expect("flipped");
    drop(raw);
    let store = dir.open();
    let view = store.seen_by(&Viewer::Public);
    let served = view.dataset_file("days", "days-2026-10.csv");
    assert!(matches!(&served, Err(Error::Damaged { what }) if what.contains("days-2026-10.csv")), "{served:?}");
    assert_eq!(text(&store, "days-2026-11.csv").as_deref(), Some("day;1.50\n"));
    let damage = crate::check(&path, &mut |_, _| ()).expect("checked").damage;
    assert!(damage.len() == 1 && damage[0].contains("days-2026-10.csv"), "{damage:?}");
    store.close_blocking();
}
