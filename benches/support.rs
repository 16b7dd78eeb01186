//! What the benches share: the workload, the process's own meters.
#![allow(dead_code, reason = "each bench uses what it needs")]

use model::{Clock, DatastreamId, Observation, Quality, QualityTest, Timestamp};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Of the password `prova`; cheap.
pub(crate) const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$6zJVeHLapeL8iVfBIFs2XA$zeIIAw292omyqvDM57ZxOQBLMRG5bovhsUkMjD9F/l4";

/// A directory of one's own, empty.
pub(crate) fn directory(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("pescaia-bench-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// How often this disk syncs a small append, a second.
pub(crate) fn syncs(dir: &Path) -> f64 {
    let mut file = std::fs::File::create(dir.join("floor")).unwrap();
    let start = Instant::now();
    for _ in 0..1000 {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    1000.0 / start.elapsed().as_secs_f64()
}

/// A program that serves, measured from outside; ended with its owner.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap() }
    }
    /// User and system seconds of all its threads so far.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s_of(&self.child.id().to_string())
    }
    pub(crate) fn resident_mb(&self) -> f64 {
        resident_mb_of(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pescaia in a directory.
pub(crate) struct Pescaia {
    pub(crate) server: Server,
    pub(crate) http: String,
    pub(crate) mqtt: String,
    dir: PathBuf,
}

impl Pescaia {
    /// With this network and, beside addresses chosen by the system, this configuration.
    pub(crate) fn start(dir: &Path, network: &str, more: &str) -> Self {
        Self::start_on(dir, network, more, 0)
    }
    pub(crate) fn start_on(dir: &Path, network: &str, more: &str, http_port: u16) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("network.toml"), network).unwrap();
        let config = format!(
            "data_dir = \"data\"\nnetworks = [\"network.toml\"]\n[http]\nlisten = \"127.0.0.1:{http_port}\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n[quota]\nmessages_per_s = 10000000\n{more}"
        );
        std::fs::write(dir.join("pescaia.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pescaia"));
        command.arg("run").arg("--config").arg(dir.join("pescaia.toml")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = Server::start(&mut command);
        let mut ready = String::new();
        BufReader::new(server.child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let address = |key: &str| ready.split_whitespace().find_map(|word| word.strip_prefix(key)).unwrap().to_owned();
        Self { server, http: address("http="), mqtt: address("mqtt="), dir: dir.to_owned() }
    }
    /// A token of this owner that may push.
    pub(crate) fn token(&self, owner: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pescaia"));
        let command = command.args(["token", "new", "--scope", "ingest", "--owner", owner, "--config"]).arg(self.dir.join("pescaia.toml"));
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    }
    /// How many observations it says that it keeps.
    pub(crate) fn observations(&self) -> u64 {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.write_all(b"GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split("\"observations\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
    }
    /// Waits until it keeps as many.
    pub(crate) fn wait_for(&self, observations: u64, most: Duration) {
        let start = Instant::now();
        while self.observations() < observations {
            assert!(start.elapsed() < most, "{} of {observations} within {most:?}", self.observations());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One connection over which requests are posted, one after another.
pub(crate) struct Http(TcpStream);

impl Http {
    pub(crate) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }
    /// The status and the body of the answer.
    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        self.0.write_all(head.as_bytes()).unwrap();
        self.0.write_all(body).unwrap();
        let mut reader = BufReader::new(&self.0);
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line == "\r\n" {
                break;
            }
            let line = line.to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(rest) = line.strip_prefix("content-length:") {
                length = rest.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

/// Where a [`Workload`] is in its time; 0 without one.
static MEASURED_US: AtomicI64 = AtomicI64::new(0);

/// The machine's clock; beside a [`Workload`] that measures live, its time: else every point would be a late one.
pub(crate) struct Wall;
impl Clock for Wall {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
        let measured = MEASURED_US.load(Ordering::Relaxed);
        if measured != 0 {
            return Timestamp::from_micros(measured);
        }
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }
}

/// CPU time and bytes written of this process since the start of the meter.
pub(crate) struct Meter {
    cpu: f64,
    written: u64,
    pub(crate) started: Instant,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu_s(), written: written(), started: Instant::now() }
    }
    /// User and system seconds of all threads.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s() - self.cpu
    }
    /// Bytes handed to the block layer.
    pub(crate) fn written(&self) -> u64 {
        written() - self.written
    }
}

fn cpu_s() -> f64 {
    cpu_s_of("self")
}

fn cpu_s_of(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().trim().parse().unwrap()
}

pub(crate) fn resident_mb() -> f64 {
    resident_mb_of("self")
}

fn resident_mb_of(process: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Level gauges every 10 minutes: a random walk (1 mm a step) with noise (1 mm), in whole millimetres; three quarters on an
/// exact grid, one quarter with ±250 ms of uniform jitter; quality mostly good, with bursts.
pub(crate) struct Workload {
    gauges: Vec<Gauge>,
    next: usize,
    step: i64,
    lag: bool,
    dice: u64,
}

#[derive(Clone)]
struct Gauge {
    level_mm: f64,
    bad_left: u32,
}

/// Makes a batch dirty: one point in twenty is said again with another value, one in twenty comes up to three days late.
pub(crate) struct Dirt {
    held: std::collections::VecDeque<(usize, Observation)>,
    batches: usize,
    dice: u64,
}

impl Dirt {
    pub(crate) fn new() -> Self {
        Self { held: std::collections::VecDeque::new(), batches: 0, dice: 7 }
    }
    /// As many points, but for those that are held back at the beginning and come in the end.
    pub(crate) fn on(&mut self, batch: Vec<Observation>) -> Vec<Observation> {
        self.batches += 1;
        let mut dirty = Vec::with_capacity(batch.len() + batch.len() / 10);
        for one in batch {
            self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match (self.dice >> 33) % 20 {
                // 2,000 gauges every ten minutes: 173 batches of 5,000 are three days.
                0 => self.held.push_back((self.batches + 1 + usize::try_from(self.dice >> 48).unwrap() % 172, one)),
                1 => {
                    dirty.push(one);
                    self.held.push_back((self.batches + 1, Observation { result: one.result + 0.001, ..one }));
                }
                _ => dirty.push(one),
            }
        }
        let now = Wall.now();
        let batches = self.batches;
        let mut later = std::collections::VecDeque::with_capacity(self.held.len());
        for (due, one) in self.held.drain(..) {
            if due <= batches { dirty.push(Observation { received_at: now, ..one }) } else { later.push_back((due, one)) }
        }
        self.held = later;
        dirty
    }
}

impl Workload {
    pub(crate) fn new(gauges: u32, lag: bool) -> Self {
        Self { gauges: vec![Gauge { level_mm: 1500.0, bad_left: 0 }; gauges as usize], next: 0, step: 0, lag, dice: 42 }
    }
    fn roll(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }
    /// Nearly normal, deviation 1: the sum of eight bytes.
    fn normal(&mut self) -> f64 {
        let sum: u32 = self.roll().to_le_bytes().iter().map(|byte| u32::from(*byte)).sum();
        (f64::from(sum) - 1020.0) / 209.0
    }
    pub(crate) fn next_batch(&mut self, points: usize) -> Vec<Observation> {
        let mut batch = Vec::with_capacity(points);
        for _ in 0..points {
            let index = self.next;
            let (walk, noise, dice) = (self.normal(), self.normal(), self.roll());
            let gauge = &mut self.gauges[index];
            gauge.level_mm += walk;
            if gauge.bad_left == 0 && dice % 2000 == 0 {
                gauge.bad_left = 20;
            }
            gauge.bad_left = gauge.bad_left.saturating_sub(1);
            let quality =
                if gauge.bad_left > 0 { Quality::GOOD.with(QualityTest::GrossRange, model::Flag::Suspect) } else { Quality::GOOD };
            let jitter_ms = if index % 4 == 3 { i64::try_from((dice >> 20) % 501).unwrap() - 250 } else { 0 };
            let at = 1_767_225_600_000_000 + self.step * 600_000_000 + jitter_ms * 1000;
            let lag_s = if self.lag { 2 + i64::try_from((dice >> 40) % 19).unwrap() } else { 0 };
            let time = Timestamp::from_micros(at);
            batch.push(Observation {
                datastream: DatastreamId(u32::try_from(index).unwrap()),
                phenomenon_time: time,
                received_at: Timestamp::from_seconds(time.seconds() + lag_s),
                result: (gauge.level_mm + noise).round() / 1000.0,
                quality,
            });
            self.next += 1;
            if self.next == self.gauges.len() {
                self.next = 0;
                self.step += 1;
            }
        }
        MEASURED_US.store(1_767_225_600_000_000 + self.step * 600_000_000, Ordering::Relaxed);
        batch
    }
}
