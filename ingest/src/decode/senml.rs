//! SenML in JSON and in CBOR, RFC 8428: a pack of records that inherit a base name, time, unit and value from those before them. The channel is
//! the resolved name, base name included; a boolean is 0 or 1. Times below 2²⁸ are relative to the time of arrival.

mod cbor;
mod units;

use super::{Decoded, Decoder, LeftOut, Placed, Refusal};
use crate::bounds::LONGEST_CHANNEL;
use crate::frame::Frame;
use crate::shown::shown;
use model::{DeviceId, Reading, RejectReason, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The most records of one pack.
const MOST_RECORDS: usize = 5000;
/// The version of RFC 8428; a pack of a greater one is not ours to read.
const VERSION: u64 = 10;
/// RFC 8428, 4.5.3: a time below this counts from now.
const RELATIVE_BELOW_S: f64 = 268_435_456.0;

pub(super) struct Senml;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    bn: Option<String>,
    bt: Option<f64>,
    bu: Option<String>,
    bv: Option<f64>,
    bs: Option<IgnoredAny>,
    bver: Option<u64>,
    n: Option<String>,
    u: Option<String>,
    v: Option<f64>,
    vs: Option<IgnoredAny>,
    vb: Option<bool>,
    vd: Option<IgnoredAny>,
    s: Option<IgnoredAny>,
    t: Option<f64>,
    ut: Option<IgnoredAny>,
    #[serde(flatten)]
    more: BTreeMap<String, IgnoredAny>,
}

/// What records inherit.
#[derive(Default)]
struct Base {
    name: String,
    time_s: f64,
    unit: Option<String>,
    value: Option<f64>,
}

impl Decoder for Senml {
    fn name(&self) -> &'static str {
        "senml"
    }

    fn decode(&self, frame: &Frame) -> Decoded {
        let mut decoded = Decoded::default();
        let Decoded { readings, rejects, left_out, .. } = &mut decoded;
        let mut reject = |index, reason, detail| rejects.push(Placed { index, what: Refusal { reason, detail } });
        let Some(device) = &frame.device else {
            reject(0, RejectReason::WrongShape, "a SenML pack belongs to the topic of one device".to_owned());
            return decoded;
        };
        let (pack, all) = match records(&frame.bytes) {
            Ok(pack) => pack,
            Err(cause) => {
                let detail =
                    format!("no SenML: {cause}; send an array of records such as [{{\"n\": \"level\", \"u\": \"m\", \"v\": 1.42}}]");
                reject(0, RejectReason::Unreadable, detail);
                return decoded;
            }
        };
        if all == 0 {
            reject(0, RejectReason::WrongShape, "the pack is empty; send at least one record".to_owned());
        }
        let mut base = Base::default();
        let rest_from = |index: usize| u32::try_from(all - index).unwrap_or(u32::MAX);
        if all > MOST_RECORDS {
            let count = rest_from(MOST_RECORDS);
            let detail = format!("more than {MOST_RECORDS} records; the last {count} were not taken; send them in another pack");
            left_out.push(LeftOut { index: MOST_RECORDS, reason: RejectReason::TooMany, detail, count });
        }
        for (index, record) in pack.into_iter().enumerate() {
            let rest = rest_from(index);
            // A record that can't be read may have changed what those after it inherit: nothing after it means anything for sure.
            let record = match record {
                Ok(record) if record.bver.is_none_or(|version| version <= VERSION) => record,
                Ok(record) => {
                    let detail = format!(
                        "version {} is later than {VERSION}, the last that we read; {rest} records were not taken",
                        record.bver.unwrap_or(0)
                    );
                    reject(index, RejectReason::WrongShape, detail);
                    break;
                }
                Err(cause) => {
                    reject(
                        index,
                        RejectReason::WrongShape,
                        format!("record {index} is no SenML: {cause}; it and those after it, {rest} in all, were not taken"),
                    );
                    break;
                }
            };
            base.take(&record);
            match base.reading(&record, frame, device) {
                Ok(Some(reading)) => readings.push(Placed { index, what: reading }),
                Ok(None) => {}
                Err(Refusal { reason, detail }) => reject(index, reason, detail),
            }
        }
        decoded
    }
}

/// The first records of a pack, each read alone, and how many there are in all; what it is written in shows at its first byte.
fn records(bytes: &[u8]) -> Result<(Vec<Result<Record, String>>, usize), String> {
    if cbor::is_cbor(bytes) {
        return cbor::pack(bytes);
    }
    let pack: Vec<&RawValue> = serde_json::from_slice(bytes).map_err(|cause| cause.to_string())?;
    let read = |raw: &&RawValue| serde_json::from_str(raw.get()).map_err(|cause| cause.to_string());
    // A record takes far more room than the two bytes that one may be written in.
    Ok((pack.iter().take(MOST_RECORDS).map(read).collect(), pack.len()))
}

