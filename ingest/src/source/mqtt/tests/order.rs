//! F19 with real threads: the door, the intake, the store's writer and its answers on a disk that dawdles as a seed says, before each
//! commit and after it, and on some seeds fails for good. Whoever hears an acknowledgement finds the reading on that disk.

use super::*;
use model::Timestamp;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use store::engine::{Change, Document, Engine, Key, Memory, Order, Row, Span, Table};
use store::{Error, Room, Settings};

const CLIENTS: u16 = 6;
const EACH: u16 = 60;
const WINDOW: u16 = 8;
const START: i64 = 1_795_000_000;

/// What was committed is in `durable`; nothing else is.
struct Dawdling {
    rows: Memory,
    durable: Mutex<HashSet<Timestamp>>,
    dice: AtomicU64,
    commits: AtomicU64,
    fails_at: u64,
}

impl Dawdling {
    fn dawdle(&self) {
        let next = |dice: u64| Some(dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        let dice = self.dice.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).expect("a number") >> 33;
        match dice % 4 {
            0 => {}
            1 => std::thread::yield_now(),
            _ => std::thread::sleep(Duration::from_micros(dice % 1500)),
        }
    }
    fn holds(&self, time: Timestamp) -> bool {
        self.durable.lock().expect("a disk").contains(&time)
    }
}

impl Engine for Dawdling {
    fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        self.dawdle();
        if self.commits.fetch_add(1, Ordering::Relaxed) >= self.fails_at {
            return Err(Error::Poisoned { commit: 0, cause: "input/output error".into() });
        }
        self.rows.commit(changes)?;
        let records = changes.iter().filter_map(|change| match change {
            Change::Put { table: Table::Log, row } => Some(store::unpack_record(row).expect("a record")),
            _ => None,
        });
        self.durable.lock().expect("a disk").extend(records.flatten().map(|one| one.phenomenon_time));
        // On disk, and nobody knows.
        self.dawdle();
        Ok(())
    }
    fn range(&self, table: Table, span: Span, order: Order, limit: usize) -> Result<Vec<Row>, Error> {
        self.rows.range(table, span, order, limit)
    }
    fn covering(&self, table: Table, span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        self.rows.covering(table, span, limit)
    }
    fn keys(&self, table: Table) -> Result<Vec<Key>, Error> {
        self.rows.keys(table)
    }
    fn documents(&self, kind: &str) -> Result<Vec<Document>, Error> {
        self.rows.documents(kind)
    }
    fn disk_bytes(&self) -> u64 {
        0
    }
    fn room(&self) -> Option<Room> {
        None
    }
    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }
    fn copy_to(&self, path: &Path) -> Result<(), Error> {
        self.rows.copy_to(path)
    }
}

fn time(client: u16, number: u16) -> Timestamp {
    Timestamp::from_seconds(START + i64::from(client) * 1000 + i64::from(number))
}

/// Publishes until the link is lost or all is acknowledged; how many were, each of them on disk when that was heard.
async fn publishes(mut client: Client, name: u16, disk: Arc<Dawdling>, seed: u64) -> u16 {
    let say = |number: u16| {
        let text = format!(r#"{{"time":{},"values":{{"level":142}}}}"#, time(name, number).seconds());
        publish(0x32, TOPIC, number, text.as_bytes(), 4)
    };
    client.send(&(1..=WINDOW).flat_map(say).collect::<Vec<u8>>()).await;
    for number in 1..=EACH {
        let mut ack = [0; 4];
        let heard = tokio::time::timeout(Duration::from_secs(30), client.stream.read_exact(&mut ack)).await.expect("an answer or the end");
        if heard.is_err() {
            return number - 1;
        }
        let [high, low] = number.to_be_bytes();
        assert_eq!(ack, [0x40, 2, high, low], "seed {seed}: in order");
        assert!(disk.holds(time(name, number)), "seed {seed}: {number} of client {name} was acknowledged and is not on disk");
        if number + WINDOW <= EACH {
            client.send(&say(number + WINDOW)).await;
        }
    }
    EACH
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_on_disk_when_that_is_heard() {
    let seeds = if std::env::var("PESCAIA_LONG").is_ok() { 300 } else { 6 };
    let (mut acknowledged, mut failed) = (0, 0);
    for seed in 0..seeds {
        let fails_at = if seed % 3 == 2 { 10 + seed % 10 } else { u64::MAX };
        let disk = Arc::new(Dawdling {
            rows: Memory::default(),
            durable: Mutex::default(),
            dice: AtomicU64::new(seed),
            commits: AtomicU64::new(0),
            fails_at,
        });
        let store = Store::open_on(disk.clone(), Settings::default(), Arc::new(Fixed), |_| ()).expect("a store");
        let world = World::over(store, DoorSettings::default()).await;
        let mut running = tokio::task::JoinSet::new();
        for name in 0..CLIENTS {
            let mut client = world.client().await;
            client.send(&connect(4, format!("c{name}").as_bytes(), 0xC2, b"prova", b"prova")).await;
            let mut answer = [0; 4];
            if client.stream.read_exact(&mut answer).await.is_ok() {
                assert_eq!(answer, [0x20, 2, 0, 0]);
                running.spawn(publishes(client, name, disk.clone(), seed));
            }
        }
        let acks: u64 = running.join_all().await.into_iter().map(u64::from).sum();
        let has_failed = disk.commits.load(Ordering::Relaxed) > fails_at;
        assert!(has_failed || acks == u64::from(CLIENTS * EACH), "seed {seed}: {acks}, must be all of them");
        (acknowledged, failed) = (acknowledged + acks, failed + u64::from(has_failed));
    }
    eprintln!("F19: {seeds} disks that dawdle, {failed} of them fail: {acknowledged} acknowledged, each of them there");
    assert!(acknowledged > 200 * seeds && failed >= seeds / 4, "enough happened");
}
