//! What MQTT 5 can say that 3.1.1 can not.

use super::*;

const LEVEL: &[u8] = b"pescaia/v1/demo/prova/level";

/// A publish with properties.
fn publish_with(first: u8, topic: &[u8], pid: u16, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(properties.len()).expect("short");
    packet(first, &[&text(topic)[..], &pid.to_be_bytes(), &[length], properties, payload].concat())
}

#[tokio::test]
async fn the_limits_are_announced() {
    let world = World::new().await;
    let mut client = world.client().await;
    client.send(&connect(5, b"c5", 0xC2, b"prova", b"prova")).await;
    let length = client.receive(2).await[1];
    let connack = client.receive(usize::from(length)).await;
    for property in [&[0x21, 0, 64][..], &[0x27, 0, 0, 16, 0], &[0x22, 0, 0], &[0x25, 0], &[0x2A, 0]] {
        assert!(connack.windows(property.len()).any(|window| window == property), "{property:02X?} in {connack:02X?}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_with_its_reason() {
    let world = World::new().await;
    for (user, password) in [(&b"prova"[..], &b"wrong"[..]), (b"nobody", b"prova")] {
        let mut client = world.client().await;
        client.send(&connect(5, b"c5", 0xC2, user, password)).await;
        assert_eq!(client.until_closed().await, [0x20, 3, 0, 0x87, 0]);
    }
}

#[tokio::test]
async fn a_session_with_an_expiry_is_remembered() {
    let world = World::new().await;
    // Clean start and expiry (s), and whether a session is present then.
    for (clean, expiry, present) in
        [(true, 0, 0), (false, 60, 0), (false, 60, 1), (true, 60, 0), (false, 60, 1), (false, 0, 1), (false, 0, 0)]
    {
        let mut body = text(b"MQTT");
        body.extend([5, if clean { 0xC2 } else { 0xC0 }, 0, 60, 5, 0x11, 0, 0, 0, expiry]);
        for part in [b"keeper".as_slice(), b"prova", b"prova"] {
            body.extend(text(part));
        }
        let mut client = world.client().await;
        client.send(&packet(0x10, &body)).await;
        assert_eq!(client.receive(4).await[2..], [present, 0], "clean {clean}, expiry {expiry}");
        assert_eq!(world.store.has_session("prova/keeper"), expiry > 0);
    }
}

#[tokio::test]
async fn each_answer_has_its_reason() {
    let world = World::new().await;
    let mut client = world.guest_of_5().await;
    for (packet, expected) in [
        (publish(0x32, LEVEL, 1, b"142", 5), &[0x40, 2, 0, 1][..]),
        (publish(0x32, LEVEL, 2, b"high", 5), &[0x40, 3, 0, 2, 0x99]),
        (publish(0x32, TOPIC, 3, br#"{"time":"2026-11-23T06:29:00Z","values":{"level":1,"depth":2}}"#, 5), &[0x40, 2, 0, 3]),
        (publish(0x32, b"pescaia/v1/demo/altra", 4, b"1", 5), &[0x40, 3, 0, 4, 0x87]),
        // Announced as UTF-8, and it is not: bad content, not a broken packet.
        (publish_with(0x32, LEVEL, 5, &[1, 1, 3, 0, 1, b'x'], b"\xff\xfe"), &[0x40, 3, 0, 5, 0x99]),
        (publish_with(0x32, LEVEL, 6, &[1, 1], b"143"), &[0x40, 2, 0, 6]),
        (super::packet(0x82, &[&[0, 7, 0][..], &text(b"$SYS/#"), &[1]].concat()), &[0x90, 4, 0, 7, 0, 0x87]),
        (super::packet(0xA2, &[&[0, 8, 0][..], &text(b"#")].concat()), &[0xB0, 4, 0, 8, 0, 0x11]),
        (super::packet(0x62, &[0, 9]), &[0x70, 2, 0, 9]),
        (vec![0xC0, 0], &[0xD0, 0]),
    ] {
        client.send(&packet).await;
        let answer = client.receive(expected.len()).await;
        assert_eq!(answer, expected, "{packet:02X?}: {answer:02X?}");
    }
    let (values, codes) = world.kept();
    assert_eq!((values, codes), (vec![0.01, 1.42, 1.43], vec!["not-a-number", "unknown-channel", "not-a-number"]));
    let raw = world.view().quarantine(&store::Wanted::default(), 1).expect("read").remove(0).bytes;
    assert_eq!(raw, b"\xff\xfe", "the bytes are kept as they came");
}

#[tokio::test]
async fn who_breaks_the_rules_is_told_which() {
    let world = World::new().await;
    for (bad, reason) in [
        (packet(0x32, &vec![b'x'; 5000]), 0x95),
        (publish(0x32, b"", 1, b"1", 5), 0x90),
        (publish_with(0x32, b"", 1, &[0x23, 0, 1], b"1"), 0x94),
        (publish(0x32, b"pescaia/v1/demo/+", 1, b"1", 5), 0x81),
        (vec![0xF0, 0], 0x82),
        (vec![0xC1, 0], 0x81),
        (connect(5, b"c5", 0xC2, b"prova", b"prova"), 0x82),
    ] {
        let mut client = world.guest_of_5().await;
        client.send(&publish(0x32, LEVEL, 9, b"142", 5)).await;
        client.send(&bad).await;
        // What was taken before is acknowledged before the last word.
        let heard = client.until_closed().await;
        assert_eq!(heard, [0x40, 2, 0, 9, 0xE0, 1, reason], "{bad:.40?}: {heard:02X?}");
    }
    for goodbye in [&[0xE0, 0][..], &[0xE0, 1, 0], &[0xE0, 1, 4], &[0xE0, 2, 0, 0]] {
        let mut client = world.guest_of_5().await;
        client.send(&publish(0x32, LEVEL, 9, b"142", 5)).await;
        client.send(goodbye).await;
        assert_eq!(client.until_closed().await, [0x40, 2, 0, 9], "{goodbye:02X?} is a clean goodbye");
    }
}

#[tokio::test]
async fn at_the_end_what_was_taken_is_settled_and_the_reason_said() {
    let world = World::new().await;
    let mut client = world.guest_of_5().await;
    let mut elder = world.guest_named(b"ponte").await;
    client.send(&publish(0x32, LEVEL, 9, b"142", 5)).await;
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 9]);
    world.stop.send_replace(true);
    assert_eq!(client.until_closed().await, [0xE0, 1, 0x8B]);
    assert_eq!(elder.until_closed().await, b"");
    drop((client, elder));
    tokio::time::timeout(Duration::from_secs(5), world.running).await.expect("ended in time").expect("ended well");
    assert!(TcpStream::connect(world.door).await.is_err(), "the door is shut");
}
