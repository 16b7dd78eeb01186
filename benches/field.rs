//! What the field costs, on the release binary: thousands of MQTT connections that say nothing, a thousand Modbus units at 1 Hz, an
//! edge that hands on a million readings, an hour of a gauge on the wire. `cargo bench --bench field -- [idle] [modbus] [edge] [wire]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::indexing_slicing, clippy::panic, reason = "a bench")]

#[path = "../tests/it/support/link.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod link;
#[path = "../tests/it/support/mqtt.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod mqtt;
mod support;

use link::Link;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{HASH, Http, Pescaia, directory, syncs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const OWNER: &str = "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let dir = directory("field");
    println!("floor: {:.0} syncs/s of 4 KiB", syncs(&dir));
    if is_wanted("idle") {
        idle(&dir.join("idle"), 5_000);
    }
    if is_wanted("modbus") {
        modbus(&dir.join("each"), 1_000, 1);
        modbus(&dir.join("gateways"), 10, 100);
    }
    if is_wanted("edge") {
        edge(&dir.join("edge"), 1_000_000);
    }
    if is_wanted("wire") {
        wire(&dir.join("wire"));
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Connections of as many clients that say nothing but that they are there.
fn idle(dir: &Path, connections: usize) {
    let network =
        format!("{OWNER}[[device]]\nid = \"gw\"\nowner = \"o\"\nmqtt = {{ user = \"gw\", password_hash = \"{HASH}\", gateway = true }}\n");
    let pescaia = Pescaia::start(dir, &network, "");
    let before = pescaia.server.resident_mb();
    let start = Instant::now();
    let held: Vec<TcpStream> = (0..connections)
        .map(|number| {
            let mut stream = TcpStream::connect(&pescaia.mqtt).unwrap();
            stream.write_all(&mqtt::connect(&format!("idle-{number}"), "gw")).unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[3], 0, "connection {number} is let in");
            stream
        })
        .collect();
    let opened = start.elapsed();
    let cpu = pescaia.server.cpu_s();
    std::thread::sleep(Duration::from_secs(10));
    let idle = (pescaia.server.cpu_s() - cpu) / 10.0 * 100.0;
    let after = pescaia.server.resident_mb();
    println!(
        "{connections} idle MQTT connections: {after:.0} MB resident, {before:.0} before; opened in {:.1} s; {idle:.1} % of a core while idle",
        opened.as_secs_f64()
    );
    drop(held);
}

/// Units at 1 Hz behind as many endpoints, each unit one float of two registers.
fn modbus(dir: &Path, endpoints: u16, units: u8) {
    const SECONDS: u64 = 20;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ports: Vec<u16> = (0..endpoints).map(|_| runtime.block_on(slave())).collect();
    std::fs::create_dir_all(dir).unwrap();
    let profile = "name = \"one\"\ntitle = \"one float\"\n[[register]]\nchannel = \"level\"\nspace = \"holding\"\naddress = 0\ntype = \"float32\"\nunit = \"m\"\n";
    std::fs::write(dir.join("one.toml"), profile).unwrap();
    let mut network = String::from(OWNER);
    for (index, port) in ports.iter().enumerate() {
        for unit in 1..=units {
            write!(
                network,
                "[[datastream]]\nid = \"d{index}-{unit}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 1\nvisibility = \"public\"\n[[device]]\nid = \"d{index}-{unit}\"\nowner = \"o\"\nmodbus = {{ tcp = \"127.0.0.1:{port}\", unit = {unit}, poll_s = 1, profile = \"one.toml\" }}\nfeeds = [{{ channel = \"level\", datastream = \"d{index}-{unit}\" }}]\n"
            )
            .unwrap();
        }
    }
    let pescaia = Pescaia::start(dir, &network, "");
    std::thread::sleep(Duration::from_secs(5));
    let (first, cpu, start) = (pescaia.observations(), pescaia.server.cpu_s(), Instant::now());
    std::thread::sleep(Duration::from_secs(SECONDS));
    let seconds = start.elapsed().as_secs_f64();
    let polls = pescaia.observations() - first;
    let share = (pescaia.server.cpu_s() - cpu) / seconds * 100.0;
    println!(
        "{} Modbus units at 1 Hz on {endpoints} endpoints: {share:.1} % of a core, {:.0} values/s on disk, {:.0} MB resident",
        u32::from(endpoints) * u32::from(units),
        polls as f64 / seconds,
        pescaia.server.resident_mb()
    );
}

/// The port of a device that answers every question with two registers, whatever its unit.
async fn slave() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut question, mut level) = ([0; 12], 1.0_f32);
                while stream.read_exact(&mut question).await.is_ok() {
                    level += 0.001;
                    let mut answer = vec![question[0], question[1], 0, 0, 0, 7, question[6], 3, 4];
                    answer.extend(level.to_be_bytes());
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn gauges(count: usize) -> String {
    let mut network = String::from(OWNER);
    for number in 0..count {
        write!(
            network,
            "[[datastream]]\nid = \"d{number}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 300\nvisibility = \"public\"\n[[device]]\nid = \"d{number}\"\nowner = \"o\"\nhttp = true\naddress = \"level,station=s{number}\"\nfeeds = [{{ channel = \"value\", datastream = \"d{number}\" }}]\n"
        )
        .unwrap();
    }
    network
}

/// The configuration of an edge of the centre on this port.
fn of_centre(dir: &Path, token: &str, port: u16) -> String {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("secret"), token).unwrap();
    format!("[edge]\nname = \"bench\"\ncentre = \"http://127.0.0.1:{port}\"\ntoken_file = \"secret\"\ngather_ms = 100\n")
}

