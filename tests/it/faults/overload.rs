//! F16: ten times what the network is made for, from as many connections as it has devices. Memory stays within its bounds, pages are
//! served, everything is acknowledged and there, and soon after nothing is left of it.

use crate::support::crew::network;
use crate::support::mqtt::{connect, publish};
use crate::support::{Dir, World, configure, pescaia};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A device says something so often …
const PERIOD_S: u32 = 10;
/// … and now so many times as often.
const TIMES: u32 = 10;
/// Messages that a device sends without having an answer.
const WINDOW: usize = 32;
const START: i64 = 1_767_225_600;

/// A device that goes on until it is told to stop, and then waits for its last answers. How many were acknowledged.
async fn device(mut stream: TcpStream, number: u32, stop: Arc<AtomicBool>, took: Arc<Mutex<Vec<Duration>>>) -> u64 {
    let topic = format!("pescaia/v1/o/d{number}");
    let period = Duration::from_secs(u64::from(PERIOD_S)) / TIMES;
    // Not all of them at the same moment.
    tokio::time::sleep(period * (number % 1000) / 1000).await;
    let mut due = tokio::time::interval(period);
    let (mut sent, mut acked, mut waiting) = (0_u64, 0_u64, std::collections::VecDeque::new());
    let (mut part, mut unread) = ([0; 64], Vec::new());
    while !stop.load(Ordering::Relaxed) || acked < sent {
        tokio::select! {
            biased;
            _ = due.tick() => {
                if waiting.len() < WINDOW && !stop.load(Ordering::Relaxed) {
                    let text = format!(r#"{{"time":{},"values":{{"level":{}}}}}"#, START + sent as i64, (sent % 4000) as f64 / 1000.0);
                    let id = u16::try_from(sent % 65_535 + 1).unwrap();
                    stream.write_all(&publish(&topic, id, &text, false)).await.expect("it reads");
                    waiting.push_back((id, Instant::now()));
                    sent += 1;
                }
            }
            read = stream.read(&mut part) => {
                let count = read.expect("the link holds");
                assert!(count > 0, "the link holds");
                unread.extend_from_slice(&part[..count]);
                let whole = unread.len() / 4 * 4;
                for ack in unread.drain(..whole).collect::<Vec<u8>>().chunks(4) {
                    let (id, at) = waiting.pop_front().unwrap();
                    assert_eq!((ack[0], u16::from_be_bytes([ack[2], ack[3]])), (0x40, id), "in order");
                    took.lock().unwrap().push(at.elapsed());
                    acked += 1;
                }
            }
        }
    }
    acked
}

/// Comes in; the door lets so many try at once and no more.
async fn guest(door: String, number: u32, trying: Arc<tokio::sync::Semaphore>) -> TcpStream {
    let _one = trying.acquire().await.unwrap();
    let mut stream = TcpStream::connect(&door).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&connect(&format!("p{number}"), "gw")).await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.expect("let in");
    assert_eq!((answer[0], answer[3]), (0x20, 0));
    stream
}

/// Asks for pages in turn until it is told to stop; how long each took.
fn look(world: &World, stop: &AtomicBool) -> Vec<Duration> {
    let mut took = Vec::new();
    for path in ["/", "/livelli", "/stazioni/s0", "/stazioni/s3"].iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return took;
        }
        let begun = Instant::now();
        assert_eq!(world.get_as(path, None).0, 200, "{path}");
        took.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(100));
    }
    took
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

#[test]
fn ten_times_what_it_is_made_for_costs_no_reading_and_no_reader() {
    let (devices, seconds) = if std::env::var("PESCAIA_LONG").is_ok() { (5000, 120) } else { (400, 8) };
    let dir = Dir::new("overload");
    let config = configure(&dir, &network(devices, PERIOD_S));
    let world = World::start(pescaia().env("PESCAIA_LOG", "error").arg("run").arg("--config").arg(&config));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (input_ends, looking_ends) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let acks: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let trying = Arc::new(tokio::sync::Semaphore::new(64));
    let guests: Vec<TcpStream> = runtime.block_on(async {
        let guests = (0..devices as u32).map(|number| tokio::spawn(guest(world.mqtt.clone(), number, trying.clone())));
        let mut all = Vec::new();
        for guest in guests.collect::<Vec<_>>() {
            all.push(guest.await.unwrap());
        }
        all
    });
    assert_eq!(world.metric("pescaia_mqtt_connections"), devices as u64);
    let before = world.own_memory();
    let most = AtomicU64::new(before);
    let (acked, pages, settled) = std::thread::scope(|scope| {
        let pages = scope.spawn(|| look(&world, &looking_ends));
        scope.spawn(|| {
            while !looking_ends.load(Ordering::Relaxed) {
                most.fetch_max(world.own_memory(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let running: Vec<_> = guests
            .into_iter()
            .zip(0..)
            .map(|(stream, number)| runtime.spawn(device(stream, number, input_ends.clone(), acks.clone())))
            .collect();
        std::thread::sleep(Duration::from_secs(seconds));
        input_ends.store(true, Ordering::Relaxed);
        let ended = Instant::now();
        let acked: Vec<u64> = runtime.block_on(async {
            let mut acked = Vec::new();
            for device in running {
                acked.push(device.await.expect("a device"));
            }
            acked
        });
        let settled = ended.elapsed();
        looking_ends.store(true, Ordering::Relaxed);
        (acked, pages.join().expect("pages"), settled)
    });
    let total: u64 = acked.iter().sum();
    let wanted = devices as u64 * seconds * u64::from(TIMES) / u64::from(PERIOD_S);
    let begun = Instant::now();
    assert_eq!(world.get_as("/livelli", None).0, 200);
    let recovered = settled + begun.elapsed();
    let (acks, seen) = (p99(std::mem::take(&mut *acks.lock().unwrap())), pages.len());
    let (pages, most) = (p99(pages), most.into_inner());
    eprintln!(
        "F16: {devices} connections, {total} acknowledged of {wanted} in {seconds} s; 99th of 100 acknowledgements {acks:?}; 99th of 100 of {seen} pages {pages:?}; resident without its file {} MB before, {} MB at most; recovered after {recovered:?}",
        before >> 20,
        most >> 20
    );
    for (number, acked) in acked.iter().enumerate() {
        let found = world.observations(&format!("d{number}"), "from=2025-12-31T00:00:00Z&to=2027-01-01T00:00:00Z");
        assert_eq!(found.len() as u64, *acked, "of d{number}");
    }
    assert!(total >= wanted * 9 / 10, "{total} of {wanted}: it takes what comes");
    // Of 256 MiB, what a release binary's own pages take is left over.
    assert!(most <= 226 << 20, "resident {most}");
    assert!(pages <= Duration::from_secs(2), "pages {pages:?}");
    assert!(recovered <= Duration::from_secs(10), "recovered after {recovered:?}");
}
