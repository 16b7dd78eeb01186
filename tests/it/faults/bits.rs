//! F6b. A bit of what describes the network, flipped while nobody looks; a store that was emptied; a write-ahead log that was removed.

use crate::support::{Dir, World, configure, pescaia, said};
use rusqlite::{Connection, params};

const NETWORK: &str = r#"
[[owner]]
id = "o"
name = "o"
[[station]]
id = "s"
owner = "o"
name = "s"
where = [43.9, 11.1]
[[datastream]]
id = "a"
station = "s"
property = "water_level"
period_s = 60
visibility = "public"
[[datastream]]
id = "b"
station = "s"
property = "water_level"
period_s = 60
visibility = "public"
[[datastream.threshold]]
value = 2.5
label = "soglia"
"#;

/// The threshold of 2.5 becomes another, in these copies.
fn flip(dir: &Dir, tables: &[&str]) {
    let raw = Connection::open(dir.path().join("data/store.db")).unwrap();
    for table in tables {
        let sql = format!("UPDATE {table} SET body = replace(body, ?1, ?2) WHERE kind = 'datastream' AND instr(body, ?1) > 0");
        assert_eq!(raw.execute(&sql, params!["2.5", "6.5"]).unwrap(), 1);
    }
}

fn refused(words: &[&str]) -> String {
    let done = pescaia().args(words).output().unwrap();
    assert!(!done.status.success(), "{words:?}");
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[test]
fn a_flipped_threshold_is_named_and_never_served() {
    let dir = Dir::new("bits");
    assert_eq!(World::run(&dir, NETWORK).terminate(), Some(0));
    flip(&dir, &["document"]);
    let data = dir.path().join("data");
    let told = refused(&["verify", "--data", data.to_str().unwrap()]);
    assert!(told.contains("datastream b: one of its two copies is not as it was written"), "{told}");
    let world = World::run(&dir, NETWORK);
    assert_eq!(world.get("/api/v1/datastreams/b")["thresholds"][0]["value"], 2.5, "from the second copy");
    let ready = world.get("/readyz").to_string();
    assert!(ready.contains(r#""degraded":true"#) && ready.contains("(datastream)"), "{ready}");
    assert_eq!(world.terminate(), Some(0));
    assert!(said(&dir, &["verify"]).contains("it is sound"), "mended");

    flip(&dir, &["document", "spare"]);
    let told = refused(&["verify", "--data", data.to_str().unwrap()]);
    assert!(told.contains("datastream b is not as it was written; it is not served"), "{told}");
    let world = World::run(&dir, NETWORK);
    assert_eq!(world.get_as("/api/v1/datastreams/b", None).0, 404);
    assert_eq!(world.get_as("/api/v1/datastreams/a", None).0, 200, "the rest is served");
    let ready = world.get("/readyz").to_string();
    assert!(ready.contains(r#""degraded":true"#) && ready.contains("(datastream)"), "{ready}");
    assert_eq!(world.terminate(), Some(0));
}

#[test]
fn a_store_that_was_emptied_is_no_new_store() {
    let dir = Dir::new("emptied");
    assert_eq!(World::run(&dir, NETWORK).terminate(), Some(0));
    let (config, data, copy) = (configure(&dir, NETWORK), dir.path().join("data"), dir.path().join("copy.db"));
    let done = pescaia().arg("backup").arg(&copy).arg("--data").arg(&data).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::write(data.join("store.db"), b"").unwrap();
    let restore = ["restore", copy.to_str().unwrap(), "--data", data.to_str().unwrap()];
    for words in [&["run", "--config", config.to_str().unwrap()][..], &restore] {
        let told = refused(words);
        assert!(told.contains("has no bytes") && told.contains("take the empty file away"), "{words:?}: {told}");
    }
    let told = pescaia().args(["doctor", "--data", data.to_str().unwrap()]).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.contains("has no bytes"), "{told}");
    std::fs::remove_file(data.join("store.db")).unwrap();
    assert!(pescaia().args(restore).output().unwrap().status.success());
    assert_eq!(World::run(&dir, NETWORK).terminate(), Some(0));
}

#[test]
fn a_write_ahead_log_that_was_removed_after_a_kill_is_named_until_the_next_start() {
    let dir = Dir::new("log-removed");
    let mut world = World::run(&dir, NETWORK);
    world.kill();
    drop(world);
    let data = dir.path().join("data");
    assert!(said(&dir, &["verify"]).contains("it is sound"), "with its log nothing is missing");
    std::fs::remove_file(data.join("store.db-wal")).unwrap();
    let told = refused(&["verify", "--data", data.to_str().unwrap()]);
    assert!(told.contains("store.db-wal, was removed") && told.contains("after commit"), "{told}");
    let world = World::run(&dir, NETWORK);
    let ready = world.get("/readyz").to_string();
    assert!(ready.contains(r#""degraded":true"#) && ready.contains("write-ahead log (store.db-wal) had been removed"), "{ready}");
    assert_eq!(world.terminate(), Some(0));
    assert!(said(&dir, &["verify"]).contains("it is sound"));
    let world = World::run(&dir, NETWORK);
    assert!(world.get("/readyz").to_string().contains(r#""degraded":false"#), "it was said once");
    assert_eq!(world.terminate(), Some(0));
}
