//! Text from outside on its way to a terminal or a log: a device chooses its name, its channels and its payload, and none of them may move
//! a cursor, ring, turn the reading direction, or begin a line of its own.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character does something else than show itself: control characters, marks that turn or join text, separators of lines.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line as it may be shown: what is hidden is written as JSON and TOML write it, `\n`, `\u001b`.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            hidden if is_hidden(hidden) => {
                for unit in hidden.encode_utf16(&mut [0; 2]) {
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
            plain => shown.push(plain),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn what_a_device_says_can_t_do_anything_to_a_terminal() {
        for (text, expected) in [
            ("ponte è 1,42 m ≥ 1 → ok", "ponte è 1,42 m ≥ 1 → ok"),
            ("dev\u{1b}[2J", "dev\\u001b[2J"),
            ("\u{1b}]0;x\u{7}", "\\u001b]0;x\\u0007"),
            ("a\nFAKE line\r\tb", "a\\nFAKE line\\r\\tb"),
            ("\u{202e}gnp.exe\u{2066}", "\\u202egnp.exe\\u2066"),
            ("\u{9b}31m\u{7f}\u{2028}\u{feff}", "\\u009b31m\\u007f\\u2028\\ufeff"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }
}
