//! Columns of whole numbers in blocks: each number of a block takes as many bits as the widest of it needs.
//!
//! A block is coded against its least number, or, where that is narrower, as differences against the least difference: what many devices say
//! at one instant lies close together, what one device says over time goes in equal steps.

use super::column::{Reader, put_varint, unzigzag, zigzag};
use crate::Error;

/// Numbers that share a width.
pub(crate) const BLOCK: usize = 128;

/// Set in the byte of the width when the block holds differences.
const DIFFERENCES: u8 = 0x80;

/// Appends a block of at most [`BLOCK`] numbers; `before` is the last of the block before, 0 at first.
pub(crate) fn put(out: &mut Vec<u8>, numbers: &[i64], before: &mut i64) {
    let Some(last) = numbers.last().copied() else { return };
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    let (mut least_step, mut most_step) = (i64::MAX, i64::MIN);
    let mut one_before = *before;
    for number in numbers {
        let step = number.wrapping_sub(one_before);
        (least, most) = (least.min(*number), most.max(*number));
        (least_step, most_step) = (least_step.min(step), most_step.max(step));
        one_before = *number;
    }
    let width = |least: i64, most: i64| u64::BITS - most.wrapping_sub(least).cast_unsigned().leading_zeros();
    let (plain, stepped) = (width(least, most), width(least_step, most_step));
    if stepped < plain {
        put_width(out, stepped, DIFFERENCES);
        put_varint(out, zigzag(least_step));
        let mut one_before = *before;
        put_bits(out, stepped, numbers, |number| {
            let step = number.wrapping_sub(one_before);
            one_before = number;
            step.wrapping_sub(least_step).cast_unsigned()
        });
    } else {
        put_width(out, plain, 0);
        put_varint(out, zigzag(least.wrapping_sub(*before)));
        put_bits(out, plain, numbers, |number| number.wrapping_sub(least).cast_unsigned());
    }
    *before = last;
}

#[expect(clippy::cast_possible_truncation, reason = "at most 64")]
fn put_width(out: &mut Vec<u8>, width: u32, kind: u8) {
    out.push(width as u8 | kind);
}

#[inline]
fn put_bits(out: &mut Vec<u8>, width: u32, numbers: &[i64], mut bits: impl FnMut(i64) -> u64) {
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0_u64, 0_u32);
    for number in numbers {
        let bits = bits(*number);
        word |= bits << filled;
        filled += width;
        if filled >= u64::BITS {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= u64::BITS;
            word = if filled == 0 { 0 } else { bits >> (width - filled) };
        }
    }
    out.extend_from_slice(word.to_le_bytes().get(..filled.div_ceil(8) as usize).unwrap_or_default());
}

/// Gives each of the `count` numbers of the next block to `each`, with its place in the block.
///
/// # Errors
/// [`Error::Damaged`] when the bytes end too early.
pub(crate) fn read(reader: &mut Reader<'_>, count: usize, before: &mut i64, mut each: impl FnMut(usize, i64)) -> Result<(), Error> {
    if count == 0 {
        return Ok(());
    }
    let kind = reader.byte()?;
    let width = u32::from(kind & !DIFFERENCES);
    if width > u64::BITS {
        return Err(Error::Damaged { what: "a column wider than a number".into() });
    }
    let least = unzigzag(reader.varint()?);
    let is_stepped = kind & DIFFERENCES != 0;
    let base = before.wrapping_add(least);
    let mut bytes = reader.take((count * width as usize).div_ceil(8))?;
    let (mut word, mut left) = (0_u64, 0_u32);
    let mask = if width == u64::BITS { u64::MAX } else { (1 << width) - 1 };
    let mut last = *before;
    for place in 0..count {
        let bits = if left >= width {
            let bits = word & mask;
            word = word.checked_shr(width).unwrap_or(0);
            left -= width;
            bits
        } else {
            let (next, got) = next_word(&mut bytes);
            let bits = (word | next.checked_shl(left).unwrap_or(0)) & mask;
            let used = width - left;
            word = next.checked_shr(used).unwrap_or(0);
            left = got - used.min(got);
            bits
        };
        last = if is_stepped { last.wrapping_add(least) } else { base }.wrapping_add(bits.cast_signed());
        each(place, last);
    }
    *before = last;
    Ok(())
}

/// The next 64 bits, or what is left, and how many they are.
fn next_word(bytes: &mut &[u8]) -> (u64, u32) {
    if let Some((word, rest)) = bytes.split_first_chunk::<8>() {
        *bytes = rest;
        return (u64::from_le_bytes(*word), u64::BITS);
    }
    let mut word = [0; 8];
    word.iter_mut().zip(bytes.iter()).for_each(|(to, from)| *to = *from);
    let got = u32::try_from(bytes.len() * 8).unwrap_or(0);
    *bytes = &[];
    (u64::from_le_bytes(word), got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[i64]) {
        let (mut out, mut before) = (Vec::new(), 0);
        for block in numbers.chunks(BLOCK) {
            put(&mut out, block, &mut before);
        }
        let (mut found, mut reader, mut before) = (Vec::new(), Reader::new(&out), 0);
        for block in numbers.chunks(BLOCK) {
            read(&mut reader, block.len(), &mut before, |_, number| found.push(number)).expect("whole");
        }
        assert_eq!(found, numbers);
        assert!(reader.is_empty());
        for cut in 0..out.len() {
            let mut reader = Reader::new(out.get(..cut).unwrap_or_default());
            let mut before = 0;
            let read = numbers.chunks(BLOCK).try_for_each(|block| read(&mut reader, block.len(), &mut before, |_, _| ()));
            assert!(read.is_err(), "cut at {cut} of {}", out.len());
        }
    }

    #[test]
    fn every_width_and_both_kinds_come_back_and_a_cut_is_seen() {
        check(&[]);
        check(&[0]);
        check(&[i64::MIN, i64::MAX, 0, -1, 1]);
        for width in 0..63 {
            let many: Vec<i64> = (0..300).map(|n| (n * 7_919 % (1 << width.min(20))) << (width - width.min(20)) | (n & 1)).collect();
            check(&many);
            let stepped: Vec<i64> = (0..300).map(|n| n * (1 << (width / 2)) + n % 3).collect();
            check(&stepped);
        }
    }

    #[test]
    fn equal_steps_and_equal_numbers_take_no_bits() {
        let mut out = Vec::new();
        put(&mut out, &(1..=128).collect::<Vec<_>>(), &mut 0);
        put(&mut out, &[7; 128], &mut 7);
        assert_eq!(out.len(), 4);
    }
}
