//! F11 and F17: who reads slowly, who asks slowly, and who knocks and never comes in.

use crate::support::mqtt::{connect, packet};
use crate::support::{Dir, World, eventually, now_s, one_gauge, token};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A subscriber to everything, which then reads nothing.
fn deaf_subscriber(world: &World, number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(&world.mqtt).unwrap();
    stream.write_all(&connect(&format!("deaf-{number}"), "prova")).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    stream.write_all(&packet(0x82, &[0, 1, 0, 1, b'#', 0])).unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    stream
}

fn ask(world: &World, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&world.http).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).unwrap();
    stream
}

/// Commits batches of 1,000 observations, 20 a second; how long the middle one and the slowest of a hundred took.
fn ingest(world: &World, token: &str, batches: i64, from: i64) -> (Duration, Duration) {
    let mut took = Vec::new();
    for batch in 0..batches {
        let readings: Vec<serde_json::Value> = (0..1000)
            .map(|n| serde_json::json!({"device": "prova", "time": from as f64 + (batch * 1000 + n) as f64 / 100.0, "values": {"level": 1.0 + (n % 100) as f64 / 100.0}}))
            .collect();
        let start = Instant::now();
        let (status, answer) = world.post("/api/v1/observations", token, "application/json", &serde_json::to_string(&readings).unwrap());
        assert_eq!(status, 200, "{answer}");
        took.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(50).saturating_sub(start.elapsed()));
    }
    took.sort();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

#[test]
fn five_hundred_who_read_nothing_cost_the_others_nothing() {
    let dir = Dir::new("deaf");
    let world = World::run(&dir, &one_gauge());
    let token = token(&dir, "demo", &["ingest"]);
    let alone = ingest(&world, &token, 100, now_s() - 3000);
    let (before, _) = world.weight();
    let mut deaf: Vec<TcpStream> = (0..500).map(|number| deaf_subscriber(&world, number)).collect();
    deaf.extend((0..500).map(|_| ask(&world, "/api/v1/live")));
    deaf.extend((0..100).map(|_| ask(&world, "/api/v1/datastreams/prova-level/observations?limit=5000&from=2020-01-01T00:00:00Z")));
    // What they asked for is made ready; from now on they only do not read.
    std::thread::sleep(Duration::from_secs(3));
    let beside = ingest(&world, &token, 100, now_s() - 1500);
    let (after, _) = world.weight();
    let dropped = world.metric("pescaia_mqtt_dropped_total");
    eprintln!(
        "F11: of batches of 1,000 the middle one and the 99th of 100 took {alone:?} alone, {beside:?} beside 1,100 who read nothing; resident {} MB, then {} MB; {dropped} dropped",
        before >> 20,
        after >> 20
    );
    assert!(dropped > 1_000_000, "{dropped} of 50 million were dropped, for nobody read them");
    assert!(after < before + 1100 * 256 * 1024, "resident {before} before, {after} after: more than 256 KiB each");
    drop(deaf);
    assert_eq!(world.get_as("/readyz", None).0, 200);
}

/// Until the other side closes, or has been silent for so long.
fn is_closed_within(stream: &mut TcpStream, patience: Duration) -> bool {
    stream.set_read_timeout(Some(patience)).unwrap();
    loop {
        match stream.read(&mut [0; 4096]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(cause) => return cause.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn who_asks_slowly_or_never_is_cut_and_leaves_nothing_behind() {
    let dir = Dir::new("slowloris");
    let world = World::run(&dir, &one_gauge());
    world.get("/status");
    let (_, before) = world.weight();
    let start = Instant::now();
    let mut slow = Vec::new();
    for number in 0..200 {
        let (door, bytes): (&str, &[u8]) = match number % 4 {
            0 => (&world.http, b"GET /status HTTP/1.1\r\nhost: x\r\nx-slow: "),
            1 => (&world.http, b""),
            2 => (&world.mqtt, &[0x10, 20, 0, 4]),
            _ => (&world.mqtt, b""),
        };
        let mut stream = TcpStream::connect(door).unwrap();
        stream.write_all(bytes).unwrap();
        slow.push(stream);
    }
    // A byte every second is not enough to stay.
    while start.elapsed() < Duration::from_secs(9) {
        for stream in slow.iter_mut().step_by(4) {
            let _ = stream.write_all(b"x");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    for (number, stream) in slow.iter_mut().enumerate() {
        assert!(is_closed_within(stream, Duration::from_secs(10)), "connection {number} is still open after {:?}", start.elapsed());
    }
    eprintln!("F17: 200 slow ones were cut after {:?}", start.elapsed());
    let knocks = if std::env::var("PESCAIA_LONG").is_ok() { 10_000 } else { 1_000 };
    for number in 0..knocks {
        let mut stream = if number % 2 == 0 { ask(&world, "/api/v1/live") } else { TcpStream::connect(&world.mqtt).unwrap() };
        if number % 2 == 0 {
            stream.read_exact(&mut [0; 12]).unwrap();
        } else {
            stream.write_all(&connect(&format!("k{number}"), "prova")).unwrap();
        }
    }
    drop(slow);
    eventually("every descriptor is back", 20, || world.weight().1 <= before + 4);
    eventually("every connection is counted out", 5, || world.metric("pescaia_mqtt_connections") == 0);
}
