//! Every credential with every topic, against a model of the rights that was written apart from the door.

use super::live::{NEIGHBOUR, subscribe};
use super::*;

const OWNERS: [&str; 8] = ["demo", "altri", "dem\u{43e}", "..", "", "+", "Demo", "demo%2fprova"];
const DEVICES: [&str; 10] = ["prova", "ponte", "vicina", "nuova", "..", "", "+", "#", "prova%2f..", "pr\u{43e}va"];
const TAILS: [&str; 9] = ["", "/level", "/", "/..", "/+", "/#", "/level/more", "/%2f", "/l\u{435}vel"];
/// User, owner, device, whether it is a gateway.
const CREDENTIALS: [(&str, &str, &str, bool); 3] =
    [("prova", "demo", "prova", false), ("ponte", "demo", "ponte", true), ("vicina", "altri", "vicina", false)];

fn topics() -> Vec<String> {
    let places = OWNERS.iter().flat_map(|owner| DEVICES.iter().map(move |device| format!("pescaia/v1/{owner}/{device}")));
    let mut topics: Vec<_> = places.flat_map(|place| TAILS.iter().map(move |tail| format!("{place}{tail}"))).collect();
    for strange in [
        "",
        "/",
        "+",
        "#",
        "+/#",
        "$SYS/x",
        "$SYS/#",
        "$share/g/pescaia/v1/demo/prova/level",
        "$share/g/#",
        "pescaia",
        "pescaia/#",
        "pescaia/v1/#",
        "pescaia/v1/+",
        "pescaia/v1/demo",
        "pescaia/v2/demo/prova/level",
        "PESCAIA/v1/demo/prova/level",
        "/pescaia/v1/demo/prova/level",
        "pescaia//v1/demo/prova",
        "application/1/device/2/event/up",
        "spBv1.0/g/DDATA/n/d",
        "+/v1/demo/prova/level",
        "+/+/+/+/+",
        "+/+/+/+",
        "a/#/b",
        "a+/b",
        "pescaia/v1/demo/prova\n",
        "pescaia/v1/demo/prova/\u{feff}level",
    ] {
        topics.push(strange.to_owned());
    }
    topics.push(format!("pescaia/v1/demo/prova/{}", "x".repeat(490)));
    topics.push(format!("pescaia/v1/demo/prova/{}", "x".repeat(491)));
    topics.push(format!("pescaia/v1/demo/{}", "x".repeat(65_000)));
    topics
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Refused,
    Closed,
}

/// The rights to publish, once more.
fn publishing((_, owner, device, gateway): (&str, &str, &str, bool), topic: &str) -> Verdict {
    if topic.is_empty() || topic.len() > 512 || topic.contains(['+', '#']) {
        return Verdict::Closed;
    }
    let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') && !id.is_empty();
    let (whose, which) = match topic.split('/').collect::<Vec<_>>()[..] {
        ["pescaia", "v1", whose, which] => (whose, which),
        ["pescaia", "v1", whose, which, channel] if !channel.is_empty() => (whose, which),
        _ => return Verdict::Refused,
    };
    if whose == owner && is_id(which) && (gateway || which == device) { Verdict::Allowed } else { Verdict::Refused }
}

/// The rights to subscribe, once more: what MQTT 5 is answered, or nothing where the filter is none.
fn subscribing((_, owner, ..): (&str, &str, &str, bool), filter: &str) -> Option<u8> {
    fn meet(one: &[&str], other: &[&str]) -> bool {
        match (one, other) {
            (["#"], _) | (_, ["#"]) | ([], []) => true,
            ([level, one @ ..], [another, other @ ..]) => (*level == "+" || *another == "+" || level == another) && meet(one, other),
            _ => false,
        }
    }
    let levels: Vec<_> = filter.split('/').collect();
    let misplaced =
        |(place, level): (usize, &&str)| level.contains(['+', '#']) && (level.len() > 1 || (*level == "#" && place + 1 < levels.len()));
    if filter.is_empty() || levels.iter().enumerate().any(misplaced) {
        return None;
    }
    // The only public datastream is demo's.
    let own = ["pescaia", "v1", owner, "+", "+"];
    Some(match levels[0] {
        "$share" => 0x9E,
        _ if filter.len() > 512 => 0x97,
        first if first.starts_with('$') => 0x87,
        _ if meet(&levels, &own) || meet(&levels, &["pescaia", "v1", "demo", "prova", "level"]) => 0,
        _ => 0x87,
    })
}

