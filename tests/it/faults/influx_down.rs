//! F10: an InfluxDB that is gone for long. Time is pressed together: with `PESCAIA_LONG` a minute of it at sixty times the load stands for an hour.

use crate::support::influx::{Influx, TOKEN};
use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, token};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// 503, and a second to wait.
    Refuses,
    /// Listens, and says nothing.
    Hangs,
    /// Writes what it gets, and is cut before it can say so.
    Resets,
}

/// Stands before an InfluxDB.
struct Between {
    address: String,
    mood: Arc<Mutex<Mood>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    /// Answers that were cut.
    cut: Arc<AtomicU64>,
}

impl Between {
    fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let between = Self { address, mood: Arc::new(Mutex::new(Mood::Well)), open: Arc::default(), cut: Arc::default() };
        let (mood, open, cut) = (between.mood.clone(), between.open.clone(), between.cut.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let now = *mood.lock().unwrap();
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (target, cut, open) = (target.clone(), cut.clone(), open.clone());
                std::thread::spawn(move || match now {
                    Mood::Hangs => drop(std::io::copy(&mut &stream, &mut std::io::sink())),
                    Mood::Refuses => refuse(stream),
                    Mood::Well | Mood::Resets => {
                        let Ok(there) = TcpStream::connect(target) else { return };
                        open.lock().unwrap().push(there.try_clone().unwrap());
                        let (mut up_from, mut up_to) = (stream.try_clone().unwrap(), there.try_clone().unwrap());
                        std::thread::spawn(move || {
                            let _ = std::io::copy(&mut up_from, &mut up_to);
                            let _ = up_to.shutdown(Shutdown::Both);
                        });
                        if now == Mood::Resets {
                            // It has answered: what came is written.
                            if (&there).read(&mut [0; 1]).is_ok_and(|count| count == 1) {
                                cut.fetch_add(1, Ordering::Relaxed);
                            }
                        } else {
                            let _ = std::io::copy(&mut &there, &mut &stream);
                        }
                        let _ = stream.shutdown(Shutdown::Both);
                        let _ = there.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        between
    }
    fn turn(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn refuse(mut stream: TcpStream) {
    let mut bytes = Vec::new();
    let mut part = [0; 65_536];
    loop {
        let Ok(count @ 1..) = stream.read(&mut part) else { return };
        bytes.extend_from_slice(&part[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            bytes.clear();
            if stream.write_all(b"HTTP/1.1 503 Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }
}

const BATCHES_PER_S: i64 = 10;

/// Times in µs, and values, that were acknowledged; and how long each acknowledgement took.
#[derive(Default)]
struct Sent {
    values: BTreeMap<i64, f64>,
    took: Vec<Duration>,
}

/// Sends batches at their times until it is told to stop.
fn feed(door: &str, key: &str, start: i64, per_batch: i64, stop: &AtomicBool, sent: &Mutex<Sent>) {
    let rate = per_batch * BATCHES_PER_S;
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let began = Instant::now();
    for batch in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let at = |n: i64| start * 1_000_000 + (batch * per_batch + n) * (1_000_000 / rate);
        let value = |n: i64| ((batch * per_batch + n) % 3001) as f64 / 1000.0;
        let item = |n: i64| {
            let (second, micros) = (at(n) / 1_000_000, at(n) % 1_000_000);
            format!(r#"{{"device":"prova","time":{second}.{micros:06},"values":{{"level":{}}}}}"#, value(n))
        };
        let items: Vec<String> = (0..per_batch).map(item).collect();
        let body = format!("[{}]", items.join(","));
        let asked = Instant::now();
        let request = agent.post(door).header("authorization", format!("Bearer {key}")).header("content-type", "application/json");
        let mut answer = request.send(&body).expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a body");
        let took = asked.elapsed();
        assert_eq!(answer.status().as_u16(), 200, "{text}");
        let mut sent = sent.lock().unwrap();
        sent.values.extend((0..per_batch).map(|n| (at(n), value(n))));
        sent.took.push(took);
        drop(sent);
        let due = Duration::from_millis(u64::try_from(batch + 1).unwrap() * 1000 / BATCHES_PER_S as u64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
}

/// The 99th of 100 acknowledgements since this was last asked; a minute when there was none at all.
fn p99(sent: &Mutex<Sent>) -> Duration {
    let mut took = std::mem::take(&mut sent.lock().unwrap().took);
    took.sort();
    took.get(took.len() * 99 / 100).copied().unwrap_or(Duration::from_secs(60))
}

#[test]
fn an_influxdb_that_is_gone_for_long_costs_nobody_anything() {
    let is_long = std::env::var("PESCAIA_LONG").is_ok();
    let (minute, per_batch) = if is_long { (60, 300) } else { (6, 100) };
    let rate = per_batch * BATCHES_PER_S;
    let dir = Dir::new("influx-down");
    let mut influx = Influx::start(&dir);
    let between = Between::start(influx.address.clone());
    let config = configure(&dir, &one_gauge());
    dir.write("secret", TOKEN);
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += &format!("[influx]\nurl = \"http://{}\"\norg = \"o\"\nbucket = \"b\"\ntoken_file = \"secret\"\n", between.address);
    std::fs::write(&config, text).unwrap();
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    let key = token(&dir, "demo", &["ingest"]);

    // Another one beside it, without an InfluxDB: what it takes longer is the machine's doing.
    let control_dir = Dir::new("influx-down-control");
    let control = World::run(&control_dir, &one_gauge());
    let control_key = token(&control_dir, "demo", &["ingest"]);

    let (sent, control_sent, stop) = (Mutex::new(Sent::default()), Mutex::new(Sent::default()), AtomicBool::new(false));
    let start = now_s() - 5000;
    let (door, control_door) = (world.url("/api/v1/observations"), control.url("/api/v1/observations"));
    let (before, told) = std::thread::scope(|scope| {
        scope.spawn(|| feed(&door, &key, start, per_batch, &stop, &sent));
        scope.spawn(|| feed(&control_door, &control_key, start, per_batch, &stop, &control_sent));
        let both = || (p99(&sent), p99(&control_sent));
        let seconds = |count: u64| std::thread::sleep(Duration::from_secs(count));
        seconds(2);
        both();
        seconds(minute);
        let before = both();
        let mut most = 0;
        let mut told = Vec::new();
        let mut wait = |what: &str, count: u64| {
            for _ in 0..count {
                seconds(1);
                most = most.max(world.metric("pescaia_influx_waiting_bytes"));
            }
            let took = both();
            eprintln!(
                "F10 {what}: 99th of 100 acknowledgements, and of those of one without: {took:?}, {} bytes wait",
                world.metric("pescaia_influx_waiting_bytes")
            );
            told.push(took);
        };
        eprintln!("F10 before: 99th of 100 acknowledgements, and of those of one without: {before:?} at {rate}/s");
        // First, while it is tried again soon.
        between.turn(Mood::Resets);
        wait("writes and resets", minute / 3);
        between.turn(Mood::Refuses);
        wait("503", minute / 3);
        between.turn(Mood::Hangs);
        wait("hangs", minute / 3);
        influx.kill();
        between.turn(Mood::Well);
        wait("stopped", minute);
        let owed = world.metric("pescaia_influx_waiting_bytes");
        influx.restart();
        let written = || world.metric("pescaia_influx_points");
        let first = written();
        let mut back = Instant::now();
        eventually("it takes again", 60, || {
            let waits = written() == first;
            back = if waits { Instant::now() } else { back };
            !waits
        });
        eventually("what waited is there", 120, || world.metric("pescaia_influx_waiting_bytes") < owed / 50 + 20_000);
        let drained = (written() - first) as f64 / back.elapsed().as_secs_f64();
        let after = both();
        stop.store(true, Ordering::Relaxed);
        eprintln!(
            "F10: owed at most {most} bytes; drained in {:?} at {drained:.0}/s beside {rate}/s that came; acknowledgements meanwhile {after:?}; {} answers cut after the write",
            back.elapsed(),
            between.cut.load(Ordering::Relaxed)
        );
        assert!(most > 0 && most < 256 << 20, "{most}");
        assert!(between.cut.load(Ordering::Relaxed) > 0, "something was written and not confirmed");
        assert!(drained >= 3.0 * rate as f64, "{drained}/s");
        (before, told)
    });
    eventually("all is there", 60, || world.metric("pescaia_influx_waiting_bytes") == 0);
    let sent = sent.into_inner().unwrap().values;
    let (mut missing, mut wrong, mut there) = (0, 0, 0);
    let ends = (*sent.first_key_value().unwrap().0, *sent.last_key_value().unwrap().0);
    for from in (ends.0..=ends.1).step_by(30_000_000) {
        let found = influx.points_between("prova-level", from, from + 30_000_000);
        there += found.len();
        let expected: Vec<_> = sent.range(from..from + 30_000_000).map(|(at, value)| (*at, value.to_bits())).collect();
        let found: BTreeMap<i64, u64> = found.into_iter().map(|(at, value)| (at, value.to_bits())).collect();
        missing += expected.iter().filter(|(at, _)| !found.contains_key(at)).count();
        wrong += expected.iter().filter(|(at, bits)| found.get(at).is_some_and(|other| other != bits)).count();
    }
    eprintln!("F10: {} acknowledged, {there} there, {missing} missing, {wrong} wrong", sent.len());
    assert_eq!((there, missing, wrong), (sent.len(), 0, 0), "each once");
    eprintln!("F10: {told:?} beside {before:?}: each with that of one without an InfluxDB");
    // Times are asserted where nothing else runs. Last, so that a busy machine hides nothing else.
    for (took, of_control) in told.iter().filter(|_| is_long) {
        let bound = before.0.max(*of_control) * 2;
        assert!(*took <= bound, "{told:?} beside {before:?}: each with that of one without an InfluxDB");
    }
}
