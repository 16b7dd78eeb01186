//! What grows with the data and what does not: 1 to 100 million points, 1,000 to 100,000 datastreams.
//! `cargo bench --bench growth -- [most million points]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

mod support;

use model::{DatastreamId, Interval, Timestamp, Viewer};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use store::{Batch, Bucket, History, Settings, Store, View, load_embedded};
use support::{Meter, Wall, Workload, directory, median};

const COMMIT: usize = 5000;
const MILLION: usize = 1_000_000;

fn main() {
    let most: usize = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(100);
    if std::env::var("GROWTH").is_err() {
        println!(
            "{:>8} {:>11} {:>9} {:>9} {:>9} {:>10} {:>10} {:>10} {:>11} {:>10} {:>10}",
            "points",
            "datastreams",
            "write µs",
            "disk B/pt",
            "MB",
            "latest ms",
            "one day ms",
            "30 d ms",
            "hours µs/pt",
            "verify s",
            "reopen s"
        );
    }
    for (millions, gauges) in [(1, 1000), (10, 1000), (100, 1000), (1, 10_000), (10, 10_000), (10, 100_000), (100, 100_000)] {
        if millions <= most {
            // A process of its own, so that its memory is its own.
            let wanted = std::env::var("GROWTH").ok();
            let name = format!("{millions}/{gauges}");
            match wanted {
                Some(wanted) if wanted == name => return run(millions, gauges),
                Some(_) => {}
                None => {
                    let done = std::process::Command::new(std::env::current_exe().unwrap())
                        .args(std::env::args().skip(1))
                        .env("GROWTH", &name)
                        .status();
                    assert!(done.unwrap().success());
                }
            }
        }
    }
}

fn network(gauges: u32) -> String {
    let mut text =
        String::from("[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n");
    for gauge in 0..gauges {
        // Numbers are given in the order of the ids.
        writeln!(
            text,
            "[[datastream]]\nid = \"d{gauge:06}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 600\nvisibility = \"public\""
        )
        .unwrap();
    }
    text
}

fn run(millions: usize, gauges: u32) {
    let dir = directory(&format!("growth-{millions}-{gauges}"));
    let open = || Store::open(&dir, Settings::default(), Arc::new(Wall)).unwrap();
    let store = open();
    store.apply(&load_embedded("n", &network(gauges), &[]).unwrap()).unwrap();
    let points = millions * MILLION;
    let mut workload = Workload::new(gauges, false);
    let meter = Meter::start();
    let mut left = points;
    while left > 0 {
        let observations = workload.next_batch(COMMIT.min(left));
        left -= observations.len();
        store.commit_blocking(Batch { observations, ..Batch::default() }).unwrap();
    }
    let write_us = meter.cpu_s() / points as f64 * 1e6;
    let resident = support::resident_mb();
    store.seal_all().unwrap();
    let disk = store.health().disk_bytes as f64 / points as f64;
    let view = store.seen_by(&Viewer::Public);
    let (latest, day, month) = (latest_ms(&store, gauges), scan_ms(&store, 1), scan_ms(&store, 30));
    let hours = hours_us(&view, points);
    drop(view);
    store.close_blocking();
    drop(store);
    let start = Instant::now();
    let checked = store::check(&dir.join("store.db"), &mut |_, _| ()).unwrap();
    assert!(checked.is_sound() && checked.observations == points as u64);
    let verify = start.elapsed().as_secs_f64();
    let reopen = reopen_s(&dir);
    println!(
        "{:>6} M {gauges:>11} {write_us:>9.3} {disk:>9.3} {resident:>9.0} {latest:>10.3} {day:>10.3} {month:>10.3} {hours:>11.4} {verify:>10.2} {reopen:>10.3}",
        millions
    );
    std::fs::remove_dir_all(&dir).unwrap();
}

fn p50(mut ask: impl FnMut()) -> f64 {
    let times: Vec<f64> = (0..20)
        .map(|_| {
            let start = Instant::now();
            ask();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    median(&times)
}

fn latest_ms(store: &Store, gauges: u32) -> f64 {
    let ids: Vec<DatastreamId> = (0..gauges).map(DatastreamId).collect();
    p50(|| assert!(store.latest_of(&ids).iter().all(Option::is_some)))
}

fn scan_ms(store: &Store, days: i64) -> f64 {
    let end = store.latest(DatastreamId(7)).unwrap().phenomenon_time;
    let interval = Interval::new(end.plus_seconds(-days * 86_400), Timestamp::MAX);
    p50(|| assert!(!store.scan(DatastreamId(7), interval, usize::MAX).unwrap().is_empty()))
}

/// Hourly least, mean and greatest of everything: CPU a point.
fn hours_us(view: &View, points: usize) -> f64 {
    let meter = Meter::start();
    let mut rows = 0;
    for datastream in view.datastreams(None) {
        rows += view.buckets(&datastream, Interval::ALL, Bucket::Seconds(3600), usize::MAX).unwrap().len();
    }
    assert!(rows > 0);
    meter.cpu_s() / points as f64 * 1e6
}

fn reopen_s(dir: &Path) -> f64 {
    let start = Instant::now();
    let store = Store::open(dir, Settings::default(), Arc::new(Wall)).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    store.close_blocking();
    seconds
}
