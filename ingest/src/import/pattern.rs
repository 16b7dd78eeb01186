//! What a file of history looks like, declared in a few lines of TOML.

use serde::Deserialize;
use store::{Complaint, parse_toml};
use toml::Spanned;

/// A pattern file. Everything but `[time]` and `[[value]]` has a default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    #[serde(skip)]
    pub(super) name: String,
    #[serde(skip)]
    pub(super) text: String,
    /// Between cells: one character. Default `,`.
    #[serde(default = "comma")]
    pub(super) separator: char,
    /// `.` or `,`. Default `.`.
    #[serde(default = "point")]
    pub(super) decimal: char,
    /// Lines that begin with it are passed over.
    #[serde(default)]
    pub(super) comment: Option<char>,
    /// Lines before the header.
    #[serde(default)]
    pub(super) skip: usize,
    /// The names of the columns, when the file has no header line.
    #[serde(default)]
    pub(super) columns: Option<Vec<String>>,
    /// Cells that say that nothing was measured, compared as texts and as numbers.
    #[serde(default = "missing")]
    pub(super) missing: Vec<String>,
    pub(super) time: TimePattern,
    pub(super) value: Vec<ValuePattern>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimePattern {
    /// One column, or several that are read as one text with a space between.
    pub(super) column: OneOrMore,
    /// `rfc3339`, `epoch_s`, `epoch_ms` or a strftime pattern such as `%d/%m/%Y %H:%M`.
    pub(super) format: String,
    /// What a time without an offset means: `Europe/Rome`, or a fixed `+01:00`.
    #[serde(default)]
    pub(super) zone: Option<Spanned<String>>,
    /// Which of the two a time is that a clock change makes happen twice.
    #[serde(default)]
    pub(super) repeated_hour: RepeatedHour,
}

/// How the hour that exists twice is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RepeatedHour {
    /// By the order of the rows: the file has it twice, and the second pass is the later one.
    #[default]
    Order,
    First,
    Second,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "the name of a column, or a list of names")]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::More(names) => names,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValuePattern {
    pub(super) column: Spanned<String>,
    /// In the pattern of a device's lines its channel.
    #[serde(alias = "channel")]
    pub(super) datastream: Spanned<String>,
    /// The unit of the file; the datastream's own when left out.
    #[serde(default)]
    pub(super) unit: Option<Spanned<String>>,
    /// What each value is multiplied with first.
    #[serde(default = "one")]
    pub(super) factor: f64,
}

fn comma() -> char {
    ','
}
fn point() -> char {
    '.'
}
fn one() -> f64 {
    1.0
}
fn missing() -> Vec<String> {
    ["", "-", "NaN", "NA", "null"].map(str::to_owned).to_vec()
}

/// The files that `pescaia export` writes.
const OWN: &str = "[time]\ncolumn = \"phenomenon_time\"\nformat = \"rfc3339\"\n[[value]]\ncolumn = \"result\"\ndatastream = \"";

impl Pattern {
    /// Reads a pattern file's text. `name` stands in complaints.
    ///
    /// # Errors
    /// What is wrong, with its line and the cure.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Complaint>> {
        let pattern: Self = parse_toml(name, text)?;
        let pattern = Self { name: name.to_owned(), text: text.to_owned(), ..pattern };
        let whole = |message: String| vec![Complaint { file: name.to_owned(), line: 0, column: 0, message }];
        if !pattern.separator.is_ascii() {
            return Err(whole(format!("the separator {:?} can't be; use one such as \",\" \";\" or \"\\t\"", pattern.separator)));
        }
        if !matches!(pattern.decimal, '.' | ',') {
            return Err(whole(format!("the decimal sign {:?} can't be; use \".\" or \",\"", pattern.decimal)));
        }
        if pattern.decimal == pattern.separator {
            return Err(whole(
                "decimal and separator are both \",\"; a file with decimal commas is separated by something else, often \";\"".into(),
            ));
        }
        if pattern.value.is_empty() {
            return Err(whole("no [[value]] says which column feeds which datastream; add one".into()));
        }
        Ok(pattern)
    }

    /// The pattern of a file that `pescaia export` wrote, for one datastream.
    ///
    /// # Errors
    /// When the key is no name.
    pub fn own(datastream: &str) -> Result<Self, Vec<Complaint>> {
        Self::parse("pescaia export", &format!("{OWN}{}\"\n", datastream.replace(['"', '\\', '\n'], "")))
    }

    pub(super) fn complain(&self, at: usize, message: String) -> Complaint {
        Complaint::at(&self.name, &self.text, at, message)
    }
}
