//! What a counter counted, between its readings or by buckets.

use super::{Bucket, View};
use crate::Error;
use model::{Datastream, Increment, Interval, Observation, Timestamp, increments};

/// A reading this much before or after may still share what it counted with a bucket.
const REACH_S: i64 = 48 * 3600;

/// What was counted in a bucket `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Increase {
    pub start: Timestamp,
    pub end: Timestamp,
    /// `None` where readings lie more than 48 hours apart: how much of it was in this bucket nobody knows.
    pub amount: Option<f64>,
}

impl View {
    /// What a counter counted from reading to reading, ascending: those that end in `interval`, at most `limit`.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn increments(&self, datastream: &Datastream, interval: Interval, limit: usize) -> Result<Vec<Increment>, Error> {
        let readings = self.readings(datastream, interval)?;
        let inside = increments(&readings, &datastream.counter).into_iter().filter(|one| interval.contains(one.to));
        Ok(inside.take(limit).collect())
    }

    /// What a counter counted in each bucket of `interval`, ascending, at most `limit`. What was counted between two readings is
    /// shared among the buckets between them by time, so that the sum of the buckets is the difference of the index.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn increases(&self, datastream: &Datastream, interval: Interval, bucket: Bucket, limit: usize) -> Result<Vec<Increase>, Error> {
        let readings = self.readings(datastream, interval)?;
        let mut rows: Vec<Increase> = Vec::new();
        for one in increments(&readings, &datastream.counter) {
            let span = Interval::new(one.from.max(interval.from), one.to.min(interval.to));
            let per_second = one.amount / one.to.seconds_since(one.from);
            let is_near = one.to.seconds() - one.from.seconds() <= REACH_S;
            let mut at = span.from;
            while at < span.to {
                let (start, end) = bucket.around(at);
                let upto = end.min(span.to);
                let share =
                    is_near.then(|| if at == one.from && upto == one.to { one.amount } else { per_second * upto.seconds_since(at) });
                if let Some(last) = rows.last_mut().filter(|last| last.start == start) {
                    last.amount = last.amount.zip(share).map(|(sum, share)| sum + share);
                } else if rows.len() >= limit {
                    return Ok(rows);
                } else {
                    rows.push(Increase { start, end, amount: share });
                }
                at = upto;
            }
        }
        Ok(rows)
    }

    /// Usable readings of an interval, and those around it that count into it.
    fn readings(&self, datastream: &Datastream, interval: Interval) -> Result<Vec<Observation>, Error> {
        let before = self.observations_before(datastream, interval.from, 2)?;
        let from = before.first().map_or(interval.from, |first| first.phenomenon_time);
        let around = Interval::new(from, interval.to.plus_seconds(REACH_S));
        let mut readings = self.observations(datastream, around, usize::MAX)?;
        readings.retain(|reading| reading.quality.is_usable());
        Ok(readings)
    }
}
