//! A record of the log: the points of one commit in the order of receipt, and the datastreams that the commit sealed.

use super::Point;
use super::column::{Reader, as_decimal, decimals_of, from_decimal, put_runs, put_varint, read_runs, zigzag};
use crate::Error;
use crate::ledger::{self, Entry};

const VERSION: u8 = 1;
const RAW: u64 = 7;

/// What one commit said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Record {
    /// Datastream and point, in the order of receipt.
    pub(crate) points: Vec<(u32, Point)>,
    /// Everything of these datastreams from earlier commits is in chunks.
    pub(crate) sealed: Vec<u32>,
    /// What it adds to the ledger.
    pub(crate) entries: Vec<Entry>,
}

pub(crate) fn encode(points: &[(u32, Point)], sealed: &[u32], entries: &[Entry]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(points.len() * 8 + 64);
    put_varint(&mut plain, points.len() as u64);
    let mut before = 0_i64;
    for (datastream, _) in points {
        put_varint(&mut plain, zigzag(i64::from(*datastream) - before));
        before = i64::from(*datastream);
    }
    let mut before = 0_i64;
    for (_, point) in points {
        put_varint(&mut plain, zigzag(point.at.wrapping_sub(before)));
        before = point.at;
    }
    let mut decimals = 0;
    for (_, point) in points {
        // Most neighbours have as many decimals: try those first.
        let found = if as_decimal(point.value, decimals).is_some() { Some(decimals) } else { decimals_of(point.value, 0) };
        match found.and_then(|found| as_decimal(point.value, found).map(|whole| (found, whole))) {
            Some((found, whole)) => {
                decimals = found;
                put_varint(&mut plain, zigzag(whole) << 3 | found as u64);
            }
            None => {
                put_varint(&mut plain, RAW);
                plain.extend_from_slice(&point.value.to_le_bytes());
            }
        }
    }
    put_runs(&mut plain, points.iter().map(|(_, point)| u64::from(point.quality)));
    put_runs(&mut plain, points.iter().map(|(_, point)| u64::from(point.received_s)));
    put_varint(&mut plain, sealed.len() as u64);
    for datastream in sealed {
        put_varint(&mut plain, u64::from(*datastream));
    }
    if !entries.is_empty() {
        ledger::encode(entries, &mut plain);
    }
    let mut out = Vec::with_capacity(plain.len() / 2 + 64);
    out.push(VERSION);
    put_varint(&mut out, plain.len() as u64);
    out.extend_from_slice(&lz4_flex::block::compress(&plain));
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
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
    if reader.byte()? != VERSION {
        return Err(damaged("written by a newer pescaia"));
    }
    let length = reader.length()?;
    let mut packed = Vec::new();
    while !reader.is_empty() {
        packed.push(reader.byte()?);
    }
    let plain = lz4_flex::block::decompress(&packed, length).map_err(|cause| damaged(&cause.to_string()))?;
    read(&mut Reader::new(&plain))
}

fn read(reader: &mut Reader<'_>) -> Result<Record, Error> {
    let count = reader.length()?;
    let mut points = vec![(0_u32, Point { at: 0, value: 0.0, received_s: 0, quality: 0 }); count];
    let mut before = 0_i64;
    for (datastream, _) in &mut points {
        before += reader.zigzag()?;
        *datastream = u32::try_from(before).map_err(|_| Error::Damaged { what: "a log record: no such datastream".into() })?;
    }
    let mut before = 0_i64;
    for (_, point) in &mut points {
        before = before.wrapping_add(reader.zigzag()?);
        point.at = before;
    }
    for (_, point) in &mut points {
        let word = reader.varint()?;
        point.value = if word & 7 == RAW {
            let raw = reader.take(8)?.first_chunk::<8>().copied().unwrap_or_default();
            f64::from_le_bytes(raw)
        } else {
            from_decimal(super::column::unzigzag(word >> 3), usize::try_from(word & 7).unwrap_or(0))
        };
    }
    read_runs(reader, count, |place, value| {
        if let Some((_, point)) = points.get_mut(place) {
            point.quality = u16::try_from(value).unwrap_or(0);
        }
    })?;
    read_runs(reader, count, |place, value| {
        if let Some((_, point)) = points.get_mut(place) {
            point.received_s = u32::try_from(value).unwrap_or(0);
        }
    })?;
    let sealed = (0..reader.length()?)
        .map(|_| reader.varint().and_then(|id| u32::try_from(id).map_err(|_| Error::Damaged { what: "a log record".into() })))
        .collect::<Result<_, _>>()?;
    let entries = if reader.is_empty() { Vec::new() } else { ledger::decode(reader)? };
    Ok(Record { points, sealed, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let entries = vec![Entry { day: 20_780, device: 3, received: 5, accepted: 4, duplicates: 3, revised: 2, quarantined: -4 }];
        let bytes = encode(&points, &[3, 4], &entries);
        assert_eq!(decode(&bytes).expect("whole"), Record { points, sealed: vec![3, 4], entries });
        for flip in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            if let Some(byte) = wrong.get_mut(flip / 8) {
                *byte ^= 1 << (flip % 8);
            }
            assert!(decode(&wrong).is_err(), "bit {flip} flipped and nobody saw it");
        }
    }
}
