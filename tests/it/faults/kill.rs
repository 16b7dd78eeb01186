//! F1: kill -9 under load. What was acknowledged is there, once, whatever moment the process died at.

use crate::support::mqtt::Publisher;
use crate::support::{Dir, HASH, World, configure, pescaia};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PUBLISHERS: usize = 50;
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

fn network() -> String {
    let mut text = format!(
        "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n[[device]]\nid = \"gw\"\nowner = \"o\"\nmqtt = {{ user = \"gw\", password_hash = \"{HASH}\", gateway = true }}\n"
    );
    for number in 0..PUBLISHERS {
        let _ = write!(
            text,
            "[[datastream]]\nid = \"d{number}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 1\nvisibility = \"public\"\n[[device]]\nid = \"d{number}\"\nowner = \"o\"\nhttp = true\nfeeds = [{{ channel = \"level\", datastream = \"d{number}\" }}]\n"
        );
    }
    text
}

#[test]
fn nothing_acknowledged_is_lost_by_twenty_kills_under_fifty_publishers() {
    let kills: u64 = if std::env::var("PESCAIA_LONG").is_ok() { 200 } else { 20 };
    let wanted_per_kill = 100_000 / kills + 1;
    let dir = Dir::new("kill");
    let config = configure(&dir, &network());
    let start = || World::start(pescaia().env("PESCAIA_LOG", "error").arg("run").arg("--config").arg(&config));
    let mut world = start();
    let door = Arc::new(Mutex::new(world.mqtt.clone()));
    let (acked, finish) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let (door, acked, finish) = (door.clone(), acked.clone(), finish.clone());
            std::thread::spawn(move || {
                let mut publisher = Publisher::new(&format!("p{number}"), "gw", &format!("pescaia/v1/o/d{number}"), WINDOW, payload);
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
        })
        .collect();
    let seed = 11_u64;
    eprintln!("seed {seed}");
    let mut dice = seed;
    let mut restarts = Vec::new();
    for kill in 1..=kills {
        let deadline = Instant::now() + Duration::from_secs(60);
        while acked.load(Ordering::Relaxed) < kill * wanted_per_kill {
            assert!(Instant::now() < deadline && world.is_running(), "publishing goes on");
            std::thread::sleep(Duration::from_millis(5));
        }
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((dice >> 33) % 120));
        world.kill();
        let restart = Instant::now();
        world = start();
        restarts.push(restart.elapsed());
        door.lock().unwrap().clone_from(&world.mqtt);
    }
    finish.store(true, Ordering::Relaxed);
    let publishers: Vec<Publisher> = publishers.into_iter().map(|thread| thread.join().expect("a publisher")).collect();
    check(&world, &publishers, kills);
    restarts.sort();
    eprintln!("restart to ready: median {:?}, longest {:?}", restarts[restarts.len() / 2], restarts.last().unwrap());
    assert_eq!(world.terminate(), Some(0), "a quiet end");
}

fn check(world: &World, publishers: &[Publisher], kills: u64) {
    let (mut acked, mut resent, mut found_all, mut lost, mut wrong) = (0, 0, 0, 0, 0);
    for (number, publisher) in publishers.iter().enumerate() {
        let found = world.observations(&format!("d{number}"), "from=2025-12-31T00:00:00Z&to=2027-01-01T00:00:00Z");
        let by_time: BTreeMap<&str, f64> = found.iter().map(|(time, value)| (time.as_str(), *value)).collect();
        assert_eq!(by_time.len(), found.len(), "each once");
        for number in 0..publisher.acked {
            let time = model::Timestamp::from_seconds(START + i64::try_from(number).unwrap()).to_string();
            match by_time.get(time.as_str()) {
                None => lost += 1,
                Some(value) if value.to_bits() != level(number).to_bits() => wrong += 1,
                Some(_) => {}
            }
        }
        assert!(u64::try_from(found.len()).unwrap() <= publisher.acked + 8, "nothing that was never sent");
        assert_eq!(publisher.out_of_order, 0);
        acked += publisher.acked;
        resent += publisher.resent;
        found_all += found.len();
    }
    eprintln!("{kills} kills: {acked} acknowledged, {resent} sent again, {found_all} found, {lost} lost, {wrong} wrong, 0 twice");
    assert_eq!((lost, wrong), (0, 0));
    assert!(acked >= 100_000, "enough happened");
    assert!(resent >= kills, "each kill cost a resend");
}
