//! An edge in a cabinet: what it has on disk reaches its centre once, through cuts, a narrow link, kills and a full disk.

use crate::support::link::Link;
use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, token};
use std::process::Command;
use std::time::Duration;

/// A centre, the link to it, and an edge behind the link.
struct Field {
    centre: World,
    link: Link,
    edge: World,
    centre_dir: Dir,
    edge_dir: Dir,
    more: String,
}

impl Field {
    fn new(name: &str, more: &str) -> Self {
        let (centre_dir, edge_dir) = (Dir::new(&format!("{name}-centre")), Dir::new(&format!("{name}-edge")));
        let centre = World::run(&centre_dir, &one_gauge());
        let link = Link::to(&centre.http);
        edge_dir.write("secret", &token(&centre_dir, "demo", &["ingest"]));
        let edge = start_edge(&edge_dir, link.port, more);
        Self { centre, link, edge, centre_dir, edge_dir, more: more.to_owned() }
    }
    /// Levels at these seconds, acknowledged by the edge.
    fn measure(&self, seconds: std::ops::Range<i64>) {
        let mut child = Command::new("mosquitto_pub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                self.edge.mqtt_port(),
                "-u",
                "prova",
                "-P",
                "prova",
                "-q",
                "1",
                "-t",
                "pescaia/v1/demo/prova",
                "-l",
            ])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines: String = seconds.map(|at| format!("{{\"time\": {at}, \"values\": {{\"level\": {}}}}}\n", level(at))).collect();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    fn at_centre(&self) -> Vec<(i64, f64)> {
        let found = self.centre.observations("prova-level", "period=P7D");
        found.into_iter().map(|(time, value)| (time.parse::<jiff::Timestamp>().unwrap().as_second(), value)).collect()
    }
    fn check(&self, seconds: std::ops::Range<i64>, within_s: u64) {
        let count = usize::try_from(seconds.end - seconds.start).unwrap();
        eventually("everything is at the centre", within_s, || self.at_centre().len() >= count);
        assert!(self.at_centre() == seconds.map(|at| (at, level(at))).collect::<Vec<_>>(), "some are missing or wrong");
    }
    /// What the edge still owes, bytes.
    fn spool(&self) -> u64 {
        let metrics = self.edge.get_as("/metrics", None).1;
        metrics.lines().find_map(|line| line.strip_prefix("pescaia_spool_bytes ")).expect("a meter").parse().unwrap()
    }
}

fn start_edge(dir: &Dir, port: u16, more: &str) -> World {
    let config = configure(dir, &one_gauge());
    let edge =
        format!("[edge]\nname = \"cabina-7\"\ncentre = \"http://127.0.0.1:{port}\"\ntoken_file = \"secret\"\ngather_ms = 100\n{more}");
    let text = std::fs::read_to_string(&config).unwrap() + &edge;
    std::fs::write(&config, text).unwrap();
    World::start(pescaia().arg("run").arg("--config").arg(&config))
}

fn level(at: i64) -> f64 {
    (at % 1000) as f64 / 1000.0
}

#[test]
fn an_edge_hands_on_what_it_has_through_cuts_and_kills_of_either_side() {
    let mut field = Field::new("edge", "");
    let start = now_s() - 100_000;
    field.measure(start..start + 100);
    field.check(start..start + 100, 10);
    field.link.cut();
    field.measure(start + 100..start + 1100);
    // The meter is read now and then.
    eventually("it waits", 5, || field.spool() > 0);
    field.edge.kill();
    field.edge = start_edge(&field.edge_dir, field.link.port, &field.more);
    field.measure(start + 1100..start + 1200);
    field.link.mend();
    field.check(start..start + 1200, 40);
    // The centre goes in the middle; what it had not on disk is sent again.
    field.measure(start + 1200..start + 2200);
    field.centre.kill();
    field.measure(start + 2200..start + 2300);
    let centre = World::run(&field.centre_dir, &one_gauge());
    let link = Link::to(&centre.http);
    (field.centre, field.link) = (centre, link);
    field.edge.kill();
    field.edge = start_edge(&field.edge_dir, field.link.port, &field.more);
    field.check(start..start + 2300, 40);
    eventually("nothing waits any more", 10, || field.spool() == 0);
    let auditor = token(&field.centre_dir, "demo", &["audit"]);
    let ledger = field.centre.get_as("/api/v1/ledger?device=cabina-7", Some(&auditor)).1;
    assert!(ledger.contains("\"accepted\":2300") && ledger.contains("\"balances\":true"), "{ledger}");
}

