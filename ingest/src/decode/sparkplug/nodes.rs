//! What is remembered of edge nodes: the numbers that births gave to metrics, sequences, births and deaths.

use super::Topic;
use super::wire::{Metric, Payload, count_metrics, rebirth};
use crate::decode::{Decoded, Placed, Refusal};
use crate::frame::Frame;
use crate::shown::shown;
use model::{OwnerId, Reading, RejectReason, Timestamp};
use prost::Message;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// How often one node is asked at most, seconds.
const ASK_EVERY_S: i64 = 10;
/// The most metrics of one message, and numbers of one node.
const MOST: usize = 20_000;
/// The most nodes of all owners.
const MOST_NODES: usize = 10_000;

/// Every node that has spoken, by owner and name.
#[derive(Default)]
pub(crate) struct Nodes {
    of: HashMap<(OwnerId, String), Node>,
}

#[derive(Default)]
struct Node {
    /// The last sequence number, if nothing was missed since the birth.
    sequence: Option<u8>,
    birth: Option<u64>,
    aliases: BTreeMap<u64, Alias>,
    /// Numbers can't be trusted until the next birth.
    is_in_doubt: bool,
    asked_at: Option<Timestamp>,
}

/// What a number stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Alias {
    /// The node or device, as messages call it.
    device: String,
    metric: String,
    datatype: u32,
}

/// The numbers of a node as a text to keep, under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Birth {
    pub(crate) id: String,
    pub(crate) text: String,
}

/// A node is asked to be born again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rebirth {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// What a message says, and what follows from it.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) decoded: Decoded,
    /// Devices, as messages call them, that say nothing until they are born again. The node's own name stands for all of it.
    pub(crate) silenced: Vec<String>,
    pub(crate) birth: Option<Birth>,
    pub(crate) rebirth: Option<Rebirth>,
}

impl Nodes {
    /// From the texts that were kept.
    pub(crate) fn restore(births: impl Iterator<Item = (String, String)>) -> Self {
        let mut nodes = Self::default();
        for (id, text) in births {
            if let (Some((owner, name)), Ok(aliases)) = (id.split_once('/'), serde_json::from_str(&text)) {
                nodes.of.insert((owner.into(), name.to_owned()), Node { aliases, ..Node::default() });
            }
        }
        nodes
    }

    pub(crate) fn hear(&mut self, frame: &Frame) -> Heard {
        let refuse = |reason, detail: String| Heard {
            decoded: Decoded { rejects: vec![Placed { index: 0, what: Refusal { reason, detail } }], ..Decoded::default() },
            ..Heard::default()
        };
        let Some(topic) = Topic::parse(&frame.route) else {
            // The state of hosts, and what is none of ours.
            return if frame.route.starts_with("spBv1.0/STATE") {
                Heard::default()
            } else {
                refuse(
                    RejectReason::WrongShape,
                    format!("{} is no topic of Sparkplug B; it is spBv1.0/group/NDATA/node", shown(&frame.route)),
                )
            };
        };
        if matches!(topic.kind, "NCMD" | "DCMD") {
            return Heard::default();
        }
        let metrics = count_metrics(&frame.bytes);
        if metrics > MOST {
            return refuse(RejectReason::TooMany, format!("{metrics} metrics in one message; {MOST} may be"));
        }
        let payload = match Payload::decode(frame.bytes.as_ref()) {
            Ok(payload) => payload,
            Err(cause) => return refuse(RejectReason::Unreadable, format!("no payload of Sparkplug B: {cause}")),
        };
        let key = (frame.owner.clone(), topic.node_name());
        if !self.of.contains_key(&key) && self.of.len() >= MOST_NODES {
            return refuse(RejectReason::TooMany, format!("more than {MOST_NODES} edge nodes"));
        }
        let id = format!("{}/{}", frame.owner, topic.node_name());
        self.of.entry(key).or_default().hear(&topic, &payload, frame, id)
    }
}

impl Node {
    fn hear(&mut self, topic: &Topic<'_>, payload: &Payload, frame: &Frame, id: String) -> Heard {
        let mut heard = Heard::default();
        match topic.kind {
            "NBIRTH" => {
                *self = Self { sequence: sequence(payload), birth: birth_number(payload), asked_at: self.asked_at, ..Self::default() };
                self.name(topic, payload);
                heard.birth = self.keep(id);
            }
            "DBIRTH" => {
                self.follow(payload);
                self.name(topic, payload);
                heard.birth = self.keep(id);
            }
            "NDEATH" => {
                // A death of an earlier life comes late, and means nothing.
                if self.birth.is_none() || birth_number(payload).is_none_or(|number| Some(number) == self.birth) {
                    self.sequence = None;
                    heard.silenced.push(topic.node_name());
                }
                return heard;
            }
            "DDEATH" => {
                self.follow(payload);
                heard.silenced.push(topic.name());
                heard.rebirth = self.ask(topic, frame.received_at);
                return heard;
            }
            "NDATA" | "DDATA" => self.follow(payload),
            other => {
                let detail = format!("{} is no kind of message of Sparkplug B", shown(other));
                heard.decoded.rejects.push(Placed { index: 0, what: Refusal { reason: RejectReason::WrongShape, detail } });
                return heard;
            }
        }
        self.read(topic, payload, frame, &mut heard.decoded);
        heard.rebirth = self.ask(topic, frame.received_at);
        heard
    }

