//! Our own format: `{"time": …, "values": {"channel": number}}`, or an array of those; over HTTP each names its `device`.
//!
//! `time` is RFC 3339 with an offset, or epoch seconds or milliseconds. An optional `"units": {"channel": "cm"}` says what the
//! device speaks. Each value is judged alone; what stands twice, or under a key that we do not know, is refused, never guessed.

use super::json::Node;
use super::{Decoded, Decoder, Placed, Refusal};
use crate::frame::Frame;
use model::{Reading, RejectReason, Timestamp, Unit};

/// The most readings that one message may hold.
const MOST_READINGS: usize = 5000;

pub(super) struct Native;

impl Decoder for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn decode(&self, frame: &Frame) -> Decoded {
        let mut decoded = Decoded::default();
        match serde_json::from_slice::<Node>(&frame.bytes) {
            Ok(Node::List(items)) => {
                for (index, item) in items.into_iter().enumerate() {
                    object(frame, index, item, &mut decoded);
                }
                if decoded.readings.is_empty() && decoded.rejects.is_empty() {
                    refuse(&mut decoded, 0, RejectReason::WrongShape, "the array is empty; send at least one {\"time\": …, \"values\": {…}}".into());
                }
            }
            Ok(item) => object(frame, 0, item, &mut decoded),
            Err(cause) => {
                let shown = if frame.bytes.is_empty() { "the message is empty".to_owned() } else { format!("no JSON: {cause}") };
                refuse(&mut decoded, 0, RejectReason::Unreadable, format!("{shown}; send {{\"time\": \"2026-11-23T06:20:00Z\", \"values\": {{\"level\": 1.42}}}} in UTF-8"));
            }
        }
        decoded
    }
}

fn refuse(decoded: &mut Decoded, index: usize, reason: RejectReason, detail: String) {
    decoded.rejects.push(Placed { index, what: Refusal { reason, detail } });
}

fn object(frame: &Frame, index: usize, item: Node, decoded: &mut Decoded) {
    let Node::Map(pairs) = item else {
        let detail = format!("{} stands where an object belongs; send {{\"time\": …, \"values\": {{\"channel\": number}}}}", item.kind());
        return refuse(decoded, index, RejectReason::WrongShape, detail);
    };
    let (mut time, mut values, mut units, mut device) = (None, None, None, None);
    for (key, node) in pairs {
        let place = match key.as_str() {
            "time" => &mut time,
            "values" => &mut values,
            "units" => &mut units,
            "device" if frame.device.is_none() => &mut device,
            other => {
                let cure = store::nearest(other, ["time", "values", "units", "device"]).map_or_else(String::new, |near| format!(", did you mean \"{near}\"?"));
                let detail = format!("unknown key {other:?}{cure}; the keys are time, values, units{}", if frame.device.is_none() { " and device" } else { "" });
                return refuse(decoded, index, RejectReason::WrongShape, detail);
            }
        };
        if place.replace(node).is_some() {
            return refuse(decoded, index, RejectReason::WrongShape, format!("the key {key:?} stands twice; send each once"));
        }
    }
    let device = match (&frame.device, device) {
        (Some(device), _) => device.clone(),
        (None, Some(Node::Text(device))) => device.as_str().into(),
        (None, other) => {
            let found = other.map_or_else(|| "missing".to_owned(), |node| node.kind());
            return refuse(decoded, index, RejectReason::WrongShape, format!("\"device\" is {found}; send the device's id as a text"));
        }
    };
    let time = match instant(time) {
        Ok(time) => time,
        Err(detail) => return refuse(decoded, index, RejectReason::BadTime, detail),
    };
    let Some(Node::Map(values)) = values else {
        let found = values.map_or_else(|| "missing".to_owned(), |node| node.kind());
        return refuse(decoded, index, RejectReason::WrongShape, format!("\"values\" is {found}; send an object of channels and numbers"));
    };
    if values.is_empty() {
        return refuse(decoded, index, RejectReason::WrongShape, "\"values\" is empty; send at least one channel and its number".into());
    }
    let units = match units {
        None => Vec::new(),
        Some(Node::Map(units)) => units,
        Some(other) => return refuse(decoded, index, RejectReason::WrongShape, format!("\"units\" is {}; send an object of channels and units", other.kind())),
    };
    for (place, (channel, value)) in values.iter().enumerate() {
        if decoded.readings.len() >= MOST_READINGS {
            let detail = format!("more than {MOST_READINGS} readings in one message; send the rest in another");
            return refuse(decoded, index, RejectReason::TooMany, detail);
        }
        let what = if values.iter().skip(place + 1).chain(values.iter().take(place)).any(|(other, _)| other == channel) {
            Err(Refusal { reason: RejectReason::WrongShape, detail: format!("values.{channel} stands twice; send each channel once") })
        } else {
            number(channel, value).and_then(|value| Ok((value, unit(channel, &units)?)))
        };
        match what {
            Ok((value, unit)) => {
                let reading = Reading { owner: frame.owner.clone(), device: device.clone(), channel: channel.clone(), phenomenon_time: Some(time), value, unit };
                decoded.readings.push(Placed { index, what: reading });
            }
            Err(refusal) => decoded.rejects.push(Placed { index, what: refusal }),
        }
    }
}

