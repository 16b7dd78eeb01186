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
use support::{Dirt, Meter, Wall, Workload, median};

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
    small_and_dirty(&dir, points);
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

fn measure(points: usize, lag: bool, commit: impl FnMut(Batch)) -> Figures {
    measure_at(points, COMMIT, lag, None, commit)
}

/// Runs `commit` for every batch and takes the meter's reading less the workload's own cost.
fn measure_at(points: usize, at_once: usize, lag: bool, mut dirt: Option<Dirt>, mut commit: impl FnMut(Batch)) -> Figures {
    let mut own_dirt = dirt.as_ref().map(|_| Dirt::new());
    let meter = Meter::start();
    let mut own = Workload::new(GAUGES, lag);
    let mut left = points;
    while left > 0 {
        let batch = own.next_batch(at_once.min(left));
        left -= batch.len();
        if let Some(dirt) = &mut own_dirt {
            std::hint::black_box(dirt.on(batch));
        }
    }
    let generator = meter.cpu_s();
    let mut workload = Workload::new(GAUGES, lag);
    let mut times = Vec::new();
    let mut left = points;
    let meter = Meter::start();
    let mut waited = Duration::ZERO;
    let mut sent = 0;
    while left > 0 {
        let observations = workload.next_batch(at_once.min(left));
        left -= observations.len();
        let observations = match &mut dirt {
            Some(dirt) => dirt.on(observations),
            None => observations,
        };
        sent += observations.len();
        let start = Instant::now();
        commit(Batch { observations, ..Batch::default() });
        times.push(start.elapsed().as_secs_f64() * 1e3);
        waited += start.elapsed();
    }
    Figures {
        rate: sent as f64 / waited.as_secs_f64(),
        cpu: (meter.cpu_s() - generator) / sent as f64 * 1e6,
        commit_ms: median(&times),
        written: meter.written() as f64 / sent as f64,
    }
}

/// Bytes written a point at small commits, floor beside store; CPU of dirty input beside clean, both rounds interleaved.
fn small_and_dirty(dir: &Path, points: usize) {
    for commit in [50, 500] {
        let some = (commit * 4000).min(points);
        let floor = with_floor(dir, |file| measure_at(some, commit, false, None, |batch| append(file, &batch)));
        floor.print(&format!("floor, {commit} a commit"), None);
        let store = Store::open(dir, Settings::default(), Arc::new(Wall)).unwrap();
        let stored = measure_at(some, commit, false, None, |batch| drop(store.commit_blocking(batch).unwrap()));
        stored.print(&format!("store, {commit} a commit"), None);
        store.close_blocking();
        std::fs::remove_dir_all(dir).unwrap();
    }
    let mut ratios = Vec::new();
    for round in 0..3 {
        let mut cpus = Vec::new();
        for dirt in [None, Some(Dirt::new())] {
            let name = if dirt.is_some() { "dirty" } else { "clean" };
            let store = Store::open(dir, Settings::default(), Arc::new(Wall)).unwrap();
            let figures = measure_at(points.min(5_000_000), COMMIT, false, dirt, |batch| drop(store.commit_blocking(batch).unwrap()));
            figures.print(&format!("{name} {round}"), None);
            cpus.push(figures.cpu);
            store.close_blocking();
            std::fs::remove_dir_all(dir).unwrap();
        }
        ratios.push(cpus[1] / cpus[0]);
    }
    println!("dirty input (5 % said again otherwise, 5 % up to three days late) against clean, CPU a point: {:.2}", median(&ratios));
}

fn with_floor(dir: &Path, run: impl FnOnce(&mut std::fs::File) -> Figures) -> Figures {
    std::fs::create_dir_all(dir).unwrap();
    let figures = run(&mut std::fs::File::create(dir.join("floor.log")).unwrap());
    std::fs::remove_dir_all(dir).unwrap();
    figures
}

fn append(file: &mut std::fs::File, batch: &Batch) {
    file.write_all(&store::pack(&batch.observations)).unwrap();
    file.sync_data().unwrap();
}

fn run_floor(dir: &Path, points: usize) -> Figures {
    with_floor(dir, |file| measure(points, false, |batch| append(file, &batch)))
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
