//! Reading: what exists for whom. Doors are those of the contract, so that a new one can't be forgotten.

use super::{Object, Viewer, ask, bearer, fill, network, objects, reading, viewers};
use crate::support::mqtt::{connect, packet};
use crate::support::{Dir, World, eventually, now_s, said};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The model: whom an object exists for.
fn sees(viewer: &Viewer, one: Object) -> bool {
    one.visibility == "pub" || viewer.scope == "read" && (viewer.is(one.owner) || one.visibility == "sha" && viewer.is("gamma"))
}

/// What an address shows of an object.
enum Shown {
    /// A list: the object's name is in it when it may be seen.
    Listed(fn(&Viewer, Object) -> bool),
    /// An address of its own: 200 with its name when it may be seen, else as what is not there.
    Own,
    /// A status, whatever the object.
    Status(fn(&Viewer, Object) -> u16),
    /// Only what is public, whoever asks.
    Public,
    /// Nothing of anybody.
    Nothing,
}

fn is_own_with(viewer: &Viewer, one: Object, scopes: &[&str]) -> bool {
    viewer.is(one.owner) && viewer.has(scopes)
}

/// What every reading address of the contract shows.
fn shown(path: &str) -> Shown {
    match path {
        "/api/v1/stations" | "/api/v1/datastreams" | "/api/v1/latest" => Shown::Listed(sees),
        "/api/v1/stations/{id}" | "/api/v1/datastreams/{id}" => Shown::Own,
        "/api/v1/datastreams/{id}/observations" | "/api/v1/datastreams/{id}/discharge" | "/api/v1/datastreams/{id}/gaps" => {
            Shown::Status(|viewer, one| if sees(viewer, one) { 200 } else { 404 })
        }
        // A level is no counter; but only who sees it may learn that.
        "/api/v1/datastreams/{id}/increments" => Shown::Status(|viewer, one| if sees(viewer, one) { 400 } else { 404 }),
        "/api/v1/datastreams/{id}/revisions" => Shown::Status(|viewer, one| match viewer {
            viewer if viewer.owner.is_none() => 401,
            viewer if !viewer.has(&["audit", "manage"]) => 403,
            viewer if !sees(viewer, one) => 404,
            viewer if viewer.is(one.owner) => 200,
            _ => 403,
        }),
        "/api/v1/quarantine" | "/api/v1/quarantine/summary" => Shown::Listed(|viewer, one| is_own_with(viewer, one, &["audit", "manage"])),
        "/api/v1/ledger" => Shown::Listed(|viewer, one| is_own_with(viewer, one, &["read", "audit", "manage"])),
        "/api/v1/proposals" => Shown::Listed(|viewer, one| is_own_with(viewer, one, &["manage"])),
        "/metrics" => {
            Shown::Listed(|viewer, one| one.owner != "delta" || viewer.scope == "read" && (viewer.is("delta") || viewer.is("gamma")))
        }
        "/api/v1/datasets" | "/api/v1/datasets/{id}" | "/api/v1/datasets/{id}/files/{name}" => Shown::Public,
        "/healthz" | "/readyz" | "/status" | "/openapi.json" => Shown::Nothing,
        "/api/v1/live" | "/api/v1/quarantine/{number}" => Shown::Nothing, // Tried below, each in its own way.
        other => panic!("{other} is a new address to read: say here who sees what there"),
    }
}

/// What names an object in a list: lists of what an owner has to mend name its devices.
fn mark(path: &str, one: Object) -> String {
    match path {
        "/api/v1/quarantine" | "/api/v1/quarantine/summary" | "/api/v1/proposals" => format!("{}-gw", one.owner),
        "/metrics" => format!("owner=\"{}\"", one.owner),
        _ => one.name(),
    }
}

/// Disagreements between doors and model, and how many questions were asked.
#[derive(Default)]
struct Found {
    asked: usize,
    wrong: Vec<String>,
}

impl Found {
    fn and(mut self, other: Self) -> Self {
        self.asked += other.asked;
        self.wrong.extend(other.wrong);
        self
    }
    fn check(&mut self, what: &str, found: impl PartialEq + std::fmt::Debug, expected: impl PartialEq + std::fmt::Debug) {
        self.asked += 1;
        let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
        if found != expected {
            self.wrong.push(format!("{what}: {found}, and the model says {expected}"));
        }
    }
}

/// Forms in which an address may answer.
fn forms(path: &str) -> &'static [&'static str] {
    match path {
        "/api/v1/stations" | "/api/v1/latest" => &["", "?f=geojson"],
        "/api/v1/datastreams/{id}/observations" => &[
            "?period=P7D",
            "?period=P7D&f=csv",
            "?period=P7D&f=csv&csv=it",
            "?period=P7D&f=geojson",
            "?period=P7D&agg=P1D",
            "?period=P7D&agg=PT1H&f=csv",
            "?period=P7D&thin=9",
            "?period=P7D&limit=1&f=csv",
        ],
        "/api/v1/datastreams/{id}/discharge" => &["?period=P7D", "?period=P7D&f=csv"],
        _ => &[""],
    }
}

