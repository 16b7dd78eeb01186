//! CSV that a spreadsheet opens and a program reads: UTF-8, RFC 3339 times in UTC; `csv=it` writes `;` and decimal commas with
//! a byte order mark. A text cell that a spreadsheet would run as a formula is made harmless; numbers stay numbers.

/// How numbers and columns are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Plain,
    Italian,
}

impl Dialect {
    pub(crate) const fn delimiter(self) -> u8 {
        match self {
            Self::Plain => b',',
            Self::Italian => b';',
        }
    }
    /// What a file begins with.
    pub(crate) const fn mark(self) -> &'static [u8] {
        match self {
            Self::Plain => b"",
            Self::Italian => "\u{feff}".as_bytes(),
        }
    }
    /// Gives a number its decimal point.
    pub(crate) fn point(self, number: &mut [u8]) {
        if self == Self::Italian
            && let Some(byte) = number.iter_mut().find(|byte| **byte == b'.')
        {
            *byte = b',';
        }
    }
}

/// One cell.
pub(crate) enum Cell {
    Text(String),
    Number(f64),
    Whole(u64),
}

/// Appends the line of column names, with what a file begins with before it.
pub(crate) fn put_header(dialect: Dialect, columns: &[&str], out: &mut Vec<u8>) {
    out.extend_from_slice(dialect.mark());
    out.extend_from_slice(columns.join(&char::from(dialect.delimiter()).to_string()).as_bytes());
    out.push(b'\n');
}

/// Appends a line.
pub(crate) fn put_line(dialect: Dialect, cells: &[Cell], out: &mut Vec<u8>) {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            out.push(dialect.delimiter());
        }
        match cell {
            Cell::Text(text) => put_text(dialect, text, out),
            Cell::Whole(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Cell::Number(value) => {
                let from = out.len();
                out.extend_from_slice(value.to_string().as_bytes());
                dialect.point(out.get_mut(from..).unwrap_or_default());
            }
        }
    }
    out.push(b'\n');
}

/// What a spreadsheet would run as a formula is made harmless; what would end the cell or the line is quoted.
fn put_text(dialect: Dialect, text: &str, out: &mut Vec<u8>) {
    let harmless = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if !text.contains([char::from(dialect.delimiter()), '"', '\n', '\r']) {
        out.extend_from_slice(harmless.as_bytes());
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(harmless.as_bytes());
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, text: &str, number: f64, expected: &str) {
        let mut out = Vec::new();
        put_header(dialect, &["name", "value", "quality"], &mut out);
        put_line(dialect, &[Cell::Text(text.into()), Cell::Number(number), Cell::Whole(1)], &mut out);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn formulas_are_made_harmless_and_numbers_stay_numbers() {
        check(Dialect::Plain, "=HYPERLINK(\"x\")", -3.2, "name,value,quality\n\"'=HYPERLINK(\"\"x\"\")\",-3.2,1\n");
        check(Dialect::Plain, "@x", 1e21, "name,value,quality\n'@x,1000000000000000000000,1\n");
        check(Dialect::Italian, "Ponte; nuovo", 1.42, "\u{feff}name;value;quality\n\"Ponte; nuovo\";1,42;1\n");
    }
}
