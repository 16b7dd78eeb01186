//! Reading: everything that a viewer may see, and nothing else.

mod bucket;
mod increments;
mod latest;
mod ledger;
mod levels;
#[cfg(test)]
mod tests;

pub use bucket::{Bucket, BucketRow};
pub use increments::Increase;
pub use latest::{Latest, StationSummary};
pub use ledger::{LedgerLine, Missing};
pub use levels::{CHANGES_H, LevelRow};

use crate::Error;
use crate::engine::{Span, Table};
use crate::gaps::gap_of;
use model::{Datastream, DatastreamId, Gap, Interval, Observation, Station, Timestamp, Viewer};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The store as one viewer sees it. What is not visible does not exist here.
#[derive(Clone)]
pub struct View {
    pub(crate) store: crate::Store,
    pub(crate) viewer: Viewer,
}

impl View {
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.store.clock().now()
    }
    #[must_use]
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }
    fn sees(&self, datastream: &Datastream) -> bool {
        self.viewer.sees(&datastream.owner, &datastream.visibility)
    }
    /// Stations with at least one datastream that this viewer sees, by id. Retired ones are left out.
    #[must_use]
    pub fn stations(&self) -> Vec<Arc<Station>> {
        let registry = self.store.registry();
        let visible: BTreeSet<&str> = registry
            .datastreams()
            .filter(|datastream| !datastream.retired && self.sees(datastream))
            .map(|datastream| datastream.station.as_str())
            .collect();
        let stations = visible.into_iter().filter_map(|id| registry.station(id));
        stations.filter(|station| !station.retired).cloned().collect()
    }
    #[must_use]
    pub fn station(&self, id: &str) -> Option<Arc<Station>> {
        let registry = self.store.registry();
        let station = registry.station(id).filter(|station| !station.retired)?;
        let visible =
            registry.datastreams().any(|datastream| datastream.station == station.id && !datastream.retired && self.sees(datastream));
        visible.then(|| station.clone())
    }
    /// By key; only those of `station` if given. Retired ones are left out.
    #[must_use]
    pub fn datastreams(&self, station: Option<&str>) -> Vec<Arc<Datastream>> {
        let registry = self.store.registry();
        let wanted = |datastream: &&Arc<Datastream>| {
            !datastream.retired && station.is_none_or(|station| datastream.station.as_str() == station) && self.sees(datastream)
        };
        let mut found: Vec<_> = registry.datastreams().filter(wanted).cloned().collect();
        found.sort_by(|one, other| one.key.cmp(&other.key));
        found
    }
    /// Retired ones are still found by their key.
    #[must_use]
    pub fn datastream(&self, key: &str) -> Option<Arc<Datastream>> {
        self.store.registry().datastream_by_key(key).filter(|datastream| self.sees(datastream)).cloned()
    }
    #[must_use]
    pub fn datastream_by_id(&self, id: DatastreamId) -> Option<Arc<Datastream>> {
        self.store.registry().datastream(id).filter(|datastream| self.sees(datastream)).cloned()
    }
    /// The number, if this viewer sees the datastream: the one gate to what is kept of it.
    fn gate(&self, datastream: &Datastream) -> Option<DatastreamId> {
        self.datastream(datastream.key.as_str()).map(|found| found.id)
    }
    /// Observations of `interval`, ascending in phenomenon time, at most `limit` from the earliest.
    ///
    /// # Errors
    /// [`Error::Damaged`] rather than a wrong value.
    pub fn observations(&self, datastream: &Datastream, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error> {
        match self.gate(datastream) {
            Some(id) => self.store.shared().chunks.scan(id, interval, limit),
            None => Ok(Vec::new()),
        }
    }
    /// Gives every observation of `interval` to `each`, ascending in phenomenon time, without keeping them.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn each_observation(&self, datastream: &Datastream, interval: Interval, mut each: impl FnMut(Observation)) -> Result<(), Error> {
        let Some(id) = self.gate(datastream) else { return Ok(()) };
        self.store.shared().chunks.visit(id, interval, |point| {
            each(point.observation(id));
            ControlFlow::Continue(())
        })
    }
    /// The last `limit` observations before `to`, ascending.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn observations_before(&self, datastream: &Datastream, to: Timestamp, limit: usize) -> Result<Vec<Observation>, Error> {
        let Some(id) = self.gate(datastream) else { return Ok(Vec::new()) };
        let points = self.store.shared().chunks.last_before(id, to.micros(), limit)?;
        Ok(points.into_iter().map(|point| point.observation(id)).collect())
    }
    /// Gaps that touch the interval, ascending.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn gaps(&self, datastream: &Datastream, interval: Interval) -> Result<Vec<Gap>, Error> {
        let Some(id) = self.gate(datastream) else { return Ok(Vec::new()) };
        let span = Span { part: i64::from(id.0), from: interval.from.micros(), to: interval.to.micros().saturating_sub(1) };
        let rows = self.store.shared().engine.covering(Table::Gap, span, usize::MAX)?;
        Ok(rows.iter().filter_map(gap_of).filter(|gap| gap.to >= interval.from).collect())
    }
    /// Count of observations and the extent of their phenomenon times, both ends included.
    #[must_use]
    pub fn extent(&self, datastream: &Datastream) -> Option<(u64, Timestamp, Timestamp)> {
        let (count, first, last) = self.store.shared().chunks.extent(self.gate(datastream)?)?;
        Some((count, Timestamp::from_micros(first), Timestamp::from_micros(last)))
    }
}
