//! Small parts of the two formats: varints, decimals, runs.

use crate::Error;

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time are kept")]
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    if value < 0x80 {
        out.push(value as u8);
        return;
    }
    let mut bytes = [0_u8; 10];
    let mut length = 1;
    for byte in &mut bytes {
        *byte = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
        length += 1;
    }
    out.extend_from_slice(bytes.get(..length).unwrap_or(&bytes));
}

pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads what [`put_varint`] and its kin wrote; every short read is damage, never a panic.
pub(crate) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }
    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.left.split_first().ok_or_else(short)?;
        self.left = rest;
        Ok(*first)
    }
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(short())
    }
    pub(crate) fn zigzag(&mut self) -> Result<i64, Error> {
        self.varint().map(unzigzag)
    }
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.left.split_at_checked(length).ok_or_else(short)?;
        self.left = rest;
        Ok(taken)
    }
    /// A length and that many bytes.
    pub(crate) fn block(&mut self) -> Result<&'a [u8], Error> {
        let length = self.length()?;
        self.take(length)
    }
    /// A count that can't be more than what memory may hold.
    pub(crate) fn length(&mut self) -> Result<usize, Error> {
        usize::try_from(self.varint()?).ok().filter(|length| *length <= 1 << 28).ok_or_else(short)
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }
}

fn short() -> Error {
    Error::Damaged { what: "a record that ends too early".into() }
}

/// Adding and taking away this rounds a number below 2^51 to the nearest whole one, without a call.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

const POWERS: [f64; 7] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// The whole number `i` with `i / 10^decimals` exactly `value`, if there is one.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "bounded to 2^50, then checked bit by bit")]
#[inline]
pub(crate) fn as_decimal(value: f64, decimals: usize) -> Option<i64> {
    let power = POWERS.get(decimals)?;
    let scaled = value * power;
    if scaled.abs() > 1e15 {
        return None;
    }
    let whole = ((scaled + ROUNDING) - ROUNDING) as i64;
    ((whole as f64 / power).to_bits() == value.to_bits()).then_some(whole)
}

/// Back from [`as_decimal`].
#[expect(clippy::cast_precision_loss, reason = "bounded to 2^50")]
pub(crate) fn from_decimal(whole: i64, decimals: usize) -> f64 {
    whole as f64 / POWERS.get(decimals).copied().unwrap_or(1.0)
}

/// The fewest decimals, at least `from`, that hold `value` exactly.
pub(crate) fn decimals_of(value: f64, from: usize) -> Option<usize> {
    (from..POWERS.len()).find(|decimals| as_decimal(value, *decimals).is_some())
}

/// Runs of equal values as (length, value) varints.
pub(crate) fn put_runs(out: &mut Vec<u8>, values: impl Iterator<Item = u64>) {
    let mut run: Option<(u64, u64)> = None;
    for value in values {
        match &mut run {
            Some((length, of)) if *of == value => *length += 1,
            _ => {
                if let Some((length, of)) = run {
                    put_varint(out, length);
                    put_varint(out, of);
                }
                run = Some((1, value));
            }
        }
    }
    if let Some((length, of)) = run {
        put_varint(out, length);
        put_varint(out, of);
    }
}

/// Values as whole numbers of one count of decimals, and the few that are no such decimals, by their place: there the nearest stands.
#[derive(Debug, Default)]
pub(crate) struct Decimals {
    pub(crate) decimals: usize,
    pub(crate) whole: Vec<i64>,
    pub(crate) exceptions: Vec<(usize, f64)>,
}

/// One in so many may be an exception.
const EXCEPTIONS: usize = 8;

impl Decimals {
    /// Into `self`, whose decimals are tried first: most neighbours have as many. False when too many values are no decimals.
    pub(crate) fn read(&mut self, values: impl ExactSizeIterator<Item = f64> + Clone) -> bool {
        if self.try_with(self.decimals, values.clone(), 0) {
            return true;
        }
        let most = values.len() / EXCEPTIONS;
        let mut decimals = 0;
        let mut odd = 0;
        for value in values.clone() {
            match decimals_of(value, decimals) {
                Some(found) => decimals = found,
                None => odd += 1,
            }
        }
        odd <= most && self.try_with(decimals, values, most)
    }

    fn try_with(&mut self, decimals: usize, values: impl ExactSizeIterator<Item = f64>, most: usize) -> bool {
        self.decimals = decimals;
        self.whole.clear();
        self.exceptions.clear();
        for (place, value) in values.enumerate() {
            match as_decimal(value, decimals) {
                Some(whole) => self.whole.push(whole),
                None if self.exceptions.len() < most => {
                    self.whole.push(nearest(value, decimals).unwrap_or_else(|| self.whole.last().copied().unwrap_or(0)));
                    self.exceptions.push((place, value));
                }
                None => return false,
            }
        }
        true
    }

    pub(crate) fn put_exceptions(&self, out: &mut Vec<u8>) {
        put_varint(out, self.exceptions.len() as u64);
        for (place, value) in &self.exceptions {
            put_varint(out, *place as u64);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Gives each exception that [`Decimals::put_exceptions`] wrote to `each`, with its place.
pub(crate) fn read_exceptions(reader: &mut Reader<'_>, mut each: impl FnMut(usize, f64)) -> Result<(), Error> {
    for _ in 0..reader.length()? {
        let place = reader.length()?;
        each(place, f64::from_le_bytes(reader.take(8)?.first_chunk::<8>().copied().unwrap_or_default()));
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "bounded to 2^50")]
fn nearest(value: f64, decimals: usize) -> Option<i64> {
    let scaled = (value * POWERS.get(decimals)?).round();
    (scaled.abs() <= 1e15).then_some(scaled as i64)
}

/// [`from_decimal`] of a whole column.
#[expect(clippy::cast_precision_loss, reason = "bounded to 2^50")]
pub(crate) fn fill_from_decimals(whole: &[i64], decimals: usize, values: &mut Vec<f64>) {
    let power = POWERS.get(decimals).copied().unwrap_or(1.0);
    values.extend(whole.iter().map(|whole| *whole as f64 / power));
}

/// Gives each run of `count` run-coded values to `each`, with the place after its last.
pub(crate) fn read_runs(reader: &mut Reader<'_>, count: usize, mut each: impl FnMut(u64, usize)) -> Result<(), Error> {
    let mut at = 0_usize;
    while at < count {
        let length = reader.length()?;
        let value = reader.varint()?;
        let end = at.checked_add(length).filter(|end| *end <= count && length > 0).ok_or_else(short)?;
        each(value, end);
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_come_back_bit_by_bit_or_not_at_all() {
        for (value, decimals) in [
            (1.42, Some(2)),
            (2.608, Some(3)),
            (0.0, Some(0)),
            (-0.255, Some(3)),
            (1e-7, None),
            (-0.0, None),
            (1e300, None),
            (0.1 + 0.2, None),
        ] {
            assert_eq!(decimals_of(value, 0), decimals, "{value}");
            if let Some(decimals) = decimals {
                let whole = as_decimal(value, decimals).expect("just found");
                assert_eq!(from_decimal(whole, decimals).to_bits(), value.to_bits());
            }
        }
    }

    #[test]
    fn numbers_of_every_size_come_back() {
        for value in [0, 1, -1, 127, -128, 300, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_varint(&mut out, zigzag(value));
            assert_eq!(Reader::new(&out).zigzag().expect("whole"), value);
        }
        assert!(Reader::new(&[0x80; 11]).varint().is_err());
        assert!(Reader::new(&[]).byte().is_err());
    }
}
