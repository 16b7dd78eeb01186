//! What is no longer here, joined with what is: before [`crate::Store::local_from`] InfluxDB has the history, and here may be what came
//! since for a time that old, which is the newer word.

use super::View;
use crate::Error;
use crate::chunk::Point;
use model::{Datastream, DatastreamId, Interval, Observation, Timestamp};
use std::ops::ControlFlow;
use std::sync::Arc;

impl View {
    /// Gives what of `interval` lies beyond what is kept here to `each`, ascending, and says which part of the interval is left. About
    /// `limit` are wanted.
    pub(super) fn visit_beyond(
        &self,
        id: DatastreamId,
        interval: Interval,
        limit: usize,
        each: &mut dyn FnMut(Point) -> ControlFlow<()>,
    ) -> Result<(Interval, ControlFlow<()>), Error> {
        let Some((beyond, local_from)) = self.store.beyond(id, interval.from).filter(|_| !interval.is_empty()) else {
            return Ok((interval, ControlFlow::Continue(())));
        };
        let datastream = self.known(id, local_from)?;
        let old = Interval::new(interval.from, interval.to.min(local_from));
        let left = Interval::new(old.to, interval.to);
        let since = self.came_since(id, old)?;
        let mut since = since.into_iter().peekable();
        let mut flow = ControlFlow::Continue(());
        beyond.visit(&datastream, old, limit, |there| {
            let there = Point::of(&there);
            while let Some(newer) = since.next_if(|newer| newer.at < there.at) {
                if !newer.is_withdrawn() {
                    flow = each(newer);
                }
                if flow.is_break() {
                    return flow;
                }
            }
            match since.next_if(|newer| newer.at == there.at) {
                Some(newer) if newer.is_withdrawn() => {}
                Some(newer) => flow = each(newer),
                None => flow = each(there),
            }
            flow
        })?;
        for newer in since.filter(|newer| !newer.is_withdrawn()) {
            if flow.is_break() {
                break;
            }
            flow = each(newer);
        }
        Ok((left, flow))
    }

    /// The last `limit` before `to`, where `here` are those that are kept here.
    pub(super) fn last_beyond(
        &self,
        id: DatastreamId,
        to: Timestamp,
        limit: usize,
        here: Vec<Observation>,
    ) -> Result<Vec<Observation>, Error> {
        let all_here = |local_from: Timestamp| here.len() >= limit && here.first().is_some_and(|one| one.phenomenon_time >= local_from);
        let Some((beyond, local_from)) = self.store.beyond(id, Timestamp::MIN).filter(|(_, local_from)| !all_here(*local_from)) else {
            return Ok(here);
        };
        let datastream = self.known(id, local_from)?;
        let old = Interval::new(Timestamp::MIN, to.min(local_from));
        let since = self.came_since(id, old)?;
        // Some of those may have been replaced or withdrawn here.
        let there = beyond.last_before(&datastream, old.to, limit.saturating_add(since.len()))?;
        let is_newer_here = |at: i64| since.binary_search_by_key(&at, |point| point.at).is_ok();
        let mut found: Vec<Observation> = there.into_iter().filter(|one| !is_newer_here(one.phenomenon_time.micros())).collect();
        found.extend(since.iter().filter(|point| !point.is_withdrawn()).map(|point| point.observation(id)));
        found.extend(here.into_iter().filter(|one| one.phenomenon_time >= local_from));
        found.sort_by_key(|one| one.phenomenon_time);
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }

    /// What is asked for, if InfluxDB can know it.
    fn known(&self, id: DatastreamId, before: Timestamp) -> Result<Arc<Datastream>, Error> {
        if self.looks_back() {
            return Err(Error::Forgotten { before });
        }
        let known = self.store.registry().datastream(id).cloned();
        known.ok_or_else(|| Error::Damaged { what: format!("nobody knows datastream {}", id.0) })
    }

    /// What is here though it is that old, also what says that something stands no longer.
    fn came_since(&self, id: DatastreamId, interval: Interval) -> Result<Vec<Point>, Error> {
        let mut found = Vec::new();
        self.store.shared().chunks.visit_of(id, interval, &crate::chunk::Versions::Every, |point| {
            found.push(point);
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}
