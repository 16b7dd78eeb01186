//! Ten thousand meters in one command, and what is mended afterwards: a wrong clock, a wrong factor, a wrong layout.

use crate::support::{Dir, World, configure, now_s, one_gauge, pescaia, said, token};
use std::time::Instant;

#[test]
fn ten_thousand_meters_are_previewed_applied_and_applied_again() {
    let dir = Dir::new("meters");
    let world = World::run(&dir, &one_gauge());
    let mut table = String::from("owner;station;latitude;longitude;datastream;property;period_s;device;address;digits\n");
    for number in 0..10_000 {
        let station = number / 100;
        table += &format!(
            "demo;dma-{station};43,{};11.1;meter-{number}-volume;volume_counter;3600;meter-{number};{number:016X};8\n",
            7000 + station
        );
    }
    let file = dir.write("contatori.csv", &table);
    let file = file.to_str().unwrap();
    let preview = said(&dir, &["network", "apply", file, "--dry-run"]);
    assert!(preview.ends_with("in all: + 10000 datastreams, + 10000 devices, + 100 stations\n"), "{preview}");
    assert!(preview.lines().count() < 30, "{preview}");
    assert_eq!(world.metric("pescaia_series"), 1, "a preview changes nothing");
    let start = Instant::now();
    let applied = said(&dir, &["network", "apply", file, "--all"]);
    eprintln!("10,000 meters applied in {:?}", start.elapsed());
    assert_eq!(applied.lines().count(), 20_100, "every change is told");
    // Nobody in particular sees them; how many there are is no secret.
    assert_eq!((world.get("/status")["datastreams"].clone(), world.metric("pescaia_series")), (1.into(), 10_001));
    assert_eq!(said(&dir, &["network", "apply", file]), "no change\n");
    // A meter of them is heard at once, by its address.
    let pusher = token(&dir, "demo", &["ingest"]);
    let reading = format!("[{{\"device\":\"{:016X}\",\"time\":{},\"values\":{{\"volume_counter\":12.5}}}}]", 7777, now_s());
    let (status, answer) = world.post("/api/v1/observations", &pusher, "application/json", &reading);
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(1)), "{answer}");
    let renamed = dir.write("meters.csv", &table);
    let told = said(&dir, &["network", "apply", renamed.to_str().unwrap()]);
    assert!(told.contains("\"dma-0\" and 20099 more entries already come from") && told.lines().count() == 1, "{told}");
    dir.write("contatori.csv", &table.replacen("volume_counter", "volume_conter", 300));
    let told = said(&dir, &["network", "apply", file]);
    assert!(told.contains("contatori.csv:2:1  unknown property \"volume_conter\", did you mean \"volume_counter\"?"), "{told}");
    assert!(told.lines().count() == 51 && told.trim_end().ends_with("more"), "{told}");
}

#[test]
fn a_clock_that_was_wrong_is_corrected_seen_in_the_audit_and_taken_back() {
    let dir = Dir::new("clock");
    let world = World::run(&dir, &one_gauge());
    let pusher = token(&dir, "demo", &["ingest"]);
    let start = (now_s() - 7200) / 10 * 10;
    let push = |from: i64, count: i64| {
        let readings: Vec<String> = (0..count)
            .map(|number| format!("{{\"device\":\"prova\",\"time\":{},\"values\":{{\"level\":1.{number:02}}}}}", from + number * 10))
            .collect();
        let (status, answer) = world.post("/api/v1/observations", &pusher, "application/json", &format!("[{}]", readings.join(",")));
        assert_eq!(status, 200, "{answer}");
        answer
    };
    push(start + 70, 50);
    let instant = |at: i64| jiff::Timestamp::from_second(at).unwrap().to_string();
    let (from, to) = (instant(start + 70), instant(start + 1000));
    let correct = |more: &[&str]| {
        let mut words = vec!["correct", "prova-level", "--from", &from, "--to", &to, "--shift", "-70s", "--why", "orologio avanti di 70 s"];
        words.extend(more);
        said(&dir, &words)
    };
    let first = |world: &World| world.observations("prova-level", "period=P1D").first().map(|(time, _)| time.clone());
    let preview = correct(&["--dry-run"]);
    assert!(preview.contains("50 observations would be revised"), "{preview}");
    assert_eq!(first(&world), Some(instant(start + 70)));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let seen_at = instant(now_s());
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let done = correct(&[]);
    assert!(done.contains("50 observations are revised; this is change 1"), "{done}");
    assert_eq!(first(&world), Some(instant(start)));
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 50);
    assert_eq!(world.get("/api/v1/datastreams/prova-level")["count"], 50);
    // What was seen before is still to be had: the values, the latest, the hours.
    let then = world.observations("prova-level", &format!("period=P1D&as_of={seen_at}"));
    assert_eq!((then.len(), then.first().map(|(time, _)| time.clone())), (50, Some(instant(start + 70))));
    let latest = |query: &str| world.get(&format!("/api/v1/latest{query}"))["items"][0]["phenomenon_time"].clone();
    assert_eq!(latest(&format!("?as_of={seen_at}")), instant(start + 560));
    assert_eq!(latest(""), instant(start + 490));
    assert!(world.observations("prova-level", &format!("period=P1D&as_of={}", instant(start))).is_empty(), "nothing had come yet");
    assert_eq!(world.get_as("/api/v1/latest?as_of=2126-01-01T00:00:00Z", None).0, 400, "ahead of now");
    // The logger was not told, and sends its backlog again as it has it.
    assert_eq!(push(start + 70, 50)["duplicates"].as_u64(), Some(50));
    assert_eq!(first(&world), Some(instant(start)));
    let audit = said(&dir, &["audit"]);
    assert!(audit.contains("clock -70 s") && audit.contains("orologio avanti"), "{audit}");
    let mut world = world;
    world.kill();
    let world = World::start(pescaia().arg("run").arg("--config").arg(configure(&dir, &one_gauge())));
    assert_eq!(first(&world), Some(instant(start)), "after a kill");
    let undone = said(&dir, &["correct", "--undo", "1", "--why", "era giusto"]);
    assert!(undone.contains("50 observations are revised"), "{undone}");
    assert_eq!((first(&world), world.observations("prova-level", "period=P1D").len()), (Some(instant(start + 70)), 50));
}