impl Base {
    fn take(&mut self, record: &Record) {
        if let Some(name) = &record.bn {
            self.name.clone_from(name);
        }
        if let Some(time_s) = record.bt {
            self.time_s = time_s;
        }
        if let Some(unit) = &record.bu {
            self.unit = Some(unit.clone());
        }
        if let Some(value) = record.bv {
            self.value = Some(value);
        }
    }

    /// `None` for a record that only sets what others inherit.
    fn reading(&self, record: &Record, frame: &Frame, device: &DeviceId) -> Result<Option<Reading>, Refusal> {
        let refuse = |reason, detail: String| Refusal { reason, detail };
        let own = record.n.as_deref().unwrap_or("");
        // Judged before it is put together: a long base name would be copied for each record.
        let says_nothing = record.n.is_none() && record.v.is_none() && record.vb.is_none();
        if !says_nothing && self.name.len() + own.len() > LONGEST_CHANNEL {
            let detail = format!("{} and {} are more than the {LONGEST_CHANNEL} bytes that a name may have", shown(&self.name), shown(own));
            return Err(refuse(RejectReason::WrongShape, detail));
        }
        let name = format!("{}{own}", self.name);
        if let Some(unknown) = record.more.keys().find(|key| key.ends_with('_')) {
            let detail = format!("{} must be understood to read this record, and is not", shown(unknown));
            return Err(refuse(RejectReason::WrongShape, detail));
        }
        if record.vs.is_some() || record.vd.is_some() {
            return Err(refuse(RejectReason::NotANumber, format!("{} is a text or bytes; send v or vb", shown(&name))));
        }
        if record.v.is_some() && record.vb.is_some() {
            return Err(refuse(RejectReason::WrongShape, format!("{} has both v and vb; send one value a record", shown(&name))));
        }
        let value = match (record.v, record.vb, self.value) {
            (Some(value), _, base) => value + base.unwrap_or(0.0),
            (None, Some(flag), _) => f64::from(u8::from(flag)),
            (None, None, Some(base)) if record.n.is_some() => base,
            _ if record.s.is_some() => {
                return Err(refuse(RejectReason::NotANumber, format!("{} has only a sum; send v as well", shown(&name))));
            }
            _ if record.n.is_none() => return Ok(None),
            _ => return Err(refuse(RejectReason::NotANumber, format!("{} has no value; send v or vb", shown(&name)))),
        };
        if !is_name(&name) {
            let detail = format!("{} is no SenML name; it begins with a letter or digit, then may have - : . / _ as well", shown(&name));
            return Err(refuse(RejectReason::WrongShape, detail));
        }
        let (factor, unit) = match record.u.as_ref().or(self.unit.as_ref()) {
            None => (1.0, None),
            Some(symbol) => units::of(symbol).map(|(factor, unit)| (factor, Some(unit))).ok_or_else(|| {
                refuse(
                    RejectReason::WrongUnit,
                    format!("{} is no unit we know of {}; leave it out and give it in the network file", shown(symbol), shown(&name)),
                )
            })?,
        };
        let value = value * factor;
        if !value.is_finite() {
            return Err(refuse(RejectReason::NotANumber, format!("{} is too large a number", shown(&name))));
        }
        let phenomenon_time = instant(self.time_s + record.t.unwrap_or(0.0), frame.received_at)
            .map_err(|detail| refuse(RejectReason::BadTime, format!("{}: {detail}", shown(&name))))?;
        Ok(Some(Reading {
            owner: frame.owner.clone(),
            device: device.clone(),
            channel: name.into(),
            phenomenon_time,
            value,
            unit,
            flag: None,
        }))
    }
}

/// RFC 8428, 4.5.1.
fn is_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:./_".contains(&byte))
}

/// Exactly now, which a record without any time means, is the time of arrival, made unique when it is bound.
fn instant(time_s: f64, received_at: Timestamp) -> Result<Option<Timestamp>, String> {
    if time_s == 0.0 {
        return Ok(None);
    }
    let micros = time_s * 1e6;
    if !micros.is_finite() || micros.abs() > 2.5e17 {
        return Err(format!("the time {time_s} lies outside the years that can be kept"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
    let micros = micros.round() as i64;
    let is_relative = time_s < RELATIVE_BELOW_S;
    Ok(Some(if is_relative { received_at.plus_micros(micros) } else { Timestamp::from_micros(micros) }))
}

#[cfg(test)]
mod tests;
