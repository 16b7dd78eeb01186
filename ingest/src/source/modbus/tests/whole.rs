//! The poller from the network file to the disk, against real servers.

use super::Script;
use crate::bind::Limits;
use crate::meters::Meters;
use crate::pipeline::Intake;
use crate::source::Source;
use crate::source::modbus::Poller;
use crate::source::modbus::plan::{Rules, blocks};
use model::{Clock, Gap, GapReason, Interval, Link, Observation, Timestamp, Viewer};
use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;
use store::{Store, load_embedded};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};

const PROFILE: &str = r#"
name = "plc"
title = "A PLC"
max_hole = 4
[[register]]
channel = "level"
space = "holding"
address = 0
type = "int16"
scale = 0.001
unit = "m"
sentinels = [0x7FFF]
[[register]]
channel = "heartbeat"
space = "holding"
address = 1
type = "uint16"
unit = "1"
[[register]]
channel = "hours"
space = "holding"
address = 2
type = "uint32"
scale = 0.01
unit = "h"
[[register]]
channel = "pump"
space = "discrete"
address = 0
type = "bit"
unit = "1"
[[register]]
channel = "mains"
space = "discrete"
address = 9
type = "bit"
unit = "1"
"#;

struct Wall;
impl Clock for Wall {
    #[expect(clippy::disallowed_methods, reason = "the test runs in real time")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_micros(i64::try_from(since.as_micros()).expect("before 294441"))
    }
}

fn network(live: &str, dead: &str, interval: f64) -> String {
    let datastream = |id: &str, property: &str| {
        format!(
            "[[datastream]]\nid = \"{id}\"\nstation = \"castelletti\"\nproperty = \"{property}\"\nperiod_s = 10\nvisibility = \"public\"\n"
        )
    };
    let device = |id: &str, endpoint: &str, feeds: &str| {
        format!(
            "[[device]]\nid = \"{id}\"\nowner = \"consorzio\"\nmodbus = {{ tcp = \"{endpoint}\", unit = 3, poll_s = {interval}, timeout_s = 0.2, profile = \"plc.toml\" }}\nfeeds = [ {feeds} ]\n"
        )
    };
    [
        "[[owner]]\nid = \"consorzio\"\nname = \"Consorzio\"\n".to_owned(),
        "[[station]]\nid = \"castelletti\"\nowner = \"consorzio\"\nname = \"Castelletti\"\nwhere = [43.78, 11.07]\n".to_owned(),
        datastream("level", "level_up"),
        datastream("hours", "hours_counter"),
        datastream("pump", "pump_run"),
        datastream("mains", "mains_ok"),
        datastream("other", "level_down"),
        device(
            "live",
            live,
            r#"{ channel = "level", datastream = "level" }, { channel = "hours", datastream = "hours" }, { channel = "pump", datastream = "pump" }, { channel = "mains", datastream = "mains" }"#,
        ),
        device("dead", dead, r#"{ channel = "level", datastream = "other" }"#),
    ]
    .concat()
}

fn apply(store: &Store, text: &str) {
    let network = load_embedded("test.toml", text, &[("plc.toml", PROFILE)]).expect("a network");
    store.apply(&network).expect("applied");
}

/// A server as tokio-modbus makes it.
#[derive(Clone)]
struct Plc;
impl Service for Plc {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Result<Response, ExceptionCode>>;
    fn call(&self, question: Self::Request) -> Self::Future {
        ready(match question.request {
            Request::ReadHoldingRegisters(0, 4) => Ok(Response::ReadHoldingRegisters(vec![2608, 1, 1, 0xE240])),
            Request::ReadHoldingRegisters(0, 1) => Ok(Response::ReadHoldingRegisters(vec![2608])),
            Request::ReadDiscreteInputs(0, 1) => Ok(Response::ReadDiscreteInputs(vec![true])),
            Request::ReadDiscreteInputs(9, 1) => Err(ExceptionCode::IllegalDataAddress),
            _ => Err(ExceptionCode::IllegalFunction),
        })
    }
}

async fn plc() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        let greet = |stream: TcpStream, _| async move { Ok(Some((Plc, stream))) };
        Server::new(listener).serve(&greet, |_| ()).await.expect("a port");
    });
    address
}

