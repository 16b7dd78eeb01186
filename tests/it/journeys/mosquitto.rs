//! mosquitto's own client and paho against our door.

use crate::support::{Dir, World, eventually, now_s, one_gauge, python, root};
use std::process::{Command, Output};

fn publish(world: &World, more: &[&str]) -> Output {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", world.mqtt_port(), "-u", "prova", "-i", "prova-1"]).args(more);
    command.output().expect("mosquitto_pub; tests/run installs it")
}

#[test]
fn what_mosquitto_pub_sends_is_answered_by_the_api() {
    let dir = Dir::new("mosquitto");
    let world = World::run(&dir, &one_gauge());
    for (version, qos, value) in [("mqttv311", "1", "1.42"), ("mqttv5", "1", "1.43"), ("mqttv311", "0", "1.44"), ("mqttv31", "1", "1.45")] {
        let done = publish(&world, &["-P", "prova", "-V", version, "-q", qos, "-t", "pescaia/v1/demo/prova/level", "-m", value]);
        assert!(done.status.success(), "{version}: {}", String::from_utf8_lossy(&done.stderr));
    }
    eventually("QoS 0 is committed too", 2, || world.observations("prova-level", "period=PT1H").len() == 4);
    let values: Vec<f64> = world.observations("prova-level", "period=PT1H").iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [1.42, 1.43, 1.44, 1.45]);
    let latest = world.get("/api/v1/latest");
    let item = &latest["items"][0];
    assert_eq!(
        (item["datastream"].as_str(), item["result"].as_f64(), item["stale"].as_bool(), item["state"].as_str()),
        (Some("prova-level"), Some(1.45), Some(false), Some("below"))
    );
    assert!(
        !publish(&world, &["-P", "wrong", "-q", "1", "-t", "pescaia/v1/demo/prova/level", "-m", "1"]).status.success(),
        "a wrong password"
    );
    let foreign = publish(&world, &["-P", "prova", "-V", "mqttv5", "-q", "1", "-t", "pescaia/v1/demo/other/level", "-m", "1"]);
    assert!(String::from_utf8_lossy(&foreign.stderr).contains("Not authorized"), "{}", String::from_utf8_lossy(&foreign.stderr));
    assert_eq!(world.observations("prova-level", "period=PT1H").len(), 4);
}

#[test]
fn paho_is_cut_off_and_nothing_that_it_was_told_is_kept_is_lost() {
    let dir = Dir::new("paho");
    let world = World::run(&dir, &one_gauge());
    let start = now_s() - 5000;
    let done = Command::new(python())
        .arg(root().join("tests/python/paho_cut.py"))
        .args([world.mqtt_port(), &start.to_string(), "600"])
        .output()
        .expect("python");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let acked: usize = String::from_utf8_lossy(&done.stdout).trim().parse().expect("a count");
    assert_eq!(acked, 600);
    let found = world.observations("prova-level", "period=PT2H");
    assert_eq!(found.len(), 600, "each once");
}
