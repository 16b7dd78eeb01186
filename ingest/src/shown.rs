//! What a device wrote, inside a sentence for people: quoted, escaped, and cut where it grows long.

use std::fmt::{Display, Formatter, Result, Write};

const LONGEST: usize = 40;

/// The text in quotes; control characters can't reach a terminal, and a long text can't fill a log.
pub(crate) fn shown(text: &str) -> impl Display + '_ {
    Shown(text)
}

struct Shown<'a>(&'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut rest = self.0.chars();
        f.write_char('"')?;
        for one in rest.by_ref().take(LONGEST) {
            // An apostrophe needs no escape between quotes.
            if one == '\'' { f.write_char(one)? } else { write!(f, "{}", one.escape_debug())? }
        }
        f.write_str(if rest.next().is_some() { "…\"" } else { "\"" })
    }
}

/// Whether a person who reads a name sees all of it: no control characters, nothing of no width, no blanks but plain ones within.
pub(crate) fn is_visible(name: &str) -> bool {
    let hides = |one: char| {
        one.is_control()
            || (one.is_whitespace() && one != ' ')
            || matches!(one,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e0fff}')
    };
    !name.is_empty() && name.trim() == name && !name.contains(hides)
}

/// The word of `known` that was most likely meant. Long texts were not meant as one: comparing takes time.
pub(crate) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() <= 64 { store::nearest(text, known) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_something_unseen_in_it_is_not_visible() {
        for name in ["sonda-7", "pompa 1", "livello_cm", "modbus,name=pump\\ 1", "älvdalen"] {
            assert!(is_visible(name), "{name:?}");
        }
        for name in ["", "a\0", "a\n", "\u{feff}a", "a\u{200b}", "a\u{1b}[2J", " a", "a\u{a0}b", "a\u{202e}b", "\u{fffd}"] {
            assert!(!is_visible(name), "{name:?}");
        }
    }

    #[test]
    fn what_a_device_wrote_is_escaped_and_cut() {
        for (text, expected) in [
            ("high", "\"high\"".to_owned()),
            ("l'\u{1b}[2J\n", "\"l'\\u{1b}[2J\\n\"".into()),
            (&"x".repeat(9000), format!("\"{}…\"", "x".repeat(40))),
        ] {
            assert_eq!(shown(text).to_string(), expected);
        }
    }
}
