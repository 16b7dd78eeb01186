//! What the benches share: the workload, the process's own meters.
#![allow(dead_code, reason = "each bench uses what it needs")]

use model::{Clock, DatastreamId, Observation, Quality, QualityTest, Timestamp};
use std::time::{Instant, SystemTime};

/// The machine's clock.
pub(crate) struct Wall;
impl Clock for Wall {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Timestamp {
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
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().trim().parse().unwrap()
}

pub(crate) fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
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
        batch
    }
}
