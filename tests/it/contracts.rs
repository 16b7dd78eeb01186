//! What programs rely on, as files: a change shows in review.

mod outgoing;
mod rights;
mod tokens;

use crate::support::{Dir, World, one_gauge, root};

#[test]
fn the_openapi_document_is_the_one_in_the_tree() {
    let dir = Dir::new("openapi");
    let world = World::run(&dir, &one_gauge());
    let served = world.get_as("/openapi.json", None).1;
    let golden = root().join("tests/it/contracts/openapi.json");
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(&golden, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&golden).unwrap_or_default();
    assert!(kept == served, "the contract changed; look at the difference and run again with UPDATE_GOLDEN=1");
}

#[test]
fn errors_are_problems_with_a_cure() {
    let dir = Dir::new("problems");
    let world = World::run(&dir, &one_gauge());
    let of = "/api/v1/datastreams/prova-level/observations";
    for (path, status, cure) in [
        ("/api/v1/datastreams/nowhere", 404, "/api/v1/datastreams"),
        ("/api/v1/stations/nowhere", 404, "/api/v1/stations"),
        ("/nowhere", 404, "/openapi.json"),
        (&format!("{of}?form=csv"), 400, "did you mean"),
        (&format!("{of}?limit=0"), 400, "1 to 50000"),
        (&format!("{of}?period=yesterday"), 400, "PT36H"),
        (&format!("{of}?from=2026-11-23T00:00:00"), 400, "2026-11-23T06:20:00Z"),
        (&format!("{of}?from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z"), 400, "before"),
        (&format!("{of}?cursor=zzz"), 400, "next_cursor"),
        (&format!("{of}?agg=PT7M"), 400, "PT15M"),
        (&format!("{of}?thin=0"), 400, "1 to 10000"),
        (&format!("{of}?thin=9&agg=PT1H"), 400, "either agg or thin"),
        (&format!("{of}?thin=9&limit=9"), 400, "leave limit and cursor out"),
        ("/api/v1/datasets?as_of=2020-01-01T00:00:00Z", 400, "leave as_of out"),
        ("/api/v1/latest?token=x", 400, "Bearer"),
    ] {
        let (found, body) = world.get_as(path, None);
        assert_eq!(found, status, "{path}: {body}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], status, "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(cure), "{path}: {body}");
    }
    assert_eq!(world.get_as("/api/v1/latest", Some("pescaia_no")).0, 401);
}

#[test]
fn what_is_private_looks_as_what_is_not_there() {
    let dir = Dir::new("private");
    let world = World::run(&dir, &one_gauge().replace("visibility = \"public\"\n", ""));
    assert_eq!(world.get_as("/api/v1/datastreams/prova-level", None).0, 404);
    assert_eq!(world.get_as("/api/v1/stations/prova", None).0, 404);
    assert_eq!(world.get_as("/stazioni/prova", None).0, 404);
    assert_eq!(world.get("/api/v1/latest")["items"], serde_json::json!([]));
    assert_eq!(world.get("/api/v1/stations")["items"], serde_json::json!([]));
    assert!(!world.get_as("/livelli", None).1.contains("prova"));
    assert_eq!(world.get_as("/api/v1/live?stations=prova", None).0, 404);
    let own = crate::support::token(&dir, "demo", &["read"]);
    let gateway = crate::support::token(&dir, "demo", &["ingest"]);
    let body = r#"{"device": "prova", "time": "2026-11-20T06:20:00Z", "values": {"level": 1.42}}"#;
    assert_eq!(world.post("/api/v1/observations", &gateway, "application/json", body).0, 200);
    for (token, events) in [(None, 0), (Some(&gateway), 0), (Some(&own), 1)] {
        assert_eq!(heard(&world, token.map(String::as_str)).matches("\"result\":1.42").count(), events, "the live feed");
    }
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(world.get("/api/v1/datasets/livelli-giornalieri")["rows"], 0, "a dataset is made of what the public sees");
    assert_eq!(world.get_as("/api/v1/datastreams/prova-level", Some(&own)).0, 200);
    let pushes = crate::support::token(&dir, "demo", &["ingest"]);
    assert_eq!(world.get_as("/api/v1/datastreams/prova-level", Some(&pushes)).0, 404, "a device's token reads nothing");
}

/// What the live feed says in its first moments.
fn heard(world: &World, token: Option<&str>) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(&world.http).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let bearer = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    write!(stream, "GET /api/v1/live HTTP/1.1\r\nHost: x\r\n{bearer}\r\n").unwrap();
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        text.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}
