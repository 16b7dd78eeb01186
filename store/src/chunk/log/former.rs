//! Records as they were before version 2: varints under LZ4. Read, no longer written.

use super::{Record, end};
use crate::Error;
use crate::chunk::Point;
use crate::chunk::column::{Reader, from_decimal, read_runs, unzigzag};

pub(super) const VERSION: u8 = 1;
const RAW: u64 = 7;

pub(super) fn read(reader: &mut Reader<'_>) -> Result<Record, Error> {
    let length = reader.length()?;
    let packed = reader.rest();
    let plain = lz4_flex::block::decompress(packed, length).map_err(|cause| Error::Damaged { what: format!("a log record: {cause}") })?;
    let reader = &mut Reader::new(&plain);
    let count = reader.length()?;
    let mut points = vec![(0_u32, Point::EMPTY); count];
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
            from_decimal(unzigzag(word >> 3), usize::try_from(word & 7).unwrap_or(0))
        };
    }
    let mut from = 0;
    read_runs(reader, count, |value, end| {
        let run = points.get_mut(std::mem::replace(&mut from, end)..end).unwrap_or_default();
        run.iter_mut().for_each(|(_, point)| point.quality = u16::try_from(value).unwrap_or(0));
    })?;
    let mut from = 0;
    read_runs(reader, count, |value, end| {
        let run = points.get_mut(std::mem::replace(&mut from, end)..end).unwrap_or_default();
        run.iter_mut().for_each(|(_, point)| point.received_s = u32::try_from(value).unwrap_or(0));
    })?;
    // All that was buffered was sealed then.
    end(reader, points, |_| Ok(i64::MAX))
}

#[cfg(test)]
pub(super) mod tests {
    /// As version 1 wrote it: datastreams 5 and 6 at 2026-01-01T00:00:00Z, and that 9 was sealed.
    pub(in super::super) const RECORD: &[u8] = &[
        1, 35, 240, 20, 2, 10, 2, 128, 128, 130, 226, 136, 210, 163, 6, 0, 226, 17, 7, 149, 214, 38, 232, 11, 46, 17, 62, 1, 1, 1, 3, 2,
        128, 242, 214, 202, 6, 1, 9, 133, 37, 13, 210,
    ];
}
