//! A bare number; device and channel stand in the topic, the time is that of arrival.

use super::number::{self, Fault};
use super::text::trimmed;
use super::{Decoded, Decoder, Placed, Refusal};
use crate::frame::Frame;
use crate::shown::shown;
use model::{Reading, RejectReason};

pub(super) struct Bare;

impl Decoder for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }

    fn decode(&self, frame: &Frame) -> Decoded {
        let mut decoded = Decoded::default();
        let text = std::str::from_utf8(trimmed(&frame.bytes)).unwrap_or_default();
        let plain = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        match (number::read(plain), &frame.device, &frame.channel) {
            (Ok(value), Some(device), Some(channel)) => {
                let reading = Reading {
                    owner: frame.owner.clone(),
                    device: device.clone(),
                    channel: channel.as_str().into(),
                    phenomenon_time: None,
                    value,
                    unit: None,
                    flag: None,
                };
                decoded.readings.push(Placed { index: 0, what: reading });
            }
            (Err(Fault::NoNumber), ..) | (Ok(_), ..) => {
                let found = String::from_utf8_lossy(&frame.bytes);
                let detail =
                    format!("{} is no number; send a decimal number such as 1.42, or JSON to the topic without the channel", shown(&found));
                decoded.rejects.push(Placed { index: 0, what: Refusal { reason: RejectReason::NotANumber, detail } });
            }
            (Err(fault), ..) => {
                let refusal = fault.refusal(frame.channel.as_deref().unwrap_or("the message"), &shown(text).to_string());
                decoded.rejects.push(Placed { index: 0, what: refusal });
            }
        }
        decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: &[u8], expected: Option<f64>) {
        let frame = Frame {
            source: "mqtt",
            format: "bare",
            route: "pescaia/v1/demo/prova/level".into(),
            owner: "demo".into(),
            device: Some("prova".into()),
            channel: Some("level".into()),
            received_at: model::Timestamp::from_seconds(0),
            bytes: bytes::Bytes::copy_from_slice(payload),
        };
        let decoded = Bare.decode(&frame);
        assert_eq!(decoded.readings.first().map(|reading| reading.what.value), expected, "{payload:?}");
        assert_eq!(decoded.rejects.len(), usize::from(expected.is_none()));
    }

    #[test]
    fn a_decimal_number_is_read_and_nothing_else() {
        check(b"1.42", Some(1.42));
        check(b" -3e-2\n", Some(-0.03));
        check(b"1.42\0", Some(1.42));
        check(b"\xef\xbb\xbf\"21.50\"\r\n\0\0", Some(21.5));
        for bad in [&b""[..], b"NaN", b"inf", b"1,42", b"high", b"1.42 m", b"1e999", b"9007199254740993", b"\xff"] {
            check(bad, None);
        }
    }
}
