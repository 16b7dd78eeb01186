//! From what a clock on the wall showed to an instant. A civil hour can be missing, and one can happen twice: never guessed.

use super::civil::{Civil, Moment};
use super::pattern::{RepeatedHour, TimePattern};
use crate::shown::shown;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, ToSpan};
use model::Timestamp;

/// How the times of a file are read.
pub(super) struct Times {
    format: Format,
    repeated_hour: RepeatedHour,
    zone: Option<TimeZone>,
    zone_name: String,
}

enum Format {
    Rfc3339,
    EpochSeconds,
    EpochMillis,
    Civil(Civil),
}

/// What one text turned out to be.
pub(super) enum Read {
    At(Timestamp),
    /// Happens twice: the first and the second time.
    Twice(DateTime, Timestamp, Timestamp),
}

impl Times {
    /// # Errors
    /// What is wrong with the pattern, and the cure.
    pub(super) fn of(pattern: &TimePattern) -> Result<Self, (Option<usize>, String)> {
        let zone = match &pattern.zone {
            None => None,
            Some(name) => Some(zone(name.get_ref()).map_err(|message| (Some(name.span().start), message))?),
        };
        let mut zone_of_times = zone.clone();
        let format = match pattern.format.as_str() {
            "rfc3339" => Format::Rfc3339,
            "epoch_s" => Format::EpochSeconds,
            "epoch_ms" => Format::EpochMillis,
            civil if civil.contains('%') => {
                let civil = Civil::of(civil, pattern.two_digit_years_from);
                if zone.is_none() && !civil.has_offset() {
                    let message = "a time without an offset says nothing until [time] zone does; add zone = \"Europe/Rome\" if the logger's clock changed in spring \
                                   and autumn, or zone = \"+01:00\" if it showed solar time all year";
                    return Err((None, message.into()));
                }
                if civil.has_offset() {
                    zone_of_times = None;
                }
                Format::Civil(civil)
            }
            other => {
                let message =
                    format!("the time format {other:?} can't be; write rfc3339, epoch_s, epoch_ms or a pattern such as \"%d/%m/%Y %H:%M\"");
                return Err((None, message));
            }
        };
        if pattern.two_digit_years_from.is_some() && !matches!(&format, Format::Civil(civil) if civil.has_two_digit_years()) {
            return Err((None, "two_digit_years_from says what %y means, and the format has no %y; leave it out".into()));
        }
        let zone_name = pattern.zone.as_ref().map_or_else(String::new, |zone| zone.get_ref().clone());
        Ok(Self { format, repeated_hour: pattern.repeated_hour, zone: zone_of_times, zone_name })
    }

    pub(super) fn repeated_hour(&self) -> RepeatedHour {
        self.repeated_hour
    }
    /// Whether a time of the file is a date and no hour.
    pub(super) fn are_dates(&self) -> bool {
        matches!(&self.format, Format::Civil(civil) if civil.is_date_only())
    }
    /// What to try with a year that can't be.
    pub(super) fn year_cure(&self) -> &'static str {
        match &self.format {
            Format::Civil(civil) if civil.has_two_digit_years() => {
                "; if its two digits mean another century, say from which year on they count, such as two_digit_years_from = 1920 in [time]"
            }
            Format::Civil(_) => "; mend the year, or write %y for %Y in [time] format if the file writes two digits",
            Format::Rfc3339 => "; mend the year",
            _ => "; write epoch_s for seconds since 1970, epoch_ms for milliseconds",
        }
    }

    /// The end of an interval of `length_s` seconds that begins at `start`. Whole days are civil days of the file's zone.
    pub(super) fn end_of(&self, start: Timestamp, length_s: i64) -> Timestamp {
        let of_days = |zone: &TimeZone| {
            let start = jiff::Timestamp::from_microsecond(start.micros()).ok()?.to_zoned(zone.clone());
            let end = start.checked_add((length_s / 86_400).days()).ok()?;
            Some(Timestamp::from_micros(end.timestamp().as_microsecond()))
        };
        let civil = self.zone.as_ref().filter(|_| length_s % 86_400 == 0).and_then(of_days);
        civil.unwrap_or_else(|| start.plus_seconds(length_s))
    }

    /// Whether a text is a time of this file.
    pub(super) fn is_time(&self, text: &str) -> bool {
        self.read(text).is_ok()
    }

    /// The time, and whether it was a date alone where the format has an hour.
    ///
    /// # Errors
    /// Why the text is no time, and the cure.
    pub(super) fn read(&self, text: &str) -> Result<(Read, bool), String> {
        let text = text.trim();
        let plain = |read: Read| (read, false);
        match &self.format {
            Format::Rfc3339 => rfc3339(text).map(Read::At).map(plain),
            Format::EpochSeconds => epoch(text, 1e6).map(Read::At).map(plain),
            Format::EpochMillis => epoch(text, 1e3).map(Read::At).map(plain),
            Format::Civil(civil) => match civil.read(text)? {
                Moment::Instant(at) => Ok((Read::At(at), false)),
                Moment::Clock(civil) => self.at(civil).map(plain),
                // A date alone is its first instant, whatever the clocks did at midnight.
                Moment::Date(date) => {
                    let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
                    let start = date.to_zoned(zone).map_err(|_| format!("{} lies outside the years that can be kept", shown(text)))?;
                    Ok((Read::At(Timestamp::from_micros(start.timestamp().as_microsecond())), !civil.is_date_only()))
                }
            },
        }
    }

    fn at(&self, civil: DateTime) -> Result<Read, String> {
        let Some(zone) = &self.zone else { return Err(format!("{civil} has no offset")) };
        let instant = |offset: Offset| offset.to_timestamp(civil).map(|at| Timestamp::from_micros(at.as_microsecond()));
        let far = |_| format!("{civil} lies outside the years that can be kept");
        match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => instant(offset).map(Read::At).map_err(far),
            AmbiguousOffset::Gap { .. } => Err(format!(
                "{civil} did not happen in {}: the clocks went forward over it; if the logger's clock never changed, write zone = \"+01:00\"",
                self.zone_name
            )),
            AmbiguousOffset::Fold { before, after } => Ok(Read::Twice(civil, instant(before).map_err(far)?, instant(after).map_err(far)?)),
        }
    }
}

