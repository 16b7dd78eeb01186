//! A Sparkplug B edge node with one device: what it says over its lives. Topics and order: Eclipse Sparkplug specification 3.0; bytes:
//! its `sparkplug_b.proto`, written field by field.

use model::Timestamp;

/// A message of MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// One value, as `DDATA` says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said {
    /// The number that the birth gave the metric.
    pub alias: u64,
    pub value: f64,
    pub at: Timestamp,
    /// Kept while there was no link, and sent afterwards.
    pub is_historical: bool,
}

/// A node, its device and where they are in their lives.
#[derive(Debug, Clone)]
pub struct EdgeNode {
    group: String,
    node: String,
    device: String,
    /// Names of the device's metrics; the alias is the place, from 1.
    metrics: Vec<(String, f64)>,
    /// Of lives, which the will and the birth repeat.
    life: u64,
    /// The next message's number; wraps after 255.
    sequence: u8,
}

/// Datatypes of the specification.
const INT64: u64 = 4;
const DOUBLE: u64 = 10;
const BOOLEAN: u64 = 11;
const REBIRTH: &str = "Node Control/Rebirth";

impl EdgeNode {
    #[must_use]
    pub fn new(group: &str, node: &str, device: &str, metrics: &[(&str, f64)]) -> Self {
        let metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Self { group: group.into(), node: node.into(), device: device.into(), metrics, life: 0, sequence: 0 }
    }

    /// Before each connection: the will, which the broker says for a node that is cut off.
    #[must_use]
    pub fn will(&self) -> Message {
        // Only the life's number: no timestamp of its own, no sequence.
        Message { topic: self.topic("NDEATH"), payload: bytes(2, &self.life_number()) }
    }

    /// `NBIRTH` and `DBIRTH`: names, aliases and the current values. The sequence begins anew.
    pub fn births(&mut self, at: Timestamp) -> [Message; 2] {
        self.sequence = 0;
        let control = [bytes(1, REBIRTH.as_bytes()), varint(4, BOOLEAN), varint(14, 0)].concat();
        let node = self.payload(at, &[self.life_number(), control]);
        let named: Vec<Vec<u8>> = (1..)
            .zip(&self.metrics)
            .map(|(alias, (name, value))| {
                [bytes(1, name.as_bytes()), varint(2, alias), varint(3, ms(at)), varint(4, DOUBLE), double(*value)].concat()
            })
            .collect();
        let device = self.payload(at, &named);
        [Message { topic: self.topic("NBIRTH"), payload: node }, Message { topic: self.of_device("DBIRTH"), payload: device }]
    }

    /// `DDATA`: aliases instead of names.
    pub fn says(&mut self, at: Timestamp, said: &[Said]) -> Message {
        let metric = |said: &Said| {
            let mut metric = [varint(2, said.alias), varint(3, ms(said.at))].concat();
            if said.is_historical {
                metric.extend(varint(5, 1));
            }
            metric.extend(double(said.value));
            metric
        };
        let metrics: Vec<Vec<u8>> = said.iter().map(metric).collect();
        for said in said.iter().filter(|said| !said.is_historical) {
            let place = usize::try_from(said.alias).ok().and_then(|alias| alias.checked_sub(1));
            if let Some((_, value)) = place.and_then(|place| self.metrics.get_mut(place)) {
                *value = said.value;
            }
        }
        Message { topic: self.of_device("DDATA"), payload: self.payload(at, &metrics) }
    }

