//! A real InfluxDB 2, built by `tests/influxd`.

use super::{Dir, root};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const TOKEN: &str = "a-token-for-tests";

/// It runs, with an organization `o` and a bucket `b`.
pub(crate) struct Influx {
    child: Child,
    binary: PathBuf,
    dir: PathBuf,
    pub(crate) address: String,
}

impl Influx {
    pub(crate) fn start(dir: &Dir) -> Self {
        let built = Command::new(root().join("tests/influxd")).stderr(Stdio::inherit()).output().unwrap();
        assert!(built.status.success(), "tests/influxd builds the server");
        let binary: PathBuf = String::from_utf8(built.stdout).unwrap().trim().into();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = dir.path().join("influx");
        std::fs::create_dir_all(&dir).unwrap();
        let address = format!("127.0.0.1:{port}");
        let child = run(&binary, &dir, &address);
        let influx = Self { child, binary, dir, address };
        let body = format!(r#"{{"username":"u","password":"password-of-u","org":"o","bucket":"b","token":"{TOKEN}"}}"#);
        assert_eq!(influx.post("/api/v2/setup", "application/json", &body).0, 201);
        influx
    }
    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
    pub(crate) fn restart(&mut self) {
        self.child = run(&self.binary, &self.dir, &self.address);
    }
    pub(crate) fn post(&self, path: &str, content_type: &str, body: &str) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(format!("http://{}{path}", self.address)).header("content-type", content_type);
        let mut answer = request.header("authorization", format!("Token {TOKEN}")).send(body).expect("an answer");
        (answer.status().as_u16(), answer.body_mut().with_config().limit(64 << 20).read_to_string().unwrap())
    }
    /// The lines of the answer to a question in Flux, without annotations, headers and empty lines.
    pub(crate) fn ask(&self, flux: &str) -> Vec<String> {
        let (status, text) = self.post("/api/v2/query?org=o", "application/vnd.flux", flux);
        assert_eq!(status, 200, "{flux}\n{text}");
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with(",result") && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }
    /// What a datastream has there: times in µs, and values.
    pub(crate) fn points(&self, datastream: &str) -> Vec<(i64, f64)> {
        self.points_where(&format!("datastream='{datastream}'"))
    }
    /// As [`Influx::points`], of `[from, to)` µs.
    pub(crate) fn points_between(&self, datastream: &str, from: i64, to: i64) -> Vec<(i64, f64)> {
        self.points_where(&format!("datastream='{datastream}' AND time >= {from}u AND time < {to}u"))
    }
    fn points_where(&self, filter: &str) -> Vec<(i64, f64)> {
        let query = format!("q=SELECT value FROM /.*/ WHERE {filter}&db=b&epoch=u");
        let (status, text) = self.post("/query", "application/x-www-form-urlencoded", &query);
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let rows = answer["results"][0]["series"][0]["values"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| (row[0].as_i64().unwrap(), row[1].as_f64().unwrap())).collect()
    }
}

fn run(binary: &PathBuf, dir: &std::path::Path, address: &str) -> Child {
    let mut command = Command::new(binary);
    command.arg("run").args(["--http-bind-address", address, "--reporting-disabled", "--log-level", "error"]);
    for (option, name) in [("--bolt-path", "bolt"), ("--engine-path", "engine"), ("--sqlite-path", "sqlite")] {
        command.arg(option).arg(dir.join(name));
    }
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while ureq::get(format!("http://{address}/health")).call().is_err() {
        assert!(Instant::now() < end, "influxd answers");
        std::thread::sleep(Duration::from_millis(100));
    }
    child
}

impl Drop for Influx {
    fn drop(&mut self) {
        self.kill();
    }
}
