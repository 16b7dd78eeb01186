//! What is not as it was written: found by reading, named once, and kept until something else stands in its place.

use super::{Change, Table};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// One row or document whose checksum says that a bit of it, or of its key, is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damaged {
    /// Not given to anybody.
    Row { table: Table, part: i64, at: i64 },
    /// Not given to anybody.
    Document { kind: String, id: String },
    /// One of two copies; the other is sound, and given.
    Copy { kind: String, id: String },
    /// The index of a table; it is made anew from the rows, which are sound.
    Index { table: Table },
    /// So many rows of a table, with what stood beside their keys, are gone with their entries in the index; which one, when it is one.
    Missing { table: Table, rows: i64, weight: i64, key: Option<(i64, i64)> },
    /// Pages of the database file that a table needs: not all of its rows can be reached.
    Pages { table: Table },
}

impl Damaged {
    /// The kind of what is damaged, without its name: for those who may not know that.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Row { table, .. } | Self::Index { table } | Self::Missing { table, .. } | Self::Pages { table } => table.name(),
            Self::Document { kind, .. } | Self::Copy { kind, .. } => kind,
        }
    }
}

impl Damaged {
    /// The next start makes it anew from what is sound.
    #[must_use]
    pub fn is_mended_by_a_start(&self) -> bool {
        matches!(self, Self::Copy { .. } | Self::Index { .. })
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { table, part: 0, at } => write!(f, "{} {at} is not as it was written; it is not served", table.name()),
            Self::Row { table, part, at } => write!(f, "{} {part}/{at} is not as it was written; it is not served", table.name()),
            Self::Document { kind, id } => write!(f, "{kind} {id} is not as it was written; it is not served"),
            Self::Index { table } => {
                write!(
                    f,
                    "the index of {} is not as it was written; all that it should say is known from the rows, and the next start makes it anew",
                    table.name()
                )
            }
            Self::Missing { table, rows: 0, .. } => {
                write!(f, "{}: not every row stands under the key that it was written for; what does not is not served", table.name())
            }
            Self::Missing { table, rows, weight, key } => {
                write!(f, "{}: {rows} rows with {weight} values are gone without a trace", table.name())?;
                key.map_or(Ok(()), |(part, at)| write!(f, ", {part}/{at}"))
            }
            Self::Pages { table } => {
                write!(f, "{}: pages of the database file are not as they were written; what can't be reached is not served", table.name())
            }
            Self::Copy { kind, id } => {
                write!(f, "{kind} {id}: one of its two copies is not as it was written; the other is served, and the next start mends it")
            }
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Noted {
    found: Mutex<BTreeSet<Damaged>>,
}

impl Noted {
    /// Said in the log when it is new.
    pub(super) fn note(&self, damaged: Damaged) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if !found.contains(&damaged) {
            tracing::error!(
                event = "damaged",
                kind = damaged.kind(),
                "{damaged}; look with pescaia verify, mend with pescaia restore FILE"
            );
            found.insert(damaged);
        }
    }

    /// It is damaged no more.
    pub(super) fn forget(&self, is_gone: impl Fn(&Damaged) -> bool) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).retain(|damaged| !is_gone(damaged));
    }

    pub(super) fn all(&self) -> Vec<Damaged> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// What a commit put something else in the place of, or took away, is damaged no more.
    pub(super) fn committed(&self, changes: &[Change]) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if !found.is_empty() {
            found.retain(|damaged| !changes.iter().any(|change| ends(change, damaged)));
        }
    }
}

fn ends(change: &Change, damaged: &Damaged) -> bool {
    match (change, damaged) {
        (Change::Put { table, row }, Damaged::Row { table: of, part, at }) => (table, row.part, row.at) == (of, *part, *at),
        (Change::Delete { table, part, at }, Damaged::Row { table: of, part: in_part, at: place }) => {
            (table, part, at) == (of, in_part, place)
        }
        (Change::DropThrough { table, part, at }, Damaged::Row { table: of, part: in_part, at: place }) => {
            table == of && part == in_part && place <= at
        }
        (Change::PutDocument(document), Damaged::Document { kind, id } | Damaged::Copy { kind, id }) => {
            document.kind == *kind && document.id == *id
        }
        (Change::DeleteDocument { kind, id }, Damaged::Document { kind: of, id: named } | Damaged::Copy { kind: of, id: named }) => {
            kind == of && id == named
        }
        _ => false,
    }
}
