//! What a hostile, or broken, sender can do at the doors: lengths that lie, refusals without end, times that can't be, bodies that drip,
//! names without end, and crowds from one address.

use crate::support::mqtt::{connect, packet};
use crate::support::{Dir, World, configure, one_gauge, pescaia, token};
use model::{DatastreamId, Observation, Quality, Timestamp};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Memory that a refusal may cost.
const A_LITTLE: u64 = 32 << 20;

/// The body of an edge's batch of these packed observations, all of the gauge.
fn batch(sequence: u64, packed: &[u8]) -> Vec<u8> {
    let head = json!({ "e": 7, "s": [[sequence, sequence]], "k": ["prova-level"] });
    [format!("pescaia-edge-1 {head}\n").as_bytes(), packed].concat()
}

fn observations(times_us: &[i64]) -> Vec<Observation> {
    let observation = |(at, result): (&i64, i32)| Observation {
        datastream: DatastreamId(0),
        phenomenon_time: Timestamp::from_micros(*at),
        received_at: Timestamp::from_micros(*at),
        result: f64::from(result),
        quality: Quality::NOT_EVALUATED,
    };
    times_us.iter().zip(0..).map(observation).collect()
}

/// A record of the log of this version, which follows none, with this body and a checksum.
fn record(body: &[u8]) -> Vec<u8> {
    let whole = [&[1, 0, 0], body].concat();
    sealed(whole)
}

/// With its CRC-32 behind it.
fn sealed(whole: Vec<u8>) -> Vec<u8> {
    let sum = whole
        .iter()
        .fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg())));
    [whole, (!sum).to_le_bytes().to_vec()].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number > 127 {
        out.push(u8::try_from(number & 127).unwrap() | 128);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
    out
}

/// Status and body of what was answered.
fn post(world: &World, path: &str, token: &str, body: &[u8]) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.post(world.url(path)).header("authorization", format!("Bearer {token}"));
    let mut answer = request.send(body).expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a text"))
}

fn ledger(world: &World, auditor: &str) -> Vec<Value> {
    let (status, body) = world.get_as("/api/v1/ledger", Some(auditor));
    assert_eq!(status, 200, "{body}");
    let lines = serde_json::from_str::<Value>(&body).unwrap()["items"].as_array().unwrap().clone();
    assert!(lines.iter().all(|line| line["balances"] == true), "{lines:?}");
    lines
}

fn quarantined(lines: &[Value]) -> u64 {
    lines.iter().map(|line| line["quarantined"].as_u64().unwrap()).sum()
}

#[test]
fn a_batch_of_an_edge_is_not_believed_how_much_it_holds() {
    let dir = Dir::new("claims");
    let world = World::run(&dir, &one_gauge());
    let token = token(&dir, "demo", &["ingest"]);
    assert_eq!(post(&world, "/api/v1/edges/e", &token, &batch(1, &store::pack(&observations(&[1_700_000_000_000_000])))).0, 204);
    let before = world.own_memory();
    let claim = record(&varint(200_000_000));
    // A block of 128 points of which nothing changes is 13 bytes: ten million of them fit in one megabyte.
    let blocks = [0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0].repeat(10_000_000_usize.div_ceil(128));
    let bomb = record(&[varint(10_000_000), blocks, vec![0]].concat());
    // As another version packed it: a length, and bytes that unpack to that.
    let former = sealed([&[2], &varint(1 << 28)[..], &[0, 0, 0]].concat());
    let keys = format!("pescaia-edge-1 {{\"e\":7,\"s\":[[2,2]],\"k\":[{}\"\"]}}\n", "\"\",".repeat(2_000_000));
    let sequences = format!("pescaia-edge-1 {{\"e\":7,\"s\":[{}[9,9]],\"k\":[]}}\n", "[2,2],".repeat(400_000));
    for (body, expected) in [
        (batch(2, &claim), 413),
        (batch(2, &bomb), 413),
        (batch(2, &former), 422),
        (keys.into_bytes(), 413),
        (sequences.into_bytes(), 413),
        (batch(2, &record(&varint(1000))), 422),
    ] {
        let (status, answer) = post(&world, "/api/v1/edges/e", &token, &body);
        assert_eq!(status, expected, "{answer}");
    }
    let after = world.own_memory();
    assert!(after < before + A_LITTLE, "{before} bytes before, {after} after");
    assert_eq!(world.observations("prova-level", "from=2000-01-01T00:00:00Z").len(), 1);
}

