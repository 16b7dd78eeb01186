//! SenML in JSON and in CBOR, RFC 8428: a pack of records that inherit a base name, time, unit and value from those before them. The channel is
//! the resolved name, base name included; a boolean is 0 or 1. Times below 2²⁸ are relative to the time of arrival.

mod cbor;
mod units;

use super::json::{self, Pairs, Shape, for_each, found, quoted_nans, why};
use super::number::Fault;
use super::text::trimmed;
use super::{Decoded, Decoder, LeftOut, Placed, Refusal};
use crate::bounds::LONGEST_CHANNEL;
use crate::decimal::scale;
use crate::frame::Frame;
use crate::shown::shown;
use model::{DeviceId, Reading, RejectReason, Timestamp};
use serde_json::value::RawValue;
use std::collections::HashSet;

/// The most records of one pack.
const MOST_RECORDS: usize = 5000;
/// The version of RFC 8428; a pack of a greater one is not ours to read.
const VERSION: u64 = 10;
/// RFC 8428, 4.5.3: a time below this counts from now.
const RELATIVE_BELOW_S: f64 = 268_435_456.0;

pub(super) struct Senml;

/// One record, in whatever it was written.
#[derive(Debug, Default)]
struct Record {
    base_name: Option<String>,
    base_time_s: Option<f64>,
    base_unit: Option<String>,
    base_value: Option<f64>,
    version: Option<u64>,
    name: Option<String>,
    unit: Option<String>,
    /// Or what stands there instead of a number, and why it is none.
    value: Option<Result<f64, (Fault, String)>>,
    flag: Option<bool>,
    time_s: Option<f64>,
    /// It has a text or bytes as its value.
    is_text: bool,
    has_sum: bool,
    /// A label that must be understood, and is not.
    unknown: Option<String>,
}

/// What one label of a record holds.
trait Held {
    fn text(&self) -> Option<String>;
    fn number(&self) -> Result<f64, Fault>;
    fn flag(&self) -> Option<bool>;
    /// For people.
    fn found(&self) -> String;
}

impl Held for &RawValue {
    fn text(&self) -> Option<String> {
        if let Some(Shape::Text(text)) = Shape::of(self) { Some(text) } else { None }
    }
    fn number(&self) -> Result<f64, Fault> {
        json::number(self)
    }
    fn flag(&self) -> Option<bool> {
        if let Some(Shape::Bool(flag)) = Shape::of(self) { Some(flag) } else { None }
    }
    fn found(&self) -> String {
        found(self)
    }
}

