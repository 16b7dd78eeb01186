//! A bare number; device and channel stand in the topic, the time is that of arrival.

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
        let text = std::str::from_utf8(&frame.bytes).map(str::trim).unwrap_or_default();
        // Rust also reads "inf", "nan" and "infinity": none of them is a measurement.
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
        match (value, &frame.device, &frame.channel) {
            (Some(value), Some(device), Some(channel)) => {
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
            _ => {
                let found = String::from_utf8_lossy(&frame.bytes);
                let detail =
                    format!("{} is no number; send a decimal number such as 1.42, or JSON to the topic without the channel", shown(&found));
                decoded.rejects.push(Placed { index: 0, what: Refusal { reason: RejectReason::NotANumber, detail } });
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
        for bad in [&b""[..], b"NaN", b"inf", b"1,42", b"high", b"1.42 m", b"1e999", b"\xff"] {
            check(bad, None);
        }
    }
}