#[test]
fn a_narrow_and_broken_link_brings_the_newest_first_and_all_in_the_end() {
    let field = Field::new("narrow", "");
    field.link.cut();
    let start = now_s() - 100_000;
    field.measure(start..start + 5_000);
    // A kilobyte a second, and one piece in twenty breaks the connection.
    field.link.narrow(1000, 20);
    field.link.mend();
    let newest = now_s();
    field.measure(newest..newest + 1);
    let mut arrived = None;
    eventually("all arrives", 150, || {
        let found = field.at_centre();
        if arrived.is_none() && found.last().is_some_and(|(at, _)| *at == newest) {
            arrived = Some(found.len());
        }
        found.len() >= 5_001
    });
    assert!(arrived.is_some_and(|before| before < 2_500), "the newest came with {arrived:?} there");
    eprintln!("{} bytes went over the link for 5,001 readings", field.link.passed());
}

#[test]
fn a_link_that_died_without_a_word_and_one_that_is_slow_to_answer_bring_everything_once() {
    let is_long = std::env::var("PESCAIA_LONG").is_ok();
    let field = Field::new("half-open", "");
    let start = now_s() - 100_000;
    field.measure(start..start + 300);
    field.check(start..start + 300, 20);
    // The other side is gone, and nobody was told: the edge waits for an answer that never comes, then connects anew.
    field.link.half_open();
    let died = std::time::Instant::now();
    field.measure(start + 300..start + 600);
    field.check(start..start + 600, 90);
    eprintln!("F9: all is there {:?} after a link died without a word", died.elapsed());
    field.link.delay(Duration::from_secs(if is_long { 10 } else { 2 }));
    field.measure(start + 600..start + 900);
    field.check(start..start + 900, 120);
    field.link.delay(Duration::ZERO);
    if is_long {
        field.link.cut();
        field.measure(start + 900..start + 5000);
        std::thread::sleep(Duration::from_secs(60));
        field.link.mend();
        field.check(start..start + 5000, 60);
    }
}

#[test]
fn a_full_edge_takes_nothing_more_or_drops_the_oldest_and_says_so() {
    for (when_full, drops) in [("stop", false), ("drop_oldest", true)] {
        let field = Field::new(when_full, &format!("max_mb = 1\nwhen_full = \"{when_full}\"\n"));
        field.link.cut();
        let pusher = token(&field.edge_dir, "demo", &["ingest"]);
        let start = now_s() - 3_000_000;
        let mut refused = 0;
        // A value of many digits, so that a few hundred thousand fill a megabyte.
        for group in 0..40_i64 {
            let object = |number: i64| {
                let at = start + group * 5000 + number;
                format!("{{\"device\":\"pusher\",\"time\":{at},\"values\":{{\"level\":{}}}}}", ((at % 100_000) as f64).sin())
            };
            let body = format!("[{}]", (0..5000).map(object).collect::<Vec<_>>().join(","));
            refused +=
                i32::from(field.edge.post("/api/v1/observations", &pusher, "application/json", &body.replace("pusher", "prova")).0 == 503);
        }
        assert_eq!(refused > 0, !drops, "{when_full}: {refused} refused");
        assert!(field.spool() < 3 << 19, "{when_full}: {}", field.spool());
        field.link.mend();
        eventually("the edge is empty again", 60, || field.spool() == 0);
        let gaps = field.centre.get("/api/v1/datastreams/prova-level/gaps?period=P60D");
        let dropped: u64 = gaps["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|gap| gap["reason"] == "dropped")
            .map(|gap| gap["count"].as_u64().unwrap())
            .sum();
        assert_eq!(
            field.centre.get("/api/v1/datastreams/prova-level")["count"].as_u64().unwrap() + dropped,
            u64::from(drops) * 200_000 + u64::from(!drops) * field.edge.get("/api/v1/datastreams/prova-level")["count"].as_u64().unwrap()
        );
        assert_eq!(dropped > 0, drops, "{gaps}");
    }
}
