//! A real InfluxDB 2 beside the store: it gets everything once, whatever happens to it, and nothing waits for it.

use crate::support::influx::{Influx, TOKEN};
use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, root, said, token};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn run(dir: &Dir, network: &str, address: &str) -> World {
    let config = configure(dir, network);
    dir.write("secret", TOKEN);
    let mut text = std::fs::read_to_string(&config).unwrap();
    text += &format!("[influx]\nurl = \"http://{address}\"\norg = \"o\"\nbucket = \"b\"\ntoken_file = \"secret\"\n");
    std::fs::write(&config, text).unwrap();
    World::start(pescaia().arg("run").arg("--config").arg(&config))
}

fn push(world: &World, key: &str, from: i64, count: i64) -> Duration {
    let item =
        |second: i64| format!(r#"{{"device":"prova","time":{second},"values":{{"level":{}}}}}"#, 1.0 + (second % 1000) as f64 / 1000.0);
    let items: Vec<String> = (from..from + count).map(item).collect();
    let start = Instant::now();
    let (status, answer) = world.post("/api/v1/observations", key, "application/json", &format!("[{}]", items.join(",")));
    assert_eq!(status, 200, "{answer}");
    start.elapsed()
}

/// Both hold the same.
fn same(world: &World, influx: &Influx) -> bool {
    let ours = world.observations("prova-level", "period=P1D");
    let theirs = influx.points("prova-level");
    let micros = |text: &str| model::Timestamp::parse(text).unwrap().micros();
    ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|((time, value), (at, other))| micros(time) == *at && value.to_bits() == other.to_bits())
}

#[test]
fn influxdb_has_what_the_store_has_through_its_death_a_correction_and_a_deletion() {
    let dir = Dir::new("influx");
    let world = World::run(&dir, &one_gauge());
    let key = token(&dir, "demo", &["ingest"]);
    let start = now_s() - 9000;
    push(&world, &key, start, 6000);
    assert_eq!(world.terminate(), Some(0));

    let mut influx = Influx::start(&dir);
    let world = run(&dir, &one_gauge(), &influx.address.clone());
    eventually("what was there before is there", 30, || same(&world, &influx));
    push(&world, &key, start + 6000, 500);
    eventually("what comes is there", 10, || same(&world, &influx));

    influx.kill();
    let during = push(&world, &key, start + 6500, 500);
    assert!(during < Duration::from_secs(2), "nothing waits for it: {during:?}");
    eventually("it is said", 20, || {
        let ready = world.get("/readyz");
        ready["ready"] == true && ready["degraded"] == true && ready["parts"].to_string().contains("influxdb")
    });
    assert!(world.metric("pescaia_influx_waiting_bytes") > 0);
    influx.restart();
    eventually("what it missed is there, once", 60, || same(&world, &influx));
    eventually("it is well again", 10, || world.get("/readyz")["degraded"] == false);

    let instant = |second: i64| model::Timestamp::from_seconds(second).to_string();
    let (from, to) = (instant(start), instant(start + 100));
    let corrected = said(&dir, &["correct", "prova-level", "--from", &from, "--to", &to, "--shift", "-200s", "--why", "orologio"]);
    assert!(corrected.contains("100 observations are revised"), "{corrected}");
    eventually("what was withdrawn here is gone there", 20, || same(&world, &influx));
    let (from, to) = (instant(start + 1000), instant(start + 3000));
    said(&dir, &["delete", "prova-level", "--from", &from, "--to", &to, "--why", "banco", "--yes"]);
    assert_eq!(world.observations("prova-level", "period=P1D").iter().filter(|(time, _)| *time >= from && *time < to).count(), 0);
    push(&world, &key, start + 7000, 1);
    eventually("what was deleted here is gone there", 40, || same(&world, &influx));
    dashboards(&influx);
}

/// Every query of the dashboards for Grafana finds something.
fn dashboards(influx: &Influx) {
    let mut asked = 0;
    for file in std::fs::read_dir(root().join("dashboards/grafana")).unwrap().map(|file| file.unwrap().path()) {
        let dashboard: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let queries = dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
        let variables = dashboard["templating"]["list"].as_array().unwrap().iter().filter(|one| one["type"] == "query");
        for query in queries.map(|target| &target["query"]).chain(variables.map(|one| &one["query"])) {
            let flux = query.as_str().unwrap().replace("${bucket}", "b").replace("${station}", "prova");
            let flux = flux.replace("v.timeRangeStart", "-1d").replace("v.timeRangeStop", "now()").replace("v.windowPeriod", "1m");
            // Those that list what is wrong find nothing where nothing is.
            let may_be_empty = flux.contains("r.quality >= 3") || flux.contains("subDuration");
            let found = influx.ask(&flux);
            assert!(may_be_empty || !found.is_empty(), "{}: {flux}", file.display());
            asked += 1;
        }
    }
    assert!(asked >= 8, "{asked} queries");
}

