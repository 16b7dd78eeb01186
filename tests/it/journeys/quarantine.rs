//! An owner proves that nothing was lost: what was refused is seen, mended and taken, and the ledger balances, also after a kill.

use crate::support::{Dir, World, one_gauge, said, token};
use serde_json::json;
use std::process::Command;

/// Publishes each payload to the topic with mosquitto's client.
fn publish(world: &World, topic: &str, payload: &str) {
    let done = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", world.mqtt_port(), "-u", "prova", "-P", "prova", "-q", "1", "-t", topic, "-m", payload])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn what_was_refused_is_seen_mended_and_taken_and_the_ledger_balances_also_after_a_kill() {
    let dir = Dir::new("quarantine");
    let mut world = World::run(&dir, &one_gauge());
    let topic = "pescaia/v1/demo/prova";
    let now = jiff::Timestamp::now().as_second();
    publish(&world, topic, &format!(r#"{{"time": {}, "values": {{"level": 1.42, "battery": 12.6}}}}"#, now - 20));
    publish(&world, topic, &format!(r#"{{"time": {}, "values": {{"level": 1.43, "battery": 12.5}}}}"#, now - 10));
    publish(&world, topic, &format!(r#"{{"time": {}, "values": {{"level": 1.43}}}}"#, now - 10));
    publish(&world, topic, &format!(r#"{{"time": {}, "values": {{"level": 1.44}}}}"#, now + 86_400));
    publish(&world, topic, "level=7");
    let list = said(&dir, &["quarantine", "list"]);
    for line in ["demo/prova/battery  unknown-channel  2 × in 2 messages", "demo/prova  future-time  1 ×", "demo/prova  unreadable  1 ×"]
    {
        assert!(list.contains(line), "{line}\n{list}");
    }
    let auditor = token(&dir, "demo", &["audit"]);
    let ledger = |world: &World| {
        let (status, body) = world.get_as("/api/v1/ledger", Some(&auditor));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["items"][0].clone()
    };
    let counts = |line: &serde_json::Value| {
        assert_eq!(line["balances"], true, "{line}");
        ["received", "accepted", "duplicates", "revised", "quarantined"].map(|count| line[count].as_u64().unwrap())
    };
    assert_eq!(counts(&ledger(&world)), [7, 2, 1, 0, 4]);
    let (status, one) = world.get_as("/api/v1/quarantine/1", Some(&auditor));
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!((status, &one["refusals"][0]["channel"], &one["refusals"][0]["value"]), (200, &json!("battery"), &json!(12.6)));
    assert_eq!(world.get_as("/api/v1/quarantine/1", None).0, 401);
    assert_eq!(world.get_as("/api/v1/ledger", None).0, 401);
    // The owner adds the channel, and the clock's error is a day.
    let feed = r#"{ channel = "level", datastream = "prova-level" }"#;
    let more = one_gauge().replace(feed, &format!(r#"{feed}, {{ channel = "battery", datastream = "prova-battery" }}"#))
        + "[[datastream]]\nid = \"prova-battery\"\nstation = \"prova\"\nproperty = \"battery\"\nperiod_s = 10\n";
    let file = dir.write("network.toml", &more);
    assert!(said(&dir, &["network", "apply", &file.display().to_string()]).contains("+ datastream prova-battery"));
    let dry = said(&dir, &["quarantine", "replay", "--device", "prova", "--dry-run"]);
    assert!(dry.contains("4 messages: 2 readings would be taken, 2 would stay"), "{dry}");
    let done = said(&dir, &["quarantine", "replay", "--reason", "unknown-channel"]);
    assert!(done.contains("2 messages: 2 readings accepted, 0 there already, 0 revised; 0 stay"), "{done}");
    let done = said(&dir, &["quarantine", "replay", "--reason", "future-time", "--shift", "-86405s"]);
    assert!(done.contains("1 messages: 1 readings accepted"), "{done}");
    let wrong = said(&dir, &["quarantine", "replay", "--reason", "futur-time"]);
    assert!(wrong.contains("did you mean \"future-time\"?"), "{wrong}");
    assert_eq!(counts(&ledger(&world)), [7, 5, 1, 0, 1]);
    world.kill();
    let printed = said(&dir, &["ledger"]);
    assert!(printed.lines().any(|line| line.contains("demo/prova") && line.contains(" 7 ") && !line.contains("BALANCE")), "{printed}");
    let shown = said(&dir, &["quarantine", "show", "4"]);
    assert!(shown.contains("level=7") && shown.contains("refused   unreadable"), "{shown}");
    let world = World::run(&dir, &more);
    assert_eq!(counts(&ledger(&world)), [7, 5, 1, 0, 1]);
}
