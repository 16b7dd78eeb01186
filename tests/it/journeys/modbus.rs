//! pymodbus as the slave in the field.

use crate::support::{Dir, World, eventually, python, root};
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
