//! A stranger starts the demonstration.

use crate::support::{Dir, World, eventually};
use std::process::Command;

#[test]
fn the_lines_that_the_demonstration_prints_work_when_pasted() {
    let dir = Dir::new("demo");
    let world = World::demo(&dir, &["--no-field"]);
    let said = world.said();
    let pasted = |begin: &str| {
        let line = said.iter().find(|line| line.trim_start().starts_with(begin)).unwrap_or_else(|| panic!("no {begin} in {said:?}"));
        let done = Command::new("bash").args(["-c", line]).output().expect("bash");
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    pasted("mosquitto_pub");
    assert!(pasted("curl -s 'http").contains("\"result\":1.42"));
    assert!(pasted("curl -s -X POST").contains("\"accepted\":1"));
    assert_eq!(
        world.get("/api/v1/datastreams/castelletti-level-up/observations?period=P1D")["items"].as_array().map(Vec::len),
        Some(0),
        "no field, no values"
    );
}

#[test]
fn within_two_minutes_a_river_is_over_its_threshold_and_a_restart_goes_on() {
    let dir = Dir::new("flood");
    let world = World::demo(&dir, &[]);
    let state = |world: &World| world.get("/api/v1/latest?station=bisenzio-gamberame")["items"][0]["state"].clone();
    eventually("Gamberame passes its first threshold", 120, || state(&world) == "over_1");
    let month = world.get("/api/v1/datastreams/bisenzio-prato-level/observations?period=P30D&agg=P1D")["items"].as_array().map(Vec::len);
    assert!(month >= Some(30), "30 days of history: {month:?}");
    assert_eq!(world.terminate(), Some(0));
    std::thread::sleep(std::time::Duration::from_secs(25));
    let world = World::demo(&dir, &[]);
    let newest = |world: &World| world.observations("bisenzio-prato-level", "period=PT3M").len();
    eventually("the logger delivers what it measured meanwhile", 30, || newest(&world) >= 17);
    eventually("the flood goes on", 60, || state(&world) == "over_1");
}
