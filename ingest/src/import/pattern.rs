//! The description of a file of history, a few lines of TOML.

use super::encoding;
use encoding_rs::Encoding;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
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
    /// Between groups of three digits, where the file has such a sign.
    #[serde(default)]
    pub(super) thousands: Option<char>,
    /// Whether a `"` at the beginning of a cell opens a quotation. Default true.
    #[serde(default = "yes")]
    pub(super) quote: bool,
    /// By its WHATWG label, e.g. `windows-1252`. Recognised when left out.
    #[serde(default)]
    encoding: Option<Spanned<String>>,
    /// Lines that begin with it are passed over.
    #[serde(default)]
    pub(super) comment: Option<char>,
    /// Lines before the header.
    #[serde(default)]
    pub(super) skip: usize,
    /// The names of the columns, when the file has no header line.
    #[serde(default)]
    pub(super) columns: Option<Vec<String>>,
    /// What the first cell of a line begins with that heads a block of rows; the rest of the line is the block's name, which
    /// conditions call `block`.
    #[serde(default)]
    pub(super) heading: Option<String>,
    /// Cells that say that nothing was measured, compared as texts and as numbers.
    #[serde(default = "missing")]
    pub(super) missing: Vec<Word>,
    /// Only rows whose cells are these.
    #[serde(default, rename = "where")]
    pub(super) chosen: Conditions,
    /// Which one is taken of several values for one time of a datastream.
    #[serde(default)]
    pub(super) same_time: SameTime,
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
    /// The first of the hundred years that `%y` means. Default 1969.
    #[serde(default)]
    pub(super) two_digit_years_from: Option<i16>,
    /// Which end of its interval the time of a quantity is that sums, such as rain.
    #[serde(default)]
    pub(super) label: Option<Label>,
    /// How long such an interval is, as an ISO 8601 duration; the datastream's period when left out.
    #[serde(default)]
    pub(super) interval: Option<Spanned<String>>,
}

/// How the hour that exists twice is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RepeatedHour {
    /// By the order of the rows, oldest or newest first: the file has it twice.
    #[default]
    Order,
    First,
    Second,
}

/// The end of an interval that its time names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Label {
    Start,
    End,
}

/// What becomes of several different values for one time of one datastream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SameTime {
    /// The file is refused.
    #[default]
    Refuse,
    /// The first of the file counts.
    First,
    /// The last of the file counts.
    Last,
}

/// A column by its name, or by its number from 1.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "the name of a column, or its number from 1")]
pub(super) enum ColumnRef {
    Number(usize),
    Name(String),
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "column {number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "the name or number of a column, or a list of them")]
pub(super) enum OneOrMore {
    One(ColumnRef),
    More(Vec<ColumnRef>),
}

impl OneOrMore {
    pub(super) fn columns(&self) -> &[ColumnRef] {
        match self {
            Self::One(column) => std::slice::from_ref(column),
            Self::More(columns) => columns,
        }
    }
}

/// A cell as a pattern writes it, text or number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word(pub(super) String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a text or a number")]
        enum Written {
            Text(String),
            Whole(i64),
            Number(f64),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string(),
            Written::Number(number) => number.to_string(),
        }))
    }
}

/// For each column the cells that are meant, e.g. `{ IdSensore = "8010", Stato = ["VA", "ND"] }`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Conditions(pub(super) BTreeMap<String, Words>);

#[derive(Debug, Clone)]
pub(super) struct Words(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a cell, or a list of cells")]
        enum Written {
            One(Word),
            More(Vec<Word>),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::One(word) => vec![word.0],
            Written::More(words) => words.into_iter().map(|word| word.0).collect(),
        }))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValuePattern {
    pub(super) column: Spanned<ColumnRef>,
    /// In the pattern of a device's lines its channel.
    #[serde(alias = "channel", default)]
    pub(super) datastream: Option<Spanned<String>>,
    /// The column whose cells say which datastream a row is of: its id, or what `datastreams` turns into one.
    #[serde(default)]
    pub(super) datastream_column: Option<Spanned<ColumnRef>>,
    /// Cells of `datastream_column` and their datastreams; rows with another cell are passed over.
    #[serde(default)]
    pub(super) datastreams: Option<BTreeMap<String, Spanned<String>>>,
    /// Only rows whose cells are these.
    #[serde(default, rename = "where")]
    pub(super) chosen: Conditions,
    /// The unit of the file; the datastream's own when left out.
    #[serde(default)]
    pub(super) unit: Option<Spanned<String>>,
    /// What each value is multiplied with first.
    #[serde(default = "one")]
    pub(super) factor: f64,
    /// What is added to the product, in the unit of the file.
    #[serde(default)]
    pub(super) add: f64,
}

fn comma() -> char {
    ','
}
fn point() -> char {
    '.'
}
fn yes() -> bool {
    true
}
fn one() -> f64 {
    1.0
}
fn missing() -> Vec<Word> {
    ["", "-", "NaN", "NA", "null"].map(|word| Word(word.to_owned())).to_vec()
}

