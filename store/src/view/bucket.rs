//! Aggregates over buckets of time, computed from the observations themselves, so that late ones count.

use super::View;
use crate::Error;
use crate::chunk::Point;
use model::{Datastream, Interval, Quality, Timestamp, civil_day_around};
use std::ops::ControlFlow;

/// How long one row of an aggregate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Aligned to UTC, seconds; 900 or 3600 divide every civil hour of Italy.
    Seconds(i64),
    /// A civil day of Europe/Rome: 23, 24 or 25 hours.
    CivilDay,
}

/// One row of an aggregate over `[start, end)`; buckets without usable observations have no row.
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
    /// the interval cuts holds only what lies inside.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn buckets(&self, datastream: &Datastream, interval: Interval, bucket: Bucket, limit: usize) -> Result<Vec<BucketRow>, Error> {
        let Some(id) = self.gate(datastream) else { return Ok(Vec::new()) };
        let mut rows: Vec<BucketRow> = Vec::new();
        self.visit(id, interval, |point| add(&mut rows, point, bucket, limit))?;
        for row in &mut rows {
            #[expect(clippy::cast_precision_loss, reason = "a count of observations")]
            let count = row.count as f64;
            row.mean = row.sum / count;
        }
        Ok(rows)
    }
}

fn add(rows: &mut Vec<BucketRow>, point: Point, bucket: Bucket, limit: usize) -> ControlFlow<()> {
    if !Quality::from_bits(point.quality).is_some_and(Quality::is_usable) {
        return ControlFlow::Continue(());
    }
    let at = Timestamp::from_micros(point.at);
    let value = point.value;
    if let Some(row) = rows.last_mut()
        && at < row.end
    {
        row.min = row.min.min(value);
        if value > row.max {
            (row.max, row.max_at) = (value, at);
        }
        row.last = value;
        row.sum += value;
        row.count += 1;
        return ControlFlow::Continue(());
    }
    if rows.len() >= limit {
        return ControlFlow::Break(());
    }
    let (start, end) = bucket.around(at);
    rows.push(BucketRow { start, end, min: value, mean: value, max: value, max_at: at, first: value, last: value, sum: value, count: 1 });
    ControlFlow::Continue(())
}
