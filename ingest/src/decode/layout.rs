//! Raw bytes by a layout that the network file gives, or as Cayenne LPP.

mod cayenne;

use super::registers::linear;
use super::{Decoded, LeftOut, Placed, RawPayload, Refusal};
use model::{Endian, Field, FieldKind, Layout, Meaning, OwnerId, Reading, RejectReason, Repeat, Timestamp, Unit};

/// The most readings of one payload.
const MOST: usize = 2000;

/// What the bytes of a payload say. `received_at` stands in where nobody says when it was heard.
pub(crate) fn read(payload: &RawPayload, layout: &Layout, owner: &OwnerId, received_at: Timestamp) -> Decoded {
    let heard = payload.time.unwrap_or(received_at);
    let said = if layout.is_cayenne { cayenne::read(&payload.bytes) } else { fields(payload, layout, heard) };
    let reading = |one: Value| Placed {
        index: 0,
        what: Reading {
            owner: owner.clone(),
            device: payload.device.clone(),
            channel: one.channel.into(),
            phenomenon_time: Some(one.time.unwrap_or(heard)),
            value: one.value,
            unit: one.unit,
            flag: None,
        },
    };
    match said {
        Ok(values) => {
            let beyond = u32::try_from(values.len().saturating_sub(MOST)).unwrap_or(u32::MAX);
            let detail = format!(
                "{beyond} numbers more than the {MOST} that one payload may hold; let {} send shorter ones, or mend the layout \"{}\"",
                payload.device, layout.name
            );
            let left_out = LeftOut { index: 0, reason: RejectReason::TooMany, detail, count: beyond };
            let left_out = if beyond > 0 { vec![left_out] } else { Vec::new() };
            Decoded { readings: values.into_iter().take(MOST).map(reading).collect(), left_out, ..Decoded::default() }
        }
        Err(detail) => {
            let hex: String = payload.bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
            let detail = format!("the payload {hex} of {}: {detail}; mend the layout \"{}\" and replay", payload.device, layout.name);
            Decoded { rejects: vec![Placed { index: 0, what: Refusal { reason: RejectReason::WrongShape, detail } }], ..Decoded::default() }
        }
    }
}

/// One number of a payload.
pub(super) struct Value {
    pub(super) channel: String,
    pub(super) value: f64,
    pub(super) unit: Option<Unit>,
    /// When it was measured, where the payload says so.
    pub(super) time: Option<Timestamp>,
}

fn fields(payload: &RawPayload, layout: &Layout, heard: Timestamp) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    let mut measured = heard;
    let of_port: Vec<&Field> = layout.fields.iter().filter(|field| field.port.is_none() || field.port == payload.port).collect();
    if of_port.is_empty() {
        let port = payload.port.map_or_else(|| "without a port".to_owned(), |port| format!("on port {port}"));
        return Err(format!("nothing is laid out for payloads {port}"));
    }
    for field in of_port {
        let (count, stride, step_s) = match field.repeat {
            None => (1, 0, 0.0),
            Some(Repeat { count, stride, step_s }) => {
                let start = start(field, payload.bytes.len()).unwrap_or(payload.bytes.len());
                let room = payload.bytes.len().saturating_sub(start) / usize::from(stride.max(1));
                (count.map_or(room, usize::from).min(MOST), usize::from(stride), step_s)
            }
        };
        for place in 0..count {
            let Some(value) = number(field, &payload.bytes, place * stride)? else { continue };
            match &field.meaning {
                Meaning::UnixTime => measured = seconds(value).ok_or_else(|| format!("the time {value} can't be"))?,
                Meaning::Age => measured = heard.plus_micros(-micros(value).ok_or_else(|| format!("the age {value} can't be"))?),
                Meaning::Channel { channel, unit } => {
                    #[expect(clippy::cast_precision_loss, reason = "a few thousand at most")]
                    let later = micros(step_s * place as f64).unwrap_or(0);
                    values.push(Value { channel: channel.clone(), value, unit: *unit, time: Some(measured.plus_micros(later)) });
                }
            }
        }
    }
    Ok(values)
}

fn seconds(value: f64) -> Option<Timestamp> {
    micros(value).map(Timestamp::from_micros)
}

fn micros(seconds: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    (seconds.abs() < 1e11).then_some((seconds * 1e6).round() as i64)
}

/// Where a field begins, if the payload reaches so far.
fn start(field: &Field, length: usize) -> Option<usize> {
    let back = usize::try_from(field.offset.unsigned_abs()).ok()?;
    if field.offset < 0 { length.checked_sub(back) } else { Some(back) }
}

/// `None` for a value that means "no value".
fn number(field: &Field, bytes: &[u8], further: usize) -> Result<Option<f64>, String> {
    let width = field.kind.width();
    let start = start(field, bytes.len()).map(|start| start + further);
    let Some(found) = start.and_then(|start| bytes.get(start..start.checked_add(width)?)) else {
        let what = match &field.meaning {
            Meaning::Channel { channel, .. } => channel.as_str(),
            Meaning::UnixTime | Meaning::Age => "the time",
        };
        return Err(format!(
            "{} bytes are too few for {what}, {width} bytes from {}",
            bytes.len(),
            i64::from(field.offset) + i64::try_from(further).unwrap_or(0)
        ));
    };
    let mut big = [0_u8; 8];
    let from = 8 - width;
    for (place, byte) in found.iter().enumerate() {
        let place = if field.order == Endian::Big { from + place } else { 7 - place };
        if let Some(slot) = big.get_mut(place) {
            *slot = *byte;
        }
    }
    let unsigned = u64::from_be_bytes(big);
    let raw = match field.kind {
        FieldKind::Float32 => {
            #[expect(clippy::cast_possible_truncation, reason = "four bytes were read")]
            let value = f32::from_bits(unsigned as u32);
            return Ok(value.is_finite().then(|| f64::from(value) * field.scale + field.add));
        }
        FieldKind::Float64 => {
            let value = f64::from_bits(unsigned);
            return Ok(value.is_finite().then_some(value * field.scale + field.add));
        }
        FieldKind::Bcd(_) => match bcd(unsigned, width) {
            Some(raw) => raw,
            None => return Ok(None),
        },
        FieldKind::Signed(_) if field.bits.is_none() => {
            let shift = 64 - 8 * u32::try_from(width).unwrap_or(8);
            (unsigned << shift).cast_signed() >> shift
        }
        FieldKind::Unsigned(_) | FieldKind::Signed(_) => unsigned.cast_signed(),
    };
    let raw = match field.bits {
        Some((lowest, count)) => (raw.cast_unsigned() >> lowest.min(63) & (u64::MAX >> (64 - u32::from(count.clamp(1, 64))))).cast_signed(),
        None => raw,
    };
    if field.sentinels.contains(&raw) || field.sentinels.contains(&unsigned.cast_signed()) {
        return Ok(None);
    }
    Ok(linear(raw, field.scale, field.add))
}

fn bcd(raw: u64, width: usize) -> Option<i64> {
    let mut value = 0_i64;
    for place in (0..width * 2).rev() {
        let digit = raw >> (4 * place) & 0xF;
        if digit > 9 {
            return None;
        }
        value = value * 10 + digit.cast_signed();
    }
    Some(value)
}

#[cfg(test)]
mod tests;
