//! From what a clock on the wall showed to an instant. A civil hour can be missing, and one can happen twice: never guessed.

use super::pattern::{RepeatedHour, TimePattern};
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use model::Timestamp;

/// How the times of a file are read.
pub(super) struct Times {
    format: Format,
    repeated_hour: RepeatedHour,
    zone_name: String,
}

enum Format {
    Rfc3339,
    EpochSeconds,
    EpochMillis,
    Civil { pattern: String, zone: Option<TimeZone> },
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
            Some(name) => Some(zone(name.get_ref()).ok_or_else(|| {
                let message = format!("there is no zone {:?}; write Europe/Rome, or a fixed offset such as +01:00", name.get_ref());
                (Some(name.span().start), message)
            })?),
        };
        let format = match pattern.format.as_str() {
            "rfc3339" => Format::Rfc3339,
            "epoch_s" => Format::EpochSeconds,
            "epoch_ms" => Format::EpochMillis,
            civil if civil.contains('%') => {
                let has_offset = civil.contains("%z") || civil.contains("%:z");
                if zone.is_none() && !has_offset {
                    let message = "a time without an offset says nothing until [time] zone does; add zone = \"Europe/Rome\" if the logger's clock changed in spring \
                                   and autumn, or zone = \"+01:00\" if it showed solar time all year";
                    return Err((None, message.into()));
                }
                Format::Civil { pattern: civil.to_owned(), zone: zone.filter(|_| !has_offset) }
            }
            other => {
                let message =
                    format!("the time format {other:?} can't be; write rfc3339, epoch_s, epoch_ms or a pattern such as \"%d/%m/%Y %H:%M\"");
                return Err((None, message));
            }
        };
        let zone_name = pattern.zone.as_ref().map_or_else(String::new, |zone| zone.get_ref().clone());
        Ok(Self { format, repeated_hour: pattern.repeated_hour, zone_name })
    }

    pub(super) fn repeated_hour(&self) -> RepeatedHour {
        self.repeated_hour
    }

    /// # Errors
    /// Why the text is no time, and the cure.
    pub(super) fn read(&self, text: &str) -> Result<Read, String> {
        let text = text.trim();
        match &self.format {
            Format::Rfc3339 => Timestamp::parse(text).map(Read::At).map_err(|cause| cause.to_string()),
            Format::EpochSeconds => epoch(text, 1e6).map(Read::At),
            Format::EpochMillis => epoch(text, 1e3).map(Read::At),
            Format::Civil { pattern, zone } => {
                let wrong = |_| format!("{text:?} is not a time as {pattern:?} says; mend it, or [time] format in the pattern");
                let parsed = strtime::parse(pattern, text).map_err(wrong)?;
                let Some(zone) = zone else {
                    return parsed.to_timestamp().map(|at| Read::At(Timestamp::from_micros(at.as_microsecond()))).map_err(wrong);
                };
                let date = parsed.to_date().map_err(wrong)?;
                match parsed.to_time() {
                    Ok(time) if parsed.hour().is_some() => self.at(DateTime::from_parts(date, time), zone),
                    // A date alone is its first instant, whatever the clocks did at midnight.
                    _ => {
                        let start = date.to_zoned(zone.clone()).map_err(|_| format!("{text:?} lies outside the years that can be kept"))?;
                        Ok(Read::At(Timestamp::from_micros(start.timestamp().as_microsecond())))
                    }
                }
            }
        }
    }

    fn at(&self, civil: DateTime, zone: &TimeZone) -> Result<Read, String> {
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

fn epoch(text: &str, micros: f64) -> Result<Timestamp, String> {
    let number: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds or milliseconds since 1970"))?;
    let at = number * micros;
    if !at.is_finite() || at.abs() > 2.5e17 {
        return Err(format!("{text} lies outside the years that can be kept"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
    Ok(Timestamp::from_micros(at.round() as i64))
}

/// A name of the time zone database, or a fixed offset.
fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" || name == "Z" {
        return Some(TimeZone::UTC);
    }
    if let Some(rest) = name.strip_prefix(['+', '-']) {
        let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
        let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
        return Offset::from_seconds(if name.starts_with('-') { -seconds } else { seconds }).ok().map(TimeZone::fixed);
    }
    TimeZone::get(name).ok()
}
