//! One answer of a Modbus device: the words it sent, beside what its profile says they are.

use super::{Decoded, Decoder, Placed, Refusal};
use crate::frame::Frame;
use model::{ByteOrder, NumberType, Reading, Register, RejectReason, Timestamp, Unit};
use serde::{Deserialize, Serialize};

/// What the poller hands to the pipeline, as JSON, so that what can't be bound is kept with the words as they came.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub time_us: i64,
    pub numbers: Vec<Number>,
}

/// One register of the profile with its words (bits are 0 or 1) and what they mean.
#[derive(Debug, Serialize, Deserialize)]
pub struct Number {
    pub channel: String,
    pub words: Vec<u16>,
    pub value: f64,
    pub unit: String,
}

pub struct Registers;

impl Decoder for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }

    fn decode(&self, frame: &Frame) -> Decoded {
        let mut decoded = Decoded::default();
        let refuse = |detail: String| Placed { index: 0, what: Refusal { reason: RejectReason::Unreadable, detail } };
        let (Ok(answer), Some(device)) = (serde_json::from_slice::<Answer>(&frame.bytes), &frame.device) else {
            decoded.rejects.push(refuse("not an answer of our own poller".into()));
            return decoded;
        };
        for number in answer.numbers {
            let reading = Reading {
                owner: frame.owner.clone(),
                device: device.clone(),
                channel: number.channel,
                phenomenon_time: Some(Timestamp::from_micros(answer.time_us)),
                value: number.value,
                unit: Unit::from_symbol(&number.unit),
            };
            decoded.readings.push(Placed { index: 0, what: reading });
        }
        decoded
    }
}

/// The number that `words` hold, scaled; `None` for a sentinel, NaN or infinity.
///
/// A 32-bit float is read through its shortest decimal text, so that a device's 2.608 is 2.608 and not 2.6080000400543213;
/// a scale below one divides by its inverse, so that 2608 × 0.001 is 2.608.
#[must_use]
pub fn value(words: &[u16], register: &Register) -> Option<f64> {
    let bytes = ordered(words, register.order)?;
    let raw = match (register.number, bytes) {
        (NumberType::Bit, [.., low]) => i64::from(low != 0),
        (NumberType::Int16, [_, _, high, low]) => i64::from(i16::from_be_bytes([high, low])),
        (NumberType::Uint16, [_, _, high, low]) => i64::from(u16::from_be_bytes([high, low])),
        (NumberType::Int32, bytes) => i64::from(i32::from_be_bytes(bytes)),
        (NumberType::Uint32, bytes) => i64::from(u32::from_be_bytes(bytes)),
        (NumberType::Float32, bytes) => {
            let float = f32::from_be_bytes(bytes);
            return scaled(float.to_string().parse().ok()?, register);
        }
    };
    if register.sentinels.contains(&raw) {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most 32 bits")]
    scaled(raw as f64, register)
}

/// Four bytes, most significant first; a single register stands in the last two.
fn ordered(words: &[u16], order: ByteOrder) -> Option<[u8; 4]> {
    let [a, b, c, d] = match words {
        [word] => {
            let [high, low] = word.to_be_bytes();
            return Some(match order {
                ByteOrder::Abcd | ByteOrder::Cdab => [0, 0, high, low],
                ByteOrder::Badc | ByteOrder::Dcba => [0, 0, low, high],
            });
        }
        [first, second] => {
            let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
            [a, b, c, d]
        }
        _ => return None,
    };
    Some(match order {
        ByteOrder::Abcd => [a, b, c, d],
        ByteOrder::Cdab => [c, d, a, b],
        ByteOrder::Badc => [b, a, d, c],
        ByteOrder::Dcba => [d, c, b, a],
    })
}

fn scaled(raw: f64, register: &Register) -> Option<f64> {
    let inverse = (1.0 / register.scale).round();
    let is_fraction = register.scale.abs() < 1.0 && (1.0 / inverse - register.scale).abs() < f64::EPSILON * register.scale.abs();
    let value = if is_fraction { raw / inverse } else { raw * register.scale } + register.offset;
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::RegisterSpace;

    fn check(words: &[u16], number: NumberType, order: ByteOrder, scale: f64, expected: Option<f64>) {
        let register = Register {
            channel: "x".into(),
            space: RegisterSpace::Input,
            address: 0,
            number,
            order,
            scale,
            offset: 0.0,
            unit: Unit::Metre,
            sentinels: vec![0x7fff, -32768],
        };
        assert_eq!(value(words, &register), expected, "{words:04X?} {number:?} {order:?}");
    }

    /// Vectors of domain.md 3.3.
    #[test]
    fn the_same_number_is_read_in_every_order() {
        use {ByteOrder as O, NumberType as N};
        check(&[0x4026, 0xE979], N::Float32, O::Abcd, 1.0, Some(2.608));
        check(&[0xE979, 0x4026], N::Float32, O::Cdab, 1.0, Some(2.608));
        check(&[0x2640, 0x79E9], N::Float32, O::Badc, 1.0, Some(2.608));
        check(&[0x79E9, 0x2640], N::Float32, O::Dcba, 1.0, Some(2.608));
        check(&[0xBE82, 0x8F5C], N::Float32, O::Abcd, 1.0, Some(-0.255));
        check(&[0x47F1, 0x2065], N::Float32, O::Abcd, 1.0, Some(123_456.79));
        check(&[2608], N::Int16, O::Abcd, 0.001, Some(2.608));
        check(&[0xFF9C], N::Int16, O::Abcd, 0.001, Some(-0.1));
        check(&[0x300A], N::Uint16, O::Dcba, 0.001, Some(2.608));
        check(&[0x0001, 0x0000], N::Uint32, O::Abcd, 1.0, Some(65_536.0));
        check(&[0x0000, 0x0001], N::Uint32, O::Cdab, 1.0, Some(65_536.0));
        check(&[0xFFFF, 0xFFFE], N::Int32, O::Abcd, 0.1, Some(-0.2));
        check(&[1], N::Bit, O::Abcd, 1.0, Some(1.0));
    }

    #[test]
    fn sentinels_and_nan_are_no_numbers() {
        check(&[0x7FFF], NumberType::Int16, ByteOrder::Abcd, 0.001, None);
        check(&[0x8000], NumberType::Int16, ByteOrder::Abcd, 0.001, None);
        check(&[0x7FC0, 0], NumberType::Float32, ByteOrder::Abcd, 1.0, None);
        check(&[0x7F80, 0], NumberType::Float32, ByteOrder::Abcd, 1.0, None);
        check(&[1, 2, 3], NumberType::Float32, ByteOrder::Abcd, 1.0, None);
    }
}
