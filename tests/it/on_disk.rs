//! Every format that was ever released opens and says what it held; a newer one, and those of the development, are refused by name and
//! left alone. F20.

use crate::support::{Dir, World, configure, pescaia, root, said};
use std::path::PathBuf;
use std::process::Command;

/// The stores of `tests/on_disk`, each a backup that the pescaia of its time wrote, with what it said then.
fn kept() -> Vec<(String, PathBuf, String)> {
    let folders = std::fs::read_dir(root().join("tests/on_disk")).unwrap().map(|folder| folder.unwrap().path());
    let one = |folder: PathBuf| {
        let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder.join("store.db.gz"), expected)
    };
    folders.map(one).collect()
}

fn unpacked(dir: &Dir, gz: &PathBuf) -> PathBuf {
    let data = dir.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let plain = Command::new("gzip").arg("-dc").arg(gz).output().unwrap();
    assert!(plain.status.success());
    std::fs::write(data.join("store.db"), plain.stdout).unwrap();
    data.join("store.db")
}

#[test]
fn every_format_opens_and_serves_what_it_held() {
    let all = kept();
    assert!(!all.is_empty());
    for (format, gz, expected) in all {
        let dir = Dir::new(&format!("format-{format}"));
        unpacked(&dir, &gz);
        let held = |told: &str| expected.lines().all(|line| told.contains(line));
        let told = said(&dir, &["verify"]);
        assert!(held(&told) && told.contains("it is sound"), "format {format}: {told}");
        let config = configure(&dir, "");
        let text = std::fs::read_to_string(&config).unwrap().replace("networks = [\"network.toml\"]\n", "");
        std::fs::write(&config, text).unwrap();
        let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
        let level = world.get("/api/v1/datastreams/empoli-level");
        assert_eq!(level["count"], 4000, "format {format}");
        let day = "/api/v1/datastreams/empoli-level/observations?from=2026-01-10T00:00:00Z&to=2026-01-10T00:10:00Z";
        let now = world.get(day)["items"][0]["result"].as_f64().unwrap();
        let before = world.get(&format!("{day}&as_of=2026-11-23T22:54:30Z"));
        assert!(before["items"].as_array().is_some(), "format {format}: {before}");
        assert!(now > 2.5, "format {format}: the correction is served, {now}");
        assert_eq!(world.terminate(), Some(0));
        assert!(held(&said(&dir, &["verify"])), "format {format}: it holds the same after a run");
        assert!(said(&dir, &["audit"]).contains("correct empoli-level"), "format {format}");
    }
}

#[test]
fn a_newer_format_is_refused_by_name_and_left_alone() {
    refused("format-newer", &[("user_version", 99)], &["format 99", "use the newer pescaia"]);
}

/// "Pesc", and the last of the formats that were written under it.
#[test]
fn a_store_of_the_development_is_refused_by_name_and_left_alone() {
    let words = ["a development version of pescaia before 0.1", "pescaia export", "begin a new data directory"];
    refused("format-development", &[("application_id", 0x5065_7363), ("user_version", 5)], &words);
}

/// With these numbers in its header a store is refused by every command, with these words.
fn refused(name: &str, header: &[(&str, i64)], words: &[&str]) {
    let (_, gz, _) = kept().pop().unwrap();
    let dir = Dir::new(name);
    let path = unpacked(&dir, &gz);
    let raw = rusqlite::Connection::open(&path).unwrap();
    header.iter().for_each(|(pragma, value)| raw.pragma_update(None, pragma, value).unwrap());
    drop(raw);
    let before = std::fs::read(&path).unwrap();
    let config = configure(&dir, "");
    for command in [
        vec!["run", "--config", config.to_str().unwrap()],
        vec!["verify", path.to_str().unwrap()],
        vec!["restore", path.to_str().unwrap(), "--data", "nowhere"],
    ] {
        let done = pescaia().args(&command).output().unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && words.iter().all(|words| told.contains(words)), "{command:?}: {told}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before, "not a byte of it changed");
}
