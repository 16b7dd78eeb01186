use super::History;
use crate::{Error, Outcome, Settings, Store};
use model::{Clock, DatastreamId, Interval, Observation, Quality, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The contract in its plainest form: what the others are compared with.
#[derive(Default)]
struct Plain {
    kept: Mutex<BTreeMap<(DatastreamId, Timestamp), Observation>>,
}

impl History for Plain {
    fn append(&self, group: &[Observation]) -> Result<Vec<Outcome>, Error> {
        let mut kept = self.kept.lock().expect("lock");
        let outcome = |new: &Observation| {
            let key = (new.datastream, new.phenomenon_time);
            let is_gone = |one: &Observation| one.quality == Quality::WITHDRAWN;
            let stays = |old: &Observation| old.result.to_bits() == new.result.to_bits() && (is_gone(old) || !is_gone(new));
            let outcome = match kept.get(&key) {
                None if is_gone(new) => Outcome::Duplicate,
                None => Outcome::Accepted,
                Some(old) if stays(old) => Outcome::Duplicate,
                Some(_) => Outcome::Revised,
            };
            if outcome != Outcome::Duplicate {
                kept.insert(key, *new);
            }
            outcome
        };
        Ok(group.iter().map(outcome).collect())
    }
    fn scan(&self, datastream: DatastreamId, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error> {
        let kept = self.kept.lock().expect("lock");
        let all = kept.range((datastream, interval.from)..(datastream, interval.to));
        let served = all.filter(|(_, observation)| observation.quality != Quality::WITHDRAWN);
        Ok(served.take(limit).map(|(_, observation)| *observation).collect())
    }
    fn scan_back(&self, datastream: DatastreamId, to: Timestamp, limit: usize) -> Result<Vec<Observation>, Error> {
        let mut all = self.scan(datastream, Interval::new(Timestamp::MIN, to), usize::MAX)?;
        Ok(all.split_off(all.len().saturating_sub(limit)))
    }
    fn latest(&self, datastream: DatastreamId) -> Option<Observation> {
        self.scan(datastream, Interval::ALL, usize::MAX).expect("plain").last().copied()
    }
    fn count(&self, datastream: DatastreamId) -> u64 {
        self.scan(datastream, Interval::ALL, usize::MAX).expect("plain").len() as u64
    }
}

struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(START + 10_000_000)
    }
}

const START: i64 = 1_767_225_600;

/// A directory that goes away with its owner.
struct Dir(PathBuf);
impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pescaia-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
    fn open(&self) -> Store {
        Store::open(&self.0, Settings::default(), Arc::new(Fixed)).expect("open")
    }
}
impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn observation(datastream: u32, minute: i64, millimetres: i64, received_minute: i64) -> Observation {
    Observation {
        datastream: DatastreamId(datastream),
        phenomenon_time: Timestamp::from_seconds(START + minute * 60),
        received_at: Timestamp::from_seconds(START + received_minute * 60),
        result: millimetres as f64 / 1000.0,
        quality: Quality::GOOD,
    }
}

/// A small repeatable generator.
struct Dice(u64);
impl Dice {
    fn roll(&mut self, sides: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((self.0 >> 33) % sides).expect("small")
    }
}

/// Groups of new, late, repeated, changed and withdrawn observations of a few datastreams.
fn groups(seed: u64, count: usize, size: usize) -> Vec<Vec<Observation>> {
    let mut dice = Dice(seed);
    let mut minute = 0;
    (0..count)
        .map(|_| {
            (0..size)
                .map(|_| {
                    minute += 1;
                    let datastream = u32::try_from(dice.roll(3)).expect("small");
                    let withdrawn = |one: Observation| Observation { quality: Quality::WITHDRAWN, ..one };
                    match dice.roll(12) {
                        10 => withdrawn(observation(datastream, minute - dice.roll(200), dice.roll(2), minute)),
                        11 => withdrawn(observation(datastream, minute - dice.roll(5), dice.roll(3000), minute)),
                        0 => observation(datastream, minute - dice.roll(4000), dice.roll(5), minute),
                        1 => observation(datastream, minute - dice.roll(5), dice.roll(2), minute),
                        2 => observation(datastream, -dice.roll(50), dice.roll(3), minute),
                        _ => observation(datastream, minute, dice.roll(3000), minute),
                    }
                })
                .collect()
        })
        .collect()
}

