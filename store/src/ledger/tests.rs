use crate::{Batch, Outcome, Settings, Store, Tally};
use model::{Account, Clock, DatastreamId, Interval, Observation, Quality, Scope, Timestamp, Viewer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::parse("2026-11-23T12:00:00Z").expect("a time")
    }
}

struct Dir(PathBuf);
impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, Settings::default(), Arc::new(Fixed)).expect("open")
}

/// A batch of one device: observations of these minutes.
fn batch(device: &str, minutes: std::ops::Range<i64>) -> Batch {
    let now = Fixed.now();
    let observation = |minute: i64| Observation {
        datastream: DatastreamId(0),
        phenomenon_time: now.plus_seconds(minute * 60),
        received_at: now,
        result: 1.0,
        quality: Quality::GOOD,
    };
    let observations: Vec<_> = minutes.map(observation).collect();
    let count = u32::try_from(observations.len()).expect("few");
    let tally = Tally {
        owner: "o".into(),
        device: device.into(),
        received_at: now,
        received: count.cast_signed(),
        observations: count,
        repeated: 0,
        quarantined: 0,
    };
    Batch { observations, tallies: vec![tally], ..Batch::default() }
}

fn check(store: &Store, expected: &[(&str, u64, u64, u64)]) {
    let now = Fixed.now();
    let view = store.seen_by(&Viewer::Token { owner: "o".into(), scopes: vec![Scope::Audit] });
    let lines = view.ledger(Interval::new(now, now.plus_seconds(1)), None).expect("read");
    let count = |account: Account| (account.received, account.accepted, account.duplicates);
    let found: Vec<_> = lines
        .iter()
        .map(|line| {
            let (received, accepted, duplicates) = count(line.account);
            (line.device.as_str(), received, accepted, duplicates)
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn lines_come_back_from_the_log_and_from_rows_neither_lost_nor_twice() {
    let dir = Dir(std::env::temp_dir().join(format!("pescaia-ledger-{}", std::process::id())));
    let _ = std::fs::remove_dir_all(&dir.0);
    let mut store = open(&dir.0);
    let receipt = store.commit_blocking(batch("a", 0..10)).expect("committed");
    assert!(receipt.outcomes.iter().all(|outcome| *outcome == Outcome::Accepted));
    store.commit_blocking(batch("a", 5..12)).expect("committed");
    let expected = [("a", 17, 12, 5)];
    check(&store, &expected);
    let reopen = |store: Store| {
        store.close_blocking();
        drop(store);
        open(&dir.0)
    };
    store = reopen(store);
    check(&store, &expected);
    // Sealing drops log records: from now on the lines are rows.
    store.seal_all().expect("sealed");
    check(&store, &expected);
    store = reopen(store);
    check(&store, &expected);
    store.commit_blocking(batch("b", 20..23)).expect("committed");
    // Nothing but repetitions costs no commit; the line is right at once, and goes along with the next.
    store.commit_blocking(batch("a", 0..2)).expect("committed");
    check(&store, &[("a", 19, 12, 7), ("b", 3, 3, 0)]);
    store.commit_blocking(batch("b", 23..24)).expect("committed");
    store = reopen(store);
    check(&store, &[("a", 19, 12, 7), ("b", 4, 4, 0)]);
    for minute in 0..3000 {
        store.commit_blocking(batch("b", 100 + minute..101 + minute)).expect("committed");
    }
    store = reopen(store);
    check(&store, &[("a", 19, 12, 7), ("b", 3004, 3004, 0)]);
    store.close_blocking();
}
