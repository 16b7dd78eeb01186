//! F12: what no decoder can read is kept with its reason and acknowledged, and the next good message follows at once.

use crate::support::{Dir, World, now_s, one_gauge, token};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use std::time::{Duration, Instant};

#[test]
fn poison_is_kept_acknowledged_and_holds_nothing_up() {
    let dir = Dir::new("poison");
    let world = World::run(&dir, &one_gauge());
    let now = now_s();
    let poison: Vec<(Vec<u8>, &str)> = vec![
        (b"".to_vec(), "unreadable"),
        (b"\xff\xfe{\0}\0".to_vec(), "unreadable"),
        (b"\xef\xbb\xbf{}".to_vec(), "bad-time"),
        ("[".repeat(10_000).into_bytes(), "unreadable"),
        (b"{\"time\":1,\"values\":{\"level\":1e999}}".to_vec(), "not-a-number"),
        (b"{\"time\":1,\"values\":{\"level\":NaN}}".to_vec(), "not-a-number"),
        (vec![b'x'; 100_000], "unreadable"),
        (format!("{{\"time\":{now},\"values\":{{\"level\":\"high\"}}}}").into_bytes(), "not-a-number"),
        (format!("{{\"time\":{now},\"values\":{{\"level\":1,\"level\":2}}}}").into_bytes(), "wrong-shape"),
        (b"{\"time\":\"1970-01-01T00:00:00Z\",\"values\":{\"level\":1}}".to_vec(), "ancient-time"),
        (b"{\"time\":\"2036-01-01T00:00:00Z\",\"values\":{\"level\":1}}".to_vec(), "future-time"),
        (format!("{{\"time\":{now},\"values\":{{\"nowhere\":1}}}}").into_bytes(), "unknown-channel"),
        (b"[]".to_vec(), "wrong-shape"),
    ];
    let mut options = MqttOptions::new("poisoner", "127.0.0.1", world.mqtt_port().parse::<u16>().unwrap());
    options.set_credentials("prova", "prova").set_max_packet_size(300_000, 300_000);
    let (client, mut connection) = Client::new(options, 100);
    let (told, acks) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::PubAck(_))) => drop(told.send(())),
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
    for (place, (payload, _)) in poison.iter().enumerate() {
        client.publish("pescaia/v1/demo/prova", QoS::AtLeastOnce, false, payload.clone()).unwrap();
        acks.recv_timeout(Duration::from_secs(5)).expect("acknowledged");
        let start = Instant::now();
        let good = format!("{{\"time\":{},\"values\":{{\"level\":1.5}}}}", now - 100 + i64::try_from(place).unwrap());
        client.publish("pescaia/v1/demo/prova", QoS::AtLeastOnce, false, good).unwrap();
        acks.recv_timeout(Duration::from_secs(5)).expect("acknowledged");
        assert!(start.elapsed() < Duration::from_secs(1), "the next one is not held up");
    }
    assert_eq!(world.observations("prova-level", "period=PT1H").len(), poison.len());
    let token = token(&dir, "demo", &["audit"]);
    let (status, body) = world.get_as("/api/v1/quarantine", Some(&token));
    assert_eq!(status, 200);
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    let kept: Vec<&str> =
        page["items"].as_array().unwrap().iter().rev().map(|item| item["refusals"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(kept, poison.iter().map(|(_, reason)| *reason).collect::<Vec<_>>());
    let bytes: Vec<u64> = page["items"].as_array().unwrap().iter().rev().map(|item| item["bytes"].as_u64().unwrap()).collect();
    assert_eq!(bytes, poison.iter().map(|(payload, _)| payload.len() as u64).collect::<Vec<_>>(), "whole, as they came");
    assert_eq!(world.get_as("/api/v1/quarantine", None).0, 401);
}
