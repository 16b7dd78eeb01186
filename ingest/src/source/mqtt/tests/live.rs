//! Who subscribes hears what is committed, as far as it may see it, and slows nobody down.

use super::*;
use model::{Quality, Timestamp};

const LEVEL: &[u8] = b"pescaia/v1/demo/prova/level";

/// Another owner's gauge whose datastream is private, and a device of that owner.
pub(super) const NEIGHBOUR: &str = r#"
    [[owner]]
    id = "altri"
    name = "altri"
    [[station]]
    id = "vicina"
    owner = "altri"
    name = "Vicina"
    where = [43.9, 11.2]
    [[datastream]]
    id = "vicina-level"
    station = "vicina"
    property = "water_level"
    period_s = 10
    [[device]]
    id = "vicina"
    owner = "altri"
    mqtt = { user = "vicina", password_hash = "HASH" }
    feeds = [{ channel = "level", datastream = "vicina-level", unit = "m" }]
"#;

async fn with_neighbour() -> World {
    let world = World::new().await;
    let network = NEIGHBOUR.replace("HASH", &hash_password("prova").expect("a hash"));
    let network = store::load_embedded("neighbour.toml", &network, &[]).expect("a network");
    world.store.apply(&network).expect("applied");
    world
}

pub(super) fn subscribe(level: u8, pid: u8, filters: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![0, pid];
    if level == 5 {
        body.push(0);
    }
    for filter in filters {
        body.extend(text(filter));
        body.push(1);
    }
    packet(0x82, &body)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Topic and payload of the next message of QoS 0.
    async fn hears(&mut self, level: u8) -> (String, String) {
        assert_eq!(self.receive(1).await, [0x30]);
        let mut length = 0;
        for place in 0.. {
            let byte = usize::from(self.receive(1).await[0]);
            length |= (byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                break;
            }
        }
        let body = self.receive(length).await;
        let topic_length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let (topic, rest) = body[2..].split_at(topic_length);
        let rest = if level == 5 { rest.strip_prefix(&[0]).expect("no properties") } else { rest };
        (String::from_utf8(topic.to_vec()).expect("text"), String::from_utf8(rest.to_vec()).expect("text"))
    }
    async fn hears_nothing(&mut self) {
        self.send(&[0xC0, 0]).await;
        assert_eq!(self.receive(2).await, [0xD0, 0], "nothing stands before the answer to a ping");
    }
}

#[tokio::test]
async fn what_is_published_and_committed_comes_out_where_it_went_in() {
    let world = World::new().await;
    for (level, heard_before) in [(4, 5), (5, 4)] {
        let mut listener = if level == 4 { world.guest_named(b"ponte").await } else { world.guest_of_5().await };
        listener.send(&subscribe(level, 9, &[b"pescaia/v1/demo/+/level"])).await;
        let granted: &[u8] = if level == 4 { &[0x90, 3, 0, 9, 0] } else { &[0x90, 4, 0, 9, 0, 0] };
        assert_eq!(listener.receive(granted.len()).await, granted, "as QoS 0");
        let mut speaker = world.client().await;
        speaker.send(&connect(4, b"speaker", 0xC2, b"prova", b"prova")).await;
        speaker.receive(4).await;
        let payload = format!(r#"{{"time":"2026-11-23T06:2{heard_before}:00Z","values":{{"level":142}}}}"#);
        speaker.send(&publish(0x32, TOPIC, 1, payload.as_bytes(), 4)).await;
        assert_eq!(speaker.receive(4).await, [0x40, 2, 0, 1]);
        let expected =
            format!(r#"{{"time":"2026-11-23T06:2{heard_before}:00Z","value":1.42,"unit":"m","quality":1,"datastream":"prova-level"}}"#);
        assert_eq!(listener.hears(level).await, ("pescaia/v1/demo/prova/level".to_owned(), expected));
        // A duplicate is no news, nor is what went to the quarantine.
        speaker.send(&publish(0x32, TOPIC, 2, payload.as_bytes(), 4)).await;
        speaker.send(&publish(0x32, TOPIC, 3, b"nonsense", 4)).await;
        assert_eq!(speaker.receive(8).await, [0x40, 2, 0, 2, 0x40, 2, 0, 3]);
        listener.hears_nothing().await;
    }
}

#[tokio::test]
async fn each_filter_is_judged_alone() {
    let world = with_neighbour().await;
    let cases: [(&[u8], u8, u8); 14] = [
        (b"pescaia/v1/demo/prova/level", 0, 0),
        (b"pescaia/v1/demo/+/+", 0, 0),
        (b"pescaia/v1/demo/not-yet/level", 0, 0),
        (b"pescaia/v1/#", 0, 0),
        (b"#", 0, 0),
        (b"+/+/+/+/level", 0, 0),
        (b"pescaia/v1/altri/#", 0x80, 0x87),
        (b"pescaia/v1/altri/vicina/level", 0x80, 0x87),
        (b"pescaia/v1/nobody/+/level", 0x80, 0x87),
        (b"pescaia/v1/demo/prova/level/more", 0x80, 0x87),
        (b"/pescaia/v1/demo/prova/level", 0x80, 0x87),
        (b"$SYS/#", 0x80, 0x87),
        (b"$share/g/pescaia/v1/demo/prova/level", 0x80, 0x9E),
        (&[b'x'; 600], 0x80, 0x97),
    ];
    let filters = cases.map(|(filter, ..)| filter);
    let mut elder = world.guest().await;
    elder.send(&subscribe(4, 1, &filters)).await;
    let grants = elder.receive(4 + cases.len()).await.split_off(4);
    assert_eq!(grants, cases.map(|(_, elder, _)| elder));
    let mut younger = world.guest_of_5().await;
    younger.send(&subscribe(5, 1, &filters)).await;
    let grants = younger.receive(5 + cases.len()).await.split_off(5);
    assert_eq!(grants, cases.map(|(.., younger)| younger));
    younger.send(&subscribe(5, 3, &[&b"#"[..]; 65])).await;
    assert_eq!(younger.receive(5 + 65).await[5..], [0x97; 65], "too many at once");
    younger.send(&packet(0x82, &[&[0, 2, 2, 0x0B, 5][..], &text(b"#"), &[0]].concat())).await;
    assert_eq!(younger.receive(6).await, [0x90, 4, 0, 2, 0, 0xA1], "we announce that we take no identifiers");
}

#[tokio::test]
async fn nobody_hears_what_it_may_not_see() {
    let world = with_neighbour().await;
    let (mut ours, mut theirs) = (world.guest().await, world.guest_named(b"vicina").await);
    for client in [&mut ours, &mut theirs] {
        client.send(&subscribe(4, 1, &[b"#"])).await;
        assert_eq!(client.receive(5).await, [0x90, 3, 0, 1, 0]);
    }
    theirs.send(&publish(0x30, b"pescaia/v1/altri/vicina/level", 0, b"3", 4)).await;
    assert_eq!(theirs.hears(4).await.0, "pescaia/v1/altri/vicina/level", "a private one is heard by its owner");
    ours.send(&publish(0x30, LEVEL, 0, b"142", 4)).await;
    for client in [&mut ours, &mut theirs] {
        assert_eq!(client.hears(4).await.0, "pescaia/v1/demo/prova/level", "a public one by everybody, and nothing before it");
    }
    // What becomes public is heard by those who listen already.
    let network = NEIGHBOUR.replace("HASH", &hash_password("prova").expect("a hash"));
    let network = network.replace("period_s = 10", "period_s = 10\nvisibility = \"public\"");
    world.store.apply(&store::load_embedded("neighbour.toml", &network, &[]).expect("a network")).expect("applied");
    let mut again = world.client().await;
    again.send(&connect(4, b"again", 0xC2, b"vicina", b"prova")).await;
    again.receive(4).await;
    again.send(&publish(0x30, b"pescaia/v1/altri/vicina/level", 0, b"4", 4)).await;
    assert_eq!(ours.hears(4).await.0, "pescaia/v1/altri/vicina/level");
}

#[tokio::test]
async fn who_unsubscribes_hears_no_more() {
    let world = World::new().await;
    let mut client = world.guest_of_5().await;
    client.send(&subscribe(5, 1, &[b"#", LEVEL])).await;
    client.receive(7).await;
    client.send(&publish(0x30, LEVEL, 0, b"142", 5)).await;
    client.hears(5).await;
    let filters = [&b"#"[..], LEVEL, b"never"].map(text).concat();
    client.send(&packet(0xA2, &[&[0, 2, 0][..], &filters].concat())).await;
    assert_eq!(client.receive(8).await, [0xB0, 6, 0, 2, 0, 0, 0, 0x11]);
    client.send(&publish(0x32, LEVEL, 3, b"143", 5)).await;
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 3]);
    client.hears_nothing().await;
}

