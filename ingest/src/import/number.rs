//! Numbers as people and loggers write them, strictly: what could mean two things is refused.

use super::pattern::{Pattern, Word};
use crate::shown::shown;

/// How a file writes its numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notation {
    pub(super) decimal: char,
    /// Between groups of three digits.
    pub(super) thousands: Option<char>,
}

impl Notation {
    pub(super) fn of(pattern: &Pattern) -> Self {
        Self { decimal: pattern.decimal, thousands: pattern.thousands }
    }

    /// # Errors
    /// Why a cell is no number, in words that name the cure.
    pub(super) fn read(self, cell: &str) -> Result<f64, String> {
        let text = cell.trim().replace('\u{2212}', "-");
        let whole = self.ungrouped(&text).ok_or_else(|| {
            format!("the thousands of {} are not parted in groups of three digits; mend it, or thousands in the pattern", shown(cell))
        })?;
        let other = if self.decimal == ',' { '.' } else { ',' };
        if whole.contains(other) && is_numeric(&whole) {
            return Err(self.other_sign(cell, &whole, other));
        }
        let plain = whole.replace(self.decimal, ".");
        match plain.parse::<f64>() {
            Ok(number) if is_numeric(&plain) && number.is_finite() => Ok(if number == 0.0 { 0.0 } else { number }),
            Ok(number) if is_numeric(&plain) && !number.is_nan() => Err(format!("{} is too large a number", shown(cell))),
            _ => Err(match parted(&text) {
                Some(sign) if self.thousands != Some(sign) => {
                    format!("{} is no number; write thousands = {} if that sign parts its thousands", shown(cell), toml_of(sign))
                }
                _ => format!("{} is no number; mend it, or add it to missing if it means that nothing was measured", shown(cell)),
            }),
        }
    }

    /// The text without the signs between its thousands; `None` when they stand elsewhere.
    fn ungrouped(self, text: &str) -> Option<String> {
        let Some(sign) = self.thousands else { return Some(text.to_owned()) };
        let alike = |one: char| one == sign || (is_blank(one) && is_blank(sign)) || (is_apostrophe(one) && is_apostrophe(sign));
        let (whole, rest) = text.find(self.decimal).map_or((text, ""), |at| text.split_at(at));
        if rest.contains(alike) {
            return None;
        }
        if !whole.contains(alike) {
            return Some(text.to_owned());
        }
        let groups: Vec<&str> = whole.split(alike).collect();
        let (first, others) = groups.split_first()?;
        let digits = first.trim_start_matches(['-', '+']);
        let is_grouped = (1..=3).contains(&digits.len()) && others.iter().all(|group| group.len() == 3);
        let all_digits = digits.bytes().chain(others.iter().flat_map(|group| group.bytes())).all(|byte| byte.is_ascii_digit());
        (is_grouped && all_digits).then(|| groups.concat() + rest)
    }

    /// No cure here may store 1.234 where the file means one thousand two hundred and thirty-four.
    fn other_sign(self, cell: &str, text: &str, other: char) -> String {
        let decimal = self.decimal;
        let place = format!("{} has a \"{other}\" where the pattern's decimal sign is \"{decimal}\"", shown(cell));
        let as_thousands = Self { thousands: Some(other), ..self };
        let may_be_grouped = as_thousands.ungrouped(text).is_some_and(|plain| !plain.contains(other));
        let has_both = text.contains(decimal);
        match (may_be_grouped, has_both) {
            (true, true) => format!("{place}; write thousands = \"{other}\" if it parts the thousands"),
            (true, false) => format!(
                "{place}; write thousands = \"{other}\" if it parts the thousands here, and if it does not, mend the number: it can be read in two ways"
            ),
            (false, true) => format!("{place} too; mend the number: thousands are parted in groups of three digits, and decimals once"),
            (false, false) => format!("{place}; write decimal = \"{other}\" if that is what it means in the whole file"),
        }
    }
}

/// Only signs that numbers are made of.
fn is_numeric(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit()) && text.bytes().all(|byte| byte.is_ascii_digit() || b".,+-eE".contains(&byte))
}

