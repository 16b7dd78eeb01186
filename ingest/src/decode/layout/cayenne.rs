//! Cayenne LPP: channel, type, value, again and again. Source: the published table of data types (IPSO object ids less 3200).

use super::Value;
use model::Unit;

/// Type, name, bytes of one number, how many, signed, divisor, unit.
type Row = (u8, &'static str, usize, usize, bool, f64, Option<Unit>);

const TYPES: [Row; 20] = [
    (0, "digital_in", 1, 1, false, 1.0, None),
    (1, "digital_out", 1, 1, false, 1.0, None),
    (2, "analog_in", 2, 1, true, 100.0, None),
    (3, "analog_out", 2, 1, true, 100.0, None),
    (100, "generic", 4, 1, false, 1.0, None),
    (101, "luminosity", 2, 1, false, 1.0, None),
    (102, "presence", 1, 1, false, 1.0, None),
    (103, "temperature", 2, 1, true, 10.0, Some(Unit::Celsius)),
    (104, "relative_humidity", 1, 1, false, 2.0, Some(Unit::Percent)),
    (113, "accelerometer", 2, 3, true, 1000.0, None),
    (115, "barometric_pressure", 2, 1, false, 10.0, Some(Unit::Hectopascal)),
    (116, "voltage", 2, 1, false, 100.0, Some(Unit::Volt)),
    (117, "current", 2, 1, false, 1000.0, Some(Unit::Ampere)),
    (118, "frequency", 4, 1, false, 1.0, None),
    (120, "percentage", 1, 1, false, 1.0, Some(Unit::Percent)),
    (121, "altitude", 2, 1, true, 1.0, Some(Unit::Metre)),
    (128, "power", 2, 1, false, 1000.0, Some(Unit::Kilowatt)),
    (130, "distance", 4, 1, false, 1000.0, Some(Unit::Metre)),
    (131, "energy", 4, 1, false, 1000.0, Some(Unit::KilowattHour)),
    (134, "gyrometer", 2, 3, true, 100.0, None),
];

pub(super) fn read(mut bytes: &[u8]) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    while let [channel, kind, rest @ ..] = bytes {
        let Some((_, name, width, count, signed, divisor, unit)) = TYPES.into_iter().find(|(known, ..)| known == kind) else {
            return Err(format!("the type {kind} of channel {channel} is not known of Cayenne LPP; nothing after it can be read"));
        };
        let Some((mine, left)) = rest.split_at_checked(width * count) else {
            return Err(format!("it ends within {name} of channel {channel}"));
        };
        for (axis, one) in mine.chunks(width).enumerate() {
            let raw = one.iter().fold(0_i64, |raw, byte| raw << 8 | i64::from(*byte));
            let top = 1_i64 << (8 * width - 1);
            let raw = if signed && raw >= top { raw - 2 * top } else { raw };
            #[expect(clippy::cast_precision_loss, reason = "at most 32 bits")]
            let value = raw as f64 / divisor;
            let channel = if count == 1 { format!("{name}_{channel}") } else { format!("{name}_{channel}.{axis}") };
            values.push(Value { channel, value: Ok(value), unit, time: None });
        }
        bytes = left;
    }
    if bytes.is_empty() { Ok(values) } else { Err("a single byte is left at its end".into()) }
}