fn at_the_address(world: &World, viewer: &Viewer, path: &str, found: &mut Found) {
    let who = format!("{:?} {}", viewer.owner, viewer.scope);
    for form in forms(path) {
        let per_object = path.contains("{id}") && !path.contains("datasets");
        let of_all = if per_object {
            String::new()
        } else {
            ask(
                world,
                &format!("GET {}{form}", path.replace("{id}", "livelli-giornalieri").replace("{name}", "livelli-giornalieri.csv")),
                &bearer(viewer),
                b"",
            )
            .2
        };
        for one in objects() {
            let what = format!("{who} at {path}{form} of {}", one.name());
            let id = if path.contains("stations") { one.name() } else { one.datastream() };
            let (status, _, body) = match per_object {
                true => ask(world, &format!("GET {}{form}", path.replace("{id}", &id)), &bearer(viewer), b""),
                false => (200, String::new(), of_all.clone()),
            };
            // Whatever the address: what may not be seen is not in it, neither its value nor its name, but for the name that was asked for.
            let (value, is_in) = (one.value().to_string(), body.contains(&one.value().to_string()));
            let own_ledger = path.contains("quarantine") || path.contains("proposals");
            found.check(&format!("{what}: its value {value}"), is_in && !own_ledger && !sees(viewer, one), false);
            match shown(path) {
                Shown::Listed(may) => found.check(&what, body.contains(&mark(path, one)), may(viewer, one)),
                Shown::Own => found.check(&what, status, if sees(viewer, one) { 200 } else { 404 }),
                Shown::Status(expected) => found.check(&what, status, expected(viewer, one)),
                Shown::Public => found.check(&what, body.contains(&one.name()) && one.visibility != "pub", false),
                Shown::Nothing => found.check(&what, body.contains(&one.name()), false),
            }
            if per_object && status == 404 {
                let nowhere = ask(world, &format!("GET {}{form}", path.replace("{id}", "nowhere")), &bearer(viewer), b"");
                found.check(&format!("{what}: as what is not there"), body.replace(&id, "nowhere"), nowhere.2);
            }
        }
    }
}

/// Pages are the public's, whatever a browser sends along.
fn on_pages(world: &World, viewer: &Viewer, found: &mut Found) {
    for page in ["/", "/livelli", "/dati", "/dati/livelli-giornalieri", "/?lang=en", "/livelli?as_of=2026-01-01T00:00:00Z"] {
        let body = ask(world, &format!("GET {page}"), &bearer(viewer), b"").2;
        for one in objects() {
            let shows = body.contains(&one.name()) || body.contains(&one.value().to_string().replace('.', ","));
            found.check(&format!("{page} of {}", one.name()), shows && one.visibility != "pub", false);
        }
    }
    for one in objects() {
        let status = ask(world, &format!("GET /stazioni/{}", one.name()), &bearer(viewer), b"").0;
        found.check(&format!("the page of {}", one.name()), status, if one.visibility == "pub" { 200 } else { 404 });
    }
    let status: Value = serde_json::from_str(&ask(world, "GET /status", &bearer(viewer), b"").2).unwrap();
    let visible = objects().into_iter().filter(|one| sees(viewer, *one)).count();
    found.check("/status", status["datastreams"].as_u64(), Some(visible as u64));
}

