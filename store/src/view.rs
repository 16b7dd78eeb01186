//! Reading: everything that a viewer may see, and nothing else.

use crate::Error;
use crate::rows::QuarantineEntry;
use model::{Datastream, Gap, Interval, Observation, Station, State, Timestamp, Viewer};
use std::sync::Arc;

/// The store as one viewer sees it. What is not visible does not exist here.
#[derive(Clone)]
pub struct View {
    pub(crate) store: crate::Store,
    pub(crate) viewer: Viewer,
}

/// A datastream with what was measured last.
#[derive(Debug, Clone)]
pub struct Latest {
    pub datastream: Arc<Datastream>,
    pub station: Arc<Station>,
    /// The one with the greatest phenomenon time.
    pub observation: Option<Observation>,
    pub state: State,
    /// Whole seconds from the observation's phenomenon time to now.
    pub age_s: Option<i64>,
}

/// A station with its neighbours along the river and the last of each datastream.
#[derive(Debug, Clone)]
pub struct StationSummary {
    pub station: Arc<Station>,
    /// Stations that name this one as their downstream, by name.
    pub upstream: Vec<Arc<Station>>,
    pub downstream: Option<Arc<Station>>,
    /// Levels first, then rain, then the rest.
    pub datastreams: Vec<Latest>,
}

/// How long one row of an aggregate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Aligned to UTC, seconds; 900 or 3600 divide every civil hour of Italy.
    Seconds(i64),
    /// A civil day of Europe/Rome: 23, 24 or 25 hours.
    CivilDay,
}

/// One row of an aggregate over `[start, end)`; buckets without usable observations have no row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketRow {
    pub start: Timestamp,
    pub end: Timestamp,
    pub min: f64,
    pub mean: f64,
    pub max: f64,
    /// First time at which `max` was seen.
    pub max_at: Timestamp,
    pub first: f64,
    pub last: f64,
    pub sum: f64,
    pub count: u64,
}

impl View {
    #[must_use]
    pub fn now(&self) -> Timestamp { todo!() }
    #[must_use]
    pub fn viewer(&self) -> &Viewer { &self.viewer }
    /// Stations with at least one datastream that this viewer sees, by id. Retired ones are left out.
    #[must_use]
    pub fn stations(&self) -> Vec<Arc<Station>> { todo!() }
    #[must_use]
    pub fn station(&self, id: &str) -> Option<Arc<Station>> { todo!() }
    /// By key; only those of `station` if given. Retired ones are left out.
    #[must_use]
    pub fn datastreams(&self, station: Option<&str>) -> Vec<Arc<Datastream>> { todo!() }
    /// Retired ones are still found by their key.
    #[must_use]
    pub fn datastream(&self, key: &str) -> Option<Arc<Datastream>> { todo!() }
    /// Observations of `interval`, ascending in phenomenon time, at most `limit` from the earliest.
    pub fn observations(&self, datastream: &Datastream, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error> { todo!() }
    /// The last `limit` observations before `to`, ascending.
    pub fn observations_before(&self, datastream: &Datastream, to: Timestamp, limit: usize) -> Result<Vec<Observation>, Error> { todo!() }
    /// Aggregates of the usable observations (quality 1 or 2), ascending; at most `limit` rows.
    pub fn buckets(&self, datastream: &Datastream, interval: Interval, bucket: Bucket, limit: usize) -> Result<Vec<BucketRow>, Error> { todo!() }
    /// Gaps that touch the interval, ascending.
    pub fn gaps(&self, datastream: &Datastream, interval: Interval) -> Result<Vec<Gap>, Error> { todo!() }
    /// Count of observations and the extent of their phenomenon times.
    pub fn extent(&self, datastream: &Datastream) -> Option<(u64, Timestamp, Timestamp)> { todo!() }
    /// The last of every visible datastream, by key.
    pub fn latest(&self) -> Result<Vec<Latest>, Error> { todo!() }
    pub fn latest_of(&self, datastream: &Arc<Datastream>) -> Result<Latest, Error> { todo!() }
    pub fn summary(&self, station: &str) -> Result<Option<StationSummary>, Error> { todo!() }
    /// The newest refused messages of the viewer's owner; needs the scope `audit` or `manage`, else it is empty.
    pub fn quarantine(&self, limit: usize) -> Result<Vec<QuarantineEntry>, Error> { todo!() }
}
