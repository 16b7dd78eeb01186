//! The suite on a real InfluxDB 2, written by the forwarder as it writes in the field and read as what is no longer here is read.
//!
//! Left out, because InfluxDB keeps one value for a series and time:
//! - what each observation turned out to be (accepted, duplicate, revised): the local store is the journal and says it, also here;
//! - what was replaced, and so `as_of`: `what_was_replaced_is_kept` and the tests of `View::as_of` run on the chunk layer only;
//! - damage and its fence, the lock: they are of files of ours.

use super::{Dir, History, NOW, conforms, groups, odd};
use crate::influx::Beyond;
use crate::{Error, InfluxForwarder, InfluxSettings, Outcome, Settings, Store, load_embedded};
use model::{Datastream, DatastreamId, Interval, Observation, Quality, Timestamp};
use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::watch;

const TOKEN: &str = "a-token-for-tests";

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(dir: &Dir, runtime: &Runtime) -> Self {
        let cache = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| std::env::var("HOME").expect("a home") + "/.cache");
        let binary = std::path::Path::new(&cache).join("pescaia/influxd-2.7.12/influxd");
        assert!(binary.exists(), "there is no {}: run tests/run (or tests/influxd), which builds it once", binary.display());
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let mut command = Command::new(binary);
        command.args(["run", "--reporting-disabled", "--log-level", "error", "--http-bind-address", &format!("127.0.0.1:{port}")]);
        for (option, name) in [("--bolt-path", "bolt"), ("--engine-path", "engine"), ("--sqlite-path", "sqlite")] {
            command.arg(option).arg(dir.0.join(name));
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("influxd starts");
        let server = Self { child, url: format!("http://127.0.0.1:{port}") };
        let body = format!(r#"{{"username":"u","password":"password-of-u","org":"o","bucket":"b","token":"{TOKEN}"}}"#);
        let setup = || runtime.block_on(reqwest::Client::new().post(format!("{}/api/v2/setup", server.url)).body(body.clone()).send());
        let end = Instant::now() + Duration::from_secs(60);
        while !setup().is_ok_and(|answer| answer.status().as_u16() == 201) {
            assert!(Instant::now() < end, "influxd answers");
            std::thread::sleep(Duration::from_millis(100));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What InfluxDB has. What is appended goes to the journal, and from there to it.
struct InInflux {
    journal: Store,
    beyond: Beyond,
}

impl InInflux {
    fn datastream(&self, id: DatastreamId) -> Arc<Datastream> {
        self.journal.registry().datastream(id).expect("known").clone()
    }
}

impl History for InInflux {
    fn append(&self, group: &[Observation]) -> Result<Vec<Outcome>, Error> {
        let outcomes = self.journal.append(group)?;
        let end = Instant::now() + Duration::from_secs(120);
        while self.journal.waiting_for_centre().is_none_or(|waiting| waiting.commits > 0) {
            assert!(Instant::now() < end, "it goes there: {:?}", self.journal.health().influx);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(outcomes)
    }
    fn scan(&self, datastream: DatastreamId, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error> {
        let mut found = Vec::new();
        self.beyond.visit(&self.datastream(datastream), interval, limit, |one| {
            found.push(one);
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }
    fn scan_back(&self, datastream: DatastreamId, to: Timestamp, limit: usize) -> Result<Vec<Observation>, Error> {
        self.beyond.last_before(&self.datastream(datastream), to, limit)
    }
    fn latest(&self, datastream: DatastreamId) -> Option<Observation> {
        self.scan_back(datastream, Timestamp::MAX, 1).expect("read").pop()
    }
    fn count(&self, datastream: DatastreamId) -> u64 {
        self.scan(datastream, Interval::ALL, usize::MAX).expect("read").len() as u64
    }
}

fn network() -> String {
    let mut text =
        "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n".to_owned();
    for number in 0..4 {
        text += &format!("[[datastream]]\nid = \"d{number}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 60\n");
    }
    text
}

#[test]
fn influxdb_does_as_the_plain_one() {
    let runtime = Runtime::new().expect("a runtime");
    let dir = Dir::new("history-influx");
    let server = Server::start(&dir, &runtime);
    let settings = InfluxSettings { url: server.url.clone(), org: "o".into(), bucket: "b".into(), token: TOKEN.into() };
    let outbox = Settings { outbox: Some(InfluxSettings::room()), ..Settings::default() };
    let journal = Store::open(&dir.0.join("journal"), outbox, Arc::new(NOW)).expect("a journal");
    journal.apply(&load_embedded("n", &network(), &[]).expect("a network")).expect("applied");
    let (stop, stopping) = watch::channel(false);
    runtime.spawn(InfluxForwarder::new(journal.clone(), settings.clone()).run(stopping));
    let mut there = InInflux { journal, beyond: Beyond::new(&settings).expect("an address") };
    let groups: Vec<_> = std::iter::once(odd()).chain(groups(3, 12, 200)).collect();
    conforms(&mut there, groups, |number, there, plain| {
        if number == 0 || number == 6 {
            super::same(there, plain, "on the way");
        }
    });
    // More than one page, both ways.
    let many: Vec<Observation> = (0..12_000).map(|minute| super::observation(3, minute, minute % 977, minute)).collect();
    there.append(&many).expect("kept");
    assert_eq!(there.scan(DatastreamId(3), Interval::ALL, usize::MAX).expect("read"), many);
    assert_eq!(there.scan_back(DatastreamId(3), Timestamp::MAX, 11_000).expect("read"), many[1000..]);
    assert_eq!(there.scan(DatastreamId(3), Interval::ALL, 7000).expect("read"), many[..7000]);

    // Half of it goes from here; what comes since for a time that old is the newer word, before InfluxDB has it.
    stop.send_replace(true);
    let (store, id) = (&there.journal, DatastreamId(3));
    store.read_beyond(&settings).expect("an address");
    assert_eq!(store.keep_from(id, many[6000].phenomenon_time).expect("gone"), 6000);
    let since = [super::observation(3, 10, 7, 20), super::observation(3, 11, 7, 20), super::observation(3, -5, 7, 20)];
    store.append(&since).expect("kept");
    store.append(&[Observation { quality: Quality::WITHDRAWN, ..super::observation(3, 11, 8, 21) }]).expect("kept");
    let mut expected = many.clone();
    expected[10] = since[0];
    expected.remove(11);
    expected.insert(0, since[2]);
    let owner = model::Viewer::Token { owner: there.datastream(id).owner.clone(), scopes: vec![model::Scope::Read] };
    let (view, datastream) = (store.seen_by(&owner), there.datastream(id));
    let read = |from: i64, to: i64, limit| {
        let at = |minute: i64| Timestamp::from_seconds(super::START + minute * 60);
        view.observations(&datastream, Interval::new(at(from), at(to)), limit).expect("read")
    };
    assert_eq!(read(-100, 20_000, usize::MAX), expected);
    assert_eq!(read(-100, 20_000, 6005), expected[..6005]);
    assert_eq!(read(5900, 6100, usize::MAX), many[5900..6100]);
    assert_eq!(view.observations_before(&datastream, Timestamp::MAX, 6500).expect("read"), expected[expected.len() - 6500..]);
    assert_eq!(view.observations_before(&datastream, Timestamp::MAX, 99_999).expect("read"), expected);
    assert!(store.seen_by(&model::Viewer::Public).observations(&datastream, Interval::ALL, 9).expect("read").is_empty());
    let back = view.as_of(Timestamp::from_seconds(super::START)).expect("then");
    assert!(matches!(back.observations(&datastream, Interval::ALL, 9), Err(Error::Forgotten { .. })));
}
