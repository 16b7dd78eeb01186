//! Many clients at once, each with as much in flight as it may like.

use super::*;
use store::Settings;

const CLIENTS: u32 = 50;
const EACH: u16 = 400;
const WINDOW: u16 = 16;

/// Every publish is acknowledged once, in order, and is there. The rate is printed, not judged: `-- --nocapture`.
async fn check(store: Store, name: &str) {
    let world = World::over(store, DoorSettings::default()).await;
    let mut running = tokio::task::JoinSet::new();
    let start = std::time::Instant::now();
    for number in 0..CLIENTS {
        let mut client = world.client().await;
        client.send(&connect(4, format!("c{number}").as_bytes(), 0xC2, b"prova", b"prova")).await;
        assert_eq!(client.receive(4).await, [0x20, 2, 0, 0]);
        running.spawn(async move {
            let say = |n: u16| {
                let at = 1_795_000_000 + u64::from(number) * 1000 + u64::from(n);
                publish(0x32, TOPIC, n, format!(r#"{{"time":{at},"values":{{"level":142}}}}"#).as_bytes(), 4)
            };
            client.send(&(1..=WINDOW).flat_map(say).collect::<Vec<u8>>()).await;
            for n in 1..=EACH {
                let [high, low] = n.to_be_bytes();
                assert_eq!(client.receive(4).await, [0x40, 2, high, low]);
                if n + WINDOW <= EACH {
                    client.send(&say(n + WINDOW)).await;
                }
            }
        });
    }
    running.join_all().await;
    let count = CLIENTS * u32::from(EACH);
    eprintln!("{name}: {:.0} acknowledged publishes/s", f64::from(count) / start.elapsed().as_secs_f64());
    let datastream = world.view().datastream("prova-level").expect("there");
    assert_eq!(world.view().extent(&datastream).expect("read").map(|(count, ..)| count), Some(u64::from(count)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_are_acknowledged_in_order() {
    check(Store::in_memory(Arc::new(Fixed)).expect("a store"), "in memory").await;
    let dir = std::env::temp_dir().join(format!("pescaia-crowd-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    check(Store::open(&dir, Settings::default(), Arc::new(Fixed)).expect("a store"), "on disk, each group synced").await;
    let _ = std::fs::remove_dir_all(&dir);
}
