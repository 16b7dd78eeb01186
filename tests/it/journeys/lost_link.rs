//! rumqttc through a link that is cut again and again: its session is remembered, so it keeps and sends again what is owed.

use crate::support::link::Link;
use crate::support::{Dir, World, eventually, now_s, one_gauge};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const COUNT: usize = 500;
const WINDOW: usize = 10;

#[test]
fn rumqttc_is_cut_off_ten_times_and_every_reading_arrives_once() {
    let dir = Dir::new("lost-link");
    let world = World::run(&dir, &one_gauge());
    let proxy = Link::to(&world.mqtt);
    let mut options = MqttOptions::new("logger-1", "127.0.0.1", proxy.port);
    options.set_credentials("prova", "prova").set_clean_session(false).set_inflight(20);
    let (client, mut connection) = Client::new(options, COUNT + 10);
    let acked = Arc::new(AtomicUsize::new(0));
    let counted = acked.clone();
    std::thread::spawn(move || {
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::PubAck(_))) => drop(counted.fetch_add(1, Ordering::Relaxed)),
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(30)),
            }
        }
    });
    let start = now_s() - 3000;
    for number in 0..COUNT {
        // Fewer wait for their acknowledgement than rumqttc has packet ids: at a cut, 0.25.1 sends what its queue holds past its own
        // flow control, and of two that meet on one packet id it keeps only the later.
        let end = Instant::now() + Duration::from_secs(30);
        while number - acked.load(Ordering::Relaxed) >= WINDOW {
            assert!(Instant::now() < end, "no acknowledgement in 30 s, {number} sent");
            std::thread::sleep(Duration::from_millis(1));
        }
        let payload = format!("{{\"time\":{},\"values\":{{\"level\":{}}}}}", start + i64::try_from(number).unwrap(), number % 10);
        client.publish("pescaia/v1/demo/prova", QoS::AtLeastOnce, false, payload).unwrap();
        if number % 50 == 25 {
            proxy.drop_all();
        }
    }
    eventually("every reading is there", 30, || world.observations("prova-level", "period=PT1H").len() == COUNT);
    eventually("every reading is acknowledged", 30, || acked.load(Ordering::Relaxed) == COUNT);
}
