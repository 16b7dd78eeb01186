//! Time as we keep it: UTC, signed 64-bit microseconds since 1970. Civil days are those of Europe/Rome.

use jiff::{SignedDuration, civil, tz::TimeZone};
use std::fmt;

/// An instant, UTC, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("{0:?} is not a time with an offset; write it like 2026-11-23T06:20:00Z")]
    NotRfc3339(String),
    #[error("{0} lies outside the years that can be kept")]
    OutOfRange(String),
}

impl Timestamp {
    pub const MIN: Self = Self(i64::MIN);
    pub const MAX: Self = Self(i64::MAX);

    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }
    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }
    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
    /// Reads RFC 3339 with an offset or `Z`; a time without an offset is refused, never guessed.
    ///
    /// # Errors
    /// [`TimeError`] when the text is no such time.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let instant: jiff::Timestamp = text.trim().parse().map_err(|_| TimeError::NotRfc3339(text.to_owned()))?;
        Ok(Self(instant.as_microsecond()))
    }
    /// Epoch seconds or milliseconds, told apart by size: below 10^11 it is seconds (until the year 5138).
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`] when the number is not finite or beyond what a calendar can name.
    pub fn from_epoch(number: f64) -> Result<Self, TimeError> {
        let micros = if number.abs() < 1e11 { number * 1e6 } else { number * 1e3 };
        if !micros.is_finite() || micros.abs() > 2.5e17 {
            return Err(TimeError::OutOfRange(number.to_string()));
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded two lines above")]
        Ok(Self(micros.round() as i64))
    }
    /// This instant moved by whole seconds, earlier if negative.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
    /// Seconds from `earlier` to this instant; negative if it lies before.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "seconds for people and rates")]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e6
    }
    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX })
    }
    /// As HTTP headers write it: `Mon, 23 Nov 2026 06:20:00 GMT`.
    #[must_use]
    pub fn http_date(self) -> String {
        self.jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }
    /// As Italian spreadsheets read it, with the offset from UTC beside it, because of the hour that comes twice in October:
    /// `23/11/2026 07:20:00`, `+01:00`. A fraction of a second stands after a point, where there is one.
    #[must_use]
    pub fn italian(self) -> (String, String) {
        let rome = self.in_rome();
        (rome.strftime("%d/%m/%Y %H:%M:%S%.f").to_string(), rome.strftime("%:z").to_string())
    }
    /// This instant less an ISO 8601 duration; years and months are those of the calendar of Europe/Rome, all else is exact.
    /// `None` when the text is no duration, or does not lie before.
    #[must_use]
    pub fn before(self, duration: &str) -> Option<Self> {
        let span: jiff::Span = duration.parse().ok()?;
        let (months, rest) = (jiff::Span::new().try_years(span.get_years()).ok()?.try_months(span.get_months()).ok()?, span);
        let rest = rest.try_years(0).ok()?.try_months(0).ok()?;
        let rest = SignedDuration::try_from(rest).or_else(|_| rest.to_duration(jiff::SpanRelativeTo::days_are_24_hours())).ok()?;
        let start = self.in_rome().checked_sub(months).ok()?.timestamp().checked_sub(rest).ok()?;
        Some(Self(start.as_microsecond())).filter(|start| *start < self)
    }
    /// The calendar of UTC at this instant.
    #[must_use]
    pub fn in_utc(self) -> jiff::Zoned {
        self.jiff().to_zoned(TimeZone::UTC)
    }
    /// The wall clock of Europe/Rome at this instant.
    #[must_use]
    pub fn in_rome(self) -> jiff::Zoned {
        self.jiff().to_zoned(rome())
    }
}

/// RFC 3339 in UTC with `Z`, fraction only where there is one: `2026-11-23T06:20:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.jiff())
    }
}

/// Writes many instants as [`Timestamp`]'s `Display` does: of neighbours the day is asked of the calendar once. Each column of times has
/// one of its own.
#[derive(Debug, Default)]
pub struct TimestampWriter {
    /// Days since 1970, and their text up to the `T`.
    day: Option<(i64, String)>,
}

impl TimestampWriter {
    const DAY_US: i64 = 86_400_000_000;

