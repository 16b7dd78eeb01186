//! A record of the log: the points of one commit in the order of receipt, and the datastreams that the commit sealed.
//!
//! The points lie in blocks, each a column after the other: datastream, time, value, arrival, quality ([`super::bits`]).

mod former;

use super::Point;
use super::bits::{self, BLOCK};
use super::column::{Decimals, Reader, from_decimal, put_varint, read_exceptions, zigzag};
use crate::Error;
use crate::ledger::{self, Entry};

const VERSION: u8 = 2;

// How the values of a block are coded: 0 to 6 are decimals; or as they are, in half the bits where that loses nothing.
const SINGLE: u8 = 7;
const DOUBLE: u8 = 8;
// Decimals, but for a few values that stand before them.
const EXCEPTIONS: u8 = 9;
// What the times of a block are multiples of, µs. Known when it is compiled: a division by any number takes longer than all the rest.
const SECOND: i64 = 1_000_000;
const MILLISECOND: i64 = 1_000;
const MICROSECOND: i64 = 1;

/// What one commit said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Record {
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

pub(crate) fn encode(points: &[(u32, Point)], sealed: &[(u32, i64)], entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(points.len() * 5 + 64);
    out.push(VERSION);
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
    let sum = crc32fast::hash(&out);
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

/// # Errors
/// [`Error::Damaged`] when a bit of it is not as it was written.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, Error> {
    let damaged = |what: &str| Error::Damaged { what: format!("a log record: {what}") };
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("too short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return Err(damaged("its checksum does not match"));
    }
    let mut reader = Reader::new(body);
    match reader.byte()? {
        VERSION => read(&mut reader),
        former::VERSION => former::read(&mut reader),
        _ => Err(damaged("written by a newer pescaia")),
    }
}

/// How many points a record says that it holds, before any room is made for them. Only of the version that is written today: older
/// ones are read from the disk that they were written on, and come by no other way.
///
/// # Errors
/// [`Error::Damaged`] when it is no such record.
pub(crate) fn announced(bytes: &[u8]) -> Result<usize, Error> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err(Error::Damaged { what: "a log record: of another version".into() });
    }
    reader.length()
}

fn read(reader: &mut Reader<'_>) -> Result<Record, Error> {
    let count = reader.length()?;
    let mut points = vec![(0_u32, Point::EMPTY); count];
    let mut before = Before::default();
    for block in points.chunks_mut(BLOCK) {
        read_block(reader, block, &mut before)?;
    }
    end(reader, points, |reader| reader.zigzag())
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
    read_column(reader, block, &mut before.quality, |(_, point), number| point.quality = u16::try_from(number).unwrap_or(0))
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

/// What stands after the points; up to which time a datastream was sealed is read by `through`.
fn end(
    reader: &mut Reader<'_>,
    points: Vec<(u32, Point)>,
    through: impl Fn(&mut Reader<'_>) -> Result<i64, Error>,
) -> Result<Record, Error> {
    let mut sealed = Vec::new();
    for _ in 0..reader.length()? {
        let datastream = u32::try_from(reader.varint()?).map_err(|_| Error::Damaged { what: "a log record: no such datastream".into() })?;
        sealed.push((datastream, through(reader)?));
    }
    let entries = if reader.is_empty() { Vec::new() } else { ledger::decode(reader)? };
    Ok(Record { points, sealed, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(points: &[(u32, Point)]) -> Vec<u8> {
        let entries = vec![Entry { day: 20_780, device: 3, received: 5, accepted: 4, duplicates: 3, revised: 2, quarantined: -4 }];
        let bytes = encode(points, &[(3, 77), (4, i64::MAX)], &entries);
        assert_eq!(decode(&bytes).expect("whole"), Record { points: points.to_vec(), sealed: vec![(3, 77), (4, i64::MAX)], entries });
        bytes
    }

    #[test]
    fn values_of_every_kind_come_back() {
        let many = |value: &dyn Fn(u32) -> f64, at: &dyn Fn(i64) -> i64| -> Vec<(u32, Point)> {
            let point = |n: u32| Point {
                at: at(i64::from(n)),
                value: value(n),
                received_s: n / 7,
                quality: u16::from(n.is_multiple_of(50)),
                ..Point::EMPTY
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
                ..Point::EMPTY
            }
        };
        let points: Vec<(u32, Point)> = (0..5000).map(|n| (n % 2000, point(n))).collect();
        let bytes = check(&points).len();
        assert!(bytes < 15_000, "{bytes}");
    }

    #[test]
    fn a_record_of_the_former_version_is_read() {
        let point =
            |value: f64, quality: u16| Point { at: 1_767_225_600_000_000, value, received_s: 1_767_225_600, quality, ..Point::EMPTY };
        let record = decode(former::tests::RECORD).expect("whole");
        assert_eq!(record.points, [(5, point(1.42, 1)), (6, point(1e-9, 3))]);
        assert_eq!((record.sealed, record.entries.len()), (vec![(9, i64::MAX)], 0));
    }

    #[test]
    fn a_record_comes_back_and_every_flipped_bit_is_seen() {
        let values = [1.42, 2.608, -0.0, 1e-9, 0.1 + 0.2, 1e300, -17.0];
        let points: Vec<(u32, Point)> = (0_u32..)
            .zip(values)
            .map(|(n, value)| {
                let at = 1_767_225_600_000_000 - i64::from(n) * 777;
                (n * 37 % 5, Point { at, value, received_s: 1_767_225_600 + n / 3, quality: 1, ..Point::EMPTY })
            })
            .collect();
        let bytes = check(&points);
        for flip in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            if let Some(byte) = wrong.get_mut(flip / 8) {
                *byte ^= 1 << (flip % 8);
            }
            assert!(decode(&wrong).is_err(), "bit {flip} flipped and nobody saw it");
        }
    }
}
