//! A chunk: the points of one datastream, ascending in time, as columns.
//!
//! Layout: version, count, first time, then time, value, quality and arrival lag, then a CRC-32 over the place of the row and all before it.
//! Values that are decimals (nearly all sensors) become whole numbers, whose differences pco codes in a few bits;
//! others are coded by pco as they are. Everything comes back bit by bit.

use super::Point;
use super::column::{Decimals, put_runs, put_varint, zigzag};
use super::columns::Columns;
use crate::Error;
use crate::engine::{Place, Row, Table, checksum};
use pco::ChunkConfig;
use pco::standalone::simple_compress;
use pco::{DeltaSpec, ModeSpec};

pub(super) const VERSION: u8 = 1;

// How times are coded.
pub(super) const TIME_REGULAR: u8 = 0; // every `step`
pub(super) const TIME_GRID: u8 = 1; // every `step`, each a little off
const TIME_DELTAS: u8 = 2;
// How values are coded: 0 to 6 are decimals; or
pub(super) const VALUE_FLOAT: u8 = 7;
// or decimals, but for a few values that stand before them.
pub(super) const VALUE_EXCEPTIONS: u8 = 8;
// How lags are coded.
pub(super) const LAG_CONSTANT: u8 = 0;
const LAG_VARYING: u8 = 1;

/// Differences of the first order, or none, and no search for something cleverer: that is what measurements of water are.
fn config(order: usize) -> ChunkConfig {
    let delta = if order == 0 { DeltaSpec::NoOp } else { DeltaSpec::TryConsecutive(order) };
    ChunkConfig::default().with_compression_level(if order == 0 { 4 } else { 6 }).with_mode_spec(ModeSpec::Classic).with_delta_spec(delta)
}

/// Encodes points that ascend strictly in time, as the body of the row that will stand at `place`.
pub(crate) fn encode(points: &[Point], place: Place) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(points.len() * 2 + 64);
    out.push(VERSION);
    put_varint(&mut out, points.len() as u64);
    if let Some(first) = points.first() {
        put_varint(&mut out, zigzag(first.at));
        put_times(&mut out, points)?;
        put_values(&mut out, points)?;
        put_runs(&mut out, points.iter().map(|point| u64::from(point.quality)));
        put_lags(&mut out, points)?;
    }
    let sum = checksum(place, &out);
    out.extend_from_slice(&sum.to_le_bytes());
    Ok(out)
}

fn put_block(out: &mut Vec<u8>, block: &[u8]) {
    put_varint(out, block.len() as u64);
    out.extend_from_slice(block);
}

fn compress(out: &mut Vec<u8>, whole: &[i64], order: usize) -> Result<(), Error> {
    let block = simple_compress(whole, &config(order)).map_err(|cause| Error::Damaged { what: cause.to_string() })?;
    put_block(out, &block);
    Ok(())
}

fn put_times(out: &mut Vec<u8>, points: &[Point]) -> Result<(), Error> {
    let deltas: Vec<i64> = points.iter().zip(points.iter().skip(1)).map(|(a, b)| b.at - a.at).collect();
    let step = deltas.first().copied().unwrap_or(0);
    if deltas.iter().all(|delta| *delta == step) {
        out.push(TIME_REGULAR);
        put_varint(out, zigzag(step));
        return Ok(());
    }
    let divisor = [1_000_000, 1_000].into_iter().find(|unit| deltas.iter().all(|delta| delta % unit == 0)).unwrap_or(1);
    if let Some((step, offs)) = on_a_grid(points, &deltas) {
        out.push(TIME_GRID);
        put_varint(out, zigzag(step));
        put_varint(out, zigzag(divisor));
        return compress(out, &offs.iter().map(|off| off / divisor).collect::<Vec<_>>(), 0);
    }
    out.push(TIME_DELTAS);
    put_varint(out, zigzag(divisor));
    compress(out, &deltas.iter().map(|delta| delta / divisor).collect::<Vec<_>>(), 0)
}

/// A step of whole seconds that all points follow one by one, each less than half a step off, with the offs from the grid
/// that starts at the first point.
fn on_a_grid(points: &[Point], deltas: &[i64]) -> Option<(i64, Vec<i64>)> {
    let (first, last) = (points.first()?.at, points.last()?.at);
    let mean = (last - first) / i64::try_from(deltas.len()).ok()?;
    let step = (mean + 500_000) / 1_000_000 * 1_000_000;
    if step == 0 {
        return None;
    }
    let offs: Vec<i64> = (0_i64..).zip(points).map(|(index, point)| point.at - first - index * step).collect();
    offs.iter().all(|off| off.abs() < step / 2).then_some((step, offs))
}

