use super::wire::{Metric, Payload, Property, PropertySet, Template, Value};
use super::*;
use crate::decode::Unread;
use model::{Flag, Timestamp, Unit};
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
    said.extend(heard.decoded.unread.iter().map(|placed| {
        let Unread { channel, refusal, matters, .. } = &placed.what;
        format!("{matters:?} {channel} {}", refusal.reason.code())
    }));
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
    let expected = [
        "g/n|c|-1",
        "g/n|c|-2",
        "g/n|c|-1",
        "g/n|c|4294967295",
        "g/n|c|1",
        "Always c not-a-number",
        "Always c not-a-number",
        "WhereFed c not-a-number",
    ];
    host.check(NODE, Some(0), metrics, &expected);
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

/// As a metric of data: by name or alias, without a datatype.
fn plain(name: Option<&str>, alias: Option<u64>, value: Value) -> Metric {
    Metric { name: name.map(Into::into), alias, value: Some(value), ..Metric::default() }
}

#[test]
fn data_without_a_datatype_are_read_by_their_birth_in_every_width() {
    let types: [(u32, Value, &str); 12] = [
        (1, Value::Int(0xF4), "-12"),
        (1, Value::Int(0xFFFF_FFF4), "-12"),
        (2, Value::Int(0xFFF4), "-12"),
        (2, Value::Int(0xFFFF_FFF4), "-12"),
        (3, Value::Int(0xFFFF_FFF4), "-12"),
        (4, Value::Long(u64::MAX - 11), "-12"),
        (5, Value::Int(0xF4), "244"),
        (6, Value::Int(0xFFF4), "65524"),
        (7, Value::Int(0xFFFF_FFF4), "4294967284"),
        (8, Value::Long(9_007_199_254_740_992), "9007199254740992"),
        (9, Value::Float(2.608), "2.608"),
        (11, Value::Boolean(true), "1"),
    ];
    for (datatype, value, expected) in types {
        let mut host = Host::new();
        host.hears(NODE, Some(0), vec![life(1)]);
        let birth = vec![metric(Some("a"), None, datatype, Value::Int(0)), metric(Some("b"), Some(7), datatype, Value::Int(0))];
        let kept = host.hears("spBv1.0/g/DBIRTH/n/d", Some(1), birth).birth.expect("to keep");
        let data =
            || vec![plain(Some("a"), None, value.clone()), plain(None, Some(7), value.clone()), plain(Some("b"), None, value.clone())];
        let said = [format!("g/n/d|a|{expected}"), format!("g/n/d|b|{expected}"), format!("g/n/d|b|{expected}")];
        host.check(DATA, Some(2), data(), &said.each_ref().map(String::as_str));
        // And after a restart, by what lies on disk.
        host.nodes = Nodes::restore([(kept.id, kept.text)].into_iter());
        let said: Vec<&str> = said.iter().map(String::as_str).chain(["spBv1.0/g/NCMD/n"]).collect();
        host.check(DATA, Some(3), data(), &said);
    }
}

#[test]
fn a_number_whose_sign_nobody_knows_is_not_guessed() {
    let mut host = Host::new();
    let data = vec![plain(Some("a"), None, Value::Int(0xFFFF_FFF4)), plain(Some("b"), None, Value::Int(12))];
    host.check(DATA, Some(2), data, &["g/n/d|b|12", "Always a unknown-alias", "spBv1.0/g/NCMD/n"]);
}

#[test]
fn an_alias_of_another_device_is_refused() {
    let mut host = Host::new();
    host.hears(NODE, Some(0), vec![life(1)]);
    host.hears("spBv1.0/g/DBIRTH/n/a", Some(1), vec![metric(Some("flow"), Some(1), 9, Value::Float(1.0))]);
    host.hears("spBv1.0/g/DBIRTH/n/d", Some(2), vec![metric(Some("temp"), Some(2), 9, Value::Float(1.0))]);
    let data = vec![plain(None, Some(1), Value::Float(9.0)), plain(None, Some(2), Value::Float(2.0))];
    host.check(DATA, Some(3), data, &["g/n/d|temp|2", "unknown-alias"]);
}

fn template(name: Option<&str>, alias: Option<u64>, metrics: Vec<Metric>, is_definition: bool) -> Metric {
    let template = Template { metrics, is_definition: Some(is_definition) };
    Metric { datatype: Some(19), ..plain(name, alias, Value::Template(template)) }
}

#[test]
fn members_of_templates_are_channels_by_their_path() {
    let mut host = Host::new();
    let members = vec![
        metric(Some("Flow"), None, 2, Value::Int(0xFFFF)),
        template(Some("Motor"), None, vec![metric(Some("Temp"), None, 3, Value::Int(7))], false),
    ];
    let definition = template(Some("_types_/Pump"), None, vec![metric(Some("Flow"), None, 2, Value::Int(1))], true);
    let birth = vec![life(1), definition, template(Some("Pump"), Some(4), members, false)];
    host.check(NODE, Some(0), birth, &["g/n|Pump/Flow|-1", "g/n|Pump/Motor/Temp|7"]);
    let changed = vec![template(None, Some(4), vec![plain(Some("Flow"), None, Value::Int(0xFFFB))], false)];
    host.check("spBv1.0/g/NDATA/n", Some(1), changed, &["g/n|Pump/Flow|-5"]);
}

#[test]
fn what_is_no_number_by_its_type_is_refused_by_name() {
    let mut host = Host::new();
    let metrics = vec![
        life(1),
        metric(Some("table"), None, 16, Value::DataSet(vec![1])),
        metric(Some("blob"), None, 17, Value::Bytes(vec![1])),
        metric(Some("file"), None, 18, Value::Bytes(vec![1])),
        metric(Some("state"), None, 12, Value::Text("on".into())),
        metric(Some("text"), None, 12, Value::Text("21.50".into())),
    ];
    let expected =
        ["g/n|text|21.5", "Always table wrong-shape", "Always blob wrong-shape", "Always file wrong-shape", "WhereFed state not-a-number"];
    host.check(NODE, Some(0), metrics, &expected);
}

#[test]
fn properties_say_the_unit_and_how_far_a_value_can_be_trusted() {
    let mut host = Host::new();
    let property = |key: &str, property: Property| Some(PropertySet { keys: vec![key.into()], values: vec![property] });
    let unit = property("engUnit", Property { text: Some("cm".into()), ..Property::default() });
    let birth = Metric { properties: unit, ..metric(Some("level"), Some(1), 9, Value::Float(1.0)) };
    host.hears(NODE, Some(0), vec![life(1), birth]);
    let quality = property("Quality", Property { int: Some(500), ..Property::default() });
    let stale = Metric { properties: quality, ..plain(None, Some(1), Value::Float(2.0)) };
    let heard = host.hears("spBv1.0/g/NDATA/n", Some(1), vec![stale]);
    let reading = &heard.decoded.readings[0].what;
    assert_eq!((reading.unit, reading.flag), (Some(Unit::Centimetre), Some(Flag::Suspect)));
}