    /// Adds the text, which is ASCII, to `out`.
    pub fn put(&mut self, at: Timestamp, out: &mut Vec<u8>) {
        let (day, rest) = (at.0.div_euclid(Self::DAY_US), at.0.rem_euclid(Self::DAY_US));
        if self.day.as_ref().is_none_or(|(known, _)| *known != day) {
            let start = Timestamp(day.saturating_mul(Self::DAY_US));
            let text = start.to_string();
            let Some(date) = text.strip_suffix("00:00:00Z") else { return out.extend_from_slice(at.to_string().as_bytes()) };
            self.day = Some((day, date.to_owned()));
        }
        out.extend_from_slice(self.day.as_ref().map_or("", |(_, date)| date).as_bytes());
        let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        out.extend_from_slice(&[
            digit(hour / 10),
            digit(hour),
            b':',
            digit(minute / 10),
            digit(minute),
            b':',
            digit(second / 10),
            digit(second),
        ]);
        if micros != 0 {
            out.push(b'.');
        }
        let mut left = micros;
        for place in [100_000, 10_000, 1000, 100, 10, 1] {
            if left == 0 {
                break;
            }
            out.push(digit(left / place));
            left %= place;
        }
        out.push(b'Z');
    }
    pub fn write(&mut self, at: Timestamp) -> String {
        let mut out = Vec::with_capacity(32);
        self.put(at, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }
}

/// The last digit of a number.
#[expect(clippy::cast_sign_loss, reason = "0 to 9")]
fn digit(number: i64) -> u8 {
    b'0' + (number % 10) as u8
}

/// `[from, to)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Interval {
    pub const ALL: Self = Self { from: Timestamp::MIN, to: Timestamp::MAX };

    #[must_use]
    pub const fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }
    /// Both ends later by so many seconds.
    #[must_use]
    pub fn shifted(&self, seconds: i64) -> Self {
        Self::new(self.from.plus_seconds(seconds), self.to.plus_seconds(seconds))
    }
    /// The smallest interval that holds both.
    #[must_use]
    pub fn around(&self, other: Self) -> Self {
        Self::new(self.from.min(other.from), self.to.max(other.to))
    }
}

/// Who is asked for the time. Passed in; nobody else knows what time it is.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    /// How long this machine has been up: setting the clock changes nothing of it. `None` for a clock that can't be wrong, as a simulated one.
    fn uptime(&self) -> Option<Uptime> {
        None
    }
    /// No right clock says an earlier time: the program did not exist then.
    fn built_at(&self) -> Timestamp {
        Timestamp::MIN
    }
}

/// An instant of one boot of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uptime {
    /// Names the boot.
    pub boot: std::sync::Arc<str>,
    /// Microseconds since it began.
    pub micros: i64,
}

fn rome() -> TimeZone {
    TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC)
}

/// The civil date of Europe/Rome that holds this instant.
#[must_use]
pub fn civil_day(at: Timestamp) -> civil::Date {
    at.in_rome().date()
}

/// The first instant of a civil day of Europe/Rome; a day is 23, 24 or 25 hours long.
#[must_use]
pub fn civil_day_start(day: civil::Date) -> Timestamp {
    day.to_zoned(rome()).map_or_else(|_| Timestamp::MIN, |midnight| Timestamp(midnight.timestamp().as_microsecond()))
}

/// The civil day `[from, to)` that holds an instant.
#[must_use]
pub fn civil_day_around(at: Timestamp) -> Interval {
    let day = civil_day(at);
    Interval::new(civil_day_start(day), day.tomorrow().map_or(Timestamp::MAX, civil_day_start))
}

/// A wall clock of Europe/Rome as a form sends it, e.g. `2026-10-24T03:10`; of the hour that comes twice in October, the first.
#[must_use]
pub fn parse_rome(text: &str) -> Option<Timestamp> {
    let civil: civil::DateTime = text.trim().parse().ok()?;
    Some(Timestamp(civil.to_zoned(rome()).ok()?.timestamp().as_microsecond()))
}

/// The civil day `[from, to)` that is written so, e.g. `2026-11-23`.
#[must_use]
pub fn parse_civil_day(text: &str) -> Option<Interval> {
    text.parse().ok().map(|day| civil_day_around(civil_day_start(day)))
}

/// The civil days that touch an interval, whole, ascending.
pub fn civil_days(interval: Interval) -> impl Iterator<Item = Interval> {
    let day = move |at: Timestamp| (at < interval.to).then(|| civil_day_around(at));
    std::iter::successors(day(interval.from), move |last| day(last.to))
}

/// Whole days from 1970-01-01 to a civil date.
#[must_use]
pub fn epoch_day(day: civil::Date) -> i32 {
    let noon = day.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).map_or(0, |noon| noon.timestamp().as_second());
    i32::try_from(noon.div_euclid(86_400)).unwrap_or(0)
}

