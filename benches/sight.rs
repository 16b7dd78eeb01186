//! What people and programs get to see: history imported, a dataset made and healed, the table of levels, with 500 gauges and a year.
//!
//! `cargo bench --bench sight -- [period s] [gauges]`. Floors of the same run: reading every observation once, and reading the CSV's
//! cells as numbers, nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench")]

mod support;

use analytics::dataset::LivelliGiornalieri;
use analytics::frames::Frames;
use analytics::keeper::refresh;
use model::{Clock, Interval, Observation, Quality, Timestamp, Viewer};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use store::{Batch, Settings, Store};
use support::{Meter, Wall, median, resident_mb};

const YEAR_S: i64 = 365 * 86_400;
const ROWS: usize = 1_000_000;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let period_s: i64 = words.next().map_or(900, |word| word.parse().expect("seconds"));
    let gauges: usize = words.next().map_or(500, |word| word.parse().expect("gauges"));
    let dir = std::env::temp_dir().join(format!("pescaia-sight-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let store = filled(&dir, gauges, period_s);
    datasets(&store, gauges, period_s);
    store.close_blocking();
    drop(store);
    levels(&dir, gauges);
    import(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
}

fn network(gauges: usize, period_s: i64) -> String {
    let mut text = String::from("[[owner]]\nid = \"o\"\nname = \"O\"\n");
    for gauge in 0..gauges {
        let (north, east) = (42.5 + (gauge % 25) as f64 * 0.07, 9.8 + (gauge / 25) as f64 * 0.1);
        write!(
            text,
            "[[station]]\nid = \"g-{gauge}\"\nowner = \"o\"\nname = \"Stazione di prova {gauge}\"\nriver = \"Fiume {}\"\nwhere = [{north}, {east}]\n\
             [[datastream]]\nid = \"g-{gauge}-level\"\nstation = \"g-{gauge}\"\nproperty = \"water_level\"\nperiod_s = {period_s}\nvisibility = \"public\"\n\
             [[datastream.threshold]]\nvalue = 2.5\nlabel = \"soglia 1\"\n[[datastream.threshold]]\nvalue = 4.0\nlabel = \"soglia 2\"\n",
            gauge % 40
        )
        .unwrap();
    }
    text
}

/// A river at rest with waves, millimetres; a few gauges stand near their threshold.
fn level(gauge: usize, step: i64) -> f64 {
    let hours = step as f64 / 4.0;
    let millimetres = 900.0 + 7.0 * gauge as f64 % 1500.0 + 250.0 * (hours / 37.0 + gauge as f64).sin() + 40.0 * (hours / 3.1).sin();
    millimetres.round() / 1000.0
}

fn filled(dir: &Path, gauges: usize, period_s: i64) -> Store {
    let store = Store::open(&dir.join("data"), Settings::default(), Arc::new(Wall)).unwrap();
    store.apply(&store::load_embedded("n.toml", &network(gauges, period_s), &[]).unwrap()).unwrap();
    let now = Wall.now();
    let last = now.seconds() / period_s;
    let start = Instant::now();
    for gauge in 0..gauges {
        let datastream = store.registry().datastream_by_key(&format!("g-{gauge}-level")).unwrap().id;
        let steps: Vec<i64> = (last - YEAR_S / period_s..=last).collect();
        for group in steps.chunks(5000) {
            let observation = |step: &i64| {
                let at = Timestamp::from_seconds(step * period_s);
                Observation { datastream, phenomenon_time: at, received_at: at, result: level(gauge, *step), quality: Quality::GOOD }
            };
            store.commit_blocking(Batch { observations: group.iter().map(observation).collect(), ..Batch::default() }).unwrap();
        }
    }
    let points = store.health().observations;
    println!("{points} observations of {gauges} gauges, every {period_s} s for a year, filled in {:.1} s", start.elapsed().as_secs_f64());
    store
}

fn datasets(store: &Store, gauges: usize, period_s: i64) {
    let view = store.seen_by(&Viewer::Public);
    let meter = Meter::start();
    let mut sum = 0.0;
    for datastream in view.datastreams(None) {
        view.each_observation(&datastream, Interval::ALL, |one| sum += one.result).unwrap();
    }
    let floor = meter.started.elapsed().as_secs_f64();
    println!("floor, every observation read once: {floor:.2} s, {:.2} s CPU (sum {sum:.0})", meter.cpu_s());
    let meter = Meter::start();
    let columns = Frames::new(view.clone(), &view.datastreams(None)).observations(Interval::ALL).unwrap();
    println!(
        "to polars columns, {} rows: {:.2} s, {:.3} µs CPU a row",
        columns.height(),
        meter.started.elapsed().as_secs_f64(),
        meter.cpu_s() / columns.height() as f64 * 1e6
    );
    drop(columns);
    let before = resident_mb();
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let meter = Meter::start();
    let made = refresh(store, &LivelliGiornalieri, *store.late_changes().borrow()).unwrap().unwrap();
    let seconds = meter.started.elapsed().as_secs_f64();
    let bytes: u64 = made.published.files.iter().map(|file| file.bytes).sum();
    println!(
        "dataset made anew: {seconds:.2} s ({:.1} x the floor), {:.2} s CPU, {} days, {} rows, {:.1} MB of files; resident {before:.0} MB before, peak {:.0} MB, {:.0} MB after",
        seconds / floor,
        meter.cpu_s(),
        made.days,
        made.published.rows(),
        bytes as f64 / 1e6,
        peak_mb(),
        resident_mb()
    );
    let mut heals = Vec::new();
    for nth in 0..5 {
        let datastream = view.datastream(&format!("g-{}-level", gauges / 2)).unwrap().id;
        let now = Wall.now();
        let at = Timestamp::from_seconds((now.seconds() / period_s) * period_s - 100 * 86_400 + 1 + nth);
        let late = Observation { datastream, phenomenon_time: at, received_at: now, result: 3.3, quality: Quality::GOOD };
        let start = Instant::now();
        store.commit_blocking(Batch { observations: vec![late], ..Batch::default() }).unwrap();
        let healed = refresh(store, &LivelliGiornalieri, *store.late_changes().borrow()).unwrap().unwrap();
        assert_eq!(healed.days, 1);
        heals.push(start.elapsed().as_secs_f64());
    }
    println!("one late observation, committed and healed: median {:.3} s of {heals:.3?}", median(&heals));
}

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

fn levels(dir: &Path, gauges: usize) {
    let config = dir.join("pescaia.toml");
    std::fs::write(
        &config,
        format!("data_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n", dir.join("data")),
    )
    .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pescaia"))
        .args(["run", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let http = line.split("http=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let get = |path: &str, encoding: &str| {
        let start = Instant::now();
        let mut stream = TcpStream::connect(&http).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {encoding}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        (start.elapsed().as_secs_f64() * 1e3, answer.len())
    };
    for path in ["/livelli", "/", "/stazioni/g-7"] {
        get(path, "br");
        // Each with a query of its own: a page is kept for a moment, and this is about making it.
        let made = |encoding: &str| (0..21).map(|nth| get(&format!("{path}?{encoding}{nth}"), encoding).0).collect::<Vec<f64>>();
        let (times, plain) = (made("br"), made("identity"));
        println!(
            "{path} with {gauges} stations: median {:.1} ms in brotli, {:.1} ms plain, {:.1} kB brotli, {:.1} kB gzip, {:.1} kB plain",
            median(&times),
            median(&plain),
            get(path, "br").1 as f64 / 1e3,
            get(path, "gzip").1 as f64 / 1e3,
            get(path, "identity").1 as f64 / 1e3
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn import(dir: &Path) {
    let (csv, pattern, data) = (dir.join("m.csv"), dir.join("m.toml"), dir.join("fresh"));
    let mut text = String::from("quando;livello;pioggia\n");
    for row in 0..ROWS as i64 {
        let at = Timestamp::from_seconds(946_684_800 + row * 600);
        let value = if row == 700_000 { "n.d.".to_owned() } else { level(3, row).to_string().replace('.', ",") };
        writeln!(text, "{};{value};0,0", at.in_rome().strftime("%d/%m/%Y %H:%M")).unwrap();
    }
    std::fs::write(&csv, &text).unwrap();
    let values = "[[value]]\ncolumn = \"livello\"\ndatastream = \"g-0-level\"\n";
    std::fs::write(
        &pattern,
        format!(
            "separator = \";\"\ndecimal = \",\"\n[time]\ncolumn = \"quando\"\nformat = \"%d/%m/%Y %H:%M\"\nzone = \"Europe/Rome\"\n{values}"
        ),
    )
    .unwrap();
    let store = Store::open(&data, Settings::default(), Arc::new(Wall)).unwrap();
    store.apply(&store::load_embedded("n.toml", &network(1, 600), &[]).unwrap()).unwrap();
    store.close_blocking();
    drop(store);
    let start = Instant::now();
    let mut sum = 0.0;
    for line in std::fs::read_to_string(&csv).unwrap().lines().skip(1) {
        sum += line.split(';').skip(1).filter_map(|cell| cell.replace(',', ".").parse::<f64>().ok()).sum::<f64>();
    }
    println!("floor, the cells of {ROWS} rows read as numbers: {:.2} s (sum {sum:.0})", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let done = Command::new(env!("CARGO_BIN_EXE_pescaia"))
        .args(["import", csv.to_str().unwrap(), "--pattern", pattern.to_str().unwrap(), "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    let seconds = start.elapsed().as_secs_f64();
    print!(
        "pescaia import, {ROWS} rows with one bad value: {seconds:.2} s; it said\n{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
