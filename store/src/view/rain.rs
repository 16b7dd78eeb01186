//! Rain, summed: what a gauge's values mean only together. A value of rain stands for the interval that ends at its time, so that
//! every window and bar here is `(start, end]`.

use super::View;
use super::bucket::Bucket;
use crate::Error;
use model::{CounterStep, Datastream, Increment, Interval, ObservedProperty, RAIN_WINDOWS_H, RainSums, Timestamp};

/// What fell in `(start, end]`, millimetres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RainBar {
    pub start: Timestamp,
    pub end: Timestamp,
    pub sum: f64,
}

/// `(from, to]` as the interval `[from, to)` that holds the same instants: times are whole microseconds.
fn by_end(from: Timestamp, to: Timestamp) -> Interval {
    Interval::new(from.plus_micros(1), to.plus_micros(1))
}

impl View {
    /// What fell in the windows of [`RAIN_WINDOWS_H`] up to `end`, for rain gauges; `None` for all other datastreams.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn rain_sums(&self, datastream: &Datastream, end: Timestamp) -> Result<Option<RainSums>, Error> {
        if !datastream.property.is_rain() {
            return Ok(None);
        }
        let longest_s = RAIN_WINDOWS_H.iter().copied().max().unwrap_or(0) * 3600;
        let falls = self.falls(datastream, by_end(end.plus_seconds(-longest_s), end))?;
        Ok(Some(RainSums::of(&falls, end, datastream.period_s)))
    }

    /// What fell in each bucket of `width_s` seconds (aligned to UTC) that touches `(from, to]`, ascending; dry ones that were measured
    /// are there with 0. A value belongs to the bucket in which its interval ends.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn rain_bars(&self, datastream: &Datastream, interval: Interval, width_s: i64) -> Result<Vec<RainBar>, Error> {
        let (bucket, mut bars) = (Bucket::Seconds(width_s), Vec::<RainBar>::new());
        let mut add = |at: Timestamp, amount: f64| {
            let (start, end) = bucket.around(at.plus_micros(-1));
            match bars.last_mut().filter(|last| last.end == end) {
                Some(last) => last.sum += amount,
                None => bars.push(RainBar { start, end, sum: amount }),
            }
        };
        let interval = by_end(interval.from, interval.to);
        if datastream.property == ObservedProperty::RainCounter {
            self.increments(datastream, interval, usize::MAX)?.iter().for_each(|fall| add(fall.to, fall.amount));
        } else {
            self.each_usable(datastream, interval, |times, values| {
                times.iter().zip(values).for_each(|(at, value)| add(Timestamp::from_micros(*at), *value));
            })?;
        }
        Ok(bars)
    }

    /// What fell from value to value, those that end in `interval`, ascending. After a gap a value stands for one period: what fell
    /// before is not in it.
    fn falls(&self, datastream: &Datastream, interval: Interval) -> Result<Vec<Increment>, Error> {
        if datastream.property == ObservedProperty::RainCounter {
            return self.increments(datastream, interval, usize::MAX);
        }
        let period_s = i64::from(datastream.period_s.max(1));
        let (mut falls, mut before): (Vec<Increment>, Option<Timestamp>) = (Vec::new(), None);
        let around = Interval::new(interval.from.plus_seconds(-2 * period_s), interval.to);
        self.each_usable(datastream, around, |times, values| {
            for (at, value) in times.iter().zip(values) {
                let to = Timestamp::from_micros(*at);
                // Sampling trembles: the interval before the usual time since the value before belongs to this one.
                let near = before.filter(|before| to.seconds_since(*before) <= 1.5 * f64::from(datastream.period_s.max(1)));
                let from = near.unwrap_or_else(|| to.plus_seconds(-period_s));
                before = Some(to);
                if interval.contains(to) {
                    falls.push(Increment { from, to, amount: *value, step: CounterStep::Plain });
                }
            }
        })?;
        Ok(falls)
    }
}
