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
}

impl Damaged {
    /// The kind of what is damaged, without its name: for those who may not know that.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Row { table, .. } => table.name(),
            Self::Document { kind, .. } | Self::Copy { kind, .. } => kind,
        }
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { table, part: 0, at } => write!(f, "{} {at} is not as it was written; it is not served", table.name()),
            Self::Row { table, part, at } => write!(f, "{} {part}/{at} is not as it was written; it is not served", table.name()),
            Self::Document { kind, id } => write!(f, "{kind} {id} is not as it was written; it is not served"),
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