#[test]
fn refusals_of_one_message_are_listed_so_far_and_all_of_them_counted() {
    let dir = Dir::new("refusals");
    let world = World::run(&dir, &one_gauge());
    let (token, auditor) = (token(&dir, "demo", &["ingest"]), crate::support::token(&dir, "demo", &["audit", "manage"]));
    let write = "/api/v2/write?precision=s";
    assert_eq!(post(&world, write, &token, b"nobody level=1 1700000000").0, 204);
    let before = world.own_memory();
    let (status, answer) = post(&world, write, &token, &b"m f=1\n".repeat(1_500_000));
    assert_eq!(status, 413, "{answer}");
    assert_eq!(quarantined(&ledger(&world, &auditor)), 1, "nothing of it was kept");
    // As many as a message may hold: they wait as one entry, which lists a thousand.
    let unknown: String = (0..40_000).map(|n| format!("nobody level={n} {}\n", 1_700_000_000 + n)).collect();
    assert_eq!(post(&world, write, &token, unknown.as_bytes()).0, 204);
    assert_eq!(post(&world, write, &token, &b"no fields\n".repeat(40_000)).0, 400);
    assert_eq!(quarantined(&ledger(&world, &auditor)), 80_001);
    let after = world.own_memory();
    assert!(after < before + A_LITTLE, "{before} bytes before, {after} after");
    let (_, entries) = world.get_as("/api/v1/quarantine", Some(&auditor));
    let entries: Value = serde_json::from_str(&entries).unwrap();
    let listed: Vec<usize> = entries["items"].as_array().unwrap().iter().map(|entry| entry["refusals"].as_array().unwrap().len()).collect();
    assert_eq!(listed, [1001, 1001, 1]);
    // Mended and read again, those that were only counted come in as well, and the ledger still balances.
    let known =
        one_gauge().replace("id = \"prova\"\nowner = \"demo\"\nmqtt", "id = \"prova\"\naddress = \"nobody\"\nowner = \"demo\"\nmqtt");
    assert!(known.contains("nobody"), "{known}");
    dir.write("network.toml", &known);
    let done = pescaia()
        .args(["network", "apply"])
        .arg(dir.path().join("network.toml"))
        .arg("--config")
        .arg(dir.path().join("pescaia.toml"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let (status, answer) = world.post("/api/v1/quarantine/replay", &auditor, "application/json", r#"{"reason": "unknown-device"}"#);
    assert_eq!((status, answer["accepted"].as_u64(), answer["left_count"].as_u64()), (200, Some(40_000), Some(0)), "{answer}");
    assert_eq!(quarantined(&ledger(&world, &auditor)), 40_000);
}

#[test]
fn an_edge_s_times_that_can_t_be_wait_in_the_quarantine_and_it_may_forget_them() {
    let dir = Dir::new("edge-times");
    let world = World::run(&dir, &one_gauge());
    let (token, auditor) = (token(&dir, "demo", &["ingest"]), crate::support::token(&dir, "demo", &["audit"]));
    let in_ten_years = jiff::Timestamp::now().as_microsecond() + 10 * 31_557_600_000_000;
    let in_1900 = -2_208_988_800_000_000;
    let far = [i64::MIN, -377_705_116_800_000_000, -62_135_596_800_000_000, in_ten_years, 253_402_300_799_000_000, i64::MAX];
    let times = [&far[..], &[in_1900, 1_700_000_000_000_000]].concat();
    let body = batch(1, &store::pack(&observations(&times)));
    for _ in 0..2 {
        let (status, answer) = post(&world, "/api/v1/edges/cabina", &token, &body);
        assert_eq!(status, 204, "{answer}");
    }
    let kept = world.observations("prova-level", "from=1800-01-01T00:00:00Z&to=9999-12-30T00:00:00Z");
    let kept: Vec<&str> = kept.iter().map(|(time, _)| time.as_str()).collect();
    assert_eq!(kept, ["1900-01-01T00:00:00Z", "2023-11-14T22:13:20Z"], "what an edge imported is history");
    let lines = ledger(&world, &auditor);
    let line = lines.iter().find(|line| line["device"] == "cabina").expect("a line");
    let counts = ["received", "accepted", "duplicates", "quarantined"].map(|count| line[count].as_u64().unwrap());
    assert_eq!(counts, [16, 2, 2, 12]);
    let (_, entries) = world.get_as("/api/v1/quarantine", Some(&auditor));
    for code in ["future-time", "ancient-time"] {
        assert!(entries.contains(code), "{entries}");
    }
}

#[test]
fn an_owner_has_so_many_edges_and_those_it_has_go_on() {
    let dir = Dir::new("edge-names");
    let config = configure(&dir, &one_gauge());
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}[quota]\nedges = 2\n")).unwrap();
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    let token = token(&dir, "demo", &["ingest"]);
    for (number, (edge, expected)) in [("a", 204), ("b", 204), ("c", 403), ("a", 204), ("d", 403)].into_iter().enumerate() {
        let number = number as u64;
        let body = batch(number, &store::pack(&observations(&[1_700_000_000_000_000 + number.cast_signed()])));
        let (status, answer) = post(&world, &format!("/api/v1/edges/{edge}"), &token, &body);
        assert_eq!(status, expected, "{edge}: {answer}");
        assert!(status == 204 || answer.contains("[quota] edges"), "{answer}");
    }
}

/// What comes back, until the door closes.
fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.read_to_end(&mut answer).expect("closed, not silent");
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_body_that_drips_or_never_comes_is_408_and_its_connection_closed() {
    let dir = Dir::new("drips");
    let world = World::run(&dir, &one_gauge());
    let (token, manager) = (token(&dir, "demo", &["ingest"]), crate::support::token(&dir, "demo", &["manage"]));
    let paths = ["/api/v1/observations", "/api/v2/write", "/api/v1/edges/e", "/api/v1/quarantine/replay", "/api/v1/proposals/adopt"];
    let mut slow = Vec::new();
    for path in paths {
        for drips in [false, true] {
            let mut stream = TcpStream::connect(&world.http).unwrap();
            let token = if path.contains("replay") || path.contains("adopt") { &manager } else { &token };
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            slow.push((path, drips, stream));
        }
    }
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(11) {
        for (_, _, stream) in slow.iter_mut().filter(|(_, drips, _)| *drips) {
            let _ = stream.write_all(b" ");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    for (path, drips, stream) in &mut slow {
        let answer = until_closed(stream);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path} drips {drips}: {answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(25), "{path} was cut late");
    }
}

#[test]
fn a_crowd_of_halves_from_one_address_keeps_nobody_out() {
    let dir = Dir::new("crowd");
    let world = World::run(&dir, &one_gauge());
    let mut held = Vec::new();
    for round in 0..10 {
        for _ in 0..100 {
            for (door, half) in [(&world.mqtt, &[0x10_u8][..]), (&world.http, b"GET / HT"), (&world.http, b"")] {
                let mut stream = TcpStream::connect(door).unwrap();
                let _ = stream.write_all(half);
                held.push(stream);
            }
        }
        let mut device = TcpStream::connect(&world.mqtt).unwrap();
        device.write_all(&connect(&format!("c{round}"), "prova")).unwrap();
        let mut answer = [0; 4];
        device.read_exact(&mut answer).expect("an honest device comes in");
        assert_eq!(answer, [0x20, 2, 0, 0]);
        device.write_all(&packet(0xC0, &[])).unwrap();
        assert_eq!(world.get_as("/healthz", None).0, 200, "and so does who asks");
        held.push(device);
    }
    let (_, descriptors) = world.weight();
    assert!(descriptors < 64 * 2 + 10 + 100, "{descriptors} descriptors are held");
}

#[test]
fn packets_that_announce_much_and_bring_nothing_cost_nothing() {
    let dir = Dir::new("announced");
    let world = World::run(&dir, &one_gauge());
    let mut devices = Vec::new();
    let come_in = |number: usize| {
        let mut device = TcpStream::connect(&world.mqtt).unwrap();
        device.write_all(&connect(&format!("c{number}"), "prova")).unwrap();
        device.read_exact(&mut [0; 4]).unwrap();
        device
    };
    devices.push(come_in(0));
    let before = world.own_memory();
    for number in 1..1000 {
        let mut device = come_in(number);
        // A PUBLISH of a quarter of a megabyte, of which three bytes come.
        device.write_all(&[0x32, 0xFF, 0xFF, 0x0E, 0, 20, b'p']).unwrap();
        devices.push(device);
    }
    let token = token(&dir, "demo", &["ingest"]);
    for _ in 0..50 {
        let mut stream = TcpStream::connect(&world.http).unwrap();
        let head = format!(
            "POST /api/v1/observations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 10000000\r\n\r\n["
        );
        stream.write_all(head.as_bytes()).unwrap();
        devices.push(stream);
    }
    assert_eq!(world.get_as("/healthz", None).0, 200);
    let after = world.own_memory();
    assert!(after < before + A_LITTLE, "{before} bytes before, {after} after");
}
