//! Rows that a pattern chooses by their cells.

use super::pattern::{ColumnRef, Conditions, Pattern};
use super::rows::Header;
use store::Complaint;

/// Where a cell of a row is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// From 0.
    Cell(usize),
    /// In the heading of the row's block.
    Block,
}

impl Place {
    pub(super) fn of<'a>(self, cells: &'a [String], block: &'a str) -> &'a str {
        match self {
            Self::Cell(place) => cells.get(place).map_or("", |cell| cell.trim()),
            Self::Block => block,
        }
    }
}

/// The name that conditions and `datastream_column` have for the name of a block.
const BLOCK: &str = "block";

/// A column, and the cells that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    column: String,
    pub(super) place: Place,
    words: Vec<String>,
}

impl Condition {
    pub(super) fn one(column: &ColumnRef, place: Place, word: &str) -> Self {
        Self { column: column.to_string(), place, words: vec![word.trim().to_owned()] }
    }
    pub(super) fn is_met(&self, cells: &[String], block: &str) -> bool {
        let cell = self.place.of(cells, block);
        self.words.iter().any(|word| word == cell)
    }
    /// For reports: `IdSensore = 2001`.
    pub(super) fn words(&self) -> String {
        format!("{} = {}", self.column, self.words.join(" or "))
    }
}

/// Where a column stands that a condition names.
///
/// # Errors
/// When it is not there.
pub(super) fn place(header: &Header, pattern: &Pattern, column: &ColumnRef, at: usize) -> Result<Place, Vec<Complaint>> {
    let is_block = matches!(column, ColumnRef::Name(name) if name == BLOCK) && !header.has(BLOCK);
    match is_block {
        true if pattern.heading.is_some() => Ok(Place::Block),
        true => {
            let message =
                "block is the name of a block of rows; say with heading = \"…\" what the line begins with that heads one".to_owned();
            Err(vec![pattern.complain(at, message)])
        }
        false => header.place(column, pattern, at).map(Place::Cell),
    }
}

/// # Errors
/// Every column that is not there.
pub(super) fn conditions(header: &Header, pattern: &Pattern, written: &Conditions) -> Result<Vec<Condition>, Vec<Complaint>> {
    let at = pattern.text.find("where").unwrap_or(0);
    let one = |(column, words): (&String, &super::pattern::Words)| {
        // A condition on the third column is written "3" where no column has that name.
        let number = column.parse().ok().filter(|_| !header.has(column)).map(ColumnRef::Number);
        let named = number.unwrap_or_else(|| ColumnRef::Name(column.clone()));
        let words = words.0.iter().map(|word| word.trim().to_owned()).collect();
        Ok(Condition { column: named.to_string(), place: place(header, pattern, &named, at)?, words })
    };
    written.0.iter().map(one).collect()
}
