//! mosquitto's own client and paho against our door.

use crate::support::{Dir, World, eventually, now_s, one_gauge, pescaia, python, root, token};
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
    eventually("QoS 0 is committed too", 10, || world.observations("prova-level", "period=PT1H").len() == 4);
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
fn a_device_that_speaks_senml_is_understood_and_a_misspelt_format_is_named() {
    let dir = Dir::new("senml");
    let network = one_gauge()
        .replace("mqtt = { user", "mqtt = { format = \"senml\", user")
        .replace("channel = \"level\"", "channel = \"urn:dev:ow:1:level\"");
    let world = World::run(&dir, &network);
    let now = now_s();
    let pack = format!(
        r#"[{{"bn":"urn:dev:ow:1:","bt":{now},"bu":"cm","n":"level","v":142}},{{"n":"level","t":-60,"v":141}},{{"n":"other","v":1}}]"#
    );
    let done = publish(&world, &["-P", "prova", "-q", "1", "-t", "pescaia/v1/demo/prova", "-m", &pack]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let values: Vec<f64> = world.observations("prova-level", "period=PT1H").iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [1.41, 1.42]);
    let audit = token(&dir, "demo", &["audit"]);
    let (_, kept) = world.get_as("/api/v1/quarantine", Some(&audit));
    assert!(kept.contains("urn:dev:ow:1:other") && kept.contains("unknown-channel"), "{kept}");
    let wrong = dir.write("network.toml", &network.replace("\"senml\"", "\"senmml\""));
    let done = pescaia().args(["network", "apply"]).arg(wrong).arg("--data").arg(dir.path().join("data")).output().expect("pescaia");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("unknown payload format \"senmml\", did you mean \"senml\"?"), "{said}");
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
