//! Who may see and change what: every viewer at every door, against a model that knows nothing of how doors are made.

mod reading;
mod writing;

use crate::support::{Dir, HASH, World, now_s, token};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Owners; `gamma` is the one that is shared with, `delta` publishes nothing.
const OWNERS: [&str; 4] = ["alfa", "beta", "gamma", "delta"];
const SCOPES: [&str; 4] = ["ingest", "read", "manage", "audit"];
/// Visibilities, as objects are named and as network files say them.
const VISIBILITIES: [(&str, &str); 3] = [("pub", "\"public\""), ("sha", "{ shared = [\"gamma\"] }"), ("pri", "\"private\"")];

/// A datastream with a station, a device and a channel of its own, all called `{owner}-{visibility}…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Object {
    owner: &'static str,
    visibility: &'static str,
}

impl Object {
    fn name(self) -> String {
        format!("{}-{}", self.owner, self.visibility)
    }
    fn datastream(self) -> String {
        format!("{}-level", self.name())
    }
    /// What nothing else in an answer is.
    fn value(self) -> f64 {
        let place = objects().iter().position(|one| *one == self).unwrap();
        7.125 + place as f64
    }
}

fn objects() -> Vec<Object> {
    let of = |owner| VISIBILITIES.iter().map(move |(visibility, _)| Object { owner, visibility });
    let all = ["alfa", "beta"].into_iter().flat_map(of);
    all.chain([Object { owner: "delta", visibility: "sha" }, Object { owner: "delta", visibility: "pri" }]).collect()
}

/// Whoever asks: nobody, or the holder of a token of one scope.
#[derive(Debug, Clone)]
struct Viewer {
    owner: Option<&'static str>,
    scope: &'static str,
    token: Option<String>,
}

impl Viewer {
    fn is(&self, owner: &str) -> bool {
        self.owner == Some(owner)
    }
    fn has(&self, scopes: &[&str]) -> bool {
        self.owner.is_some() && scopes.contains(&self.scope)
    }
}

fn viewers(dir: &Dir) -> Vec<Viewer> {
    let of = |owner: &'static str| {
        SCOPES.iter().map(move |scope| Viewer { owner: Some(owner), scope, token: Some(token(dir, owner, &[scope])) })
    };
    std::iter::once(Viewer { owner: None, scope: "", token: None }).chain(OWNERS.into_iter().flat_map(of)).collect()
}

fn network() -> String {
    let mut text = String::new();
    for owner in OWNERS {
        let _ = writeln!(text, "[[owner]]\nid = \"{owner}\"\nname = \"{owner}\"");
        let _ = writeln!(
            text,
            "[[device]]\nid = \"{owner}-gw\"\nowner = \"{owner}\"\nmqtt = {{ user = \"{owner}-gw\", password_hash = \"{HASH}\", gateway = true }}"
        );
    }
    for one in objects() {
        let (owner, name, key) = (one.owner, one.name(), one.datastream());
        let visibility = VISIBILITIES.iter().find(|(word, _)| *word == one.visibility).unwrap().1;
        let _ = writeln!(
            text,
            "[[station]]\nid = \"{name}\"\nowner = \"{owner}\"\nname = \"{name}\"\nwhere = [43.9, 11.1]\nriver = \"{name}\"\n\
             [[datastream]]\nid = \"{key}\"\nstation = \"{name}\"\nproperty = \"water_level\"\nperiod_s = 600\nvisibility = {visibility}\n\
             [[datastream.rating]]\nfrom = \"2010-01-01\"\nsource = \"{name}\"\nextrapolate = true\nsegment = [{{ from_m = 0.0, to_m = 1000.0, a = 1.0, h0_m = 0.0, b = 1.5 }}]\n\
             [[device]]\nid = \"{name}\"\nowner = \"{owner}\"\nmqtt = {{ user = \"{name}\", password_hash = \"{HASH}\" }}\nfeeds = [{{ channel = \"level\", datastream = \"{key}\" }}]"
        );
    }
    text
}

/// Status, headers in small letters and body, over a wire of its own.
fn ask(world: &World, request: &str, headers: &str, body: &[u8]) -> (u16, String, String) {
    let mut stream = TcpStream::connect(&world.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("{request} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{request}: {head}"));
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn bearer(viewer: &Viewer) -> String {
    viewer.token.as_ref().map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"))
}

/// A reading as the push door takes it.
fn reading(device: &str, channel: &str, at: i64, value: f64) -> String {
    format!(r#"{{"device": "{device}", "time": {at}, "values": {{"{channel}": {value}}}}}"#)
}

/// Gives every object its value, of yesterday and of now, and every owner a refused reading.
fn fill(world: &World, viewers: &[Viewer]) {
    for owner in OWNERS {
        let push = viewers.iter().find(|one| one.is(owner) && one.scope == "ingest").unwrap().token.clone().unwrap();
        let own = objects().into_iter().filter(|one| one.owner == owner);
        let mut readings: Vec<String> =
            own.flat_map(|one| [now_s() - 86_400 * 2, now_s() - 5].map(|at| reading(&one.name(), "level", at, one.value()))).collect();
        readings.push(reading(&format!("{owner}-gw"), "unknown", now_s() - 60, 3.5));
        let (status, answer) = world.post("/api/v1/observations", &push, "application/json", &format!("[{}]", readings.join(",")));
        assert!(status == 200 || status == 422, "{status} {answer}");
    }
}
