//! What the network servers of LoRaWAN have in common: channels out of a codec's object, raw bytes beside them.

use super::{Decoded, LeftOut, Placed, RawPayload, Refusal};
use crate::bounds::LONGEST_CHANNEL;
use crate::frame::Frame;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{DeviceId, Reading, RejectReason, Timestamp};
use serde_json::{Map, Value};

/// The most channels of one uplink.
const MOST: usize = 2000;

/// One uplink, whoever brought it.
pub(super) struct Uplink<'a> {
    pub(super) device: DeviceId,
    /// When a gateway heard it; LoRaWAN knows no other time.
    pub(super) time: Option<Timestamp>,
    pub(super) port: Option<u8>,
    pub(super) counter: Option<u32>,
    /// In base64.
    pub(super) bytes: Option<&'a str>,
    /// What the network server's codec made of them.
    pub(super) object: Option<&'a Map<String, Value>>,
}

impl Uplink<'_> {
    pub(super) fn decoded(&self, frame: &Frame) -> Decoded {
        let mut decoded = Decoded::default();
        let mut channels = Channels::default();
        if let Some(object) = self.object {
            flatten(object, "", &mut channels);
        }
        decoded.left_out.extend(channels.left_out());
        for (channel, value) in channels.kept {
            decoded.readings.push(Placed {
                index: 0,
                what: Reading {
                    owner: frame.owner.clone(),
                    device: self.device.clone(),
                    channel: channel.into(),
                    phenomenon_time: self.time,
                    value,
                    unit: None,
                    flag: None,
                },
            });
        }
        let bytes = match self.bytes.map(|text| STANDARD.decode(text)) {
            Some(Ok(bytes)) => bytes,
            Some(Err(cause)) => {
                let detail = format!("the payload of {} is no base64: {cause}", self.device);
                decoded.rejects.push(refused(RejectReason::Unreadable, detail));
                return decoded;
            }
            None => Vec::new(),
        };
        if !bytes.is_empty() {
            let (device, port, time) = (self.device.clone(), self.port, self.time);
            decoded.payloads.push(Placed { index: 0, what: RawPayload { device, port, time, counter: self.counter, bytes } });
        } else if decoded.readings.is_empty() && self.object.is_some_and(|object| !object.is_empty()) {
            let detail =
                format!("the codec of {} gave no number, and no raw bytes came along; mend the codec at the network server", self.device);
            decoded.rejects.push(refused(RejectReason::NotANumber, detail));
        }
        decoded
    }
}

/// The channels of an object, as many as one uplink may have.
#[derive(Default)]
struct Channels {
    kept: Vec<(String, f64)>,
    /// Numbers that were one too many.
    beyond: u32,
    /// Numbers, or objects of them, whose path is too long for a name.
    nameless: u32,
}

impl Channels {
    fn add(&mut self, name: &str, value: f64) {
        if self.kept.len() < MOST {
            self.kept.push((name.to_owned(), value));
        } else {
            self.beyond = self.beyond.saturating_add(1);
        }
    }
    fn left_out(&self) -> Vec<LeftOut> {
        let left = |count, reason, detail| LeftOut { index: 0, reason, detail, count };
        let beyond = format!("{} numbers more than the {MOST} that one uplink may hold; let the codec give fewer", self.beyond);
        let nameless = format!("{} have a path of more than {LONGEST_CHANNEL} bytes; let the codec give shorter names", self.nameless);
        let all = [left(self.beyond, RejectReason::TooMany, beyond), left(self.nameless, RejectReason::WrongShape, nameless)];
        all.into_iter().filter(|left| left.count > 0).collect()
    }
}

/// Numbers and booleans by their path; texts and nulls say nothing that is measured.
fn flatten(object: &Map<String, Value>, before: &str, channels: &mut Channels) {
    for (key, value) in object {
        // Judged before it is put together: a long path would be copied for each number below it.
        if before.len() + key.len() >= LONGEST_CHANNEL {
            channels.nameless = channels.nameless.saturating_add(1);
            continue;
        }
        let name = if before.is_empty() { key.clone() } else { format!("{before}.{key}") };
        take(&name, value, channels);
    }
}

fn take(name: &str, value: &Value, channels: &mut Channels) {
    match value {
        Value::Number(number) => {
            if let Some(value) = number.as_f64().filter(|value| value.is_finite()) {
                channels.add(name, value);
            }
        }
        Value::Bool(flag) => channels.add(name, f64::from(u8::from(*flag))),
        Value::Object(object) => flatten(object, name, channels),
        Value::Array(list) => list.iter().enumerate().for_each(|(place, item)| take(&format!("{name}.{place}"), item, channels)),
        Value::String(_) | Value::Null => {}
    }
}

/// The message as an object.
pub(super) fn object(frame: &Frame, example: &str) -> Result<Map<String, Value>, Box<Decoded>> {
    match serde_json::from_slice(&frame.bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(refuse(RejectReason::WrongShape, format!("an object is wanted: {example}"))),
        Err(cause) => Err(refuse(RejectReason::Unreadable, format!("no JSON: {cause}; an object is wanted: {example}"))),
    }
}

/// A message that is refused as a whole.
pub(super) fn refuse(reason: RejectReason, detail: String) -> Box<Decoded> {
    Box::new(Decoded { rejects: vec![refused(reason, detail)], ..Decoded::default() })
}

fn refused(reason: RejectReason, detail: String) -> Placed<Refusal> {
    Placed { index: 0, what: Refusal { reason, detail } }
}

/// The text at a path of keys.
pub(super) fn text<'a>(object: &'a Map<String, Value>, path: &[&str]) -> Option<&'a str> {
    at(object, path)?.as_str()
}

pub(super) fn at<'a>(object: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = object.get(*first)?;
    if rest.is_empty() { Some(value) } else { at(value.as_object()?, rest) }
}

/// A time that may be missing, but not nonsense.
pub(super) fn time(text: Option<&str>) -> Result<Option<Timestamp>, Box<Decoded>> {
    let parse = |text| Timestamp::parse(text).map_err(|cause| refuse(RejectReason::BadTime, cause.to_string()));
    text.map(parse).transpose()
}

#[cfg(test)]
mod tests;
