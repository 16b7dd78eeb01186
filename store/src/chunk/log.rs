//! A record of the log: the points of one commit in the order of receipt, and the datastreams that the commit sealed.
//!
//! The points lie in blocks, each a column after the other: datastream, time, value, arrival, quality ([`super::bits`]).

use super::Point;
use super::bits::{self, BLOCK};
use super::column::{Decimals, Reader, from_decimal, put_varint, read_exceptions, zigzag};
use crate::Error;
use crate::engine::{Place, checksum};
use crate::ledger::{self, Entry};

const VERSION: u8 = 1;

// How the values of a block are coded: 0 to 6 are decimals; or as they are, in half the bits where that loses nothing.
const SINGLE: u8 = 7;
const DOUBLE: u8 = 8;
// Decimals, but for a few values that stand before them.
const EXCEPTIONS: u8 = 9;
// What the times of a block are multiples of, µs. Known when it is compiled: a division by any number takes longer than all the rest.
const SECOND: i64 = 1_000_000;
const MILLISECOND: i64 = 1_000;
const MICROSECOND: i64 = 1;

/// Where a record stands in the log: with it a record that is gone is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Link {
    /// Its own commit; 0 of what is no record of a log.
    pub(crate) commit: u64,
    /// The commit of the record before it; 0 of the first.
    pub(crate) before: u64,
    /// That of the first record that is kept along with it.
    pub(crate) first: u64,
}

/// What one commit said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) link: Link,
    /// Datastream and point, in the order of receipt.
    pub(crate) points: Vec<(u32, Point)>,
    /// Everything of these datastreams from earlier commits, up to this time in µs, included, is in chunks.
    pub(crate) sealed: Vec<(u32, i64)>,
    /// What it adds to the ledger.
    pub(crate) entries: Vec<Entry>,
}

/// The last number of each column of the block before.
#[derive(Default)]
struct Before {
    datastream: i64,
    second: i64,
    value: i64,
    received: i64,
    quality: i64,
    decimals: Decimals,
}

pub(crate) fn encode(link: Link, points: &[(u32, Point)], sealed: &[(u32, i64)], entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(points.len() * 5 + 64);
    out.push(VERSION);
    put_varint(&mut out, link.commit.saturating_sub(link.before));
    put_varint(&mut out, link.commit.saturating_sub(link.first));
    put_varint(&mut out, points.len() as u64);
    let mut before = Before::default();
    for block in points.chunks(BLOCK) {
        put_block(&mut out, block, &mut before);
    }
    put_varint(&mut out, sealed.len() as u64);
    for (datastream, through) in sealed {
        put_varint(&mut out, u64::from(*datastream));
        put_varint(&mut out, zigzag(*through));
    }
    if !entries.is_empty() {
        ledger::encode(entries, &mut out);
    }
    let sum = checksum(Place::of_commit(link.commit), &out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn put_block(out: &mut Vec<u8>, block: &[(u32, Point)], before: &mut Before) {
    put_column(out, block, &mut before.datastream, |(datastream, _)| i64::from(*datastream));
    if are_multiples_of::<SECOND>(block) {
        put_times::<SECOND>(out, block, before);
    } else if are_multiples_of::<MILLISECOND>(block) {
        put_times::<MILLISECOND>(out, block, before);
    } else {
        put_times::<MICROSECOND>(out, block, before);
    }
    put_values(out, block, before);
    put_column(out, block, &mut before.received, |(_, point)| i64::from(point.received_s));
    put_column(out, block, &mut before.quality, |(_, point)| i64::from(point.quality));
}

fn are_multiples_of<const UNIT: i64>(block: &[(u32, Point)]) -> bool {
    block.iter().all(|(_, point)| point.at % UNIT == 0)
}

fn put_times<const UNIT: i64>(out: &mut Vec<u8>, block: &[(u32, Point)], before: &mut Before) {
    put_varint(out, UNIT.cast_unsigned());
    let mut time = before.second.wrapping_mul(SECOND / UNIT);
    put_column(out, block, &mut time, |(_, point)| point.at / UNIT);
    before.second = time.wrapping_mul(UNIT) / SECOND;
}

#[inline]
fn put_column(out: &mut Vec<u8>, block: &[(u32, Point)], before: &mut i64, of: impl Fn(&(u32, Point)) -> i64) {
    let mut numbers = [0; BLOCK];
    numbers.iter_mut().zip(block).for_each(|(number, point)| *number = of(point));
    bits::put(out, numbers.get(..block.len()).unwrap_or_default(), before);
}

fn put_values(out: &mut Vec<u8>, block: &[(u32, Point)], before: &mut Before) {
    if before.decimals.read(block.iter().map(|(_, point)| point.value)) {
        if !before.decimals.exceptions.is_empty() {
            out.push(EXCEPTIONS);
            before.decimals.put_exceptions(out);
        }
        #[expect(clippy::cast_possible_truncation, reason = "0 to 6")]
        out.push(before.decimals.decimals as u8);
        return bits::put(out, &before.decimals.whole, &mut before.value);
    }
    before.decimals.decimals = 0;
    #[expect(clippy::cast_possible_truncation, reason = "kept only where it loses nothing")]
    let single = |value: f64| Some(value as f32).filter(|single| f64::from(*single).to_bits() == value.to_bits());
    if block.iter().all(|(_, point)| single(point.value).is_some()) {
        out.push(SINGLE);
        block.iter().filter_map(|(_, point)| single(point.value)).for_each(|single| out.extend_from_slice(&single.to_le_bytes()));
    } else {
        out.push(DOUBLE);
        block.iter().for_each(|(_, point)| out.extend_from_slice(&point.value.to_le_bytes()));
    }
}

/// The record of this commit.
///
/// # Errors
/// [`Error::Damaged`] when a bit of it or of its number is not as it was written, or it is another commit's.
pub(crate) fn decode(commit: u64, bytes: &[u8]) -> Result<Record, Error> {
    let damaged = |what: &str| Error::Damaged { what: format!("a log record: {what}") };
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("too short"))?;
    if checksum(Place::of_commit(commit), body) != u32::from_le_bytes(*sum) {
        return Err(damaged(&format!("its checksum does not match, as that of commit {commit}")));
    }
    let mut reader = Reader::new(body);
    match reader.byte()? {
        VERSION => read(commit, &mut reader),
        other => Err(damaged(&format!("of version {other}, which this pescaia does not know; use a newer one"))),
    }
}

/// How many points a record says that it holds, before any room is made for them.
///
/// # Errors
/// [`Error::Damaged`] when it is no such record.
pub(crate) fn announced(bytes: &[u8]) -> Result<usize, Error> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(Error::Damaged { what: "a log record: of another version".into() });
    }
    // The commits that it follows.
    reader.varint()?;
    reader.varint()?;
    reader.length()
}

