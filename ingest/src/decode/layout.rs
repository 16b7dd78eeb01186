//! Raw bytes by a layout that the network file gives, or as Cayenne LPP.

mod cayenne;

use super::number::Fault;
use super::{Decoded, LeftOut, Matters, Placed, RawPayload, Refusal, Unread};
use crate::decimal::scale;
use model::{
    ChannelName, Decimal, Endian, Field, FieldKind, Layout, Meaning, OwnerId, Reading, RejectReason, Repeat, Timestamp, Unit, exact,
};

/// The most readings of one payload.
const MOST: usize = 2000;

/// What the bytes of a payload say. `received_at` stands in where nobody says when it was heard.
pub(crate) fn read(placed: Placed<&RawPayload>, layout: &Layout, owner: &OwnerId, received_at: Timestamp) -> Decoded {
    let Placed { index, what: payload } = placed;
    let heard = payload.time.unwrap_or(received_at);
    let said = if layout.is_cayenne { cayenne::read(&payload.bytes) } else { fields(payload, layout, heard) };
    let mut decoded = Decoded::default();
    match said {
        Ok(values) => {
            let beyond = u32::try_from(values.len().saturating_sub(MOST)).unwrap_or(u32::MAX);
            if beyond > 0 {
                let detail = format!(
                    "{beyond} numbers more than the {MOST} that one payload may hold; let {} send shorter ones, or mend the layout \"{}\"",
                    payload.device, layout.name
                );
                decoded.left_out.push(LeftOut { index, reason: RejectReason::TooMany, detail, count: beyond });
            }
            for Value { channel, value, unit, time } in values.into_iter().take(MOST) {
                let (device, channel, time) = (payload.device.clone(), channel.into(), Some(time.unwrap_or(heard)));
                match exact_or(value, &channel) {
                    Ok(value) => {
                        let owner = owner.clone();
                        let reading = Reading { owner, device, channel, phenomenon_time: time, value, unit, flag: None };
                        decoded.readings.push(Placed { index, what: reading });
                    }
                    Err(refusal) => {
                        let unread = Unread { device, channel, time, refusal, matters: Matters::Always };
                        decoded.unread.push(Placed { index, what: unread });
                    }
                }
            }
        }
        Err(detail) => {
            let hex: String = payload.bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect();
            let detail = format!("the payload {hex} of {}: {detail}; mend the layout \"{}\" and replay", payload.device, layout.name);
            decoded.rejects.push(Placed { index, what: Refusal { reason: RejectReason::WrongShape, detail } });
        }
    }
    decoded
}

fn exact_or(value: Result<f64, i128>, channel: &ChannelName) -> Result<f64, Refusal> {
    value.map_err(|whole| Fault::NotExact.refusal(&format!("channel {channel}"), &format!("the number {whole}")))
}

/// One number of a payload.
pub(super) struct Value {
    pub(super) channel: String,
    /// Or the raw whole number that no double is.
    pub(super) value: Result<f64, i128>,
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
            let number = value.unwrap_or(f64::INFINITY);
            match &field.meaning {
                Meaning::UnixTime => measured = seconds(number).ok_or_else(|| format!("the time {number} can't be"))?,
                Meaning::Age => measured = heard.plus_micros(-micros(number).ok_or_else(|| format!("the age {number} can't be"))?),
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
fn number(field: &Field, bytes: &[u8], further: usize) -> Result<Option<Result<f64, i128>>, String> {
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
            let shortest = || Decimal::of_single(value).and_then(|value| value.scaled(field.scale, field.add));
            return Ok(shortest().or_else(|| scale(f64::from(value), field.scale, field.add)).map(Ok));
        }
        FieldKind::Float64 => {
            let value = f64::from_bits(unsigned);
            return Ok(scale(value, field.scale, field.add).map(Ok));
        }
        FieldKind::Bcd(_) => match bcd(unsigned, width) {
            Some(raw) => i128::from(raw),
            None => return Ok(None),
        },
        FieldKind::Signed(_) if field.bits.is_none() => {
            let shift = 64 - 8 * u32::try_from(width).unwrap_or(8);
            i128::from((unsigned << shift).cast_signed() >> shift)
        }
        FieldKind::Unsigned(_) | FieldKind::Signed(_) => i128::from(unsigned),
    };
    let raw = match field.bits {
        Some((lowest, count)) => raw >> lowest.min(63) & i128::from(u64::MAX >> (64 - u32::from(count.clamp(1, 64)))),
        None => raw,
    };
    let means_nothing = |sentinel: &i64| i128::from(*sentinel) == raw || *sentinel == unsigned.cast_signed();
    if field.sentinels.iter().any(means_nothing) {
        return Ok(None);
    }
    if exact(raw).is_none() {
        return Ok(Some(Err(raw)));
    }
    Ok(Decimal::whole(raw).scaled(field.scale, field.add).map(Ok))
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
