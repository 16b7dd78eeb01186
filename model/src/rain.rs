//! How much it has rained over the last hours. A rain gauge's newest value says how much fell since the one before: of the rain it
//! says nothing until it is summed. Windows: domain.md 4.3.

use crate::{Increment, Timestamp};

/// Hours over which rain is summed for people.
pub const RAIN_WINDOWS_H: [i64; 3] = [1, 3, 24];

/// What fell in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RainSum {
    pub millimetres: f64,
    /// Measured all through the window; otherwise at least this much fell.
    pub is_whole: bool,
}

/// What fell in the windows of [`RAIN_WINDOWS_H`], each `(end − window, end]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RainSums {
    /// When the last measured interval ended.
    pub end: Timestamp,
    /// `None` where the gauge measures intervals longer than the window, or measured nothing in it.
    pub sums: [Option<RainSum>; 3],
}

impl RainSums {
    /// Sums `falls`, ascending and without overlap, each `(from, to]` in millimetres; `period_s` is the gauge's nominal interval.
    ///
    /// A fall belongs to the window in which its interval ends. One that stands for a gap (longer than one and a half periods) is
    /// shared by time, and the window is then no whole one: when it fell is a guess.
    #[must_use]
    pub fn of(falls: &[Increment], end: Timestamp, period_s: u32) -> Self {
        Self { end, sums: RAIN_WINDOWS_H.map(|hours| window(falls, end, hours * 3600, period_s)) }
    }

    /// Over so many hours, one of [`RAIN_WINDOWS_H`].
    #[must_use]
    pub fn over(&self, hours: i64) -> Option<RainSum> {
        RAIN_WINDOWS_H.iter().position(|window| *window == hours).and_then(|place| self.sums.get(place).copied().flatten())
    }

    /// Rain fell within the last hour, or within the shortest window that the gauge can tell.
    #[must_use]
    pub fn is_raining(&self) -> bool {
        self.sums.iter().flatten().next().is_some_and(|sum| sum.millimetres > 0.0)
    }
}

fn window(falls: &[Increment], end: Timestamp, window_s: i64, period_s: u32) -> Option<RainSum> {
    let (start, period) = (end.plus_seconds(-window_s), f64::from(period_s.max(1)));
    if i64::from(period_s) > window_s {
        return None;
    }
    let inside = falls.get(falls.partition_point(|fall| fall.to <= start)..).unwrap_or_default();
    let (mut millimetres, mut covered_s, mut has_lump) = (0.0, 0.0, false);
    for fall in inside.iter().take_while(|fall| fall.to <= end) {
        let (length, overlap) = (fall.to.seconds_since(fall.from), fall.to.seconds_since(fall.from.max(start)));
        covered_s += overlap;
        let is_lump = length > 1.5 * period;
        has_lump |= is_lump && fall.amount > 0.0;
        millimetres += if is_lump { fall.amount * overlap / length } else { fall.amount };
    }
    let is_whole = !has_lump && covered_s + 0.5 * period >= end.seconds_since(start);
    // Sums of tenths are tenths: no 57.599999999999994.
    (covered_s > 0.0).then_some(RainSum { millimetres: (millimetres * 1e6).round() / 1e6, is_whole })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CounterStep;

    const HALF_HOUR: i64 = 1800;

    fn falls(start: Timestamp, amounts: &[f64]) -> Vec<Increment> {
        let fall = |(place, amount): (i64, &f64)| Increment {
            from: start.plus_seconds(place * HALF_HOUR),
            to: start.plus_seconds((place + 1) * HALF_HOUR),
            amount: *amount,
            step: CounterStep::Plain,
        };
        (0..).zip(amounts).map(fall).collect()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a time")
    }

    #[test]
    fn the_last_value_may_be_zero_while_the_sums_are_not() {
        let measured = falls(at("2023-11-02T19:00:00Z"), &[19.6, 27.4, 30.2, 29.2, 0.0]);
        let sums = RainSums::of(&measured, at("2023-11-02T21:30:00Z"), 1800);
        let millimetres = |hours| sums.over(hours).map(|sum| ((sum.millimetres * 10.0).round() / 10.0, sum.is_whole));
        assert_eq!(millimetres(1), Some((29.2, true)));
        assert_eq!(millimetres(3), Some((106.4, false)), "half an hour before is not measured: at least");
        assert_eq!(millimetres(24), Some((106.4, false)));
        assert!(sums.is_raining());
    }

    #[test]
    fn a_fall_belongs_to_the_window_in_which_its_interval_ends() {
        let measured = falls(at("2023-11-02T19:00:00Z"), &[19.6, 27.4, 30.2, 29.2]);
        let hour_until = |end: &str| RainSums::of(&measured, at(end), 1800).over(1).map(|sum| sum.millimetres);
        assert_eq!(hour_until("2023-11-02T21:00:00Z"), Some(59.4));
        assert_eq!(hour_until("2023-11-02T20:30:00Z"), Some(57.6));
    }

    #[test]
    fn what_fell_in_a_gap_is_shared_and_no_whole_sum() {
        let mut measured = falls(at("2023-11-02T12:00:00Z"), &[0.0; 4]);
        measured.push(Increment {
            from: at("2023-11-02T14:00:00Z"),
            to: at("2023-11-02T18:00:00Z"),
            amount: 40.0,
            step: CounterStep::Plain,
        });
        let sums = RainSums::of(&measured, at("2023-11-02T18:00:00Z"), 1800);
        assert_eq!(sums.over(1), Some(RainSum { millimetres: 10.0, is_whole: false }));
    }

    #[test]
    fn a_daily_gauge_says_nothing_of_the_hour() {
        let end = at("2023-11-02T08:00:00Z");
        let day = Increment { from: end.plus_seconds(-86_400), to: end, amount: 12.0, step: CounterStep::Plain };
        let sums = RainSums::of(&[day], end, 86_400);
        assert_eq!((sums.over(1), sums.over(3)), (None, None));
        assert_eq!(sums.over(24), Some(RainSum { millimetres: 12.0, is_whole: true }));
    }

    #[test]
    fn nothing_measured_is_not_no_rain() {
        let sums = RainSums::of(&[], at("2023-11-02T08:00:00Z"), 300);
        assert_eq!(sums.sums, [None; 3]);
        assert!(!sums.is_raining());
    }
}
