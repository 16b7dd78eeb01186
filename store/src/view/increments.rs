//! What a counter counted, between its readings or by buckets.

use super::{Bucket, View};
use crate::Error;
use model::{Datastream, Increment, Interval, Observation, Timestamp, increments};

/// A reading this much before or after may still share what it counted with a bucket.
const REACH_S: i64 = 48 * 3600;
/// Readings that are looked at together.
pub(super) const READINGS: usize = 16_384;
/// Among so many after a silence one that can be used is looked for.
const AFTER: usize = 256;

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
        let (mut found, mut left) = (Vec::new(), interval);
        while let Some(part) = self.part(datastream, left)?
            && found.len() < limit
        {
            let readings = self.readings(datastream, part, interval.to)?;
            let inside = increments(&readings, &datastream.counter).into_iter().filter(|one| part.contains(one.to));
            found.extend(inside.take(limit - found.len()));
            left.from = part.to;
        }
        Ok(found)
    }

    /// The next part of an interval with no more than [`READINGS`], so that ten years take no more memory than a day.
    fn part(&self, datastream: &Datastream, left: Interval) -> Result<Option<Interval>, Error> {
        if left.is_empty() {
            return Ok(None);
        }
        let found = self.observations(datastream, left, READINGS)?;
        let full = found.last().filter(|_| found.len() == READINGS);
        Ok(Some(Interval::new(left.from, full.map_or(left.to, |last| last.phenomenon_time.plus_micros(1).min(left.to)))))
    }

    /// What a counter counted in each bucket of `interval`, ascending, at most `limit`. What was counted between two readings is
    /// shared among the buckets between them by time, so that the sum of the buckets is the difference of the index.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn increases(&self, datastream: &Datastream, interval: Interval, bucket: Bucket, limit: usize) -> Result<Vec<Increase>, Error> {
        let (mut rows, mut left) = (Vec::new(), interval);
        while let Some(part) = self.part(datastream, left)?
            && rows.len() < limit
        {
            // Whole buckets: what is shared between two parts would be two rows.
            let to = bucket.around(part.to.plus_micros(-1)).1.min(left.to);
            let part = Interval::new(part.from, if part.to < left.to { to } else { left.to });
            let room = limit - rows.len();
            rows.extend(self.increases_of(datastream, part, interval.to, bucket, room)?);
            left.from = part.to;
        }
        Ok(rows)
    }

    /// As [`View::increases`], of a part that is small enough to be in memory.
    pub(super) fn increases_of(
        &self,
        datastream: &Datastream,
        interval: Interval,
        whole_to: Timestamp,
        bucket: Bucket,
        limit: usize,
    ) -> Result<Vec<Increase>, Error> {
        let readings = self.readings(datastream, interval, whole_to)?;
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

    /// Usable readings of a part of an interval that ends at `whole_to`, and those around it that count into it.
    fn readings(&self, datastream: &Datastream, part: Interval, whole_to: Timestamp) -> Result<Vec<Observation>, Error> {
        let before = self.observations_before(datastream, part.from, 2)?;
        let from = before.first().map_or(part.from, |first| first.phenomenon_time);
        let around = Interval::new(from, part.to.plus_seconds(REACH_S));
        let mut readings = self.observations(datastream, around, usize::MAX)?;
        readings.retain(|reading| reading.quality.is_usable());
        // Where nothing was measured for long, what ends that silence says how long it was.
        if readings.last().is_none_or(|last| last.phenomenon_time < part.to) && part.to < whole_to {
            let later = Interval::new(around.to, whole_to.plus_seconds(REACH_S));
            readings.extend(self.observations(datastream, later, AFTER)?.into_iter().find(|one| one.quality.is_usable()));
        }
        Ok(readings)
    }
}
