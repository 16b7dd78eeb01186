//! Reading: everything that a viewer may see, and nothing else.

mod beyond;
mod bucket;
mod discharge;
mod increments;
mod latest;
mod ledger;
mod levels;
mod rain;
mod runs;
#[cfg(test)]
mod tests;
mod thin;

pub use bucket::{Bucket, BucketRow};
pub use discharge::Flow;
pub use increments::Increase;
pub use latest::{Latest, StationSummary};
pub use ledger::{LedgerLine, Missing};
pub use levels::{CHANGES_H, LevelRow};
pub use rain::RainBar;
pub use thin::Thinned;

use crate::Error;
use crate::chunk::Point;
use crate::engine::{Span, Table};
use crate::gaps::gap_of;
use crate::registry::Registry;
use model::{Datastream, DatastreamId, Gap, Interval, MOST_AHEAD_S, Observation, Owner, Station, Timestamp, Viewer};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The store as one viewer sees it. What is not visible does not exist here.
#[derive(Clone)]
pub struct View {
    pub(crate) store: crate::Store,
    pub(crate) viewer: Viewer,
    /// When it was looked at; now when it is not given.
    pub(crate) as_of: Option<Timestamp>,
    /// What stood in the field then, if something was changed since.
    pub(crate) then: Option<Arc<Registry>>,
}

/// What lies further ahead of now than this was measured by a clock that was wrong: it is nobody's last value.
pub(crate) const AHEAD_S: i64 = 3600;

