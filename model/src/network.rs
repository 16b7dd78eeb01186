//! What stands in the field and who owns it: the network as an owner describes it.

use crate::{
    Counter, DatastreamId, DatastreamKey, DeviceId, Layout, ObservedProperty, OwnerId, Profile, Rating, SignalClass, StationId, Text,
    Timestamp, Unit,
};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub id: OwnerId,
    pub name: Text,
}

/// WGS84 degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub latitude: f64,
    pub longitude: f64,
}

impl Place {
    /// Along the surface of a sphere of 6371 km.
    #[must_use]
    pub fn kilometres_to(self, other: Self) -> f64 {
        let (north, other_north) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half = |difference: f64| (difference.to_radians() / 2.0).sin().powi(2);
        let chord = half(other.latitude - self.latitude) + north.cos() * other_north.cos() * half(other.longitude - self.longitude);
        2.0 * 6371.0 * chord.sqrt().min(1.0).asin()
    }
}

/// When something agreed holds: `[from, to)`, open at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validity {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

impl Validity {
    #[must_use]
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

/// The quota of the *zero idrometrico*, metres above sea level: level m s.l.m. = zero + h.
#[derive(Debug, Clone, PartialEq)]
pub struct GaugeZero {
    pub metres_above_sea: f64,
    /// Where the quota comes from, e.g. `dato dimostrativo`.
    pub datum: String,
    pub validity: Validity,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    pub id: StationId,
    pub owner: OwnerId,
    pub name: String,
    pub place: Place,
    /// ISTAT code of the comune: six digits, a text.
    pub comune: Option<String>,
    pub river: Option<String>,
    /// The next station downstream.
    pub downstream: Option<StationId>,
    pub gauge_zero: Vec<GaugeZero>,
    /// A sentence for people, e.g. that the values are made up.
    pub note: Option<Text>,
    pub retired: bool,
}

impl Station {
    #[must_use]
    pub fn zero_at(&self, at: Timestamp) -> Option<&GaugeZero> {
        self.gauge_zero.iter().find(|zero| zero.validity.holds_at(at))
    }
}

/// A level agreed with an owner. The list of a datastream is ordered from the lowest.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// In the canonical unit of the datastream.
    pub value: f64,
    pub label: Text,
    /// What it means for people, in a sentence.
    pub meaning: Option<Text>,
    pub validity: Validity,
}

/// Who may see a datastream. The default is the owner alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Visibility {
    Public,
    Shared(Vec<OwnerId>),
    #[default]
    Private,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Datastream {
    pub id: DatastreamId,
    pub key: DatastreamKey,
    pub owner: OwnerId,
    pub station: StationId,
    pub property: ObservedProperty,
    pub class: SignalClass,
    /// Nominal time between two observations, seconds.
    pub period_s: u32,
    pub visibility: Visibility,
    /// All that were ever agreed; those that hold now are [`Datastream::thresholds_at`].
    pub thresholds: Vec<Threshold>,
    /// All that ever held, of which no two hold at once; the one of an instant is [`Datastream::rating_at`].
    pub ratings: Vec<Rating>,
    /// How its readings are counted, where its class is a counter.
    pub counter: Counter,
    /// Whole months of UTC before the current one that stay in the store; what is older stays only in the files of the months that
    /// were put away. All of it stays when this is not given.
    pub keep_months: Option<u32>,
    /// What the sensor can mean, both ends included, where the network file says so.
    pub span: Option<(f64, f64)>,
    pub retired: bool,
}

impl Datastream {
    /// The unit of every result.
    #[must_use]
    pub fn unit(&self) -> Unit {
        self.property.unit()
    }
    /// What the sensor can mean, both ends included; where nobody says, what its property allows at all.
    #[must_use]
    pub fn span(&self) -> (f64, f64) {
        self.span.unwrap_or_else(|| self.property.possible_span(self.period_s))
    }
    /// The thresholds that hold at an instant, lowest first.
    #[must_use]
    pub fn thresholds_at(&self, at: Timestamp) -> Vec<&Threshold> {
        let mut held: Vec<_> = self.thresholds.iter().filter(|threshold| threshold.validity.holds_at(at)).collect();
        held.sort_by(|a, b| a.value.total_cmp(&b.value));
        held
    }
}

