//! A bit of the file of a store, flipped while nobody looks: nothing wrong is served, what is missing is named, and what is counted is what is
//! served. `PESCAIA_LONG` asks for every bit of the pages of observations, and for ten thousand of the whole file.

use super::*;
use crate::History;
use crate::chunk::{Chunks, Versions};
use model::Timestamp;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

const STREAMS: u32 = 3;
const START: i64 = 1_790_000_000;
const PAGE: usize = 4096;

/// Bits of the value by datastream and time in µs.
type Truth = BTreeMap<(u32, i64), u64>;

fn network() -> String {
    let stream = |id: u32| format!("[[datastream]]\nid = \"d{id}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 60\n");
    let head = "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n";
    format!("{head}{}", (0..STREAMS).map(stream).collect::<String>())
}

fn say(store: &Store, truth: &mut Truth, minutes: std::ops::Range<i64>) {
    let all = minutes.flat_map(|minute| (0..STREAMS).map(move |id| (id, minute)));
    let observations = all.map(|(id, minute)| {
        let at = Timestamp::from_seconds(START + minute * 60);
        let result = f64::from(id * 1000) + ((minute * 7919) % 400) as f64 / 100.0;
        truth.insert((id, at.micros()), result.to_bits());
        Observation { datastream: DatastreamId(id), phenomenon_time: at, received_at: at, result, quality: Quality::GOOD }
    });
    store.commit_blocking(Batch { observations: observations.collect(), ..Batch::default() }).expect("committed");
}

/// Three chunks of each datastream, and records of the log.
fn filled(dir: &Dir) -> Truth {
    let (store, mut truth) = (dir.open(NOW), Truth::new());
    apply(&store, &network()).expect("applied");
    // Long enough that the next does not take it up.
    for part in 0..3 {
        say(&store, &mut truth, part * 800..(part + 1) * 800);
        store.seal_all().expect("sealed");
    }
    for minute in 2400..2412 {
        say(&store, &mut truth, minute..minute + 1);
    }
    close(store);
    truth
}

/// What is served of one datastream: how many, and whether all of it is as it was.
fn compare(truth: &Truth, id: u32, found: impl Iterator<Item = (i64, f64)>) -> (usize, usize) {
    let (mut count, mut wrong) = (0, 0);
    for (at, value) in found {
        count += 1;
        wrong += usize::from(truth.get(&(id, at)) != Some(&value.to_bits()));
    }
    (count, wrong)
}

/// Looks at a file without changing it. How many are missing; `None` when it is refused whole.
fn look(path: &Path, truth: &Truth, what: &str) -> Option<usize> {
    let (engine, _) = Sqlite::snapshot(path).ok()?;
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let recovered = Chunks::recover(engine.clone()).ok()?;
    let (mut served, mut fails) = (0, 0);
    for id in 0..STREAMS {
        let mut found = Vec::new();
        let read = recovered.chunks.visit_of(DatastreamId(id), Interval::ALL, &Versions::Now, |point| {
            found.push((point.at, point.value));
            ControlFlow::Continue(())
        });
        fails += usize::from(read.is_err());
        let (count, wrong) = compare(truth, id, found.into_iter());
        assert_eq!(wrong, 0, "{what}: values of datastream {id} that nobody sent");
        served += count;
    }
    let missing = truth.len() - served;
    let is_named = fails > 0 || !recovered.damage.is_empty() || !engine.damaged().is_empty() || recovered.chunks.fences.len() > 0;
    assert!(missing == 0 || is_named, "{what}: {missing} are missing, and nobody says so");
    Some(missing)
}

/// The pages of observations: of the chunks, of their index, of the log.
fn pages(path: &Path) -> Vec<(String, usize)> {
    let raw = Connection::open(path).expect("raw");
    let sql = "SELECT name, pageno FROM dbstat WHERE name IN ('chunk', 'chunk_keys', 'log') ORDER BY pageno";
    let mut statement = raw.prepare(sql).expect("the pages are listed");
    let pages = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?))).expect("pages");
    pages.map(|page| page.expect("a page")).map(|(name, page)| (name, usize::try_from(page).expect("small"))).collect()
}

fn is_long() -> bool {
    std::env::var_os("PESCAIA_LONG").is_some()
}

#[test]
fn no_bit_of_a_page_of_observations_makes_a_value_that_nobody_sent() {
    let dir = Dir::new("bits-of-pages");
    let truth = filled(&dir);
    assert_eq!(look(&dir.file(), &truth, "the whole store"), Some(0));
    let sound = std::fs::read(dir.file()).expect("bytes");
    let flipped = dir.0.join("flipped.db");
    let step = if is_long() { 1 } else { 97 };
    let (mut bits, mut refused, mut missing) = (0, 0, 0);
    for (name, page) in pages(&dir.file()) {
        for bit in ((page * 7) % step..PAGE * 8).step_by(step) {
            let mut bytes = sound.clone();
            bytes[(page - 1) * PAGE + bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&flipped, bytes).expect("written");
            let found = look(&flipped, &truth, &format!("bit {bit} of page {page}, {name}"));
            bits += 1;
            refused += usize::from(found.is_none());
            missing += usize::from(found.is_some_and(|missing| missing > 0));
        }
    }
    assert!(missing > 0, "some of {bits} bits must have hit something ({refused} refused)");
}

