//! A chunk: the points of one datastream, ascending in time, as columns.
//!
//! Layout: version, count, first time, then time, value, quality and arrival lag, then CRC-32 of all before it.
//! Values that are decimals (nearly all sensors) become whole numbers, whose differences pco codes in a few bits;
//! others are coded by pco as they are. Everything comes back bit by bit.

use super::Point;
use super::column::{Reader, as_decimal, decimals_of, from_decimal, put_runs, put_varint, read_runs, zigzag};
use crate::Error;
use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};
use pco::{DeltaSpec, ModeSpec};

const VERSION: u8 = 1;

// How times are coded.
const TIME_REGULAR: u8 = 0; // every `step`
const TIME_GRID: u8 = 1; // every `step`, each a little off
const TIME_DELTAS: u8 = 2;
// How values are coded: 0 to 6 are decimals; or
const VALUE_FLOAT: u8 = 7;
// How lags are coded.
const LAG_CONSTANT: u8 = 0;
const LAG_VARYING: u8 = 1;

/// Differences of the first order, or none, and no search for something cleverer: that is what measurements of water are.
fn config(order: usize) -> ChunkConfig {
    let delta = if order == 0 { DeltaSpec::NoOp } else { DeltaSpec::TryConsecutive(order) };
    ChunkConfig::default().with_compression_level(4).with_mode_spec(ModeSpec::Classic).with_delta_spec(delta)
}

/// Encodes points that ascend strictly in time.
pub(crate) fn encode(points: &[Point]) -> Result<Vec<u8>, Error> {
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
    let sum = crc32fast::hash(&out);
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
    let decimals = points.iter().try_fold(0, |decimals, point| decimals_of(point.value, decimals));
    if let Some(decimals) = decimals {
        let whole: Option<Vec<i64>> = points.iter().map(|point| as_decimal(point.value, decimals)).collect();
        if let Some(whole) = whole {
            #[expect(clippy::cast_possible_truncation, reason = "0 to 6")]
            out.push(decimals as u8);
            return compress(out, &whole, 1);
        }
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

/// Decodes what [`encode`] wrote.
///
/// # Errors
/// [`Error::Damaged`] when a bit of it is not as it was written.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<Point>, Error> {
    let damaged = |what: &str| Error::Damaged { what: format!("a chunk: {what}") };
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("too short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return Err(damaged("its checksum does not match"));
    }
    let mut reader = Reader::new(body);
    if reader.byte()? != VERSION {
        return Err(damaged("written by a newer pescaia"));
    }
    let count = reader.length()?;
    let mut points = vec![Point { at: 0, value: 0.0, received_s: 0, quality: 0 }; count];
    if count == 0 {
        return Ok(points);
    }
    let first = reader.zigzag()?;
    read_times(&mut reader, first, &mut points)?;
    match reader.byte()? {
        VALUE_FLOAT => {
            let values: Vec<f64> = simple_decompress(reader.block()?).map_err(|cause| damaged(&cause.to_string()))?;
            set_each(&mut points, values, |point, value| point.value = value)?;
        }
        decimals => {
            let whole = whole_numbers(&mut reader)?;
            set_each(&mut points, whole, |point, value| point.value = from_decimal(value, usize::from(decimals)))?;
        }
    }
    read_runs(&mut reader, count, |place, value| {
        if let Some(point) = points.get_mut(place) {
            point.quality = u16::try_from(value).unwrap_or(0);
        }
    })?;
    let set_lag = |point: &mut Point, lag: i64| {
        point.received_s = u32::try_from(point.at.div_euclid(1_000_000) + lag).unwrap_or(0);
    };
    if reader.byte()? == LAG_CONSTANT {
        let lag = reader.zigzag()?;
        points.iter_mut().for_each(|point| set_lag(point, lag));
    } else {
        let lags = whole_numbers(&mut reader)?;
        set_each(&mut points, lags, set_lag)?;
    }
    Ok(points)
}

fn whole_numbers(reader: &mut Reader<'_>) -> Result<Vec<i64>, Error> {
    simple_decompress(reader.block()?).map_err(|cause| Error::Damaged { what: format!("a column: {cause}") })
}

fn set_each<T: Copy>(points: &mut [Point], values: Vec<T>, set: impl Fn(&mut Point, T)) -> Result<(), Error> {
    if values.len() != points.len() {
        return Err(Error::Damaged { what: "a column of another length".into() });
    }
    points.iter_mut().zip(values).for_each(|(point, value)| set(point, value));
    Ok(())
}

fn read_times(reader: &mut Reader<'_>, first: i64, points: &mut [Point]) -> Result<(), Error> {
    let times = (0_i64..).zip(points.iter_mut());
    match reader.byte()? {
        TIME_REGULAR => {
            let step = reader.zigzag()?;
            times.for_each(|(index, point)| point.at = first.wrapping_add(index.wrapping_mul(step)));
        }
        TIME_GRID => {
            let (step, divisor) = (reader.zigzag()?, reader.zigzag()?);
            let offs = whole_numbers(reader)?;
            if offs.len() != points.len() {
                return Err(Error::Damaged { what: "a column of another length".into() });
            }
            for ((index, point), off) in (0_i64..).zip(points.iter_mut()).zip(offs) {
                point.at = first.wrapping_add(index.wrapping_mul(step)).wrapping_add(off.wrapping_mul(divisor));
            }
        }
        _ => {
            let divisor = reader.zigzag()?;
            let deltas = whole_numbers(reader)?;
            if deltas.len() + 1 != points.len() {
                return Err(Error::Damaged { what: "a column of another length".into() });
            }
            let mut at = first;
            for (point, delta) in points.iter_mut().zip(std::iter::once(0).chain(deltas)) {
                at = at.wrapping_add(delta.wrapping_mul(divisor));
                point.at = at;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
                Point { at, value: value(n, off), received_s, quality: if off > 900 { 0x0104 } else { 1 } }
            })
            .collect()
    }

    fn check(name: &str, points: &[Point]) {
        let bytes = encode(points).expect(name);
        assert_eq!(decode(&bytes).expect(name), points, "{name}");
        for flip in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            if let Some(byte) = wrong.get_mut(flip / 8) {
                *byte ^= 1 << (flip % 8);
            }
            assert!(decode(&wrong).is_err(), "{name}: bit {flip} flipped and nobody saw it");
        }
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
        check("negative zero", &points(3, |n, _| start + n * 1_000_000, |_, _| -0.0));
        check("before 1970", &[Point { at: -3_786_912_000_000_000, value: 1.0, received_s: 1_767_225_600, quality: 2 }]);
    }
}