/// The files that `pescaia export` writes.
const OWN: &str = "[time]\ncolumn = \"phenomenon_time\"\nformat = \"rfc3339\"\n[[value]]\ncolumn = \"result\"\ndatastream = \"";

/// The files that `pescaia export --italian` writes, as `demo/patterns/italian-export.toml` has it with a datastream of its own.
const OWN_ITALIAN: &str = include_str!("../../../demo/patterns/italian-export.toml");

impl Pattern {
    /// Reads a pattern file's text. `name` stands in complaints.
    ///
    /// # Errors
    /// What is wrong, with its line and the cure.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Complaint>> {
        let pattern: Self = parse_toml(name, text)?;
        let pattern = Self { name: name.to_owned(), text: text.to_owned(), ..pattern };
        match pattern.contradiction() {
            Some(message) => Err(vec![Complaint { file: name.to_owned(), line: 0, column: 0, message }]),
            None => pattern.encoding().map(|_| pattern.clone()),
        }
    }

    /// What no file can be, and the cure.
    fn contradiction(&self) -> Option<String> {
        let Self { separator, decimal, thousands, .. } = self;
        if !separator.is_ascii() || matches!(separator, '\n' | '\r' | '"') {
            return Some(format!("the separator {separator:?} can't be; use one such as \",\" \";\" or \"\\t\""));
        }
        if !matches!(decimal, '.' | ',') {
            return Some(format!("the decimal sign {decimal:?} can't be; use \".\" or \",\""));
        }
        // Where cells stand in quotation marks, both may be commas.
        if decimal == separator && !self.quote {
            return Some(
                "decimal and separator are both \",\"; a file with decimal commas is separated by something else, often \";\", or has its numbers in \
                 quotation marks: leave quote = false out then"
                    .into(),
            );
        }
        if *thousands == Some(*decimal) {
            return Some(format!(
                "decimal and thousands are both {decimal:?}; the decimal sign is the one that stands once, before the last digits"
            ));
        }
        if let Some(sign) = thousands.filter(|sign| sign.is_ascii_digit() || matches!(sign, '-' | '+' | 'e' | 'E')) {
            return Some(format!("the sign {sign:?} can't part thousands; use \".\" \",\" \" \" or \"'\""));
        }
        if self.value.is_empty() {
            return Some("no [[value]] says which column feeds which datastream; add one".into());
        }
        let is_aimless = |value: &ValuePattern| value.datastream.is_some() == value.datastream_column.is_some();
        if self.value.iter().any(is_aimless) {
            return Some("each [[value]] says either datastream = \"…\", or datastream_column = \"…\" where a column names it".into());
        }
        let of_nothing = |value: &ValuePattern| value.datastreams.is_some() && value.datastream_column.is_none();
        if self.value.iter().any(of_nothing) {
            return Some("datastreams turns the cells of a column into datastreams; say which column with datastream_column".into());
        }
        None
    }

    /// # Errors
    /// When nobody knows the name.
    pub(super) fn encoding(&self) -> Result<Option<&'static Encoding>, Vec<Complaint>> {
        let Some(label) = &self.encoding else { return Ok(None) };
        let unknown =
            || vec![self.complain(label.span().start, format!("there is no encoding {:?}; {}", label.get_ref(), encoding::KNOWN))];
        encoding::named(label.get_ref()).map(Some).ok_or_else(unknown)
    }

    /// The bytes of a text in the encoding of the pattern's files: UTF-8 where it names none.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u8> {
        encoding::encode(self.encoding().ok().flatten(), text)
    }

    /// The pattern of a file that `pescaia export` wrote, for one datastream.
    ///
    /// # Errors
    /// When the key is no name.
    pub fn own(datastream: &str) -> Result<Self, Vec<Complaint>> {
        Self::parse("pescaia export", &format!("{OWN}{}\"\n", bare(datastream)))
    }

    /// The pattern of a file that `pescaia export --italian` wrote, for one datastream.
    ///
    /// # Errors
    /// When the key is no name.
    pub fn own_italian(datastream: &str) -> Result<Self, Vec<Complaint>> {
        let text = OWN_ITALIAN.replace("prova-level", &bare(datastream));
        Self::parse("pescaia export --italian", &text)
    }

    /// Puts one datastream in the place of the only one that a pattern names.
    ///
    /// # Errors
    /// When it names none, or several.
    pub fn feeding(mut self, datastream: &str) -> Result<Self, Vec<Complaint>> {
        if let [value] = self.value.as_mut_slice()
            && let Some(named) = &mut value.datastream
        {
            *named.get_mut() = datastream.to_owned();
            return Ok(self);
        }
        let message = "it feeds more than one datastream; write them into the pattern and leave --datastream out".to_owned();
        Err(vec![Complaint { file: self.name, line: 0, column: 0, message }])
    }

    pub(super) fn complain(&self, at: usize, message: String) -> Complaint {
        Complaint::at(&self.name, &self.text, at, message)
    }
    /// Where `[time]` stands.
    pub(super) fn time_at(&self) -> usize {
        self.text.find("[time]").unwrap_or(0)
    }
}

fn bare(datastream: &str) -> String {
    datastream.replace(['"', '\\', '\n'], "")
}