/// RFC 3339, and ISO 8601's 24:00 for the end of a day.
fn rfc3339(text: &str) -> Result<Timestamp, String> {
    let plain = Timestamp::parse(text).map_err(|cause| cause.to_string());
    let Some((date, rest)) = text.split_once(['T', 't', ' ']).filter(|_| plain.is_err()) else { return plain };
    let Some(rest) = rest.strip_prefix("24:00") else { return plain };
    // Nothing but zeros up to the offset.
    let offset = rest.trim_start_matches([':', '0', '.']);
    match Timestamp::parse(&format!("{date}T00:00:00{offset}")) {
        Ok(start) if offset.starts_with(['Z', 'z', '+', '-']) => Ok(start.plus_seconds(86_400)),
        _ => plain,
    }
}

fn epoch(text: &str, micros: f64) -> Result<Timestamp, String> {
    let number: f64 = text.parse().map_err(|_| format!("{} is no number of seconds or milliseconds since 1970", shown(text)))?;
    let at = number * micros;
    if !at.is_finite() || at.abs() > 2.5e17 {
        return Err(format!("{} lies outside the years that can be kept", shown(text)));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
    Ok(Timestamp::from_micros(at.round() as i64))
}

/// Names that some take for solar time all year and others for the clock that changes: with the offset of the former.
const AMBIGUOUS: [(&str, &str); 9] = [
    ("CET", "+01:00"),
    ("MET", "+01:00"),
    ("MEZ", "+01:00"),
    ("CEST", "+02:00"),
    ("MEST", "+02:00"),
    ("MESZ", "+02:00"),
    ("WET", "+00:00"),
    ("EET", "+02:00"),
    ("EEST", "+03:00"),
];

/// A name of the time zone database, or a fixed offset.
///
/// # Errors
/// What to write instead.
fn zone(name: &str) -> Result<TimeZone, String> {
    if name == "UTC" || name == "Z" {
        return Ok(TimeZone::UTC);
    }
    if let Some((_, offset)) = AMBIGUOUS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return Err(format!(
            "the zone {name:?} can mean two things: write zone = \"{offset}\" if the logger's clock never changed, or zone = \"Europe/Rome\" if it changed in spring and autumn"
        ));
    }
    let unknown = || format!("there is no zone {name:?}; write Europe/Rome, or a fixed offset such as +01:00");
    if name.starts_with(['+', '-']) {
        return fixed(name).ok_or_else(unknown);
    }
    // UTC+1 and GMT+1 mean what they say to people, and the opposite in the names of the database.
    let beside = ["UTC", "GMT"].into_iter().find_map(|prefix| name.strip_prefix(prefix));
    if let Some(zone) = beside.and_then(fixed) {
        let seconds = zone.to_offset(jiff::Timestamp::UNIX_EPOCH).seconds();
        let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
        return Err(format!("write the zone {name:?} as zone = \"{sign}{:02}:{:02}\"", seconds / 3600, seconds / 60 % 60));
    }
    TimeZone::get(name).map_err(|_| unknown())
}

/// `+1`, `+01`, `+01:00`, `+0100`.
fn fixed(text: &str) -> Option<TimeZone> {
    let digits = text.strip_prefix(['+', '-'])?;
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten();
    let (hours, minutes) = (number(hours).filter(|hours| *hours <= 14)?, number(minutes).filter(|minutes| *minutes < 60)?);
    let seconds = SignedDuration::from_secs(hours * 3600 + minutes * 60);
    let seconds = i32::try_from(if text.starts_with('-') { -seconds } else { seconds }.as_secs()).ok()?;
    Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}
