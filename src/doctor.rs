//! Checks everything that a start needs, and says in plain words what to mend.

use crate::cli::At;
use crate::clock::SystemClock;
use crate::config::{Config, DEFAULT_FILE};
use crate::control::{self, Answer, Request};
use crate::descriptors::Descriptors;
use crate::say;
use ingest::source::mqtt::TlsSettings;
use model::{Clock, Link, ModbusWire};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use store::{Complaint, Preview, load_network_to_start};

/// What was found so far.
#[derive(Default)]
struct Findings {
    failed: usize,
    warned: usize,
}

impl Findings {
    fn ok(&self, text: &str) {
        say::line(&format!("ok    {text}"));
    }
    fn warn(&mut self, text: &str) {
        self.warned += 1;
        say::line(&format!("warn  {text}"));
    }
    fn fail(&mut self, text: &str) {
        self.failed += 1;
        say::line(&format!("FAIL  {text}"));
    }
    fn end(&self) -> ExitCode {
        say::line(&match (self.failed, self.warned) {
            (0, 0) => "all well".to_owned(),
            (0, warned) => format!("it will start; {warned} to look at"),
            (failed, _) => format!("it will not start; {failed} to mend"),
        });
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
    fn complaints(&mut self, complaints: &[Complaint]) {
        complaints.iter().for_each(|complaint| self.fail(&complaint.to_string()));
    }
}

pub(crate) fn doctor(path: Option<&Path>, print_config: bool) -> anyhow::Result<ExitCode> {
    if print_config {
        say::page(DEFAULT_FILE.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let mut findings = Findings::default();
    let config = match path.map(Config::read) {
        None => Config::default(),
        Some(Ok(config)) => {
            findings.ok("the configuration can be read");
            config
        }
        Some(Err(complaints)) => {
            findings.complaints(&complaints);
            say::line("nothing else was checked; mend this first");
            return Ok(ExitCode::FAILURE);
        }
    };
    let running = control::connect(&config.data_dir).is_ok();
    port(&mut findings, "HTTP", config.http, running);
    port(&mut findings, "MQTT", config.mqtt, running);
    if let Some(tls) = &config.mqtt_tls {
        port(&mut findings, "MQTT over TLS", tls.listen, running);
        certificate(&mut findings, tls);
    }
    descriptors(&findings);
    disk(&mut findings, &config.data_dir);
    user(&mut findings, &config.data_dir);
    contents(&mut findings, &config.data_dir);
    networks(&mut findings, &config, running);
    Ok(findings.end())
}

/// `pescaia doctor --data`: the disk and the store.
pub(crate) fn of_store(dir: &Path) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(dir.join("store.db").exists(), "there is no store in {}", dir.display());
    let mut findings = Findings::default();
    if control::connect(dir).is_ok() {
        findings.ok("a pescaia runs on it");
    }
    disk(&mut findings, dir);
    user(&mut findings, dir);
    contents(&mut findings, dir);
    Ok(findings.end())
}

/// Reads all of the store that is there, beside a running instance or without one.
fn contents(findings: &mut Findings, dir: &Path) {
    let path = dir.join("store.db");
    if !path.exists() {
        return findings.ok(&format!("{} holds no store yet; the first start makes it", dir.display()));
    }
    match store::check(&path, &mut |_, _| ()) {
        Err(cause) => findings.fail(&format!("the store can't be read: {cause}")),
        Ok(found) => {
            let now = SystemClock::new().now();
            if let Some((key, at)) = found.newest.as_ref().filter(|(_, at)| *at > now.plus_seconds(3600)) {
                findings.warn(&format!(
                    "{key} holds a value of {at}, and the clock says {now}: the clock of this machine, or of the device, is or was wrong; \
                     move it with pescaia correct --shift, or take it out with pescaia delete"
                ));
            }
            let held = format!(
                "the store holds {} observations of {} datastreams and {} replaced values, up to commit {}",
                found.observations, found.datastreams, found.replaced, found.commit
            );
            if found.is_sound() {
                findings.ok(&format!("{held}; every byte of it was read and is as it was written"));
            } else {
                findings.ok(&held);
                found.damage.iter().for_each(|what| findings.warn(what));
                let more = if found.more_damage > 0 { format!(" ({} more than told)", found.more_damage) } else { String::new() };
                findings
                    .warn(&format!("what is damaged is not served{more}, the rest is; take in a sound backup with: pescaia restore FILE"));
            }
        }
    }
}

fn port(findings: &mut Findings, what: &str, addr: SocketAddr, running: bool) {
    match TcpListener::bind(addr) {
        Ok(_) => findings.ok(&format!("{what} can listen on {addr}")),
        Err(_) if running => findings.ok(&format!("{what} on {addr} is held by the pescaia that runs on this data directory")),
        Err(cause) => findings
            .fail(&format!("{what} can't listen on {addr}: {cause}; stop what holds it, or change [{}] listen", what.to_lowercase())),
    }
}

fn certificate(findings: &mut Findings, tls: &TlsSettings) {
    match tls.check() {
        Err(cause) => findings.fail(&cause.to_string()),
        Ok(expires) => {
            let left_days = (expires.micros() - SystemClock::new().now().micros()) / 86_400_000_000;
            let found = format!("the certificate of MQTT over TLS holds until {expires}");
            if left_days < 30 {
                findings.warn(&format!("{found}; put its successor into its place, it is taken without a restart"));
            } else {
                findings.ok(&found);
            }
        }
    }
}

/// Who must run the service, and whether all of the store is theirs: a command as root may have left files that nobody else can open.
fn user(findings: &mut Findings, dir: &Path) {
    let Ok(owner) = std::fs::metadata(dir).map(|found| found.uid()) else { return };
    let (name, own) = (user_name(owner), rustix::process::geteuid().as_raw());
    let others: Vec<String> = ["store.db", "store.db-wal", "store.db-shm", "store.lock", "store.reserve", "parquet"]
        .into_iter()
        .filter(|file| std::fs::metadata(dir.join(file)).is_ok_and(|found| found.uid() != owner))
        .map(str::to_owned)
        .collect();
    if !others.is_empty() {
        let (others, dir) = (others.join(", "), dir.display());
        findings.fail(&format!("in {dir} {others} belong to somebody else than the directory does: chown -R {name} {dir}"));
    } else if own == owner {
        findings.ok(&format!("the service is to run as {name}, to whom {} belongs, and so is this", dir.display()));
    } else {
        findings.ok(&format!(
            "the service is to run as {name}, to whom {} belongs; this is {} and only looks",
            dir.display(),
            user_name(own)
        ));
    }
}

/// By the list of this machine's own users; the number where it is not in there.
fn user_name(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("user {uid}"))
}

fn descriptors(findings: &Findings) {
    let Descriptors { limit, http, mqtt } = Descriptors::raise();
    findings.ok(&format!("{limit} descriptors may be held: {http} viewers and programs over HTTP and {mqtt} devices over MQTT at once"));
}

/// Looks only: a directory that is not there is not made.
fn disk(findings: &mut Findings, dir: &Path) {
    let Some(there) = dir.ancestors().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir }).find(|dir| dir.exists())
    else {
        return findings.fail(&format!("{} can't be found", dir.display()));
    };
    if there != dir {
        match rustix::fs::access(there, rustix::fs::Access::WRITE_OK) {
            Ok(()) => findings.ok(&format!("{} is not there yet; the first start makes it, as its own user", dir.display())),
            Err(cause) => findings.fail(&format!(
                "{} is not there and can't be made by this user: {cause}; make it and give it to the user of the service",
                dir.display()
            )),
        }
    }
    let tried = if there == dir { store::time_of_sync(dir).map(Some) } else { Ok(None) };
    match tried {
        Ok(None) => {}
        Err(cause) => findings.fail(&format!("{} can't be written: {cause}; choose another data_dir or mend its rights", dir.display())),
        Ok(Some(each)) => {
            let found = format!("{} can be written; a synced write takes {:.2} ms", dir.display(), each * 1e3);
            match doubt_of_sync(each) {
                Some(doubt) => findings.warn(&format!("{found}: {doubt}")),
                None => findings.ok(&found),
            }
        }
    }
    if let Some(doubt) = store::doubt_of_place(there) {
        findings.warn(&format!("{} lies on {doubt}", dir.display()));
    }
    let dir = there;
    match store::Room::at(dir) {
        Ok(room) if room.is_short() => findings.fail(&format!(
            "the disk is full: {} MB free, and {} MB stay in reserve; nothing would be taken in",
            room.free_bytes / 1_000_000,
            room.reserve_bytes / 1_000_000
        )),
        Ok(room) => findings.ok(&format!("{} MB are free", room.free_bytes / 1_000_000)),
        Err(cause) => findings.warn(&format!("the room on the disk can't be asked for: {cause}")),
    }
}

