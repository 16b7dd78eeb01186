//! What goes to a person at the terminal. Logs go elsewhere.

use std::fmt;
use std::io::Write;
use store::Complaint;

/// One line on the standard output; nobody listening is no error.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// Lines on the standard output that somebody wants to have.
///
/// # Errors
/// That they could not be written; a reader that has gone is one too.
pub(crate) fn lines(lines: &[String]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    out.flush()
}

/// One line on the standard error.
pub(crate) fn error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What is wrong is told so often at once.
const MOST: usize = 50;

/// Everything that is wrong with what a person wrote, a line each.
#[derive(Debug)]
pub(crate) struct Complaints(pub(crate) Vec<String>);

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first: Vec<&str> = self.0.iter().take(MOST).map(String::as_str).collect();
        f.write_str(&first.join("\n"))?;
        if self.0.len() > MOST {
            write!(f, "\n… and {} more", self.0.len() - MOST)?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaints {}

impl From<Vec<Complaint>> for Complaints {
    fn from(complaints: Vec<Complaint>) -> Self {
        Self(complaints.iter().map(ToString::to_string).collect())
    }
}