/// The status of an answer that may never end.
fn begins(world: &World, path: &str, viewer: &Viewer) -> u16 {
    let mut stream = TcpStream::connect(&world.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n{}\r\n", bearer(viewer)).unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    std::str::from_utf8(&head[9..]).unwrap().parse().unwrap()
}

/// What the live feed says in its first moments, and whether it takes a station by name.
fn on_the_feed(world: &World, viewer: &Viewer, found: &mut Found) {
    let mut stream = TcpStream::connect(&world.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    write!(stream, "GET /api/v1/live HTTP/1.1\r\nhost: x\r\n{}\r\n", bearer(viewer)).unwrap();
    let (mut text, mut bytes) = (String::new(), [0; 8192]);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until
        && let Ok(count @ 1..) = stream.read(&mut bytes)
    {
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    for one in objects() {
        found.check(&format!("{viewer:?} hears {}", one.name()), text.contains(&one.datastream()), sees(viewer, one));
        if !sees(viewer, one) {
            let status = begins(world, &format!("/api/v1/live?stations={}", one.name()), viewer);
            found.check(&format!("{viewer:?} asks to hear {}", one.name()), status, 404);
        }
    }
}

/// An owner's device hears what a token of scope read of that owner sees; that it may listen says nothing of what there is.
fn over_mqtt(world: &World, all: &[Viewer], found: &mut Found) {
    let readers: Vec<&Viewer> = all.iter().filter(|one| one.scope == "read").collect();
    let mut streams: Vec<(&Viewer, TcpStream)> = Vec::new();
    for viewer in readers {
        let user = format!("{}-gw", viewer.owner.unwrap());
        let mut stream = TcpStream::connect(&world.mqtt).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(&connect(&user, &user)).unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        for one in objects() {
            let topic = format!("pescaia/v1/{}/{}/level", one.owner, one.name());
            let mut body = vec![0, 1];
            body.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
            body.extend(topic.as_bytes());
            body.push(0);
            stream.write_all(&packet(0x82, &body)).unwrap();
            let mut suback = [0; 5];
            stream.read_exact(&mut suback).unwrap();
            // Its own topics are granted before they exist.
            let granted = sees(viewer, one) || viewer.is(one.owner);
            found.check(&format!("{:?} subscribes to {topic}", viewer.owner), suback[4] != 0x80, granted);
        }
        streams.push((viewer, stream));
    }
    for one in objects() {
        let push = all.iter().find(|viewer| viewer.is(one.owner) && viewer.scope == "ingest").unwrap().token.clone().unwrap();
        let body = reading(&one.name(), "level", now_s() - 1, one.value());
        assert_eq!(world.post("/api/v1/observations", &push, "application/json", &body).0, 200);
    }
    for (viewer, mut stream) in streams {
        let (mut heard, mut bytes) = (String::new(), [0; 8192]);
        stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        for one in objects() {
            found.check(
                &format!("{:?} hears {} over MQTT", viewer.owner, one.name()),
                heard.contains(&one.datastream()),
                sees(viewer, one),
            );
        }
    }
}

/// Of every owner's refused messages, by number: only its own auditors and managers.
fn in_the_quarantine(world: &World, all: &[Viewer], found: &mut Found) {
    for owner in super::OWNERS {
        let auditor = all.iter().find(|one| one.is(owner) && one.scope == "audit").unwrap();
        let list: Value = serde_json::from_str(&ask(world, "GET /api/v1/quarantine", &bearer(auditor), b"").2).unwrap();
        let number = list["items"][0]["number"].as_u64().expect("something of its own waits");
        for viewer in all {
            let expected = match viewer {
                viewer if viewer.owner.is_none() => 401,
                viewer if !viewer.has(&["audit", "manage"]) => 403,
                viewer if viewer.is(owner) => 200,
                _ => 404,
            };
            let status = ask(world, &format!("GET /api/v1/quarantine/{number}"), &bearer(viewer), b"").0;
            found.check(&format!("{viewer:?} reads a refused message of {owner}"), status, expected);
        }
    }
}

#[test]
fn every_viewer_sees_at_every_door_what_the_model_says_and_nothing_else() {
    let dir = Dir::new("rights-reading");
    let world = World::run(&dir, &network());
    let all = viewers(&dir);
    fill(&world, &all);
    eventually("the dataset has the public's rows", 20, || world.get("/api/v1/datasets/livelli-giornalieri")["rows"] != 0);
    let contract: Value = world.get("/openapi.json");
    let paths = contract["paths"].as_object().unwrap();
    let read = paths.iter().filter(|(_, operations)| operations.get("get").is_some()).map(|(path, _)| path.as_str());
    let doors: Vec<&str> = read.chain(["/openapi.json"]).collect();
    // Each viewer asks by itself: most of the time goes in waiting for feeds to fall silent.
    let of_viewer = &|viewer: &Viewer| {
        let mut found = Found::default();
        for door in doors.iter().filter(|door| !["/api/v1/live", "/api/v1/quarantine/{number}"].contains(door)) {
            at_the_address(&world, viewer, door, &mut found);
        }
        on_pages(&world, viewer, &mut found);
        on_the_feed(&world, viewer, &mut found);
        found
    };
    let mut found = std::thread::scope(|scope| {
        let asking: Vec<_> = all.iter().map(|viewer| scope.spawn(move || of_viewer(viewer))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).fold(Found::default(), Found::and)
    });
    in_the_quarantine(&world, &all, &mut found);
    over_mqtt(&world, &all, &mut found);
    eprintln!(
        "{} viewers, {} objects, {} doors: {} questions, {} disagreements",
        all.len(),
        objects().len(),
        doors.len() + 10,
        found.asked,
        found.wrong.len()
    );
    assert!(found.wrong.is_empty(), "{} of {}:\n{}", found.wrong.len(), found.asked, found.wrong[..found.wrong.len().min(20)].join("\n"));
    drop(world);
    assert!(said(&dir, &["token", "list"]).contains("holds"));
}
