//! F14: a credential that names ever new things. What nobody knows is kept in the quarantine as far as there is room, never becomes a
//! series by itself, and costs neither the others nor the memory.

use crate::support::mqtt::{connect, packet, publish};
use crate::support::{Dir, HASH, World, one_gauge, token};
use std::io::{Read, Write};
use std::net::TcpStream;

/// Publishes to as many topics that nobody knows, 64 in flight; all must be acknowledged.
fn flood(world: &World, topics: u32) {
    let mut stream = TcpStream::connect(&world.mqtt).unwrap();
    stream.write_all(&connect("mad", "mad")).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[3], 0, "let in");
    for first in (0..topics).step_by(64) {
        let wanted = 64.min(topics - first);
        let heap: Vec<u8> = (0..wanted)
            .flat_map(|n| {
                publish(&format!("pescaia/v1/demo/device-{}/channel-{n}", first / 64), u16::try_from(n + 1).unwrap(), "1.5", false)
            })
            .collect();
        stream.write_all(&heap).unwrap();
        let mut acks = vec![0; 4 * wanted as usize];
        stream.read_exact(&mut acks).unwrap();
        assert!(acks.chunks(4).all(|ack| ack[0] == 0x40), "acknowledged");
    }
    stream.write_all(&packet(0xE0, &[])).unwrap();
}

#[test]
fn a_credential_that_names_ever_new_things_harms_nobody() {
    let is_long = std::env::var("PESCAIA_LONG").is_ok();
    let topics = if is_long { 1_000_000 } else { 120_000 };
    let dir = Dir::new("flood");
    let mad =
        format!("[[device]]\nid = \"mad\"\nowner = \"demo\"\nmqtt = {{ user = \"mad\", password_hash = \"{HASH}\", gateway = true }}\n");
    let world = World::run(&dir, &(one_gauge() + &mad));
    let (before, _) = world.weight();
    let gauge = std::thread::spawn({
        let door = world.mqtt.clone();
        move || {
            let mut gauge = crate::support::mqtt::Publisher::new("gauge", "prova", "pescaia/v1/demo/prova/level", 1, |_| "1.5".into());
            let lost = gauge.publish(&door, &|now| now.acked >= 200);
            (lost, gauge.acked)
        }
    });
    flood(&world, topics);
    assert_eq!(gauge.join().unwrap(), (false, 200), "the gauge beside it");
    let (after, _) = world.weight();
    let summary = world.get_as("/api/v1/quarantine/summary", Some(&token(&dir, "demo", &["audit"]))).1;
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["dropped"].as_u64(), Some(u64::from(topics) - 100_000), "the oldest made room, and are counted");
    let status = world.get("/status");
    assert_eq!(status["datastreams"].as_u64(), Some(1), "{status}");
    eprintln!("F14: {topics} topics; resident {} MB before, {} MB after", before >> 20, after >> 20);
    assert!(after < before + (160 << 20), "resident {before} before, {after} after");
}
