//! What the network servers of LoRaWAN have in common: channels out of a codec's object, raw bytes beside them.

use super::json::{self, Pairs, Shape, for_each, found, quoted_nans, why};
use super::number::Fault;
use super::text::trimmed;
use super::{Decoded, Heard, LeftOut, Matters, Placed, RawPayload, Refusal, Unread, WrongClock};
use crate::bounds::LONGEST_CHANNEL;
use crate::frame::Frame;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{DeviceId, Reading, RejectReason, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The most channels of one uplink.
const MOST: usize = 2000;
/// Places of what an uplink holds: what the network server's codec made of it, and its bytes.
const OBJECT: usize = 0;
const BYTES: usize = 1;
/// A gateway's clock that differs by more from the network server's is wrong, s.
const CLOCKS_APART_S: f64 = 600.0;

/// One uplink, whoever brought it.
pub(super) struct Uplink<'a> {
    pub(super) device: DeviceId,
    /// By which the network server tells this uplink from every other, and for how long, s.
    pub(super) id: Option<(String, f64)>,
    pub(super) time: Option<Timestamp>,
    pub(super) wrong_clocks: Vec<WrongClock>,
    pub(super) port: Option<u8>,
    /// In base64.
    pub(super) bytes: Option<&'a str>,
    /// What the network server's codec made of them.
    pub(super) object: Option<&'a RawValue>,
}

impl Uplink<'_> {
    pub(super) fn decoded(self, frame: &Frame) -> Decoded {
        let mut decoded = Decoded { wrong_clocks: self.wrong_clocks, ..Decoded::default() };
        if let (Some((id, within_s)), Some(heard_at)) = (self.id, self.time) {
            decoded.heard = Some(Heard { device: self.device.clone(), id, heard_at, within_s });
        }
        let mut channels = Channels::default();
        if let Some(object) = self.object {
            take("", object, &mut channels);
        }
        decoded.left_out.extend(channels.left_out());
        let says_something = !channels.kept.is_empty();
        for (channel, said) in channels.kept {
            match said {
                Ok(value) => {
                    let (owner, device, channel) = (frame.owner.clone(), self.device.clone(), channel.into());
                    let reading = Reading { owner, device, channel, phenomenon_time: self.time, value, unit: None, flag: None };
                    decoded.readings.push(Placed { index: OBJECT, what: reading });
                }
                Err((fault, found)) => {
                    // A word, as a codec gives beside its numbers, is no fault of the device; NaN is.
                    let matters = if fault == Fault::NotFinite { Matters::Always } else { Matters::WhereFed };
                    let refusal = fault.refusal(&channel, &found);
                    let (device, channel) = (self.device.clone(), channel.into());
                    decoded.unread.push(Placed { index: OBJECT, what: Unread { device, channel, time: self.time, refusal, matters } });
                }
            }
        }
        let bytes = match self.bytes.map(|text| STANDARD.decode(text)) {
            Some(Ok(bytes)) => bytes,
            Some(Err(_)) => {
                let detail = format!("the raw payload of {} is no base64; mend the integration that sends it", self.device);
                decoded.rejects.push(Placed { index: BYTES, what: Refusal { reason: RejectReason::Unreadable, detail } });
                return decoded;
            }
            None => Vec::new(),
        };
        if !bytes.is_empty() {
            let (device, port, time) = (self.device, self.port, self.time);
            decoded.payloads.push(Placed { index: BYTES, what: RawPayload { device, port, time, bytes } });
        } else if decoded.readings.is_empty() && says_something {
            let detail =
                format!("the codec of {} gave no number, and no raw bytes came along; mend the codec at the network server", self.device);
            decoded.unread.clear();
            decoded.rejects.push(refused(RejectReason::NotANumber, detail));
        }
        decoded
    }
}

/// What a channel holds: a number, or why there is none and what stands there.
type Said = Result<f64, (Fault, String)>;

/// The channels of an object, as many as one uplink may have.
#[derive(Default)]
struct Channels {
    kept: Vec<(String, Said)>,
    /// Values that were one too many.
    beyond: u32,
    /// Values, or objects of them, whose path is too long for a name.
    nameless: u32,
}

