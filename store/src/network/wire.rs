//! The entries of a network file and of a device profile, word for word.

use super::rating::RatingEntry;
use serde::{Deserialize, Serialize};

/// Both languages at once, or one text for both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text, or { it = \"…\", en = \"…\" }")]
pub(super) enum Words {
    Same(String),
    Each { it: String, en: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnerEntry {
    pub(super) id: String,
    pub(super) name: Words,
    /// Of all its datastreams that do not say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keep_months: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StationEntry {
    pub(super) id: String,
    pub(super) owner: String,
    pub(super) name: String,
    /// Latitude, longitude.
    #[serde(rename = "where")]
    pub(super) place: [f64; 2],
    #[serde(default)]
    pub(super) comune: Option<String>,
    #[serde(default)]
    pub(super) river: Option<String>,
    #[serde(default)]
    pub(super) downstream: Option<String>,
    #[serde(default)]
    pub(super) note: Option<Words>,
    #[serde(default)]
    pub(super) zero: Vec<ZeroEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ZeroEntry {
    pub(super) metres_above_sea: f64,
    pub(super) datum: String,
    #[serde(default)]
    pub(super) from: Option<String>,
    #[serde(default)]
    pub(super) to: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatastreamEntry {
    pub(super) id: String,
    pub(super) station: String,
    pub(super) property: String,
    #[serde(default)]
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) class: Option<String>,
    pub(super) period_s: u32,
    #[serde(default)]
    pub(super) visibility: Option<VisibilityEntry>,
    #[serde(default)]
    pub(super) threshold: Vec<ThresholdEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) rating: Vec<RatingEntry>,
    /// How a counter is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) counter: Option<CounterEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) meter: Vec<MeterEntry>,
    /// Months that stay in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keep_months: Option<u32>,
    /// What the sensor can mean, in the datastream's unit, both ends included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) span: Option<[f64; 2]>,
}

/// One of the three.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CounterEntry {
    /// Digits of a mechanical index: 6 begins again at a million.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) digits: Option<u8>,
    /// Bits of a register whose steps are one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<u8>,
    /// In the datastream's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) wraps_at: Option<f64>,
}

/// A meter that was replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MeterEntry {
    pub(super) replaced: String,
    /// The old meter's last index.
    pub(super) last: f64,
    /// The new meter's first.
    #[serde(default)]
    pub(super) first: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "\"public\", \"private\" or { shared = [\"owner\"] }")]
pub(super) enum VisibilityEntry {
    Word(String),
    Shared { shared: Vec<String> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThresholdEntry {
    pub(super) value: f64,
    pub(super) label: Words,
    #[serde(default)]
    pub(super) meaning: Option<Words>,
    #[serde(default)]
    pub(super) from: Option<String>,
    #[serde(default)]
    pub(super) to: Option<String>,
}

/// A channel more of a device that another file describes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedLinkEntry {
    pub(super) owner: String,
    pub(super) device: String,
    pub(super) channel: String,
    pub(super) datastream: String,
    #[serde(default)]
    pub(super) unit: Option<String>,
    /// As in [`FeedEntry`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) datastream_owner: Option<String>,
}

impl FeedLinkEntry {
    pub(super) fn id(&self) -> String {
        format!("{}/{}/{}", self.owner, self.device, self.channel)
    }
    /// As the device's own entry would say it.
    pub(super) fn feed(&self) -> FeedEntry {
        FeedEntry {
            channel: self.channel.clone(),
            datastream: self.datastream.clone(),
            unit: self.unit.clone(),
            datastream_owner: self.datastream_owner.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceEntry {
    pub(super) id: String,
    pub(super) owner: String,
    /// What messages call it, where that is not its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    /// A file that says what the bytes of its payloads mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) layout: Option<String>,
    /// A file that says what the lines that it sends look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lines: Option<String>,
    #[serde(default)]
    pub(super) mqtt: Option<MqttEntry>,
    #[serde(default)]
    pub(super) modbus: Option<ModbusEntry>,
    #[serde(default)]
    pub(super) http: Option<bool>,
    #[serde(default)]
    pub(super) feeds: Vec<FeedEntry>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MqttEntry {
    #[serde(default)]
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) password_hash: Option<String>,
    #[serde(default)]
    pub(super) password_file: Option<String>,
    /// What follows is left out where it is not used, so that entries from before it was known read as they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) certificate_name: Option<String>,
    #[serde(default)]
    pub(super) gateway: bool,
    /// `native` when left out.
    #[serde(default)]
    pub(super) format: Option<String>,
}

impl std::fmt::Debug for MqttEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MqttEntry").field("user", &self.user).field("password", &"***").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModbusEntry {
    /// One of the three ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tcp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rtu_tcp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) baud: Option<u32>,
    /// `none`, `even` or `odd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stop_bits: Option<u8>,
    /// The address may lie outside private networks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) outside: bool,
    pub(super) unit: u8,
    pub(super) poll_s: f64,
    #[serde(default = "two_seconds")]
    pub(super) timeout_s: f64,
    pub(super) profile: String,
}

fn two_seconds() -> f64 {
    2.0
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedEntry {
    pub(super) channel: String,
    pub(super) datastream: String,
    #[serde(default)]
    pub(super) unit: Option<String>,
    /// The owner of the datastream, where that is not the device's: a device feeds another owner's only where the file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) datastream_owner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileEntry {
    pub(super) name: String,
    pub(super) title: String,
    #[serde(default = "whole_request")]
    pub(super) max_batch: u16,
    #[serde(default)]
    pub(super) max_hole: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pause_after_connect_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pause_between_ms: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) forbidden: Vec<ForbiddenEntry>,
    pub(super) register: Vec<RegisterEntry>,
}

fn whole_request() -> u16 {
    125
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterEntry {
    pub(super) channel: String,
    /// With `space`, counted from 0; or the manual's own number instead of both, e.g. 40101.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) space: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) manual: Option<u32>,
    #[serde(rename = "type")]
    pub(super) number: String,
    #[serde(default)]
    pub(super) order: Option<String>,
    #[serde(default = "one")]
    pub(super) scale: f64,
    /// Also written `add`, as in layouts.
    #[serde(default, alias = "add")]
    pub(super) offset: f64,
    #[serde(default = "count")]
    pub(super) unit: String,
    #[serde(default)]
    pub(super) sentinels: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bits: Option<[u8; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) span: Option<SpanEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<StatusEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) heartbeat: Option<HeartbeatEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) every_s: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) phase_s: Option<f64>,
}

fn count() -> String {
    "1".into()
}

/// Addresses that must not be asked for, both ends included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForbiddenEntry {
    pub(super) space: String,
    pub(super) from: u16,
    pub(super) to: u16,
}

/// An analogue input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpanEntry {
    pub(super) raw: [f64; 2],
    pub(super) value: [f64; 2],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) broken_below: Option<f64>,
}

/// What raw numbers of a status word mean; every other is good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusEntry {
    #[serde(default)]
    pub(super) suspect: Vec<i64>,
    #[serde(default)]
    pub(super) fail: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeartbeatEntry {
    /// So many polls without a change mean that the device is frozen.
    pub(super) polls: u32,
}

fn one() -> f64 {
    1.0
}
