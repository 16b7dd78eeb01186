//! Line protocol over HTTP in batches of 5,000 lines, to the release binary and to a real InfluxDB 2.7, one connection each, interleaved.
//! `cargo bench --bench lines -- [lines] [rounds]`; `tests/influxd` builds the server and prints where it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, clippy::panic, reason = "a bench")]

mod support;

use model::Clock;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Http, Pescaia, Server, Wall, directory, median, syncs};

const BATCH: u64 = 5_000;
const SERIES: u64 = 1_000;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let lines: u64 = words.next().map_or(1_000_000, |word| word.parse().expect("lines"));
    let rounds: usize = words.next().map_or(3, |word| word.parse().expect("rounds"));
    let influxd = influxd();
    println!("{lines} lines of {SERIES} series in batches of {BATCH}, {rounds} rounds; server CPU µs a point, points/s");
    println!(
        "{:<10} {:>10} {:>12} {:>10} {:>12} {:>8} {:>24}",
        "", "ours µs", "ours/s", "influx µs", "influx/s", "ratio", "floor: syncs/s of 4 KiB"
    );
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let dir = directory("lines");
        let syncs = syncs(&dir);
        let (our_cpu, our_rate) = ours(&dir.join("ours"), lines);
        let (their_cpu, their_rate) = theirs(&influxd, &dir.join("theirs"), lines);
        let ratio = their_cpu / our_cpu;
        println!("round {round:<4} {our_cpu:>10.2} {our_rate:>12.0} {their_cpu:>10.2} {their_rate:>12.0} {ratio:>8.1} {syncs:>24.0}");
        ratios.push(ratio);
        std::fs::remove_dir_all(&dir).unwrap();
    }
    println!("InfluxDB's CPU a point is {:.1} × ours (median)", median(&ratios));
}

fn influxd() -> PathBuf {
    let done = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/influxd")).stderr(Stdio::inherit()).output().unwrap();
    assert!(done.status.success(), "tests/influxd builds the server");
    String::from_utf8(done.stdout).unwrap().trim().into()
}

/// Gauges in turn, every 10 s from `start`, seconds since 1970; whole millimetres.
fn batch(first: u64, start: u64) -> String {
    let mut text = String::new();
    for number in first..first + BATCH {
        let (series, step) = (number % SERIES, number / SERIES);
        let level = 1500 + (number * 7919 + step * step) % 977;
        let nanos = (start + step * 10) * 1_000_000_000;
        writeln!(text, "level,station=s{series:04} value={}.{:03} {nanos}", level / 1000, level % 1000).unwrap();
    }
    text
}

/// CPU µs a point and points a second.
fn post(server: &Server, address: &str, path: &str, token: &str, lines: u64) -> (f64, f64) {
    let mut http = Http::to(address);
    let headers = format!("authorization: Token {token}\r\ncontent-type: text/plain; charset=utf-8\r\n");
    // Up to now, as what is live is: nothing derived from whole days past is made anew meanwhile.
    let from = Wall.now().seconds().cast_unsigned() - lines / SERIES * 10;
    let (mut seconds, before) = (0.0, server.cpu_s());
    for first in (0..lines).step_by(BATCH as usize) {
        let text = batch(first, from);
        let start = Instant::now();
        let (status, answer) = http.post(path, &headers, text.as_bytes());
        seconds += start.elapsed().as_secs_f64();
        assert_eq!(status, 204, "{answer}");
    }
    ((server.cpu_s() - before) / lines as f64 * 1e6, lines as f64 / seconds)
}

fn ours(dir: &Path, lines: u64) -> (f64, f64) {
    let mut network =
        String::from("[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n");
    for series in 0..SERIES {
        write!(
            network,
            "[[datastream]]\nid = \"d{series}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 10\nvisibility = \"public\"\n[[device]]\nid = \"d{series}\"\nowner = \"o\"\nhttp = true\naddress = \"level,station=s{series:04}\"\nfeeds = [{{ channel = \"value\", datastream = \"d{series}\" }}]\n"
        )
        .unwrap();
    }
    let pescaia = Pescaia::start(dir, &network, "");
    let token = pescaia.token("o");
    let seen = post(&pescaia.server, &pescaia.http, "/api/v2/write?org=o&bucket=b&precision=ns", &token, lines);
    assert_eq!(pescaia.observations(), lines);
    seen
}

fn theirs(influxd: &Path, dir: &Path, lines: u64) -> (f64, f64) {
    std::fs::create_dir_all(dir).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(influxd);
    command.arg("run").args(["--http-bind-address", &address, "--reporting-disabled", "--log-level", "error"]);
    for (option, name) in [("--bolt-path", "bolt"), ("--engine-path", "engine"), ("--sqlite-path", "sqlite")] {
        command.arg(option).arg(dir.join(name));
    }
    let server = Server::start(command.stdout(Stdio::null()));
    let start = Instant::now();
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "influxd answers");
        std::thread::sleep(Duration::from_millis(50));
    }
    let setup = br#"{"username":"u","password":"password","org":"o","bucket":"b","token":"t"}"#;
    let (status, answer) = Http::to(&address).post("/api/v2/setup", "content-type: application/json\r\n", setup);
    assert_eq!(status, 201, "{answer}");
    post(&server, &address, "/api/v2/write?org=o&bucket=b&precision=ns", "t", lines)
}
