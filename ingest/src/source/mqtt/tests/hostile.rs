//! Limits, and clients that mean no good or have gone mad.

use super::*;

fn quick() -> DoorSettings {
    DoorSettings { connect_timeout: Duration::from_millis(400), max_packet: 4096, ..DoorSettings::default() }
}

#[tokio::test]
async fn the_oldest_that_has_not_said_who_it_is_goes_for_a_newcomer() {
    for limits in [DoorSettings { max_unauthenticated: 3, ..patient() }, DoorSettings { per_address: 3, ..patient() }] {
        let world = World::with(limits).await;
        let mut inside = world.guest().await;
        let mut silent = Vec::new();
        for _ in 0..3 {
            let mut client = world.client().await;
            client.send(&[0x10]).await;
            silent.push(client);
        }
        let mut next = world.guest_named(b"ponte").await;
        assert_eq!(silent.remove(0).until_closed().await, b"", "the oldest");
        for client in &mut silent {
            client.send(&[20]).await;
        }
        for client in [&mut inside, &mut next] {
            client.send(&[0xC0, 0]).await;
            assert_eq!(client.receive(2).await, [0xD0, 0], "who has come in stays");
        }
        while world.metric("pescaia_mqtt_disconnects_total{reason=\"crowded\"}") != "1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(world.metric("pescaia_mqtt_connections"), "4");
    }
}

fn patient() -> DoorSettings {
    DoorSettings { connect_timeout: Duration::from_secs(30), ..DoorSettings::default() }
}

#[tokio::test]
async fn a_flood_of_half_connects_from_one_address_keeps_nobody_out() {
    let world = World::with(DoorSettings { per_address: 8, ..patient() }).await;
    let mut silent = Vec::new();
    for round in 0..20 {
        for _ in 0..16 {
            let mut client = world.client().await;
            client.send(&[0x10]).await;
            silent.push(client);
        }
        let mut honest = world.client().await;
        honest.send(&connect(4, format!("c{round}").as_bytes(), 0xC2, b"prova", b"prova")).await;
        assert_eq!(honest.receive(4).await, [0x20, 2, 0, 0]);
    }
    assert!(world.metric("pescaia_mqtt_connections").parse::<u32>().expect("a number") <= 8 + 20);
}

#[tokio::test]
async fn wrong_passwords_from_an_address_are_not_looked_at_for_ever_and_right_ones_still_are() {
    let world = World::with(DoorSettings { per_address: 1, ..patient() }).await;
    let _known = world.guest().await;
    // Not authorised, then server unavailable, without a look at the password.
    for expected in [5, 3] {
        let mut client = world.client().await;
        client.send(&connect(4, b"c", 0xC2, b"prova", b"wrong")).await;
        assert_eq!(client.receive(4).await, [0x20, 2, 0, expected]);
    }
    let _again = world.guest().await;
}

#[tokio::test]
async fn a_client_beyond_its_credential_s_sessions_is_taken_without_one() {
    let world = World::with(DoorSettings { max_sessions: 2, ..patient() }).await;
    for (name, again) in [(b"s1", [0x20, 2, 1, 0]), (b"s2", [0x20, 2, 1, 0]), (b"s3", [0x20, 2, 0, 0])] {
        for expected in [[0x20, 2, 0, 0], again] {
            let mut client = world.client().await;
            // Without the bit for a clean session.
            client.send(&connect(4, name, 0xC0, b"prova", b"prova")).await;
            assert_eq!(client.receive(4).await, expected, "{name:?}");
            client.send(&publish(0x32, b"pescaia/v1/demo/prova/level", 1, b"142", 4)).await;
            assert_eq!(client.receive(4).await, [0x40, 2, 0, 1], "what it publishes is taken");
            client.send(&[0xE0, 0]).await;
            assert_eq!(client.until_closed().await, b"");
        }
    }
    let mut five = world.client().await;
    five.send(&connect_five_keeping(b"s4")).await;
    let answer = five.receive(4).await;
    assert_eq!((answer[0], answer[2], answer[3]), (0x20, 0, 0));
    let properties = five.receive(usize::from(answer[1]) - 2).await;
    assert!(properties.windows(5).any(|property| property == [0x11, 0, 0, 0, 0]), "session expiry 0: {properties:02x?}");
}

/// A CONNECT of MQTT 5 that wants its session kept for an hour.
fn connect_five_keeping(client: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0xC0, 0, 60, 5, 0x11, 0, 0, 0x0E, 0x10];
    for text in [client, b"prova", b"prova"] {
        body.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
        body.extend(text);
    }
    [vec![0x10, u8::try_from(body.len()).expect("short")], body].concat()
}