fn number(channel: &str, value: &Node) -> Result<f64, Refusal> {
    match value {
        Node::Number(value) if value.is_finite() => Ok(*value),
        other => Err(Refusal {
            reason: RejectReason::NotANumber,
            detail: format!("values.{channel} is {}; send a finite number without quotes, and leave the channel out when there is none", other.kind()),
        }),
    }
}

fn unit(channel: &str, units: &[(String, Node)]) -> Result<Option<Unit>, Refusal> {
    let Some((_, node)) = units.iter().find(|(of, _)| of == channel) else { return Ok(None) };
    let known = if let Node::Text(symbol) = node { Unit::from_symbol(symbol) } else { None };
    known.map(Some).ok_or_else(|| {
        let cure = if let Node::Text(symbol) = node { store::nearest(symbol, Unit::symbols()) } else { None };
        let cure = cure.map_or_else(|| "use a UCUM symbol such as m, cm or mm".to_owned(), |near| format!("did you mean \"{near}\"?"));
        Refusal { reason: RejectReason::WrongUnit, detail: format!("units.{channel} is {}, which is no unit we know; {cure}", node.kind()) }
    })
}

fn instant(time: Option<Node>) -> Result<Timestamp, String> {
    const CURE: &str = "send RFC 3339 with an offset (\"2026-11-23T06:20:00Z\"), or epoch seconds or milliseconds";
    match time {
        Some(Node::Text(text)) => Timestamp::parse(&text).map_err(|cause| format!("\"time\": {cause}; {CURE}")),
        Some(Node::Number(number)) => Timestamp::from_epoch(number).map_err(|cause| format!("\"time\": {cause}; {CURE}")),
        Some(other) => Err(format!("\"time\" is {}; {CURE}", other.kind())),
        None => Err(format!("\"time\" is missing; {CURE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn frame(payload: &[u8], device: Option<&str>) -> Frame {
        Frame {
            source: "mqtt",
            format: "native",
            route: "pescaia/v1/demo/prova".into(),
            owner: "demo".into(),
            device: device.map(Into::into),
            channel: None,
            received_at: Timestamp::from_seconds(1_767_225_600),
            bytes: Bytes::copy_from_slice(payload),
        }
    }

    /// `channel=value@time` of each reading, `index:code` of each refusal.
    fn check(payload: &str, expected: &[&str]) {
        let decoded = Native.decode(&frame(payload.as_bytes(), Some("prova")));
        let readings = decoded.readings.iter().map(|placed| {
            let time = placed.what.phenomenon_time.expect("native readings have a time");
            format!("{}={}@{time}", placed.what.channel, placed.what.value)
        });
        let rejects = decoded.rejects.iter().map(|placed| format!("{}:{}", placed.index, placed.what.reason.code()));
        assert_eq!(readings.chain(rejects).collect::<Vec<_>>(), expected, "{payload}");
    }

    #[test]
    fn good_messages_are_read() {
        check(r#"{"time":"2026-11-23T06:20:00Z","values":{"level":1.42}}"#, &["level=1.42@2026-11-23T06:20:00Z"]);
        check(r#"{"time":"2026-11-23T07:20:00+01:00","values":{"level":1.42,"battery":12}}"#, &["level=1.42@2026-11-23T06:20:00Z", "battery=12@2026-11-23T06:20:00Z"]);
        check(r#"{"time":1795414800,"values":{"level":-0.5}}"#, &["level=-0.5@2026-11-23T06:20:00Z"]);
        check(r#"[{"time":1795414800000,"values":{"level":1}},{"time":1795414801,"values":{"level":2}}]"#, &["level=1@2026-11-23T06:20:00Z", "level=2@2026-11-23T06:20:01Z"]);
    }

    #[test]
    fn each_bad_part_is_refused_alone_and_the_good_ones_stay() {
        check(r#"{"time":1795414800,"values":{"level":"high","battery":12}}"#, &["battery=12@2026-11-23T06:20:00Z", "0:not-a-number"]);
        check(r#"{"time":1795414800,"values":{"level":null,"a":true,"b":[1]}}"#, &["0:not-a-number", "0:not-a-number", "0:not-a-number"]);
        check(r#"[{"time":"yesterday","values":{"level":1}},{"time":1795414800,"values":{"level":2}}]"#, &["level=2@2026-11-23T06:20:00Z", "0:bad-time"]);
        check(r#"{"time":1795414800,"values":{"level":1,"level":2}}"#, &["0:wrong-shape", "0:wrong-shape"]);
        check(r#"{"time":1795414800,"time":5,"values":{"level":1}}"#, &["0:wrong-shape"]);
        check(r#"{"time":1795414800,"valeus":{"level":1}}"#, &["0:wrong-shape"]);
        check(r#"{"values":{"level":1}}"#, &["0:bad-time"]);
        check(r#"{"time":"2026-11-23T06:20:00","values":{"level":1}}"#, &["0:bad-time"]);
        check(r#"{"time":1795414800,"values":{"level":1},"units":{"level":"mt"}}"#, &["0:wrong-unit"]);
    }

    #[test]
    fn poison_is_refused_whole_and_never_panics() {
        for payload in [&b""[..], b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"{\"time\":1,\"values\":{\"level\":1e999}}", b"nan", b"{", "[".repeat(10_000).as_bytes()] {
            let decoded = Native.decode(&frame(payload, Some("prova")));
            assert!(decoded.readings.is_empty());
            assert_eq!(decoded.rejects.first().map(|reject| reject.what.reason), Some(RejectReason::Unreadable), "{payload:?}");
        }
        check("[]", &["0:wrong-shape"]);
        check("7", &["0:wrong-shape"]);
        check("{}", &["0:bad-time"]);
    }

    #[test]
    fn over_http_each_object_names_its_device() {
        let good = Native.decode(&frame(br#"{"device":"prova","time":1795414800,"values":{"level":1}}"#, None));
        assert_eq!(good.readings.first().map(|reading| reading.what.device.as_str()), Some("prova"));
        let bad = Native.decode(&frame(br#"{"time":1795414800,"values":{"level":1}}"#, None));
        assert_eq!(bad.rejects.first().map(|reject| reject.what.reason), Some(RejectReason::WrongShape));
    }

    #[test]
    fn what_is_too_much_is_said_and_the_rest_is_kept() {
        let values: Vec<String> = (0..MOST_READINGS + 3).map(|n| format!(r#"{{"time":{},"values":{{"level":1}}}}"#, 1_795_414_800 + n)).collect();
        let decoded = Native.decode(&frame(format!("[{}]", values.join(",")).as_bytes(), Some("prova")));
        assert_eq!((decoded.readings.len(), decoded.rejects.len()), (MOST_READINGS, 3));
    }
}
