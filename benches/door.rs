//! Acknowledged single-value publishes through the real MQTT door of the release binary: 50 connections, 16 in flight each,
//! beside mosquitto with its persistence on and nobody subscribed, and the machine's floor (append and sync of as many log records,
//! one after another), all in the same run. `cargo bench --bench door -- [publishes] [rounds]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, clippy::panic, reason = "a bench")]

#[path = "../tests/it/support/mqtt.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod mqtt;
mod support;

use mqtt::Publisher;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{HASH, Pescaia, Server, directory, median, syncs};

const CONNECTIONS: usize = 50;
const WINDOW: usize = 16;

/// Acknowledged publishes a second, the server's CPU µs a message.
type Seen = (f64, f64);

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let publishes: u64 = words.next().map_or(300_000, |word| word.parse().expect("publishes"));
    let rounds: usize = words.next().map_or(5, |word| word.parse().expect("rounds"));
    println!("{publishes} publishes of one value, QoS 1, {CONNECTIONS} connections, {WINDOW} in flight, {rounds} rounds");
    println!(
        "{:<10} {:>12} {:>12} {:>12} {:>12} {:>24}",
        "", "acked/s", "CPU µs/msg", "mosquitto/s", "CPU µs/msg", "floor: syncs/s of 4 KiB"
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let dir = directory("door");
        let syncs = syncs(&dir);
        let ((rate, cpu), (their_rate, their_cpu)) = (door(&dir, publishes), mosquitto(&dir, publishes));
        println!("round {round:<4} {rate:>12.0} {cpu:>12.2} {their_rate:>12.0} {their_cpu:>12.2} {syncs:>24.0}");
        ours.push((rate, cpu));
        theirs.push((their_rate, their_cpu));
        std::fs::remove_dir_all(&dir).unwrap();
    }
    let of = |seen: &[Seen], pick: fn(&Seen) -> f64| median(&seen.iter().map(pick).collect::<Vec<_>>());
    let rate = |seen: &Seen| seen.0;
    let cpu = |seen: &Seen| seen.1;
    println!("median     {:>12.0} {:>12.2} {:>12.0} {:>12.2}", of(&ours, rate), of(&ours, cpu), of(&theirs, rate), of(&theirs, cpu));
    println!("CPU a message, ours / mosquitto's: {:.2}", of(&ours, cpu) / of(&theirs, cpu));
}

fn door(dir: &Path, publishes: u64) -> Seen {
    let pescaia = Pescaia::start(dir, &network(), "");
    // Passwords are verified once, outside the measure.
    let mut warm = Publisher::new("warm", "gw", "pescaia/v1/o/d0/level", 1, |_| "1.0".into());
    warm.publish(&pescaia.mqtt, &|now| now.acked >= 1);
    let (seen, acked) = publish(&pescaia.server, &pescaia.mqtt, publishes);
    // Everything acknowledged is there: the warm-up's one and these.
    assert_eq!(pescaia.observations(), acked + 1);
    seen
}

fn mosquitto(dir: &Path, publishes: u64) -> Seen {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text =
        format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {}/\nuser root\n", dir.display());
    std::fs::write(dir.join("mosquitto.conf"), text).unwrap();
    let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let server = Server::start(Command::new(program).arg("-c").arg(dir.join("mosquitto.conf")).stderr(Stdio::null()));
    let address = format!("127.0.0.1:{port}");
    while std::net::TcpStream::connect(&address).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    publish(&server, &address, publishes).0
}

/// From all connections at once; what was seen, and how many were acknowledged.
fn publish(server: &Server, address: &str, publishes: u64) -> (Seen, u64) {
    std::thread::sleep(Duration::from_millis(100));
    let each = publishes / CONNECTIONS as u64;
    let (start, cpu_before) = (Instant::now(), server.cpu_s());
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let address = address.to_owned();
            std::thread::spawn(move || {
                let payload = |number: u64| format!("{}.{:03}", 1 + number % 3, number % 1000);
                let mut publisher = Publisher::new(&format!("b{number}"), "gw", &format!("pescaia/v1/o/d{number}/level"), WINDOW, payload);
                let lost = publisher.publish(&address, &|now| now.acked + WINDOW as u64 >= each);
                assert!(!lost);
                publisher.acked
            })
        })
        .collect();
    let acked: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let seconds = start.elapsed().as_secs_f64();
    ((acked as f64 / seconds, (server.cpu_s() - cpu_before) / acked as f64 * 1e6), acked)
}

fn network() -> String {
    let mut text = format!(
        "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n[[device]]\nid = \"gw\"\nowner = \"o\"\nmqtt = {{ user = \"gw\", password_hash = \"{HASH}\", gateway = true }}\n"
    );
    for number in 0..CONNECTIONS {
        text += &format!(
            "[[datastream]]\nid = \"d{number}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 1\nvisibility = \"public\"\n[[device]]\nid = \"d{number}\"\nowner = \"o\"\nhttp = true\nfeeds = [{{ channel = \"level\", datastream = \"d{number}\" }}]\n"
        );
    }
    text
}
