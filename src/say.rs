//! What goes to a person at the terminal, escaped on its way out whoever said it ([`crate::shown`]). Logs go elsewhere.

use crate::shown::one_line;
use std::fmt;
use std::io::Write;
use store::Complaint;

/// One line on the standard output; nobody listening is no error.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", one_line(text));
    let _ = out.flush();
}

/// Several lines of our own words on the standard output.
pub(crate) fn page(text: &str) {
    text.split('\n').for_each(line);
}

/// Lines on the standard output that somebody wants to have.
///
/// # Errors
/// That they could not be written; a reader that has gone is one too.
pub(crate) fn lines(lines: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{}", one_line(line)))?;
    out.flush()
}

/// One line on the standard error.
pub(crate) fn error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", one_line(text));
}

/// What is wrong is told so often at once.
const MOST: usize = 50;

/// Everything that is wrong with what a person wrote, a line each.
#[derive(Debug)]
pub(crate) struct Complaints(pub(crate) Vec<String>);

impl Complaints {
    /// Each on the standard error, or the first of very many.
    pub(crate) fn say(&self) {
        self.0.iter().take(MOST).for_each(|line| error(line));
        if self.0.len() > MOST {
            error(&format!("… and {} more", self.0.len() - MOST));
        }
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Complaints {}

impl From<Vec<Complaint>> for Complaints {
    fn from(complaints: Vec<Complaint>) -> Self {
        Self(complaints.iter().map(ToString::to_string).collect())
    }
}

/// What went wrong in several lines, of which none is about what a person wrote.
#[derive(Debug)]
pub(crate) struct Failures(pub(crate) Vec<String>);

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for Failures {}
