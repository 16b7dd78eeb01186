use std::fmt;

/// What is wrong with a file that a person wrote: where, what, and the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub file: String,
    /// From 1; 0 when the whole file is meant.
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl Complaint {
    /// A complaint about byte `at` of `text`.
    #[must_use]
    pub fn at(file: &str, text: &str, at: usize, message: String) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        Self { file: file.to_owned(), line, column, message }
    }
}

/// `network.toml:14:9  unknown unit "mt", did you mean "m"?`
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, "  {}", self.message)
    }
}

impl std::error::Error for Complaint {}
