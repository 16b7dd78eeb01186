//! The store beside the servers that people know, in one interleaved run: the same points in the same batches of 5,000, one
//! connection, the next sent when the last is answered. `cargo bench --bench peers -- [points] [rounds]`. Wants victoria-metrics and
//! postgresql (Debian packages), and builds InfluxDB by `tests/influxd`; who is missing is left out and said.
//!
//! What each does before it answers: InfluxDB, PostgreSQL and ours sync; VictoriaMetrics does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, clippy::panic, reason = "a bench")]

mod support;

use model::Observation;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{Batch, Settings, Store};
use support::{Http, Meter, Server, Wall, Workload, directory, median};

const GAUGES: u32 = 2000;
const COMMIT: usize = 5000;

/// Seconds that writing took on the wall, and of the server's CPU; bytes on disk and resident at the end.
struct Seen {
    wall: f64,
    cpu: f64,
    disk: f64,
    resident_mb: f64,
    /// 30 days of one series, milliseconds.
    month_ms: f64,
}

/// Writes so many points in a directory; `None` when the server is not there.
type Run = fn(&Path, usize) -> Option<Seen>;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let points: usize = words.next().map_or(2_000_000, |word| word.parse().expect("points"));
    let rounds: usize = words.next().map_or(3, |word| word.parse().expect("rounds"));
    println!("{points} points, {GAUGES} series, {COMMIT} a batch, {rounds} rounds, interleaved");
    println!("{:<18} {:>10} {:>10} {:>10} {:>12} {:>12}", "", "kpoints/s", "CPU µs/pt", "disk B/pt", "resident MB", "30 d p50 ms");
    let peers: [(&str, Run); 5] = [
        ("floor", floor),
        ("store, in process", store),
        ("InfluxDB 2.7.12", influx),
        ("VictoriaMetrics", victoria),
        ("PostgreSQL 15", postgres),
    ];
    let mut all: Vec<(&str, Vec<Seen>)> = peers.iter().map(|(name, _)| (*name, Vec::new())).collect();
    for _ in 0..rounds {
        for ((name, run), (_, seen)) in peers.iter().zip(&mut all) {
            let dir = directory("peers");
            if let Some(found) = run(&dir, points) {
                print(name, &found, points);
                seen.push(found);
            }
            let _ = std::fs::remove_dir_all(&dir);
        }
    }
    let of = |index: usize, value: fn(&Seen) -> f64| median(&all[index].1.iter().map(value).collect::<Vec<_>>());
    for (index, (name, seen)) in all.iter().enumerate().skip(2).filter(|(_, (_, seen))| !seen.is_empty()) {
        println!(
            "{name} ({} rounds): {:.1} × the CPU of the store, 1/{:.1} of its throughput, {:.1} × its bytes, {:.0} × its 30 days (median)",
            seen.len(),
            of(index, |seen| seen.cpu) / of(1, |seen| seen.cpu),
            of(index, |seen| seen.wall) / of(1, |seen| seen.wall),
            of(index, |seen| seen.disk) / of(1, |seen| seen.disk),
            of(index, |seen| seen.month_ms) / of(1, |seen| seen.month_ms),
        );
    }
    println!("store: {:.2} of the floor's throughput (median)", of(0, |seen| seen.wall) / of(1, |seen| seen.wall));
}

fn print(name: &str, seen: &Seen, points: usize) {
    let each = |value: f64| value / points as f64;
    println!(
        "{name:<18} {:>10.0} {:>10.3} {:>10.2} {:>12.0} {:>12.3}",
        points as f64 / seen.wall / 1e3,
        each(seen.cpu) * 1e6,
        each(seen.disk),
        seen.resident_mb,
        seen.month_ms
    );
}

/// Every batch of the workload; the seconds that `send` took.
fn each_batch(points: usize, mut send: impl FnMut(Vec<Observation>)) -> f64 {
    let mut workload = Workload::new(GAUGES, false);
    let (mut left, mut wall) = (points, 0.0);
    while left > 0 {
        let batch = workload.next_batch(COMMIT.min(left));
        left -= batch.len();
        let start = Instant::now();
        send(batch);
        wall += start.elapsed().as_secs_f64();
    }
    wall
}

/// CPU of making the workload, which runs in our own process too.
fn generator(points: usize) -> f64 {
    let meter = Meter::start();
    each_batch(points, drop);
    meter.cpu_s()
}

fn bytes_in(dir: &Path) -> f64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0.0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_in(&entry.path()),
            Ok(found) => found.len() as f64,
            Err(_) => 0.0,
        })
        .sum()
}

