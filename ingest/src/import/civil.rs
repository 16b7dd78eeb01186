//! Dates and clock times as files write them: strftime's directives, and beside them the hour 24, Italian names, abbreviated zones,
//! a date alone where the hour would be midnight.

use crate::shown::shown;
use jiff::ToSpan;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use model::Timestamp;

/// A strftime format, ready to read texts.
pub(super) struct Civil {
    /// As the pattern has it.
    written: String,
    /// With numeric offsets in the place of abbreviated zones.
    format: String,
    /// The directives of which a file may write more than the library reads.
    loose: Vec<Loose>,
    /// The format up to the hour.
    date: Option<String>,
    two_digits_from: Option<i16>,
}

/// A directive, and the format before it.
struct Loose {
    directive: char,
    before: String,
}

/// What a text says.
#[derive(Debug, PartialEq)]
pub(super) enum Moment {
    Instant(Timestamp),
    Clock(DateTime),
    /// Without an hour.
    Date(Date),
}

const MONTHS: [(&str, &str, &str); 12] = [
    ("January", "gen", "gennaio"),
    ("February", "feb", "febbraio"),
    ("March", "mar", "marzo"),
    ("April", "apr", "aprile"),
    ("May", "mag", "maggio"),
    ("June", "giu", "giugno"),
    ("July", "lug", "luglio"),
    ("August", "ago", "agosto"),
    ("September", "set", "settembre"),
    ("October", "ott", "ottobre"),
    ("November", "nov", "novembre"),
    ("December", "dic", "dicembre"),
];

const DAYS: [(&str, &str, &str); 7] = [
    ("Monday", "lun", "lunedì"),
    ("Tuesday", "mar", "martedì"),
    ("Wednesday", "mer", "mercoledì"),
    ("Thursday", "gio", "giovedì"),
    ("Friday", "ven", "venerdì"),
    ("Saturday", "sab", "sabato"),
    ("Sunday", "dom", "domenica"),
];

/// Abbreviations that mean one offset wherever they are written.
const ZONES: [(&str, &str); 13] = [
    ("CET", "+0100"),
    ("CEST", "+0200"),
    ("MET", "+0100"),
    ("MEST", "+0200"),
    ("MEZ", "+0100"),
    ("MESZ", "+0200"),
    ("UTC", "+0000"),
    ("GMT", "+0000"),
    ("Z", "+0000"),
    ("WET", "+0000"),
    ("WEST", "+0100"),
    ("EET", "+0200"),
    ("EEST", "+0300"),
];

impl Civil {
    pub(super) fn of(written: &str, two_digits_from: Option<i16>) -> Self {
        let plain = written.replace("%T", "%H:%M:%S").replace("%R", "%H:%M");
        let (mut format, mut loose, mut date) = (String::new(), Vec::new(), None);
        let mut rest = plain.chars();
        while let Some(sign) = rest.next() {
            if sign != '%' {
                format.push(sign);
                continue;
            }
            let directive = rest.next().unwrap_or('%');
            if matches!(directive, 'H' | 'I' | 'k' | 'l') && date.is_none() {
                date = Some(format.trim_end_matches(|sign: char| !sign.is_alphanumeric() && sign != '%').to_owned());
            }
            if matches!(directive, 'H' | 'b' | 'h' | 'B' | 'a' | 'A' | 'Z') {
                loose.push(Loose { directive, before: format.clone() });
            }
            format.push('%');
            format.push(if directive == 'Z' { 'z' } else { directive });
        }
        // Before the hour there must be a date for it to stand alone.
        let date = date.filter(|date| ["%d", "%e", "%j", "%D", "%F"].iter().any(|day| date.contains(day)));
        Self { written: written.to_owned(), format, loose, date, two_digits_from }
    }

    pub(super) fn has_offset(&self) -> bool {
        ["%z", "%:z"].iter().any(|offset| self.format.contains(offset))
    }
    pub(super) fn has_two_digit_years(&self) -> bool {
        ["%y", "%D"].iter().any(|year| self.format.contains(year))
    }
    pub(super) fn is_date_only(&self) -> bool {
        !["%H", "%I", "%k", "%l", "%s", "%c", "%X"].iter().any(|hour| self.format.contains(hour))
    }

