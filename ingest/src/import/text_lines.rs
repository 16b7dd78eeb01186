//! The lines of a file as text, whatever ends them and whatever it is encoded in; none grows without a bound.

use super::encoding::Utf8Source;
use encoding_rs::{Encoding, WINDOWS_1252};
use std::io::{self, Read};

/// The most bytes of a line; of a longer one the rest is passed over, and it is refused.
pub(super) const LONGEST: usize = 1 << 20;

/// One line without its end.
#[derive(Debug, Clone)]
pub(super) struct TextLine {
    /// From 1.
    pub(super) number: usize,
    pub(super) text: String,
    /// Whether a line end follows: the last line of a file that was cut off has none.
    pub(super) is_ended: bool,
    /// Whether it was longer than [`LONGEST`].
    pub(super) is_cut: bool,
}

pub(super) struct TextLines<R> {
    source: Utf8Source<R>,
    chunk: Vec<u8>,
    at: usize,
    number: usize,
    /// The line before ended with CR: an LF at once after it is of the same end.
    is_after_return: bool,
    as_windows: u64,
}

impl<R: Read> TextLines<R> {
    pub(super) fn open(source: R, declared: Option<&'static Encoding>) -> io::Result<Self> {
        let source = Utf8Source::open(source, declared)?;
        Ok(Self { source, chunk: Vec::new(), at: 0, number: 0, is_after_return: false, as_windows: 0 })
    }
    /// Bytes of the file so far.
    pub(super) fn bytes(&self) -> u64 {
        self.source.count()
    }
    /// Lines so far that were no UTF-8 and were read as Windows-1252.
    pub(super) fn as_windows(&self) -> u64 {
        self.as_windows
    }

    /// What waits of the source, empty at its end.
    fn rest(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.chunk.len() {
            self.source.more(&mut self.chunk)?;
            self.at = 0;
        }
        Ok(self.chunk.get(self.at..).unwrap_or_default())
    }

    pub(super) fn next(&mut self) -> io::Result<Option<TextLine>> {
        if std::mem::take(&mut self.is_after_return) && self.rest()?.first() == Some(&b'\n') {
            self.at += 1;
        }
        let (mut line, mut is_cut, mut is_empty) = (Vec::new(), false, true);
        let is_ended = loop {
            let rest = self.rest()?;
            if rest.is_empty() {
                break false;
            }
            is_empty = false;
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (piece, sign) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
            let sign = sign.first().copied();
            // A logger's file may be filled up with zeros.
            let piece_start = if line.is_empty() { piece.iter().position(|byte| *byte != 0).unwrap_or(piece.len()) } else { 0 };
            let kept = piece.get(piece_start..).unwrap_or_default();
            let room = LONGEST.saturating_sub(line.len());
            is_cut |= kept.len() > room;
            line.extend_from_slice(kept.get(..room.min(kept.len())).unwrap_or_default());
            self.at += piece.len() + usize::from(sign.is_some());
            if let Some(sign) = sign {
                self.is_after_return = sign == b'\r';
                break true;
            }
        };
        if is_empty {
            return Ok(None);
        }
        self.number += 1;
        let text = self.text(line);
        Ok(Some(TextLine { number: self.number, text, is_ended, is_cut }))
    }

    fn text(&mut self, line: Vec<u8>) -> String {
        let text = String::from_utf8(line).unwrap_or_else(|wrong| {
            let bytes = wrong.into_bytes();
            self.as_windows += 1;
            WINDOWS_1252.decode_without_bom_handling(&bytes).0.into_owned()
        });
        let plain = text.trim_end_matches('\0').trim_start_matches('\u{feff}');
        if plain.len() == text.len() { text } else { plain.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &[&str]) {
        let mut lines = TextLines::open(bytes, None).expect("open");
        let mut found = Vec::new();
        while let Some(line) = lines.next().expect("read") {
            found.push(line.text);
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn every_line_end_and_encoding_gives_the_same_lines() {
        let text = "Portata (m³/s)\nperché\n";
        let utf16 = |bytes: fn(u16) -> [u8; 2], mark: &str| format!("{mark}{text}").encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let expected = ["Portata (m³/s)", "perché"];
        check(text.as_bytes(), &expected);
        check(text.replace('\n', "\r\n").as_bytes(), &expected);
        check(text.replace('\n', "\r").as_bytes(), &expected);
        check(format!("\u{feff}{text}\0\0\0").as_bytes(), &[expected[0], expected[1], ""]);
        check(&WINDOWS_1252.encode(text).0, &expected);
        for mark in ["\u{feff}", ""] {
            check(&utf16(u16::to_le_bytes, mark), &expected);
            check(&utf16(u16::to_be_bytes, mark), &expected);
        }
        check(b"a\r\n\r\nb", &["a", "", "b"]);
        check(b"", &[]);
    }

    #[test]
    fn a_line_without_an_end_is_bounded() {
        let mut long = vec![b'x'; 3 * LONGEST];
        long.extend_from_slice(b"\nb\n");
        let mut lines = TextLines::open(long.as_slice(), None).expect("open");
        let first = lines.next().expect("read").expect("a line");
        assert!(first.is_cut && first.text.len() == LONGEST);
        assert_eq!(lines.next().expect("read").map(|line| line.text).as_deref(), Some("b"));
    }
}
