//! What a counter has counted: a number that only grows, until it rolls over, is reset or its meter is replaced.

use crate::{Observation, Timestamp};

/// A drop of no more than this share is water, or current, that went back; more is a reset. Source: domain rule of the house.
const BACKFLOW: f64 = 0.005;
/// A counter rolls over from the last tenth of its width into the first.
const NEAR_END: f64 = 0.1;

/// How a counter is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counter {
    /// Where it begins again from zero, in the datastream's unit: 10^digits of an index, 2^bits times the scale of a register.
    pub wraps_at: Option<f64>,
    /// Meters that were replaced, ascending in time.
    pub replaced: Vec<MeterChange>,
}

/// A meter was replaced: its last index, and the first of the new one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeterChange {
    pub at: Timestamp,
    pub last: f64,
    pub first: f64,
}

/// Why an increment is not simply the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterStep {
    Plain,
    Rollover,
    /// It began again from zero: what was counted before the reset and after the last reading is not known.
    Reset,
    Replaced,
    /// A little less than before: kept as it is.
    Backflow,
}

/// What was counted from one reading to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Increment {
    pub from: Timestamp,
    pub to: Timestamp,
    pub amount: f64,
    pub step: CounterStep,
}

/// What a counter counted between its readings (usable ones, ascending in time). A single reading below its neighbours, which the
/// next one takes back, is a glitch and is passed over: its zero would count everything again.
#[must_use]
pub fn increments(readings: &[Observation], counter: &Counter) -> Vec<Increment> {
    let mut found = Vec::with_capacity(readings.len());
    let mut before: Option<&Observation> = None;
    for (place, reading) in readings.iter().enumerate() {
        let Some(last) = before else {
            before = Some(reading);
            continue;
        };
        let next = readings.get(place + 1);
        let change = counter.replaced.iter().find(|change| last.phenomenon_time < change.at && change.at <= reading.phenomenon_time);
        let is_glitch = reading.result < last.result
            && change.is_none()
            && next.is_some_and(|next| next.result >= last.result)
            && !counter.rolls_over(last.result, reading.result);
        if is_glitch {
            continue;
        }
        let (amount, step) = counter.between(last.result, reading.result, change);
        found.push(Increment { from: last.phenomenon_time, to: reading.phenomenon_time, amount, step });
        before = Some(reading);
    }
    found
}

impl Counter {
    fn rolls_over(&self, last: f64, now: f64) -> bool {
        self.wraps_at.is_some_and(|width| now < last && last >= width * (1.0 - NEAR_END) && now <= width * NEAR_END)
    }

    fn between(&self, last: f64, now: f64, change: Option<&MeterChange>) -> (f64, CounterStep) {
        if let Some(change) = change {
            return ((change.last - last) + (now - change.first), CounterStep::Replaced);
        }
        if now >= last {
            return (now - last, CounterStep::Plain);
        }
        if let Some(width) = self.wraps_at.filter(|_| self.rolls_over(last, now)) {
            return (width - last + now, CounterStep::Rollover);
        }
        if last - now <= last.abs() * BACKFLOW {
            return (now - last, CounterStep::Backflow);
        }
        (now, CounterStep::Reset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DatastreamId, Quality};

    fn readings(values: &[f64]) -> Vec<Observation> {
        let reading = |(hour, value): (i64, &f64)| Observation {
            datastream: DatastreamId(0),
            phenomenon_time: Timestamp::from_seconds(hour * 3600),
            received_at: Timestamp::from_seconds(hour * 3600),
            result: *value,
            quality: Quality::GOOD,
        };
        (0..).zip(values).map(reading).collect()
    }

    fn check(values: &[f64], counter: &Counter, expected: &[(f64, CounterStep)]) {
        let found: Vec<_> = increments(&readings(values), counter).iter().map(|one| (one.amount, one.step)).collect();
        assert_eq!(found, expected, "{values:?}");
    }

    // Check value 999 812 → 000 231 = 419: domain.md 4.7.
    #[test]
    fn a_counter_rolls_over_at_its_width_is_reset_to_zero_and_may_run_back_a_little() {
        use CounterStep::{Backflow, Plain, Reset, Rollover};
        let six_digits = Counter { wraps_at: Some(1e6), ..Counter::default() };
        check(&[999_812.0, 231.0, 240.0], &six_digits, &[(419.0, Rollover), (9.0, Plain)]);
        check(&[999_812.0, 231.0], &Counter::default(), &[(231.0, Reset)]);
        check(&[500.0, 3.0, 5.0], &six_digits, &[(3.0, Reset), (2.0, Plain)]);
        check(&[1000.0, 998.0, 1001.0], &Counter::default(), &[(1.0, Plain)]);
        check(&[1000.0, 998.0, 999.0], &Counter::default(), &[(-2.0, Backflow), (1.0, Plain)]);
        check(&[], &six_digits, &[]);
        check(&[7.0], &six_digits, &[]);
    }

    #[test]
    fn one_reading_that_falls_to_zero_and_back_counts_nothing() {
        use CounterStep::Plain;
        check(&[1000.0, 0.0, 1002.0, 1003.0], &Counter::default(), &[(2.0, Plain), (1.0, Plain)]);
        let increments = increments(&readings(&[1000.0, 0.0, 1002.0]), &Counter::default());
        assert_eq!((increments[0].from, increments[0].to), (Timestamp::from_seconds(0), Timestamp::from_seconds(7200)));
        // Two in a row are no glitch.
        check(&[1000.0, 0.0, 1.0, 2.0], &Counter::default(), &[(0.0, CounterStep::Reset), (1.0, Plain), (1.0, Plain)]);
    }

    #[test]
    fn a_replaced_meter_goes_on_where_the_old_one_ended() {
        let change = MeterChange { at: Timestamp::from_seconds(5400), last: 1010.0, first: 4.0 };
        let counter = Counter { replaced: vec![change], ..Counter::default() };
        check(
            &[1000.0, 1005.0, 10.0, 12.0],
            &counter,
            &[(5.0, CounterStep::Plain), (11.0, CounterStep::Replaced), (2.0, CounterStep::Plain)],
        );
        // Also when the new one stands higher.
        check(&[1000.0, 1005.0, 2000.0], &counter, &[(5.0, CounterStep::Plain), (2001.0, CounterStep::Replaced)]);
    }
}
