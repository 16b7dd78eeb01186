use super::wire::{Metric, Payload, Value};
use super::*;
use model::Timestamp;
use prost::Message;

fn metric(name: Option<&str>, alias: Option<u64>, datatype: u32, value: Value) -> Metric {
    Metric { name: name.map(Into::into), alias, datatype: Some(datatype), value: Some(value), ..Metric::default() }
}

fn life(number: u64) -> Metric {
    metric(Some("bdSeq"), None, 8, Value::Long(number))
}

struct Host {
    nodes: Nodes,
    now_s: i64,
}

impl Host {
    fn new() -> Self {
        Self { nodes: Nodes::default(), now_s: 1_700_000_000 }
    }
    fn hears(&mut self, topic: &str, seq: Option<u64>, metrics: Vec<Metric>) -> Heard {
        self.now_s += 1;
        let payload = Payload { timestamp: Some(1_700_000_000_123), metrics, seq };
        self.nodes.hear(&frame(topic, payload.encode_to_vec(), self.now_s))
    }
    /// Readings as `device|channel|value`, then codes of refusals, then what falls silent, then `rebirth`.
    fn check(&mut self, topic: &str, seq: Option<u64>, metrics: Vec<Metric>, expected: &[&str]) {
        let heard = self.hears(topic, seq, metrics);
        assert_eq!(said(&heard), expected, "{topic} {seq:?}");
    }
}

fn frame(topic: &str, bytes: Vec<u8>, now_s: i64) -> Frame {
    Frame {
        source: "broker",
        format: "sparkplug",
        route: topic.into(),
        owner: "acque".into(),
        device: None,
        channel: None,
        received_at: Timestamp::from_seconds(now_s),
        bytes: bytes.into(),
    }
}

fn said(heard: &Heard) -> Vec<String> {
    let mut said: Vec<String> = heard
        .decoded
        .readings
        .iter()
        .map(|placed| format!("{}|{}|{}", placed.what.device, placed.what.channel, placed.what.value))
        .collect();
    said.extend(heard.decoded.rejects.iter().map(|placed| placed.what.reason.code().to_owned()));
    said.extend(heard.silenced.iter().map(|name| format!("silent {name}")));
    said.extend(heard.rebirth.iter().map(|rebirth| rebirth.topic.clone()));
    said
}

const NODE: &str = "spBv1.0/g/NBIRTH/n";
const DATA: &str = "spBv1.0/g/DDATA/n/d";

#[test]
fn births_name_the_numbers_that_data_use_and_a_gap_asks_for_another_birth() {
    let mut host = Host::new();
    host.check(NODE, Some(0), vec![life(7), metric(Some("volt"), Some(1), 9, Value::Float(12.6))], &["g/n|volt|12.6"]);
    let device = vec![metric(Some("level"), Some(2), 9, Value::Float(1.42)), metric(Some("starts"), Some(3), 3, Value::Int(u32::MAX))];
    host.check("spBv1.0/g/DBIRTH/n/d", Some(1), device, &["g/n/d|level|1.42", "g/n/d|starts|-1"]);
    host.check(DATA, Some(2), vec![metric(None, Some(2), 9, Value::Float(1.5))], &["g/n/d|level|1.5"]);
    // 3 is missing: it may have been a birth with other numbers.
    let gap = vec![metric(None, Some(2), 9, Value::Float(1.6)), metric(Some("level"), None, 9, Value::Float(1.7))];
    host.check(DATA, Some(4), gap, &["g/n/d|level|1.7", "unknown-alias", "spBv1.0/g/NCMD/n"]);
    host.check(DATA, Some(5), vec![metric(None, Some(2), 9, Value::Float(1.8))], &["unknown-alias"]);
    host.check(NODE, Some(0), vec![life(8)], &[]);
    host.check("spBv1.0/g/DBIRTH/n/d", Some(1), vec![metric(Some("level"), Some(9), 10, Value::Double(1.9))], &["g/n/d|level|1.9"]);
    host.check(DATA, Some(2), vec![metric(None, Some(9), 10, Value::Double(2.0))], &["g/n/d|level|2"]);
    for seq in 3..=255 {
        host.check(DATA, Some(seq), vec![], &[]);
    }
    host.check(DATA, Some(0), vec![metric(None, Some(9), 10, Value::Double(2.1))], &["g/n/d|level|2.1"]);
}

