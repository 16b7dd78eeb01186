//! How long a certificate still holds, told in time.

use super::super::certificate::Validity;
use model::Timestamp;

const MONTH_DAYS: i64 = 30;
const WEEK_DAYS: i64 = 7;

/// What is to be said of a certificate's days, what is worse later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Days {
    Enough,
    /// Less than 30.
    FewerThanMonth,
    /// Less than 7.
    FewerThanWeek,
    Expired,
    /// It does not hold yet.
    NotYet,
}

pub(super) fn judge(validity: Validity, now: Timestamp) -> (Days, String) {
    let Validity { from, until } = validity;
    let left_days = (until.seconds() - now.seconds()).div_euclid(86_400);
    const CURE: &str = "put its successor into its place, it is taken without a restart";
    if now < from {
        return (
            Days::NotYet,
            format!("it holds only from {from} on, and it is {now}: devices that look at it stay away; look at the clock of who made it"),
        );
    }
    match left_days {
        ..0 => (Days::Expired, format!("it expired at {until}: devices that look at it stay away; {CURE}")),
        0..WEEK_DAYS => (Days::FewerThanWeek, format!("it holds for {left_days} more days, until {until}; {CURE}")),
        WEEK_DAYS..MONTH_DAYS => (Days::FewerThanMonth, format!("it holds for {left_days} more days, until {until}; {CURE}")),
        _ => (Days::Enough, format!("it holds until {until}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_days_of_a_certificate_are_told_a_month_and_a_week_before_its_end() {
        let at = |text: &str| Timestamp::parse(text).expect(text);
        let validity = Validity { from: at("2026-01-01T00:00:00Z"), until: at("2026-12-31T00:00:00Z") };
        for (now, expected) in [
            ("2025-12-31T23:59:59Z", Days::NotYet),
            ("2026-11-30T00:00:00Z", Days::Enough),
            ("2026-12-02T00:00:01Z", Days::FewerThanMonth),
            ("2026-12-24T00:00:01Z", Days::FewerThanWeek),
            ("2026-12-31T00:00:01Z", Days::Expired),
        ] {
            assert_eq!(judge(validity, at(now)).0, expected, "{now}");
        }
    }
}
