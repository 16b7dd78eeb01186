//! What stands behind gateways and agents: LoRaWAN through ChirpStack at a broker, Sparkplug with births and deaths, Telegraf over HTTP.

use crate::support::mosquitto::Mosquitto;
use crate::support::{Dir, World, configure, eventually, now_s, pescaia, said, token};
use std::process::{Command, Stdio};

const STATION: &str = r#"
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
fn listening(dir: &Dir, mosquitto: &Mosquitto, network: &str, topics: &str, format: &str) -> World {
    let config = configure(dir, network);
    let broker = format!(
        "[[broker]]\nname = \"field\"\naddress = \"127.0.0.1:{}\"\nowner = \"acque\"\ntopics = [\"{topics}\"]\nformat = \"{format}\"\n",
        mosquitto.port
    );
    let text = std::fs::read_to_string(&config).unwrap() + &broker;
    std::fs::write(&config, text).unwrap();
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    eventually("it listens to the broker", 40, || {
        world.get_as("/metrics", None).1.contains("pescaia_broker_connected{broker=\"field\"} 1")
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

/// One field of protobuf: a number, or bytes.
fn field(number: u8, varint: Option<u64>, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match varint {
        Some(mut value) => {
            out.push(number << 3);
            while value >= 0x80 {
                out.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
                value >>= 7;
            }
            out.push(u8::try_from(value).unwrap());
        }
        None => {
            out.push(number << 3 | 2);
            out.push(u8::try_from(bytes.len()).unwrap());
            out.extend(bytes);
        }
    }
    out
}

/// A metric: name or alias, and a double.
fn metric(name: Option<&str>, alias: u64, value: f64) -> Vec<u8> {
    let mut metric = name.map_or_else(Vec::new, |name| field(1, None, name.as_bytes()));
    metric.extend(field(2, Some(alias), &[]));
    metric.extend(field(4, Some(10), &[]));
    metric.push(13 << 3 | 1);
    metric.extend(value.to_le_bytes());
    metric
}

fn payload(seq: Option<u64>, metrics: &[Vec<u8>]) -> Vec<u8> {
    let now_ms = u64::try_from(now_s()).unwrap() * 1000;
    let mut out = field(1, Some(now_ms), &[]);
    metrics.iter().for_each(|metric| out.extend(field(2, None, metric)));
    out.extend(seq.map_or_else(Vec::new, |seq| field(3, Some(seq), &[])));
    out
}

fn send(mosquitto: &Mosquitto, dir: &Dir, topic: &str, bytes: &[u8]) {
    let file = dir.path().join("payload");
    std::fs::write(&file, bytes).unwrap();
    let done = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &mosquitto.port.to_string(), "-t", topic, "-f"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(done.success());
}

#[test]
fn a_sparkplug_node_is_understood_by_its_births_asked_after_a_gap_and_old_when_it_dies() {
    let dir = Dir::new("sparkplug");
    let mosquitto = Mosquitto::start(&dir);
    let world = listening(&dir, &mosquitto, &format!("{STATION}{NODE}"), "spBv1.0/#", "sparkplug");
    let mut commands = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &mosquitto.port.to_string(), "-t", "spBv1.0/+/NCMD/#", "-F", "%t", "-C", "1", "-W", "20"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let levels = || world.observations("empoli-level", "period=PT1H").into_iter().map(|(_, level)| level).collect::<Vec<_>>();
    let state = || world.get("/api/v1/latest")["items"][0].clone();
    // The death's number, as the birth repeats it.
    let life = [field(1, None, b"bdSeq"), field(4, Some(8), &[]), field(11, Some(3), &[])].concat();
    send(&mosquitto, &dir, "spBv1.0/piana/NBIRTH/cabina", &payload(Some(0), std::slice::from_ref(&life)));
    send(&mosquitto, &dir, "spBv1.0/piana/DBIRTH/cabina/radar", &payload(Some(1), &[metric(Some("level"), 7, 1.42)]));
    eventually("the birth is there", 10, || levels() == [1.42]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    send(&mosquitto, &dir, "spBv1.0/piana/DDATA/cabina/radar", &payload(Some(2), &[metric(None, 7, 1.5)]));
    eventually("the number is understood", 10, || levels() == [1.42, 1.5]);
    assert_eq!(state()["stale"], false);
    send(&mosquitto, &dir, "spBv1.0/piana/DDATA/cabina/radar", &payload(Some(9), &[metric(None, 7, 9.9)]));
    let asked = commands.wait_with_output();
    let asked = asked.unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "spBv1.0/piana/NCMD/cabina", "a gap asks for a birth");
    eventually("what can't be trusted waits", 10, || said(&dir, &["quarantine", "list"]).contains("unknown-alias"));
    assert_eq!(levels(), [1.42, 1.5]);
    send(&mosquitto, &dir, "spBv1.0/piana/NDEATH/cabina", &payload(None, &[life]));
    eventually("a dead node's level is old at once", 10, || state()["stale"] == true);
    commands = Command::new("true").spawn().unwrap();
    let _ = commands.wait();
}