fn put_values(out: &mut Vec<u8>, points: &[Point]) -> Result<(), Error> {
    let mut decimals = Decimals::default();
    if decimals.read(points.iter().map(|point| point.value)) {
        if !decimals.exceptions.is_empty() {
            out.push(VALUE_EXCEPTIONS);
            decimals.put_exceptions(out);
        }
        #[expect(clippy::cast_possible_truncation, reason = "0 to 6")]
        out.push(decimals.decimals as u8);
        return compress(out, &decimals.whole, 1);
    }
    out.push(VALUE_FLOAT);
    let values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let block = simple_compress(&values, &ChunkConfig::default()).map_err(|cause| Error::Damaged { what: cause.to_string() })?;
    put_block(out, &block);
    Ok(())
}

fn put_lags(out: &mut Vec<u8>, points: &[Point]) -> Result<(), Error> {
    let lags: Vec<i64> = points.iter().map(Point::lag_s).collect();
    let first = lags.first().copied().unwrap_or(0);
    if lags.iter().all(|lag| *lag == first) {
        out.push(LAG_CONSTANT);
        put_varint(out, zigzag(first));
        return Ok(());
    }
    out.push(LAG_VARYING);
    compress(out, &lags, 0)
}

/// Decodes what [`encode`] wrote into a row of `table`.
///
/// # Errors
/// [`Error::Damaged`] when a bit of it or of its key is not as it was written, or it was written for another key.
pub(crate) fn decode(table: Table, row: &Row) -> Result<Vec<Point>, Error> {
    let mut columns = Columns::default();
    columns.read(&row.body, Place::of(table, row))?;
    Ok(columns.points())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::column::from_decimal;

    /// `lcg` steps of a small generator: repeatable without a crate.
    fn noise(seed: u64) -> impl Iterator<Item = i64> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33).cast_signed() % 1000
        })
    }

    fn points(count: i64, at: impl Fn(i64, i64) -> i64, value: impl Fn(i64, i64) -> f64) -> Vec<Point> {
        (0..count)
            .zip(noise(7))
            .map(|(n, off)| {
                let at = at(n, off);
                let received_s = u32::try_from(at.div_euclid(1_000_000) + 3 + off % 2).expect("after 1970");
                Point { at, value: value(n, off), received_s, quality: if off > 900 { 0x80_0104 } else { 1 } }
            })
            .collect()
    }

    fn check(name: &str, points: &[Point]) {
        let mut row = Row { part: 7, at: -5, weight: 300, summary: Vec::new(), body: Vec::new() };
        row.body = encode(points, Place::of(Table::Chunk, &row)).expect(name);
        assert_eq!(decode(Table::Chunk, &row).expect(name), points, "{name}");
        for flip in 0..row.body.len() * 8 {
            let mut wrong = row.clone();
            if let Some(byte) = wrong.body.get_mut(flip / 8) {
                *byte ^= 1 << (flip % 8);
            }
            assert!(decode(Table::Chunk, &wrong).is_err(), "{name}: bit {flip} flipped and nobody saw it");
        }
        for bit in 0..64 {
            for wrong in [
                Row { part: row.part ^ 1 << bit, ..row.clone() },
                Row { at: row.at ^ 1 << bit, ..row.clone() },
                Row { weight: row.weight ^ 1 << bit, ..row.clone() },
            ] {
                assert!(decode(Table::Chunk, &wrong).is_err(), "{name}: bit {bit} of its key flipped and nobody saw it");
            }
        }
        assert!(decode(Table::Superseded, &row).is_err(), "{name}: a row of another table");
    }

    #[test]
    fn every_shape_of_series_comes_back_and_every_flipped_bit_is_seen() {
        let start = 1_767_225_600_000_000;
        let millimetres = |n: i64, off: i64| from_decimal(1420 + n + off % 3, 3);
        check("empty", &[]);
        check("one", &points(1, |_, _| start, millimetres));
        check("regular", &points(300, |n, _| start + n * 600_000_000, millimetres));
        check("jittered", &points(300, |n, off| start + n * 600_000_000 + (off % 500 - 250) * 1000, millimetres));
        check("holes", &points(300, |n, off| start + (n * 4 + off % 3) * 600_000_000, millimetres));
        check("microseconds", &points(300, |n, _| start + n, millimetres));
        check("floats", &points(300, |n, _| start + n * 1_000_000, |n, off| (n + off) as f64 * 0.1 + 1e-9));
        let odd = |n: i64, off: i64| if n % 40 == 3 { (n as f64).sqrt() } else { millimetres(n, off) };
        check("a few that are no decimals", &points(300, |n, _| start + n * 600_000_000, odd));
        check(
            "a few that are no numbers of sense",
            &points(300, |n, _| start + n, |n, off| if n % 99 == 0 { 1e300 } else { millimetres(n, off) }),
        );
        check("negative zero", &points(3, |n, _| start + n * 1_000_000, |_, _| -0.0));
        check("before 1970", &[Point { at: -3_786_912_000_000_000, value: 1.0, received_s: 1_767_225_600, quality: 2 }]);
    }
}
