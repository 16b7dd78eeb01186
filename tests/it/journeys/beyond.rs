//! What is no longer in the local store is read from a real InfluxDB 2, or the answer says that it can't be; never a shorter one.

use crate::support::influx::{Influx, TOKEN};
use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, said, token};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Wall;
impl model::Clock for Wall {
    fn now(&self) -> model::Timestamp {
        model::Timestamp::from_seconds(now_s())
    }
}

const OBSERVATIONS: &str = "/api/v1/datastreams/prova-level/observations";

fn run(dir: &Dir, network: &str, address: &str) -> World {
    let config = configure(dir, network);
    dir.write("secret", TOKEN);
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += &format!("[influx]\nurl = \"http://{address}\"\norg = \"o\"\nbucket = \"b\"\ntoken_file = \"secret\"\n");
    std::fs::write(&config, text).unwrap();
    World::start(pescaia().arg("run").arg("--config").arg(&config))
}

fn push(world: &World, key: &str, items: &[String]) {
    let (status, answer) = world.post("/api/v1/observations", key, "application/json", &format!("[{}]", items.join(",")));
    assert_eq!(status, 200, "{answer}");
}

/// Status, `Retry-After` and body.
fn ask(world: &World, path: &str) -> (u16, Option<String>, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(world.url(path)).call().expect("an answer");
    let wait = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), wait, answer.body_mut().with_config().limit(64 << 20).read_to_string().unwrap())
}

#[test]
fn what_is_no_longer_here_is_read_from_influxdb_or_the_answer_says_so() {
    let dir = Dir::new("beyond");
    let mut influx = Influx::start(&dir);
    let network = one_gauge().replace("feeds = [", "feeds = [{ channel = \"own\", datastream = \"prova-own\" }, ")
        + "[[datastream]]\nid = \"prova-own\"\nstation = \"prova\"\nproperty = \"flow\"\nperiod_s = 10\n";
    let world = run(&dir, &network, &influx.address);
    let key = token(&dir, "demo", &["ingest", "read"]);
    let start = now_s() - 9000;
    let item = |n: i64| {
        let (time, level) = ((start + n) as f64 + 0.000_25, 1.0 / (3.0 + n as f64));
        format!(r#"{{"device":"prova","time":{time:.6},"values":{{"level":{level},"own":2.5}}}}"#)
    };
    (0..6000).map(item).collect::<Vec<_>>().chunks(1000).for_each(|some| push(&world, &key, some));
    let instant = |second: i64| model::Timestamp::from_seconds(second).to_string();
    let all = format!("from={}&to={}", instant(start), instant(start + 8000));
    let csv = format!("{OBSERVATIONS}?{all}&f=csv");
    let agg = format!("{OBSERVATIONS}?{all}&agg=PT15M");
    let seen = |world: &World| (world.observations("prova-level", &all), ask(world, &csv).2, world.get(&agg)["items"].clone());
    let before = seen(&world);
    assert_eq!(before.0.len(), 6000);
    eventually("it has all", 30, || influx.points("prova-own").len() == 6000 && influx.points("prova-level").len() == 6000);
    eventually("and the history is walked", 30, || said(&dir, &["influx"]).contains("all of the history is there"));
    assert_eq!(world.terminate(), Some(0));

    let settings = store::Settings { outbox: Some(store::InfluxSettings::room()), ..store::Settings::default() };
    let data = dir.path().join("data");
    let kept = store::Store::open(&data, settings, Arc::new(Wall)).unwrap();
    assert!(kept.influx_has_all().unwrap());
    for datastream in ["prova-level", "prova-own"] {
        let id = kept.registry().datastream_by_key(datastream).unwrap().id;
        assert_eq!(kept.keep_from(id, model::Timestamp::from_seconds(start + 4000)).unwrap(), 4000);
    }
    kept.close_blocking();
    drop(kept);

    let world = run(&dir, &network, &influx.address);
    assert_eq!(world.get("/api/v1/datastreams/prova-level")["count"], 2000, "here is only what is left");
    let after = seen(&world);
    assert!(before.0 == after.0, "the same times and bits, page by page");
    assert!(before.1 == after.1, "the same file, with qualities and the seconds of arrival");
    assert_eq!(before.2, after.2, "the same aggregates");
    assert_eq!(ask(&world, "/api/v1/datastreams/prova-own/observations").0, 404, "what is private is private there too");
    let (status, own) = world.get_as(&format!("/api/v1/datastreams/prova-own/observations?{all}&limit=10000"), Some(&key));
    assert_eq!((status, own.matches("phenomenon_time").count()), (200, 6000), "to who may see it");

    // Another word for a time that old: here, and the newer one.
    let newer = format!(r#"{{"device":"prova","time":{:.6},"values":{{"level":7.25}}}}"#, (start + 10) as f64 + 0.000_25);
    push(&world, &key, &[newer]);
    let now = world.observations("prova-level", &all);
    assert_eq!((now.len(), now[10].1), (6000, 7.25));
    eventually("there too", 20, || influx.points("prova-level")[10].1 == 7.25);

    let (status, _, text) = ask(&world, &format!("{OBSERVATIONS}?{all}&as_of={}", instant(now_s())));
    assert!(status == 400 && text.contains("leave as_of out"), "{status} {text}");
    let (from, to) = (instant(start + 100), instant(start + 200));
    let refused = said(&dir, &["correct", "prova-level", "--from", &from, "--to", &to, "--offset", "1", "--why", "prova"]);
    assert!(refused.contains("no longer in this store"), "{refused}");
    said(&dir, &["delete", "prova-level", "--from", &from, "--to", &to, "--why", "banco", "--yes"]);
    eventually("what is deleted is gone there, and nothing beside it", 20, || world.observations("prova-level", &all).len() == 5900);
    let left = world.observations("prova-level", &all);
    assert!(left == [&now[..100], &now[200..]].concat(), "the rest stands as it was");

    // It hangs: the answer comes all the same, and says so.
    let signal = |name: &str, influx: &Influx| {
        assert!(Command::new("kill").args([name, &influx.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP", &influx);
    let asked = Instant::now();
    let (status, wait, text) = ask(&world, &format!("{OBSERVATIONS}?{all}"));
    signal("-CONT", &influx);
    assert_eq!((status, wait.as_deref()), (503, Some("10")), "{text}");
    assert!(text.contains("is in InfluxDB") && text.contains("start or mend it") && asked.elapsed() < Duration::from_secs(25), "{text}");
    eprintln!("an InfluxDB that hangs is answered for after {:?}: {text}", asked.elapsed());

    influx.kill();
    for path in [format!("{OBSERVATIONS}?{all}"), csv.clone(), agg.clone()] {
        let (status, wait, text) = ask(&world, &path);
        assert_eq!((status, wait.as_deref()), (503, Some("10")), "{text}");
        assert!(text.contains("is in InfluxDB") && text.contains("start or mend it"), "{text}");
    }
    assert_eq!(ask(&world, &format!("/api/v1/datastreams/prova-own/observations?{all}")).0, 404, "judged before it is asked");
    let here = format!("from={}&to={}", instant(start + 4000), instant(start + 8000));
    assert_eq!(world.observations("prova-level", &here).len(), 2000, "what is here is served");
    influx.restart();
    assert!(world.observations("prova-level", &all) == left, "it is back");
}
