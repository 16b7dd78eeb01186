//! What was seen on the night can be shown later: values, thresholds and states as they were served then, in the API and on the page.

use crate::support::{Dir, World, configure, now_s, one_gauge, pescaia, said, token};

fn network(threshold: f64) -> String {
    let level = "[[datastream.threshold]]\nvalue = 1.0\nlabel = \"Soglia 1\"\n".replace("1.0", &format!("{threshold:?}"));
    let at = one_gauge();
    let (before, after) = at.split_once("[[device]]").expect("a device");
    format!("{before}{level}[[device]]{after}")
}

/// State, value and lowest threshold of the gauge.
fn seen(world: &World, as_of: &str) -> (String, f64) {
    let latest = world.get(&format!("/api/v1/latest?station=prova{as_of}"));
    let item = &latest["items"][0];
    (item["state"].as_str().unwrap_or_default().to_owned(), item["result"].as_f64().unwrap_or(f64::NAN))
}

fn page(world: &World, as_of: &str) -> (u16, String) {
    world.get_as(&format!("/stazioni/prova{as_of}"), None)
}

#[test]
fn a_night_is_shown_later_as_it_was() {
    let dir = Dir::new("as-of");
    let world = World::run(&dir, &network(1.0));
    let key = token(&dir, "demo", &["ingest", "audit"]);
    let start = now_s() - 60;
    let items: Vec<String> =
        (0..12).map(|n| format!(r#"{{"device":"prova","time":{},"values":{{"level":1.5}}}}"#, start + n * 5)).collect();
    let (status, answer) = world.post("/api/v1/observations", &key, "application/json", &format!("[{}]", items.join(",")));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(seen(&world, ""), ("over_1".into(), 1.5));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let night = model::Timestamp::from_seconds(now_s() - 1).to_string();
    std::thread::sleep(std::time::Duration::from_millis(1100));

    let files = dir.path().join("network.toml");
    std::fs::write(&files, network(2.0)).unwrap();
    let applied = said(&dir, &["network", "apply", files.to_str().unwrap(), "--why", "nuovo rilievo"]);
    assert!(applied.contains("datastream prova-level"), "{applied}");
    let (from, to) = (model::Timestamp::from_seconds(start).to_string(), model::Timestamp::from_seconds(now_s()).to_string());
    let corrected = said(&dir, &["correct", "prova-level", "--from", &from, "--to", &to, "--offset", "-1", "--why", "zero sbagliato"]);
    assert_eq!(seen(&world, ""), ("below".into(), 0.5), "{corrected}");

    let check = |world: &World| {
        assert_eq!(seen(world, &format!("&as_of={night}")), ("over_1".into(), 1.5));
        let (status, then) = page(world, &format!("?as_of={night}"));
        assert_eq!(status, 200);
        assert!(then.contains("Come appariva il") && then.contains("Torna alla situazione attuale") && !then.contains("<script"), "{then}");
        assert!(then.contains("1,50") && !then.contains("0,50"), "{then}");
        let (_, now) = page(world, "");
        assert!(now.contains("0,50") && !now.contains("Come appariva il"), "{now}");
        let (_, levels) = world.get_as(&format!("/livelli?as_of={night}&lang=en"), None);
        assert!(levels.contains("As it appeared on") && levels.contains(&format!("as_of={night}")), "{levels}");
    };
    check(&world);
    let exported = |more: &[&str]| said(&dir, &[&["export", "prova-level"], more].concat());
    assert!(exported(&["--as-of", &night]).contains(",1.5,") && !exported(&["--as-of", &night]).contains(",0.5,"));
    assert!(exported(&[]).contains(",0.5,") && exported(&["--as-of", "2126-01-01T00:00:00Z"]).contains("lies ahead of now"));
    let (_, files) = world.get_as(&format!("/dati?as_of={night}"), None);
    assert!(files.contains("Come appariva il"), "{files}");
    assert!(said(&dir, &["audit"]).contains("network: datastream prova-level; nuovo rilievo"), "{}", said(&dir, &["audit"]));
    // What a chart draws of that night is of that night too.
    let thin = |more: &str| world.get(&format!("/api/v1/datastreams/prova-level/observations?period=PT1H&thin=1{more}"));
    let results = |answer: &serde_json::Value| -> Vec<f64> {
        answer["items"].as_array().expect("items").iter().filter_map(|item| item["result"].as_f64()).collect()
    };
    assert_eq!((results(&thin("")), results(&thin(&format!("&as_of={night}")))), (vec![0.5, 0.5], vec![1.5, 1.5]));
    assert_eq!((&thin("")["items"][0]["after_gap"], &thin("")["next_cursor"]), (&false.into(), &serde_json::Value::Null));
    let (status, revisions) = world.get_as("/api/v1/datastreams/prova-level/revisions", Some(&key));
    let revisions: serde_json::Value = serde_json::from_str(&revisions).expect("JSON");
    let one = &revisions["items"][0];
    assert_eq!((status, one["why"].as_str(), one["of"].as_str()), (200, Some("nuovo rilievo"), Some("datastream")), "{revisions}");
    assert_eq!(
        (&one["before"]["threshold"][0]["value"], &one["after"]["threshold"][0]["value"]),
        (&1.0.into(), &2.0.into()),
        "{revisions}"
    );
    assert_eq!(world.get_as("/api/v1/datastreams/prova-level/revisions", None).0, 401, "who changed what is the owner's");
    for (wrong, words) in [("ieri", "data e ora non riconosciute"), ("2126-01-01T00:00", "è nel futuro")] {
        let (status, text) = page(&world, &format!("?as_of={wrong}"));
        assert!(status == 400 && text.contains(words), "{status} {text}");
    }
    assert_eq!(world.terminate(), Some(0));
    let config = configure(&dir, &network(2.0));
    check(&World::start(pescaia().arg("run").arg("--config").arg(&config)));
}
