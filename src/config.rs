//! The one configuration file. An unknown key is an error that names the nearest known one, with file, line and cure.

use crate::http::HttpSettings;
use ingest::edge::EdgeSettings;
use ingest::source::broker::BrokerSettings;
use ingest::source::guard::Networks;
use ingest::source::mqtt::TlsSettings;
use model::{Text, Timestamp};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Complaint, InfluxSettings, OutboxRoom, SecretFile, WhenFull};
use toml::Spanned;

/// The defaults, as a file to copy; equal to [`Config::default`] by a test.
pub(crate) const DEFAULT_FILE: &str = include_str!("config.default.toml");

/// How often the TLS files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// Who publishes: the name above every page.
    pub(crate) site: Text,
    pub(crate) data_dir: PathBuf,
    pub(crate) http: SocketAddr,
    pub(crate) http_settings: HttpSettings,
    /// What absolute addresses begin with; nobody's `Host` header does.
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) mqtt: SocketAddr,
    pub(crate) mqtt_tls: Option<TlsSettings>,
    /// MQTT messages of one owner.
    pub(crate) messages_per_s: u32,
    /// That one owner may adopt.
    pub(crate) datastreams: usize,
    /// Of one owner, at this centre.
    pub(crate) edges: usize,
    /// Kept MQTT sessions of one credential.
    pub(crate) sessions: usize,
    pub(crate) networks: Vec<PathBuf>,
    /// What is logged, as in `PESCAIA_LOG`.
    pub(crate) log: Option<String>,
    pub(crate) brokers: Vec<BrokerSettings>,
    pub(crate) edge: Option<Edge>,
    pub(crate) influx: Option<InfluxSettings>,
    pub(crate) linger_ms: u64,
    pub(crate) future_min: i64,
    pub(crate) earliest: Timestamp,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            site: Text::new("Acque della Toscana", "Waters of Tuscany"),
            data_dir: "pescaia-data".into(),
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            http_settings: HttpSettings::default(),
            public_url: None,
            mqtt: SocketAddr::from(([127, 0, 0, 1], 1883)),
            mqtt_tls: None,
            messages_per_s: 50_000,
            datastreams: 10_000,
            edges: 1_000,
            sessions: 256,
            networks: Vec::new(),
            log: None,
            brokers: Vec::new(),
            edge: None,
            influx: None,
            linger_ms: 0,
            future_min: 10,
            earliest: Timestamp::from_seconds(946_684_800),
        }
    }
}

