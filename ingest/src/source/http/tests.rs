//! The push door over a real socket: what a program sends, and what it hears.

use super::router;
use crate::bind::Limits;
use crate::fixture::{self, HTTP_DEVICE};
use crate::meters::Meters;
use crate::pipeline::Intake;
use model::Scope;
use serde_json::{Value, json};
use std::time::Duration;
use store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct World {
    store: Store,
    door: std::net::SocketAddr,
    token: String,
    reader: String,
}

impl World {
    async fn new() -> Self {
        let store = fixture::store(HTTP_DEVICE);
        let token = |scope| store.new_token(&"demo".into(), &[scope]).expect("a token").text;
        let (token, reader) = (token(Scope::Ingest), token(Scope::Read));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
        let door = listener.local_addr().expect("an address");
        let app = router(Intake::new(store.clone(), Limits::default(), Meters::default()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { store, door, token, reader }
    }
    /// Status, content type and body of the answer to one request with these headers.
    async fn ask(&self, start: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String, Value) {
        let mut head = format!("{start} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(self.door).await.expect("the door is open");
        stream.write_all(&[head.as_bytes(), body].concat()).await.expect("sent");
        let mut answer = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("answered in time").expect("answered");
        let answer = String::from_utf8(answer).expect("a text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or("").to_owned();
        (status, kind, serde_json::from_str(body).expect("JSON"))
    }
    async fn push(&self, body: &str) -> (u16, Value) {
        let (bearer, length) = (format!("bearer {}", self.token), body.len().to_string());
        let headers =
            [("Authorization", bearer.as_str()), ("Content-Type", "application/json; charset=utf-8"), ("Content-Length", &length)];
        let (status, _, answer) = self.ask("POST /api/v1/observations", &headers, body.as_bytes()).await;
        (status, answer)
    }
}

#[tokio::test]
async fn the_answer_counts_what_is_on_disk() {
    let world = World::new().await;
    let at = |time: &str, level: f64| json!({"device": "prova", "time": time, "values": {"level": level}});
    let (first, second) = ("2026-11-23T06:00:00Z", "2026-11-23T06:10:00Z");
    let (status, answer) = world.push(&json!([at(first, 142.0), at(second, 143.0)]).to_string()).await;
    assert_eq!((status, answer), (200, json!({"accepted": 2, "duplicates": 0, "revised": 0, "rejected": []})));
    let batch = json!([at(first, 142.0), at(second, 150.0), {"device": "prova", "time": second, "values": {"depth": 1}}, {"device": "altra", "time": second, "values": {"level": 1}}, at("2036-01-01T00:00:00Z", 1.0)]);
    let (status, answer) = world.push(&batch.to_string()).await;
    let codes: Vec<_> =
        answer["rejected"].as_array().expect("a list").iter().map(|one| (one["index"].as_u64(), one["code"].as_str())).collect();
    assert_eq!((status, &answer["accepted"], &answer["duplicates"], &answer["revised"]), (200, &json!(0), &json!(1), &json!(1)));
    assert_eq!(codes, [(Some(2), Some("unknown-channel")), (Some(3), Some("unknown-device")), (Some(4), Some("future-time"))]);
    let view = world.store.seen_by(&model::Viewer::Public);
    let datastream = view.datastream("prova-level").expect("there");
    let kept = view.observations(&datastream, model::Interval::ALL, 9).expect("read");
    assert_eq!(kept.iter().map(|one| one.result).collect::<Vec<_>>(), [1.42, 1.5]);
}

#[tokio::test]
async fn what_holds_nothing_acceptable_is_422_and_waits_in_the_quarantine() {
    let world = World::new().await;
    for (body, code) in [("{", "unreadable"), ("[]", "wrong-shape"), (r#"{"time":1795414800,"values":{"level":1}}"#, "wrong-shape")] {
        let (status, answer) = world.push(body).await;
        assert_eq!((status, &answer["status"], &answer["rejected"][0]["code"]), (422, &json!(422), &json!(code)), "{answer}");
    }
    let auditor = model::Viewer::Token { owner: "demo".into(), scopes: vec![Scope::Audit] };
    let kept = world.store.seen_by(&auditor).quarantine(&store::Wanted::default(), 9).expect("read");
    assert_eq!(kept.iter().map(|entry| entry.bytes.len()).collect::<Vec<_>>(), [40, 2, 1]);
}

#[tokio::test]
async fn whoever_may_not_is_told_before_a_byte_is_kept() {
    let world = World::new().await;
    let (good, reader) = (format!("Bearer {}", world.token), format!("Bearer {}", world.reader));
    let json = ("Content-Type", "application/json");
    let address = format!("POST /api/v1/observations?token={}", world.token);
    let big = ("Content-Length", "1000");
    for (start, headers, expected) in [
        ("POST /api/v1/observations", vec![json, big], 401),
        ("POST /api/v1/observations", vec![json, big, ("Authorization", "Bearer wrong")], 401),
        ("POST /api/v1/observations", vec![json, big, ("Authorization", "Basic cHJvdmE6cHJvdmE=")], 401),
        ("POST /api/v1/observations", vec![json, big, ("Authorization", &reader)], 403),
        (&address, vec![json, big, ("Authorization", &good)], 400),
        ("POST /api/v1/observations", vec![("Content-Type", "text/csv"), big, ("Authorization", &good)], 415),
        ("POST /api/v1/observations", vec![big, ("Authorization", &good)], 415),
        ("POST /api/v1/observations", vec![json, ("Content-Length", "10485761"), ("Authorization", &good)], 413),
        ("GET /api/v1/observations", vec![], 405),
    ] {
        // Whoever asks first is told without sending the body it announces.
        let headers: Vec<_> = headers.into_iter().chain([("Expect", "100-continue")]).collect();
        let (status, kind, answer) = world.ask(start, &headers, b"").await;
        assert_eq!((status, kind.as_str()), (expected, "application/problem+json"), "{start} {answer}");
        for key in ["type", "title", "status", "detail", "instance"] {
            assert!(answer.get(key).is_some(), "{key} of {answer}");
        }
        assert!(!answer.to_string().contains(&world.token), "a token must not come back");
    }
}

#[tokio::test]
async fn who_sends_all_of_a_refused_body_still_hears_why() {
    let world = World::new().await;
    let (good, reader) = (format!("Bearer {}", world.token), format!("Bearer {}", world.reader));
    let body = vec![b'x'; 11 << 20];
    let length = body.len().to_string();
    for (token, expected) in [("Bearer wrong", 401), (&reader, 403), (&good, 413)] {
        let headers = [("Authorization", token), ("Content-Type", "application/json"), ("Content-Length", &length)];
        let (status, ..) = world.ask("POST /api/v1/observations", &headers, &body).await;
        assert_eq!(status, expected);
    }
}

#[tokio::test]
async fn a_body_that_grows_too_large_on_the_way_is_413() {
    let world = World::new().await;
    let good = format!("Bearer {}", world.token);
    let mut stream = TcpStream::connect(world.door).await.expect("open");
    let head = format!(
        "POST /api/v1/observations HTTP/1.1\r\nHost: x\r\nAuthorization: {good}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..12 {
        stream.write_all(&chunk).await.expect("read away, not reset");
    }
    stream.write_all(b"0\r\n\r\n").await.expect("sent");
    let mut answer = vec![0; 12];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut answer)).await.expect("in time").expect("answered");
    assert_eq!(answer, b"HTTP/1.1 413");
}
