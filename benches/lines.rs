//! Line protocol over HTTP in batches of 5,000 lines, to the release binary and to a real InfluxDB 2.7, one connection each, interleaved.
//! `cargo bench --bench lines -- [lines] [rounds]`; `tests/influxd` builds the server and prints where it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, clippy::panic, reason = "a bench")]

mod support;

use model::Clock;
use std::fmt::Write;
use std::io::{Read, Write as _};
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
    let (mut our_months, mut their_months) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let dir = directory("lines");
        let syncs = syncs(&dir);
        let Seen { cpu: our_cpu, rate: our_rate, month_ms } = ours(&dir.join("ours"), lines);
        our_months.push(month_ms);
        let Seen { cpu: their_cpu, rate: their_rate, month_ms } = theirs(&influxd, &dir.join("theirs"), lines);
        their_months.push(month_ms);
        let ratio = their_cpu / our_cpu;
        println!("round {round:<4} {our_cpu:>10.2} {our_rate:>12.0} {their_cpu:>10.2} {their_rate:>12.0} {ratio:>8.1} {syncs:>24.0}");
        ratios.push(ratio);
        std::fs::remove_dir_all(&dir).unwrap();
    }
    println!("InfluxDB's CPU a point is {:.1} × ours (median)", median(&ratios));
    let (ours, theirs) = (median(&our_months), median(&their_months));
    println!(
        "30 days of one datastream over HTTP ({MONTH} points), p50: ours {ours:.2} ms, InfluxDB {theirs:.2} ms ({:.1} ×)",
        theirs / ours
    );
}

struct Seen {
    cpu: f64,
    rate: f64,
    month_ms: f64,
}

/// Points of 30 days, every ten minutes.
const MONTH: u64 = 30 * 144;

/// The month of the first gauge, a line each.
fn month() -> String {
    let first = (Wall.now().seconds().cast_unsigned() / 600 - MONTH) * 600;
    let mut text = String::new();
    for step in 0..MONTH {
        let level = 1500 + (step * 7919 + step * step) % 977;
        writeln!(text, "level,station=month value={}.{:03} {}", level / 1000, level % 1000, (first + step * 600) * 1_000_000_000).unwrap();
    }
    text
}

/// The median time of 40 questions, each over a connection of its own, whose answers must hold the whole month.
fn month_ms(address: &str, request: &str) -> f64 {
    // What is derived of a month that comes at once is being made; a question in quiet times is meant.
    std::thread::sleep(Duration::from_secs(4));
    let times: Vec<f64> = (0..40)
        .map(|_| {
            let start = Instant::now();
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let taken = start.elapsed().as_secs_f64() * 1e3;
            assert!(
                answer.len() as u64 > MONTH * 30,
                "{} bytes: {}",
                answer.len(),
                String::from_utf8_lossy(&answer[..300.min(answer.len())])
            );
            taken
        })
        .collect();
    median(&times)
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

fn ours(dir: &Path, lines: u64) -> Seen {
    let mut network =
        String::from("[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n");
    for (series, name) in (0..SERIES).map(|series| (series, format!("s{series:04}"))).chain([(SERIES, "month".into())]) {
        write!(
            network,
            "[[datastream]]\nid = \"d{series}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 10\nvisibility = \"public\"\n[[device]]\nid = \"d{series}\"\nowner = \"o\"\nhttp = true\naddress = \"level,station={name}\"\nfeeds = [{{ channel = \"value\", datastream = \"d{series}\" }}]\n"
        )
        .unwrap();
    }
    let pescaia = Pescaia::start(dir, &network, "");
    let token = pescaia.token("o");
    let write = "/api/v2/write?org=o&bucket=b&precision=ns";
    let (cpu, rate) = post(&pescaia.server, &pescaia.http, write, &token, lines);
    assert_eq!(pescaia.observations(), lines);
    let headers = format!("authorization: Token {token}\r\ncontent-type: text/plain; charset=utf-8\r\n");
    assert_eq!(Http::to(&pescaia.http).post(write, &headers, month().as_bytes()).0, 204);
    let path = format!("/api/v1/datastreams/d{SERIES}/observations?period=P31D&limit=50000");
    let month_ms = month_ms(&pescaia.http, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"));
    Seen { cpu, rate, month_ms }
}

fn theirs(influxd: &Path, dir: &Path, lines: u64) -> Seen {
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
    let write = "/api/v2/write?org=o&bucket=b&precision=ns";
    let (cpu, rate) = post(&server, &address, write, "t", lines);
    let headers = "authorization: Token t\r\ncontent-type: text/plain; charset=utf-8\r\n";
    assert_eq!(Http::to(&address).post(write, headers, month().as_bytes()).0, 204);
    let question = "from(bucket:\"b\") |> range(start: -31d) |> filter(fn: (r) => r.station == \"month\" and r._field == \"value\")";
    let head = "host: x\r\nconnection: close\r\nauthorization: Token t\r\ncontent-type: application/vnd.flux";
    let length = question.len();
    let month_ms =
        month_ms(&address, &format!("POST /api/v2/query?org=o HTTP/1.1\r\n{head}\r\ncontent-length: {length}\r\n\r\n{question}"));
    Seen { cpu, rate, month_ms }
}
