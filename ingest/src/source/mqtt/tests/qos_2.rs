//! QoS 2: on disk before its PUBREC, and once however often it comes before its PUBREL.

use super::*;

const LEVEL: &[u8] = b"pescaia/v1/demo/prova/level";

#[tokio::test]
async fn a_message_is_kept_once_until_it_is_released() {
    let world = World::new().await;
    for level in [4, 5] {
        let mut client = if level == 4 { world.guest().await } else { world.guest_of_5().await };
        // A bare number has no time of its own: each time it is taken it is another observation.
        client.send(&publish(0x34, LEVEL, 7, b"142", level)).await;
        assert_eq!(client.receive(4).await, [0x50, 2, 0, 7]);
        for first in [0x3C, 0x34] {
            client.send(&publish(first, LEVEL, 7, b"142", level)).await;
            assert_eq!(client.receive(4).await, [0x50, 2, 0, 7], "said again");
        }
        for _ in 0..2 {
            client.send(&packet(0x62, &[0, 7])).await;
            assert_eq!(client.receive(4).await, [0x70, 2, 0, 7], "an unknown release too");
        }
        client.send(&publish(0x34, LEVEL, 7, b"143", level)).await;
        assert_eq!(client.receive(4).await, [0x50, 2, 0, 7], "released, so this is another message");
    }
    assert_eq!(world.kept(), (vec![1.42, 1.43, 1.42, 1.43], vec![]));
}

#[tokio::test]
async fn a_message_that_comes_again_before_its_commit_is_kept_once_too() {
    let world = World::new().await;
    let mut client = world.guest().await;
    let mut heap: Vec<u8> = (0..50).flat_map(|_| publish(0x34, LEVEL, 7, b"142", 4)).collect();
    heap.extend([0xC0, 0]);
    client.send(&heap).await;
    let mut heard = Vec::new();
    while !heard.ends_with(&[0x50, 2, 0, 7]) {
        heard.extend(client.receive(1).await);
    }
    assert_eq!(world.kept().0, [1.42]);
}

#[tokio::test]
async fn receipts_and_acknowledgements_keep_one_order() {
    let world = World::new().await;
    let mut client = world.guest().await;
    let heap = [publish(0x32, LEVEL, 1, b"1", 4), publish(0x34, LEVEL, 2, b"2", 4), publish(0x32, LEVEL, 3, b"3", 4)].concat();
    client.send(&heap).await;
    assert_eq!(client.receive(12).await, [0x40, 2, 0, 1, 0x50, 2, 0, 2, 0x40, 2, 0, 3]);
}

#[tokio::test]
async fn mqtt_5_is_told_why_and_then_the_packet_id_is_free() {
    let world = World::new().await;
    let mut client = world.guest_of_5().await;
    for (topic, payload, expected) in [
        (LEVEL, &b"high"[..], &[0x50, 3, 0, 7, 0x99][..]),
        (b"pescaia/v1/demo/altra/level", b"1", &[0x50, 3, 0, 7, 0x87]),
        (LEVEL, b"142", &[0x50, 2, 0, 7]),
    ] {
        client.send(&publish(0x34, topic, 7, payload, 5)).await;
        assert_eq!(client.receive(expected.len()).await, expected);
    }
    assert_eq!(world.kept(), (vec![1.42], vec!["not-a-number"]));
}

#[tokio::test]
async fn in_3_1_1_bad_content_is_received_and_what_is_not_authorised_closes() {
    let world = World::new().await;
    let mut client = world.guest().await;
    client.send(&publish(0x34, LEVEL, 7, b"high", 4)).await;
    assert_eq!(client.receive(4).await, [0x50, 2, 0, 7]);
    client.send(&publish(0x34, b"pescaia/v1/demo/altra/level", 8, b"1", 4)).await;
    assert_eq!(client.until_closed().await, b"");
}

#[tokio::test]
async fn who_releases_nothing_may_not_go_on_for_ever() {
    let world = World::with(DoorSettings { max_unacked: 3, ..DoorSettings::default() }).await;
    let mut client = world.guest_of_5().await;
    for pid in 1..=3 {
        client.send(&publish(0x34, LEVEL, pid, b"142", 5)).await;
        client.receive(4).await;
    }
    client.send(&publish(0x34, LEVEL, 4, b"142", 5)).await;
    assert_eq!(client.until_closed().await, [0xE0, 1, 0x93], "more than the Receive Maximum");
}

#[tokio::test]
async fn a_message_not_released_is_the_same_over_the_next_connection_of_a_kept_session() {
    let world = World::new().await;
    let come = |flags| connect(4, b"keeper", flags, b"prova", b"prova");
    let message = |first| publish(first, LEVEL, 7, b"142", 4);
    let mut client = world.client().await;
    client.send(&come(0xC0)).await;
    assert_eq!(client.receive(4).await, [0x20, 2, 0, 0]);
    client.send(&message(0x34)).await;
    assert_eq!(client.receive(4).await, [0x50, 2, 0, 7]);
    // The connection breaks; then another takes over without the first having been lost.
    drop(client);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut client = world.client().await;
        client.send(&come(0xC0)).await;
        assert_eq!(client.receive(4).await, [0x20, 2, 1, 0]);
        client.send(&message(0x3C)).await;
        assert_eq!(client.receive(4).await, [0x50, 2, 0, 7], "said again, not kept again");
        kept.push(client);
    }
    assert_eq!(world.kept().0, [1.42]);
    let mut client = kept.pop().expect("there");
    client.send(&packet(0x62, &[0, 7])).await;
    assert_eq!(client.receive(4).await, [0x70, 2, 0, 7]);
    client.send(&message(0x34)).await;
    assert_eq!(client.receive(4).await, [0x50, 2, 0, 7]);
    assert_eq!(world.kept().0, [1.42, 1.42], "released, so this is another message");
    // A clean session knows nothing of an earlier one.
    let mut clean = world.client().await;
    clean.send(&come(0xC2)).await;
    assert_eq!(clean.receive(4).await, [0x20, 2, 0, 0]);
    clean.send(&message(0x34)).await;
    assert_eq!(clean.receive(4).await, [0x50, 2, 0, 7]);
    assert_eq!(world.kept().0, [1.42, 1.42, 1.42]);
}

#[tokio::test]
async fn a_bridge_that_says_that_it_is_there_and_what_clears_a_retained_message_are_no_readings() {
    let world = World::new().await;
    for level in [4, 5] {
        let mut client = if level == 4 { world.guest().await } else { world.guest_of_5().await };
        client.send(&publish(0x33, b"$SYS/broker/connection/office.to-pescaia/state", 7, b"1", level)).await;
        assert_eq!(client.receive(4).await, [0x40, 2, 0, 7]);
        client.send(&publish(0x33, LEVEL, 8, b"", level)).await;
        assert_eq!(client.receive(4).await, [0x40, 2, 0, 8]);
    }
    assert_eq!(world.kept(), (vec![], vec![]));
    // Retained says nothing of age here; an empty message that clears nothing is none.
    let mut client = world.guest().await;
    client.send(&publish(0x33, LEVEL, 7, b"142", 4)).await;
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 7]);
    client.send(&publish(0x32, LEVEL, 8, b"", 4)).await;
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 8]);
    assert_eq!(world.kept(), (vec![1.42], vec!["not-a-number"]));
    client.send(&publish(0x32, b"$SYS/broker/uptime", 9, b"1", 4)).await;
    assert_eq!(client.until_closed().await, b"", "no other topic of a broker's own");
}
