//! What is deleted is gone, from the disk too, and no backup brings it back.

use crate::support::{Dir, World, configure, now_s, one_gauge, pescaia, said, token};

/// A value that is seen nowhere else, so that its bytes can be looked for.
const CANARY: f64 = 1.234_567_890_123;

fn push(world: &World, key: &str, from: i64, count: i64, value: f64) {
    let item = |second: i64| format!(r#"{{"device":"prova","time":{second},"values":{{"level":{value}}}}}"#);
    let items: Vec<String> = (from..from + count).map(item).collect();
    let (status, answer) = world.post("/api/v1/observations", key, "application/json", &format!("[{}]", items.join(",")));
    assert_eq!(status, 200, "{answer}");
}

fn holds_canary(dir: &Dir) -> bool {
    let wanted = CANARY.to_bits().to_le_bytes();
    std::fs::read_dir(dir.path().join("data"))
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|file| std::fs::read(file.path()).ok())
        .any(|bytes| bytes.windows(8).any(|eight| eight == wanted))
}

#[test]
fn what_is_deleted_stays_deleted_after_a_kill_and_after_a_restore() {
    let dir = Dir::new("delete");
    let mut world = World::run(&dir, &one_gauge());
    let key = token(&dir, "demo", &["ingest"]);
    let start = now_s() - 6000;
    push(&world, &key, start, 3000, 1.5);
    push(&world, &key, start + 1000, 1, CANARY);
    assert!(holds_canary(&dir), "as it is kept until now");
    let backup = dir.path().join("before.db");
    let made = pescaia().arg("backup").arg(&backup).arg("--data").arg(dir.path().join("data")).status().unwrap();
    assert!(made.success());

    let instant = |second: i64| model::Timestamp::from_seconds(second).to_string();
    let (from, to) = (instant(start + 500), instant(start + 1500));
    let words = ["delete", "prova-level", "--from", &from, "--to", &to, "--why", "sensore sul banco"];
    let preview = said(&dir, &words);
    assert!(preview.contains("1000 observations would be deleted for good") && preview.contains("add --yes"), "{preview}");
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 3000, "a preview changes nothing");
    let told = said(&dir, &[&words[..], &["--yes"]].concat());
    assert!(told.contains("1000 observations are deleted"), "{told}");
    let left = |world: &World| {
        let found = world.observations("prova-level", "period=P1D");
        assert!(found.iter().all(|(time, value)| (*time < from || *time >= to) && value.to_bits() == 1.5_f64.to_bits()), "only that went");
        found.len()
    };
    assert_eq!((left(&world), world.get("/api/v1/datastreams/prova-level")["count"].as_u64()), (2000, Some(2000)));
    assert!(said(&dir, &["audit"]).contains("delete prova-level") && said(&dir, &["audit"]).contains("sensore sul banco"));
    world.kill();
    let config = dir.path().join("pescaia.toml");
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    assert_eq!(left(&world), 2000, "after a kill");
    assert!(said(&dir, &["verify"]).contains("it is sound"));
    assert_eq!(world.terminate(), Some(0));
    assert!(!holds_canary(&dir), "its bytes are gone from the disk");

    // The old backup, taken in: what was deleted here stays so.
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    let took = said(&dir, &["restore", backup.to_str().unwrap()]);
    assert!(took.contains("1000 deleted here since"), "{took}");
    assert_eq!(left(&world), 2000);
    // A later backup writes the list of what was deleted; with it, the old backup alone restores without it too.
    let later = pescaia().arg("backup").arg(dir.path().join("later.db")).arg("--data").arg(dir.path().join("data")).status().unwrap();
    assert!(later.success() && dir.path().join("pescaia-deleted.jsonl").exists());
    drop(world);
    let other = Dir::new("delete-other");
    let config = configure(&other, "");
    let restored = pescaia().arg("restore").arg(&backup).arg("--config").arg(&config).output().unwrap();
    assert!(String::from_utf8_lossy(&restored.stdout).contains("1000 observations that were deleted since the backup are deleted again"));
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    assert_eq!(left(&world), 2000);
    // What comes later for the same time is new.
    push(&world, &key, start + 600, 10, 1.7);
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 2010);
}

#[test]
fn a_meter_that_is_no_longer_in_the_network_can_be_erased_and_what_another_feeds_by_now_is_only_told() {
    let dir = Dir::new("erase-retired");
    let two = one_gauge().replace(
        "[[device]]",
        "[[datastream]]\nid = \"prova-own\"\nstation = \"prova\"\nproperty = \"water_level\"\nperiod_s = 10\nvisibility = \"public\"\n[[device]]",
    );
    let feeds = "feeds = [{ channel = \"level\", datastream = \"prova-level\" }";
    let two = two.replace(feeds, &format!("{feeds}, {{ channel = \"own\", datastream = \"prova-own\" }}"));
    let world = World::run(&dir, &two);
    let key = token(&dir, "demo", &["ingest"]);
    push(&world, &key, now_s() - 1000, 300, 1.5);
    let refused = r#"[{"device":"prova","time":"2026-11-23T06:20:00Z","values":{"unknown":1}}]"#;
    world.post("/api/v1/observations", &key, "application/json", refused);
    // It leaves; another takes over one of its datastreams.
    let (before, device) = two.split_once("[[device]]").unwrap();
    let next = device.replace("id = \"prova\"", "id = \"nuovo\"").replace("user = \"prova\"", "user = \"nuovo\"");
    let next = next
        .replace(feeds, "feeds = [{ channel = \"spare\", datastream = \"prova-own\" }")
        .replace(", { channel = \"own\", datastream = \"prova-own\" }", "");
    let files = dir.path().join("network.toml");
    std::fs::write(&files, format!("{before}[[device]]{next}")).unwrap();
    let applied = said(&dir, &["network", "apply", files.to_str().unwrap()]);
    assert!(applied.contains("device demo/prova (retired"), "{applied}");
    let words = ["delete", "--device", "prova", "--owner", "demo", "--why", "richiesta del cliente"];
    let preview = said(&dir, &words);
    assert!(preview.contains("prova-level: 300 observations would be deleted for good"), "{preview}");
    assert!(preview.contains("prova-own: fed by prova before and by nuovo now"), "{preview}");
    assert!(preview.contains("0 raw payloads and 1 messages in the quarantine would be deleted"), "{preview}");
    let told = said(&dir, &[&words[..], &["--yes"]].concat());
    assert!(
        told.contains("prova-level: 300 observations are deleted") && told.contains("1 messages in the quarantine are deleted"),
        "{told}"
    );
    assert!(world.observations("prova-level", "period=P1D").is_empty());
    let nobody = said(&dir, &["delete", "--device", "nessuno", "--owner", "demo", "--why", "x"]);
    assert!(nobody.contains("has, and had, no device nessuno"), "{nobody}");
}
