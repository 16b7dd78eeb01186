//! Acceptance scenario 3: a gauge in Chianti, a value every five minutes, offline for six hours, then resends twice, shuffled, with
//! its clock seventy seconds fast. 72 rows, no duplicates, the ledger balances, the days it belongs to are whole.

use crate::support::{Dir, World, eventually, now_s, one_gauge, said, token};
use firmware_sim::backlog::Backlog;
use model::Timestamp;
use std::io::Write;
use std::process::{Command, Stdio};

const VALUES: i64 = 72;
const PERIOD_S: i64 = 300;

fn publish(world: &World, lines: &[String]) {
    let mut child = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", world.mqtt_port(), "-u", "prova", "-P", "prova", "-q", "1", "-t", "pescaia/v1/demo/prova", "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    lines.iter().for_each(|line| writeln!(stdin, "{line}").unwrap());
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_gauge_that_was_offline_six_hours_resends_twice_and_is_whole_and_once() {
    let dir = Dir::new("dead-link");
    let world = World::run(&dir, &one_gauge().replace("period_s = 10", "period_s = 300"));
    // Six hours ago it fell silent, with its clock seventy seconds fast.
    let end = now_s() - now_s() % PERIOD_S;
    let lost_at = Timestamp::from_seconds(end - VALUES * PERIOD_S);
    let backlog = Backlog { lost_at, period_s: PERIOD_S, count: VALUES, clock_ahead_s: 70 };
    publish(&world, &[backlog.message(0)]);
    let state = || world.get("/api/v1/latest")["items"][0].clone();
    eventually("it is seen", 5, || {
        state()["observation"].is_object() || state()["phenomenon_time"].is_string() || state()["age_s"].is_number()
    });
    assert_eq!(state()["stale"], true, "six hours old");
    publish(&world, &backlog.resent(1));
    publish(&world, &backlog.resent(2));
    let rows = world.observations("prova-level", "period=P1D");
    assert_eq!(rows.len(), usize::try_from(VALUES).unwrap() + 1, "72 rows and the one before");
    assert!(rows.is_sorted(), "in the order of the water, not of arrival");
    assert_eq!(state()["stale"], false);
    let auditor = token(&dir, "demo", &["audit"]);
    let printed = said(&dir, &["ledger"]);
    eprintln!("{printed}");
    let ledger: serde_json::Value = serde_json::from_str(&world.get_as("/api/v1/ledger", Some(&auditor)).1).unwrap();
    let line = &ledger["items"][0];
    assert_eq!(
        ["received", "accepted", "duplicates", "revised", "quarantined"].map(|count| line[count].as_u64().unwrap()),
        [145, 73, 72, 0, 0],
        "{ledger}"
    );
    assert_eq!(line["balances"], true);
    // Whole again: nothing is missing after the first but what the day has not yet brought.
    assert!(line["missing"].as_array().unwrap().iter().all(|missing| missing["to"].as_str().unwrap() > rows[1].0.as_str()), "{ledger}");
}
