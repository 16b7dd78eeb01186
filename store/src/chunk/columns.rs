//! A chunk as the columns that it is coded in: what sums over many observations never makes points of them.

use super::codec::{LAG_CONSTANT, TIME_GRID, TIME_REGULAR, VALUE_EXCEPTIONS, VALUE_FLOAT, VERSION};
use super::column::{Reader, fill_from_decimals, read_exceptions, read_runs};
use super::point::Point;
use crate::Error;
use crate::engine::{Place, checksum};
use pco::standalone::simple_decompress_into;
use std::ops::{ControlFlow, Range};

/// The points of a chunk, ascending in time. Made once and read into again and again.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// µs.
    pub(crate) times: Vec<i64>,
    pub(crate) values: Vec<f64>,
    /// Quality, and the place after the last that has it.
    qualities: Vec<(u32, usize)>,
    /// Whole seconds from phenomenon to arrival; one for all where they are the same.
    lags: Vec<i64>,
    /// Room for a column of whole numbers.
    whole: Vec<i64>,
}

impl Columns {
    /// Reads what [`super::codec::encode`] wrote.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a bit of it or of its key is not as it was written, or it was written for another key; the columns are not to be
    /// used then.
    pub(crate) fn read(&mut self, bytes: &[u8], place: Place) -> Result<(), Error> {
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("too short"))?;
        if checksum(place, body) != u32::from_le_bytes(*sum) {
            return Err(damaged("its checksum does not match"));
        }
        let mut reader = Reader::new(body);
        if reader.byte()? != VERSION {
            return Err(damaged("of a version that this pescaia does not know; use a newer one"));
        }
        let count = reader.length()?;
        self.times.clear();
        self.values.clear();
        self.qualities.clear();
        self.lags.clear();
        if count == 0 {
            return Ok(());
        }
        let first = reader.zigzag()?;
        self.read_times(&mut reader, first, count)?;
        self.read_values(&mut reader, count)?;
        let qualities = &mut self.qualities;
        read_runs(&mut reader, count, |quality, end| qualities.push((u32::try_from(quality).unwrap_or(0), end)))?;
        if reader.byte()? == LAG_CONSTANT {
            self.lags.push(reader.zigzag()?);
        } else {
            read_whole(&mut reader, count, &mut self.whole)?;
            std::mem::swap(&mut self.lags, &mut self.whole);
        }
        Ok(())
    }

    fn read_times(&mut self, reader: &mut Reader<'_>, first: i64, count: usize) -> Result<(), Error> {
        match reader.byte()? {
            TIME_REGULAR => {
                let step = reader.zigzag()?;
                self.times.extend((0_i64..).take(count).map(|index| first.wrapping_add(index.wrapping_mul(step))));
            }
            TIME_GRID => {
                let (step, divisor) = (reader.zigzag()?, reader.zigzag()?);
                read_whole(reader, count, &mut self.whole)?;
                let of = |(index, off): (i64, &i64)| first.wrapping_add(index.wrapping_mul(step)).wrapping_add(off.wrapping_mul(divisor));
                self.times.extend((0_i64..).zip(&self.whole).map(of));
            }
            _ => {
                let divisor = reader.zigzag()?;
                read_whole(reader, count - 1, &mut self.whole)?;
                let mut at = first;
                self.times.push(first);
                self.times.extend(self.whole.iter().map(|delta| {
                    at = at.wrapping_add(delta.wrapping_mul(divisor));
                    at
                }));
            }
        }
        Ok(())
    }

    fn read_values(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), Error> {
        match reader.byte()? {
            VALUE_FLOAT => {
                self.values.resize(count, 0.0);
                decompress(reader.block()?, &mut self.values)
            }
            VALUE_EXCEPTIONS => {
                let mut exceptions = Vec::new();
                read_exceptions(reader, |place, value| exceptions.push((place, value)))?;
                let decimals = reader.byte()?;
                self.read_decimals(reader, count, decimals)?;
                for (place, value) in exceptions {
                    *self.values.get_mut(place).ok_or_else(|| damaged("an exception without a place"))? = value;
                }
                Ok(())
            }
            decimals => self.read_decimals(reader, count, decimals),
        }
    }

    fn read_decimals(&mut self, reader: &mut Reader<'_>, count: usize, decimals: u8) -> Result<(), Error> {
        read_whole(reader, count, &mut self.whole)?;
        fill_from_decimals(&self.whole, usize::from(decimals), &mut self.values);
        Ok(())
    }

    pub(crate) fn points(&self) -> Vec<Point> {
        let mut points = Vec::with_capacity(self.times.len());
        let _ = self.each_point(0..self.times.len(), &mut |point| {
            points.push(point);
            ControlFlow::Continue(())
        });
        points
    }

    /// Gives the points at these places to `each` until it breaks.
    pub(crate) fn each_point(&self, places: Range<usize>, each: &mut impl FnMut(Point) -> ControlFlow<()>) -> ControlFlow<()> {
        let constant = if let [lag] = self.lags.as_slice() { Some(*lag) } else { None };
        for (quality, run) in self.runs(places) {
            let (times, values) = (self.times.get(run.clone()).unwrap_or_default(), self.values.get(run.clone()).unwrap_or_default());
            for (place, (at, value)) in run.zip(times.iter().zip(values)) {
                let lag = constant.or_else(|| self.lags.get(place).copied()).unwrap_or(0);
                let received_s = u32::try_from(at.div_euclid(1_000_000) + lag).unwrap_or(0);
                each(Point { at: *at, value: *value, received_s, quality })?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Runs of the same quality among these places.
    pub(crate) fn runs(&self, places: Range<usize>) -> impl Iterator<Item = (u32, Range<usize>)> {
        let begins = std::iter::once(0).chain(self.qualities.iter().map(|(_, end)| *end));
        let runs =
            begins.zip(&self.qualities).map(move |(begin, (quality, end))| (*quality, begin.max(places.start)..(*end).min(places.end)));
        runs.filter(|(_, run)| !run.is_empty())
    }

    /// The places of the times of `[from, to)`.
    pub(crate) fn within(&self, from: i64, to: i64) -> Range<usize> {
        self.times.partition_point(|at| *at < from)..self.times.partition_point(|at| *at < to)
    }
}

fn damaged(what: &str) -> Error {
    Error::Damaged { what: format!("a chunk: {what}") }
}

/// A column of `count` whole numbers.
fn read_whole(reader: &mut Reader<'_>, count: usize, whole: &mut Vec<i64>) -> Result<(), Error> {
    whole.resize(count, 0);
    decompress(reader.block()?, whole)
}

fn decompress<T: pco::data_types::Number>(block: &[u8], column: &mut [T]) -> Result<(), Error> {
    let progress = simple_decompress_into(block, column).map_err(|cause| Error::Damaged { what: format!("a column: {cause}") })?;
    if progress.n_processed != column.len() || !progress.finished {
        return Err(Error::Damaged { what: "a column of another length".into() });
    }
    Ok(())
}