impl View {
    /// The store as this viewer saw it at an earlier moment, to the second: observations with the values and states, and stations with
    /// the thresholds, zeros and names, that were served then, whatever was changed, revised, withdrawn or received since. Who may see it
    /// is judged by today's rules *and* by those of then.
    ///
    /// # Errors
    /// [`Error::Damaged`] names what can't be read of the network of that time.
    pub fn as_of(self, at: Timestamp) -> Result<Self, Error> {
        let then = self.store.registry_at(at)?;
        Ok(Self { as_of: Some(at), then: Some(then), ..self })
    }
    /// What stands in the field, or stood then.
    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.then.clone().unwrap_or_else(|| self.store.registry())
    }
    /// The time, or the moment that is looked back at.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        // A clock that can't be right would hide what is known, or show as current what is not.
        self.as_of
            .unwrap_or_else(|| self.store.clock_trust().err().map_or_else(|| self.store.clock().now(), |distrust| distrust.not_before))
    }
    #[must_use]
    pub fn looks_back(&self) -> bool {
        self.as_of.is_some()
    }
    fn silent_since(&self, id: DatastreamId) -> Option<Timestamp> {
        self.store.silent_since(id).filter(|since| *since <= self.now())
    }
    fn visit(&self, id: DatastreamId, interval: Interval, mut each: impl FnMut(Point) -> ControlFlow<()>) -> Result<(), Error> {
        let (here, flow) = self.visit_beyond(id, interval, usize::MAX, &mut each)?;
        if flow.is_break() {
            return Ok(());
        }
        self.store.shared().chunks.visit(id, here, self.as_of, each)
    }
    fn scan(&self, id: DatastreamId, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error> {
        let mut found = Vec::new();
        if interval.is_empty() || limit == 0 {
            return Ok(found);
        }
        let (here, flow) = self.visit_beyond(id, interval, limit, &mut |point| {
            found.push(point.observation(id));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if flow.is_continue() {
            found.extend(self.store.shared().chunks.scan(id, here, limit - found.len(), self.as_of)?);
        }
        Ok(found)
    }
    fn last_before(&self, id: DatastreamId, to: Timestamp, limit: usize) -> Result<Vec<Observation>, Error> {
        let to = to.min(self.now().plus_seconds(AHEAD_S));
        let points = self.store.shared().chunks.last_before(id, to.micros(), limit, self.as_of)?;
        let here = points.into_iter().map(|point| point.observation(id)).collect();
        self.last_beyond(id, to, limit, here)
    }
    /// The last of each that can be of `now`, in their order. What lies further ahead was stamped while a clock was wrong: it is kept, and
    /// must not stand before what is measured since.
    fn last_of(&self, ids: &[DatastreamId], now: Timestamp) -> Result<Vec<Option<Observation>>, Error> {
        let end = now.plus_seconds(MOST_AHEAD_S).plus_micros(1);
        let before_end = |id: &DatastreamId| Ok(self.last_before(*id, end, 1)?.pop());
        if self.looks_back() {
            return ids.iter().map(before_end).collect();
        }
        let last = self.store.shared().chunks.last_of(ids);
        let is_ahead = |one: &Observation| one.phenomenon_time >= end;
        ids.iter().zip(last).map(|(id, last)| if last.as_ref().is_some_and(is_ahead) { before_end(id) } else { Ok(last) }).collect()
    }
    #[must_use]
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }
    fn sees(&self, datastream: &Datastream) -> bool {
        let sees = |datastream: &Datastream| self.viewer.sees(&datastream.owner, &datastream.visibility);
        sees(datastream) && (self.then.is_none() || self.store.registry().datastream(datastream.id).is_some_and(|now| sees(now)))
    }
    /// Stations with at least one datastream that this viewer sees, by id. Retired ones are left out.
    #[must_use]
    pub fn stations(&self) -> Vec<Arc<Station>> {
        let registry = self.registry();
        let visible: BTreeSet<&str> = registry
            .datastreams()
            .filter(|datastream| !datastream.retired && self.sees(datastream))
            .map(|datastream| datastream.station.as_str())
            .collect();
        let stations = visible.into_iter().filter_map(|id| registry.station(id));
        stations.filter(|station| !station.retired).cloned().collect()
    }
    /// Whose a datastream is, with the name for people.
    #[must_use]
    pub fn owner(&self, datastream: &Datastream) -> Option<Arc<Owner>> {
        self.gate(datastream)?;
        self.registry().owner(datastream.owner.as_str()).cloned()
    }
    /// The owners of all visible datastreams, each once, by id.
    #[must_use]
    pub fn owners(&self) -> Vec<Arc<Owner>> {
        let ids: BTreeSet<_> = self.datastreams(None).iter().map(|datastream| datastream.owner.clone()).collect();
        let registry = self.registry();
        ids.iter().filter_map(|id| registry.owner(id.as_str()).cloned()).collect()
    }
    #[must_use]
    pub fn station(&self, id: &str) -> Option<Arc<Station>> {
        let registry = self.registry();
        let station = registry.station(id).filter(|station| !station.retired)?;
        let visible =
            registry.datastreams().any(|datastream| datastream.station == station.id && !datastream.retired && self.sees(datastream));
        visible.then(|| station.clone())
    }
    /// By key; only those of `station` if given. Retired ones are left out.
    #[must_use]
    pub fn datastreams(&self, station: Option<&str>) -> Vec<Arc<Datastream>> {
        let registry = self.registry();
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
        self.registry().datastream_by_key(key).filter(|datastream| self.sees(datastream)).cloned()
    }
    #[must_use]
    pub fn datastream_by_id(&self, id: DatastreamId) -> Option<Arc<Datastream>> {
        self.registry().datastream(id).filter(|datastream| self.sees(datastream)).cloned()
    }
    /// The number, if this viewer sees the datastream: the one gate to what is kept of it.
    fn gate(&self, datastream: &Datastream) -> Option<DatastreamId> {
        self.datastream(datastream.key.as_str()).map(|found| found.id)
    }
    /// Observations of `interval`, ascending in phenomenon time, at most `limit` from the earliest.
    ///
    /// # Errors
    /// [`Error::Damaged`] rather than a wrong value; [`Error::Elsewhere`] rather than a part of the answer.
    pub fn observations(&self, datastream: &Datastream, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error> {
        match self.gate(datastream) {
            Some(id) => self.scan(id, interval, limit),
            None => Ok(Vec::new()),
        }
    }
    /// Gives every observation of `interval` to `each`, ascending in phenomenon time, without keeping them.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn each_observation(&self, datastream: &Datastream, interval: Interval, mut each: impl FnMut(Observation)) -> Result<(), Error> {
        let Some(id) = self.gate(datastream) else { return Ok(()) };
        self.visit(id, interval, |point| {
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
        self.last_before(id, to, limit)
    }
    /// Gaps that touch the interval, ascending.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn gaps(&self, datastream: &Datastream, interval: Interval) -> Result<Vec<Gap>, Error> {
        self.gaps_at_most(datastream, interval, usize::MAX)
    }
    /// As [`View::gaps`], and no more than the first `limit` of them.
    ///
    /// # Errors
    /// As [`View::gaps`].
    pub fn gaps_at_most(&self, datastream: &Datastream, interval: Interval, limit: usize) -> Result<Vec<Gap>, Error> {
        let Some(id) = self.gate(datastream) else { return Ok(Vec::new()) };
        let span = Span { part: i64::from(id.0), from: interval.from.micros(), to: interval.to.micros().saturating_sub(1) };
        let rows = self.store.shared().engine.covering(Table::Gap, span, limit.saturating_add(1))?;
        let mut found: Vec<Gap> = rows.iter().filter_map(gap_of).collect();
        found.extend(self.store.shared().chunks.fences.gaps(id, interval));
        found.extend(self.store.trimmed_gaps(id, interval));
        found.sort_by_key(|gap| gap.from);
        let gaps = found.into_iter().filter(|gap| gap.to >= interval.from && gap.from <= self.now());
        Ok(gaps.map(|gap| Gap { to: gap.to.min(self.now()), ..gap }).take(limit).collect())
    }
    /// Count of observations and the extent of their phenomenon times, both ends included; kept, so that it costs nothing, but for a
    /// moment that is looked back at, for which all of them are read.
    ///
    /// # Errors
    /// As [`View::observations`]: a part would pass for the whole.
    pub fn extent(&self, datastream: &Datastream) -> Result<Option<(u64, Timestamp, Timestamp)>, Error> {
        let Some(id) = self.gate(datastream) else { return Ok(None) };
        let extent = if self.looks_back() {
            let mut extent: Option<(u64, i64, i64)> = None;
            self.visit(id, Interval::ALL, |point| {
                extent = Some(extent.map_or((1, point.at, point.at), |(count, first, _)| (count + 1, first, point.at)));
                ControlFlow::Continue(())
            })?;
            extent
        } else {
            self.store.shared().chunks.extent(id)
        };
        Ok(extent.map(|(count, first, last)| (count, Timestamp::from_micros(first), Timestamp::from_micros(last))))
    }
}