fn is_blank(sign: char) -> bool {
    matches!(sign, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

fn is_apostrophe(sign: char) -> bool {
    matches!(sign, '\'' | '\u{2019}')
}

/// The blank or apostrophe that parts the thousands of what else is a number.
fn parted(text: &str) -> Option<char> {
    let sign = text.chars().find(|sign| is_blank(*sign) || is_apostrophe(*sign))?;
    let sign_of = if is_blank(sign) { ' ' } else { '\'' };
    let rest: String = text.chars().filter(|one| !is_blank(*one) && !is_apostrophe(*one)).collect();
    is_numeric(&rest).then_some(sign_of)
}

fn toml_of(sign: char) -> String {
    format!("\"{sign}\"")
}

/// The cells that say that nothing was measured.
#[derive(Debug)]
pub(super) struct Missing {
    words: Vec<String>,
    numbers: Vec<f64>,
    notation: Notation,
}

impl Missing {
    pub(super) fn of(pattern: &Pattern) -> Self {
        let notation = Notation::of(pattern);
        let other = Notation { decimal: if pattern.decimal == ',' { '.' } else { ',' }, thousands: None };
        // A pattern may write its numbers as the file does, or as TOML does.
        let number = |Word(word): &Word| notation.read(word).or_else(|_| other.read(word)).ok();
        Self {
            words: pattern.missing.iter().map(|Word(word)| word.trim().to_owned()).collect(),
            numbers: pattern.missing.iter().filter_map(number).collect(),
            notation,
        }
    }
    /// The number of a cell; `None` where nothing was measured.
    ///
    /// # Errors
    /// As [`Notation::read`].
    pub(super) fn or_number(&self, cell: &str) -> Result<Option<f64>, String> {
        if self.words.iter().any(|word| word.eq_ignore_ascii_case(cell.trim())) {
            return Ok(None);
        }
        self.notation.read(cell).map(|number| Some(number).filter(|number| !self.numbers.contains(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(decimal: char, thousands: Option<char>, cell: &str, expected: Result<f64, &str>) {
        let found = Notation { decimal, thousands }.read(cell);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{cell}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found:?} does not say {expected:?}"),
            (found, expected) => panic!("{cell}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn thousands_are_parted_as_declared_and_no_cure_makes_a_small_number_of_a_large_one() {
        for (cell, expected) in [
            ("1.234,5", Ok(1234.5)),
            ("1.234", Ok(1234.0)),
            ("-12.345.678", Ok(-12_345_678.0)),
            ("987,5", Ok(987.5)),
            ("1234,5", Ok(1234.5)),
            ("1.5", Err("groups of three")),
            ("1,234.5", Err("groups of three")),
            ("12.34,5", Err("groups of three")),
        ] {
            check(',', Some('.'), cell, expected);
        }
        check(',', None, "1.234,5", Err("thousands = \".\""));
        let two_ways = Notation { decimal: ',', thousands: None }.read("1.234").unwrap_err();
        assert!(two_ways.contains("thousands = \".\"") && !two_ways.contains("decimal ="), "{two_ways}");
        check(',', None, "1.5", Err("write decimal = \".\""));
        check('.', None, "1,234", Err("thousands = \",\""));
        check('.', Some(','), "1,234.5", Ok(1234.5));
        check(',', Some(' '), "1\u{a0}234,5", Ok(1234.5));
        check('.', Some('\''), "1\u{2019}234.5", Ok(1234.5));
        check('.', None, "1 234.5", Err("thousands = \" \""));
        check(',', None, "\u{2212}6,59", Ok(-6.59));
        check('.', None, "1e999", Err("too large"));
        check('.', None, "inf", Err("no number"));
        check('.', None, "molto", Err("no number"));
    }

    #[test]
    fn a_sentinel_is_the_number_it_is_however_it_is_written() {
        let of = |missing: &str, decimal: &str, more: &str| {
            let text = format!(
                "separator = \";\"\ndecimal = \"{decimal}\"\n{more}missing = [{missing}]\n[time]\ncolumn = \"t\"\nformat = \"rfc3339\"\n[[value]]\ncolumn = \"v\"\ndatastream = \"d\"\n"
            );
            Missing::of(&Pattern::parse("p.toml", &text).expect("a pattern"))
        };
        for missing in ["\"-999,9\", \"9999\"", "\"-999.9\", \"9999,0\"", "-999.9, 9999", "\"-999,90\", 9999.0"] {
            for (decimal, cells) in [(",", ["-999,9", "-999,90", "9999", "9999,00"]), (".", ["-999.9", "-999.90", "9999", "9999.00"])] {
                for cell in cells {
                    assert_eq!(of(missing, decimal, "").or_number(cell), Ok(None), "{missing} {cell}");
                }
            }
        }
        assert_eq!(of("\"-9.999\"", ",", "thousands = \".\"\n").or_number("-9999"), Ok(None));
        assert_eq!(of("\"n.d.\", \"\"", ",", "").or_number(" N.D. "), Ok(None));
        assert_eq!(of("\"-999\"", ",", "").or_number("-999,1"), Ok(Some(-999.1)));
    }
}
