//! A pescaia of one's own in a directory of its own, and clients for it.

pub(crate) mod crew;
pub(crate) mod influx;
pub(crate) mod link;
pub(crate) mod mosquitto;
pub(crate) mod mqtt;
pub(crate) mod sim;

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// A directory that goes away with its owner.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pescaia-it-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The binary under test.
pub(crate) fn pescaia() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pescaia"))
}

/// The project's own directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A running pescaia.
pub(crate) struct World {
    child: Child,
    pub(crate) http: String,
    pub(crate) mqtt: String,
    /// Where MQTT is spoken over TLS, if it is.
    pub(crate) mqtts: Option<String>,
    heard: Mutex<Receiver<String>>,
}

impl World {
    /// Starts `command` and waits for its ready line.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("pescaia starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.by_ref().map(|line| line.expect("a line")).find(|line| line.starts_with("ready ")).expect("it says ready");
        let address = |key: &str| ready.split(' ').find_map(|word| word.strip_prefix(key)).expect(key).to_owned();
        let (http, mqtt) = (address("http="), address("mqtt="));
        let mqtts = ready.split_whitespace().find_map(|word| word.strip_prefix("mqtts=")).map(str::to_owned);
        let (tell, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        Self { child, http, mqtt, mqtts, heard: Mutex::new(heard) }
    }
    /// What it printed after `ready` and before it fell silent.
    pub(crate) fn said(&self) -> Vec<String> {
        std::iter::from_fn(|| self.heard.lock().unwrap().recv_timeout(Duration::from_millis(500)).ok()).collect()
    }
    /// With a configuration for `network` in `dir`.
    pub(crate) fn run(dir: &Dir, network: &str) -> Self {
        Self::start(pescaia().arg("run").arg("--config").arg(configure(dir, network)))
    }
    pub(crate) fn demo(dir: &Dir, more: &[&str]) -> Self {
        Self::start(
            pescaia().args(["demo", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data"]).arg(dir.path().join("data")).args(more),
        )
    }
    pub(crate) fn mqtt_port(&self) -> &str {
        self.mqtt.rsplit(':').next().unwrap()
    }
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }
    /// Status and body.
    pub(crate) fn get_as(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.get(self.url(path));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().expect("an answer");
        (response.status().as_u16(), response.body_mut().with_config().limit(64 << 20).read_to_string().expect("a body"))
    }
    /// Status and body, as it is.
    pub(crate) fn get_bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.get(self.url(path)).call().expect("an answer");
        (response.status().as_u16(), response.body_mut().with_config().limit(64 << 20).read_to_vec().expect("a body"))
    }
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.get_as(path, None);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|cause| panic!("{path}: {cause}: {body}"))
    }
    pub(crate) fn post(&self, path: &str, token: &str, content_type: &str, body: &str) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(self.url(path)).header("authorization", format!("Bearer {token}")).header("content-type", content_type);
        let mut response = request.send(body).expect("an answer");
        let text = response.body_mut().read_to_string().expect("a body");
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
    /// Times and results of a datastream over an interval, page by page.
    pub(crate) fn observations(&self, datastream: &str, query: &str) -> Vec<(String, f64)> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/api/v1/datastreams/{datastream}/observations?{query}&limit=5000{cursor}"));
            for item in page["items"].as_array().expect("items") {
                found.push((item["phenomenon_time"].as_str().expect("a text").to_owned(), item["result"].as_f64().expect("a number")));
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }
    /// Why and how often nothing was measured in the last hour, oldest first.
    pub(crate) fn gaps(&self, datastream: &str) -> Vec<(String, u64)> {
        let found = self.get(&format!("/api/v1/datastreams/{datastream}/gaps?period=PT1H"));
        let gap = |gap: &Value| (gap["reason"].as_str().expect("a text").to_owned(), gap["count"].as_u64().expect("a number"));
        found["items"].as_array().expect("items").iter().map(gap).collect()
    }
    /// What `/api/v1/latest` says of a datastream.
    pub(crate) fn latest(&self, datastream: &str) -> Value {
        let all = self.get("/api/v1/latest");
        all["items"].as_array().expect("items").iter().find(|one| one["datastream"] == datastream).expect("it is listed").clone()
    }
    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        end(&mut self.child);
    }
    /// Resident bytes, and open descriptors.
    pub(crate) fn weight(&self) -> (u64, usize) {
        (self.resident("VmRSS:"), std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count())
    }
    /// Resident bytes that are of no file: a binary with everything in it for debugging is large itself.
    pub(crate) fn own_memory(&self) -> u64 {
        self.resident("RssAnon:")
    }
    fn resident(&self, kind: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(kind)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }
    /// A line of `/metrics`, labels included in its name; 0 when it is not there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let metrics = self.get_as("/metrics", None).1;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |number| number.parse::<f64>().unwrap() as u64)
    }
    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().expect("kill").success());
    }
    /// Waits until it has ended by itself, for at most `patience`; how.
    pub(crate) fn end_within(&mut self, patience: Duration) -> Option<std::process::ExitStatus> {
        let begun = Instant::now();
        loop {
            match self.child.try_wait().expect("try_wait") {
                None if begun.elapsed() < patience => std::thread::sleep(Duration::from_millis(10)),
                ended => return ended,
            }
        }
    }
    /// As systemd does; its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().expect("wait").code()
    }
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("try_wait").is_none()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a process and, where it stands under a tracer, the one that is traced.
fn end(child: &mut Child) {
    if child.try_wait().is_ok_and(|ended| ended.is_none()) {
        let _ = Command::new("pkill").args(["-KILL", "-P", &child.id().to_string()]).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Writes configuration and network; ports are the system's choice.
pub(crate) fn configure(dir: &Dir, network: &str) -> PathBuf {
    dir.write("network.toml", network);
    dir.write(
        "pescaia.toml",
        "data_dir = \"data\"\nnetworks = [\"network.toml\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n",
    )
}

/// A token of `owner` of a running instance, through the control socket.
pub(crate) fn token(dir: &Dir, owner: &str, scopes: &[&str]) -> String {
    let mut command = pescaia();
    command.args(["token", "new", "--owner", owner, "--config"]).arg(dir.path().join("pescaia.toml"));
    for scope in scopes {
        command.args(["--scope", scope]);
    }
    let done = command.output().expect("pescaia");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("a text").trim().to_owned()
}

/// A hash for network files, of the password `prova`; cheap, for tests.
pub(crate) const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$6zJVeHLapeL8iVfBIFs2XA$zeIIAw292omyqvDM57ZxOQBLMRG5bovhsUkMjD9F/l4";

/// One public station with one gauge that the device `prova` feeds.
pub(crate) fn one_gauge() -> String {
    format!(
        r#"
[[owner]]
id = "demo"
name = "demo"
[[station]]
id = "prova"
owner = "demo"
name = "Prova"
where = [43.9, 11.1]
[[datastream]]
id = "prova-level"
station = "prova"
property = "water_level"
period_s = 10
visibility = "public"
[[device]]
id = "prova"
owner = "demo"
mqtt = {{ user = "prova", password_hash = "{HASH}" }}
feeds = [{{ channel = "level", datastream = "prova-level" }}]
"#
    )
}

/// What a command on the store of `dir` prints, wherever.
pub(crate) fn said(dir: &Dir, words: &[&str]) -> String {
    let done = pescaia().args(words).arg("--data").arg(dir.path().join("data")).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

/// Asks until it holds, for at most `seconds`.
pub(crate) fn eventually(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Seconds since 1970.
#[allow(clippy::disallowed_methods, reason = "tests live in real time")]
pub(crate) fn now_s() -> i64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap()
}

/// The interpreter of the virtual environment that `tests/run` makes.
pub(crate) fn python() -> String {
    std::env::var("PESCAIA_TEST_PYTHON").unwrap_or_else(|_| root().join("target/venv/bin/python").display().to_string())
}
