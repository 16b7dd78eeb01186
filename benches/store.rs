//! Durable ingest through the store against the machine's floor, in one interleaved run.
//!
//! Workload W1: 2,000 level gauges every 10 minutes, interleaved in time order, 5,000 points a commit, each commit synced.
//! Floor: the same batches encoded as log records, appended and synced, nothing else. `cargo bench --bench store -- [points] [rounds]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

mod support;

use model::{DatastreamId, Interval, Timestamp};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Batch, History, Settings, Store};
use support::{Meter, Wall, Workload, median};

const GAUGES: u32 = 2000;
const COMMIT: usize = 5000;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let points: usize = words.next().map_or(10_000_000, |word| word.parse().expect("points"));
    let rounds: usize = words.next().map_or(5, |word| word.parse().expect("rounds"));
    let dir = std::env::temp_dir().join(format!("pescaia-bench-{}", std::process::id()));
    println!("{points} points, {GAUGES} datastreams, {COMMIT} points a commit, {rounds} rounds, interleaved");
    println!("{:<28} {:>10} {:>10} {:>12} {:>14} {:>12}", "", "kpoints/s", "CPU µs/pt", "commit p50 ms", "written B/pt", "disk B/pt");
    let (mut floors, mut stores, mut cpus) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let floor = run_floor(&dir, points);
        floor.print(&format!("floor {round}"), None);
        let (stored, disk) = run_store(&dir, points, round + 1 == rounds);
        stored.print(&format!("store {round}"), Some(disk));
        floors.push(floor.rate);
        stores.push(stored.rate);
        cpus.push(stored.cpu);
    }
    let ratios: Vec<f64> = floors.iter().zip(&stores).map(|(floor, store)| store / floor).collect();
    println!("median: store {:.3} µs CPU a point, {:.2} of the floor's throughput", median(&cpus), median(&ratios));
}

struct Figures {
    rate: f64,
    cpu: f64,
    commit_ms: f64,
    written: f64,
}

impl Figures {
    fn print(&self, name: &str, disk: Option<f64>) {
        let disk = disk.map_or_else(|| "-".to_owned(), |disk| format!("{disk:.3}"));
        println!("{name:<28} {:>10.0} {:>10.3} {:>12.2} {:>14.1} {disk:>12}", self.rate / 1e3, self.cpu, self.commit_ms, self.written);
    }
}

/// Runs `commit` for every batch and takes the meter's reading less the workload's own cost.
fn measure(points: usize, lag: bool, mut commit: impl FnMut(Batch)) -> Figures {
    let meter = Meter::start();
    let mut own = Workload::new(GAUGES, lag);
    let mut left = points;
    while left > 0 {
        left -= own.next_batch(COMMIT.min(left)).len();
    }
    let generator = meter.cpu_s();
    let mut workload = Workload::new(GAUGES, lag);
    let mut times = Vec::new();
    let mut left = points;
    let meter = Meter::start();
    let mut waited = Duration::ZERO;
    while left > 0 {
        let observations = workload.next_batch(COMMIT.min(left));
        left -= observations.len();
        let start = Instant::now();
        commit(Batch { observations, ..Batch::default() });
        times.push(start.elapsed().as_secs_f64() * 1e3);
        waited += start.elapsed();
    }
    Figures {
        rate: points as f64 / waited.as_secs_f64(),
        cpu: (meter.cpu_s() - generator) / points as f64 * 1e6,
        commit_ms: median(&times),
        written: meter.written() as f64 / points as f64,
    }
}

fn run_floor(dir: &Path, points: usize) -> Figures {
    std::fs::create_dir_all(dir).unwrap();
    let mut file = std::fs::File::create(dir.join("floor.log")).unwrap();
    let figures = measure(points, false, |batch| {
        file.write_all(&store::pack(&batch.observations)).unwrap();
        file.sync_data().unwrap();
    });
    std::fs::remove_dir_all(dir).unwrap();
    figures
}

fn run_store(dir: &Path, points: usize, last: bool) -> (Figures, f64) {
    let store = Store::open(dir, Settings::default(), Arc::new(Wall)).unwrap();
    let figures = measure(points, false, |batch| {
        store.commit_blocking(batch).unwrap();
    });
    let meter = Meter::start();
    store.seal_all().unwrap();
    let sealing = meter.cpu_s();
    let disk = store.health().disk_bytes as f64 / points as f64;
    if last {
        println!("  sealing what was left: {sealing:.2} s CPU; resident {:.0} MB", support::resident_mb());
        read(&store);
        drop(store);
        let start = Instant::now();
        let store = Store::open(dir, Settings::default(), Arc::new(Wall)).unwrap();
        println!("  reopened in {:.3} s", start.elapsed().as_secs_f64());
        store.close_blocking();
        println!("  the same with arrival lags of 2 to 20 s: {:.3} B a point on disk", with_lag(dir, points));
    }
    if std::env::var("KEEP").is_err() {
        let _ = std::fs::remove_dir_all(dir);
    }
    (figures, disk)
}

fn with_lag(dir: &Path, points: usize) -> f64 {
    let dir = dir.join("lag");
    let store = Store::open(&dir, Settings::default(), Arc::new(Wall)).unwrap();
    measure(points, true, |batch| {
        store.commit_blocking(batch).unwrap();
    });
    store.seal_all().unwrap();
    store.health().disk_bytes as f64 / points as f64
}

fn read(store: &Store) {
    let ids: Vec<DatastreamId> = (0..GAUGES).map(DatastreamId).collect();
    let times: Vec<f64> = (0..50)
        .map(|_| {
            let start = Instant::now();
            let found = ids.iter().filter(|id| store.latest(**id).is_some()).count();
            assert_eq!(found, ids.len());
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    println!("  latest of {GAUGES}: p50 {:.3} ms", median(&times));
    let end = store.latest(DatastreamId(7)).unwrap().phenomenon_time;
    let month = Interval::new(end.plus_seconds(-30 * 86_400), Timestamp::MAX);
    let mut found = 0;
    let times: Vec<f64> = (0..100)
        .map(|_| {
            let start = Instant::now();
            found = store.scan(DatastreamId(7), month, usize::MAX).unwrap().len();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    println!("  30 days of one ({found} points): p50 {:.3} ms", median(&times));
}