    /// A message was lost on its way: the next one's number shows it.
    pub fn loses_a_message(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// It starts again: another life.
    pub fn restarts(&mut self) {
        self.life += 1;
    }

    /// Where commands for it arrive.
    #[must_use]
    pub fn commands(&self) -> String {
        self.topic("NCMD")
    }

    /// Whether a command asks for a birth: the metric's name, and true.
    #[must_use]
    pub fn is_rebirth(&self, command: &Message) -> bool {
        let holds = |wanted: &[u8]| command.payload.windows(wanted.len()).any(|window| window == wanted);
        command.topic == self.commands() && holds(&bytes(1, REBIRTH.as_bytes())) && holds(&varint(14, 1))
    }

    fn life_number(&self) -> Vec<u8> {
        [bytes(1, b"bdSeq"), varint(4, INT64), varint(11, self.life)].concat()
    }
    fn payload(&mut self, at: Timestamp, metrics: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = varint(1, ms(at));
        metrics.iter().for_each(|metric| payload.extend(bytes(2, metric)));
        payload.extend(varint(3, u64::from(self.sequence)));
        self.sequence = self.sequence.wrapping_add(1);
        payload
    }
    fn topic(&self, kind: &str) -> String {
        format!("spBv1.0/{}/{kind}/{}", self.group, self.node)
    }
    fn of_device(&self, kind: &str) -> String {
        format!("{}/{}", self.topic(kind), self.device)
    }
}

fn ms(at: Timestamp) -> u64 {
    u64::try_from(at.micros().div_euclid(1000)).unwrap_or(0)
}

fn number(mut value: u64, out: &mut Vec<u8>) {
    while let (rest @ 1.., [low, ..]) = (value >> 7, value.to_le_bytes()) {
        out.push(low | 0x80);
        value = rest;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A field of protobuf with a whole number.
fn varint(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    number(field << 3, &mut out);
    number(value, &mut out);
    out
}

/// One with a length and bytes: texts and messages.
fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    number(field << 3 | 2, &mut out);
    number(bytes.len() as u64, &mut out);
    out.extend_from_slice(bytes);
    out
}

/// `double_value`, field 13.
fn double(value: f64) -> Vec<u8> {
    [&[13 << 3 | 1][..], &value.to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> EdgeNode {
        EdgeNode::new("piana", "cabina", "radar", &[("level", 1.42)])
    }

    // By hand from sparkplug_b.proto: field numbers shifted by three, wire types 0, 1 and 2.
    #[test]
    fn a_value_goes_out_under_its_number_alone() {
        let at = Timestamp::from_seconds(1);
        let said = node().says(at, &[Said { alias: 1, value: 1.5, at, is_historical: true }]);
        assert_eq!(said.topic, "spBv1.0/piana/DDATA/cabina/radar");
        let metric = [0x10, 1, 0x18, 0xE8, 0x07, 0x28, 1, 0x69, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F];
        assert_eq!(said.payload, [&[0x08, 0xE8, 0x07, 0x12, 16][..], &metric, &[0x18, 0]].concat());
    }

    #[test]
    fn each_life_has_its_number_and_each_message_the_next() {
        let mut node = node();
        let at = Timestamp::from_seconds(1_700_000_000);
        let sequence = |message: &Message| message.payload.last().copied();
        let [born, device] = node.births(at);
        assert_eq!((sequence(&born), sequence(&device)), (Some(0), Some(1)));
        for _ in 2..=255 {
            node.says(at, &[]);
        }
        assert_eq!(sequence(&node.says(at, &[])), Some(0), "after 255 comes 0");
        node.loses_a_message();
        assert_eq!(sequence(&node.says(at, &[])), Some(2));
        let before = node.will();
        assert!(born.payload.windows(5).any(|window| window == b"bdSeq") && before.topic == "spBv1.0/piana/NDEATH/cabina");
        node.restarts();
        assert_ne!(node.will(), before);
    }

    #[test]
    fn it_knows_when_it_is_asked_to_be_born_again() {
        let metric = [bytes(1, REBIRTH.as_bytes()), varint(4, BOOLEAN), varint(14, 1)].concat();
        let command = Message { topic: node().commands(), payload: bytes(2, &metric) };
        assert!(node().is_rebirth(&command));
        assert!(!node().is_rebirth(&Message { payload: vec![], ..command }));
    }
}
