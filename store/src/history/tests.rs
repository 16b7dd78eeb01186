mod influx;

use super::History;
use crate::engine::Engine;
use crate::scratch::{Dir, Still};
use crate::{Error, Outcome, Settings, Store};
use model::{Clock, DatastreamId, Flag, Interval, Observation, Quality, QualityTest, Timestamp};
use std::collections::BTreeMap;
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

const START: i64 = 1_767_225_600;
const NOW: Still = Still(START + 10_000_000);

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
        for (from, to, limit) in [
            (-100, 100_000, usize::MAX),
            (-100_000_000, 100_000, usize::MAX),
            (0, 1, 9),
            (5, 5, 9),
            (777, 2345, 40),
            (1500, 9000, usize::MAX),
        ] {
            let interval = Interval::new(at(from), at(to));
            let (mine, theirs) = (one.scan(datastream, interval, limit), other.scan(datastream, interval, limit));
            assert_eq!(mine.expect("scan"), theirs.expect("scan"), "scan {from}..{to} {when}");
            let (mine, theirs) = (one.scan_back(datastream, at(to), 30), other.scan_back(datastream, at(to), 30));
            assert_eq!(mine.expect("back"), theirs.expect("back"), "back from {to} {when}");
        }
    }
}

/// Values and times that a careless way there and back would change.
fn odd() -> Vec<Observation> {
    let values = [0.1 + 0.2, -0.0, 5e-324, f64::MIN_POSITIVE, f64::MAX, -1.0 / 3.0, 1e21, 123_456_789.123_456_79, 1e-7];
    let one = |(place, result): (i64, f64)| {
        let phenomenon_time = Timestamp::from_seconds(START - 90_000).plus_micros(place * 1_000_003 + 1);
        let quality = match place % 3 {
            0 => Quality::GOOD,
            1 => Quality::NOT_EVALUATED,
            _ => Quality::GOOD.with(QualityTest::GrossRange, Flag::Fail).with(QualityTest::DeviceStatus, Flag::Suspect),
        };
        Observation { phenomenon_time, result, quality, ..observation(0, 0, 0, place) }
    };
    let in_1851 = Observation { phenomenon_time: Timestamp::from_seconds(-3_755_000_000).plus_micros(7), ..observation(1, 0, 1851, 0) };
    (0..).zip(values).map(one).chain([in_1851]).collect()
}

/// The suite: every history does as the plain one, group by group, and has the same wherever it is looked at. `after` is told the number of
/// each group.
fn conforms<H: History>(history: &mut H, groups: Vec<Vec<Observation>>, mut after: impl FnMut(usize, &mut H, &Plain)) {
    let plain = Plain::default();
    for (number, group) in groups.into_iter().enumerate() {
        assert_eq!(history.append(&group).expect("kept"), plain.append(&group).expect("plain"), "group {number}");
        after(number, history, &plain);
    }
    same(history, &plain, "at the end");
}

#[test]
fn the_chunk_layer_does_as_the_plain_one_on_disk_and_in_memory_also_after_reopening() {
    let dir = Dir::new("history");
    for seed in [1, 2] {
        eprintln!("seed {seed}");
        let groups: Vec<_> = std::iter::once(odd()).chain(groups(seed, 60, 200)).collect();
        conforms(&mut Store::in_memory(Arc::new(NOW)).expect("memory"), groups.clone(), |_, _, _| ());
        let sub = Dir(dir.0.join(seed.to_string()));
        std::fs::create_dir_all(&sub.0).expect("a directory");
        conforms(&mut Some(sub.open(NOW)), groups, |number, disk, plain| {
            if number % 20 == 13 {
                disk.take().expect("open").close_blocking();
                *disk = Some(sub.open(NOW));
                same(disk, plain, "just after reopening");
            }
            if number % 25 == 24 {
                disk.as_ref().expect("open").seal_all().expect("seal");
                same(disk, plain, "just after sealing all");
            }
        });
    }
}