#[tokio::test]
async fn who_drips_its_connect_is_cut_and_leaves_nothing_behind() {
    let world = World::with(quick()).await;
    let hello = connect(4, b"slow", 0xC2, b"prova", b"prova");
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(world.client().await);
    }
    let start = std::time::Instant::now();
    for byte in &hello {
        for client in &mut slow {
            client.send(&[*byte]).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for client in &mut slow {
        assert_eq!(client.until_closed().await, b"", "each byte in time is not enough");
    }
    while world.metric("pescaia_mqtt_connections") != "0" {
        assert!(start.elapsed() < Duration::from_secs(10), "a connection is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _next = world.guest().await;
}

#[tokio::test]
async fn there_are_never_more_connections_than_the_limit() {
    let world = World::with(DoorSettings { max_connections: 1, ..quick() }).await;
    let _inside = world.guest().await;
    assert_eq!(world.client().await.until_closed().await, b"");
}

#[tokio::test]
async fn who_sends_beyond_its_owner_s_quota_waits_and_loses_nothing() {
    let world = World::with(DoorSettings { messages_per_s: 20, ..quick() }).await;
    let mut client = world.guest().await;
    let start = std::time::Instant::now();
    let heap: Vec<u8> = (1..=50).flat_map(|pid| publish(0x32, b"pescaia/v1/demo/prova/level", pid, b"142", 4)).collect();
    client.send(&heap).await;
    for pid in 1..=50 {
        assert_eq!(client.receive(4).await, [0x40, 2, 0, pid]);
    }
    assert!(start.elapsed() >= Duration::from_millis(400), "40 at once, then 20 each second: {:?}", start.elapsed());
    assert_eq!(world.kept().0.len(), 50);
    assert!(world.metric("pescaia_mqtt_throttled_total").parse::<u32>().expect("a number") >= 5);
}

#[tokio::test]
async fn who_keeps_silent_longer_than_it_said_is_cut() {
    let world = World::new().await;
    let mut client = world.client().await;
    let mut hello = connect(4, b"c1", 0xC2, b"prova", b"prova");
    hello[11] = 1; // keep-alive of 1 s
    client.send(&hello).await;
    assert_eq!(client.receive(4).await, [0x20, 2, 0, 0]);
    let start = std::time::Instant::now();
    assert_eq!(client.until_closed().await, b"");
    assert!(start.elapsed() >= Duration::from_millis(1400), "not before one and a half times: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_packet_that_announces_256_mb_is_cut_at_its_header() {
    let world = World::new().await;
    let mut client = world.guest().await;
    client.send(&[0x32, 0xFF, 0xFF, 0xFF, 0x7F]).await;
    assert_eq!(client.until_closed().await, b"");
    let mut stranger = world.client().await;
    stranger.send(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]).await;
    assert_eq!(stranger.until_closed().await, b"");
}

#[tokio::test]
async fn packets_in_crumbs_and_packets_in_a_heap_are_the_same() {
    let world = World::new().await;
    let heap = [
        connect(4, b"c1", 0xC2, b"prova", b"prova"),
        publish(0x32, b"pescaia/v1/demo/prova/level", 1, b"142", 4),
        publish(0x30, b"pescaia/v1/demo/prova/level", 0, b"143", 4),
        publish(0x33, b"pescaia/v1/demo/prova/level", 2, b"144", 4),
        vec![0xE0, 0],
    ]
    .concat();
    let expected = [0x20, 2, 0, 0, 0x40, 2, 0, 1, 0x40, 2, 0, 2];
    let mut whole = world.client().await;
    whole.send(&heap).await;
    assert_eq!(whole.until_closed().await, expected);
    let mut crumbs = world.client().await;
    for byte in &heap {
        crumbs.send(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(crumbs.until_closed().await, expected);
    assert_eq!(world.kept().0, [1.42, 1.43, 1.44, 1.42, 1.43, 1.44], "QoS 0 is kept too, unacknowledged");
}

/// Real conversations with bytes changed, cut and doubled; afterwards the door stands as before.
#[tokio::test]
async fn no_bytes_bring_the_door_down() {
    let world = World::with(DoorSettings { connect_timeout: Duration::from_millis(20), ..quick() }).await;
    let mut witness = world.guest_named(b"ponte").await;
    let seed = 20_261_123_u64;
    eprintln!("seed {seed}");
    let mut dice = seed;
    let mut roll = |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).expect("small") % sides
    };
    for round in 0..600 {
        let level = if round % 2 == 0 { 4 } else { 5 };
        let mut bytes = [
            connect(level, b"mad", 0xC2, b"prova", b"prova"),
            publish(0x32, TOPIC, 1, br#"{"time":"2026-11-23T06:20:00Z","values":{"level":142}}"#, level),
            publish(0x32, b"pescaia/v1/demo/prova/level", 2, b"142", level),
            vec![0xC0, 0],
        ]
        .concat();
        // Most leave the CONNECT alone, to get inside.
        let inside = if roll(4) == 0 { 0 } else { 40 };
        for _ in 0..1 + roll(5) {
            let place = inside + roll(bytes.len() - inside);
            bytes[place] = u8::try_from(roll(256)).expect("a byte");
        }
        bytes.truncate(inside + roll(bytes.len() - inside));
        let mut client = world.client().await;
        client.send(&bytes).await;
        let _ = client.stream.shutdown().await;
        client.until_closed().await;
    }
    witness.send(&publish(0x32, b"pescaia/v1/demo/prova/level", 3, b"142", 4)).await;
    assert_eq!(witness.receive(4).await, [0x40, 2, 0, 3]);
    let mut next = world.client().await;
    next.send(&connect(4, b"next", 0xC2, b"ponte", b"prova")).await;
    assert_eq!(next.receive(4).await, [0x20, 2, 0, 0], "the next client is unaffected");
}
