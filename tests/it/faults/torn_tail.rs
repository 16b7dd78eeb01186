//! F5: the power goes while the end of the write-ahead log is on its way to the disk: any number of its last bytes are missing, or are not
//! what was written. What is lost is the last commits and nothing else, each of them whole.

use crate::support::Dir;
use crate::support::sim::WallClock;
use model::{DatastreamId, Interval, Observation, Quality, Timestamp};
use std::path::Path;
use std::sync::Arc;
use store::{Batch, History, Settings, Store, load_embedded};

const STREAMS: u32 = 3;
const COMMITS: i64 = 120;
const START: i64 = 1_767_225_600;
/// Of the log's end, bytes.
const TAIL: u64 = 4096;
/// Of these, one in so many is enough to see whether a sort of damage is survived at all.
const SOME: usize = 61;

/// What the n-th commit holds: something of each datastream, now little, now more than a chunk's buffer has room for.
fn group(commit: i64) -> Vec<Observation> {
    let size = if commit % 17 == 0 { 900 } else { 1 + commit % 7 };
    let one = |n: i64| Observation {
        datastream: DatastreamId(u32::try_from(n % i64::from(STREAMS)).unwrap()),
        phenomenon_time: Timestamp::from_seconds(START + commit * 10_000 + n),
        received_at: Timestamp::from_seconds(START + commit * 10_000 + n),
        result: ((commit * 7919 + n * 31) % 12_000) as f64 / 1000.0,
        quality: Quality::GOOD,
    };
    (0..size * i64::from(STREAMS)).map(one).collect()
}

fn network() -> String {
    let mut text =
        "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n".to_owned();
    for id in 0..STREAMS {
        text += &format!(
            "[[datastream]]\nid = \"d{id}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 1\nvisibility = \"public\"\n"
        );
    }
    text
}

/// A process that another test is just starting holds a copy of every lock until it has begun.
fn open(dir: &Path) -> Store {
    for _ in 0..100 {
        match Store::open(dir, Settings::default(), Arc::new(WallClock)) {
            Err(store::Error::Locked { .. }) => std::thread::sleep(std::time::Duration::from_millis(20)),
            opened => return opened.unwrap_or_else(|cause| panic!("{}: {cause}", dir.display())),
        }
    }
    panic!("{}: its lock is held", dir.display());
}

/// How many commits are there whole; panics when one is there in part, after a missing one, or not as it was made.
fn whole_commits(store: &Store, what: &str) -> i64 {
    let mut found: Vec<Observation> =
        (0..STREAMS).flat_map(|id| store.scan(DatastreamId(id), Interval::ALL, usize::MAX).expect(what)).collect();
    found.sort_by_key(|one| (one.phenomenon_time, one.datastream));
    let mut found = found.into_iter().peekable();
    for commit in 0.. {
        if found.peek().is_none() {
            return commit;
        }
        for must in group(commit) {
            assert_eq!(found.next(), Some(must), "{what}: commit {commit}");
        }
    }
    unreachable!()
}

/// What is there at the end of the log instead of its last bytes.
#[derive(Debug, Clone, Copy)]
enum Torn {
    Missing,
    /// Room was made for them, and nothing was written there.
    Zeros,
    /// What lay there before, or anything.
    Noise,
}

#[test]
fn a_log_that_is_torn_anywhere_loses_its_last_commits_and_nothing_else() {
    let (dir, torn) = (Dir::new("tail"), Dir::new("tail-torn"));
    let (database, log) = ("store.db", "store.db-wal");
    let length = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().len();
    let store = open(dir.path());
    store.apply(&load_embedded("n", &network(), &[]).unwrap()).unwrap();
    // Where each commit ends in the log.
    let mut ends = Vec::new();
    for commit in 0..COMMITS {
        store.commit_blocking(Batch { observations: group(commit), ..Batch::default() }).unwrap();
        ends.push(length(log));
    }
    assert!(ends.is_sorted() && ends.len() > 100, "all of it is in the log");
    // As the disk is at this moment: nobody has closed anything.
    let (database_bytes, log_bytes) = (std::fs::read(dir.path().join(database)).unwrap(), std::fs::read(dir.path().join(log)).unwrap());
    assert_eq!(log_bytes.len() as u64, *ends.last().unwrap());
    let stride = if std::env::var("PESCAIA_LONG").is_ok() { 1 } else { SOME };
    let last_bytes = (0..=TAIL).step_by(stride).map(|missing| *ends.last().unwrap() - missing);
    // And further back: on the end of each of the last commits, and just beside it.
    let beside = ends.iter().rev().take(if stride == 1 { 100 } else { 12 }).flat_map(|end| [end - 1, *end, end + 1]);
    let (mut opened, mut least) = (0, COMMITS);
    for at in last_bytes.chain(beside).filter(|at| *at <= log_bytes.len() as u64) {
        // A commit is there when its last byte is.
        let must = ends.iter().filter(|end| **end <= at).count() as i64;
        let is_one_of_some = (log_bytes.len() as u64 - at).is_multiple_of(SOME as u64) || ends.contains(&at);
        let ways = [Torn::Missing, Torn::Zeros, Torn::Noise];
        for how in &ways[..if is_one_of_some { 3 } else { 1 }] {
            let what = format!("{how:?} from byte {at} of {}", log_bytes.len());
            let (sound, rest) = log_bytes.split_at(usize::try_from(at).unwrap());
            let rest: Vec<u8> = match how {
                Torn::Missing => Vec::new(),
                Torn::Zeros => vec![0; rest.len()],
                Torn::Noise => rest.iter().enumerate().map(|(n, byte)| byte ^ (n as u8 | 1)).collect(),
            };
            let _ = std::fs::remove_file(torn.path().join("store.db-shm"));
            std::fs::write(torn.path().join(database), &database_bytes).unwrap();
            std::fs::write(torn.path().join(log), [sound, &rest].concat()).unwrap();
            let store = open(torn.path());
            assert_eq!(whole_commits(&store, &what), must, "{what}: commits that are there");
            assert_eq!(store.health().damaged_chunks, 0, "{what}");
            // It goes on where it was cut.
            store.commit_blocking(Batch { observations: group(must), ..Batch::default() }).unwrap();
            assert_eq!(whole_commits(&store, &what), must + 1, "{what}: it goes on");
            store.close_blocking();
            (opened, least) = (opened + 1, least.min(must));
        }
    }
    eprintln!(
        "F5: {COMMITS} commits, {} bytes of log; torn and opened {opened} times; between {least} and {COMMITS} commits there, each whole",
        log_bytes.len()
    );
    store.close_blocking();
    assert!(opened > 150 && least < COMMITS - 5, "enough was torn");
}
