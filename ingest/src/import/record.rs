//! The cells of rows. A quotation may hold line breaks; one that nobody closed costs its own row and no other.

use super::text_lines::{LONGEST, TextLine, TextLines};
use encoding_rs::Encoding;
use std::collections::VecDeque;
use std::io::{self, Read};

/// The most lines of one quotation.
const MOST_LINES: usize = 64;

/// A row as it stands in the file.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// From 1, where it begins.
    pub(super) line: usize,
    /// Its text with its line breaks.
    pub(super) raw: String,
    pub(super) cells: Vec<String>,
    pub(super) is_ended: bool,
    /// The column (from 1) of what is wrong with its quotations or its length, and what.
    pub(super) wrong: Option<(usize, String)>,
}

pub(super) struct Records<R> {
    lines: TextLines<R>,
    separator: char,
    quote: bool,
    comment: Option<char>,
    /// Lines that were looked at for the end of a quotation, each with what was found of it.
    waiting: VecDeque<(TextLine, Option<bool>)>,
}

enum Split {
    Whole(Vec<String>),
    /// The quotation of the last of these cells is open at the end.
    Open(Vec<String>),
}

impl<R: Read> Records<R> {
    pub(super) fn open(
        source: R,
        declared: Option<&'static Encoding>,
        separator: char,
        quote: bool,
        comment: Option<char>,
    ) -> io::Result<Self> {
        Ok(Self { lines: TextLines::open(source, declared)?, separator, quote, comment, waiting: VecDeque::new() })
    }
    pub(super) fn bytes(&self) -> u64 {
        self.lines.bytes()
    }
    pub(super) fn as_windows(&self) -> u64 {
        self.lines.as_windows()
    }
    /// The next line as text, before any row is read.
    pub(super) fn line(&mut self) -> io::Result<Option<TextLine>> {
        self.lines.next()
    }
    /// Puts a line back that was no row.
    pub(super) fn put_back(&mut self, line: TextLine) {
        self.waiting.push_front((line, None));
    }

    /// The next row that is not blank. `stands` says of the cells of one line whether they are a row by themselves.
    pub(super) fn next(&mut self, stands: &dyn Fn(&[String]) -> bool) -> io::Result<Option<Record>> {
        loop {
            let line = match self.waiting.pop_front() {
                Some((line, _)) => line,
                None => match self.lines.next()? {
                    Some(line) => line,
                    None => return Ok(None),
                },
            };
            let is_comment = self.comment.is_some_and(|sign| line.text.starts_with(sign));
            if !line.text.trim().is_empty() && !is_comment {
                return self.record(line, stands).map(Some);
            }
        }
    }

    fn record(&mut self, line: TextLine, stands: &dyn Fn(&[String]) -> bool) -> io::Result<Record> {
        let TextLine { number, text, is_ended, is_cut } = line;
        let record = |wrong| Record { line: number, raw: text.clone(), cells: Vec::new(), is_ended, wrong };
        if is_cut {
            let message = format!("a line of more than {LONGEST} bytes is no row; is this a CSV file, with line ends?");
            return Ok(Record { raw: text.chars().take(200).collect(), ..record(Some((1, message))) });
        }
        match split(&text, self.separator, self.quote) {
            Split::Whole(cells) => Ok(Record { cells, ..record(None) }),
            Split::Open(open) => match self.closed(&text, stands)? {
                Some((raw, cells, is_ended)) => Ok(Record { line: number, raw, cells, is_ended, wrong: None }),
                None => {
                    let cell = open.len();
                    let message = format!(
                        "the quotation that begins in cell {cell} is never closed; take its \" out or close it, or write quote = false if the file has no quotations"
                    );
                    Ok(record(Some((cell, message))))
                }
            },
        }
    }

