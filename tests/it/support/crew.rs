//! A crew of publishers that go on whatever happens, each with a datastream of its own, and what must be there of what they were told.

use super::mqtt::Publisher;
use super::{HASH, World};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Publishes that each has in flight.
const WINDOW: usize = 8;
const START: i64 = 1_767_225_600;

/// Time and value follow from the number: the oracle needs no memory of what was sent.
fn payload(number: u64) -> String {
    format!(r#"{{"time":{},"values":{{"level":{}}}}}"#, START + i64::try_from(number).unwrap(), level(number))
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn level(number: u64) -> f64 {
    (number * 7919 % 12_000) as f64 / 1000.0
}

/// Devices, and so datastreams, of one station.
const OF_A_STATION: usize = 25;

/// Behind one gateway so many devices with a datastream each, `d0`, `d1`, …, at stations `s0`, `s1`, …
pub(crate) fn network(devices: usize, period_s: u32) -> String {
    let mut text = format!(
        "[[owner]]\nid = \"o\"\nname = \"o\"\n[[device]]\nid = \"gw\"\nowner = \"o\"\nmqtt = {{ user = \"gw\", password_hash = \"{HASH}\", gateway = true }}\n"
    );
    for number in 0..devices {
        let station = number / OF_A_STATION;
        if number % OF_A_STATION == 0 {
            let _ = write!(text, "[[station]]\nid = \"s{station}\"\nowner = \"o\"\nname = \"s{station}\"\nwhere = [43.9, 11.1]\n");
        }
        let _ = write!(
            text,
            "[[datastream]]\nid = \"d{number}\"\nstation = \"s{station}\"\nproperty = \"water_level\"\nperiod_s = {period_s}\nvisibility = \"public\"\n[[device]]\nid = \"d{number}\"\nowner = \"o\"\nhttp = true\nfeeds = [{{ channel = \"level\", datastream = \"d{number}\" }}]\n"
        );
    }
    text
}

/// Publishers at work.
pub(crate) struct Crew {
    door: Arc<Mutex<String>>,
    acked: Arc<AtomicU64>,
    finish: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Publisher>>,
}

/// What they were told, and what of it is there.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) acked: u64,
    pub(crate) resent: u64,
    pub(crate) found: usize,
    pub(crate) lost: u64,
    pub(crate) wrong: u64,
}

impl Crew {
    /// So many, one for each device of [`network`]; each sends again what is not acknowledged within `patience`.
    pub(crate) fn start(world: &World, size: usize, patience: Duration) -> Self {
        let (door, acked, finish) =
            (Arc::new(Mutex::new(world.mqtt.clone())), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let publish = |number: usize| {
            let (door, acked, finish) = (door.clone(), acked.clone(), finish.clone());
            std::thread::spawn(move || {
                let mut publisher = Publisher::new(&format!("p{number}"), "gw", &format!("pescaia/v1/o/d{number}"), WINDOW, payload);
                publisher.patience = patience;
                loop {
                    let before = AtomicU64::new(publisher.acked);
                    let stop = |now: &Publisher| {
                        acked.fetch_add(now.acked - before.swap(now.acked, Ordering::Relaxed), Ordering::Relaxed);
                        finish.load(Ordering::Relaxed)
                    };
                    let addr = door.lock().unwrap().clone();
                    let lost = publisher.publish(&addr, &stop);
                    stop(&publisher);
                    if !lost {
                        return publisher;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        };
        let threads = (0..size).map(publish).collect();
        Self { door, acked, finish, threads }
    }
    /// Acknowledged so far, of all.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::Relaxed)
    }
    /// Waits until so many are acknowledged; how long that took.
    pub(crate) fn reaches(&self, world: &mut World, wanted: u64) -> Duration {
        let begun = Instant::now();
        while self.acked() < wanted {
            assert!(begun.elapsed() < Duration::from_secs(60) && world.is_running(), "publishing goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    }
    /// There is another one now.
    pub(crate) fn turns_to(&self, world: &World) {
        self.door.lock().unwrap().clone_from(&world.mqtt);
    }
    /// All that is owed is acknowledged, then everything is compared with what is there.
    pub(crate) fn ends(self, world: &World) -> Ledger {
        self.finish.store(true, Ordering::Relaxed);
        let mut ledger = Ledger { acked: 0, resent: 0, found: 0, lost: 0, wrong: 0 };
        for (number, thread) in self.threads.into_iter().enumerate() {
            ledger.add(world, number, &thread.join().expect("a publisher"));
        }
        ledger
    }
}

impl Ledger {
    fn add(&mut self, world: &World, number: usize, publisher: &Publisher) {
        let found = world.observations(&format!("d{number}"), "from=2025-12-31T00:00:00Z&to=2027-01-01T00:00:00Z");
        let by_time: BTreeMap<&str, f64> = found.iter().map(|(time, value)| (time.as_str(), *value)).collect();
        assert_eq!(by_time.len(), found.len(), "each once");
        for number in 0..publisher.acked {
            let time = model::Timestamp::from_seconds(START + i64::try_from(number).unwrap()).to_string();
            match by_time.get(time.as_str()) {
                None => self.lost += 1,
                Some(value) if value.to_bits() != level(number).to_bits() => self.wrong += 1,
                Some(_) => {}
            }
        }
        assert!(found.len() as u64 <= publisher.acked + WINDOW as u64, "nothing that was never sent");
        assert_eq!(publisher.out_of_order, 0);
        self.acked += publisher.acked;
        self.resent += publisher.resent;
        self.found += found.len();
    }
}