/// A store that is closed and opened again.
impl History for Option<Store> {
    fn append(&self, group: &[Observation]) -> Result<Vec<Outcome>, Error> {
        self.as_ref().expect("open").append(group)
    }
    fn scan(&self, datastream: DatastreamId, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error> {
        self.as_ref().expect("open").scan(datastream, interval, limit)
    }
    fn scan_back(&self, datastream: DatastreamId, to: Timestamp, limit: usize) -> Result<Vec<Observation>, Error> {
        self.as_ref().expect("open").scan_back(datastream, to, limit)
    }
    fn latest(&self, datastream: DatastreamId) -> Option<Observation> {
        self.as_ref().expect("open").latest(datastream)
    }
    fn count(&self, datastream: DatastreamId) -> u64 {
        self.as_ref().expect("open").count(datastream)
    }
}

#[test]
fn what_was_replaced_is_kept() {
    let dir = Dir::new("superseded");
    let store = dir.open(NOW);
    let one = observation(0, 1, 1420, 2);
    assert_eq!(store.append(&[one, one]).expect("append"), [Outcome::Accepted, Outcome::Duplicate]);
    assert_eq!(store.append(&[observation(0, 1, 1430, 3)]).expect("append"), [Outcome::Revised]);
    assert_eq!(store.latest(DatastreamId(0)).map(|last| last.result), Some(1.43));
    assert_eq!(store.superseded(DatastreamId(0)).expect("superseded"), [one]);
}

/// Whether it waits in the log, has become a row, or both, as after a kill between a seal and the end of its log records.
#[test]
fn what_was_replaced_is_kept_once_through_seals_and_restarts() {
    let dir = Dir::new("superseded-restart");
    let versions: Vec<Observation> = (0..6).map(|mm| observation(0, 1, 1420 + mm, 2 + mm)).collect();
    for (place, version) in versions.iter().enumerate() {
        let store = dir.open(NOW);
        store.append(&[*version, observation(1, 1 + i64::try_from(place).expect("small"), 1000, 9)]).expect("append");
        assert_eq!(store.superseded(DatastreamId(0)).expect("superseded"), versions[..place], "before a seal");
        if place % 2 == 1 {
            store.seal_all().expect("seal");
            assert_eq!(store.superseded(DatastreamId(0)).expect("superseded"), versions[..place], "after a seal");
        }
        store.close_blocking();
        drop(store);
        let store = dir.open(NOW);
        assert_eq!(store.superseded(DatastreamId(0)).expect("superseded"), versions[..place], "after a restart");
        assert_eq!((store.latest(DatastreamId(0)), store.count(DatastreamId(0))), (Some(*version), 1));
        store.close_blocking();
    }
}

/// A buffer is sealed but for its newest points, whose records stay in the log, over and over, with late points in between.
#[test]
fn what_a_seal_leaves_in_the_buffer_outlives_restarts() {
    let dir = Dir::new("partly-sealed");
    let mut expected: BTreeMap<i64, Observation> = BTreeMap::new();
    for day in 0..12 {
        let store = dir.open(NOW);
        for hour in 0..24 {
            let mut group: Vec<Observation> = (0..60).map(|minute| observation(0, (day * 24 + hour) * 60 + minute, minute, 9)).collect();
            // Every tenth comes six hours late, every seventh says again something of yesterday.
            group.iter_mut().step_by(10).for_each(|one| *one = observation(0, (day * 24 + hour - 6) * 60 + 61, hour, 9));
            group.push(observation(0, (day * 24 + hour - 25) * 60 + 7, 77, 9));
            store.append(&group).expect("append");
            expected.extend(group.iter().map(|one| (one.phenomenon_time.micros(), *one)));
        }
        let expected: Vec<Observation> = expected.values().copied().collect();
        assert_eq!(store.scan(DatastreamId(0), Interval::ALL, usize::MAX).expect("scan"), expected, "day {day}");
        store.close_blocking();
        drop(store);
        let store = dir.open(NOW);
        assert_eq!(store.scan(DatastreamId(0), Interval::ALL, usize::MAX).expect("scan"), expected, "day {day}, opened again");
        assert_eq!(store.count(DatastreamId(0)), expected.len() as u64);
        store.close_blocking();
    }
}

#[test]
fn a_second_process_is_refused_by_the_lock() {
    let dir = Dir::new("lock");
    let store = dir.open(NOW);
    assert!(matches!(Store::open(&dir.0, Settings::default(), Arc::new(NOW)), Err(Error::Locked { .. })));
    store.close_blocking();
    drop(store);
    drop(dir.open(NOW));
}

#[test]
fn damage_is_named_never_served_and_holds_nothing_else_up() {
    let dir = Dir::new("damage");
    let store = dir.open(NOW);
    let many: Vec<Observation> = (0..3000).map(|minute| observation(0, minute, minute, minute)).collect();
    for half in many.chunks(1500) {
        store.append(half).expect("append");
        store.seal_all().expect("seal");
    }
    store.close_blocking();
    drop(store);
    let raw = rusqlite::Connection::open(dir.0.join("store.db")).expect("raw");
    let hit = raw.execute("UPDATE chunk SET body = zeroblob(length(body)) WHERE at = (SELECT min(at) FROM chunk)", []);
    assert_eq!(hit.expect("update"), 1);
    drop(raw);
    let store = dir.open(NOW);
    let left = store.scan(DatastreamId(0), Interval::ALL, usize::MAX).expect("the rest");
    let lost = many.len() - left.len();
    assert!((500..2600).contains(&lost) && left == many[lost..], "{lost} are fenced off, the rest is as it was");
    assert_eq!(store.health().damaged_chunks, 1);
    let end = Timestamp::from_seconds(START + 2990 * 60);
    assert_eq!(store.scan(DatastreamId(0), Interval::new(end, Timestamp::MAX), 99).expect("another chunk").len(), 10);
    let mixed = [observation(0, 5, 1, 1), observation(1, 1, 1, 1)];
    assert_eq!(store.append(&mixed).expect("goes on"), [Outcome::Accepted, Outcome::Accepted]);
}

const NETWORK: &str = "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n\
    [[datastream]]\nid = \"d\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 60\nvisibility = \"public\"\n";

/// Flips a bit of the chunk at `place`, counted from the earliest.
fn flip(dir: &Dir, place: usize) {
    let raw = rusqlite::Connection::open(dir.0.join("store.db")).expect("raw");
    let (at, mut body): (i64, Vec<u8>) = raw
        .query_row("SELECT at, body FROM chunk ORDER BY at LIMIT 1 OFFSET ?1", [i64::try_from(place).expect("small")], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("a chunk");
    let middle = body.len() / 2;
    body[middle] ^= 4;
    assert_eq!(raw.execute("UPDATE chunk SET body = ?1 WHERE at = ?2", rusqlite::params![body, at]).expect("update"), 1);
}

#[test]
fn what_is_damaged_is_a_gap_until_a_backup_brings_it_back() {
    for place in 0..3 {
        let dir = Dir::new(&format!("heal-{place}"));
        let store = dir.open(NOW);
        store.apply(&crate::load_embedded("n", NETWORK, &[]).expect("a network")).expect("applied");
        // In three goes, so that there are three chunks or more.
        let many: Vec<Observation> = (0..6000).map(|minute| observation(0, minute, minute * minute % 7919, minute)).collect();
        for third in many.chunks(2000) {
            store.append(third).expect("append");
            store.seal_all().expect("seal");
        }
        let backup = dir.0.join("backup.db");
        let sound = store.backup(&backup, &mut |_| ()).expect("a backup");
        store.close_blocking();
        drop(store);
        flip(&dir, place);
        let store = dir.open(NOW);
        let view = store.seen_by(&model::Viewer::Public);
        let datastream = view.datastream("d").expect("there");
        let left = view.observations(&datastream, Interval::ALL, usize::MAX).expect("the rest");
        assert!(left.len() < 6000 && left.iter().all(|one| many.contains(one)), "no wrong value");
        assert!(store.latest(DatastreamId(0)).is_some_and(|last| many.contains(&last)), "the last that can be read");
        let gaps = view.gaps(&datastream, Interval::ALL).expect("gaps");
        assert_eq!(
            gaps.iter().map(|gap| (gap.reason.code(), gap.count)).collect::<Vec<_>>(),
            [("damaged".to_owned(), 6000 - left.len() as u64)]
        );
        assert!(!crate::check(&dir.0.join("store.db"), &mut |_, _| ()).expect("checked").is_sound());
        let merged = store.merge(&backup, "test", &mut |_| ()).expect("taken in");
        assert_eq!(merged.accepted, 6000 - left.len() as u64);
        store.seal_all().expect("seal");
        assert_eq!(view.observations(&datastream, Interval::ALL, usize::MAX).expect("all"), many);
        assert!(view.gaps(&datastream, Interval::ALL).expect("gaps").is_empty());
        assert_eq!((store.count(DatastreamId(0)), store.latest(DatastreamId(0))), (6000, many.last().copied()));
        store.close_blocking();
        drop((view, store));
        let mended = crate::check(&dir.0.join("store.db"), &mut |_, _| ()).expect("checked");
        assert_eq!((mended.digest, mended.damage), (sound.digest, Vec::new()));
    }
}

#[test]
fn a_deletion_that_a_kill_cut_short_is_ended_by_the_next_start() {
    let dir = Dir::new("cut-short");
    let store = dir.open(NOW);
    store.apply(&crate::load_embedded("n", NETWORK, &[]).expect("a network")).expect("applied");
    let many: Vec<Observation> = (0..6000).map(|minute| observation(0, minute, minute % 7919, minute)).collect();
    many.chunks(2000).for_each(|some| drop(store.append(some).expect("append")));
    store.close_blocking();
    drop(store);
    // As a kill leaves it: it is known what is to go, and all of it is there.
    let (from, to) = (many[1000].phenomenon_time.micros(), many[5000].phenomenon_time.micros());
    let at_s = NOW.now().seconds();
    let body = format!(r#"{{"datastream":"d","from_us":{from},"to_us":{to},"at_s":{at_s},"pending":true}}"#);
    let tombstone = crate::engine::Document { kind: "deleted".into(), id: format!("d {from} {to} {at_s}"), body };
    let engine = crate::engine::Sqlite::open(&dir.file()).expect("open");
    engine.commit(&[crate::engine::Change::PutDocument(tombstone)]).expect("put");
    drop(engine);
    for start in 0..2 {
        let store = dir.open(NOW);
        let left = store.scan(DatastreamId(0), Interval::ALL, usize::MAX).expect("scan");
        assert_eq!(left, [&many[..1000], &many[5000..]].concat(), "start {start}");
        assert!(store.tombstones().expect("known").iter().all(|one| !one.pending));
        store.close_blocking();
    }
}
