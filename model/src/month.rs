//! Calendar months of UTC: how what is old is put away.

use crate::{Interval, Timestamp};
use std::fmt;

/// One calendar month of UTC. Written `2026-10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcMonth {
    /// Months since January of the year 0.
    months: i32,
}

impl UtcMonth {
    /// The one that holds an instant.
    #[must_use]
    pub fn around(at: Timestamp) -> Self {
        let day = at.in_utc().date();
        Self { months: i32::from(day.year()) * 12 + i32::from(day.month()) - 1 }
    }
    /// `2026-10`, as [`fmt::Display`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let (year, month): (i32, i32) = (year.parse().ok()?, month.parse().ok()?);
        let found = Self { months: year * 12 + month - 1 };
        ((1..=12).contains(&month) && found.to_string() == text).then_some(found)
    }
    /// So many months later, or earlier.
    #[must_use]
    pub const fn plus(self, months: i32) -> Self {
        Self { months: self.months.saturating_add(months) }
    }
    /// `[from, to)`.
    #[must_use]
    pub fn interval(self) -> Interval {
        Interval::new(self.start(), self.plus(1).start())
    }
    fn start(self) -> Timestamp {
        let text = format!("{:04}-{:02}-01T00:00:00Z", self.months.div_euclid(12), self.months.rem_euclid(12) + 1);
        Timestamp::parse(&text).unwrap_or(if self.months < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }
}

impl fmt::Display for UtcMonth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.months.div_euclid(12), self.months.rem_euclid(12) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_the_one_of_utc() {
        let check = |at: &str, name: &str, from: &str, to: &str| {
            let month = UtcMonth::around(Timestamp::parse(at).expect(at));
            assert_eq!(month.to_string(), name);
            assert_eq!(UtcMonth::parse(name), Some(month));
            let interval = month.interval();
            assert_eq!((interval.from.to_string().as_str(), interval.to.to_string().as_str()), (from, to));
        };
        check("2026-11-01T00:30:00+01:00", "2026-10", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        check("2026-12-31T23:59:59Z", "2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
        check("1850-02-28T12:00:00Z", "1850-02", "1850-02-01T00:00:00Z", "1850-03-01T00:00:00Z");
        assert_eq!(UtcMonth::parse("2026-13"), None);
        assert_eq!(UtcMonth::parse("2026-1"), None);
    }
}