fn read(commit: u64, reader: &mut Reader<'_>) -> Result<Record, Error> {
    let link = Link { commit, before: commit.saturating_sub(reader.varint()?), first: commit.saturating_sub(reader.varint()?) };
    let count = reader.length()?;
    let mut points = vec![(0_u32, Point::EMPTY); count];
    let mut before = Before::default();
    for block in points.chunks_mut(BLOCK) {
        read_block(reader, block, &mut before)?;
    }
    let mut sealed = Vec::new();
    for _ in 0..reader.length()? {
        let datastream = u32::try_from(reader.varint()?).map_err(|_| Error::Damaged { what: "a log record: no such datastream".into() })?;
        sealed.push((datastream, reader.zigzag()?));
    }
    let entries = if reader.is_empty() { Vec::new() } else { ledger::decode(reader)? };
    Ok(Record { link, points, sealed, entries })
}

fn read_block(reader: &mut Reader<'_>, block: &mut [(u32, Point)], before: &mut Before) -> Result<(), Error> {
    let mut is_number = true;
    read_column(reader, block, &mut before.datastream, |(datastream, _), number| match u32::try_from(number) {
        Ok(number) => *datastream = number,
        Err(_) => is_number = false,
    })?;
    if !is_number {
        return Err(Error::Damaged { what: "a log record: no such datastream".into() });
    }
    let unit = reader.varint()?.cast_signed();
    if ![SECOND, MILLISECOND, MICROSECOND].contains(&unit) {
        return Err(Error::Damaged { what: "a log record: no such unit of time".into() });
    }
    let mut time = before.second.wrapping_mul(SECOND / unit);
    read_column(reader, block, &mut time, |(_, point), number| point.at = number.wrapping_mul(unit))?;
    before.second = time.wrapping_mul(unit) / SECOND;
    match reader.byte()? {
        SINGLE => {
            for (_, point) in block.iter_mut() {
                point.value = f64::from(f32::from_le_bytes(reader.take(4)?.first_chunk::<4>().copied().unwrap_or_default()));
            }
        }
        DOUBLE => {
            for (_, point) in block.iter_mut() {
                point.value = f64::from_le_bytes(reader.take(8)?.first_chunk::<8>().copied().unwrap_or_default());
            }
        }
        EXCEPTIONS => {
            let mut exceptions = Vec::new();
            read_exceptions(reader, |place, value| exceptions.push((place, value)))?;
            let decimals = usize::from(reader.byte()?);
            read_column(reader, block, &mut before.value, |(_, point), number| point.value = from_decimal(number, decimals))?;
            for (place, value) in exceptions {
                let missing = || Error::Damaged { what: "a log record: an exception without a place".into() };
                block.get_mut(place).ok_or_else(missing)?.1.value = value;
            }
        }
        decimals => {
            let decimals = usize::from(decimals);
            read_column(reader, block, &mut before.value, |(_, point), number| point.value = from_decimal(number, decimals))?;
        }
    }
    read_column(reader, block, &mut before.received, |(_, point), number| point.received_s = u32::try_from(number).unwrap_or(0))?;
    read_column(reader, block, &mut before.quality, |(_, point), number| point.quality = u32::try_from(number).unwrap_or(0))
}

