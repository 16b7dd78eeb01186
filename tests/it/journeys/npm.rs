//! Peers from npm: the client `mqtt` through a link that is cut, and a slave of `modbus-serial` that is slow.

use crate::support::link::Link;
use crate::support::sim::{Polled, network, profile};
use crate::support::{Dir, World, eventually, now_s, one_gauge, root};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

/// A script of `tests/npm` at work.
struct Script(Child);

impl Script {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.arg(name).args(arguments).current_dir(root().join("tests/npm")).stdout(Stdio::piped());
        Self(command.spawn().expect("node; tests/run installs it and what it needs"))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn npm_mqtt_is_cut_off_in_both_versions_and_every_reading_arrives_once() {
    const COUNT: usize = 600;
    for version in ["4", "5"] {
        let dir = Dir::new(&format!("npm-mqtt-{version}"));
        let world = World::run(&dir, &one_gauge());
        let link = Link::to(&world.mqtt);
        let start = now_s() - 5000;
        let (port, start, count) = (link.port.to_string(), start.to_string(), COUNT.to_string());
        let mut script = Script::start("publish.mjs", &[&port, &start, &count, version]);
        let seen = || world.observations("prova-level", "period=PT2H");
        for cut in [1, COUNT / 4, COUNT / 2] {
            eventually("some have arrived", 30, || seen().len() >= cut);
            link.drop_all();
        }
        let mut said = String::new();
        script.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(script.0.wait().unwrap().success(), "{said}");
        let [acknowledged, connected, failed] = said.split_whitespace().map(|word| word.parse::<usize>().unwrap()).collect::<Vec<_>>()[..]
        else {
            panic!("{said}")
        };
        eprintln!("version {version}: connected {connected} times, {failed} publishes were given back by the client");
        assert_eq!(acknowledged, COUNT, "version {version}");
        assert!(connected >= 2, "version {version} connected {connected} times");
        let levels: Vec<f64> = seen().into_iter().map(|(_, level)| level).collect();
        assert_eq!(levels, (0..COUNT).map(|number| number as f64 / 1000.0).collect::<Vec<_>>(), "version {version}: each once, in order");
    }
}

#[test]
fn a_slow_modbus_serial_slave_is_a_timeout_now_and_then_and_never_another_number() {
    let dir = Dir::new("npm-modbus");
    dir.write(
        "slow.toml",
        &profile("slow", &[("level", "holding", 106, "float32", "CDAB", 1.0), ("absent", "holding", 500, "float32", "CDAB", 1.0)]),
    );
    let mut slave = Script::start("slow_slave.mjs", &["0", "700"]);
    let mut port = String::new();
    BufReader::new(slave.0.stdout.take().unwrap()).read_line(&mut port).expect("it says its port");
    let wire = format!("tcp = \"127.0.0.1:{}\"", port.trim());
    let channels = ["level", "absent"];
    let world =
        World::run(&dir, &network(&[Polled { id: "slow", wire: &wire, unit: 7, profile: "slow.toml", channels: &channels }], 1, 0.4));
    let gap = |datastream: &str, wanted: &str| world.gaps(datastream).iter().filter(|(reason, _)| reason == wanted).count();
    eventually("it is slow now and then", 60, || gap("slow-level", "timeout") >= 2 && gap("slow-absent", "exception-2") >= 1);
    let seen = || world.observations("slow-level", "period=PT1H");
    let before = seen().len();
    eventually("and answers again", 30, || seen().len() >= before + 2);
    assert!(seen().iter().all(|(_, level)| *level == 2.608), "{:?}", seen());
    assert!(world.observations("slow-absent", "period=PT1H").is_empty());
    drop(slave);
    eventually("its absence is a gap", 30, || gap("slow-level", "unreachable") >= 1);
}
