//! How the water stands against its thresholds: a pure function of what was measured and of the time, so it can't freeze.
//! Rules: domain.md 4.4.

use crate::{Observation, Threshold, Timestamp, Trend};

/// Seconds without a valid sample after which a datastream is stale: three nominal periods.
#[must_use]
pub fn stale_after(period_s: u32) -> i64 {
    i64::from(period_s.max(1)) * 3
}

/// How far ahead of now a value may lie and still be of now, seconds: devices' clocks differ, and no more than this is let in by default.
/// What lies further ahead was measured by a clock that was wrong.
pub const MOST_AHEAD_S: i64 = 600;

/// Which thresholds are passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Nothing measured that could be judged, or it is too old.
    Unknown,
    Below,
    /// Over the k-th threshold, from 1.
    Over(u8),
}

/// What a datastream shows at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    pub level: Level,
    /// The last value is older than [`stale_after`]: it must not be shown as current.
    pub stale: bool,
    /// The one rate of rise that pages, lists and programs are told: [`rise_per_hour`] over the last 30 minutes, or four periods of
    /// a slow datastream, in the canonical unit per hour; `None` without enough fresh samples.
    pub rise_per_hour: Option<f64>,
}

impl Level {
    /// `unknown`, `below`, `over_1`, …
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Unknown => "unknown".into(),
            Self::Below => "below".into(),
            Self::Over(k) => format!("over_{k}"),
        }
    }
}

/// One sample of this much over a threshold is enough; otherwise two in a row are needed. Metres.
const CLEAR_OVERSHOOT: f64 = 0.10;
/// All samples of this long must lie under the clearing level to step down. Seconds.
const CLEAR_HOLD_S: i64 = 30 * 60;

/// How far under a threshold the water must lie to step down from it: 5 % of T2 − T1, at least 0.05 m.
#[must_use]
pub fn hysteresis(thresholds: &[&Threshold]) -> f64 {
    match thresholds {
        [first, second, ..] => (0.05 * (second.value - first.value)).max(0.05),
        _ => 0.05,
    }
}

/// The level after the samples of `recent` (ascending in time), with `thresholds` lowest first.
///
/// Steps up to k when two valid samples in a row are at or over T_k, or one is 0.10 m over it; steps down from k when
/// every valid sample of the last 30 minutes lies under T_k − H, with H = max(0.05 m, 5 % of T2 − T1).
/// Give it as many hours as there are: what lies before the first sample is taken as below.
#[must_use]
pub fn level(recent: &[Observation], thresholds: &[&Threshold]) -> Level {
    let hysteresis = hysteresis(thresholds);
    let mut reached = 0_usize;
    let mut before: Option<f64> = None;
    let mut judged = false;
    // When the samples were last at or over each threshold's clearing level.
    let mut last_high: Vec<Option<Timestamp>> = vec![None; thresholds.len()];
    for sample in recent.iter().filter(|sample| sample.quality.is_usable()) {
        judged = true;
        for ((index, threshold), high) in thresholds.iter().enumerate().zip(&mut last_high) {
            let twice = before.is_some_and(|earlier| earlier >= threshold.value) && sample.result >= threshold.value;
            if twice || sample.result >= threshold.value + CLEAR_OVERSHOOT {
                reached = reached.max(index + 1);
            }
            if sample.result >= threshold.value - hysteresis {
                *high = Some(sample.phenomenon_time);
            }
        }
        while reached > 0 {
            let held = last_high.get(reached - 1).copied().flatten();
            let cleared = held.is_none_or(|high| sample.phenomenon_time > high.plus_seconds(CLEAR_HOLD_S));
            if !cleared {
                break;
            }
            reached -= 1;
        }
        before = Some(sample.result);
    }
    match (judged, reached) {
        (false, _) => Level::Unknown,
        (true, 0) => Level::Below,
        (true, k) => Level::Over(u8::try_from(k).unwrap_or(u8::MAX)),
    }
}

/// A level that comes near its next threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Approach {
    /// Which of the thresholds, from 1.
    pub threshold: u8,
    /// Metres still missing; 0 when one sample has reached it and a second has yet to confirm that.
    pub missing_m: f64,
    /// Hours until it is reached at the present rate, when that is an hour or less.
    pub hours: Option<f64>,
}

/// Near a threshold is what lies within this share of T2 − T1 below it.
const NEAR_SHARE: f64 = 0.20;
/// The same where there is only one threshold. Metres.
const NEAR_ALONE_M: f64 = 0.30;
/// And what gets there within so many hours at the present rate of rise.
const NEAR_H: f64 = 1.0;

/// The next threshold (of `thresholds`, lowest first) that a current level of `value` metres is near: within 20 % of T2 − T1 below it,
/// within 0.30 m where there is only one, or there within the hour at the present rate. `None` when the state is stale or unknown.
#[must_use]
pub fn approach(value: f64, state: &State, thresholds: &[&Threshold]) -> Option<Approach> {
    let reached = match state.level {
        _ if state.stale => return None,
        Level::Unknown => return None,
        Level::Below => 0,
        Level::Over(k) => usize::from(k),
    };
    let next = thresholds.get(reached)?;
    let missing_m = (next.value - value).max(0.0);
    let near_m = match thresholds {
        [first, second, ..] => NEAR_SHARE * (second.value - first.value),
        _ => NEAR_ALONE_M,
    };
    let rise = state.rise_per_hour.filter(|rise| Trend::of(*rise) == Trend::Rising);
    let hours = rise.map(|rise| missing_m / rise).filter(|hours| *hours <= NEAR_H);
    let threshold = u8::try_from(reached + 1).ok()?;
    // A hair for what decimal fractions lose.
    (missing_m <= near_m + 1e-9 || hours.is_some()).then_some(Approach { threshold, missing_m, hours })
}

