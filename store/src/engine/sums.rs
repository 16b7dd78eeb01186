//! The checksum beside every row and document: a CRC-32 over what is kept and the key that it is kept under, so that a flipped bit is
//! found, and a row that stands in another's place.

use super::{Row, Table};

/// Documents of which a second copy is kept: where one that can't be read would make others lie, or shut somebody out. None that is
/// written with nearly every commit.
const SPARED: [&str; 16] = [
    "owner",
    "station",
    "datastream",
    "device",
    "feed",
    "former",
    "adopted",
    "token",
    "deleted",
    "local",
    "archive",
    "archive-trimmed",
    "archive-held",
    "audit-of",
    "ledger",
    "ledger-name",
];

pub(super) fn is_spared(kind: &str) -> bool {
    SPARED.contains(&kind)
}

/// Where a row stands: what its checksum is over besides its bytes, so that bytes under another key than they were written for are damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) table: Table,
    pub(crate) part: i64,
    pub(crate) at: i64,
    /// 0 in a table of one part, which keeps none.
    pub(crate) weight: i64,
}

impl Place {
    pub(crate) fn of(table: Table, row: &Row) -> Self {
        Self { table, part: row.part, at: row.at, weight: if table.is_single_part() { 0 } else { row.weight } }
    }
    /// The record of a commit in the log.
    pub(crate) const fn of_commit(commit: u64) -> Self {
        Self { table: Table::Log, part: 0, at: commit.cast_signed(), weight: 0 }
    }
}

pub(crate) fn of_row(Place { table, part, at, weight }: Place, body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(table.name().as_bytes());
    for word in [part, at, weight] {
        sum.update(&word.to_le_bytes());
    }
    sum.update(body);
    sum.finalize()
}

pub(super) fn of_document(kind: &[u8], id: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    for part in [kind, id] {
        sum.update(&(part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    sum.update(body);
    sum.finalize()
}
