//! F4: a full disk at the start, in the middle, and freed again. Acknowledgements stop, reading goes on, nothing ends.

use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, token};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// A pescaia whose data directory is a disk of its own of 24 MiB, which only it and its children see.
fn on_small_disk(dir: &Dir, already: &str) -> World {
    let config = configure(dir, &one_gauge());
    let data = dir.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let mut command = Command::new("unshare");
    let script = format!(
        "mount -t tmpfs -o size=24m tmpfs {0} && {already} exec {1} run --config {2}",
        data.display(),
        pescaia().get_program().to_str().unwrap(),
        config.display()
    );
    World::start(command.args(["-rm", "sh", "-c", &script]))
}

/// Its disk, seen from here.
fn inside(world: &World, dir: &Dir, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", world.id(), dir.path().join("data").join(name).display()))
}

/// Fills the disk to the last byte.
fn fill(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![0_u8; 4096];
    while file.write_all(&block).is_ok() {}
}

fn push(world: &World, key: &str, from: i64) -> u16 {
    let items: Vec<String> =
        (from..from + 10).map(|second| format!(r#"{{"device":"prova","time":{second},"values":{{"level":1.5}}}}"#)).collect();
    world.post("/api/v1/observations", key, "application/json", &format!("[{}]", items.join(","))).0
}

#[test]
fn acknowledgements_stop_while_the_disk_is_full_reading_goes_on_and_room_is_enough_to_go_on() {
    let dir = Dir::new("full");
    let world = on_small_disk(&dir, "");
    // The socket lies on that disk: ask from inside.
    let asked = Command::new("nsenter")
        .args(["-t", &world.id().to_string(), "-U", "-m", "--preserve-credentials"])
        .arg(pescaia().get_program())
        .args(["token", "new", "--owner", "demo", "--scope", "ingest", "--config"])
        .arg(dir.path().join("pescaia.toml"))
        .output()
        .unwrap();
    let key = String::from_utf8(asked.stdout).unwrap().trim().to_owned();
    assert!(!key.is_empty(), "{}", String::from_utf8_lossy(&asked.stderr));
    let start = now_s() - 3000;
    assert_eq!(push(&world, &key, start), 200);
    assert_eq!(world.get("/readyz")["ready"], true);

    let ballast = inside(&world, &dir, "ballast");
    fill(&ballast);
    assert_eq!(push(&world, &key, start + 10), 503, "no acknowledgement");
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 10, "reading goes on");
    let (status, body) = world.get_as("/readyz", None);
    assert!(status == 503 && body.contains("disk: full: 0 MB free") && body.contains("free some space"), "{body}");
    assert_eq!(world.get_as("/", None).0, 200, "the pages too");

    // Less than the reserve is not enough; more is.
    let file = std::fs::OpenOptions::new().write(true).open(&ballast).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - 200 * 1024).unwrap();
    assert_eq!(push(&world, &key, start + 10), 503, "the reserve is kept");
    file.set_len(length - 2 * 1024 * 1024).unwrap();
    eventually("it goes on by itself", 5, || push(&world, &key, start + 10) == 200);
    eventually("it says so", 5, || world.get_as("/readyz", None).0 == 200);
    assert!(world.get("/readyz")["parts"].to_string().contains("it will be full"), "{}", world.get("/readyz"));
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 20);
    assert_eq!(world.terminate(), Some(0));
}

#[test]
fn it_starts_on_a_full_disk_and_takes_what_comes_once_there_is_room() {
    let dir = Dir::new("born-full");
    // A store with something in it, on a disk without a byte left.
    let world = World::run(&dir, &one_gauge());
    let key = token(&dir, "demo", &["ingest"]);
    let start = now_s() - 3000;
    assert_eq!(push(&world, &key, start), 200);
    assert_eq!(world.terminate(), Some(0));
    std::fs::rename(dir.path().join("data"), dir.path().join("kept")).unwrap();
    let copy = format!(
        "cp {0}/kept/store.* {0}/data/ && {{ dd if=/dev/zero of={0}/data/ballast bs=4096 2>/dev/null; true; }} &&",
        dir.path().display()
    );
    let world = on_small_disk(&dir, &copy);
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 10);
    assert_eq!((push(&world, &key, start + 10), world.get_as("/readyz", None).0), (503, 503));
    std::fs::remove_file(inside(&world, &dir, "ballast")).unwrap();
    eventually("it takes what comes", 5, || push(&world, &key, start + 10) == 200);
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 20);
}