impl Channels {
    fn add(&mut self, name: &str, said: Said) {
        if self.kept.len() < MOST {
            self.kept.push((name.to_owned(), said));
        } else {
            self.beyond = self.beyond.saturating_add(1);
        }
    }
    fn left_out(&self) -> Vec<LeftOut> {
        let left = |count, reason, detail| LeftOut { index: OBJECT, reason, detail, count };
        let beyond = format!("{} values more than the {MOST} that one uplink may hold; let the codec give fewer", self.beyond);
        let nameless = format!("{} have a path of more than {LONGEST_CHANNEL} bytes; let the codec give shorter names", self.nameless);
        let all = [left(self.beyond, RejectReason::TooMany, beyond), left(self.nameless, RejectReason::WrongShape, nameless)];
        all.into_iter().filter(|left| left.count > 0).collect()
    }
}

/// Numbers, texts that are numbers, and booleans by their path; and what is none of them.
fn take(name: &str, value: &RawValue, channels: &mut Channels) {
    match Shape::of(value) {
        Some(Shape::Map) => {
            let pairs: Pairs<'_> = serde_json::from_str(value.get()).unwrap_or_default();
            pairs.kept.iter().for_each(|(key, value)| take_below(name, key, value, channels));
        }
        Some(Shape::List) => {
            let mut place = 0_usize;
            // The message was read as JSON before: each of its lists is one.
            let _ = for_each(value, |item| {
                take_below(name, &place.to_string(), item, channels);
                place += 1;
            });
        }
        Some(Shape::Bool(flag)) => channels.add(name, Ok(f64::from(u8::from(flag)))),
        _ => channels.add(name, json::number(value).map_err(|fault| (fault, found(value)))),
    }
}

fn take_below(name: &str, key: &str, value: &RawValue, channels: &mut Channels) {
    // Judged before it is put together: a long path would be copied for each number below it.
    if name.len() + key.len() >= LONGEST_CHANNEL {
        channels.nameless = channels.nameless.saturating_add(1);
    } else if name.is_empty() {
        take(key, value, channels);
    } else {
        take(&format!("{name}.{key}"), value, channels);
    }
}

/// An object, and the text that it was read from.
type WithText<'a> = (Map<String, Value>, Cow<'a, [u8]>);

/// The message as an object, and its text, from which numbers are read as they were written.
pub(super) fn object<'a>(frame: &'a Frame, example: &str) -> Result<WithText<'a>, Box<Decoded>> {
    let bytes = trimmed(&frame.bytes);
    let read = match (serde_json::from_slice(bytes), quoted_nans(bytes)) {
        (Err(cause), Some(quoted)) => match serde_json::from_slice(&quoted) {
            Ok(value) => Ok((value, Cow::Owned(quoted))),
            Err(_) => Err(cause),
        },
        (read, _) => read.map(|value| (value, Cow::Borrowed(bytes))),
    };
    match read {
        Ok((Value::Object(object), bytes)) => Ok((object, bytes)),
        Ok(_) => Err(refuse(RejectReason::WrongShape, format!("an object is wanted: {example}"))),
        Err(cause) => Err(refuse(RejectReason::Unreadable, format!("{}; an object is wanted: {example}", why(bytes, &cause)))),
    }
}

/// The text of what stands at a path of keys, as it was written.
pub(super) fn raw<'a>(bytes: &'a [u8], path: &[&str]) -> Option<&'a RawValue> {
    let mut raw: &RawValue = serde_json::from_slice(bytes).ok()?;
    for key in path {
        let pairs: Pairs<'a> = serde_json::from_str(raw.get()).ok()?;
        raw = pairs.kept.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)?;
    }
    Some(raw)
}

/// The time of an uplink by its gateway's clock, unless that is far from the network server's: then the server's, and which gateway
/// is wrong. Never our own time of receipt.
pub(super) fn judged(gateway: Option<(&str, Timestamp)>, server: Option<Timestamp>) -> (Option<Timestamp>, Option<WrongClock>) {
    match (gateway, server) {
        (Some((gateway, at)), Some(server)) if at.seconds_since(server).abs() > CLOCKS_APART_S => {
            let wrong = WrongClock { gateway: gateway.to_owned(), ahead_s: at.seconds_since(server) };
            (Some(server), Some(wrong))
        }
        (Some((_, at)), _) => (Some(at), None),
        (None, server) => (server, None),
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