struct World {
    store: Store,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl World {
    fn start(network: &str) -> Self {
        let store = Store::in_memory(Arc::new(Wall)).expect("a store");
        apply(&store, network);
        let (stop, stopped) = watch::channel(false);
        let meters = Meters::default();
        let intake = Intake::new(store.clone(), Limits::default(), meters.clone());
        let running = tokio::spawn(Poller::new(meters).run(intake, stopped));
        Self { store, stop, running }
    }
    fn observations(&self, key: &str) -> Vec<Observation> {
        let view = self.store.seen_by(&Viewer::Public);
        view.observations(&view.datastream(key).expect("known"), Interval::ALL, 999).expect("read")
    }
    fn gaps(&self, key: &str) -> Vec<Gap> {
        let view = self.store.seen_by(&Viewer::Public);
        view.gaps(&view.datastream(key).expect("known"), Interval::ALL).expect("read")
    }
    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        for _ in 0..500 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }
    async fn end(self) -> Store {
        self.stop.send(true).expect("running");
        tokio::time::timeout(Duration::from_secs(2), self.running).await.expect("it ends soon").expect("and well");
        self.store
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_is_on_disk_as_values_and_a_failed_one_as_a_gap() {
    let script = Script::play([]).await;
    let world = World::start(&network(&plc().await, &script.endpoint, 0.2));
    world.until("values", |world| world.observations("level").len() >= 5).await;
    world.until("gaps", |world| world.gaps("other").iter().map(|gap| gap.count).sum::<u64>() >= 2).await;
    assert!(world.observations("level").iter().all(|observation| observation.result == 2.608));
    assert!(world.observations("hours").iter().all(|observation| observation.result == 1234.56));
    assert!(world.observations("pump").iter().all(|observation| observation.result == 1.0));
    assert!(world.observations("other").is_empty());
    let gaps = world.gaps("other");
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::Timeout), "{gaps:?}");
    let gaps = world.gaps("mains");
    assert_eq!(gaps.len(), 1, "one, that grows: {gaps:?}");
    assert_eq!(gaps[0].reason, GapReason::Exception(2));
    assert!(gaps[0].count >= 5);
    assert!(world.gaps("level").is_empty(), "the dead one held nobody up");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_network_is_followed_and_the_others_go_on() {
    let (first, second) = (plc().await, plc().await);
    let script = Script::play([]).await;
    let world = World::start(&network(&first, &script.endpoint, 0.1));
    world.until("values", |world| world.observations("level").len() >= 2).await;
    // The silent device moves to one that answers.
    apply(&world.store, &network(&first, &second, 0.1));
    world.until("values of the other", |world| world.observations("other").len() >= 2).await;
    let store = world.end().await;
    let asked = script.asked().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(script.asked().len(), asked, "nobody is asked any more");
    store.close().await;
}

#[test]
fn the_devices_of_the_demonstration_need_few_questions() {
    let read = |path: &str| std::fs::read_to_string(format!("{}/../demo/{path}", env!("CARGO_MANIFEST_DIR"))).expect(path);
    let profiles = ["profiles/radar-vegapuls-c21.toml", "profiles/plc-castelletti.toml"].map(|path| (path, read(path)));
    let profiles = profiles.each_ref().map(|(path, text)| (*path, text.as_str()));
    let store = Store::in_memory(Arc::new(Wall)).expect("a store");
    store.apply(&load_embedded("network.toml", &read("network.toml"), &profiles).expect("a network")).expect("applied");
    let registry = store.registry();
    for (device, questions) in [("gamberame-radar", 1), ("castelletti-plc", 2)] {
        let device = registry.device("medio-valdarno", device).expect(device);
        let Link::Modbus { profile, .. } = &device.link else { panic!("polled") };
        let fed = profile.registers.iter().filter(|register| device.feeds.iter().any(|feed| feed.channel == register.channel));
        let blocks = blocks(fed, &Rules::of(profile)).expect("a plan");
        assert_eq!(blocks.len(), questions, "{}: {blocks:?}", device.id);
    }
    assert!(registry.device_by_user("prova").is_some());
    store.close_blocking();
}