#[test]
fn deaths_silence_what_they_name_and_a_late_death_of_an_earlier_life_does_not() {
    let mut host = Host::new();
    host.hears(NODE, Some(0), vec![life(7)]);
    host.check("spBv1.0/g/DDEATH/n/d", Some(1), vec![], &["silent g/n/d"]);
    host.check("spBv1.0/g/NDEATH/n", None, vec![life(6)], &[]);
    host.check("spBv1.0/g/NDEATH/n", None, vec![life(7)], &["silent g/n"]);
}

#[test]
fn numbers_are_remembered_over_a_restart_and_the_node_is_asked_again() {
    let mut host = Host::new();
    let birth = host.hears(NODE, Some(0), vec![life(7), metric(Some("level"), Some(1), 9, Value::Float(1.0))]).birth.expect("to keep");
    host.nodes = Nodes::restore([(birth.id, birth.text)].into_iter());
    host.check("spBv1.0/g/NDATA/n", Some(9), vec![metric(None, Some(1), 9, Value::Float(1.5))], &["g/n|level|1.5", "spBv1.0/g/NCMD/n"]);
    // Never heard of at all.
    let mut host = Host::new();
    host.check("spBv1.0/g/NDATA/n", Some(9), vec![metric(None, Some(1), 9, Value::Float(1.5))], &["unknown-alias", "spBv1.0/g/NCMD/n"]);
    host.check("spBv1.0/g/NDATA/n", Some(10), vec![], &[]);
    host.now_s += 20;
    host.check("spBv1.0/g/NDATA/n", Some(11), vec![], &["spBv1.0/g/NCMD/n"]);
}

#[test]
fn every_type_of_number_is_read_and_what_is_none_says_nothing() {
    let mut host = Host::new();
    let of = |datatype, value| metric(Some("c"), None, datatype, value);
    let mut null = of(9, Value::Float(1.0));
    null.is_null = Some(true);
    let metrics = vec![
        life(1),
        of(1, Value::Int(0xFF)),
        of(2, Value::Int(0xFFFE)),
        of(4, Value::Long(u64::MAX)),
        of(7, Value::Long(4_294_967_295)),
        of(8, Value::Long(9_007_199_254_740_993)),
        of(11, Value::Boolean(true)),
        of(10, Value::Double(f64::NAN)),
        of(13, Value::Long(1_700_000_000_000)),
        null,
        metric(Some("Node Control/Rebirth"), None, 11, Value::Boolean(false)),
    ];
    host.check(NODE, Some(0), metrics, &["g/n|c|-1", "g/n|c|-2", "g/n|c|-1", "g/n|c|4294967295", "g/n|c|9007199254740992", "g/n|c|1"]);
}

#[test]
fn what_is_none_of_theirs_is_refused_and_never_a_panic() {
    let mut nodes = Nodes::default();
    for (topic, bytes, refused) in [
        ("spBv1.0/g/NDATA/n", &b"\xff\xff\xff"[..], 1),
        ("spBv1.0/g/NDATA", b"", 1),
        ("spBv1.0/g/XDATA/n", b"", 1),
        ("spBv1.0/g/NDATA/n/d/e", b"", 1),
        ("spBv1.0/STATE/host", b"{}", 0),
        ("spBv1.0/g/NCMD/n", b"", 0),
    ] {
        let heard = nodes.hear(&frame(topic, bytes.to_vec(), 1));
        assert_eq!((heard.decoded.readings.len(), heard.decoded.rejects.len()), (0, refused), "{topic}");
    }
}

#[test]
fn metrics_are_counted_before_there_is_room_for_them() {
    use super::wire::count_metrics;
    let payload = |metrics| Payload { timestamp: Some(1), metrics, seq: Some(300) }.encode_to_vec();
    assert_eq!(count_metrics(&payload(vec![life(7), metric(Some("level"), Some(9), 9, Value::Float(1.42))])), 2);
    assert_eq!(count_metrics(&[0x12, 0].repeat(100_000)), 100_000);
    // A length that lies; a varint without an end; a group.
    for broken in [&[0x12, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1][..], &[0xFF; 40], &[0x12, 0, 0x13, 0x12, 0]] {
        assert!(count_metrics(broken) <= 2);
    }
    let mut host = Host::new();
    let heard = host.nodes.hear(&frame("spBv1.0/g/NBIRTH/n", [0x12, 0].repeat(100_000), 1_700_000_001));
    assert_eq!(said(&heard), ["too-many"]);
}
