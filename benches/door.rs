//! Acknowledged single-value publishes through the real MQTT door of the release binary: 50 connections, 16 in flight each,
//! beside the machine's floor (append and sync of as many log records, one after another) in the same run.
//! `cargo bench --bench door -- [publishes] [rounds]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, clippy::panic, reason = "a bench")]

#[path = "../tests/it/support/mqtt.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod mqtt;
mod support;

use mqtt::Publisher;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::median;

const CONNECTIONS: usize = 50;
const WINDOW: usize = 16;
const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$6zJVeHLapeL8iVfBIFs2XA$zeIIAw292omyqvDM57ZxOQBLMRG5bovhsUkMjD9F/l4";

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let publishes: u64 = words.next().map_or(300_000, |word| word.parse().expect("publishes"));
    let rounds: usize = words.next().map_or(5, |word| word.parse().expect("rounds"));
    let dir = std::env::temp_dir().join(format!("pescaia-door-{}", std::process::id()));
    println!("{publishes} publishes of one value, QoS 1, {CONNECTIONS} connections, {WINDOW} in flight, {rounds} rounds");
    println!("{:<10} {:>14} {:>22} {:>22}", "", "acked/s", "server CPU µs/message", "floor: syncs/s of 4 KiB");
    let (mut rates, mut cpus) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        std::fs::create_dir_all(&dir).unwrap();
        let syncs = floor(&dir);
        let (rate, cpu) = door(&dir, publishes);
        println!("round {round:<4} {rate:>14.0} {cpu:>22.1} {syncs:>22.0}");
        rates.push(rate);
        cpus.push(cpu);
        std::fs::remove_dir_all(&dir).unwrap();
    }
    println!("median     {:>14.0} {:>22.1}", median(&rates), median(&cpus));
}

/// How often this disk syncs a small append.
fn floor(dir: &std::path::Path) -> f64 {
    let mut file = std::fs::File::create(dir.join("floor")).unwrap();
    let start = Instant::now();
    for _ in 0..1000 {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    1000.0 / start.elapsed().as_secs_f64()
}

struct Server(Child);
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn door(dir: &std::path::Path, publishes: u64) -> (f64, f64) {
    std::fs::write(dir.join("network.toml"), network()).unwrap();
    std::fs::write(
        dir.join("pescaia.toml"),
        "data_dir = \"data\"\nnetworks = [\"network.toml\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n[quota]\nmessages_per_s = 10000000\n",
    )
    .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pescaia"))
        .arg("run")
        .arg("--config")
        .arg(dir.join("pescaia.toml"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let server = Server(child);
    let addr = line.split("mqtt=").nth(1).unwrap().trim().to_owned();
    let cpu = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    };
    // Passwords are verified once, outside the measure.
    let mut warm = Publisher::new("warm", "gw", "pescaia/v1/o/d0/level", 1, |_| "1.0".into());
    warm.publish(&addr, &|now| now.acked >= 1);
    std::thread::sleep(Duration::from_millis(100));
    let each = publishes / CONNECTIONS as u64;
    let (start, cpu_before) = (Instant::now(), cpu());
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let addr = addr.clone();
            std::thread::spawn(move || {
                let payload = |number: u64| format!("{}.{:03}", 1 + number % 3, number % 1000);
                let mut publisher = Publisher::new(&format!("b{number}"), "gw", &format!("pescaia/v1/o/d{number}/level"), WINDOW, payload);
                let lost = publisher.publish(&addr, &|now| now.acked + WINDOW as u64 >= each);
                assert!(!lost);
                publisher.acked
            })
        })
        .collect();
    let acked: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let seconds = start.elapsed().as_secs_f64();
    // Everything acknowledged is there: the warm-up's one and these.
    assert_eq!(observations(&line), acked + 1);
    (acked as f64 / seconds, (cpu() - cpu_before) / acked as f64 * 1e6)
}

/// How many observations the server says that it keeps.
fn observations(ready: &str) -> u64 {
    let http = ready.split("http=").nth(1).unwrap().split(' ').next().unwrap();
    let mut stream = std::net::TcpStream::connect(http).unwrap();
    stream.write_all(b"GET /status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    answer.split("\"observations\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap()
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