fn p50(mut ask: impl FnMut()) -> f64 {
    let times: Vec<f64> = (0..30)
        .map(|_| {
            let start = Instant::now();
            ask();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    median(&times)
}

fn floor(dir: &Path, points: usize) -> Option<Seen> {
    let own = generator(points);
    let mut file = std::fs::File::create(dir.join("floor.log")).unwrap();
    let meter = Meter::start();
    let wall = each_batch(points, |batch| {
        file.write_all(&store::pack(&batch)).unwrap();
        file.sync_data().unwrap();
    });
    Some(Seen { wall, cpu: meter.cpu_s() - own, disk: bytes_in(dir), resident_mb: support::resident_mb(), month_ms: f64::NAN })
}

fn store(dir: &Path, points: usize) -> Option<Seen> {
    use store::History;
    let own = generator(points);
    let store = Store::open(dir, Settings::default(), Arc::new(Wall)).unwrap();
    let meter = Meter::start();
    let wall = each_batch(points, |observations| {
        store.commit_blocking(Batch { observations, ..Batch::default() }).unwrap();
    });
    let cpu = meter.cpu_s() - own;
    store.seal_all().unwrap();
    let end = store.latest(model::DatastreamId(7)).unwrap().phenomenon_time;
    let month = model::Interval::new(end.plus_seconds(-30 * 86_400), model::Timestamp::MAX);
    let month_ms = p50(|| assert!(!store.scan(model::DatastreamId(7), month, usize::MAX).unwrap().is_empty()));
    let seen = Seen { wall, cpu, disk: store.health().disk_bytes as f64, resident_mb: support::resident_mb(), month_ms };
    store.close_blocking();
    Some(seen)
}

/// As line protocol, value and quality as two fields.
fn lines(batch: &[Observation]) -> String {
    let mut text = String::with_capacity(batch.len() * 64);
    for one in batch {
        let quality = one.quality.flag() as u8;
        writeln!(text, "level,station=s{:04} v={},q={quality}i {}", one.datastream.0, one.result, one.phenomenon_time.micros() * 1000)
            .unwrap();
    }
    text
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(address: &str) {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(30), "it answers");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Posts every batch; text is made outside the clock.
fn post_all(address: &str, path: &str, headers: &str, points: usize) -> f64 {
    let mut http = Http::to(address);
    let mut making = 0.0;
    let wall = each_batch(points, |batch| {
        let start = Instant::now();
        let text = lines(&batch);
        making += start.elapsed().as_secs_f64();
        let (status, answer) = http.post(path, headers, text.as_bytes());
        assert_eq!(status, 204, "{answer}");
    });
    wall - making
}

fn is_there(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status().unwrap().success();
    if !there {
        println!("{program} is not installed and is left out");
    }
    there
}

fn influx(dir: &Path, points: usize) -> Option<Seen> {
    let built = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/influxd")).stderr(Stdio::inherit()).output().unwrap();
    let influxd: PathBuf = String::from_utf8(built.stdout).unwrap().trim().into();
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(influxd);
    command.arg("run").args(["--http-bind-address", &address, "--reporting-disabled", "--log-level", "error"]);
    for (option, name) in [("--bolt-path", "bolt"), ("--engine-path", "engine"), ("--sqlite-path", "sqlite")] {
        command.arg(option).arg(dir.join(name));
    }
    let server = Server::start(command.stdout(Stdio::null()));
    wait_for(&address);
    let setup = br#"{"username":"u","password":"password","org":"o","bucket":"b","token":"t"}"#;
    assert_eq!(Http::to(&address).post("/api/v2/setup", "content-type: application/json\r\n", setup).0, 201);
    let before = server.cpu_s();
    let wall = post_all(&address, "/api/v2/write?org=o&bucket=b&precision=ns", "authorization: Token t\r\n", points);
    let cpu = server.cpu_s() - before;
    let question = format!(
        "from(bucket:\"b\") |> range(start: {}) |> filter(fn: (r) => r.station == \"s0007\" and r._field == \"v\")",
        month_before(points)
    );
    let month_ms = p50(|| {
        let headers = "authorization: Token t\r\ncontent-type: application/vnd.flux\r\n";
        assert!(whole(&address, "POST", "/api/v2/query?org=o", headers, &question).len() > 1000);
    });
    Some(Seen { wall, cpu, disk: bytes_in(dir), resident_mb: server.resident_mb(), month_ms })
}

fn victoria(dir: &Path, points: usize) -> Option<Seen> {
    if !is_there("victoria-metrics") {
        return None;
    }
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("victoria-metrics");
    command.arg(format!("-storageDataPath={}", dir.join("vm").display())).arg(format!("-httpListenAddr={address}"));
    command.args(["-retentionPeriod=100y", "-loggerLevel=ERROR"]);
    let server = Server::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for(&address);
    let before = server.cpu_s();
    let wall = post_all(&address, "/write?precision=ns", "", points);
    let cpu = server.cpu_s() - before;
    // What it took is findable only after a while.
    whole(&address, "GET", "/internal/force_flush", "", "");
    let path = format!("/api/v1/export?match[]=level_v%7Bstation=%22s0007%22%7D&start={}", month_before(points));
    let month_ms = p50(|| assert!(whole(&address, "GET", &path, "", "").len() > 1000));
    Some(Seen { wall, cpu, disk: bytes_in(dir), resident_mb: server.resident_mb(), month_ms })
}

/// Seconds since 1970, 30 days before the last point or the first one.
fn month_before(points: usize) -> i64 {
    let steps = i64::try_from(points).unwrap() / i64::from(GAUGES);
    1_767_225_600 + (steps * 600 - 30 * 86_400).max(0)
}

/// A request over a connection of its own, answered to its end.
fn whole(address: &str, verb: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!("{verb} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn postgres(dir: &Path, points: usize) -> Option<Seen> {
    if !is_there("pg_ctl") {
        return None;
    }
    let (data, port) = (dir.join("pg"), free_port());
    std::fs::create_dir_all(&data).unwrap();
    let user = if std::env::var("USER").is_ok_and(|user| user != "root") { None } else { Some("postgres") };
    let as_user = |program: &str| {
        let Some(user) = user else { return Command::new(program) };
        let mut command = Command::new("runuser");
        command.args(["-u", user, "--", program]);
        command
    };
    if let Some(user) = user {
        for path in [dir, &data] {
            Command::new("chown").arg(user).arg(path).status().unwrap();
        }
    }
    let path = format!("/usr/lib/postgresql/15/bin/{}", "initdb");
    let made = as_user(&path).args(["-A", "trust", "-D"]).arg(&data).stdout(Stdio::null()).status().unwrap();
    assert!(made.success());
    let mut command = as_user("/usr/lib/postgresql/15/bin/postgres");
    command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
    let _server = Server::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for(&format!("127.0.0.1:{port}"));
    std::thread::sleep(Duration::from_secs(1));
    let ours = std::fs::read_to_string(data.join("postmaster.pid")).unwrap().lines().next().unwrap().to_owned();
    let mut psql = Command::new("psql")
        .args(["-q", "-A", "-t", "-U", user.unwrap_or("postgres"), "-h", "127.0.0.1", "-p", &port.to_string(), "postgres"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut words = psql.stdin.take().unwrap();
    let mut heard = BufReader::new(psql.stdout.take().unwrap());
    words.write_all(b"CREATE TABLE p(s int, t timestamptz, v float8, q int, PRIMARY KEY(s, t));\n").unwrap();
    let before = family_cpu_s(&ours);
    let mut making = 0.0;
    let wall = each_batch(points, |batch| {
        let start = Instant::now();
        let mut text = String::from("COPY p FROM STDIN;\n");
        for one in &batch {
            writeln!(text, "{}\t{}\t{}\t{}", one.datastream.0, one.phenomenon_time, one.result, one.quality.flag() as u8).unwrap();
        }
        text += "\\.\n\\echo done\n";
        making += start.elapsed().as_secs_f64();
        words.write_all(text.as_bytes()).unwrap();
        words.flush().unwrap();
        let mut line = String::new();
        heard.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "done");
    }) - making;
    let cpu = family_cpu_s(&ours) - before;
    let month_ms = p50(|| {
        let question = format!("SELECT t, v FROM p WHERE s = 7 AND t >= to_timestamp({}) ORDER BY t;\n\\echo done\n", month_before(points));
        words.write_all(question.as_bytes()).unwrap();
        words.flush().unwrap();
        let mut line = String::new();
        while line.trim() != "done" {
            line.clear();
            heard.read_line(&mut line).unwrap();
        }
    });
    let disk = bytes_in(&data.join("base"));
    drop(words);
    let _ = psql.wait();
    Command::new("kill").args(["-INT", &ours]).status().unwrap();
    Some(Seen { wall: wall.max(0.001), cpu, disk, resident_mb: f64::NAN, month_ms })
}

/// Of a process and all its children.
fn family_cpu_s(process: &str) -> f64 {
    let of = |process: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let fields: Vec<f64> =
            stat.rsplit(')').next()?.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        Some(fields.iter().sum::<f64>() / 100.0)
    };
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    of(process).unwrap_or(0.0) + children.split_whitespace().filter_map(of).sum::<f64>()
}