/// A backlog of readings that an edge has on disk reaches the centre that comes back.
fn edge(dir: &Path, readings: u64) {
    const GAUGES: u64 = 100;
    let network = gauges(GAUGES as usize);
    let centre = Pescaia::start(&dir.join("centre"), &network, "");
    let port: u16 = centre.http.rsplit(':').next().unwrap().parse().unwrap();
    let more = of_centre(&dir.join("edge"), &centre.token("o"), port);
    drop(centre);
    let edge = Pescaia::start(&dir.join("edge"), &network, &more);
    let headers = format!("authorization: Token {}\r\n", edge.token("o"));
    let mut http = Http::to(&edge.http);
    for first in (0..readings).step_by(5_000) {
        let mut text = String::new();
        for number in first..first + 5_000 {
            let (gauge, step) = (number % GAUGES, number / GAUGES);
            let level = 1500 + (number * 7919) % 977;
            writeln!(text, "level,station=s{gauge} value={}.{:03} {}", level / 1000, level % 1000, 1_700_000_000 + step * 300).unwrap();
        }
        let (status, answer) = http.post("/api/v2/write?precision=s", &headers, text.as_bytes());
        assert_eq!(status, 204, "{answer}");
    }
    let (held, cpu) = (edge.server.resident_mb(), edge.server.cpu_s());
    let centre = Pescaia::start_on(&dir.join("centre"), &network, "", port);
    let start = Instant::now();
    centre.wait_for(1, Duration::from_secs(120));
    let begun = start.elapsed().as_secs_f64();
    centre.wait_for(readings, Duration::from_secs(600));
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{readings} readings of a backlog at the centre {seconds:.1} s after its return ({:.0}/s; the first after {begun:.1} s); edge {:.2} µs CPU each, {held:.0} MB resident when full, {:.0} MB at the end; centre {:.2} µs CPU each, {:.0} MB",
        readings as f64 / (seconds - begun),
        (edge.server.cpu_s() - cpu) / readings as f64 * 1e6,
        edge.server.resident_mb(),
        centre.server.cpu_s() / readings as f64 * 1e6,
        centre.server.resident_mb()
    );
}

/// The bytes of a gauge that measures every five minutes, each reading on its own way: twelve an hour.
fn wire(dir: &Path) {
    let network = gauges(1);
    let centre = Pescaia::start(&dir.join("centre"), &network, "");
    let link = Link::to(&centre.http);
    let more = of_centre(&dir.join("edge"), &centre.token("o"), link.port);
    let edge = Pescaia::start(&dir.join("edge"), &network, &more);
    let headers = format!("authorization: Token {}\r\n", edge.token("o"));
    let mut write = |number: u64| {
        let line = format!("level,station=s0 value=1.{:03} {}", (number * 7919) % 977, 1_700_000_000 + number * 300);
        assert_eq!(Http::to(&edge.http).post("/api/v2/write?precision=s", &headers, line.as_bytes()).0, 204);
        centre.wait_for(number + 1, Duration::from_secs(10));
    };
    write(0);
    let before = link.passed();
    (1..=12).for_each(&mut write);
    println!(
        "an hour of a 5-minute gauge: {:.2} kB both ways over HTTP, each reading sent on its own; edge {:.0} MB resident",
        (link.passed() - before) as f64 / 1000.0,
        edge.server.resident_mb()
    );
}
