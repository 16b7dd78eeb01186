//! The door over real sockets, packet by packet.

mod clients;
mod crowd;
mod five;
mod hostile;
mod live;
mod matrix;
mod order;
mod qos_2;
mod rights;
mod tls;

use super::{Door, DoorSettings, TlsSettings};
use crate::bind::Limits;
use crate::fixture::{self, Fixed};
use crate::meters::Meters;
use crate::pipeline::Intake;
use crate::source::Source;
use model::{Scope, Viewer};
use std::sync::Arc;
use std::time::Duration;
use store::{Store, View, hash_password};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

struct World {
    store: Store,
    meters: Meters,
    door: std::net::SocketAddr,
    tls: Option<std::net::SocketAddr>,
    stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

impl World {
    async fn new() -> Self {
        Self::with(DoorSettings { connect_timeout: Duration::from_millis(300), max_packet: 4096, ..DoorSettings::default() }).await
    }
    async fn with(settings: DoorSettings) -> Self {
        Self::over(Store::in_memory(Arc::new(Fixed)).expect("a store"), settings).await
    }
    async fn over(store: Store, settings: DoorSettings) -> Self {
        Self::open(store, settings, "", None).await
    }
    /// `more` of a network file.
    async fn open(store: Store, settings: DoorSettings, more: &str, tls: Option<TlsSettings>) -> Self {
        let hash = hash_password("prova").expect("a hash");
        let devices = format!(
            r#"
            [[device]]
            id = "prova"
            owner = "demo"
            mqtt = {{ user = "prova", password_hash = "{hash}" }}
            feeds = [{{ channel = "level", datastream = "prova-level", unit = "cm" }}]
            [[device]]
            id = "ponte"
            owner = "demo"
            mqtt = {{ user = "ponte", password_hash = "{hash}", gateway = true }}
            feeds = []
            "#
        );
        fixture::apply(&store, &format!("{devices}{more}"));
        let meters = Meters::default();
        let mut door =
            Door::bind("127.0.0.1:0".parse().expect("an address"), store.clone(), settings, meters.clone()).await.expect("a door");
        if let Some(tls) = tls {
            door = door.with_tls(tls).await.expect("a TLS door");
        }
        let addr = door.local_addr().expect("an address");
        let tls = door.tls_addr().expect("an address");
        let (stop, stopping) = watch::channel(false);
        let running = tokio::spawn(door.run(Intake::new(store.clone(), Limits::default(), meters.clone()), stopping));
        Self { store, meters, door: addr, tls, stop, running }
    }
    async fn client(&self) -> Client {
        Client { stream: TcpStream::connect(self.door).await.expect("the door is open") }
    }
    /// A client of 3.1.1 that has come in.
    async fn guest(&self) -> Client {
        self.guest_named(b"prova").await
    }
    async fn guest_named(&self, user: &[u8]) -> Client {
        let mut client = self.client().await;
        client.send(&connect(4, b"c1", 0xC2, user, b"prova")).await;
        assert_eq!(client.receive(4).await, [0x20, 2, 0, 0]);
        client
    }
    /// A client of 5 that has come in.
    async fn guest_of_5(&self) -> Client {
        let mut client = self.client().await;
        client.send(&connect(5, b"c5", 0xC2, b"prova", b"prova")).await;
        let header = client.receive(4).await;
        assert_eq!((header[0], header[2], header[3]), (0x20, 0, 0), "no session, success");
        client.receive(usize::from(header[1]) - 2).await;
        client
    }
    fn metric(&self, name: &str) -> String {
        let (mut text, mut registry) = (String::new(), prometheus_client::registry::Registry::default());
        self.meters.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a text");
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    }
    fn view(&self) -> View {
        let viewer = Viewer::Token { owner: "demo".into(), scopes: vec![Scope::Read, Scope::Audit] };
        self.store.seen_by(&viewer)
    }
    /// Values of the datastream, and codes in the quarantine.
    fn kept(&self) -> (Vec<f64>, Vec<&'static str>) {
        let view = self.view();
        let datastream = view.datastream("prova-level").expect("there");
        let observations = view.observations(&datastream, model::Interval::ALL, 100).expect("read");
        let quarantine = view.quarantine(&store::Wanted::default(), 100).expect("read");
        let codes = quarantine.iter().rev().flat_map(|entry| entry.refusals.iter().map(|refused| refused.reason.code()));
        (observations.iter().map(|one| one.result).collect(), codes.collect())
    }
}

struct Client<S = TcpStream> {
    stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }
    async fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let reading = self.stream.read_exact(&mut bytes);
        match tokio::time::timeout(Duration::from_secs(3), reading).await {
            Ok(Ok(_)) => bytes,
            other => panic!("no {count} bytes: {other:?}"),
        }
    }
    /// All that comes until the door closes.
    async fn until_closed(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        tokio::time::timeout(Duration::from_secs(5), self.stream.read_to_end(&mut bytes)).await.expect("closed in time").ok();
        bytes
    }
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let more = left > 127;
        out.push(u8::try_from(left % 128).expect("a byte") | if more { 0x80 } else { 0 });
        left /= 128;
        if !more {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

fn connect(level: u8, client: &[u8], flags: u8, user: &[u8], password: &[u8]) -> Vec<u8> {
    let mut body = text(if level == 3 { b"MQIsdp" } else { b"MQTT" });
    body.extend([level, flags, 0, 60]);
    if level == 5 {
        body.push(0);
    }
    body.extend(text(client));
    body.extend(text(user));
    body.extend(text(password));
    packet(0x10, &body)
}

fn publish(first: u8, topic: &[u8], pid: u16, payload: &[u8], level: u8) -> Vec<u8> {
    let mut body = text(topic);
    if first & 6 != 0 {
        body.extend(pid.to_be_bytes());
    }
    if level == 5 {
        body.push(0);
    }
    body.extend_from_slice(payload);
    packet(first, &body)
}

const TOPIC: &[u8] = b"pescaia/v1/demo/prova";

#[tokio::test]
async fn a_publish_is_acknowledged_and_kept_in_every_version() {
    let world = World::new().await;
    for (level, expected) in [(3, vec![0x20, 2, 0, 0]), (4, vec![0x20, 2, 0, 0])] {
        let mut client = world.client().await;
        client.send(&connect(level, b"c1", 0xC2, b"prova", b"prova")).await;
        assert_eq!(client.receive(4).await, expected);
        let payload = format!(r#"{{"time":"2026-11-23T06:2{level}:00Z","values":{{"level":142}}}}"#);
        client.send(&publish(0x32, TOPIC, 7, payload.as_bytes(), level)).await;
        assert_eq!(client.receive(4).await, [0x40, 2, 0, 7]);
    }
    let mut client = world.guest_of_5().await;
    client.send(&publish(0x32, TOPIC, 9, br#"{"time":"2026-11-23T06:29:00Z","values":{"level":150}}"#, 5)).await;
    let ack = client.receive(4).await;
    assert_eq!((ack[0], ack[3]), (0x40, 9));
    assert_eq!(world.kept(), (vec![1.42, 1.42, 1.5], vec![]));
}

#[tokio::test]
async fn bad_content_is_quarantined_acknowledged_and_followed_by_the_next_message() {
    let world = World::new().await;
    let mut client = world.guest().await;
    let bad: [(&[u8], &[u8]); 6] = [
        (TOPIC, b"not json"),
        (TOPIC, br#"{"time":"2026-11-23T06:20:00Z","values":{"level":"high"}}"#),
        (TOPIC, br#"{"time":"2036-11-23T06:20:00Z","values":{"level":1}}"#),
        (TOPIC, br#"{"time":"1970-01-01T00:00:00Z","values":{"level":1}}"#),
        (TOPIC, br#"{"time":"2026-11-23T06:20:00Z","values":{"depth":1}}"#),
        (b"pescaia/v1/demo/prova/level", b"NaN"),
    ];
    for (number, (topic, payload)) in (1..).zip(bad) {
        client.send(&publish(0x32, topic, number, payload, 4)).await;
        assert_eq!(client.receive(4).await, [0x40, 2, 0, u8::try_from(number).expect("small")]);
    }
    client.send(&publish(0x32, b"pescaia/v1/demo/prova/level", 99, b"142", 4)).await;
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 99]);
    let codes = vec!["unreadable", "not-a-number", "future-time", "ancient-time", "unknown-channel", "not-a-number"];
    assert_eq!(world.kept(), (vec![1.42], codes));
}

#[tokio::test]
async fn a_message_sent_twice_is_kept_once() {
    let world = World::new().await;
    let mut client = world.guest().await;
    let good = br#"{"time":"2026-11-23T06:20:00Z","values":{"level":142}}"#;
    client.send(&publish(0x32, TOPIC, 5, good, 4)).await;
    client.receive(4).await;
    client.send(&publish(0x3A, TOPIC, 5, good, 4)).await;
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 5], "the PUBACK was lost, so it is sent again");
    assert_eq!(world.kept().0, [1.42]);
}

#[tokio::test]
async fn what_may_not_stand_in_a_publish_closes_its_connection_and_no_other() {
    let world = World::new().await;
    let mut witness = world.guest().await;
    for bad in [
        publish(0x32, b"", 1, b"1", 4),
        publish(0x32, b"pescaia/v1/demo/+", 1, b"1", 4),
        publish(0x32, TOPIC, 0, b"1", 4),
        packet(0x32, &vec![b'x'; 5000]),
        packet(0x10, b""),
        vec![0xff, 0xff, 0xff, 0xff, 0xff],
        packet(0x10, &connect(4, b"c2", 0xC2, b"prova", b"prova")[2..]),
        vec![0xC1, 0],
        vec![0x20, 2, 0, 0],
        publish(0x36, TOPIC, 1, b"1", 4),
        publish(0x32, b"pescaia/v1/demo/\xff", 1, b"1", 4),
        publish(0x32, b"pescaia/v1/demo/prova/\0", 1, b"1", 4),
        publish(0x32, &[b'x'; 600], 1, b"1", 4),
    ] {
        let mut client = world.client().await;
        client.send(&connect(4, b"c2", 0xC2, b"prova", b"prova")).await;
        client.receive(4).await;
        client.send(&bad).await;
        assert_eq!(client.until_closed().await, b"", "{bad:?}");
    }
    witness.send(&publish(0x32, b"pescaia/v1/demo/prova/level", 3, b"142", 4)).await;
    assert_eq!(witness.receive(4).await, [0x40, 2, 0, 3]);
}

#[tokio::test]
async fn who_gives_no_right_password_stays_outside() {
    let world = World::new().await;
    for (user, password) in [(&b"prova"[..], &b"wrong"[..]), (b"nobody", b"prova"), (b"", b"")] {
        let mut client = world.client().await;
        client.send(&connect(4, b"c1", 0xC2, user, password)).await;
        assert_eq!(client.until_closed().await, [0x20, 2, 0, 5]);
    }
    let mut half = world.client().await;
    half.send(&connect(4, b"c1", 0xC2, b"prova", b"prova")[..9]).await;
    assert_eq!(half.until_closed().await, b"", "half a CONNECT is cut after a while");
    let mut strange = world.client().await;
    strange.send(&packet(0x10, &[&text(b"MQTT")[..], &[9, 2, 0, 60, 0, 1, b'x']].concat())).await;
    assert_eq!(strange.until_closed().await, [0x20, 2, 0, 1], "a version from the future is told so");
}

#[tokio::test]
async fn pings_subscriptions_and_releases_are_answered() {
    let world = World::new().await;
    let mut client = world.guest().await;
    client.send(&[0xC0, 0]).await;
    assert_eq!(client.receive(2).await, [0xD0, 0]);
    client.send(&packet(0x82, &[&[0, 4][..], &text(b"$SYS/#"), &[1]].concat())).await;
    assert_eq!(client.receive(5).await, [0x90, 3, 0, 4, 0x80]);
    client.send(&packet(0x62, &[0, 8])).await;
    assert_eq!(client.receive(4).await, [0x70, 2, 0, 8]);
}

#[tokio::test]
async fn a_kept_session_is_remembered_and_a_second_client_takes_over() {
    let world = World::new().await;
    let mut first = world.client().await;
    first.send(&connect(4, b"keeper", 0xC0, b"prova", b"prova")).await;
    assert_eq!(first.receive(4).await, [0x20, 2, 0, 0]);
    let mut second = world.client().await;
    second.send(&connect(4, b"keeper", 0xC0, b"prova", b"prova")).await;
    assert_eq!(second.receive(4).await, [0x20, 2, 1, 0], "session present");
    assert_eq!(first.until_closed().await, b"");
    let mut clean = world.client().await;
    clean.send(&connect(4, b"keeper", 0xC2, b"prova", b"prova")).await;
    assert_eq!(clean.receive(4).await, [0x20, 2, 0, 0]);
    assert!(!world.store.has_session("prova/keeper"));
}