impl Record {
    /// # Errors
    /// What stands twice, or is of another kind than its label says.
    fn read<H: Held>(fields: impl IntoIterator<Item = (String, H)>) -> Result<Self, String> {
        let (mut record, mut seen) = (Self::default(), HashSet::new());
        for (label, held) in fields {
            if !seen.insert(label.clone()) {
                return Err(format!("{} stands twice in it", shown(&label)));
            }
            let a_text = || held.text().ok_or_else(|| format!("its {label} is {}, where a text belongs", held.found()));
            let a_number = || held.number().map_err(|fault| fault.refusal(&format!("its {label}"), &held.found()).detail);
            match label.as_str() {
                "bn" => record.base_name = Some(a_text()?),
                "bt" => record.base_time_s = Some(a_number()?),
                "bu" => record.base_unit = Some(a_text()?),
                "bv" => record.base_value = Some(a_number()?),
                "bver" => {
                    let version = a_number()?;
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "versions are few")]
                    let version = version.clamp(0.0, 1e9) as u64;
                    record.version = Some(version);
                }
                "n" => record.name = Some(a_text()?),
                "u" => record.unit = Some(a_text()?),
                "v" => record.value = Some(held.number().map_err(|fault| (fault, held.found()))),
                "vb" => record.flag = Some(held.flag().ok_or_else(|| format!("its vb is {}, neither true nor false", held.found()))?),
                "t" => record.time_s = Some(a_number()?),
                "vs" | "vd" => record.is_text = true,
                "s" => record.has_sum = true,
                "bs" | "ut" => {}
                other if other.ends_with('_') => record.unknown = Some(label.clone()),
                _ => {}
            }
        }
        Ok(record)
    }
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
                Ok(record) if record.version.is_none_or(|version| version <= VERSION) => record,
                Ok(record) => {
                    let detail = format!(
                        "version {} is later than {VERSION}, the last that we read; {rest} records were not taken",
                        record.version.unwrap_or(0)
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
    let bytes = trimmed(bytes);
    json_records(bytes).or_else(|cause| match quoted_nans(bytes) {
        Some(quoted) => json_records(&quoted).map_err(|_| why(bytes, &cause)),
        None => Err(why(bytes, &cause)),
    })
}

fn json_records(bytes: &[u8]) -> serde_json::Result<(Vec<Result<Record, String>>, usize)> {
    let pack: &RawValue = serde_json::from_slice(bytes)?;
    let (mut records, mut all) = (Vec::new(), 0);
    for_each(pack, |raw| {
        // A record takes far more room than the two bytes that one may be written in.
        if all < MOST_RECORDS {
            let pairs: serde_json::Result<Pairs<'_>> = serde_json::from_str(raw.get());
            records.push(pairs.map_err(|_| format!("it is {}", found(raw))).and_then(|pairs| Record::read(pairs.kept)));
        }
        all += 1;
    })?;
    Ok((records, all))
}

impl Base {
    fn take(&mut self, record: &Record) {
        if let Some(name) = &record.base_name {
            self.name.clone_from(name);
        }
        if let Some(time_s) = record.base_time_s {
            self.time_s = time_s;
        }
        if let Some(unit) = &record.base_unit {
            self.unit = Some(unit.clone());
        }
        if let Some(value) = record.base_value {
            self.value = Some(value);
        }
    }

    /// `None` for a record that only sets what others inherit.
    fn reading(&self, record: &Record, frame: &Frame, device: &DeviceId) -> Result<Option<Reading>, Refusal> {
        let refuse = |reason, detail: String| Refusal { reason, detail };
        let own = record.name.as_deref().unwrap_or("");
        // Judged before it is put together: a long base name would be copied for each record.
        let says_nothing = record.name.is_none() && record.value.is_none() && record.flag.is_none();
        if !says_nothing && self.name.len() + own.len() > LONGEST_CHANNEL {
            let detail = format!("{} and {} are more than the {LONGEST_CHANNEL} bytes that a name may have", shown(&self.name), shown(own));
            return Err(refuse(RejectReason::WrongShape, detail));
        }
        let name = format!("{}{own}", self.name);
        if let Some(unknown) = &record.unknown {
            let detail = format!("{} must be understood to read this record, and is not", shown(unknown));
            return Err(refuse(RejectReason::WrongShape, detail));
        }
        if record.is_text {
            return Err(refuse(RejectReason::NotANumber, format!("{} is a text or bytes; send v or vb", shown(&name))));
        }
        if record.value.is_some() && record.flag.is_some() {
            return Err(refuse(RejectReason::WrongShape, format!("{} has both v and vb; send one value a record", shown(&name))));
        }
        let value = match (&record.value, record.flag, self.value) {
            (Some(Err((fault, found))), ..) => return Err(fault.refusal(&shown(&name).to_string(), found)),
            (Some(Ok(value)), _, Some(base)) => scale(*value, 1.0, base).unwrap_or(f64::INFINITY),
            (Some(Ok(value)), _, None) => *value,
            (None, Some(flag), _) => f64::from(u8::from(flag)),
            (None, None, Some(base)) if record.name.is_some() => base,
            _ if record.has_sum => {
                return Err(refuse(RejectReason::NotANumber, format!("{} has only a sum; send v as well", shown(&name))));
            }
            _ if record.name.is_none() => return Ok(None),
            _ => return Err(refuse(RejectReason::NotANumber, format!("{} has no value; send v or vb", shown(&name)))),
        };
        if !is_name(&name) {
            let detail = format!("{} is no SenML name; it begins with a letter or digit, then may have - : . / _ as well", shown(&name));
            return Err(refuse(RejectReason::WrongShape, detail));
        }
        let (factor, unit) = match record.unit.as_ref().or(self.unit.as_ref()) {
            None => (1.0, None),
            Some(symbol) => units::of(symbol).map(|(factor, unit)| (factor, Some(unit))).ok_or_else(|| {
                refuse(
                    RejectReason::WrongUnit,
                    format!("{} is no unit we know of {}; leave it out and give it in the network file", shown(symbol), shown(&name)),
                )
            })?,
        };
        let Some(value) = scale(value, factor, 0.0) else {
            return Err(refuse(RejectReason::NotANumber, format!("{} is too large a number", shown(&name))));
        };
        let phenomenon_time = instant(self.time_s + record.time_s.unwrap_or(0.0), frame.received_at)
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
