//! The contract of every store of observations, and the one suite that all of them pass.

use crate::{Error, Outcome};
use model::{DatastreamId, Interval, Observation};

/// Keeps observations by (datastream, phenomenon time) and gives them back.
pub trait History {
    /// Keeps a group, durably when it returns `Ok`, and says what each turned out to be, in the order given.
    ///
    /// # Errors
    /// [`Error`]: nothing of the group was kept.
    fn append(&self, group: &[Observation]) -> Result<Vec<Outcome>, Error>;
    /// The observations of `[from, to)`, ascending, each time once, the latest revision; at most `limit` from the earliest.
    ///
    /// # Errors
    /// [`Error::Damaged`] rather than a wrong value.
    fn scan(&self, datastream: DatastreamId, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error>;
    /// The last `limit` before `to`, ascending.
    ///
    /// # Errors
    /// As [`History::scan`].
    fn scan_back(&self, datastream: DatastreamId, to: model::Timestamp, limit: usize) -> Result<Vec<Observation>, Error>;
    /// The one of the greatest phenomenon time.
    fn latest(&self, datastream: DatastreamId) -> Option<Observation>;
    /// How many different phenomenon times there are.
    fn count(&self, datastream: DatastreamId) -> u64;
}

#[cfg(test)]
mod tests;
