//! F1: kill -9 under load. What was acknowledged is there, once, whatever moment the process died at.

use crate::support::crew::{Crew, network};
use crate::support::{Dir, World, configure, pescaia};
use std::time::{Duration, Instant};

const PUBLISHERS: usize = 50;

#[test]
fn nothing_acknowledged_is_lost_by_twenty_kills_under_fifty_publishers() {
    let kills: u64 = if std::env::var("PESCAIA_LONG").is_ok() { 200 } else { 20 };
    let wanted_per_kill = 100_000 / kills + 1;
    let dir = Dir::new("kill");
    let config = configure(&dir, &network(PUBLISHERS, 1));
    let start = || World::start(pescaia().env("PESCAIA_LOG", "error").arg("run").arg("--config").arg(&config));
    let mut world = start();
    let crew = Crew::start(&world, PUBLISHERS, Duration::from_secs(20));
    let seed = 11_u64;
    eprintln!("seed {seed}");
    let mut dice = seed;
    let mut restarts = Vec::new();
    for kill in 1..=kills {
        crew.reaches(&mut world, kill * wanted_per_kill);
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((dice >> 33) % 120));
        world.kill();
        let restart = Instant::now();
        world = start();
        restarts.push(restart.elapsed());
        crew.turns_to(&world);
    }
    let ledger = crew.ends(&world);
    restarts.sort();
    eprintln!(
        "F1: {kills} kills: {ledger:?}, 0 twice; restart to ready: median {:?}, longest {:?}",
        restarts[restarts.len() / 2],
        restarts.last().unwrap()
    );
    assert_eq!((ledger.lost, ledger.wrong), (0, 0));
    assert!(ledger.acked >= 100_000, "enough happened");
    assert!(ledger.resent >= kills, "each kill cost a resend");
    assert_eq!(world.terminate(), Some(0), "a quiet end");
}
