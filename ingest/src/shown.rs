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

/// The word of `known` that was most likely meant. Long texts were not meant as one: comparing takes time.
pub(crate) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() <= 64 { store::nearest(text, known) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

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
