//! What is remembered of edge nodes: the numbers that births gave to metrics, sequences, births and deaths.

use super::Topic;
use super::births::Births;
use super::wire::{Kind, Metric, Payload, Value, count_metrics, rebirth};
use crate::decode::number::Fault;
use crate::decode::{Decoded, Matters, Placed, Refusal, Unread};
use crate::frame::Frame;
use crate::shown::shown;
use model::{OwnerId, Reading, RejectReason, Timestamp};
use prost::Message;
use std::collections::HashMap;

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
    births: Births,
    /// Aliases can't be trusted until the next birth.
    is_in_doubt: bool,
    asked_at: Option<Timestamp>,
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
            if let (Some((owner, name)), Some(births)) = (id.split_once('/'), Births::restore(&text)) {
                nodes.of.insert((owner.into(), name.to_owned()), Node { births, ..Node::default() });
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
            Err(_) => {
                return refuse(
                    RejectReason::Unreadable,
                    "no payload of Sparkplug B: its bytes are no protobuf of that kind; is another format meant for this topic?".into(),
                );
            }
        };
        let key = (frame.owner.clone(), topic.node_name());
        if !self.of.contains_key(&key) && self.of.len() >= MOST_NODES {
            return refuse(RejectReason::TooMany, format!("more than {MOST_NODES} edge nodes"));
        }
        let id = format!("{}/{}", frame.owner, topic.node_name());
        self.of.entry(key).or_default().hear(&topic, &payload, frame, id)
    }
}

impl Nodes {
    /// What a message from the quarantine says, by what is known now; nothing is learned from it. Aliases are trusted only where
    /// the node was not born since.
    pub(crate) fn read_again(&mut self, frame: &Frame) -> Decoded {
        let nothing = Node { is_in_doubt: true, ..Node::default() };
        let read = || {
            let topic = Topic::parse(&frame.route)?;
            let payload = Payload::decode(frame.bytes.as_ref()).ok().filter(|payload| payload.metrics.len() <= MOST)?;
            let node = self.of.get(&(frame.owner.clone(), topic.node_name())).unwrap_or(&nothing);
            let mut decoded = Decoded::default();
            if topic.kind.ends_with("BIRTH") {
                let mut born = Node::default();
                born.births.declare(&topic.name(), &payload.metrics);
                born.read(&topic, &payload, frame, &mut decoded);
            } else {
                node.read(&topic, &payload, frame, &mut decoded);
            }
            Some(decoded)
        };
        let read = read();
        read.unwrap_or_else(|| self.hear(frame).decoded)
    }
}

