//! pymodbus as the slave in the field.

use crate::support::{Dir, World, eventually, pescaia, python, root};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

struct Slave {
    child: Child,
    port: String,
}

impl Slave {
    fn start(port: &str) -> Self {
        let mut child = Command::new(python())
            .arg(root().join("tests/python/modbus_slave.py"))
            .arg(port)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).expect("it says its port");
        Self { child, port: line.trim().to_owned() }
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROFILE: &str = r#"
name = "zoo"
title = "every type in every order"
max_hole = 4
[[register]]
channel = "abcd"
space = "holding"
address = 0
type = "float32"
unit = "m"
[[register]]
channel = "cdab"
space = "holding"
address = 2
type = "float32"
order = "CDAB"
unit = "m"
[[register]]
channel = "badc"
space = "input"
address = 4
type = "float32"
order = "BADC"
unit = "m"
[[register]]
channel = "dcba"
space = "input"
address = 6
type = "float32"
order = "DCBA"
unit = "m"
[[register]]
channel = "int16"
space = "holding"
address = 8
type = "int16"
scale = 0.001
unit = "m"
[[register]]
channel = "uint32"
space = "holding"
address = 9
type = "uint32"
scale = 0.001
unit = "m"
[[register]]
channel = "pump"
space = "coil"
address = 3
type = "bit"
unit = "1"
[[register]]
channel = "beyond"
space = "holding"
address = 2000
type = "int16"
unit = "m"
"#;

const CHANNELS: [&str; 8] = ["abcd", "cdab", "badc", "dcba", "int16", "uint32", "pump", "beyond"];

fn network(port: &str) -> String {
    let mut text =
        String::from("[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n");
    let mut feeds = Vec::new();
    for channel in CHANNELS {
        let property = if channel == "pump" { "pump_run" } else { "water_level" };
        text += &format!(
            "[[datastream]]\nid = \"{channel}\"\nstation = \"s\"\nproperty = \"{property}\"\nperiod_s = 1\nvisibility = \"public\"\n"
        );
        feeds.push(format!("{{ channel = \"{channel}\", datastream = \"{channel}\" }}"));
    }
    text + &format!(
        "[[device]]\nid = \"plc\"\nowner = \"o\"\nmodbus = {{ tcp = \"127.0.0.1:{port}\", unit = 1, poll_s = 0.5, timeout_s = 0.5, profile = \"zoo.toml\" }}\nfeeds = [{}]\n",
        feeds.join(", ")
    )
}

#[test]
fn a_pymodbus_slave_is_read_in_every_type_and_its_absence_is_a_gap() {
    let dir = Dir::new("modbus");
    dir.write("zoo.toml", PROFILE);
    let mut slave = Slave::start("0");
    let world = World::run(&dir, &network(&slave.port));
    eventually("values arrive", 10, || CHANNELS[..7].iter().all(|channel| !world.observations(channel, "period=PT1H").is_empty()));
    for channel in &CHANNELS[..6] {
        assert_eq!(world.observations(channel, "period=PT1H")[0].1, 2.608, "{channel}");
    }
    assert_eq!(world.observations("pump", "period=PT1H")[0].1, 1.0);
    let gaps = |channel: &str| world.get(&format!("/api/v1/datastreams/{channel}/gaps?period=PT1H"))["items"].clone();
    assert_eq!(gaps("beyond")[0]["reason"], "exception-2", "an address that the device does not have");
    assert!(world.observations("beyond", "period=PT1H").is_empty());
    let port = slave.port.clone();
    drop(std::mem::replace(&mut slave, Slave { child: Command::new("true").spawn().unwrap(), port: port.clone() }));
    eventually("the dead device leaves a gap", 10, || gaps("abcd")[0]["reason"] == "unreachable");
    let before = world.observations("abcd", "period=PT1H").len();
    let _again = Slave::start(&port);
    eventually("it is read again by itself", 30, || world.observations("abcd", "period=PT1H").len() > before + 2);
}

/// A serial line: two ends of one wire.
struct Wire {
    child: Child,
    ours: String,
    theirs: String,
}

impl Wire {
    fn lay(dir: &Dir) -> Self {
        let end = |name: &str| dir.path().join(name).display().to_string();
        let (ours, theirs) = (end("ttyM"), end("ttyS"));
        let child = Command::new("socat")
            .arg(format!("pty,raw,echo=0,link={ours}"))
            .arg(format!("pty,raw,echo=0,link={theirs}"))
            .spawn()
            .expect("socat; tests/run installs it");
        eventually("the wire lies", 10, || std::path::Path::new(&ours).exists() && std::path::Path::new(&theirs).exists());
        Self { child, ours, theirs }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serial_slave(line: &str) -> Slave {
    let mut child = Command::new(python())
        .arg(root().join("tests/python/modbus_serial_slave.py"))
        .arg(line)
        .stdout(Stdio::piped())
        .spawn()
        .expect("python");
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).expect("it says that it is ready");
    Slave { child, port: line.to_owned() }
}

#[test]
fn a_slave_on_a_serial_line_is_probed_then_polled_and_one_that_is_not_there_costs_it_nothing() {
    let dir = Dir::new("serial");
    let wire = Wire::lay(&dir);
    let slave = serial_slave(&wire.theirs);
    let profile = dir.path().join("trovato.toml");
    let probed = pescaia()
        .args([
            "probe",
            "modbus",
            &wire.ours,
            "--unit",
            "3",
            "--baud",
            "19200",
            "--from",
            "100",
            "--to",
            "125",
            "--samples",
            "2",
            "--every",
            "0.1",
            "--write",
        ])
        .arg(&profile)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&probed.stdout);
    assert!(said.contains("← looks like a float32 CDAB: 2.608, 2.608"), "{said}{}", String::from_utf8_lossy(&probed.stderr));
    assert!(said.contains("refused, exception 2"), "{said}");
    // What the probe wrote is polled, beside a unit that is not there.
    let text = std::fs::read_to_string(&profile).unwrap().replace("channel = \"holding_106\"", "channel = \"level\"");
    std::fs::write(&profile, text.replacen("unit = \"1\"", "unit = \"m\"", 200)).unwrap();
    let device = |id: &str, unit: u8| {
        format!(
            "[[datastream]]\nid = \"{id}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 1\nvisibility = \"public\"\n\
             [[device]]\nid = \"{id}\"\nowner = \"o\"\nmodbus = {{ serial = \"{}\", baud = 19200, unit = {unit}, poll_s = 1, timeout_s = 0.3, profile = \"trovato.toml\" }}\n\
             feeds = [{{ channel = \"level\", datastream = \"{id}\" }}]\n",
            wire.ours
        )
    };
    let station = "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n";
    let world = World::run(&dir, &format!("{station}{}{}", device("alive", 3), device("dead", 9)));
    eventually("values arrive over the line", 20, || world.observations("alive", "period=PT1H").len() >= 5);
    assert!(world.observations("alive", "period=PT1H").iter().all(|(_, level)| *level == 2.608));
    let gaps = |datastream: &str| world.get(&format!("/api/v1/datastreams/{datastream}/gaps?period=PT1H"))["items"].clone();
    // pymodbus says no for units that it does not have.
    assert_eq!(gaps("dead")[0]["reason"], "exception-4");
    assert!(world.observations("dead", "period=PT1H").is_empty());
    assert_eq!(gaps("alive"), serde_json::json!([]), "the other beside it costs it nothing");
    drop(slave);
    eventually("its silence is a gap", 10, || gaps("alive")[0]["reason"] == "timeout");
}
