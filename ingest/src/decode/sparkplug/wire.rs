//! The protobuf messages, as far as they hold what is measured. Field numbers: `sparkplug_b.proto` of the specification 3.0.

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
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14")]
    pub(super) value: Option<Value>,
}

/// Texts, bytes, data sets and templates are passed over.
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
    /// The number, by the datatype that the metric or its birth says: signed ones travel as two's complement.
    pub(super) fn number(&self, datatype: u32) -> Option<f64> {
        if self.is_null == Some(true) {
            return None;
        }
        let value = match (self.value.as_ref()?, datatype) {
            #[expect(clippy::cast_possible_truncation, reason = "the datatype says how many bits mean something")]
            (Value::Int(raw), 1) => f64::from((*raw as u8).cast_signed()),
            #[expect(clippy::cast_possible_truncation, reason = "the datatype says how many bits mean something")]
            (Value::Int(raw), 2) => f64::from((*raw as u16).cast_signed()),
            (Value::Int(raw), 3) => f64::from(raw.cast_signed()),
            (Value::Int(raw), _) => f64::from(*raw),
            #[expect(clippy::cast_precision_loss, reason = "what is measured has fewer digits")]
            (Value::Long(raw), 4) => raw.cast_signed() as f64,
            // An instant, in milliseconds: nothing that is measured.
            (Value::Long(_), 13) => return None,
            #[expect(clippy::cast_precision_loss, reason = "what is measured has fewer digits")]
            (Value::Long(raw), _) => *raw as f64,
            // As its shortest decimal text: 1.42 sent as a float is 1.42.
            (Value::Float(value), _) => value.to_string().parse().ok()?,
            (Value::Double(value), _) => *value,
            (Value::Boolean(flag), _) => f64::from(u8::from(*flag)),
        };
        value.is_finite().then_some(value)
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