/// Slope of the samples (ascending in time), unit per hour: the median of all pairwise slopes (Theil–Sen), so that one bad
/// value does not turn the trend. `None` under three usable samples or under ten minutes.
#[must_use]
pub fn rise_per_hour(recent: &[Observation]) -> Option<f64> {
    const MOST: usize = 60;
    let usable: Vec<&Observation> = recent.iter().filter(|sample| sample.quality.is_usable()).collect();
    let (first, last) = (usable.first()?, usable.last()?);
    if usable.len() < 3 || last.phenomenon_time.seconds_since(first.phenomenon_time) < 600.0 {
        return None;
    }
    let stride = usable.len().div_ceil(MOST);
    // Counted from the newest, which must be among them.
    let picked: Vec<&&Observation> = usable.iter().rev().step_by(stride).collect();
    let mut slopes: Vec<f64> = Vec::with_capacity(picked.len() * picked.len() / 2);
    for (index, later) in picked.iter().enumerate() {
        for earlier in picked.iter().skip(index + 1) {
            let seconds = later.phenomenon_time.seconds_since(earlier.phenomenon_time);
            if seconds > 0.0 {
                slopes.push((later.result - earlier.result) / seconds * 3600.0);
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DatastreamId, Quality, Text, Validity};

    fn threshold(value: f64) -> Threshold {
        Threshold { value, label: Text::new("soglia", "threshold"), meaning: None, validity: Validity::default() }
    }

    fn samples(step_s: i64, values: &[f64]) -> Vec<Observation> {
        (0..)
            .zip(values)
            .map(|(n, value)| Observation {
                datastream: DatastreamId(0),
                phenomenon_time: Timestamp::from_seconds(1_700_000_000 + n * step_s),
                received_at: Timestamp::from_seconds(1_700_000_000 + n * step_s),
                result: *value,
                quality: Quality::GOOD,
            })
            .collect()
    }

    fn check(values: &[f64], expected: Level) {
        let (first, second) = (threshold(3.5), threshold(5.5));
        assert_eq!(level(&samples(300, values), &[&first, &second]), expected, "{values:?}");
    }

    #[test]
    fn a_level_is_reached_by_two_samples_or_by_one_clear_one() {
        check(&[], Level::Unknown);
        check(&[3.0, 3.4], Level::Below);
        check(&[3.0, 3.5], Level::Below);
        check(&[3.0, 3.5, 3.52], Level::Over(1));
        check(&[3.0, 3.61], Level::Over(1));
        check(&[3.0, 5.7], Level::Over(2));
    }

    #[test]
    fn it_steps_down_only_after_half_an_hour_under_the_clearing_level() {
        let mut values = vec![3.0, 3.7, 3.7];
        values.extend([3.45; 20]); // under T1, not under T1 − H: stays
        check(&values, Level::Over(1));
        values.extend([3.3; 6]);
        check(&values, Level::Over(1));
        values.extend([3.3; 2]);
        check(&values, Level::Below);
    }

    #[test]
    fn a_failed_sample_decides_nothing() {
        let first = threshold(3.5);
        let mut wild = samples(300, &[1.0, 1.0, 14.0]);
        if let Some(last) = wild.last_mut() {
            last.quality = Quality::GOOD.with(crate::QualityTest::GrossRange, crate::Flag::Fail);
        }
        assert_eq!(level(&wild, &[&first]), Level::Below);
    }

    #[test]
    fn near_is_a_fifth_of_the_step_below_the_next_threshold_or_an_hour_away() {
        let (first, second) = (threshold(3.5), threshold(5.5));
        let both = [&first, &second];
        let check = |value, level, rise, thresholds: &[&Threshold], expected: Option<(u8, bool)>| {
            let state = State { level, stale: false, rise_per_hour: rise };
            let found = approach(value, &state, thresholds).map(|near| (near.threshold, near.hours.is_some()));
            assert_eq!(found, expected, "{value} {level:?} {rise:?}");
        };
        check(3.09, Level::Below, None, &both, None);
        check(3.10, Level::Below, None, &both, Some((1, false)));
        check(3.10, Level::Below, Some(-0.5), &both, Some((1, false)));
        check(2.0, Level::Below, Some(1.49), &both, None);
        check(2.0, Level::Below, Some(1.50), &both, Some((1, true)));
        check(3.55, Level::Below, Some(0.1), &both, Some((1, true)));
        check(3.6, Level::Over(1), None, &both, None);
        check(5.2, Level::Over(1), Some(0.1), &both, Some((2, false)));
        check(6.0, Level::Over(2), Some(1.0), &both, None);
        check(3.19, Level::Below, None, &[&first], None);
        check(3.20, Level::Below, None, &[&first], Some((1, false)));
        check(3.4, Level::Unknown, Some(1.0), &both, None);
        check(3.4, Level::Below, Some(1.0), &[], None);
    }

    #[test]
    fn what_is_stale_comes_near_nothing() {
        let first = threshold(3.5);
        let state = State { level: Level::Below, stale: true, rise_per_hour: Some(2.0) };
        assert_eq!(approach(3.4, &state, &[&first]), None);
    }

    #[test]
    fn one_wild_value_does_not_turn_the_trend() {
        let mut values: Vec<f64> = (0..13).map(|n| 1.0 + f64::from(n) * 0.01).collect();
        if let Some(middle) = values.get_mut(6) {
            *middle = 9.0;
        }
        let rise = rise_per_hour(&samples(300, &values)).expect("enough samples");
        assert!((rise - 0.12).abs() < 1e-9, "{rise}");
    }
}
