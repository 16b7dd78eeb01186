//! Writing: what each principal can change, judged by what is there afterwards.

use super::{OWNERS, Object, Viewer, ask, bearer, network, reading, viewers};
use crate::support::mqtt::packet;
use crate::support::{Dir, World, now_s};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TARGETS: [Object; 4] = [
    Object { owner: "alfa", visibility: "pub" },
    Object { owner: "alfa", visibility: "pri" },
    Object { owner: "beta", visibility: "pub" },
    Object { owner: "beta", visibility: "sha" },
];

/// Attempts, each with a value that no other has, and those that the model lets through.
struct Attempts {
    count: u32,
    start: i64,
    expected: BTreeMap<String, Vec<f64>>,
}

impl Attempts {
    /// The time and value of the next attempt on `target`.
    fn next(&mut self, target: Object, is_allowed: bool) -> (i64, f64) {
        self.count += 1;
        let value = f64::from(self.count);
        let of_target = self.expected.entry(target.datastream()).or_default();
        if is_allowed {
            of_target.push(value);
        }
        (self.start + i64::from(self.count), value)
    }
}

fn over_http(world: &World, viewer: &Viewer, target: Object, attempts: &mut Attempts) {
    // The model: an owner's ingest token writes what is of that owner, and nothing else writes.
    let may = viewer.scope == "ingest" && viewer.is(target.owner);
    let json = format!("{}content-type: application/json\r\n", bearer(viewer));
    let (at, value) = attempts.next(target, may);
    ask(world, "POST /api/v1/observations", &json, reading(&target.name(), "level", at, value).as_bytes());
    let (at, value) = attempts.next(target, may);
    let line = format!("{} level={value} {at}\n", target.name());
    ask(world, "POST /api/v2/write?precision=s", &bearer(viewer), line.as_bytes());
    for edge in ["cabina", target.name().as_str()] {
        let (at, value) = attempts.next(target, may);
        ask(world, &format!("POST /api/v1/edges/{edge}"), &bearer(viewer), &parcel(&target.datastream(), attempts.count, at, value));
    }
}

/// A batch as an edge sends it.
fn parcel(key: &str, sequence: u32, at: i64, value: f64) -> Vec<u8> {
    let at = model::Timestamp::from_seconds(at);
    let quality = model::Quality::NOT_EVALUATED;
    let observation =
        model::Observation { datastream: model::DatastreamId(0), phenomenon_time: at, received_at: at, result: value, quality };
    let mut bytes = format!("pescaia-edge-1 {{\"e\":7,\"s\":[[{sequence},{sequence}]],\"k\":[\"{key}\"]}}\n").into_bytes();
    bytes.extend(store::pack(&[observation]));
    bytes
}

