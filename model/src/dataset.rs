//! What is shared: a dataset as its readers are told of it, whatever file they take.

use crate::{Text, Unit};

/// What one column of a dataset holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Text,
    /// A civil day of Europe/Rome.
    Day,
    /// An instant, UTC, to the microsecond.
    Instant,
    /// A finite number, possibly absent.
    Number,
    /// A whole number, never absent.
    Count,
}

impl ColumnKind {
    const ALL: [(Self, &'static str); 5] =
        [(Self::Text, "text"), (Self::Day, "day"), (Self::Instant, "instant"), (Self::Number, "number"), (Self::Count, "count")];

    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("text", |(_, word)| word)
    }
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, found)| *found == word).map(|(kind, _)| *kind)
    }
}

/// One column, the same in every format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in the files.
    pub name: String,
    pub kind: ColumnKind,
    pub unit: Option<Unit>,
    /// What it says, in a sentence.
    pub meaning: Text,
}

/// What is shared, described once: catalogue, files, schedule and page derive from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// A slug; also the beginning of every file's name.
    pub id: String,
    pub title: Text,
    /// What it is, how it is made, in a few sentences.
    pub description: Text,
    /// What a reader must know before relying on it.
    pub caution: Text,
    /// SPDX name of the licence.
    pub licence: String,
    pub licence_url: String,
    pub columns: Vec<Column>,
}