/// Opens a store as the product does, reads all of it, and asks how it is.
fn open_and_look(dir: &Dir, truth: &Truth, what: &str) -> Option<usize> {
    let store = Store::open(&dir.0, Settings::default(), Arc::new(NOW)).ok()?;
    let (mut served, mut counted, mut fails) = (0, 0, 0);
    for id in (0..STREAMS).map(DatastreamId) {
        let found = store.scan(id, Interval::ALL, usize::MAX).unwrap_or_else(|_| {
            fails += 1;
            Vec::new()
        });
        let found = found.iter().map(|one| (one.phenomenon_time.micros(), one.result));
        let (count, wrong) = compare(truth, id.0, found);
        assert_eq!(wrong, 0, "{what}: values of datastream {} that nobody sent", id.0);
        let last = store.latest(id);
        assert!(
            last.is_none_or(|last| truth.get(&(id.0, last.phenomenon_time.micros())) == Some(&last.result.to_bits())),
            "{what}: {last:?}"
        );
        (served, counted) = (served + count, counted + store.count(id));
    }
    let health = store.health();
    let missing = truth.len() - served;
    if fails == 0 {
        assert_eq!((counted, health.observations), (served as u64, served as u64), "{what}: counted and served");
    }
    let is_named = fails > 0 || health.damaged() > 0 || health.log_removed_after.is_some();
    assert!(missing == 0 || is_named, "{what}: {missing} are missing, and nobody says so");
    close(store);
    Some(missing)
}

#[test]
fn no_bit_of_the_whole_file_makes_a_value_that_nobody_sent() {
    let dir = Dir::new("bits-of-file");
    let truth = filled(&dir);
    let sound = std::fs::read(dir.file()).expect("bytes");
    let (mut dice, count) = (41_u64, if is_long() { 10_000 } else { 120 });
    for _ in 0..count {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bit = usize::try_from(dice >> 16).expect("64 bits") % (sound.len() * 8);
        let other = Dir::new("bit-of-file");
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(other.file(), bytes).expect("written");
        open_and_look(&other, &truth, &format!("bit {bit}"));
    }
}

/// What a page of the index says of which row is whose is made anew from the rows, and all is served; but for the few bits that say how the
/// page itself is laid out.
#[test]
fn an_index_that_does_not_say_what_was_written_is_made_anew_from_the_rows() {
    let dir = Dir::new("index-bits");
    let truth = filled(&dir);
    let sound = std::fs::read(dir.file()).expect("bytes");
    let (mut bits, mut missing, mut mended) = (0, 0, 0);
    for (_, page) in pages(&dir.file()).into_iter().filter(|(name, _)| name == "chunk_keys") {
        let start = (page - 1) * PAGE;
        let cells = usize::from(u16::from_be_bytes([sound[start + 5], sound[start + 6]]));
        for bit in (cells * 8..PAGE * 8).step_by(if is_long() { 1 } else { 67 }) {
            let other = Dir::new("index-bit");
            let mut bytes = sound.clone();
            bytes[start + bit / 8] ^= 1 << (bit % 8);
            std::fs::write(other.file(), bytes).expect("written");
            let Some(lost) = open_and_look(&other, &truth, &format!("bit {bit} of the index")) else { continue };
            bits += 1;
            missing += usize::from(lost > 0);
            mended += usize::from(damage(&other).is_empty());
        }
    }
    assert!(
        bits > 30 && missing * 8 < bits && mended * 8 > bits * 7,
        "{missing} of {bits} with something missing, {mended} sound after a start"
    );
}

/// A row that somebody took out with its entry in the index is missed, and known by its key.
#[test]
fn a_chunk_that_is_gone_with_its_key_is_missed() {
    let dir = Dir::new("chunk-gone");
    let truth = filled(&dir);
    let raw = Connection::open(dir.file()).expect("raw");
    assert_eq!(raw.execute("DELETE FROM chunk WHERE id = (SELECT id FROM chunk WHERE part = 1 ORDER BY at LIMIT 1)", []).expect("gone"), 1);
    drop(raw);
    let said = damage(&dir);
    assert!(said.iter().any(|one| one.contains("chunk: 1 rows with") && one.contains(&format!("1/{}", START * 1_000_000))), "{said:?}");
    let missing = open_and_look(&dir, &truth, "a chunk is gone").expect("opened");
    assert!(missing > 700, "{missing}");
    let store = dir.open(NOW);
    let gaps = store.shared().chunks.fences.gaps(DatastreamId(1), Interval::ALL);
    assert_eq!(gaps.iter().map(|gap| (gap.from, gap.count)).collect::<Vec<_>>(), [(Timestamp::from_seconds(START), missing as u64)]);
    close(store);
}

#[test]
fn a_record_of_the_log_that_is_gone_is_missed() {
    for (which, at) in [("the first", "min(at)"), ("one within", "min(at) + 5"), ("the last", "max(at)")] {
        let dir = Dir::new("record-gone");
        let truth = filled(&dir);
        let raw = Connection::open(dir.file()).expect("raw");
        assert_eq!(raw.execute(&format!("DELETE FROM log WHERE at = (SELECT {at} FROM log)"), []).expect("gone"), 1, "{which}");
        drop(raw);
        assert!(damage(&dir).iter().any(|one| one.contains("the log: what was committed after commit")), "{which}: {:?}", damage(&dir));
        let missing = open_and_look(&dir, &truth, which).expect("opened");
        assert_eq!(missing, if which == "the first" { 0 } else { STREAMS as usize }, "{which}");
    }
}
