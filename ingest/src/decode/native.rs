//! Our own format: `{"time": …, "values": {"channel": number}}`, or an array of those; over HTTP each names its `device`.
//!
//! `time` is RFC 3339 with an offset, or epoch seconds or milliseconds. Optional `"unit": "cm"` says what the device speaks, and
//! `"units": {"channel": "cm"}` where its channels differ. Each value is judged alone; what stands twice, or under a key that we
//! do not know, is refused, never guessed.

use super::json::{self, Pairs, Shape, for_each, found, quoted_nans, why};
use super::text::trimmed;
use super::{Decoded, Decoder, LeftOut, Matters, Placed, Refusal, Unread};
use crate::frame::Frame;
use crate::shown::{nearest, shown};
use model::{DeviceId, Reading, RejectReason, Timestamp, Unit};
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};

/// The most readings, taken or refused, that one message may hold.
const MOST_READINGS: usize = 5000;

pub(super) struct Native;

impl Decoder for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn decode(&self, frame: &Frame) -> Decoded {
        let bytes = trimmed(&frame.bytes);
        let mut read = message(frame, bytes);
        if read.is_err()
            && let Some(quoted) = quoted_nans(bytes)
        {
            read = message(frame, &quoted).or(read);
        }
        read.unwrap_or_else(|cause| {
            let detail =
                format!("{}; send {{\"time\": \"2026-11-23T06:20:00Z\", \"values\": {{\"level\": 1.42}}}} in UTF-8", why(bytes, &cause));
            let rejects = vec![Placed { index: 0, what: Refusal { reason: RejectReason::Unreadable, detail } }];
            Decoded { rejects, ..Decoded::default() }
        })
    }
}

fn message(frame: &Frame, bytes: &[u8]) -> serde_json::Result<Decoded> {
    let mut decoded = Decoded::default();
    let message: &RawValue = serde_json::from_slice(bytes)?;
    match Shape::of(message) {
        Some(Shape::List) => list(frame, message, &mut decoded)?,
        _ => object(frame, 0, message, &mut decoded),
    }
    Ok(decoded)
}

fn is_full(decoded: &Decoded) -> bool {
    decoded.readings.len() + decoded.rejects.len() + decoded.unread.len() >= MOST_READINGS
}

fn list(frame: &Frame, message: &RawValue, decoded: &mut Decoded) -> serde_json::Result<()> {
    let (mut count, mut left_out) = (0, 0_u32);
    for_each(message, |item| {
        if is_full(decoded) {
            left_out = left_out.saturating_add(1);
        } else {
            object(frame, count, item, decoded);
            count += 1;
        }
    })?;
    let refuse = |reason, detail| Placed { index: count, what: Refusal { reason, detail } };
    if left_out > 0 {
        let detail = format!(
            "more than {MOST_READINGS} readings in one message; the {left_out} objects from here on were not taken; send them in another"
        );
        decoded.left_out.push(LeftOut { index: count, reason: RejectReason::TooMany, detail, count: left_out });
    } else if count == 0 {
        decoded
            .rejects
            .push(refuse(RejectReason::WrongShape, "the array is empty; send at least one {\"time\": …, \"values\": {…}}".into()));
    }
    Ok(())
}

/// One object whose frame is in order; its values are still to be judged.
struct Message<'a> {
    device: DeviceId,
    time: Timestamp,
    values: Pairs<'a>,
    unit: Option<&'a RawValue>,
    units: HashMap<String, &'a RawValue>,
}

fn object(frame: &Frame, index: usize, item: &RawValue, decoded: &mut Decoded) {
    let message = match Message::read(frame, item) {
        Ok(message) => message,
        Err(refusal) => return decoded.rejects.push(Placed { index, what: refusal }),
    };
    let doubled = doubled(&message.values);
    for (place, (channel, value)) in message.values.kept.iter().enumerate() {
        if is_full(decoded) {
            let detail = format!(
                "more than {MOST_READINGS} readings in one message; {} of this object were not taken; send them in another",
                message.values.count - place
            );
            let count = u32::try_from(message.values.count - place).unwrap_or(u32::MAX);
            return decoded.left_out.push(LeftOut { index, reason: RejectReason::TooMany, detail, count });
        }
        let said = if doubled.contains(channel.as_str()) {
            Err(Refusal {
                reason: RejectReason::WrongShape,
                detail: format!("{} stands twice; send each channel once", path("values", channel)),
            })
        } else {
            number(channel, value).and_then(|value| Ok((value, message.unit(channel)?)))
        };
        match said {
            Ok((value, unit)) => {
                let (owner, device, phenomenon_time) = (frame.owner.clone(), message.device.clone(), Some(message.time));
                let reading = Reading { owner, device, channel: channel.as_str().into(), phenomenon_time, value, unit, flag: None };
                decoded.readings.push(Placed { index, what: reading });
            }
            Err(refusal) => {
                let (device, channel, time) = (message.device.clone(), channel.as_str().into(), Some(message.time));
                decoded.unread.push(Placed { index, what: Unread { device, channel, time, refusal, matters: Matters::Always } });
            }
        }
    }
}