#[tokio::test]
async fn a_kept_session_keeps_its_subscriptions() {
    let world = World::new().await;
    let mut first = world.client().await;
    first.send(&connect(4, b"keeper", 0xC0, b"ponte", b"prova")).await;
    first.receive(4).await;
    first.send(&subscribe(4, 1, &[b"#"])).await;
    first.receive(5).await;
    drop(first);
    let mut second = world.client().await;
    second.send(&connect(4, b"keeper", 0xC0, b"ponte", b"prova")).await;
    assert_eq!(second.receive(4).await, [0x20, 2, 1, 0]);
    let mut speaker = world.guest().await;
    speaker.send(&publish(0x30, LEVEL, 0, b"142", 4)).await;
    second.hears(4).await;
    let mut clean = world.client().await;
    clean.send(&connect(4, b"keeper", 0xC2, b"ponte", b"prova")).await;
    assert_eq!(clean.receive(4).await, [0x20, 2, 0, 0]);
    speaker.send(&publish(0x32, LEVEL, 2, b"143", 4)).await;
    speaker.receive(4).await;
    clean.hears_nothing().await;
}

#[tokio::test]
async fn who_does_not_listen_loses_the_oldest_and_slows_nobody_down() {
    let world = World::new().await;
    let mut deaf = world.guest_named(b"ponte").await;
    deaf.send(&subscribe(4, 1, &[b"#"])).await;
    deaf.receive(5).await;
    let mut speaker = world.guest().await;
    let datastream = world.view().datastream("prova-level").expect("there").id;
    // More than what the kernel holds for a connection, some 10 MB.
    for second in 0..250 {
        let observations = (0..1000).map(|n| model::Observation {
            datastream,
            phenomenon_time: Timestamp::from_seconds(1_700_000_000 + second * 1000 + n),
            received_at: Timestamp::from_seconds(1_795_000_000),
            result: 1.5,
            quality: Quality::NOT_EVALUATED,
        });
        world.store.commit(store::Batch { observations: observations.collect(), ..store::Batch::default() }).await.expect("committed");
    }
    speaker.send(&publish(0x32, LEVEL, 2, b"142", 4)).await;
    assert_eq!(speaker.receive(4).await, [0x40, 2, 0, 2]);
    let mut last = String::new();
    while !last.contains(r#""value":1.42"#) {
        last = deaf.hears(4).await.1;
    }
    let dropped: u64 = world.metric("pescaia_mqtt_dropped_total").parse().expect("a number");
    assert!(dropped > 10_000, "{dropped} of 250,000 had to go");
}
