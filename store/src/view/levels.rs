//! The table that engineers know: each level with how it changed, and its last day in a line.

use super::latest::LONG_S;
use super::{Latest, View};
use crate::Error;
use model::{Datastream, Observation, stale_after};
use std::sync::Arc;

/// Hours over which a change is told.
pub const CHANGES_H: [i64; 3] = [1, 3, 6];
/// What is this much older than the hour asked for says nothing about it.
const NEAR_S: i64 = 900;

/// One level.
#[derive(Debug, Clone)]
pub struct LevelRow {
    pub latest: Latest,
    /// Metres since 1, 3 and 6 hours before the last observation; `None` where nothing was measured then.
    pub changes: [Option<f64>; 3],
    /// The greatest of each hour of the day that ends with the last observation, oldest first; `None` where nothing was measured.
    pub day: Vec<Option<f64>>,
}

impl View {
    /// Every visible level, by key. One read of its last day gives each its state, its changes and its line.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn levels(&self) -> Result<Vec<LevelRow>, Error> {
        let (registry, now) = (self.registry(), self.now());
        let is_level = |datastream: &Arc<Datastream>| datastream.property.is_level();
        let datastreams: Vec<_> = self.datastreams(None).into_iter().filter(is_level).collect();
        let ids: Vec<_> = datastreams.iter().map(|datastream| datastream.id).collect();
        let mut rows = Vec::with_capacity(datastreams.len());
        for (datastream, last) in datastreams.iter().zip(self.last_of(&ids, now)?) {
            let Some(station) = registry.station(datastream.station.as_str()).filter(|station| !station.retired) else { continue };
            let day = last.map_or_else(|| Ok(Vec::new()), |last| self.recent(datastream, &last, LONG_S))?;
            let latest = Latest::judged(datastream, station, &day, self.silent_since(datastream.id), now)?;
            rows.push(LevelRow { changes: changes(&latest, &day), day: hours(&day), latest });
        }
        Ok(rows)
    }

    /// The rain gauge that says most about a place: the nearest within `most_km`, and its distance in kilometres.
    #[must_use]
    pub fn rain_near(&self, place: model::Place, most_km: f64) -> Option<(Arc<Datastream>, f64)> {
        let gauges = self.datastreams(None).into_iter().filter(|datastream| datastream.property.is_rain());
        let near = gauges.filter_map(|gauge| Some((place.kilometres_to(self.station(gauge.station.as_str())?.place), gauge)));
        near.filter(|(km, _)| *km <= most_km).min_by(|one, other| one.0.total_cmp(&other.0)).map(|(km, gauge)| (gauge, km))
    }
}

/// From what stood then, as near before as the datastream's period allows, to the last.
fn changes(latest: &Latest, day: &[Observation]) -> [Option<f64>; 3] {
    let Some(last) = latest.observation.filter(|last| last.quality.is_usable()) else { return [None; 3] };
    let near_s = NEAR_S.max(stale_after(latest.datastream.period_s));
    CHANGES_H.map(|hours| {
        let before = last.phenomenon_time.plus_seconds(-hours * 3600);
        let until = day.get(..day.partition_point(|one| one.phenomenon_time <= before)).unwrap_or_default();
        let then = until.iter().rev().find(|one| one.quality.is_usable())?;
        (before.seconds() - then.phenomenon_time.seconds() <= near_s).then_some(last.result - then.result)
    })
}

/// The greatest of each hour of the day that ends with the last.
fn hours(day: &[Observation]) -> Vec<Option<f64>> {
    let mut hours = vec![None; 24];
    let Some(last) = day.last() else { return hours };
    let start = last.phenomenon_time.seconds() - LONG_S;
    for one in day.iter().filter(|one| one.quality.is_usable()) {
        let hour = (one.phenomenon_time.seconds() - start) / 3600;
        if let Some(most) = usize::try_from(hour.min(23)).ok().and_then(|hour| hours.get_mut(hour)) {
            *most = Some(most.map_or(one.result, |most: f64| most.max(one.result)));
        }
    }
    hours
}