    /// Each message has the number after the one before; a missing one may have been a birth.
    fn follow(&mut self, payload: &Payload) {
        let now = sequence(payload);
        let expected = self.sequence.map(|last| last.wrapping_add(1));
        if now.is_some() && expected.is_some() && now != expected {
            self.is_in_doubt = true;
        }
        // Never born while we listened: what a birth said before we did lies on disk, and is asked for again.
        if self.sequence.is_none() && self.birth.is_none() {
            self.is_in_doubt = self.aliases.is_empty();
        }
        self.sequence = now;
    }

    fn name(&mut self, topic: &Topic<'_>, payload: &Payload) {
        for metric in &payload.metrics {
            if let (Some(number), Some(name)) = (metric.alias, &metric.name)
                && (self.aliases.len() < MOST || self.aliases.contains_key(&number))
            {
                let alias = Alias { device: topic.name(), metric: name.clone(), datatype: metric.datatype.unwrap_or(0) };
                self.aliases.insert(number, alias);
            }
        }
    }

    fn keep(&self, id: String) -> Option<Birth> {
        serde_json::to_string(&self.aliases).ok().map(|text| Birth { id, text })
    }

    fn read(&self, topic: &Topic<'_>, payload: &Payload, frame: &Frame, decoded: &mut Decoded) {
        for (index, metric) in payload.metrics.iter().enumerate() {
            let said = match self.meant(metric, topic) {
                Ok(said) => said,
                Err(number) => {
                    let detail = format!(
                        "metric {number} of {} has no name that can be trusted; its node was asked to be born again, which gives every value anew",
                        topic.name()
                    );
                    decoded.rejects.push(Placed { index, what: Refusal { reason: RejectReason::UnknownAlias, detail } });
                    continue;
                }
            };
            let Some((device, channel, datatype)) = said else { continue };
            // The protocol's own, and commands.
            if channel == "bdSeq" || channel.starts_with("Node Control/") || channel.starts_with("Device Control/") {
                continue;
            }
            let Some(value) = metric.number(datatype) else { continue };
            let time = metric.timestamp.or(payload.timestamp).and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1000));
            decoded.readings.push(Placed {
                index,
                what: Reading {
                    owner: frame.owner.clone(),
                    device: device.into(),
                    channel: channel.into(),
                    phenomenon_time: time.map(Timestamp::from_micros),
                    value,
                    unit: None,
                    flag: None,
                },
            });
        }
    }

    /// Device, name and datatype of a metric; its number where nothing is known of that, or can be trusted.
    fn meant(&self, metric: &Metric, topic: &Topic<'_>) -> Result<Option<(String, String, u32)>, u64> {
        let known = metric.alias.and_then(|number| self.aliases.get(&number));
        match (&metric.name, metric.alias, known) {
            (Some(name), _, _) if !name.is_empty() => {
                let datatype = metric.datatype.or(known.map(|alias| alias.datatype)).unwrap_or(0);
                Ok(Some((topic.name(), name.clone(), datatype)))
            }
            (_, Some(_), Some(alias)) if !self.is_in_doubt => {
                Ok(Some((alias.device.clone(), alias.metric.clone(), metric.datatype.unwrap_or(alias.datatype))))
            }
            (_, Some(number), _) => Err(number),
            _ => Ok(None),
        }
    }

    /// Whether the node is to be born again: numbers are in doubt, or it was never heard being born.
    fn ask(&mut self, topic: &Topic<'_>, now: Timestamp) -> Option<Rebirth> {
        let is_wanted = self.is_in_doubt || self.birth.is_none();
        if !is_wanted || self.asked_at.is_some_and(|asked| now < asked.plus_seconds(ASK_EVERY_S)) {
            return None;
        }
        self.asked_at = Some(now);
        let now_ms = u64::try_from(now.micros() / 1000).unwrap_or(0);
        Some(Rebirth { topic: format!("spBv1.0/{}/NCMD/{}", topic.group, topic.node), payload: rebirth(now_ms) })
    }
}

fn sequence(payload: &Payload) -> Option<u8> {
    payload.seq.and_then(|sequence| u8::try_from(sequence).ok())
}

/// The number of a life, which its death repeats.
fn birth_number(payload: &Payload) -> Option<u64> {
    use super::wire::Value;
    let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some("bdSeq"))?;
    match metric.value.as_ref()? {
        Value::Long(number) => Some(*number),
        Value::Int(number) => Some(u64::from(*number)),
        _ => None,
    }
}
