//! rumqttc through a link that is cut again and again: its session is remembered, so it keeps and sends again what is owed.

use crate::support::{Dir, World, eventually, now_s, one_gauge};
use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const COUNT: usize = 500;
const WINDOW: usize = 10;

/// Passes bytes both ways until it is told to cut.
struct Proxy {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    fn to(door: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, open) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let kept = open.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&door) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    kept.lock().unwrap().push(from.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let mut bytes = [0; 4096];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            if to.write_all(&bytes[..count]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port, open }
    }
    fn cut(&self) {
        self.open.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
}

#[test]
fn rumqttc_is_cut_off_ten_times_and_every_reading_arrives_once() {
    let dir = Dir::new("lost-link");
    let world = World::run(&dir, &one_gauge());
    let proxy = Proxy::to(world.mqtt.clone());
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
            proxy.cut();
        }
    }
    eventually("every reading is there", 30, || world.observations("prova-level", "period=PT1H").len() == COUNT);
    eventually("every reading is acknowledged", 30, || acked.load(Ordering::Relaxed) == COUNT);
}