    /// # Errors
    /// Why the text is no such time, and the cure.
    pub(super) fn read(&self, text: &str) -> Result<Moment, String> {
        let is_plain = !self.written.contains("%Z");
        if is_plain && let Ok(parsed) = BrokenDownTime::parse(&self.format, text) {
            return self.moment(parsed, false, text);
        }
        let (text_of, is_end_of_day) = self.rewritten(text)?;
        if let Ok(parsed) = BrokenDownTime::parse(&self.format, &text_of) {
            return self.moment(parsed, is_end_of_day, text);
        }
        if let Some(date) = &self.date
            && !self.has_offset()
            && let Ok(parsed) = BrokenDownTime::parse(date, &text_of)
        {
            return self.moment(parsed, false, text);
        }
        Err(self.wrong(text))
    }

    fn wrong(&self, text: &str) -> String {
        let long_year = self.has_two_digit_years() && BrokenDownTime::parse(self.format.replace("%y", "%Y"), text).is_ok();
        let cure = if long_year {
            "write %Y for %y in [time] format: its year has four digits"
        } else {
            "mend it, or [time] format in the pattern"
        };
        format!("{} is not a time as {:?} says; {cure}", shown(text), self.written)
    }

    /// The text as the library reads it, as far as it can be followed, and whether it said 24 for the hour.
    fn rewritten(&self, text: &str) -> Result<(String, bool), String> {
        let (mut text, mut is_end_of_day) = (text.to_owned(), false);
        for Loose { directive, before } in &self.loose {
            let Ok((_, at)) = BrokenDownTime::parse_prefix(before, &text) else { break };
            let rest = text.get(at..).unwrap_or("");
            // Blanks of the text that the format has none for.
            let at = at + rest.len() - rest.trim_start().len();
            let rest = text.get(at..).unwrap_or("");
            let word: String = rest.chars().take_while(|sign| sign.is_alphabetic()).collect();
            let (from, to) = match directive {
                'H' if rest.starts_with("24") => {
                    is_end_of_day = true;
                    ("24".to_owned(), "00".to_owned())
                }
                'H' => continue,
                'Z' => match ZONES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&word)) {
                    Some((_, offset)) => (word, (*offset).to_owned()),
                    None if word.is_empty() => break,
                    None => {
                        return Err(format!(
                            "{} is no zone whose offset is known: CET, CEST, UTC and GMT are; write %z if the file has offsets such as +0100",
                            shown(&word)
                        ));
                    }
                },
                'a' | 'A' => named(&DAYS, word, rest, *directive == 'a'),
                _ => named(&MONTHS, word, rest, *directive != 'B'),
            };
            text.replace_range(at..at + from.len(), &to);
        }
        Ok((text, is_end_of_day))
    }

    fn moment(&self, mut parsed: BrokenDownTime, is_end_of_day: bool, text: &str) -> Result<Moment, String> {
        let wrong = |_| self.wrong(text);
        if let (Some(first), Some(year), true) = (self.two_digits_from, parsed.year(), self.has_two_digit_years()) {
            parsed.set_year(Some(first + (year - first).rem_euclid(100))).map_err(wrong)?;
        }
        let days = i64::from(is_end_of_day).days();
        if is_end_of_day && [parsed.minute(), parsed.second()].into_iter().flatten().any(|part| part != 0) {
            return Err(format!("{} is no time: a day ends at 24:00", shown(text)));
        }
        if self.has_offset() {
            let at = parsed.to_timestamp().map_err(wrong)?;
            return Ok(Moment::Instant(Timestamp::from_micros(at.as_microsecond()).plus_seconds(if is_end_of_day { 86_400 } else { 0 })));
        }
        let date = parsed.to_date().map_err(wrong)?.checked_add(days).map_err(wrong)?;
        match parsed.to_time() {
            Ok(time) if parsed.hour().is_some() => Ok(Moment::Clock(DateTime::from_parts(date, time))),
            _ => Ok(Moment::Date(date)),
        }
    }
}