#[inline]
fn read_column(
    reader: &mut Reader<'_>,
    block: &mut [(u32, Point)],
    before: &mut i64,
    mut set: impl FnMut(&mut (u32, Point), i64),
) -> Result<(), Error> {
    let mut points = block.iter_mut();
    bits::read(reader, points.len(), before, |_, number| {
        if let Some(point) = points.next() {
            set(point, number);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link { commit: 900, before: 898, first: 3 };

    fn check(points: &[(u32, Point)]) -> Vec<u8> {
        let entries = vec![Entry { day: 20_780, device: 3, received: 5, accepted: 4, duplicates: 3, revised: 2, quarantined: -4 }];
        let bytes = encode(LINK, points, &[(3, 77), (4, i64::MAX)], &entries);
        let sealed = vec![(3, 77), (4, i64::MAX)];
        assert_eq!(decode(LINK.commit, &bytes).expect("whole"), Record { link: LINK, points: points.to_vec(), sealed, entries });
        bytes
    }

    #[test]
    fn values_of_every_kind_come_back() {
        let many = |value: &dyn Fn(u32) -> f64, at: &dyn Fn(i64) -> i64| -> Vec<(u32, Point)> {
            let point = |n: u32| Point {
                at: at(i64::from(n)),
                value: value(n),
                received_s: n / 7,
                quality: if n.is_multiple_of(50) { 0x80_0003 } else { 1 },
            };
            (0..300).map(|n| (n * 7 % 11, point(n))).collect()
        };
        let seconds = |n: i64| 1_767_225_600_000_000 + n * 1_000_000;
        check(&many(&|n| f64::from(n) / 1000.0, &seconds));
        check(&many(&|n| f64::from(n % 3) / 10.0 + f64::from(n), &|n| n * 1000 - 77_000));
        check(&many(&|n| f64::from(1.1_f32 * f32::from(u16::try_from(n).expect("small"))), &|n| i64::MIN + n));
        check(&many(&|n| (f64::from(n) + 0.1).sqrt(), &|n| if n % 2 == 0 { i64::MAX - n } else { i64::MIN + n }));
        check(&many(&|n| if n % 30 == 7 { f64::from(n).sqrt() } else { f64::from(n) / 100.0 }, &seconds));
        check(&[]);
    }

    /// Two thousand gauges every ten minutes, a quarter of them a little off the grid.
    #[test]
    fn a_commit_of_gauges_takes_three_bytes_a_point() {
        let point = |n: u32| {
            let off = if n % 4 == 3 { i64::from(n * 7_919 % 501) - 250 } else { 0 };
            let at = 1_767_225_600_000_000 + i64::from(n / 2000) * 600_000_000 + off * 1000;
            Point {
                at,
                value: f64::from(1500 + n * 31 % 200) / 1000.0,
                received_s: u32::try_from(at / 1_000_000).expect("now"),
                quality: 1,
            }
        };
        let points: Vec<(u32, Point)> = (0..5000).map(|n| (n % 2000, point(n))).collect();
        let bytes = check(&points).len();
        assert!(bytes < 15_000, "{bytes}");
    }

    #[test]
    fn a_record_comes_back_and_every_flipped_bit_is_seen() {
        let values = [1.42, 2.608, -0.0, 1e-9, 0.1 + 0.2, 1e300, -17.0];
        let points: Vec<(u32, Point)> = (0_u32..)
            .zip(values)
            .map(|(n, value)| {
                let at = 1_767_225_600_000_000 - i64::from(n) * 777;
                (n * 37 % 5, Point { at, value, received_s: 1_767_225_600 + n / 3, quality: 1 })
            })
            .collect();
        let bytes = check(&points);
        for flip in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            if let Some(byte) = wrong.get_mut(flip / 8) {
                *byte ^= 1 << (flip % 8);
            }
            assert!(decode(LINK.commit, &wrong).is_err(), "bit {flip} flipped and nobody saw it");
        }
        for bit in 0..64 {
            assert!(decode(LINK.commit ^ 1 << bit, &bytes).is_err(), "bit {bit} of its number flipped and nobody saw it");
        }
    }
}