async fn world() -> World {
    let more = NEIGHBOUR.replace("HASH", &hash_password("prova").expect("a hash"));
    World::open(Store::in_memory(Arc::new(Fixed)).expect("a store"), DoorSettings::default(), &more, None).await
}

/// A client of MQTT 5 that has come in.
async fn guest(world: &World, user: &str) -> Client {
    let mut client = world.client().await;
    client.send(&connect(5, user.as_bytes(), 0xC2, user.as_bytes(), b"prova")).await;
    let length = client.receive(2).await[1];
    assert_eq!(client.receive(usize::from(length)).await[1], 0, "welcome");
    client
}

#[tokio::test]
async fn every_credential_may_publish_where_the_model_says_and_nothing_else_is_kept() {
    let world = world().await;
    let topics = topics();
    assert!(topics.len() * CREDENTIALS.len() >= 2000);
    for credential in CREDENTIALS {
        let (user, owner, ..) = credential;
        let mut client = guest(&world, user).await;
        let mut expected = Vec::new();
        for topic in &topics {
            // No number and no JSON: what is taken goes to the quarantine, with its topic; each client's own, or it were a repetition.
            client.send(&publish(0x32, topic.as_bytes(), 1, format!("no value of {user}").as_bytes(), 5)).await;
            let verdict = match client.receive(1).await[0] {
                0xE0 => {
                    assert_eq!(client.until_closed().await.len(), 2, "only the reason");
                    client = guest(&world, user).await;
                    Verdict::Closed
                }
                _ => match client.receive(4).await[..] {
                    [3, 0, 1, 0x99] => Verdict::Allowed,
                    [3, 0, 1, 0x87] => Verdict::Refused,
                    ref other => panic!("{user} {topic}: {other:?}"),
                },
            };
            assert_eq!(verdict, publishing(credential, topic), "{user} {topic:.80}");
            if verdict == Verdict::Allowed {
                expected.push(topic.clone());
            }
        }
        let viewer = Viewer::Token { owner: owner.into(), scopes: vec![Scope::Read, Scope::Audit] };
        let kept = world.store.seen_by(&viewer).quarantine(&store::Wanted::default(), 10_000).expect("read");
        let newest = kept.iter().take(expected.len()).rev().map(|entry| entry.route.clone());
        assert_eq!(newest.collect::<Vec<_>>(), expected, "{user}");
        let of_others = kept.iter().skip(expected.len()).filter(|entry| publishing(CREDENTIALS[0], &entry.route) != Verdict::Allowed);
        assert_eq!(of_others.count(), 0, "{user}: besides this client's only what the first was allowed");
    }
}

#[tokio::test]
async fn every_credential_may_subscribe_to_what_the_model_says() {
    let world = world().await;
    for credential in CREDENTIALS {
        let (user, ..) = credential;
        let mut client = guest(&world, user).await;
        for filter in &topics() {
            client.send(&subscribe(5, 1, &[filter.as_bytes()])).await;
            let granted = match client.receive(1).await[0] {
                0xE0 => {
                    client.until_closed().await;
                    client = guest(&world, user).await;
                    None
                }
                _ => Some(client.receive(5).await[4]),
            };
            assert_eq!(granted, subscribing(credential, filter), "{user} {filter:.80}");
            if granted == Some(0) {
                client.send(&packet(0xA2, &[&[0, 2, 0][..], &text(filter.as_bytes())].concat())).await;
                assert_eq!(client.receive(6).await, [0xB0, 4, 0, 2, 0, 0]);
            }
        }
    }
}
