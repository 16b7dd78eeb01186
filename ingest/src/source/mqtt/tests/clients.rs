//! Client libraries that others wrote, through every QoS, as speakers and as listeners.

use super::*;
use rumqttc::v5;

const LEVEL: &str = "pescaia/v1/demo/prova/level";

#[tokio::test]
async fn rumqttc_speaks_and_listens_in_3_1_1() {
    let world = World::new().await;
    let mut options = rumqttc::MqttOptions::new("r4", "127.0.0.1", world.door.port());
    options.set_credentials("prova", "prova");
    let (client, mut events) = rumqttc::AsyncClient::new(options, 10);
    client.subscribe("pescaia/v1/demo/#", rumqttc::QoS::AtLeastOnce).await.expect("asked");
    for (qos, payload) in [(rumqttc::QoS::AtMostOnce, "1"), (rumqttc::QoS::AtLeastOnce, "2"), (rumqttc::QoS::ExactlyOnce, "3")] {
        client.publish(LEVEL, qos, false, payload).await.expect("given");
    }
    let (mut heard, mut answers) = (Vec::new(), Vec::new());
    while heard.len() < 3 || answers.len() < 3 {
        let event = tokio::time::timeout(Duration::from_secs(5), events.poll()).await.expect("in time").expect("no error");
        match event {
            rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish)) => heard.push((publish.topic.clone(), value(&publish.payload))),
            rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_)) => answers.push("acknowledged"),
            rumqttc::Event::Incoming(rumqttc::Packet::PubRec(_)) => answers.push("received"),
            rumqttc::Event::Incoming(rumqttc::Packet::PubComp(_)) => answers.push("complete"),
            _ => {}
        }
    }
    assert_eq!(answers, ["acknowledged", "received", "complete"]);
    assert_eq!(heard, [0.01, 0.02, 0.03].map(|value| (LEVEL.to_owned(), value)));
}

#[tokio::test]
async fn rumqttc_speaks_and_listens_in_5() {
    use v5::mqttbytes::QoS;
    use v5::mqttbytes::v5::Packet;
    let world = World::new().await;
    let mut options = v5::MqttOptions::new("r5", "127.0.0.1", world.door.port());
    options.set_credentials("prova", "prova");
    let (client, mut events) = v5::AsyncClient::new(options, 10);
    client.subscribe("pescaia/v1/demo/#", QoS::AtLeastOnce).await.expect("asked");
    for (qos, payload) in [(QoS::AtMostOnce, "1"), (QoS::AtLeastOnce, "2"), (QoS::ExactlyOnce, "3")] {
        client.publish(LEVEL, qos, false, payload).await.expect("given");
    }
    let (mut heard, mut answers) = (Vec::new(), Vec::new());
    while heard.len() < 3 || answers.len() < 3 {
        let event = tokio::time::timeout(Duration::from_secs(5), events.poll()).await.expect("in time").expect("no error");
        match event {
            v5::Event::Incoming(Packet::Publish(publish)) => heard.push((publish.topic.to_vec(), value(&publish.payload))),
            v5::Event::Incoming(Packet::PubAck(_)) => answers.push("acknowledged"),
            v5::Event::Incoming(Packet::PubRec(_)) => answers.push("received"),
            v5::Event::Incoming(Packet::PubComp(_)) => answers.push("complete"),
            _ => {}
        }
    }
    assert_eq!(answers, ["acknowledged", "received", "complete"]);
    assert_eq!(heard, [0.01, 0.02, 0.03].map(|value| (LEVEL.as_bytes().to_vec(), value)));
}

fn value(payload: &[u8]) -> f64 {
    let told: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
    told["value"].as_f64().expect("a number")
}
