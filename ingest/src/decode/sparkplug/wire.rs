//! The protobuf messages, as far as they hold what is measured. Field numbers: `sparkplug_b.proto` of the specification 3.0.

use crate::decode::number::{self, Fault};
use crate::shown::shown;
use model::{Flag, Unit};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    /// Milliseconds since 1970.
    #[prost(uint64, optional, tag = "1")]
    pub(super) timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub(super) metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) seq: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metric {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub(super) datatype: Option<u32>,
    #[prost(bool, optional, tag = "5")]
    pub(super) is_historical: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub(super) is_null: Option<bool>,
    #[prost(message, optional, tag = "9")]
    pub(super) properties: Option<PropertySet>,
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18")]
    pub(super) value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    Text(String),
    /// What it holds is not read.
    #[prost(bytes, tag = "16")]
    DataSet(Vec<u8>),
    /// Bytes, files, and arrays of numbers.
    #[prost(bytes, tag = "17")]
    Bytes(Vec<u8>),
    #[prost(message, tag = "18")]
    Template(Template),
}

/// A structure of metrics, which some call a UDT.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Template {
    #[prost(message, repeated, tag = "2")]
    pub(super) metrics: Vec<Metric>,
    #[prost(bool, optional, tag = "5")]
    pub(super) is_definition: Option<bool>,
}

/// What is said of a metric beside its value: names, and values in the same order.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PropertySet {
    #[prost(string, repeated, tag = "1")]
    pub(super) keys: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub(super) values: Vec<Property>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Property {
    #[prost(uint32, optional, tag = "3")]
    pub(super) int: Option<u32>,
    #[prost(string, optional, tag = "8")]
    pub(super) text: Option<String>,
}

/// What the value of a metric is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Number(f64),
    /// It says that there is none.
    Null,
    /// An instant, which is not measured.
    Instant,
    /// Why there is no number that can be kept, and what stands there.
    NoNumber(Fault, String),
    /// Negative or not: nobody said how many bits it has.
    Undeclared(u64),
    /// What is not read, in the specification's word.
    Unsupported(&'static str),
}

/// How many metrics a payload holds, counted without making room for them: one takes two bytes on the wire and a hundred here. Where the
/// bytes are no protobuf, those before.
pub(super) fn count_metrics(mut bytes: &[u8]) -> usize {
    const METRICS: u64 = 2 << 3 | 2;
    let mut count = 0;
    while let Some(key) = varint(&mut bytes) {
        count += usize::from(key == METRICS);
        let length = match key & 7 {
            0 => varint(&mut bytes).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut bytes),
            5 => Some(4),
            _ => None,
        };
        let rest = length.and_then(|length| bytes.get(usize::try_from(length).ok()?..));
        let Some(rest) = rest else { return count };
        bytes = rest;
    }
    count
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if *first < 0x80 {
            return Some(value);
        }
    }
    None
}

impl Metric {
    fn property(&self, name: &str) -> Option<&Property> {
        let properties = self.properties.as_ref()?;
        let place = properties.keys.iter().position(|key| key.eq_ignore_ascii_case(name))?;
        properties.values.get(place)
    }

    /// The unit that its properties name, where we know it.
    pub(super) fn unit(&self) -> Option<Unit> {
        ["engUnit", "unit", "units"].iter().find_map(|key| self.property(key)?.text.as_deref().and_then(Unit::from_symbol))
    }

    /// What its property `Quality` says of its value (specification 3.0, 6.4.5): 192 is good.
    pub(super) fn flag(&self) -> Option<Flag> {
        match self.property("Quality")?.int? {
            0 => Some(Flag::Fail),
            500 => Some(Flag::Suspect),
            _ => None,
        }
    }

    /// What the value is, by the datatype that the metric or its birth says: signed numbers travel as two's complement.
    pub(super) fn kind(&self, datatype: u32) -> Kind {
        let Some(value) = self.value.as_ref().filter(|_| self.is_null != Some(true)) else { return Kind::Null };
        let number = |number: Result<f64, Fault>, found: String| number.map_or_else(|fault| Kind::NoNumber(fault, found), Kind::Number);
        let whole = |whole: i128| number(number::whole(whole), format!("the number {whole}"));
        match (value, datatype) {
            // Small numbers are the same in every type; the others are, where none is said, of an unknown sign.
            (Value::Int(raw), 0) if *raw > 0x7F => Kind::Undeclared(u64::from(*raw)),
            (Value::Long(raw), 0) if *raw > i64::MAX.unsigned_abs() => Kind::Undeclared(*raw),
            #[expect(clippy::cast_possible_truncation, reason = "the datatype says how many bits mean something")]
            (Value::Int(raw), 1) => Kind::Number(f64::from((*raw as u8).cast_signed())),
            #[expect(clippy::cast_possible_truncation, reason = "the datatype says how many bits mean something")]
            (Value::Int(raw), 2) => Kind::Number(f64::from((*raw as u16).cast_signed())),
            (Value::Int(raw), 3) => Kind::Number(f64::from(raw.cast_signed())),
            // Sent by some in the field of the shorter ones, sign and all.
            (Value::Int(raw), 4) => Kind::Number(f64::from(raw.cast_signed())),
            (Value::Int(raw), _) => Kind::Number(f64::from(*raw)),
            (Value::Long(_), 13) => Kind::Instant,
            // And the shorter ones by some in the field of the longer.
            #[expect(clippy::cast_possible_truncation, reason = "the datatype says how many bits mean something")]
            (Value::Long(raw), 1) => Kind::Number(f64::from((*raw as u8).cast_signed())),
            #[expect(clippy::cast_possible_truncation, reason = "the datatype says how many bits mean something")]
            (Value::Long(raw), 2) => Kind::Number(f64::from((*raw as u16).cast_signed())),
            #[expect(clippy::cast_possible_truncation, reason = "the datatype says how many bits mean something")]
            (Value::Long(raw), 3) => Kind::Number(f64::from((*raw as u32).cast_signed())),
            (Value::Long(raw), 4) => whole(i128::from(raw.cast_signed())),
            (Value::Long(raw), _) => whole(i128::from(*raw)),
            // As its shortest decimal text: 1.42 sent as a float is 1.42.
            (Value::Float(value), _) => number(value.to_string().parse().map_or(Err(Fault::NotFinite), number::finite), value.to_string()),
            (Value::Double(value), _) => number(number::finite(*value), value.to_string()),
            (Value::Boolean(flag), _) => Kind::Number(f64::from(u8::from(*flag))),
            (Value::Text(text), _) => number(number::read(text), format!("the text {}", shown(text))),
            (Value::DataSet(_), _) => Kind::Unsupported("DataSet"),
            (Value::Bytes(_), 18) => Kind::Unsupported("File"),
            (Value::Bytes(_), 22..) => Kind::Unsupported("Array"),
            (Value::Bytes(_), _) => Kind::Unsupported("Bytes"),
            (Value::Template(_), _) => Kind::Unsupported("Template"),
        }
    }
}

/// A command: the only one that is ever sent, and only its node may act on it.
pub(super) fn rebirth(now_ms: u64) -> Vec<u8> {
    let metric = Metric {
        name: Some("Node Control/Rebirth".into()),
        timestamp: Some(now_ms),
        datatype: Some(11),
        value: Some(Value::Boolean(true)),
        ..Metric::default()
    };
    Payload { timestamp: Some(now_ms), metrics: vec![metric], seq: None }.encode_to_vec()
}
