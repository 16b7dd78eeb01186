//! A utility pushes over HTTP.

use crate::support::{Dir, World, now_s, one_gauge, token};

#[test]
fn a_pushed_batch_is_answered_reading_by_reading() {
    let dir = Dir::new("push");
    let world = World::run(&dir, &one_gauge());
    let token = token(&dir, "demo", &["ingest"]);
    let now = now_s();
    let reading = |time: i64, value: &str| format!("{{\"device\":\"prova\",\"time\":{time},\"values\":{{\"level\":{value}}}}}");
    let json = "application/json";
    let path = "/api/v1/observations";
    let (status, answer) = world.post(path, &token, json, &reading(now - 60, "1.42"));
    assert_eq!((status, &answer["accepted"], &answer["duplicates"]), (200, &1.into(), &0.into()), "{answer}");
    let batch = format!(
        "[{},{},{},{},{}]",
        reading(now - 60, "1.42"),
        reading(now - 60, "1.50"),
        reading(now - 50, "\"high\""),
        reading(now - 40, "1.6"),
        reading(0, "1")
    );
    let (status, answer) = world.post(path, &token, json, &batch);
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["accepted"], &answer["duplicates"], &answer["revised"]), (&1.into(), &1.into(), &1.into()), "{answer}");
    let rejected: Vec<_> =
        answer["rejected"].as_array().unwrap().iter().map(|one| (one["index"].as_u64().unwrap(), one["code"].as_str().unwrap())).collect();
    assert_eq!(rejected, [(2, "not-a-number"), (4, "ancient-time")]);
    assert_eq!(world.observations("prova-level", "period=PT1H").iter().map(|(_, value)| *value).collect::<Vec<_>>(), [1.5, 1.6]);
    for (expected, token, content_type, body) in [
        (401, "pescaia_no", json, reading(now, "1")),
        (415, token.as_str(), "text/plain", reading(now, "1")),
        (422, token.as_str(), json, "{\"device\":\"nowhere\",\"time\":1795414800,\"values\":{\"level\":1}}".to_owned()),
        (422, token.as_str(), json, "not json".to_owned()),
        (413, token.as_str(), json, "x".repeat(11 << 20)),
    ] {
        let (status, answer) = world.post(path, token, content_type, &body);
        assert_eq!(status, expected, "{answer}");
        assert!(answer["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{answer}");
    }
    let reader = crate::support::token(&dir, "demo", &["read"]);
    assert_eq!(world.post(path, &reader, json, &reading(now, "1")).0, 403);
}