/// A word of the device for one of its quantities.
pub type Channel = String;

/// One channel of a device feeding one datastream.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    pub channel: Channel,
    pub datastream: DatastreamId,
    /// The unit that the device speaks where it names none itself.
    pub unit: Unit,
}

/// What whole messages of a device may be written in, by the names of their decoders.
pub const PAYLOAD_FORMATS: [&str; 7] = ["native", "senml", "chirpstack", "tts", "line-protocol", "sparkplug", "logger"];

/// The topics, as MQTT filters, on which gateways that speak a format publish by themselves; their messages name the device.
#[must_use]
pub fn own_topics(format: &str) -> Option<&'static [&'static str]> {
    match format {
        "chirpstack" => Some(&["application/+/device/+/event/+"]),
        "tts" => Some(&["v3/+/devices/+/up"]),
        // Of a node, and of a device behind it.
        "sparkplug" => Some(&["spBv1.0/+/+/+", "spBv1.0/+/+/+/+"]),
        _ => None,
    }
}

/// What a device proves with who it is; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The Argon2 text of its password.
    Password(String),
    /// SHA-256 of the token that it gives as its password: 64 small hex digits.
    Token(String),
    /// SHA-256 of its TLS certificate (DER): 64 small hex digits.
    Certificate(String),
    /// The common name, or the first DNS name, of its TLS certificate.
    CertificateName(String),
}

impl Credential {
    #[must_use]
    pub const fn is_certificate(&self) -> bool {
        matches!(self, Self::Certificate(_) | Self::CertificateName(_))
    }
}

/// The way to a Modbus device. Devices with the same wire share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModbusWire {
    /// Modbus TCP: `host:port`. Where it lies outside private networks, the network file says so.
    Tcp { address: String, is_outside: bool },
    /// RTU frames over TCP, as serial device servers speak them.
    RtuOverTcp { address: String, is_outside: bool },
    /// A serial line.
    Serial { path: String, baud: u32, parity: Parity, stop_bits: u8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parity {
    None,
    Even,
    Odd,
}

impl std::fmt::Display for ModbusWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { address, .. } => f.write_str(address),
            Self::RtuOverTcp { address, .. } => write!(f, "rtu+tcp://{address}"),
            Self::Serial { path, .. } => f.write_str(path),
        }
    }
}

/// How a device reaches us, or we it.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// It connects and publishes.
    Mqtt {
        /// Its user name; a device that shows a certificate need not have one.
        user: Option<String>,
        credential: Credential,
        /// May speak for every device of its owner.
        gateway: bool,
        /// One of [`PAYLOAD_FORMATS`].
        format: String,
    },
    /// We poll it.
    Modbus { wire: ModbusWire, unit: u8, poll_interval_s: f64, timeout_s: f64, profile: Arc<Profile> },
    /// It posts with a token of its owner.
    Http,
    /// Another brings what it says: a gateway, a network server, an external broker.
    Relayed,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    pub id: DeviceId,
    pub owner: OwnerId,
    /// What messages call it, where that is not its id: a DevEUI, `group/node/device`, a series of line protocol.
    pub address: Option<String>,
    /// What the bytes of its payloads mean, where they come raw.
    pub layout: Option<Arc<Layout>>,
    /// What its lines look like, as the text of a pattern, where it sends CSV.
    pub lines: Option<Arc<str>>,
    pub link: Link,
    pub feeds: Vec<Feed>,
    pub retired: bool,
}

impl Device {
    /// What its whole messages are written in, where it says so: one of [`PAYLOAD_FORMATS`].
    #[must_use]
    pub fn format(&self) -> Option<&str> {
        match &self.link {
            Link::Mqtt { format, .. } => Some(format),
            _ => None,
        }
    }
}

/// Whether an address lies where field devices may be asked: this machine, private networks (RFC 1918), unique local addresses.
/// Link-local ones, where clouds keep their secrets, do not.
#[must_use]
pub fn is_inside(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        std::net::IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => mapped.is_loopback() || mapped.is_private(),
            None => ip.is_loopback() || ip.is_unique_local(),
        },
    }
}