    /// The row of several lines that begins with `text`; `None` when its quotation does not end before a line that is a row by itself.
    fn closed(&mut self, text: &str, stands: &dyn Fn(&[String]) -> bool) -> io::Result<Option<(String, Vec<String>, bool)>> {
        let mut whole = text.to_owned();
        for count in 0..MOST_LINES {
            if self.waiting.len() <= count {
                match self.lines.next()? {
                    Some(line) => self.waiting.push_back((line, None)),
                    None => return Ok(None),
                }
            }
            let Some((line, known)) = self.waiting.get_mut(count) else { return Ok(None) };
            let is_row = *known.get_or_insert_with(|| match split(&line.text, self.separator, self.quote) {
                Split::Whole(cells) | Split::Open(cells) => stands(&cells),
            });
            if is_row || line.is_cut || whole.len() + line.text.len() > LONGEST {
                return Ok(None);
            }
            whole.push('\n');
            whole.push_str(&line.text);
            if line.text.contains('"')
                && let Split::Whole(cells) = split(&whole, self.separator, self.quote)
                && is_tidy(&whole, self.separator)
            {
                let is_ended = line.is_ended;
                self.waiting.drain(..=count);
                return Ok(Some((whole, cells, is_ended)));
            }
        }
        Ok(None)
    }
}

/// Whether each quotation of a row ends where its cell ends: else two marks that have nothing to do with one another were paired.
fn is_tidy(text: &str, separator: char) -> bool {
    let ends_well = |rest: &str| rest.is_empty() || rest.starts_with(separator);
    let mut rest = text;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let doubled_out = quoted.replace("\"\"", "\u{0}\u{0}");
            let Some(end) = doubled_out.find('"') else { return false };
            rest = quoted.get(end + 1..).unwrap_or("");
            if !ends_well(rest) {
                return false;
            }
        }
        match rest.split_once(separator) {
            Some((_, after)) => rest = after,
            None => return true,
        }
    }
}

fn split(text: &str, separator: char, quote: bool) -> Split {
    if !quote || !text.contains('"') {
        return Split::Whole(text.split(separator).map(str::to_owned).collect());
    }
    let (mut cells, mut rest) = (Vec::new(), text);
    loop {
        let mut cell = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let Some((before, after)) = rest.split_once('"') else {
                    cells.push(cell + rest);
                    return Split::Open(cells);
                };
                cell.push_str(before);
                rest = after;
                match rest.strip_prefix('"') {
                    Some(after) => {
                        cell.push('"');
                        rest = after;
                    }
                    None => break,
                }
            }
        }
        match rest.split_once(separator) {
            Some((before, after)) => {
                cell.push_str(before);
                cells.push(cell);
                rest = after;
            }
            None => {
                cell.push_str(rest);
                cells.push(cell);
                return Split::Whole(cells);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cells of each row joined by `|`, or `!` and the line of what is wrong.
    fn check(text: &str, quote: bool, expected: &[&str]) {
        let mut records = Records::open(text.as_bytes(), None, ';', quote, Some('#')).expect("open");
        let mut found = Vec::new();
        let stands = |cells: &[String]| cells.len() == 3 && cells[0].parse::<u32>().is_ok();
        while let Some(record) = records.next(&stands).expect("read") {
            found.push(match record.wrong {
                None => record.cells.join("|"),
                Some(_) => format!("!{}", record.line),
            });
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn a_quotation_may_hold_line_breaks_and_one_that_is_open_costs_its_row_only() {
        check("1;2;3\n#c\n\n4;\"a;b\";\"say \"\"so\"\"\"\n", true, &["1|2|3", "4|a;b|say \"so\""]);
        check("1;2;\"two\nlines\"\n3;4;5\n", true, &["1|2|two\nlines", "3|4|5"]);
        check("1;2;\"4 inches\n3;4;5\n6;7;clean\"\n8;9;0\n", true, &["!1", "3|4|5", "6|7|clean\"", "8|9|0"]);
        check("1;2;\"never\n3;4;\"closed\n5;6;7", true, &["!1", "!2", "5|6|7"]);
        check("1;2;\"never\n\n;;\"closed\n5;6;7", true, &["!1", "!3", "5|6|7"]);
        check("1;2;5\" pipe\n3;4;\"5\" pipe\n", true, &["1|2|5\" pipe", "3|4|5 pipe"]);
        check("1;2;\"4 inches\n3;4;5\n", false, &["1|2|\"4 inches", "3|4|5"]);
    }
}
