//! An external broker, a real mosquitto: what it hands us is on disk before it hears so, through its restarts and our kills.

use crate::support::mosquitto::Mosquitto;
use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, token};
use std::time::{Duration, Instant};

/// Publishes levels at these seconds, each acknowledged by mosquitto.
fn publish(mosquitto: &Mosquitto, seconds: std::ops::Range<i64>) {
    let lines = seconds.map(|at| format!("{{\"time\": {at}, \"values\": {{\"level\": {}}}}}", level(at)));
    mosquitto.publish("pescaia/v1/demo/prova", lines);
}

fn level(at: i64) -> f64 {
    (at % 1000) as f64 / 1000.0
}

/// A pescaia in `dir` that listens to the broker under `client_id`.
fn listening(dir: &Dir, mosquitto: &Mosquitto, client_id: &str, more: &str) -> World {
    let config = configure(dir, &one_gauge());
    let broker = format!(
        "[[broker]]\nname = \"field\"\naddress = \"127.0.0.1:{}\"\nowner = \"demo\"\ntopics = [\"pescaia/v1/demo/#\"]\nclient_id = \"{client_id}\"\n{more}",
        mosquitto.port
    );
    let text = std::fs::read_to_string(&config).unwrap() + &broker;
    std::fs::write(&config, text).unwrap();
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    eventually("it listens to the broker", 40, || {
        // Nobody in particular is not told its name.
        let metrics = world.get_as("/metrics", None).1;
        metrics.lines().any(|line| line.starts_with("pescaia_broker_connected") && line.ends_with(" 1"))
    });
    world
}

/// Every second of `seconds` is there once, with its level.
fn check(worlds: &[&World], seconds: std::ops::Range<i64>) {
    let all = || {
        let mut found: Vec<(i64, f64)> = worlds
            .iter()
            .flat_map(|world| world.observations("prova-level", "period=P1D"))
            .map(|(time, value)| (time.parse::<jiff::Timestamp>().unwrap().as_second(), value))
            .collect();
        found.sort_by_key(|(at, _)| *at);
        found
    };
    eventually("everything arrives", 40, || all().len() >= usize::try_from(seconds.end - seconds.start).unwrap());
    let expected: Vec<(i64, f64)> = seconds.map(|at| (at, level(at))).collect();
    assert!(all() == expected, "some are missing or wrong");
}

#[test]
fn what_a_broker_hands_us_survives_its_restarts_and_our_kills() {
    let dir = Dir::new("broker");
    let mut mosquitto = Mosquitto::start(&dir);
    let mut world = listening(&dir, &mosquitto, "pescaia-a", "");
    let start = now_s() - 3600;
    for round in 0..5 {
        let from = start + round * 400;
        publish(&mosquitto, from..from + 200);
        if round % 2 == 0 {
            mosquitto.restart();
        } else {
            // In the middle of what it is being handed.
            world.kill();
        }
        publish(&mosquitto, from + 200..from + 400);
        if !world.is_running() {
            world = listening(&dir, &mosquitto, "pescaia-a", "");
        }
    }
    check(&[&world], start..start + 2000);
}

#[test]
fn a_broker_that_is_killed_again_and_again_is_found_again_and_nothing_it_handed_over_is_lost() {
    let rounds = if std::env::var("PESCAIA_LONG").is_ok() { 20 } else { 6 };
    let dir = Dir::new("broker-kill");
    let mut mosquitto = Mosquitto::start(&dir);
    let world = listening(&dir, &mosquitto, "pescaia-a", "");
    let start = now_s() - 3600;
    let mut longest = Duration::ZERO;
    for round in 0..rounds {
        // What it holds when it is killed may go with it, and with its session goes our subscription: neither is in our hands.
        mosquitto.kill();
        std::thread::sleep(Duration::from_millis(200 * u64::try_from(round % 4).unwrap()));
        mosquitto.restart_killed();
        let (at, up) = (start + round, Instant::now());
        let is_there = || world.observations("prova-level", "period=P1D").len() == usize::try_from(round + 1).unwrap();
        eventually("the next message is served", 20, || {
            publish(&mosquitto, at..at + 1);
            std::thread::sleep(Duration::from_millis(100));
            is_there()
        });
        longest = longest.max(up.elapsed());
    }
    eprintln!("F8: after {rounds} kills of the broker the next message was served within {longest:?} of its return");
    check(&[&world], start..start + rounds);
    let auditor = token(&dir, "demo", &["audit"]);
    let ledger = world.get_as("/api/v1/ledger?device=prova", Some(&auditor)).1;
    assert_eq!(world.metric("pescaia_ledger_readings{owner=\"demo\",what=\"accepted\"}"), u64::try_from(rounds).unwrap());
    assert!(ledger.contains(&format!("\"accepted\":{rounds},")) && ledger.contains("\"balances\":true"), "{ledger}");
}

#[test]
fn two_ingesters_share_what_a_broker_has_and_each_reading_is_taken_once() {
    let dir = Dir::new("share");
    let (one, other) = (Dir::new("share-one"), Dir::new("share-other"));
    let mosquitto = Mosquitto::start(&dir);
    let share = "share = \"pescaia\"\n";
    let worlds = [listening(&one, &mosquitto, "pescaia-1", share), listening(&other, &mosquitto, "pescaia-2", share)];
    let start = now_s() - 3600;
    publish(&mosquitto, start..start + 1000);
    check(&[&worlds[0], &worlds[1]], start..start + 1000);
    for world in &worlds {
        assert!(!world.observations("prova-level", "period=P1D").is_empty(), "each takes its share");
    }
}

#[test]
fn what_a_broker_retains_is_no_measurement_of_now_and_a_message_too_large_costs_only_itself() {
    let dir = Dir::new("broker-retained");
    let mut mosquitto = Mosquitto::start(&dir);
    let retain = |payload: &str| {
        let port = mosquitto.port.to_string();
        let topic = ["-q", "1", "-r", "-t", "pescaia/v1/demo/prova/level", "-m", payload];
        let done = std::process::Command::new("mosquitto_pub").args(["-h", "127.0.0.1", "-p", &port]).args(topic).status().unwrap();
        assert!(done.success());
    };
    // It was there before us: nobody knows since when.
    retain("3.33");
    let world = listening(&dir, &mosquitto, "pescaia-a", "");
    let passed_over =
        |what: &str| world.get_as("/metrics", None).1.contains(&format!("pescaia_ingest_passed_over_total{{format=\"{what}\"}}"));
    eventually("it is counted", 20, || passed_over("retained"));
    assert_eq!(world.observations("prova-level", "period=P1D"), []);
    let start = now_s() - 600;
    let large = format!("{{\"time\": {}, \"values\": {{\"level\": 9}}}}{}", start + 1, " ".repeat(5 << 20));
    publish(&mosquitto, start..start + 1);
    mosquitto.publish("pescaia/v1/demo/prova", std::iter::once(large));
    publish(&mosquitto, start + 2..start + 3);
    eventually("what is behind the large one comes", 20, || world.observations("prova-level", "period=P1D").len() == 2);
    assert!(passed_over("too-large"));
    mosquitto.restart();
    publish(&mosquitto, start + 3..start + 4);
    eventually("the broker is found again", 40, || world.observations("prova-level", "period=P1D").len() >= 3);
    let levels: Vec<f64> = world.observations("prova-level", "period=P1D").into_iter().map(|(_, value)| value).collect();
    assert_eq!(levels, [0, 2, 3].map(|second| level(start + second)));
}