impl<'a> Message<'a> {
    fn read(frame: &Frame, item: &'a RawValue) -> Result<Self, Refusal> {
        let wrong = |detail: String| Refusal { reason: RejectReason::WrongShape, detail };
        if !matches!(Shape::of(item), Some(Shape::Map)) {
            return Err(wrong(format!(
                "{} stands where an object belongs; send {{\"time\": …, \"values\": {{\"channel\": number}}}}",
                found(item)
            )));
        }
        let pairs = pairs(item)?;
        let [mut time, mut values, mut unit, mut units, mut device] = [None; 5];
        for (key, value) in pairs.kept {
            let place = match key.as_str() {
                "time" => &mut time,
                "values" => &mut values,
                "unit" => &mut unit,
                "units" => &mut units,
                "device" => &mut device,
                other => {
                    let cure = nearest(other, ["time", "values", "units", "device"])
                        .map_or_else(String::new, |near| format!(", did you mean \"{near}\"?"));
                    return Err(wrong(format!("unknown key {}{cure}; the keys are time, values, unit, units and device", shown(other))));
                }
            };
            if place.replace(value).is_some() {
                return Err(wrong(format!("the key \"{key}\" stands twice; send each once")));
            }
        }
        let device = sender(frame, device).map_err(wrong)?;
        let time = instant(time).map_err(|detail| Refusal { reason: RejectReason::BadTime, detail })?;
        let values = map("values", values)?;
        if values.count == 0 {
            return Err(wrong("\"values\" is empty; send at least one channel and its number".into()));
        }
        let mut by_channel = HashMap::new();
        if units.is_some() {
            for (channel, symbol) in map("units", units)?.kept {
                if by_channel.contains_key(&channel) {
                    return Err(wrong(format!("{} stands twice; send each channel once", path("units", &channel))));
                }
                by_channel.insert(channel, symbol);
            }
        }
        Ok(Self { device, time, values, unit, units: by_channel })
    }

    fn unit(&self, channel: &str) -> Result<Option<Unit>, Refusal> {
        let (place, raw) = match (self.units.get(channel), self.unit) {
            (Some(raw), _) => (path("units", channel), *raw),
            (None, Some(raw)) => ("\"unit\"".to_owned(), raw),
            (None, None) => return Ok(None),
        };
        let symbol = if let Some(Shape::Text(symbol)) = Shape::of(raw) { symbol } else { String::new() };
        Unit::from_symbol(&symbol).map(Some).ok_or_else(|| {
            let cure = nearest(&symbol, Unit::symbols())
                .map_or_else(|| "use a UCUM symbol such as m, cm or mm".to_owned(), |near| format!("did you mean \"{near}\"?"));
            Refusal { reason: RejectReason::WrongUnit, detail: format!("{place} is {}, which is no unit we know; {cure}", found(raw)) }
        })
    }
}

/// The device that a message is of: the route's, or where the route names none, the payload's.
fn sender(frame: &Frame, device: Option<&RawValue>) -> Result<DeviceId, String> {
    match (&frame.device, device, device.and_then(Shape::of)) {
        (Some(known), None, _) => Ok(known.clone()),
        (Some(known), _, Some(Shape::Text(said))) if said == known.as_str() => Ok(known.clone()),
        (Some(known), Some(raw), _) => Err(format!("\"device\" is {}, and the topic is that of {known}; leave it out", found(raw))),
        (None, _, Some(Shape::Text(said))) => Ok(said.into()),
        (None, raw, _) => Err(format!("\"device\" is {}; send the device's id as a text", raw.map_or_else(|| "missing".to_owned(), found))),
    }
}

fn pairs(raw: &RawValue) -> Result<Pairs<'_>, Refusal> {
    serde_json::from_str(raw.get()).map_err(|cause| Refusal { reason: RejectReason::Unreadable, detail: why(raw.get().as_bytes(), &cause) })
}

fn map<'a>(key: &str, raw: Option<&'a RawValue>) -> Result<Pairs<'a>, Refusal> {
    match raw {
        Some(raw) if matches!(Shape::of(raw), Some(Shape::Map)) => pairs(raw),
        other => {
            let found = other.map_or_else(|| "missing".to_owned(), found);
            let of = if key == "units" { "units" } else { "numbers" };
            Err(Refusal { reason: RejectReason::WrongShape, detail: format!("\"{key}\" is {found}; send an object of channels and {of}") })
        }
    }
}

fn doubled<'a>(values: &'a Pairs<'_>) -> HashSet<&'a str> {
    let mut seen = HashSet::with_capacity(values.kept.len());
    values.kept.iter().map(|(channel, _)| channel.as_str()).filter(|channel| !seen.insert(*channel)).collect()
}

fn number(channel: &str, raw: &RawValue) -> Result<f64, Refusal> {
    json::number(raw).map_err(|fault| fault.refusal(&path("values", channel), &found(raw)))
}

fn instant(raw: Option<&RawValue>) -> Result<Timestamp, String> {
    const CURE: &str = "send RFC 3339 with an offset (\"2026-11-23T06:20:00Z\"), or epoch seconds or milliseconds";
    let Some(raw) = raw else { return Err(format!("\"time\" is missing; {CURE}")) };
    let time = match Shape::of(raw) {
        Some(Shape::Text(text)) => Timestamp::parse(&text).ok(),
        Some(Shape::Number(text)) => text.parse().ok().and_then(|number| Timestamp::from_epoch(number).ok()),
        _ => None,
    };
    time.ok_or_else(|| format!("\"time\" is {}; {CURE}", found(raw)))
}

/// Where a value stands: `values.level`, quoted where the name is no plain word.
fn path(key: &str, channel: &str) -> String {
    let plain =
        !channel.is_empty() && channel.len() <= 40 && channel.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if plain { format!("{key}.{channel}") } else { format!("{key}.{}", shown(channel)) }
}

#[cfg(test)]
mod tests;