/// The civil date that lies so many days after 1970-01-01.
#[must_use]
pub fn day_of_epoch(days: i32) -> civil::Date {
    Timestamp::from_seconds(i64::from(days) * 86_400).jiff().to_zoned(TimeZone::UTC).date()
}

/// The instant `length` before `to`, where `length` is an ISO 8601 duration such as `PT36H` or `P7D` (a day is 24 hours).
#[must_use]
pub fn seconds_of_duration(text: &str) -> Option<i64> {
    let span: jiff::Span = text.parse().ok()?;
    let length = SignedDuration::try_from(span).or_else(|_| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours())).ok()?;
    Some(length.as_secs()).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect(text)
    }

    #[test]
    fn many_instants_are_written_as_each_is() {
        let mut writer = TimestampWriter::default();
        let step = 86_399_999_999 / 7 * 5 + 1;
        let many = (-2000..2000_i64).map(|n| 1_767_225_600_000_000 + n * step);
        let odd = [0, -1, 1, 999_999, -62_135_596_800_000_000, -99_999_999_999_000_001, i64::MIN, i64::MAX, 86_400_000_000, 100, 1_000];
        for at in many.chain(odd).map(Timestamp::from_micros) {
            assert_eq!(writer.write(at), at.to_string());
        }
    }

    #[test]
    fn the_days_of_the_clock_change_have_23_and_25_hours() {
        for (day, start, hours) in [
            ("2026-03-29", "2026-03-28T23:00:00Z", 23),
            ("2026-10-25", "2026-10-24T22:00:00Z", 25),
            ("2026-11-23", "2026-11-22T23:00:00Z", 24),
        ] {
            let day: civil::Date = day.parse().expect("a date");
            assert_eq!(civil_day_start(day), at(start));
            let next = civil_day_start(day.tomorrow().expect("a day after"));
            assert_eq!(next.seconds() - civil_day_start(day).seconds(), hours * 3600);
        }
    }

    #[test]
    fn epoch_seconds_and_milliseconds_are_told_apart() {
        assert_eq!(Timestamp::from_epoch(1_698_944_400.0), Ok(at("2023-11-02T17:00:00Z")));
        assert_eq!(Timestamp::from_epoch(1_698_944_400_500.0), Ok(at("2023-11-02T17:00:00.5Z")));
        assert!(Timestamp::from_epoch(f64::NAN).is_err());
        assert!(Timestamp::from_epoch(1e300).is_err());
    }

    #[test]
    fn a_time_without_an_offset_is_refused() {
        assert!(Timestamp::parse("2026-11-23T06:20:00").is_err());
        assert_eq!(at("2026-11-23T07:20:00+01:00"), at("2026-11-23T06:20:00Z"));
        assert_eq!(at("2026-11-23T07:20:00+01:00").to_string(), "2026-11-23T06:20:00Z");
    }

    #[test]
    fn durations_are_read_as_iso_8601() {
        assert_eq!(seconds_of_duration("PT36H"), Some(36 * 3600));
        assert_eq!(seconds_of_duration("P7D"), Some(7 * 86_400));
        assert_eq!(seconds_of_duration("yesterday"), None);
        for (now, duration, expected) in [
            ("2026-11-30T20:00:00Z", "P1M", Some("2026-10-30T20:00:00Z")),
            // The same hour of the wall clock, in summer.
            ("2026-11-20T20:00:00Z", "P1M", Some("2026-10-20T19:00:00Z")),
            ("2026-03-31T10:00:00Z", "P1M", Some("2026-02-28T11:00:00Z")),
            ("2026-11-30T20:00:00Z", "P1Y", Some("2025-11-30T20:00:00Z")),
            ("2026-11-30T20:00:00Z", "P1M1DT1H", Some("2026-10-29T19:00:00Z")),
            ("2026-10-26T20:00:00Z", "P7D", Some("2026-10-19T20:00:00Z")),
            ("2026-11-30T20:00:00Z", "PT36H", Some("2026-11-29T08:00:00Z")),
            ("2026-11-30T20:00:00Z", "-P1M", None),
            ("2026-11-30T20:00:00Z", "P0D", None),
            ("2026-11-30T20:00:00Z", "month", None),
        ] {
            assert_eq!(at(now).before(duration), expected.map(at), "{now} {duration}");
        }
        let italian = |text: &str| at(text).italian();
        assert_eq!(italian("2026-10-25T00:30:00Z"), ("25/10/2026 02:30:00".to_owned(), "+02:00".to_owned()));
        assert_eq!(italian("2026-10-25T01:30:00.25Z"), ("25/10/2026 02:30:00.25".to_owned(), "+01:00".to_owned()));
    }
}