/// What is odd about a disk that takes so many seconds for a small synced write.
pub(crate) fn doubt_of_sync(seconds: f64) -> Option<&'static str> {
    match seconds * 1e3 {
        millis if millis < 0.02 => Some("too fast to be true; the disk may acknowledge what a power cut would lose"),
        millis if millis > 50.0 => Some("slow; set linger_ms = 1000 under [store]"),
        _ => None,
    }
}

fn networks(findings: &mut Findings, config: &Config, running: bool) {
    let network = match load_network_to_start(&config.networks) {
        Ok(network) => network,
        Err(complaints) => return findings.complaints(&complaints),
    };
    if running {
        findings.ok("the network files can be read; ask the running pescaia with: pescaia network apply … --dry-run");
        let at = At { data: Some(config.data_dir.clone()), config: None };
        match crate::control::ask(&at, &Request::NetworkFaults) {
            Ok(Answer::Lines(faults)) => faults.iter().for_each(|fault| findings.warn(&format!("it is left out: {fault}"))),
            Ok(Answer::Wrong(said)) => said.iter().for_each(|line| findings.warn(line)),
            Err(cause) => findings.warn(&format!("the running pescaia could not be asked what it leaves out: {cause:#}")),
        }
        return;
    }
    let Preview { started, registry, distrust } = match store::preview_of(&config.data_dir.join("store.db"), &network, &SystemClock::new())
    {
        Ok(preview) => preview,
        Err(cause) => return findings.fail(&format!("the store can't be read: {cause}")),
    };
    match started.changes.len() {
        0 => findings.ok("the networks hold nothing new"),
        count => findings.ok(&format!("the networks would make {count} changes")),
    }
    if let Some(distrust) = distrust {
        findings.warn(&format!(
            "{distrust}: what comes would wait in the quarantine until it is set; let NTP set it before the start, or say with pescaia clock --trust that it is right"
        ));
    }
    started.faults.iter().for_each(|fault| findings.warn(&format!("the start would leave out: {fault}")));
    let asks = config.mqtt_tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    for device in registry.devices() {
        if let Link::Mqtt { credential, .. } = &device.link
            && credential.is_certificate()
            && !asks
        {
            findings.warn(&format!("{} can't come in with its certificate before [mqtt] tls names a client_ca", device.id));
        }
        if let Link::Modbus { wire, .. } = &device.link {
            let endpoint = wire.to_string();
            let reached = match wire {
                ModbusWire::Tcp { address, .. } | ModbusWire::RtuOverTcp { address, .. } => reach(address),
                ModbusWire::Serial { path, .. } => std::fs::metadata(path).map(drop),
            };
            match reached {
                Ok(()) => findings.ok(&format!("device {} answers on {endpoint}", device.id)),
                Err(cause) => findings
                    .warn(&format!("device {} can't be reached on {endpoint}: {cause}; its gaps will be recorded until it can", device.id)),
            }
        }
    }
}

fn reach(endpoint: &str) -> std::io::Result<()> {
    let addr = endpoint.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::NotFound)?;
    TcpStream::connect_timeout(&addr, Duration::from_secs(1)).map(drop)
}
