//! Where observations, and what describes them, live. One durable commit at a time by one writer; every read through a
//! [`View`] made for a [`model::Viewer`], so that visibility holds on every door.
//!
//! What a commit means: when [`Store::commit`] returns `Ok`, everything in the batch is on disk and synced.

mod access;
mod archive;
mod audit;
mod backup;
mod batch;
mod check;
mod chunk;
mod complaint;
mod cursor;
mod delete;
mod digest;
mod disk;
pub mod engine;
mod error;
mod explain;
mod gaps;
mod health;
mod history;
mod influx;
mod late;
mod ledger;
mod local;
mod merge;
mod network;
mod outbox;
mod parts;
mod payload;
mod portable;
mod private;
mod published;
mod quarantine;
mod registry;
#[cfg(test)]
mod scratch;
mod secret;
mod silence;
mod store;
mod trust;
mod view;
mod wal_check;
mod writer;

pub use access::{Holder, NewToken, TOKEN_REFUSED, TokenLine};
pub use archive::{Archived, Replaced};
pub use audit::{AuditEntry, ForeignEntry};
pub use backup::{Progress, restore_into};
pub use batch::{Batch, Outcome, Receipt, Replayed, SessionMark};
pub use check::{Checked, check};
pub use complaint::Complaint;
pub use cursor::{Cursor, EdgeState};
pub use delete::{Erased, Subject, Tombstone};
pub use digest::sha256_hex;
pub use disk::{Room, doubt_of_place, free_bytes, put_in_place, time_of_sync};
pub use error::Error;
pub use health::Health;
pub use history::History;
pub use influx::PART as INFLUX_PART;
pub use influx::{InfluxForwarder, InfluxHealth, InfluxSettings, RefusedLine};
pub use late::LateDay;
pub use ledger::Tally;
pub use merge::Merged;
pub use network::{
    Change, ChangeKind, Fault, LIBRARY, Network, NetworkFile, hash_password, load_embedded, load_network, load_network_to_start, nearest,
    parse_layout, parse_network, parse_profile, parse_toml,
};
pub use outbox::{OutboxRoom, Owed, Waiting, WhenFull};
pub use parts::{Part, PartHealth, PartState, supervise};
pub use payload::Payload;
pub use portable::{Described, Entry, GapEntry};
pub use private::{create_private, make_private_dir};
pub use published::{Edition, Format, Published, PublishedFile};
pub use quarantine::{QuarantineEntry, Refused, Trouble, Wanted};
pub use registry::Registry;
pub use secret::SecretFile;
pub use store::{NetworkChange, Preview, Reason, Revision, Settings, Started, Store, preview_of};
pub use trust::Distrust;
pub use view::{
    Bucket, BucketRow, CHANGES_H, Flow, Increase, Latest, LedgerLine, LevelRow, Missing, RainBar, StationSummary, Thinned, View,
};

/// Observations as compact bytes with a checksum, as the log keeps them: for the way to another pescaia, and for benches that
/// measure what the disk allows.
#[must_use]
pub fn pack(observations: &[model::Observation]) -> Vec<u8> {
    chunk::pack(observations)
}

/// The observations of a log record, in the order of receipt: for harnesses that look at what an engine was given.
///
/// # Errors
/// [`Error::Damaged`] when a bit of it or of its number is not as it was written.
pub fn unpack_record(row: &engine::Row) -> Result<Vec<model::Observation>, Error> {
    chunk::unpack_record(row)
}

/// What [`pack`] made.
///
/// # Errors
/// [`Error::Damaged`] when a bit of it is not as it was written.
pub fn unpack(bytes: &[u8]) -> Result<Vec<model::Observation>, Error> {
    chunk::unpack(bytes)
}

/// As [`unpack`], for bytes that somebody sent: a count of points is judged before there is room for them. `None` when it is more than
/// `most`; nothing has been allocated then.
///
/// # Errors
/// [`Error::Damaged`] when they are not as [`pack`] writes them today.
pub fn unpack_at_most(bytes: &[u8], most: usize) -> Result<Option<Vec<model::Observation>>, Error> {
    chunk::unpack_at_most(bytes, most)
}
