//! From times and values to places on the page, and where the ticks stand.

use model::{Interval, Lang, Timestamp, civil_day, civil_day_start};

pub(super) struct Scale {
    pub(super) interval: Interval,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Scale {
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        let share = at.seconds_since(self.interval.from) / self.interval.to.seconds_since(self.interval.from);
        self.left + share.clamp(0.0, 1.0) * (self.right - self.left)
    }
    pub(super) fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.bottom - share.clamp(0.0, 1.0) * (self.bottom - self.top)
    }
}

/// Round values between the ends, with the decimals that they need.
pub(super) fn value_ticks(low: f64, high: f64) -> Vec<(f64, usize)> {
    let rough = (high - low) / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough).unwrap_or(power);
    let decimals = if step >= 1.0 {
        usize::from(step < 5.0)
    } else {
        [0.1, 0.01].into_iter().position(|limit| step >= limit * 0.999).map_or(3, |place| place + 1)
    };
    let first = (low / step).ceil();
    (0..12).map(|index| (first + f64::from(index)) * step).take_while(|value| *value <= high).map(|value| (value, decimals)).collect()
}

/// Hours between two ticks, so that there are about as many as wanted.
pub(super) fn hours_between_ticks(interval: Interval, ticks: f64) -> i64 {
    let hours = interval.to.seconds_since(interval.from) / 3600.0;
    #[expect(clippy::cast_possible_truncation, reason = "a number of hours")]
    let wanted = (hours / ticks).ceil() as i64;
    [1, 2, 3, 6, 12, 24, 48, 96, 120, 192].into_iter().find(|step| *step >= wanted).unwrap_or(24 * 30)
}

/// Full hours of the wall clock in Italy, or midnights.
pub(super) fn time_ticks(interval: Interval, step_h: i64) -> Vec<Timestamp> {
    let mut ticks = Vec::new();
    let mut day = civil_day(interval.from);
    while civil_day_start(day) < interval.to && ticks.len() < 200 {
        let midnight = civil_day_start(day);
        let in_day = if step_h >= 24 { 0..1 } else { 0..24 / step_h };
        ticks.extend(in_day.map(|part| midnight.plus_seconds(part * step_h * 3600)));
        for _ in 0..(step_h / 24).max(1) {
            day = day.tomorrow().unwrap_or(day);
        }
    }
    ticks.retain(|at| interval.contains(*at));
    ticks
}

/// The hour, or the weekday and date at midnight.
pub(super) fn tick_label(at: Timestamp, step_h: i64, lang: Lang) -> String {
    let local = at.in_rome();
    if local.hour() == 0 {
        let words = model::local_time(at, lang);
        let date: Vec<&str> = words.split(' ').take(2).collect();
        return if step_h >= 48 { date.get(1).copied().unwrap_or("").to_owned() } else { date.join(" ") };
    }
    format!("{:02}:00", local.hour())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let values = |low, high| value_ticks(low, high).iter().map(|(value, decimals)| format!("{value:.*}", decimals)).collect::<Vec<_>>();
        assert_eq!(values(0.0, 4.2), ["0.0", "1.0", "2.0", "3.0", "4.0"]);
        assert_eq!(values(237.4, 238.6), ["237.5", "238.0", "238.5"]);
        assert_eq!(values(0.0, 100.0), ["0", "20", "40", "60", "80", "100"]);
    }

    #[test]
    fn midnights_follow_the_clock_change() {
        let at = |text| Timestamp::parse(text).expect("a time");
        let week = Interval::new(at("2026-10-24T00:00:00Z"), at("2026-10-27T12:00:00Z"));
        let found: Vec<String> = time_ticks(week, 24).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z"]);
    }
}
