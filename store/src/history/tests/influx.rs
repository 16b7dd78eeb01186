//! The suite on a real InfluxDB 2, written by the forwarder as it writes in the field and read as what is no longer here is read.
//!
//! Left out, because InfluxDB keeps one value for a series and time:
//! - what each observation turned out to be (accepted, duplicate, revised): the local store is the journal and says it, also here;
//! - what was replaced, and so `as_of`: `what_was_replaced_is_kept` and the tests of `View::as_of` run on the chunk layer only;
//! - damage and its fence, the lock: they are of files of ours.

use super::{Dir, Fixed, History, conforms, groups, odd};
use crate::influx::Beyond;
use crate::{Error, InfluxForwarder, InfluxSettings, Outcome, Settings, Store, load_embedded};
use model::{Datastream, DatastreamId, Interval, Observation, Timestamp};
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
    let journal = Store::open(&dir.0.join("journal"), outbox, Arc::new(Fixed)).expect("a journal");
    journal.apply(&load_embedded("n", &network(), &[]).expect("a network")).expect("applied");
    let (_stop, stopping) = watch::channel(false);
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
}
