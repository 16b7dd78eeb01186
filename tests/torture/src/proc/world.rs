//! One pescaia in a directory of its own, started again and again on the same data.

use super::http;
use super::publisher::{Kind, stream_name};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A hash of the password `prova`; cheap, for tests.
const HASH: &str = "$argon2id$v=19$m=8192,t=1,p=1$6zJVeHLapeL8iVfBIFs2XA$zeIIAw292omyqvDM57ZxOQBLMRG5bovhsUkMjD9F/l4";

pub(crate) struct World {
    binary: PathBuf,
    dir: PathBuf,
    child: Option<Child>,
    /// Keeps a small disk mounted while the process on it comes and goes.
    holder: Option<Child>,
    restarts: Vec<Duration>,
    kept: bool,
    pub(crate) http: String,
    pub(crate) mqtt: String,
    pub(crate) token: String,
}

fn words(cause: impl std::fmt::Display) -> String {
    cause.to_string()
}

/// Sends a signal.
pub(crate) fn signal(name: &str, id: u32) {
    let _ = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status();
}

impl World {
    pub(crate) fn make(binary: &Path, crew: &[Kind], on_small_disk: bool) -> Result<Self, String> {
        let dir = std::env::temp_dir().join(format!("pescaia-torture-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("data")).map_err(words)?;
        std::fs::write(dir.join("network.toml"), network(crew)).map_err(words)?;
        let config =
            "data_dir = \"data\"\nnetworks = [\"network.toml\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n";
        std::fs::write(dir.join("pescaia.toml"), config).map_err(words)?;
        let binary = std::fs::canonicalize(binary).map_err(|cause| format!("{}: {cause}", binary.display()))?;
        let holder = on_small_disk.then(|| hold(&dir)).transpose()?;
        let text = String::new;
        let mut world =
            Self { binary, dir, child: None, holder, restarts: Vec::new(), kept: false, http: text(), mqtt: text(), token: text() };
        world.start(None)?;
        world.restarts.clear();
        let made = world.command(&["token", "new", "--owner", "o", "--scope", "ingest", "--config"], None).output().map_err(words)?;
        world.token = String::from_utf8_lossy(&made.stdout).trim().to_owned();
        if world.token.is_empty() { Err(format!("no token: {}", String::from_utf8_lossy(&made.stderr))) } else { Ok(world) }
    }

    /// The binary with these words and the configuration, on its disk, perhaps under strace.
    fn command(&self, arguments: &[&str], strace: Option<&[String]>) -> Command {
        let mut all: Vec<String> = Vec::new();
        if let Some(holder) = &self.holder {
            all.extend(["nsenter", "-t", &holder.id().to_string(), "-U", "-m", "--preserve-credentials"].map(str::to_owned));
        }
        all.extend(strace.unwrap_or_default().iter().cloned());
        all.push(self.binary.display().to_string());
        all.extend(arguments.iter().map(|word| (*word).to_owned()));
        all.push(self.dir.join("pescaia.toml").display().to_string());
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]).env("PESCAIA_LOG", "error").current_dir(&self.dir);
        command
    }

    /// Starts it and waits for its ready line.
    pub(crate) fn start(&mut self, strace: Option<&[String]>) -> Result<(), String> {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("log")).map_err(words)?;
        let begun = Instant::now();
        let mut command = self.command(&["run", "--config"], strace);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().map_err(words)?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        self.child = Some(child);
        let ready = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("ready ")).ok_or("it never said ready")?;
        if strace.is_none() {
            self.restarts.push(begun.elapsed());
        }
        let address = |key: &str| ready.split_whitespace().find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned();
        (self.http, self.mqtt) = (address("http="), address("mqtt="));
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
    /// Its data directory, seen from here.
    pub(crate) fn data(&self) -> PathBuf {
        match &self.holder {
            Some(holder) => PathBuf::from(format!("/proc/{}/root{}", holder.id(), self.dir.join("data").display())),
            None => self.dir.join("data"),
        }
    }
    pub(crate) fn restarts(&self) -> &[Duration] {
        &self.restarts
    }
    pub(crate) fn kill(&mut self) -> Result<(), String> {
        let child = self.child.as_mut().ok_or("not running")?;
        if let Some(status) = child.try_wait().map_err(words)? {
            return Err(format!("it had ended by itself: {status}"));
        }
        child.kill().map_err(words)?;
        child.wait().map(drop).map_err(words)
    }
    /// Waits for its end; `None` when it does not come.
    pub(crate) fn wait(&mut self, most: Duration) -> Option<std::process::ExitStatus> {
        let end = Instant::now() + most;
        while Instant::now() < end {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
    /// As systemd does; its exit code.
    pub(crate) fn end(&mut self) -> Result<Option<i32>, String> {
        signal("TERM", self.id());
        self.wait(Duration::from_secs(10)).map(|status| status.code()).ok_or_else(|| "SIGTERM: not ended after 10 s".to_owned())
    }
    /// Resident bytes and open descriptors.
    pub(crate) fn weight(&self) -> (u64, usize) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0);
        (kilobytes * 1024, std::fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count))
    }
    pub(crate) fn get(&self, path: &str) -> Result<String, String> {
        match http::ask(&self.http, "GET", path, "", "").map_err(words)? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{path}: {status}: {body}")),
        }
    }
    /// Leaves the directory for somebody to look at.
    pub(crate) fn keep(&mut self) -> &Path {
        self.kept = true;
        &self.dir
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in [&mut self.child, &mut self.holder].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// A disk of 256 MiB in a namespace of its own, under `data`.
fn hold(dir: &Path) -> Result<Child, String> {
    let script = format!("mount -t tmpfs -o size=256m tmpfs {} && echo up && exec sleep 100000", dir.join("data").display());
    let mut holder = Command::new("unshare").args(["-rm", "sh", "-c", &script]).stdout(Stdio::piped()).spawn().map_err(words)?;
    let mut line = String::new();
    BufReader::new(holder.stdout.take().ok_or("no output")?).read_line(&mut line).map_err(words)?;
    if line.trim() == "up" { Ok(holder) } else { Err("no small disk: unshare -rm and mount are needed".to_owned()) }
}

fn network(crew: &[Kind]) -> String {
    let mut text = format!(
        "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n[[device]]\nid = \"gw\"\nowner = \"o\"\nmqtt = {{ user = \"gw\", password_hash = \"{HASH}\", gateway = true }}\n"
    );
    for (number, kind) in (0..).zip(crew) {
        let name = stream_name(number);
        let address = if *kind == Kind::Line { format!("address = \"torture,name={name}\"\n") } else { "http = true\n".to_owned() };
        let _ = write!(
            text,
            "[[datastream]]\nid = \"{name}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 1\nvisibility = \"public\"\n[[device]]\nid = \"{name}\"\nowner = \"o\"\n{address}feeds = [{{ channel = \"level\", datastream = \"{name}\" }}]\n"
        );
    }
    text
}
