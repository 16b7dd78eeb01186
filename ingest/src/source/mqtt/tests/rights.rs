//! Who may speak for whom, and what becomes of who may not.

use super::*;

#[tokio::test]
async fn a_gateway_speaks_for_every_device_of_its_owner() {
    let world = World::new().await;
    let mut client = world.guest_named(b"ponte").await;
    for (pid, topic) in (1..).zip(["demo/prova/level", "demo/nuova/level", "demo/ponte/level"]) {
        client.send(&publish(0x32, format!("pescaia/v1/{topic}").as_bytes(), pid, b"142", 4)).await;
        assert_eq!(client.receive(4).await, [0x40, 2, 0, u8::try_from(pid).expect("small")]);
    }
    assert_eq!(world.kept(), (vec![1.42], vec!["unknown-device", "unknown-channel"]));
    client.send(&publish(0x32, b"pescaia/v1/altri/prova/level", 4, b"142", 4)).await;
    assert_eq!(client.until_closed().await, b"", "not for those of others");
}

#[tokio::test]
async fn who_tries_topics_of_others_has_to_stay_outside_for_a_while() {
    let world = World::new().await;
    let mut client = world.guest().await;
    client.send(&publish(0x32, b"pescaia/v1/demo/prova/level", 1, b"142", 4)).await;
    client.send(&publish(0x32, b"pescaia/v1/demo/ponte/level", 2, b"1", 4)).await;
    client.send(&publish(0x32, b"pescaia/v1/demo/prova/level", 3, b"143", 4)).await;
    assert_eq!(client.until_closed().await, [0x40, 2, 0, 1], "nothing after the refused one is taken");
    let mut again = world.client().await;
    again.send(&connect(4, b"another", 0xC2, b"prova", b"prova")).await;
    assert_eq!(again.until_closed().await, [0x20, 2, 0, 3], "busy for this user, whatever the client id");
    let mut guess = world.client().await;
    guess.send(&connect(4, b"another", 0xC2, b"prova", b"wrong")).await;
    assert_eq!(guess.until_closed().await, [0x20, 2, 0, 5], "who has no password learns nothing of it");
    let _other = world.guest_named(b"ponte").await;
    assert_eq!(world.kept().0, [1.42]);
}

#[tokio::test]
async fn a_token_is_a_password_that_is_checked_at_once() {
    use sha2::{Digest, Sha256};
    let token = "5f1d7a84db00d2fce00b31a7fc73224f5f1d7a84db00d2fce00b31a7fc73224f";
    let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    let device = format!("[[device]]\nid = \"cheap\"\nowner = \"demo\"\nmqtt = {{ user = \"cheap\", token_sha256 = \"{digest}\" }}\n");
    let world = World::open(Store::in_memory(Arc::new(Fixed)).expect("a store"), DoorSettings::default(), &device, None).await;
    for (password, expected) in [(token, 0), (&token[1..], 5), (&digest, 5), ("", 5), (token, 0)] {
        let mut client = world.client().await;
        client.send(&connect(4, b"c1", 0xC2, b"cheap", password.as_bytes())).await;
        assert_eq!(client.receive(4).await, [0x20, 2, 0, expected], "{password}");
    }
}

/// Measured from below, as other work on the machine only ever makes an answer later: a no that skipped the slow hash would come a
/// hundred times sooner.
#[tokio::test]
async fn no_no_comes_sooner_than_a_slow_hash() {
    let devices = [("cheap", "user = \"cheap\", token_sha256 = \"0000\""), ("shows", "user = \"shows\", certificate_name = \"n\"")].map(
        |(id, mqtt)| {
            let mqtt = mqtt.replace("0000", &"00".repeat(32));
            format!("[[device]]\nid = \"{id}\"\nowner = \"demo\"\nmqtt = {{ {mqtt} }}\n")
        },
    );
    let world = World::open(Store::in_memory(Arc::new(Fixed)).expect("a store"), DoorSettings::default(), &devices.concat(), None).await;
    let hashing = || {
        let start = std::time::Instant::now();
        hash_password("prova").expect("a hash");
        start.elapsed()
    };
    let shortest = (0..10).map(|_| hashing()).min().expect("some");
    for (user, password) in [("prova", "wrong"), ("nobody", "prova"), ("", ""), ("cheap", "wrong"), ("shows", "wrong")] {
        let mut client = world.client().await;
        let start = std::time::Instant::now();
        client.send(&connect(4, b"c1", 0xC2, user.as_bytes(), password.as_bytes())).await;
        assert_eq!(client.receive(4).await, [0x20, 2, 0, 5]);
        assert!(start.elapsed() > shortest / 2, "{user}: {:?}, hashing takes {shortest:?}", start.elapsed());
    }
}

#[tokio::test]
async fn mqtt_3_1_hears_nothing_of_sessions() {
    let world = World::new().await;
    for _ in 0..2 {
        let mut client = world.client().await;
        client.send(&connect(3, b"old", 0xC0, b"prova", b"prova")).await;
        assert_eq!(client.receive(4).await, [0x20, 2, 0, 0]);
    }
    assert!(world.store.has_session("prova/old"));
}

#[tokio::test]
async fn a_client_id_may_be_missing_but_not_endless() {
    let world = World::new().await;
    for (id, flags, expected) in [(&b""[..], 0xC2, 0), (b"", 0xC0, 2), (&[b'x'; 256], 0xC0, 0), (&[b'x'; 257], 0xC0, 2)] {
        let mut client = world.client().await;
        client.send(&connect(4, id, flags, b"prova", b"prova")).await;
        assert_eq!(client.receive(4).await, [0x20, 2, 0, expected], "{} bytes", id.len());
    }
}
