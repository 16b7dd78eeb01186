//! Numbers as they stand in texts: what they are, and what is said of those that are none.

use super::Refusal;
use model::{RejectReason, exact};

/// Why a text is no number that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NoNumber,
    /// NaN or an infinity.
    NotFinite,
    /// Beyond what a double holds.
    TooLarge,
    /// A whole number between two doubles.
    NotExact,
}

/// A decimal number, blanks around it passed over.
///
/// # Errors
/// Why it is none that can be kept. A whole number is never rounded: one that no double is, is [`Fault::NotExact`].
pub(super) fn read(text: &str) -> Result<f64, Fault> {
    let text = text.trim_matches(|one: char| one.is_whitespace() || one == '\0');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["nan", "inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) {
        return Err(Fault::NotFinite);
    }
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) {
        return Err(Fault::NoNumber);
    }
    let number: f64 = text.parse().map_err(|_| Fault::NoNumber)?;
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) && unsigned.len() > 15 {
        let whole = text.parse().map_err(|_| if number.is_finite() { Fault::NotExact } else { Fault::TooLarge })?;
        return exact(whole).ok_or(Fault::NotExact);
    }
    if number.is_finite() { Ok(number) } else { Err(Fault::TooLarge) }
}

/// A whole number of a binary format.
///
/// # Errors
/// As [`read`].
pub(super) fn whole(number: i128) -> Result<f64, Fault> {
    exact(number).ok_or(Fault::NotExact)
}

/// A double of a binary format.
///
/// # Errors
/// As [`read`].
pub(super) fn finite(number: f64) -> Result<f64, Fault> {
    if number.is_finite() { Ok(number) } else { Err(Fault::NotFinite) }
}

impl Fault {
    /// The refusal of a value: `place` says where it stands, `found` what stands there.
    pub(super) fn refusal(self, place: &str, found: &str) -> Refusal {
        let detail = match self {
            Self::NoNumber => {
                format!("{place} is {found}; send a decimal number such as 1.42, and leave the channel out when there is none")
            }
            Self::NotFinite => format!("{place} is {found}, which is no measurement; leave the channel out when nothing was measured"),
            Self::TooLarge => format!("{place} is {found}, larger than a number can be kept; send it in a larger unit"),
            Self::NotExact => {
                format!(
                    "{place} is {found}, which can't be kept to its last digit (beyond 9007199254740992 not every whole number can); send it in a larger unit"
                )
            }
        };
        Refusal { reason: RejectReason::NotANumber, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_number_that_it_says_or_none() {
        for (text, expected) in [
            ("1.42", Ok(1.42)),
            (" 21.50\r\n", Ok(21.5)),
            ("12.4\0\0", Ok(12.4)),
            ("-3e-2", Ok(-0.03)),
            ("+7", Ok(7.0)),
            (".5", Ok(0.5)),
            ("9007199254740992", Ok(9_007_199_254_740_992.0)),
            ("18446744073709551616", Ok(18_446_744_073_709_551_616.0)),
            ("1e23", Ok(1e23)),
            ("0000000000000000000000000000000000000000007", Ok(7.0)),
            ("9007199254740993", Err(Fault::NotExact)),
            ("-9007199254740993", Err(Fault::NotExact)),
            ("18446744073709551615", Err(Fault::NotExact)),
            ("99999999999999999999999999999999999999999999", Err(Fault::NotExact)),
            ("1e999", Err(Fault::TooLarge)),
            ("NaN", Err(Fault::NotFinite)),
            ("-Infinity", Err(Fault::NotFinite)),
            ("+inf", Err(Fault::NotFinite)),
            ("", Err(Fault::NoNumber)),
            ("1,42", Err(Fault::NoNumber)),
            ("1.42 m", Err(Fault::NoNumber)),
            ("1_000", Err(Fault::NoNumber)),
            ("0x10", Err(Fault::NoNumber)),
            ("high", Err(Fault::NoNumber)),
            ("1e", Err(Fault::NoNumber)),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }
}
