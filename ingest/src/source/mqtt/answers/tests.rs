//! Answers against commits that the test holds in its hand.

mod schedules;

use super::super::in_flight::Arrival;
use super::super::pass::Pass;
use super::*;
use crate::fixture;
use crate::meters::Meters;
use model::{Device, Link, Viewer};
use mqtt_proto::Pid;
use std::time::Instant;
use store::Receipt;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What is never said is missed so soon.
const SOON: Duration = Duration::from_secs(10);

struct World {
    answers: Answers,
    in_flight: Arc<InFlight>,
    client: DuplexStream,
    answering: JoinHandle<Ended>,
}

fn listener() -> Arc<Listener> {
    let device = Device {
        id: "prova".into(),
        owner: "demo".into(),
        address: None,
        layout: None,
        lines: None,
        link: Link::Http,
        feeds: Vec::new(),
        retired: false,
    };
    let store = fixture::store("");
    Listener::new(Pass::of_user("prova", device.into()), store.seen_by(&Viewer::Public), usize::MAX)
}

type Commit = oneshot::Sender<Result<Receipt, Error>>;

/// A message whose commit is still to come.
fn on_its_way() -> (Commit, Settling) {
    let (commit, receipt) = oneshot::channel();
    let (owner, meters) = ("demo".into(), Meters::default());
    let (indexes, rejected, since) = (vec![0], Vec::new(), Instant::now());
    (commit, Settling { receipt, indexes, rejected, quarantined: 0, rebirth: None, protocol: "mqtt", owner, since, meters })
}

impl World {
    fn new(version: Version, wire: usize) -> Self {
        Self::with_patience(version, wire, Duration::from_secs(30))
    }
    fn with_patience(version: Version, wire: usize, patience: Duration) -> Self {
        let (client, write) = duplex(wire);
        let in_flight = Arc::new(InFlight::new(64, 64));
        let (answers, replies) = Answers::channel();
        let mouth = Mouth {
            write,
            version,
            in_flight: in_flight.clone(),
            patience,
            listener: listener(),
            listening: false,
            out: Vec::new(),
            front: None,
        };
        Self { answers, in_flight, client, answering: tokio::spawn(mouth.run(replies)) }
    }
    /// A publish whose commit is still to come.
    fn publish(&self, pid: u16) -> Commit {
        let (commit, settling) = on_its_way();
        let delivery = Delivery::Qos1(Pid::try_from(pid).expect("not 0"));
        assert_eq!(self.in_flight.begin(delivery, false), Arrival::New);
        self.answers.after(Reply { delivery, settling });
        commit
    }
    async fn hears(&mut self, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        tokio::time::timeout(SOON, self.client.read_exact(&mut bytes)).await.expect("soon").expect("bytes");
        assert_eq!(bytes, expected);
    }
    async fn hears_the_end(mut self, expected: &[u8], how: Ended) {
        let mut bytes = Vec::new();
        tokio::time::timeout(SOON, self.client.read_to_end(&mut bytes)).await.expect("soon").expect("the end");
        assert_eq!((bytes.as_slice(), self.answering.await.expect("ended")), (expected, how));
    }
}

fn durable() -> Result<Receipt, Error> {
    Ok(Receipt { commit: 1, outcomes: vec![store::Outcome::Accepted] })
}

#[tokio::test]
async fn a_ping_is_answered_while_a_commit_is_held() {
    let mut world = World::new(Version::V3, 1024);
    let commit = world.publish(7);
    world.answers.now(Outgoing::Pong).await;
    world.hears(&[0xD0, 0]).await;
    assert!(commit.send(durable()).is_ok());
    world.hears(&[0x40, 2, 0, 7]).await;
}

#[tokio::test]
async fn acknowledgements_keep_the_order_of_receipt() {
    let mut world = World::new(Version::V3, 1024);
    let (first, second) = (world.publish(1), world.publish(2));
    assert!(second.send(durable()).is_ok());
    world.answers.now(Outgoing::Pong).await;
    world.hears(&[0xD0, 0]).await;
    assert!(first.send(durable()).is_ok());
    world.hears(&[0x40, 2, 0, 1, 0x40, 2, 0, 2]).await;
}

#[tokio::test]
async fn after_a_failed_commit_nothing_is_acknowledged() {
    for (version, cause, expected, how) in [
        (Version::V3, Error::Closed, vec![], Ended::Store),
        (Version::V5, Error::Closed, vec![0xE0, 1, 0x80], Ended::Store),
        (Version::V5, Error::Full, vec![0xE0, 1, 0x97], Ended::Full),
    ] {
        let world = World::new(version, 1024);
        let (first, second) = (world.publish(1), world.publish(2));
        assert!(second.send(durable()).is_ok() && first.send(Err(cause)).is_ok());
        world.hears_the_end(&expected, how).await;
    }
}

#[tokio::test]
async fn the_last_word_comes_after_the_last_acknowledgement() {
    let world = World::new(Version::V5, 1024);
    let commit = world.publish(9);
    let World { answers, in_flight, client, answering } = world;
    answers.now(Outgoing::Goodbye(mqtt_proto::v5::DisconnectReasonCode::ServerShuttingDown)).await;
    drop(answers);
    tokio::task::yield_now().await;
    assert!(commit.send(durable()).is_ok());
    let (answers, _) = Answers::channel();
    World { answers, in_flight, client, answering }.hears_the_end(&[0x40, 2, 0, 9, 0xE0, 1, 0x8B], Ended::Client).await;
}

#[tokio::test]
async fn who_asks_and_never_listens_is_cut_and_fills_no_memory() {
    let world = World::with_patience(Version::V3, 64, Duration::from_millis(100));
    let asking = async {
        while !world.answering.is_finished() {
            world.answers.now(Outgoing::Pong).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asking).await.expect("cut after its time");
    assert_eq!(world.answering.await.expect("ended"), Ended::Slow);
}
