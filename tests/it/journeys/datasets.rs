//! A dataset from a real year, against a computation that shares no code with ours; healed by late data; whole after every kill.

use super::history::{HOURLY, import, network};
use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, python, root, token};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

const DATASET: &str = "/api/v1/datasets/livelli-giornalieri";

#[test]
fn the_real_year_by_day_is_what_pandas_says() {
    let dir = Dir::new("pandas");
    let world = World::run(&dir, &network());
    let done = import(&dir, &root().join(HOURLY), &root().join("demo/patterns/schwingbach.toml"), &[]);
    assert!(done.status.success());
    let months = || world.get(DATASET)["months"].as_array().map_or(0, Vec::len);
    eventually("thirteen months are published: the year begins at 23:00 UTC of the last", 20, || {
        months() >= 12 && world.get(DATASET)["rows"].as_u64() >= Some(310)
    });
    let script = root().join("tests/python/daily_levels.py");
    let done = Command::new(python())
        .arg(script)
        .arg(root().join(HOURLY))
        .arg(world.url(DATASET))
        .output()
        .expect("python; tests/run installs it");
    eprintln!("{}", String::from_utf8_lossy(&done.stdout));
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_file_is_asked_for_again_at_no_cost_and_a_late_reading_heals_its_day_within_a_second() {
    let dir = Dir::new("heal");
    let world = World::run(&dir, &one_gauge().replace("period_s = 10", "period_s = 3600"));
    let token = token(&dir, "demo", &["ingest"]);
    let day = now_s() / 86_400 * 86_400 - 9 * 86_400;
    let push = |at: i64, level: f64| {
        let body = format!("{{\"device\": \"prova\", \"time\": {at}, \"values\": {{\"level\": {level}}}}}");
        assert_eq!(world.post("/api/v1/observations", &token, "application/json", &body).0, 200);
    };
    (0..48).for_each(|hour| push(day + hour * 3600, 1.0));
    eventually("the days are published", 20, || world.get(DATASET)["rows"].as_u64() >= Some(2));
    std::thread::sleep(Duration::from_secs(1));
    let file = || {
        let files = world.get(DATASET)["files"].as_array().expect("files").clone();
        files.into_iter().filter(|file| file["format"] == "csv").max_by_key(|file| file["rows"].as_u64()).expect("a file")
    };
    let (before, href) = (file(), file()["href"].as_str().expect("a path").to_owned());
    let status = |etag: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        agent.get(world.url(&href)).header("if-none-match", etag).call().expect("an answer").status().as_u16()
    };
    let etag = format!("\"{}\"", before["sha256"].as_str().expect("a hash"));
    assert_eq!((status(&etag), status("\"other\"")), (304, 200));
    let late = Instant::now();
    push(day + 12 * 3600 + 60, 7.5);
    eventually("the day is healed", 10, || world.get_as(&href, None).1.contains(",7.5,"));
    eprintln!("healed and served {:?} after the reading", late.elapsed());
    let after = file();
    assert_ne!(before["sha256"], after["sha256"]);
    assert_eq!(world.get_as(&format!("{DATASET}/files/nothing.csv"), None).0, 404);
    assert_eq!(world.get_as("/api/v1/datasets/nothing", None).0, 404);
}

/// Every file as its manifest says. Returns the edition that was found first.
fn check_whole(world: &World, kill: u64) -> u64 {
    let manifest = world.get(DATASET);
    versions_agree(&manifest, kill);
    let wrong = manifest["files"].as_array().expect("files").iter().find(|file| {
        let (status, body) = world.get_bytes(file["href"].as_str().expect("a path"));
        status != 200
            || body.len() as u64 != file["bytes"].as_u64().expect("bytes")
            || sha256(&body) != file["sha256"].as_str().expect("a hash")
    });
    let edition = manifest["edition"].as_u64().expect("an edition");
    if let Some(wrong) = wrong {
        // A new version may have been published while this one was read; then that one must be whole.
        assert!(world.get(DATASET)["edition"].as_u64() > Some(edition), "after kill {kill}: {wrong}");
        check_whole(world, kill);
    }
    edition
}

/// The formats of a month are of one version: as many rows.
fn versions_agree(manifest: &Value, kill: u64) {
    let files = manifest["files"].as_array().expect("files");
    for one in files {
        let same = files.iter().filter(|other| other["month"] == one["month"]);
        let rows: Vec<_> = same.map(|file| file["rows"].clone()).collect();
        assert!(rows.len() == 3 && rows.iter().all(|row| *row == rows[0]), "after kill {kill}: {rows:?}");
    }
}

fn sha256(bytes: &[u8]) -> String {
    use std::io::Write;
    let mut child =
        Command::new("sha256sum").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("sha256sum");
    child.stdin.take().expect("its input").write_all(bytes).expect("written");
    let out = child.wait_with_output().expect("its answer").stdout;
    String::from_utf8_lossy(&out).split(' ').next().expect("a hash").to_owned()
}

/// A running instance that writes down each file that it stages.
fn start(dir: &Dir, log: &str) -> World {
    let log = std::fs::File::create(dir.path().join(log)).expect("a log");
    World::start(
        pescaia().env("PESCAIA_LOG", "error,store=debug").arg("run").arg("--config").arg(dir.path().join("pescaia.toml")).stderr(log),
    )
}

fn staged(dir: &Dir, log: &str) -> usize {
    std::fs::read_to_string(dir.path().join(log)).expect("a log").matches("event=\"staged\"").count()
}

#[test]
fn a_publication_killed_twenty_times_in_its_middle_is_always_a_whole_version() {
    let dir = Dir::new("publish-kill");
    configure(&dir, &network());
    let mut world = start(&dir, "0.log");
    let pattern = root().join("demo/patterns/schwingbach.toml");
    assert!(import(&dir, &root().join(HOURLY), &pattern, &[]).status.success());
    eventually("the first version", 20, || world.get_as(DATASET, None).0 == 200 && world.get(DATASET)["rows"].as_u64() >= Some(310));
    let (mut in_the_middle, mut dice) = (0, 7_u64);
    eprintln!("seed {dice}");
    for kill in 1..=20 {
        let (log, before) = (format!("{}.log", kill - 1), world.get(DATASET)["edition"].as_u64().expect("an edition"));
        let already = staged(&dir, &log);
        // The import revises the whole year: eleven months with heads, three files each, are made again.
        let text = std::fs::read_to_string(root().join(HOURLY)).expect("the year").replace(",238.", &format!(",{}.", 238 + kill % 2));
        let file = dir.write("revised.csv", &text);
        assert!(import(&dir, &file, &pattern, &[]).status.success());
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let files = 1 + usize::try_from((dice >> 33) % 24).expect("small");
        let deadline = Instant::now() + Duration::from_secs(20);
        while staged(&dir, &log) < already + files {
            assert!(Instant::now() < deadline, "files are staged");
            std::thread::sleep(Duration::from_micros(200));
        }
        world.kill();
        world = start(&dir, &format!("{kill}.log"));
        let after = check_whole(&world, kill);
        in_the_middle += u64::from(after == before);
        eventually("what was killed is made after all", 20, || world.get(DATASET)["edition"].as_u64() > Some(before));
        check_whole(&world, kill);
    }
    eprintln!(
        "20 kills while files were staged; after {in_the_middle} of them the old version was found, after the others the new one was there already"
    );
    let csv = world.get_as(&format!("{DATASET}/files/livelli-giornalieri-2014-02.csv"), None).1;
    assert!(csv.lines().skip(1).all(|line| line.contains(",238.") && !line.contains(",239.")), "{csv}");
}