impl Node {
    fn hear(&mut self, topic: &Topic<'_>, payload: &Payload, frame: &Frame, id: String) -> Heard {
        let mut heard = Heard::default();
        match topic.kind {
            "NBIRTH" => {
                *self = Self { sequence: sequence(payload), birth: birth_number(payload), asked_at: self.asked_at, ..Self::default() };
                self.births.born_at = Some(frame.received_at);
                self.births.declare(&topic.name(), &payload.metrics);
                heard.birth = self.keep(id);
            }
            "DBIRTH" => {
                self.follow(payload);
                self.births.declare(&topic.name(), &payload.metrics);
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
            self.is_in_doubt = self.births.is_empty();
        }
        self.sequence = now;
    }

    fn keep(&self, id: String) -> Option<Birth> {
        self.births.text().map(|text| Birth { id, text })
    }

    fn read(&self, topic: &Topic<'_>, payload: &Payload, frame: &Frame, decoded: &mut Decoded) {
        let said_at = |metric: &Metric, otherwise: Option<Timestamp>| {
            let ms = metric.timestamp.and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1000));
            ms.map(Timestamp::from_micros).or(otherwise)
        };
        let of_payload = payload.timestamp.and_then(|ms| i64::try_from(ms).ok()?.checked_mul(1000)).map(Timestamp::from_micros);
        for (index, metric) in payload.metrics.iter().enumerate() {
            let name = match self.name(metric, topic, frame) {
                Ok(Some(name)) => name,
                // The protocol's own, and commands.
                Ok(None) => continue,
                Err(refusal) => {
                    decoded.rejects.push(Placed { index, what: refusal });
                    continue;
                }
            };
            let mut said = Said { topic: &topic.name(), index, frame, decoded };
            self.metric(&name, metric, said_at(metric, of_payload), &mut said, &said_at);
        }
    }

    /// What one metric says; the members of a template by their path.
    fn metric(
        &self,
        name: &str,
        metric: &Metric,
        time: Option<Timestamp>,
        said: &mut Said<'_>,
        said_at: &dyn Fn(&Metric, Option<Timestamp>) -> Option<Timestamp>,
    ) {
        if let Some(Value::Template(template)) = &metric.value {
            // A definition says what a structure looks like, not what was measured.
            if template.is_definition == Some(true) || said.count() > MOST {
                return;
            }
            for member in &template.metrics {
                let aliased = || member.alias.and_then(|alias| self.births.aliased(alias)).map(|(_, name)| name.to_owned());
                let path = member.name.as_ref().map(|member| format!("{name}/{member}")).or_else(aliased);
                if let Some(path) = path {
                    self.metric(&path, member, said_at(member, time), said, said_at);
                }
            }
            return;
        }
        let declared = self.births.of(said.topic, name);
        let datatype = metric.datatype.filter(|datatype| *datatype != 0).or(declared.map(|declared| declared.datatype)).unwrap_or(0);
        let unread = |refusal, matters| Unread { device: said.topic.into(), channel: name.into(), time, refusal, matters };
        let unread = match metric.kind(datatype) {
            Kind::Number(value) => {
                let unit = metric.unit().or(declared.and_then(|declared| declared.unit));
                let (owner, device, channel) = (said.frame.owner.clone(), said.topic.into(), name.into());
                let what = Reading { owner, device, channel, phenomenon_time: time, value, unit, flag: metric.flag() };
                said.decoded.readings.push(Placed { index: said.index, what });
                return;
            }
            Kind::Instant => return,
            Kind::Null => unread(Fault::NoNumber.refusal(&shown(name).to_string(), "null"), Matters::WhereFed),
            Kind::NoNumber(fault, found) => {
                let matters = if matches!(metric.value, Some(Value::Text(_))) { Matters::WhereFed } else { Matters::Always };
                unread(fault.refusal(&shown(name).to_string(), &found), matters)
            }
            Kind::Undeclared(raw) => {
                let detail = format!(
                    "{} of {} is {raw}, and neither it nor a birth says its datatype: it may be negative; its node must be born again",
                    shown(name),
                    said.topic
                );
                unread(Refusal { reason: RejectReason::UnknownAlias, detail }, Matters::Always)
            }
            Kind::Unsupported(what) => {
                let detail = format!("{} is a {what}, which is not supported; send its numbers as metrics of their own", shown(name));
                unread(Refusal { reason: RejectReason::WrongShape, detail }, Matters::Always)
            }
        };
        said.decoded.unread.push(Placed { index: said.index, what: unread });
    }

    /// The name of a metric, as it says it or as a birth gave its alias; none for what is no measurement.
    ///
    /// # Errors
    /// An alias that nobody can trust, or that is another device's.
    fn name(&self, metric: &Metric, topic: &Topic<'_>, frame: &Frame) -> Result<Option<String>, Refusal> {
        let is_protocol = |name: &str| name == "bdSeq" || name.starts_with("Node Control/") || name.starts_with("Device Control/");
        let named = metric.name.as_ref().filter(|name| !name.is_empty());
        if let Some(name) = named {
            return Ok(Some(name.clone()).filter(|name| !is_protocol(name)));
        }
        let Some(alias) = metric.alias else { return Ok(None) };
        let refuse = |detail| Refusal { reason: RejectReason::UnknownAlias, detail };
        // What waited in the quarantine may be older than the birth that gave the aliases that are known now.
        let is_older = self.births.born_at.is_some_and(|born_at| frame.received_at < born_at);
        match self.births.aliased(alias) {
            Some((device, name)) if !self.is_in_doubt && !is_older => {
                if device == topic.name() {
                    return Ok(Some(name.to_owned()).filter(|name| !is_protocol(name)));
                }
                Err(refuse(format!(
                    "the alias {alias} was given to {} of {device}, and came in a message of {}; nothing is stored of it: mend the edge node, whose aliases must be one device's each",
                    shown(name),
                    topic.name()
                )))
            }
            _ => Err(refuse(format!(
                "metric {alias} of {} has no name that can be trusted; its node was asked to be born again, which gives every value anew",
                topic.name()
            ))),
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

/// Where what a metric says goes.
struct Said<'a> {
    /// The node or device, as messages call it.
    topic: &'a str,
    index: usize,
    frame: &'a Frame,
    decoded: &'a mut Decoded,
}

impl Said<'_> {
    fn count(&self) -> usize {
        self.decoded.readings.len() + self.decoded.unread.len()
    }
}

fn sequence(payload: &Payload) -> Option<u8> {
    payload.seq.and_then(|sequence| u8::try_from(sequence).ok())
}

/// The number of a life, which its death repeats.
fn birth_number(payload: &Payload) -> Option<u64> {
    let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some("bdSeq"))?;
    match metric.value.as_ref()? {
        Value::Long(number) => Some(*number),
        Value::Int(number) => Some(u64::from(*number)),
        _ => None,
    }
}