/// How this instance is reached from outside: `http` or `https`, a host, and a port if need be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches('/');
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        (!host.is_empty() && host.bytes().all(is_part)).then(|| Self(text.to_owned()))
    }
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
    pub(crate) fn is_over_tls(&self) -> bool {
        self.0.starts_with("https://")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data_dir: Option<String>,
    networks: Option<Vec<String>>,
    site: Option<Site>,
    log: Option<String>,
    http: Option<Http>,
    mqtt: Option<Mqtt>,
    quota: Option<Quota>,
    store: Option<StoreKeys>,
    limits: Option<Limits>,
    broker: Option<Vec<Spanned<BrokerEntry>>>,
    edge: Option<Spanned<EdgeEntry>>,
    influx: Option<Spanned<InfluxEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Site {
    name: Option<Spanned<Name>>,
}

/// Both languages at once, or one name for both.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, or { it = \"…\", en = \"…\" }")]
enum Name {
    Same(String),
    Each { it: String, en: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    listen: Option<Spanned<String>>,
    trusted_proxies: Option<Vec<Spanned<String>>>,
    public_url: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mqtt {
    listen: Option<Spanned<String>>,
    allow_plaintext: Option<bool>,
    tls: Option<Tls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    listen: Spanned<String>,
    certificate: String,
    key: String,
    client_ca: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Quota {
    messages_per_s: Option<Spanned<u32>>,
    datastreams: Option<usize>,
    edges: Option<usize>,
    sessions: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokerEntry {
    name: String,
    address: String,
    owner: String,
    topics: Vec<String>,
    client_id: Option<String>,
    user: Option<String>,
    password_file: Option<String>,
    format: Option<String>,
    share: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EdgeEntry {
    name: String,
    centre: String,
    token_file: String,
    gather_ms: Option<u64>,
    max_mb: Option<u64>,
    when_full: Option<String>,
    allow_plaintext: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InfluxEntry {
    url: String,
    org: String,
    bucket: String,
    token_file: String,
    allow_plaintext: Option<bool>,
}

/// The role of an edge: where it hands on what it has, and how much may wait.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edge {
    pub(crate) settings: EdgeSettings,
    pub(crate) room: OutboxRoom,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreKeys {
    linger_ms: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    future_min: Option<Spanned<i64>>,
    earliest: Option<Spanned<String>>,
    per_address: Option<Spanned<usize>>,
    exempt: Option<Vec<Spanned<String>>>,
}

impl Config {
    /// # Errors
    /// Everything that is wrong with the file, each with its place and cure.
    pub(crate) fn read(path: &Path) -> Result<Self, Vec<Complaint>> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|cause| {
            vec![Complaint {
                file: name.clone(),
                line: 0,
                column: 0,
                message: format!(
                    "can't be read: {cause}; check the path, or start from the defaults that \"pescaia doctor --print-config\" shows"
                ),
            }]
        })?;
        Self::parse(&name, &text, path.parent().unwrap_or(Path::new(".")))
    }

    /// `beside` is where relative paths start.
    fn parse(name: &str, text: &str, beside: &Path) -> Result<Self, Vec<Complaint>> {
        let file: File = store::parse_toml(name, text)?;
        let mut config = Self::default();
        let mut complaints = Vec::new();
        let mut complain = |at: usize, message: String| complaints.push(Complaint::at(name, text, at, message));
        let mut address = |given: Option<Spanned<String>>, place: &mut SocketAddr| {
            if let Some(given) = given {
                match given.get_ref().parse() {
                    Ok(addr) => *place = addr,
                    Err(_) => complain(
                        given.span().start,
                        format!("\"{}\" is no address; write ip:port, e.g. \"127.0.0.1:8080\"", given.get_ref()),
                    ),
                }
            }
        };
        let (listen, public_url, trusted_proxies) =
            file.http.map_or((None, None, None), |http| (http.listen, http.public_url, http.trusted_proxies));
        address(listen, &mut config.http);
        let (mqtt, allow_plaintext, tls) = file.mqtt.map_or((None, None, None), |mqtt| (mqtt.listen, mqtt.allow_plaintext, mqtt.tls));
        let mqtt_at = mqtt.as_ref().map_or(0, |listen| listen.span().start);
        address(mqtt, &mut config.mqtt);
        if let Some(tls) = tls {
            let mut listen = SocketAddr::from(([127, 0, 0, 1], 8883));
            address(Some(tls.listen), &mut listen);
            config.mqtt_tls = Some(TlsSettings {
                listen,
                certificate: beside.join(tls.certificate),
                key: beside.join(tls.key),
                client_ca: tls.client_ca.map(|path| beside.join(path)),
                look_every: LOOK_EVERY,
            });
        }
        if let Some(given) = public_url {
            match PublicUrl::parse(given.get_ref()) {
                Some(url) => config.public_url = Some(url),
                None => complain(
                    given.span().start,
                    format!(
                        "\"{}\" is no address that pages can begin with; write scheme and host only, e.g. \"https://pescaia.example.it\"",
                        given.get_ref()
                    ),
                ),
            }
        }
        if !config.mqtt.ip().is_loopback() && allow_plaintext != Some(true) {
            complain(
                mqtt_at,
                format!(
                    "MQTT on {} would send passwords unencrypted over the network; listen on 127.0.0.1 and give devices [mqtt] tls, or accept it with allow_plaintext = true under [mqtt]",
                    config.mqtt
                ),
            );
        }
        config.http_settings.trusted_proxies = networks(trusted_proxies, &mut complain);
        config.edges = file.quota.as_ref().and_then(|quota| quota.edges).unwrap_or(config.edges);
        config.sessions = file.quota.as_ref().and_then(|quota| quota.sessions).unwrap_or(config.sessions);
        if let Some(name) = file.site.and_then(|site| site.name) {
            let at = name.span().start;
            config.site = match name.into_inner() {
                Name::Same(name) => Text::new(name.trim(), name.trim()),
                Name::Each { it, en } => Text::new(it.trim(), en.trim()),
            };
            if config.site.it.is_empty() || config.site.en.is_empty() {
                complain(at, "the name of the site can't be empty; write who publishes, e.g. name = \"Consorzio di bonifica\"".to_owned());
            }
        }
        config.datastreams = file.quota.as_ref().and_then(|quota| quota.datastreams).unwrap_or(config.datastreams);
        if let Some(rate) = file.quota.and_then(|quota| quota.messages_per_s) {
            if !(1..=10_000_000).contains(rate.get_ref()) {
                complain(rate.span().start, format!("messages_per_s = {} can't be; it may be 1 to 10000000", rate.get_ref()));
            }
            config.messages_per_s = rate.into_inner();
        }
        if let Some(linger) = file.store.and_then(|store| store.linger_ms) {
            if *linger.get_ref() > 1000 {
                complain(linger.span().start, format!("linger_ms = {} would keep senders waiting; it may be 0 to 1000", linger.get_ref()));
            }
            config.linger_ms = linger.into_inner();
        }
        if let Some(limits) = file.limits {
            if let Some(minutes) = limits.future_min {
                if !(0..=1440).contains(minutes.get_ref()) {
                    complain(minutes.span().start, format!("future_min = {} can't be; it may be 0 to 1440", minutes.get_ref()));
                }
                config.future_min = minutes.into_inner();
            }
            if let Some(most) = limits.per_address {
                if !(1..=10_000).contains(most.get_ref()) {
                    complain(most.span().start, format!("per_address = {} can't be; it may be 1 to 10000", most.get_ref()));
                }
                config.http_settings.per_address = most.into_inner();
            }
            config.http_settings.exempt = networks(limits.exempt, &mut complain);
            if let Some(earliest) = limits.earliest {
                match Timestamp::parse(earliest.get_ref()) {
                    Ok(at) => config.earliest = at,
                    Err(cause) => complain(earliest.span().start, cause.to_string()),
                }
            }
        }
        for entry in file.broker.unwrap_or_default() {
            let at = entry.span().start;
            match broker(entry.into_inner(), beside) {
                Ok(broker) => config.brokers.push(broker),
                Err(wrong) => wrong.into_iter().for_each(|message| complain(at, message)),
            }
        }
        if let Some(entry) = file.edge {
            let at = entry.span().start;
            match edge(entry.into_inner(), beside) {
                Ok(edge) => config.edge = Some(edge),
                Err(wrong) => wrong.into_iter().for_each(|message| complain(at, message)),
            }
        }
        if let Some(entry) = file.influx {
            let at = entry.span().start;
            match influx(entry.into_inner(), beside) {
                Ok(_) if config.edge.is_some() => {
                    complain(
                        at,
                        "an edge hands on to its centre only; let the centre write to InfluxDB, and take [influx] out here".into(),
                    );
                }
                Ok(influx) => config.influx = Some(influx),
                Err(wrong) => wrong.into_iter().for_each(|message| complain(at, message)),
            }
        }
        if let Some(dir) = file.data_dir {
            config.data_dir = beside.join(dir);
        }
        config.log = file.log;
        config.networks = file.networks.unwrap_or_default().iter().map(|path| absolute(&beside.join(path))).collect();
        if complaints.is_empty() { Ok(config) } else { Err(complaints) }
    }
}

/// The networks of a list; what is none is complained of at its place.
fn networks(given: Option<Vec<Spanned<String>>>, complain: &mut impl FnMut(usize, String)) -> Networks {
    let mut networks = Networks::default();
    for text in given.unwrap_or_default() {
        match text.get_ref().parse() {
            Ok(network) => networks.0.push(network),
            Err(cause) => complain(text.span().start, cause),
        }
    }
    networks
}

/// A network file is known by its path, wherever the process stands.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// # Errors
/// Everything that is wrong with it.
fn broker(entry: BrokerEntry, beside: &Path) -> Result<BrokerSettings, Vec<String>> {
    let mut wrong = Vec::new();
    let address = entry.address.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse::<u16>().ok()?)));
    let (host, port) = address.filter(|(host, _)| !host.is_empty()).unwrap_or_else(|| {
        wrong.push(format!("\"{}\" is no address; write host:port, e.g. \"10.0.0.5:1883\"", entry.address));
        Default::default()
    });
    if entry.topics.is_empty() {
        wrong.push(format!("the broker \"{}\" has no topics; write e.g. topics = [\"application/#\"]", entry.name));
    }
    let format = entry.format.unwrap_or_else(|| "native".to_owned());
    if !model::PAYLOAD_FORMATS.contains(&format.as_str()) {
        let cure = store::nearest(&format, model::PAYLOAD_FORMATS)
            .map_or_else(|| format!("it may be one of {}", model::PAYLOAD_FORMATS.join(", ")), |near| format!("did you mean \"{near}\"?"));
        wrong.push(format!("unknown payload format \"{format}\", {cure}"));
    }
    let password = entry.password_file.and_then(|file| match SecretFile::read(&beside.join(&file)) {
        Ok(secret) => Some(secret),
        Err(cause) => {
            wrong.push(format!("the password file \"{file}\" can't be read: {cause}"));
            None
        }
    });
    let client_id = entry.client_id.unwrap_or_else(|| format!("pescaia-{}", entry.name));
    let settings = BrokerSettings {
        client_id,
        name: entry.name,
        host,
        port,
        user: entry.user,
        password,
        owner: entry.owner.into(),
        topics: entry.topics,
        format,
        share: entry.share,
    };
    if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
}

/// # Errors
/// Everything that is wrong with it.
fn edge(entry: EdgeEntry, beside: &Path) -> Result<Edge, Vec<String>> {
    let mut wrong = Vec::new();
    if !model::is_slug(&entry.name) {
        wrong.push(format!("\"{}\" can't be the name of an edge; use a-z, 0-9 and -", entry.name));
    }
    let centre = entry.centre.trim_end_matches('/').to_owned();
    match centre.split_once("://") {
        Some(("https", _)) => {}
        Some(("http", host)) if entry.allow_plaintext == Some(true) || host.starts_with("127.0.0.1") || host.starts_with("localhost") => {}
        Some(("http", _)) => wrong.push(format!(
            "{centre} would send the token unencrypted over the network; write https://…, or accept it with allow_plaintext = true under [edge]"
        )),
        _ => wrong.push(format!("\"{centre}\" is no address of a centre; write e.g. \"https://pescaia.example.it\"")),
    }
    let token = SecretFile::read(&beside.join(&entry.token_file)).unwrap_or_else(|cause| {
        wrong.push(format!(
            "the token file \"{}\" can't be read: {cause}; put a token into it that \"pescaia token new --scope ingest\" printed at the centre",
            entry.token_file
        ));
        "".into()
    });
    let when_full = match entry.when_full.as_deref() {
        None | Some("stop") => WhenFull::Stop,
        Some("drop_oldest") => WhenFull::DropOldest,
        Some(other) => {
            wrong.push(format!("when_full = \"{other}\" is not known; it may be \"stop\" or \"drop_oldest\""));
            WhenFull::Stop
        }
    };
    let max_bytes = entry.max_mb.unwrap_or(1024).saturating_mul(1 << 20);
    if max_bytes == 0 {
        wrong.push("max_mb = 0 leaves no room; write how many megabytes may wait for the centre, e.g. 1024".into());
    }
    let gather_ms = entry.gather_ms.unwrap_or(1000);
    if gather_ms > 60_000 {
        wrong.push(format!("gather_ms = {gather_ms} would keep readings waiting; it may be 0 to 60000"));
    }
    let settings = EdgeSettings { name: entry.name, centre, token, gather_ms, max_bytes };
    if wrong.is_empty() { Ok(Edge { settings, room: OutboxRoom { bytes: max_bytes, when_full } }) } else { Err(wrong) }
}

/// # Errors
/// Everything that is wrong with it.
fn influx(entry: InfluxEntry, beside: &Path) -> Result<InfluxSettings, Vec<String>> {
    let mut wrong = Vec::new();
    let InfluxEntry { url, org, bucket, token_file, allow_plaintext } = entry;
    let is_local = |host: &str| ["127.0.0.1", "localhost", "[::1]"].iter().any(|local| host.starts_with(local));
    match url.split_once("://") {
        Some(("http", host)) if allow_plaintext == Some(true) || is_local(host) => {}
        Some(("http", _)) => wrong.push(format!(
            "{url} would send the token unencrypted over the network; put a proxy with TLS before it on this machine, or accept it with allow_plaintext = true under [influx]"
        )),
        Some(("https", _)) => wrong.push(format!(
            "{url}: the way to InfluxDB speaks no TLS; let a proxy on this machine do it, and write its http://127.0.0.1:port here"
        )),
        _ => wrong.push(format!("\"{url}\" is no address of an InfluxDB; write e.g. \"http://127.0.0.1:8086\"")),
    }
    if org.is_empty() || bucket.is_empty() {
        wrong.push("org and bucket can't be empty".into());
    }
    let token = SecretFile::read(&beside.join(&token_file)).unwrap_or_else(|cause| {
        wrong.push(format!("the token file \"{token_file}\" can't be read: {cause}; put a token into it that may write to the bucket"));
        "".into()
    });
    if wrong.is_empty() { Ok(InfluxSettings { url, org, bucket, token }) } else { Err(wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_defaults_says_what_the_program_does() {
        let parsed = Config::parse("default", DEFAULT_FILE, Path::new("")).expect("good");
        assert_eq!(parsed, Config::default());
    }

    #[test]
    fn tls_files_are_looked_for_beside_the_configuration() {
        let text = "[mqtt]\ntls = { listen = \"0.0.0.0:8883\", certificate = \"cert.pem\", key = \"secrets/key.pem\" }";
        let tls = Config::parse("c.toml", text, Path::new("etc")).expect("good").mqtt_tls.expect("there");
        assert_eq!(
            (tls.listen.port(), tls.certificate.to_str(), tls.key.to_str()),
            (8883, Some("etc/cert.pem"), Some("etc/secrets/key.pem"))
        );
    }

    #[test]
    fn the_site_has_one_name_or_one_in_each_language() {
        let name = |text: &str| Config::parse("c.toml", text, Path::new("")).expect("good").site;
        assert_eq!(name("[site]\nname = \"Consorzio\""), Text::new("Consorzio", "Consorzio"));
        assert_eq!(name("[site]\nname = { it = \"Acque\", en = \"Waters\" }"), Text::new("Acque", "Waters"));
        assert_eq!(name(""), Config::default().site);
    }

    fn check(text: &str, expected: &str) {
        let said = Config::parse("c.toml", text, Path::new("")).expect_err("wrong");
        assert_eq!(said.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), expected);
    }

    #[test]
    fn each_mistake_is_named_with_its_place_and_cure() {
        check("data_dri = \"x\"", "c.toml:1:1  unknown key \"data_dri\", did you mean \"data_dir\"?");
        check("[http]\nlisten = \"8080\"", "c.toml:2:10  \"8080\" is no address; write ip:port, e.g. \"127.0.0.1:8080\"");
        check(
            "[http]\npublic_url = \"https://pescaia.example.it/acque\"",
            "c.toml:2:14  \"https://pescaia.example.it/acque\" is no address that pages can begin with; write scheme and host only, e.g. \"https://pescaia.example.it\"",
        );
        check(
            "[mqtt]\nlisten = \"0.0.0.0:1883\"",
            "c.toml:2:10  MQTT on 0.0.0.0:1883 would send passwords unencrypted over the network; listen on 127.0.0.1 and give devices [mqtt] tls, or accept it with allow_plaintext = true under [mqtt]",
        );
        check(
            "[mqtt]\ntls = { listen = \"8883\", certificate = \"c\", key = \"k\" }",
            "c.toml:2:18  \"8883\" is no address; write ip:port, e.g. \"127.0.0.1:8080\"",
        );
        check("[quota]\nmessages_per_s = 0", "c.toml:2:18  messages_per_s = 0 can't be; it may be 1 to 10000000");
        check(
            "[influx]\nurl = \"http://10.0.0.9:8086\"\norg = \"o\"\nbucket = \"b\"\ntoken_file = \"/dev/null\"",
            "c.toml:1:1  http://10.0.0.9:8086 would send the token unencrypted over the network; put a proxy with TLS before it on this machine, or accept it with allow_plaintext = true under [influx]",
        );
        check(
            "[limits]\nexempt = [\"10.0.0.0/8\", \"10.0.0.0/33\"]",
            "c.toml:2:25  \"10.0.0.0/33\" is no network; write an address, or one with the count of its first bits, e.g. \"10.0.0.0/8\"",
        );
        check("[limits]\nper_address = 0", "c.toml:2:15  per_address = 0 can't be; it may be 1 to 10000");
        check("[http]\ntrusted_proxys = []", "c.toml:2:1  unknown key \"trusted_proxys\", did you mean \"trusted_proxies\"?");
        check("[site]\nnome = \"x\"", "c.toml:2:1  unknown key \"nome\", did you mean \"name\"?");
        check(
            "[site]\nname = \" \"",
            "c.toml:2:8  the name of the site can't be empty; write who publishes, e.g. name = \"Consorzio di bonifica\"",
        );
        check("[store]\nlinger_ms = 5000", "c.toml:2:13  linger_ms = 5000 would keep senders waiting; it may be 0 to 1000");
    }
}
