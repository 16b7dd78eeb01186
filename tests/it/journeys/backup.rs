//! The store as one file: made under load, restored elsewhere, taken into an instance that runs, looked at when it is damaged.

use crate::support::mqtt::Publisher;
use crate::support::{Dir, HASH, World, configure, now_s, one_gauge, pescaia, said, token};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const PUBLISHERS: usize = 8;
const START: i64 = 1_767_225_600;

fn payload(number: u64) -> String {
    format!(r#"{{"time":{},"values":{{"level":{}}}}}"#, START + i64::try_from(number).unwrap(), level(number))
}

#[allow(clippy::cast_precision_loss, reason = "small numbers")]
fn level(number: u64) -> f64 {
    (number * 7919 % 12_000) as f64 / 1000.0
}

fn network() -> String {
    let mut text = format!(
        "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n[[device]]\nid = \"gw\"\nowner = \"o\"\nmqtt = {{ user = \"gw\", password_hash = \"{HASH}\", gateway = true }}\n"
    );
    for number in 0..PUBLISHERS {
        let _ = write!(
            text,
            "[[datastream]]\nid = \"d{number}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 1\nvisibility = \"public\"\n[[device]]\nid = \"d{number}\"\nowner = \"o\"\nhttp = true\nfeeds = [{{ channel = \"level\", datastream = \"d{number}\" }}]\n"
        );
    }
    text
}

fn backup(dir: &Dir, file: &Path) -> String {
    let done = pescaia().arg("backup").arg(file).arg("--data").arg(dir.path().join("data")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn digest(text: &str) -> String {
    text.lines().find_map(|line| line.trim().strip_prefix("SHA-256 of the observations: ")).expect(text).to_owned()
}

#[test]
fn a_backup_under_load_holds_all_that_was_acknowledged_before_it_and_restores_elsewhere() {
    let dir = Dir::new("backup");
    let world = World::run(&dir, &network());
    let finish = Arc::new(AtomicBool::new(false));
    let acked: Vec<_> = (0..PUBLISHERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let publishers: Vec<_> = acked
        .iter()
        .enumerate()
        .map(|(number, acked)| {
            let (door, acked, finish) = (world.mqtt.clone(), acked.clone(), finish.clone());
            std::thread::spawn(move || {
                let mut publisher = Publisher::new(&format!("p{number}"), "gw", &format!("pescaia/v1/o/d{number}"), 8, payload);
                let stop = |now: &Publisher| {
                    acked.store(now.acked, Ordering::Relaxed);
                    finish.load(Ordering::Relaxed)
                };
                publisher.publish(&door, &stop);
                publisher.acked
            })
        })
        .collect();
    crate::support::eventually("enough is acknowledged", 60, || acked.iter().all(|acked| acked.load(Ordering::Relaxed) > 2500));
    let before: Vec<u64> = acked.iter().map(|acked| acked.load(Ordering::Relaxed)).collect();
    let file = dir.path().join("copy.db");
    let told = backup(&dir, &file);
    assert!(acked.iter().zip(&before).any(|(now, before)| now.load(Ordering::Relaxed) > *before), "publishing goes on meanwhile");
    finish.store(true, Ordering::Relaxed);
    let ended: Vec<u64> = publishers.into_iter().map(|thread| thread.join().expect("a publisher")).collect();
    let again = pescaia().arg("backup").arg(&file).arg("--data").arg(dir.path().join("data")).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("it is there already; name another file"), "nothing is overwritten");
    drop(world);

    // Another machine: the file of the network lies elsewhere there, and its old place is not.
    let other = Dir::new("restored");
    let moved = other.path().join("copy.db");
    std::fs::rename(&file, &moved).unwrap();
    drop(dir);
    let file = moved;
    let config = configure(&other, &network());
    let restored = pescaia().arg("restore").arg(&file).arg("--config").arg(&config).output().unwrap();
    let restored = String::from_utf8_lossy(&restored.stdout).into_owned();
    assert_eq!(digest(&restored), digest(&told), "{restored}");
    assert_eq!(digest(&said(&other, &["verify"])), digest(&told));
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    let mut held = 0;
    for (number, (before, ended)) in before.iter().zip(&ended).enumerate() {
        let found = world.observations(&format!("d{number}"), "from=2025-12-31T00:00:00Z&to=2027-01-01T00:00:00Z");
        let by_time: BTreeMap<&str, f64> = found.iter().map(|(time, value)| (time.as_str(), *value)).collect();
        assert_eq!(by_time.len(), found.len(), "each once");
        for number in 0..*before {
            let time = model::Timestamp::from_seconds(START + i64::try_from(number).unwrap()).to_string();
            assert_eq!(by_time.get(time.as_str()).map(|value| value.to_bits()), Some(level(number).to_bits()), "{number} at {time}");
        }
        assert!(u64::try_from(found.len()).unwrap() <= ended + 8, "nothing that was never sent");
        held += found.len();
    }
    eprintln!(
        "{} acknowledged before the backup, {held} in it, {} acknowledged at the end",
        before.iter().sum::<u64>(),
        ended.iter().sum::<u64>()
    );
}

/// `[from, from + count)`, one a second, as a push to the HTTP door.
fn push(world: &World, key: &str, from: i64, count: i64, value: f64) {
    let mut items = Vec::new();
    for second in from..from + count {
        let time = model::Timestamp::from_seconds(second);
        items.push(format!(r#"{{"device":"prova","time":"{time}","values":{{"level":{value}}}}}"#));
    }
    let (status, answer) = world.post("/api/v1/observations", key, "application/json", &format!("[{}]", items.join(",")));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_backup_is_taken_into_a_running_instance_and_what_is_newer_there_stays() {
    let dir = Dir::new("merge");
    let world = World::run(&dir, &one_gauge());
    let key = token(&dir, "demo", &["ingest", "manage"]);
    let start = now_s() - 3000;
    push(&world, &key, start, 1200, 1.5);
    push(&world, &key, start, 100, 1.6); // revised: both are kept
    let file = dir.path().join("copy.db");
    let told = backup(&dir, &file);
    assert!(told.contains("1200 observations of 1 datastreams, 100 replaced values"), "{told}");
    drop(world);

    // The disk died; a new instance takes what comes, at once.
    let other = Dir::new("merged");
    let world = World::run(&other, &one_gauge().replace("name = \"Prova\"", "name = \"Nuova\""));
    let (status, _) = world.post("/api/v1/observations", &key, "application/json", "[]");
    assert_eq!(status, 401, "its tokens are in the backup");
    let fresh = token(&other, "demo", &["ingest"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    push(&world, &fresh, start + 1000, 400, 1.7);
    let file = file.to_str().unwrap();
    let took = said(&other, &["restore", file]);
    assert!(
        took.contains(
            "1000 observations taken in, 0 revised by later values of the backup, 0 there already, 200 with a later value here that stays"
        ),
        "{took}"
    );
    let found = world.observations("prova-level", "period=P1D");
    let at = |second: i64| {
        found.iter().find(|(time, _)| *time == model::Timestamp::from_seconds(start + second).to_string()).map(|(_, value)| *value)
    };
    assert_eq!((found.len(), at(0), at(500), at(1100)), (1400, Some(1.6), Some(1.5), Some(1.7)));
    assert_eq!(world.get("/api/v1/stations/prova")["name"], "Nuova", "what is known here stays");
    push(&world, &key, start + 1400, 1, 1.8);
    let again = said(&other, &["restore", file]);
    assert!(again.contains("\n0 observations taken in, 0 revised"), "{again}");
    assert!(said(&other, &["audit"]).contains("restore"), "{}", said(&other, &["audit"]));
    assert!(said(&other, &["verify"]).contains("it is sound"), "beside the running instance");
}

#[test]
fn a_damaged_backup_is_named_and_not_restored() {
    let dir = Dir::new("damaged");
    let world = World::run(&dir, &one_gauge());
    let key = token(&dir, "demo", &["ingest"]);
    push(&world, &key, now_s() - 5000, 4000, 1.5);
    let file = dir.path().join("copy.db");
    backup(&dir, &file);
    let raw = rusqlite::Connection::open(&file).unwrap();
    raw.execute("UPDATE log SET body = CAST(substr(body, 1, 40) || x'5a' || substr(body, 42) AS BLOB) WHERE at = (SELECT min(at) FROM log WHERE length(body) > 60)", []).unwrap();
    drop(raw);
    let done = pescaia().arg("verify").arg(&file).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("a log record: its checksum does not match"), "{told}");
    for target in [dir.path().join("data"), dir.path().join("empty")] {
        let done = pescaia().arg("restore").arg(&file).arg("--data").arg(&target).output().unwrap();
        assert!(!done.status.success());
        assert!(String::from_utf8_lossy(&done.stderr).contains("its checksum does not match"), "{}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(!dir.path().join("empty/store.db").exists(), "nothing half");
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 4000);
    for (command, file) in [("verify", "network.toml"), ("restore", "network.toml")] {
        let done = pescaia()
            .arg(command)
            .arg(dir.path().join(file))
            .args(if command == "verify" { &[][..] } else { &["--data", "nowhere"] })
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(told.contains("is not a pescaia store"), "{told}");
    }
    assert!(!Path::new("nowhere").exists());
}

#[test]
fn a_store_that_was_copied_by_hand_while_it_ran_is_restored_whole_or_named() {
    let dir = Dir::new("by-hand");
    let world = World::run(&dir, &one_gauge());
    push(&world, &token(&dir, "demo", &["ingest"]), now_s() - 3000, 500, 1.5);
    let place = |name: &str| {
        let place = dir.path().join(name);
        std::fs::create_dir_all(&place).unwrap();
        place
    };
    let (whole, bare) = (place("whole"), place("bare"));
    let data = dir.path().join("data");
    for (name, to) in [("store.db", &whole), ("store.db-wal", &whole), ("store.db", &bare)] {
        std::fs::copy(data.join(name), to.join(name)).unwrap();
    }
    let run = |words: &[&str], at: &Path| {
        let done = pescaia().args(words).arg(at).output().unwrap();
        (done.status.code(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
    };
    let store = whole.join("store.db");
    let (code, told) = run(&["restore", store.to_str().unwrap(), "--data"], &dir.path().join("restored"));
    assert!(code == Some(0) && told.contains(": 500 observations"), "{told}");
    let (code, told) = run(&["verify", "--data"], &dir.path().join("restored"));
    assert!(code == Some(0) && told.contains(": 500 observations"), "{told}");
    let store = bare.join("store.db");
    for words in [&["verify"][..], &["restore", "--data", "nowhere"]] {
        let (code, told) = run(words, &store);
        assert!(code != Some(0) && told.contains("store.db was copied without it") && told.contains("pescaia backup"), "{told}");
    }
    let (_, told) = run(&["doctor", "--data"], &bare);
    assert!(told.contains("warn  its write-ahead log, store.db-wal, was removed, or"), "{told}");
    assert!(said(&dir, &["verify"]).contains("it is sound"), "beside the running instance");
    assert_eq!(world.terminate(), Some(0));
    let (code, told) = run(&["verify"], &data.join("store.db"));
    assert!(code == Some(0) && told.contains(": 500 observations"), "closed, it is one file: {told}");
}