#[test]
fn a_line_that_influxdb_refuses_is_kept_aside_with_its_words_and_the_others_go_in() {
    let dir = Dir::new("influx-refused");
    let influx = Influx::start(&dir);
    // Somebody made the level a text there.
    let now = now_s();
    let (status, text) =
        influx.post("/api/v2/write?org=o&bucket=b&precision=s", "text/plain", &format!("water_level value=\"high\" {now}"));
    assert_eq!(status, 204, "{text}");
    let network = one_gauge().replace("feeds = [", "feeds = [{ channel = \"flow\", datastream = \"prova-flow\" }, ")
        + "[[datastream]]\nid = \"prova-flow\"\nstation = \"prova\"\nproperty = \"flow\"\nperiod_s = 10\nvisibility = \"public\"\n";
    let world = run(&dir, &network, &influx.address);
    let key = token(&dir, "demo", &["ingest"]);
    let item = |second: i64| format!(r#"{{"device":"prova","time":{second},"values":{{"level":1.5,"flow":2.5}}}}"#);
    let items: Vec<String> = (now - 20..now).map(item).collect();
    let (status, answer) = world.post("/api/v1/observations", &key, "application/json", &format!("[{}]", items.join(",")));
    assert_eq!(status, 200, "{answer}");
    eventually("what it can take is there", 20, || influx.points("prova-flow").len() == 20);
    eventually("what it refused is counted", 20, || world.metric("pescaia_influx_refused_lines") == 20);
    let told = said(&dir, &["influx"]);
    assert!(told.contains("field type conflict") && told.contains("water_level,datastream=prova-level"), "{told}");
    assert_eq!(world.observations("prova-level", "period=P1D").len(), 20, "here they are all the same");
}

/// What a stub was sent, and when; and whether it said that it took it.
struct Heard {
    at: Instant,
    lines: usize,
    kept: bool,
}

#[test]
fn a_server_that_asks_to_wait_hangs_or_resets_is_waited_for_and_gets_all_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let seen = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let seen = seen.clone();
            std::thread::spawn(move || answer(stream, &seen));
        }
    });
    let dir = Dir::new("influx-stub");
    let world = run(&dir, &one_gauge(), &address);
    let key = token(&dir, "demo", &["ingest"]);
    push(&world, &key, now_s() - 100, 50);
    // What it was sent and refused is not there: only what it said that it took counts.
    eventually("it has all of it", 60, || heard.lock().unwrap().iter().any(|one| one.kept && one.lines == 50));
    eventually("it is well again", 30, || world.get("/readyz")["degraded"] == false);
    let heard = heard.lock().unwrap();
    let writes: Vec<&Heard> = heard.iter().filter(|one| one.lines > 0).collect();
    assert_eq!(writes.iter().map(|one| one.kept).collect::<Vec<_>>(), [false, false, true], "503, reset, taken, and no more");
    let waited = writes[1].at - writes[0].at;
    assert!(waited >= Duration::from_secs(2), "Retry-After is honoured: {waited:?}");
}

/// The first write gets a 503 with a wish, which also who asks with nothing to write is told; the second is cut in the middle of the
/// answer; then all is taken.
fn answer(mut stream: std::net::TcpStream, heard: &Mutex<Vec<Heard>>) {
    loop {
        let mut bytes = Vec::new();
        let mut byte = [0; 1];
        while !bytes.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => bytes.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&bytes).to_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            return;
        }
        let at = Instant::now();
        let lines = String::from_utf8_lossy(&body).lines().filter(|line| line.starts_with("water_level")).count();
        let mut heard = heard.lock().unwrap();
        let writes = heard.iter().filter(|one| one.lines > 0).count() + usize::from(lines > 0);
        heard.push(Heard { at, lines, kept: writes > 2 });
        drop(heard);
        let text = match writes {
            0 | 1 => "HTTP/1.1 503 Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n",
            // Taken, perhaps, and then the line is cut in the middle of the answer.
            2 => "HTTP/1.1 204 No Con",
            _ => "HTTP/1.1 204 No Content\r\n\r\n",
        };
        if stream.write_all(text.as_bytes()).is_err() || writes == 2 {
            return;
        }
    }
}