/// A device publishes on its own topics, a gateway on those of its owner's devices. The topic names the device, whatever a message says.
fn over_mqtt(world: &World, user: &str, target: Object, attempts: &mut Attempts) {
    let may = user == target.name() || user.strip_suffix("-gw") == Some(target.owner);
    let own = user.split('-').next().unwrap();
    let other = if target.owner == "alfa" { "beta" } else { "alfa" };
    let (at, value) = attempts.next(target, may);
    let plain = (format!("pescaia/v1/{}/{}", target.owner, target.name()), format!(r#"{{"time": {at}, "values": {{"level": {value}}}}}"#));
    // A bare number is of the time at which it comes.
    let (_, value) = attempts.next(target, may);
    let of_channel = (format!("pescaia/v1/{}/{}/level", target.owner, target.name()), value.to_string());
    let (at, value) = attempts.next(target, user == target.name());
    let named_within = (format!("pescaia/v1/{own}/{user}"), reading(&target.name(), "level", at, value));
    let (at, value) = attempts.next(target, false);
    let other_owner = (format!("pescaia/v1/{other}/{}", target.name()), reading(&target.name(), "level", at, value));
    let mut stream = TcpStream::connect(&world.mqtt).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(&connect_5(user)).unwrap();
    assert_eq!(packet_of(&mut stream).0, 0x20);
    for (topic, payload) in [plain, of_channel, named_within, other_owner] {
        stream.write_all(&publish_5(&topic, &payload)).unwrap();
        // Acknowledged, or refused with a reason.
        assert_eq!(packet_of(&mut stream).0, 0x40, "{user} on {topic}");
    }
}

/// MQTT 5 says no to one message, where 3.1.1 sends its client away for a while.
fn connect_5(user: &str) -> Vec<u8> {
    let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let body = [text("MQTT"), vec![5, 0xC2, 0, 60, 0], text(user), text(user), text("prova")].concat();
    packet(0x10, &body)
}

fn publish_5(topic: &str, payload: &str) -> Vec<u8> {
    let topic = [&u16::try_from(topic.len()).unwrap().to_be_bytes()[..], topic.as_bytes()].concat();
    packet(0x32, &[topic, vec![0, 1, 0], payload.as_bytes().to_vec()].concat())
}

/// First byte and body of the next packet, which is short.
fn packet_of(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a packet");
    let mut body = vec![0; head[1].into()];
    stream.read_exact(&mut body).expect("its body");
    (head[0], body)
}

#[test]
fn nobody_writes_but_what_the_model_says() {
    let dir = Dir::new("rights-writing");
    let world = World::run(&dir, &network());
    let all = viewers(&dir);
    let mut attempts = Attempts { count: 0, start: now_s() - 100_000, expected: BTreeMap::new() };
    for target in TARGETS {
        all.iter().for_each(|viewer| over_http(&world, viewer, target, &mut attempts));
        for user in ["alfa-pub", "alfa-pri", "beta-pub", "alfa-gw", "beta-gw", "gamma-gw"] {
            over_mqtt(&world, user, target, &mut attempts);
        }
    }
    let mut wrong = Vec::new();
    for target in TARGETS {
        let reader = all.iter().find(|one| one.is(target.owner) && one.scope == "read").unwrap();
        let page = ask(&world, &format!("GET /api/v1/datastreams/{}/observations?period=P7D", target.datastream()), &bearer(reader), b"").2;
        let page: Value = serde_json::from_str(&page).unwrap();
        let mut found: Vec<f64> = page["items"].as_array().unwrap().iter().map(|one| one["result"].as_f64().unwrap()).collect();
        found.sort_by(f64::total_cmp);
        let expected = &attempts.expected[&target.datastream()];
        let differ = |one: &&f64| found.contains(one) != expected.contains(one);
        let numbers: Vec<&f64> = found.iter().chain(expected).filter(differ).collect();
        if !numbers.is_empty() {
            wrong.push(format!("{}: attempts {numbers:?}", target.datastream()));
        }
    }
    eprintln!("{} attempts to write, {} datastreams in disagreement", attempts.count, wrong.len());
    assert!(wrong.is_empty(), "what is there is not what the model lets through:\n{}", wrong.join("\n"));
}

/// An unknown channel of every owner that waits, by owner: the numbers of what was refused.
fn refused(world: &World, all: &[Viewer]) -> BTreeMap<&'static str, u64> {
    let number = |owner: &&'static str| {
        let push = all.iter().find(|one| one.is(owner) && one.scope == "ingest").unwrap();
        let json = format!("{}content-type: application/json\r\n", bearer(push));
        ask(world, "POST /api/v1/observations", &json, reading(&format!("{owner}-gw"), "later", now_s() - 50, 2.5).as_bytes());
        let auditor = all.iter().find(|one| one.is(owner) && one.scope == "audit").unwrap();
        let list: Value = serde_json::from_str(&ask(world, "GET /api/v1/quarantine", &bearer(auditor), b"").2).unwrap();
        (*owner, list["items"][0]["number"].as_u64().expect("it waits"))
    };
    OWNERS.iter().map(number).collect()
}

#[test]
fn nobody_replays_what_is_of_another_owner() {
    let dir = Dir::new("rights-replay");
    let world = World::run(&dir, &network());
    let all = viewers(&dir);
    let numbers = refused(&world, &all);
    let mut wrong = Vec::new();
    for viewer in &all {
        for (owner, number) in &numbers {
            let json = format!("{}content-type: application/json\r\n", bearer(viewer));
            let order = format!(r#"{{"numbers": [{number}], "dry_run": true}}"#);
            let (status, _, body) = ask(&world, "POST /api/v1/quarantine/replay", &json, order.as_bytes());
            let entries = serde_json::from_str::<Value>(&body).ok().and_then(|body| body["entries"].as_u64());
            let expected = match viewer {
                viewer if viewer.owner.is_none() => (401, None),
                viewer if viewer.scope != "manage" => (403, None),
                viewer => (200, Some(u64::from(viewer.is(owner)))),
            };
            if (status, entries) != expected {
                wrong
                    .push(format!("{:?} {} on {owner}: {status} {entries:?}, and the model says {expected:?}", viewer.owner, viewer.scope));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Onto a station of one's own, out of what waits of one's own: else nothing changes.
#[test]
fn nobody_adopts_onto_what_is_of_another_owner() {
    let dir = Dir::new("rights-adopt");
    let world = World::run(&dir, &network());
    let all = viewers(&dir);
    refused(&world, &all);
    let mut wrong = Vec::new();
    let mut attempts = 0;
    // What is allowed comes last: what is adopted waits no more.
    for viewer in &all {
        for owner in ["beta", "alfa"] {
            for station in ["beta-pub", "beta-sha", "alfa-pri", "alfa-pub"] {
                attempts += 1;
                let json = format!("{}content-type: application/json\r\n", bearer(viewer));
                let order = format!(
                    r#"{{"device": "{owner}-gw", "channel": "later", "station": "{station}", "datastream": "adopted-{attempts}", "property": "water_level", "public": true}}"#
                );
                let (status, ..) = ask(&world, "POST /api/v1/proposals/adopt", &json, order.as_bytes());
                let may = viewer.scope == "manage" && viewer.is(owner) && station.starts_with(owner);
                let is_there = world.get_as(&format!("/api/v1/datastreams/adopted-{attempts}"), None).0 == 200;
                // The second of one's own finds nothing that waits.
                if (status == 200 || is_there) && !may {
                    wrong.push(format!("{:?} {} made {owner}'s channel a datastream of {station}: {status}", viewer.owner, viewer.scope));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {attempts}:\n{}", wrong.len(), wrong.join("\n"));
}
