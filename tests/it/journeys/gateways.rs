//! What stands behind gateways and agents: LoRaWAN through ChirpStack at a broker, Sparkplug with births and deaths, Telegraf over HTTP.

use crate::support::mosquitto::Mosquitto;
use crate::support::sim::{Field, WallClock};
use crate::support::{Dir, World, configure, eventually, now_s, pescaia, said, token};
use firmware_sim::life::Life;
use firmware_sim::sparkplug::{EdgeNode, Said};
use model::Clock;
use std::process::Command;
use std::sync::{Arc, Mutex};

pub(super) const STATION: &str = r#"
[[owner]]
id = "acque"
name = "Acque"
[[station]]
id = "empoli"
owner = "acque"
name = "Empoli"
where = [43.72, 10.95]
"#;

/// A pescaia that listens to the broker for these topics in this format.
pub(super) fn listening(dir: &Dir, mosquitto: &Mosquitto, network: &str, topics: &str, format: &str) -> World {
    let config = configure(dir, network);
    let broker = format!(
        "[[broker]]\nname = \"field\"\naddress = \"127.0.0.1:{}\"\nowner = \"acque\"\ntopics = [\"{topics}\"]\nformat = \"{format}\"\n",
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

#[test]
fn a_lorawan_gauge_is_seen_first_and_adopted_by_one_command() {
    let dir = Dir::new("lorawan");
    let mosquitto = Mosquitto::start(&dir);
    let world = listening(&dir, &mosquitto, STATION, "application/#", "chirpstack");
    let start = now_s() - 3600;
    let uplink = |number: i64| {
        let time = jiff::Timestamp::from_second(start + number * 600).unwrap();
        format!(
            r#"{{"deviceInfo": {{"devEui": "A84041FFFF1F8020"}}, "time": "{time}", "fCnt": {number}, "fPort": 2, "data": "DM4E0g==", "object": {{"livello_cm": {}, "batteria": 3.6, "stato": "OK"}}}}"#,
            120 + number
        )
    };
    mosquitto.publish("application/7/device/a84041ffff1f8020/event/up", (0..5).map(uplink));
    eventually("it is proposed", 10, || said(&dir, &["proposals", "list"]).contains("livello_cm  5 readings"));
    let list = said(&dir, &["proposals", "list"]);
    assert!(
        list.contains("acque  a84041ffff1f8020 (new)  livello_cm") && list.contains("looks like water_level (instant) in cm, every 600 s"),
        "{list}"
    );
    let adopt = ["proposals", "adopt", "a84041ffff1f8020", "livello_cm", "--owner", "acque", "--station", "empoli", "--public"];
    let adopted = said(&dir, &adopt);
    assert!(adopted.contains("empoli-livello-cm: 5 readings that waited are taken, 0 still wait"), "{adopted}");
    let levels: Vec<f64> = world.observations("empoli-livello-cm", "period=PT2H").into_iter().map(|(_, level)| level).collect();
    assert_eq!(levels, [1.20, 1.21, 1.22, 1.23, 1.24]);
    // The same again, and one more.
    mosquitto.publish("application/7/device/a84041ffff1f8020/event/up", (3..6).map(uplink));
    eventually("the new one is there", 10, || world.observations("empoli-livello-cm", "period=PT2H").len() == 6);
    assert!(said(&dir, &["network", "adopted"]).contains("address = \"a84041ffff1f8020\""));
    let ledger = said(&dir, &["ledger"]);
    assert!(!ledger.contains("DOES NOT BALANCE") && ledger.contains("acque/a84041ffff1f8020"), "{ledger}");
}

const TELEGRAF: &str = r#"
[[datastream]]
id = "empoli-flow"
station = "empoli"
property = "flow"
period_s = 10
visibility = "public"
[[device]]
id = "contatore"
owner = "acque"
address = "modbus,name=contatore"
feeds = [{ channel = "flow", datastream = "empoli-flow", unit = "L/s" }]
"#;

/// Posts lines as Telegraf's `influxdb_v2` output does: gzipped, with `Token`. Status and answer.
fn write(world: &World, dir: &Dir, token: &str, query: &str, lines: &str) -> (String, String) {
    let plain = dir.write("lines", lines);
    let gzip = Command::new("gzip").arg("-kf").arg(&plain).status().unwrap();
    assert!(gzip.success());
    let done = Command::new("curl")
        .args([
            "-s",
            "-o",
            "-",
            "-w",
            "\n%{http_code}",
            "-X",
            "POST",
            "-H",
            "Content-Encoding: gzip",
            "-H",
            "Content-Type: text/plain; charset=utf-8",
        ])
        .args(["-H", &format!("Authorization: Token {token}"), "--data-binary", &format!("@{}.gz", plain.display())])
        .arg(world.url(&format!("/api/v2/write?org=acque&bucket=campo{query}")))
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

#[test]
fn telegraf_writes_lines_and_hears_which_of_them_were_bad() {
    let dir = Dir::new("telegraf");
    let world = World::run(&dir, &format!("{STATION}{TELEGRAF}"));
    let token = token(&dir, "acque", &["ingest"]);
    let at = now_s() - 60;
    let good = format!(
        "modbus,host=edge1,name=contatore,slave_id=1 flow=12.5,state=\"ok\" {at}000000000\nmodbus,host=edge1,name=contatore,slave_id=1 flow=12.6 {}000000000\n",
        at + 10
    );
    assert_eq!(write(&world, &dir, &token, "", &good), ("204".into(), String::new()));
    assert_eq!(world.observations("empoli-flow", "period=PT1H").iter().map(|(_, flow)| *flow).collect::<Vec<_>>(), [0.0125, 0.0126]);
    let mixed = format!(
        "modbus,name=contatore flow=12.7 {}\nno fields here\nmodbus,name=contatore flow=abc {at}\ncpu,host=edge1 usage_idle=97 {at}\n",
        at + 20
    );
    let (status, body) = write(&world, &dir, &token, "&precision=s", &mixed);
    assert_eq!(status, "400", "{body}");
    assert!(body.contains("line 2") && body.contains("line 3") && body.contains("1 points are stored"), "{body}");
    assert_eq!(world.observations("empoli-flow", "period=PT1H").len(), 3, "the good line is in");
    assert_eq!(write(&world, &dir, "wrong", "", &good).0, "401");
    assert_eq!(write(&world, &dir, &token, "&precision=h", &good).0, "400");
    let bomb = "0".repeat(64 << 20);
    assert_eq!(write(&world, &dir, &token, "", &bomb).0, "413");
    let ping = Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]).arg(world.url("/ping")).output().unwrap();
    assert_eq!(ping.stdout, b"204");
}

const NODE: &str = r#"
[[datastream]]
id = "empoli-level"
station = "empoli"
property = "water_level"
period_s = 600
visibility = "public"
[[device]]
id = "radar"
owner = "acque"
address = "piana/cabina/radar"
feeds = [{ channel = "level", datastream = "empoli-level" }]
"#;

#[test]
fn a_sparkplug_node_is_understood_by_its_births_asked_after_a_gap_and_old_when_it_dies() {
    let dir = Dir::new("sparkplug");
    let mosquitto = Mosquitto::start(&dir);
    let world = listening(&dir, &mosquitto, &format!("{STATION}{NODE}"), "spBv1.0/#", "sparkplug");
    let levels = || world.observations("empoli-level", "period=PT1H").into_iter().map(|(_, level)| level).collect::<Vec<_>>();
    let state = || world.latest("empoli-level");
    let (field, clock) = (Field::new(), Arc::new(WallClock));
    let node = Arc::new(Mutex::new(EdgeNode::new("piana", "cabina", "radar", &[("level", 1.42)])));
    let broker = (std::net::Ipv4Addr::LOCALHOST, mosquitto.port).into();
    let begin = || field.done(Life::begin(node.clone(), broker, clock.clone())).unwrap();
    let says = |life: &Life, values: &[(f64, i64, bool)]| {
        let said: Vec<Said> = values
            .iter()
            .map(|(value, ago_s, is_historical)| Said {
                alias: 1,
                value: *value,
                at: clock.now().plus_seconds(-ago_s),
                is_historical: *is_historical,
            })
            .collect();
        field.done(life.says(&said)).unwrap();
    };
    let life = begin();
    eventually("the birth is there", 10, || levels() == [1.42]);
    says(&life, &[(1.5, 0, false)]);
    eventually("the number is understood", 10, || levels() == [1.42, 1.5]);
    assert_eq!(state()["stale"], false);
    // A message is lost: the node is asked to be born again, and its births bring the current value.
    node.lock().unwrap().loses_a_message();
    says(&life, &[(1.6, 0, false)]);
    eventually("what can't be trusted waits", 10, || said(&dir, &["quarantine", "list"]).contains("unknown-alias"));
    eventually("and it was born again when asked", 10, || levels() == [1.42, 1.5, 1.6]);
    says(&life, &[(1.7, 0, false)]);
    eventually("its numbers are good again", 10, || levels() == [1.42, 1.5, 1.6, 1.7]);
    // Cut off: the broker says its will.
    drop(life);
    eventually("a dead node's level is old at once", 10, || state()["stale"] == true);
    // The next life brings what was kept in between, which takes its place in the past.
    node.lock().unwrap().restarts();
    let life = begin();
    eventually("its birth is of now", 10, || state()["stale"] == false);
    says(&life, &[(1.1, 1200, true), (1.2, 600, true)]);
    eventually("history is there", 10, || levels().starts_with(&[1.1, 1.2, 1.42]));
    assert_eq!((state()["result"].as_f64(), state()["stale"].as_bool()), (Some(1.7), Some(false)), "and is not of now");
}