/// From a name, and the point of its abbreviation, to the library's.
fn named(names: &[(&str, &str, &str)], word: String, rest: &str, is_short: bool) -> (String, String) {
    let lower = word.to_lowercase();
    let is_meant = |(english, short, long): &&(&str, &str, &str)| {
        let english = english.to_lowercase();
        // «sett.» and «sept.» are of four letters, «lunedi» has lost its accent.
        lower.chars().count() >= 3
            && (lower == *short || long.starts_with(&lower) || english.starts_with(&lower) || unaccented(long) == lower)
    };
    let Some((english, ..)) = names.iter().find(is_meant) else { return (word.clone(), word) };
    let point = if rest.get(word.len()..).is_some_and(|after| after.starts_with('.')) { "." } else { "" };
    let name = if is_short { english.get(..3).unwrap_or(english) } else { english };
    (word + point, name.to_owned())
}

fn unaccented(word: &str) -> String {
    word.replace('ì', "i")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, text: &str, expected: &str) {
        let found = match Civil::of(format, None).read(text) {
            Ok(Moment::Instant(at)) => at.to_string(),
            Ok(Moment::Clock(at)) => at.to_string(),
            Ok(Moment::Date(date)) => date.to_string(),
            Err(message) => format!("! {message}"),
        };
        assert!(found.starts_with(expected), "{text:?} as {format:?} is {found:?}, not {expected:?}");
    }

    #[test]
    fn what_files_write_beside_the_standard_is_read() {
        for (format, text, expected) in [
            ("%d/%m/%Y %H:%M", "01/02/2014 24:00", "2014-02-02T00:00:00"),
            ("%d/%m/%Y %H:%M:%S", "31/12/2014 24:00:00", "2015-01-01T00:00:00"),
            ("%Y%m%d%H%M", "201402282400", "2014-03-01T00:00:00"),
            ("%d/%m/%Y %R", "01/02/2014 24:00", "2014-02-02T00:00:00"),
            ("%d/%m/%Y %H:%M", "01/02/2014 24:10", "! \"01/02/2014 24:10\" is no time"),
            ("%d/%m/%Y %H:%M", "01/02/2014 25:00", "! \"01/02/2014 25:00\" is not a time"),
            ("%d/%m/%Y %H:%M", "02/02/2014", "2014-02-02"),
            ("%d/%m/%Y %H:%M", "02/02/2014 1", "! "),
            ("%H:%M %d/%m/%Y", "02/02/2014", "! "),
            ("%d-%b-%Y %H:%M", "15-gen-2014 08:00", "2014-01-15T08:00:00"),
            ("%d-%b-%Y %H:%M", "15-MAG-2014 24:00", "2014-05-16T00:00:00"),
            ("%d-%b-%Y", "15-set-2014", "2014-09-15"),
            ("%d %b %Y", "15 sett. 2014", "2014-09-15"),
            ("%d %b %Y", "15 dicembre 2014", "2014-12-15"),
            ("%d %B %Y %H:%M", "1 luglio 2014 10:00", "2014-07-01T10:00:00"),
            ("%d %B %Y", "1 July 2014", "2014-07-01"),
            ("%d-%b-%Y", "15-jun-2014", "2014-06-15"),
            ("%d-%b-%Y", "15-xyz-2014", "! "),
            ("%a %d/%m/%Y %H:%M", "mer 01/01/2014 10:00", "2014-01-01T10:00:00"),
            ("%d/%m/%Y %H:%M %Z", "26/10/2014 02:30 CEST", "2014-10-26T00:30:00Z"),
            ("%d/%m/%Y %H:%M %Z", "26/10/2014 02:30 CET", "2014-10-26T01:30:00Z"),
            ("%d/%m/%Y %H:%M %Z", "31/12/2014 24:00 CET", "2014-12-31T23:00:00Z"),
            ("%d/%m/%Y %H:%M %Z", "26/10/2014 02:30 BST", "! \"BST\" is no zone"),
            ("%d/%m/%y", "01/02/14", "2014-02-01"),
            ("%d/%m/%y", "01/02/2014", "! \"01/02/2014\" is not a time as \"%d/%m/%y\" says; write %Y"),
        ] {
            check(format, text, expected);
        }
        let of_1920 = |text: &str| Civil::of("%d/%m/%y", Some(1920)).read(text);
        assert_eq!(of_1920("01/02/21"), Ok(Moment::Date(Date::constant(1921, 2, 1))));
        assert_eq!(of_1920("01/02/19"), Ok(Moment::Date(Date::constant(2019, 2, 1))));
    }
}
