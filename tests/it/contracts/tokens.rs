//! Tokens are listed, expire and are revoked, at once and on every door.

use crate::support::{Dir, World, eventually, now_s, one_gauge, pescaia, said, token};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const BODY: &str = r#"{"device": "prova", "time": "2026-11-20T06:20:00Z", "values": {"level": 1.42}}"#;

fn id_of(token: &str) -> &str {
    token.split('_').nth(1).unwrap()
}

/// What is listed of a token.
fn listed(dir: &Dir, token: &str) -> Value {
    let lines = said(dir, &["token", "list", "--json"]);
    let of_token = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|one| one["id"] == id_of(token));
    lines.lines().find_map(of_token).unwrap_or_else(|| panic!("not listed: {lines}"))
}

fn until(dir: &Dir, scope: &str, expires: &str) -> (bool, String) {
    let mut command = pescaia();
    command
        .args(["token", "new", "--owner", "demo", "--scope", scope, "--expires", expires, "--config"])
        .arg(dir.path().join("pescaia.toml"));
    let done = command.output().unwrap();
    (done.status.success(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)).trim().to_owned())
}

/// A live feed that has begun.
fn feed(world: &World, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&world.http).unwrap();
    write!(stream, "GET /api/v1/live HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut text = String::new();
    eventually("it says something", 10, || {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap_or(0);
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        text.contains("prova-level")
    });
    stream
}

fn ends(stream: &mut TcpStream) {
    eventually("the feed ends", 15, || match stream.read(&mut [0; 4096]) {
        Ok(count) => count == 0,
        Err(cause) => !matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    });
}

/// What doors that take a token say to this one.
fn refusals(world: &World, token: &str) -> Vec<(u16, String)> {
    let push = world.post("/api/v1/observations", token, "application/json", BODY);
    let edge = world.post("/api/v1/edges/cabina", token, "application/octet-stream", "x");
    let line = world.post("/api/v2/write", token, "text/plain", "prova level=1 1763619600000000000");
    let read = world.get_as("/api/v1/latest", Some(token));
    let status = world.get_as("/status", Some(token));
    [push, edge, line].into_iter().map(|(status, body)| (status, body.to_string())).chain([read, status]).collect()
}

#[test]
fn a_token_is_listed_and_revoked_at_once_and_for_good() {
    let dir = Dir::new("token-life");
    let world = World::run(&dir, &one_gauge());
    let both = token(&dir, "demo", &["ingest", "read"]);
    assert_eq!(listed(&dir, &both)["last_used"], Value::Null);
    assert_eq!(world.post("/api/v1/observations", &both, "application/json", BODY).0, 200);
    let line = listed(&dir, &both);
    assert!(line["state"] == "holds" && line["last_used"].is_string() && line["made"].is_string(), "{line}");
    assert_eq!((&line["owner"], &line["scopes"]), (&"demo".into(), &serde_json::json!(["ingest", "read"])));
    assert!(!said(&dir, &["token", "list", "--json"]).contains(both.rsplit('_').next().unwrap()), "the secret is not listed");
    let backup = dir.path().join("before.backup");
    said(&dir, &["backup", backup.to_str().unwrap()]);
    assert!(backup.exists());
    let mut stream = feed(&world, &both);
    let unknown = refusals(&world, &format!("pescaia_00000000_{}", "0".repeat(64)));
    assert!(unknown.iter().all(|(status, body)| *status == 401 && body.contains("pescaia token new")), "{unknown:?}");
    assert!(said(&dir, &["token", "revoke", id_of(&both)]).contains("revoked"));
    assert_eq!(refusals(&world, &both), unknown, "nobody learns that it ever held");
    ends(&mut stream);
    assert!(said(&dir, &["token", "revoke", id_of(&both)]).contains("token list"), "there is a cure");
    assert_eq!(listed(&dir, &both)["state"], "revoked");
    // Neither a restart nor a backup from before brings it back.
    said(&dir, &["restore", backup.to_str().unwrap()]);
    assert_eq!(refusals(&world, &both), unknown);
    assert_eq!(world.terminate(), Some(0));
    let line = listed(&dir, &both);
    assert!(line["state"] == "revoked" && line["last_used"].is_string(), "{line}");
    let world = World::run(&dir, &one_gauge());
    assert_eq!(refusals(&world, &both), unknown);
}

#[test]
fn a_token_expires_where_it_is_used_too() {
    let dir = Dir::new("token-expiry");
    let world = World::run(&dir, &one_gauge());
    let (is_made, wrong) = until(&dir, "read", "soon");
    assert!(!is_made && wrong.contains("90d"), "{wrong}");
    let (is_made, long) = until(&dir, "read", "90d");
    assert!(is_made && listed(&dir, &long)["expires"].is_string(), "{long}");
    let at = jiff::Timestamp::from_second(now_s() + 4).unwrap().to_string();
    let (is_made, short) = until(&dir, "read", &at);
    assert!(is_made, "{short}");
    let mut stream = feed(&world, &short);
    let unknown = world.get_as("/api/v1/latest", Some("pescaia_no"));
    eventually("it is over", 15, || world.get_as("/api/v1/latest", Some(&short)) == unknown);
    ends(&mut stream);
    assert_eq!(listed(&dir, &short)["state"], "expired");
    assert_eq!(world.get_as("/api/v1/latest", Some(&long)).0, 200);
}
