//! What is kept beside the key of a chunk, so that opening a store reads no chunk: how many points it has, and the last of them.

use super::column::{Reader, put_varint, zigzag};
use super::{Point, codec};
use crate::Error;
use crate::engine::{Change, Key, Place, Row, Table, checksum};

/// Of one chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tail {
    /// Withdrawn ones too.
    pub(crate) points: u32,
    pub(crate) last: Point,
}

/// The row of a chunk; nothing without points.
pub(crate) fn chunk_row(id: u32, points: &[Point]) -> Result<Option<Row>, Error> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(None) };
    let served = points.iter().filter(|point| !point.is_withdrawn()).count();
    let weight = i64::try_from(served).unwrap_or(i64::MAX);
    let tail = Tail { points: u32::try_from(points.len()).unwrap_or(u32::MAX), last: *last };
    let (part, at) = (i64::from(id), first.at);
    let place = Place { table: Table::Chunk, part, at, weight };
    Ok(Some(Row { part, at, weight, summary: tail.encode(place), body: codec::encode(points, place)? }))
}

/// The row of replaced values, under the commit that replaced the last of them.
pub(crate) fn superseded_row(part: i64, at: i64, points: &[Point]) -> Result<Row, Error> {
    let weight = i64::try_from(points.len()).unwrap_or(i64::MAX);
    let place = Place { table: Table::Superseded, part, at, weight };
    Ok(Row { part, at, weight, summary: Vec::new(), body: codec::encode(points, place)? })
}

pub(crate) fn put_chunk(row: Row) -> Change {
    Change::Put { table: Table::Chunk, row }
}

impl Tail {
    fn encode(&self, place: Place) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        put_varint(&mut out, u64::from(self.points));
        put_varint(&mut out, zigzag(self.last.at.wrapping_sub(place.at)));
        out.extend_from_slice(&self.last.value.to_le_bytes());
        put_varint(&mut out, zigzag(self.last.lag_s()));
        put_varint(&mut out, u64::from(self.last.quality));
        let sum = checksum(place, &out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// What stands beside a key; `None` where a bit of it or of the key is not as it was written.
    pub(crate) fn of(key: &Key) -> Option<Self> {
        let (body, kept) = key.summary.split_last_chunk::<4>()?;
        if checksum(Place { table: Table::Chunk, part: key.part, at: key.at, weight: key.weight }, body) != u32::from_le_bytes(*kept) {
            return None;
        }
        let mut reader = Reader::new(body);
        let mut read = || -> Result<Self, Error> {
            let points = u32::try_from(reader.varint()?).unwrap_or(u32::MAX);
            let at = key.at.wrapping_add(reader.zigzag()?);
            let value = f64::from_le_bytes(reader.take(8)?.first_chunk::<8>().copied().unwrap_or_default());
            let received_s = u32::try_from(at.div_euclid(1_000_000).wrapping_add(reader.zigzag()?)).unwrap_or(0);
            let quality = u32::try_from(reader.varint()?).unwrap_or(0);
            Ok(Self { points, last: Point { at, value, received_s, quality } })
        };
        read().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_comes_back_and_every_flipped_bit_of_it_and_its_key_is_seen() {
        let point = |n: i64| Point { at: n * 600_000_000 - 7, value: -1.42, received_s: 1_767_225_600, quality: 0x103 };
        let points: Vec<Point> = (0..300).map(point).collect();
        let row = chunk_row(7, &points).expect("whole").expect("points");
        let key = Key { part: row.part, at: row.at, weight: row.weight, summary: row.summary };
        assert_eq!(Tail::of(&key), Some(Tail { points: 300, last: point(299) }));
        for bit in 0..key.summary.len() * 8 {
            let mut wrong = key.clone();
            if let Some(byte) = wrong.summary.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
            assert_eq!(Tail::of(&wrong), None, "bit {bit}");
        }
        assert_eq!(Tail::of(&Key { weight: 299, ..key.clone() }), None);
        assert_eq!(Tail::of(&Key { at: 1, ..key.clone() }), None);
        assert_eq!(Tail::of(&Key { summary: Vec::new(), ..key }), None);
    }
}