fn same(one: &dyn History, other: &dyn History, when: &str) {
    let at = |minute: i64| Timestamp::from_seconds(START + minute * 60);
    for datastream in (0..4).map(DatastreamId) {
        assert_eq!(one.latest(datastream), other.latest(datastream), "latest {when}");
        assert_eq!(one.count(datastream), other.count(datastream), "count {when}");
        for (from, to, limit) in [(-100, 100_000, usize::MAX), (0, 1, 9), (5, 5, 9), (777, 2345, 40), (1500, 9000, usize::MAX)] {
            let interval = Interval::new(at(from), at(to));
            let (mine, theirs) = (one.scan(datastream, interval, limit), other.scan(datastream, interval, limit));
            assert_eq!(mine.expect("scan"), theirs.expect("scan"), "scan {from}..{to} {when}");
            let (mine, theirs) = (one.scan_back(datastream, at(to), 30), other.scan_back(datastream, at(to), 30));
            assert_eq!(mine.expect("back"), theirs.expect("back"), "back from {to} {when}");
        }
    }
}

#[test]
fn every_history_does_as_the_plain_one_also_after_reopening() {
    let dir = Dir::new("history");
    for seed in [1, 2] {
        eprintln!("seed {seed}");
        let plain = Plain::default();
        let memory = Store::in_memory(Arc::new(Fixed)).expect("memory");
        let sub = Dir(dir.0.join(seed.to_string()));
        std::fs::create_dir_all(&sub.0).expect("a directory");
        let mut disk = sub.open();
        for (number, group) in groups(seed, 60, 200).into_iter().enumerate() {
            let expected = plain.append(&group).expect("plain");
            assert_eq!(memory.append(&group).expect("memory"), expected, "group {number}");
            assert_eq!(disk.append(&group).expect("disk"), expected, "group {number}");
            if number % 20 == 13 {
                disk.close_blocking();
                drop(disk);
                disk = sub.open();
                same(&disk, &plain, "just after reopening");
            }
            if number % 25 == 24 {
                disk.seal_all().expect("seal");
                same(&disk, &plain, "just after sealing all");
            }
        }
        same(&memory, &plain, "in memory");
        same(&disk, &plain, "on disk");
    }
}

#[test]
fn what_was_replaced_is_kept() {
    let dir = Dir::new("superseded");
    let store = dir.open();
    let one = observation(0, 1, 1420, 2);
    assert_eq!(store.append(&[one, one]).expect("append"), [Outcome::Accepted, Outcome::Duplicate]);
    assert_eq!(store.append(&[observation(0, 1, 1430, 3)]).expect("append"), [Outcome::Revised]);
    assert_eq!(store.latest(DatastreamId(0)).map(|last| last.result), Some(1.43));
    assert_eq!(store.superseded(DatastreamId(0)).expect("superseded"), [one]);
}

#[test]
fn a_second_process_is_refused_by_the_lock() {
    let dir = Dir::new("lock");
    let store = dir.open();
    assert!(matches!(Store::open(&dir.0, Settings::default(), Arc::new(Fixed)), Err(Error::Locked { .. })));
    store.close_blocking();
    drop(store);
    drop(dir.open());
}

#[test]
fn damage_is_named_never_served_and_holds_nothing_else_up() {
    let dir = Dir::new("damage");
    let store = dir.open();
    let many: Vec<Observation> = (0..3000).map(|minute| observation(0, minute, minute, minute)).collect();
    store.append(&many).expect("append");
    store.seal_all().expect("seal");
    store.close_blocking();
    drop(store);
    let raw = rusqlite::Connection::open(dir.0.join("store.db")).expect("raw");
    let hit = raw.execute("UPDATE chunk SET body = zeroblob(length(body)) WHERE at = (SELECT min(at) FROM chunk)", []);
    assert_eq!(hit.expect("update"), 1);
    drop(raw);
    let store = dir.open();
    assert!(matches!(store.scan(DatastreamId(0), Interval::ALL, 10), Err(Error::Damaged { .. })));
    let end = Timestamp::from_seconds(START + 2990 * 60);
    assert_eq!(store.scan(DatastreamId(0), Interval::new(end, Timestamp::MAX), 99).expect("another chunk").len(), 10);
    let mixed = [observation(0, 5, 1, 1), observation(1, 1, 1, 1)];
    assert_eq!(store.append(&mixed).expect("goes on"), [Outcome::Accepted, Outcome::Accepted]);
}
