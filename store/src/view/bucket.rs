//! Aggregates over buckets of time, computed from the observations themselves, so that late ones count.

use super::View;
use super::runs::is_usable;
use crate::Error;
use crate::chunk::Point;
use model::{Datastream, Interval, SignalClass, Timestamp, civil_day_around};
use std::ops::ControlFlow;

/// How long one row of an aggregate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Aligned to UTC, seconds; 900 or 3600 divide every civil hour of Italy.
    Seconds(i64),
    /// A civil day of Europe/Rome: 23, 24 or 25 hours.
    CivilDay,
}

/// One row of an aggregate over `[start, end)`, or over `(start, end]` of a quantity whose times are the ends of intervals, such as rain;
/// buckets without usable observations have no row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketRow {
    pub start: Timestamp,
    pub end: Timestamp,
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    /// First time at which `max` was seen.
    pub max_at: Timestamp,
    pub first: f64,
    pub last: f64,
    pub sum: f64,
    pub count: u64,
}

impl Bucket {
    /// The bucket `[start, end)` that holds an instant.
    #[must_use]
    pub fn around(self, at: Timestamp) -> (Timestamp, Timestamp) {
        match self {
            Self::Seconds(width) => {
                let width = width.max(1);
                let start = at.seconds().div_euclid(width) * width;
                (Timestamp::from_seconds(start), Timestamp::from_seconds(start + width))
            }
            Self::CivilDay => {
                let day = civil_day_around(at);
                (day.from, day.to)
            }
        }
    }
}

impl View {
    /// Aggregates of the usable observations (quality 1 or 2) of `interval`, ascending; at most `limit` rows. A bucket that
    /// the interval cuts holds only what lies inside. The time of an interval quantity is its interval's end: of those the
    /// interval and its buckets are `(from, to]`, so that what fell until 24:00 is of the day that ends then.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn buckets(&self, datastream: &Datastream, interval: Interval, bucket: Bucket, limit: usize) -> Result<Vec<BucketRow>, Error> {
        let Some(id) = self.gate(datastream) else { return Ok(Vec::new()) };
        let mut rows: Vec<BucketRow> = Vec::new();
        let (interval, into) = match datastream.class {
            SignalClass::Interval => {
                let after = |at: Timestamp| if at == Timestamp::MIN { at } else { at.plus_micros(1) };
                (Interval::new(after(interval.from), after(interval.to)), Filling { bucket, ends_with: 1, limit })
            }
            _ => (interval, Filling { bucket, ends_with: 0, limit }),
        };
        let (here, flow) = self.visit_beyond(id, interval, usize::MAX, &mut |point| add(&mut rows, point, into))?;
        if flow.is_continue() {
            self.usable_here(id, here, |times, values| add_all(&mut rows, times, values, into))?;
        }
        for row in &mut rows {
            #[expect(clippy::cast_precision_loss, reason = "a count of observations")]
            let count = row.count as f64;
            row.mean = row.sum / count;
        }
        Ok(rows)
    }
}

/// How values go into buckets.
#[derive(Clone, Copy)]
struct Filling {
    bucket: Bucket,
    /// Microseconds at its end that a bucket holds too: 1 where a bucket is `(start, end]`.
    ends_with: i64,
    limit: usize,
}

/// Adds usable values of ascending times: [`add`] of each, bucket by bucket.
fn add_all(rows: &mut Vec<BucketRow>, mut times: &[i64], mut values: &[f64], into: Filling) -> ControlFlow<()> {
    while let (Some(at), Some(value)) = (times.first(), values.first()) {
        if rows.last().is_none_or(|row| *at >= row.end.micros().saturating_add(into.ends_with)) {
            if rows.len() >= into.limit {
                return ControlFlow::Break(());
            }
            rows.push(BucketRow::of(Timestamp::from_micros(*at), *value, into));
        }
        let Some(row) = rows.last_mut() else { return ControlFlow::Continue(()) };
        let end = row.end.micros().saturating_add(into.ends_with);
        let inside = times.iter().position(|at| *at >= end).unwrap_or(times.len());
        let (mine, later) = values.split_at_checked(inside).unwrap_or((values, &[]));
        row.take(times, mine);
        (times, values) = (times.get(inside..).unwrap_or_default(), later);
    }
    ControlFlow::Continue(())
}

impl BucketRow {
    /// The bucket around this time, with nothing in it yet: `value` is there for what it will be the least and the greatest of.
    fn of(at: Timestamp, value: f64, into: Filling) -> Self {
        let (start, end) = into.bucket.around(at.plus_micros(-into.ends_with));
        Self { start, end, min: value, mean: value, max: value, max_at: at, first: value, last: value, sum: 0.0, count: 0 }
    }

    fn take(&mut self, times: &[i64], values: &[f64]) {
        for (at, value) in times.iter().zip(values) {
            self.min = self.min.min(*value);
            if *value > self.max {
                (self.max, self.max_at) = (*value, Timestamp::from_micros(*at));
            }
            self.sum += *value;
        }
        self.last = values.last().copied().unwrap_or(self.last);
        self.count += values.len() as u64;
    }
}

fn add(rows: &mut Vec<BucketRow>, point: Point, into: Filling) -> ControlFlow<()> {
    if is_usable(point.quality) { add_all(rows, &[point.at], &[point.value], into) } else { ControlFlow::Continue(()) }
}
