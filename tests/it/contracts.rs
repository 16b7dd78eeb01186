//! What programs rely on, as files: a change shows in review.

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
        (&format!("{of}?from=2026-11-23"), 400, "2026-11-23T06:20:00Z"),
        (&format!("{of}?from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z"), 400, "before"),
        (&format!("{of}?cursor=zzz"), 400, "next_cursor"),
        (&format!("{of}?agg=PT7M"), 400, "PT15M"),
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
    let own = crate::support::token(&dir, "demo", &["read"]);
    assert_eq!(world.get_as("/api/v1/datastreams/prova-level", Some(&own)).0, 200);
    let pushes = crate::support::token(&dir, "demo", &["ingest"]);
    assert_eq!(world.get_as("/api/v1/datastreams/prova-level", Some(&pushes)).0, 404, "a device's token reads nothing");
}
