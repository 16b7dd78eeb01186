//! The checksum beside every row and document: a CRC-32 over what is kept and the key that it is kept under, so that a flipped bit is
//! found, and a row that stands in another's place.

use super::Table;

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

pub(super) fn of_row(table: Table, [part, at, weight]: [i64; 3], body: &[u8]) -> u32 {
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
