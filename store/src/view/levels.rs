//! The table that engineers know: each level with how it changed, and its last day in a line.

use super::{Latest, View};
use crate::Error;
use model::{Datastream, Interval, Observation, ObservedProperty, Timestamp, stale_after};
use std::sync::Arc;

/// Hours over which a change is told.
pub const CHANGES_H: [i64; 3] = [1, 3, 6];
/// Steps of the line of the last day.
const STEPS: i64 = 24;
const DAY_S: i64 = 86_400;
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
    /// Every visible level, by key.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn levels(&self) -> Result<Vec<LevelRow>, Error> {
        let datastreams: Vec<_> = self.datastreams(None).into_iter().filter(|datastream| datastream.property.is_level()).collect();
        self.latest_of_these(&datastreams)?.into_iter().filter(|latest| !latest.station.retired).map(|latest| self.level_row(latest)).collect()
    }

    fn level_row(&self, latest: Latest) -> Result<LevelRow, Error> {
        let mut changes = [None; 3];
        let mut day = vec![None; 24];
        if let Some(last) = latest.observation {
            let end = last.phenomenon_time;
            let near_s = NEAR_S.max(stale_after(latest.datastream.period_s));
            let before = CHANGES_H.map(|hours| end.plus_seconds(-hours * 3600));
            let mut then: [Option<(Timestamp, f64)>; 3] = [None; 3];
            self.each_observation(&latest.datastream, Interval::new(end.plus_seconds(-DAY_S), end.plus_micros(1)), |one: Observation| {
                if !one.quality.is_usable() {
                    return;
                }
                for (then, before) in then.iter_mut().zip(before) {
                    if one.phenomenon_time <= before {
                        *then = Some((one.phenomenon_time, one.result));
                    }
                }
                let step = (one.phenomenon_time.seconds() - (end.seconds() - DAY_S)) * STEPS / DAY_S;
                if let Some(most) = usize::try_from(step.min(STEPS - 1)).ok().and_then(|step| day.get_mut(step)) {
                    *most = Some(most.map_or(one.result, |most: f64| most.max(one.result)));
                }
            })?;
            for ((change, then), before) in changes.iter_mut().zip(then).zip(before) {
                let near = then.filter(|(at, _)| before.seconds() - at.seconds() <= near_s);
                *change = near.filter(|_| last.quality.is_usable()).map(|(_, value)| last.result - value);
            }
        }
        Ok(LevelRow { latest, changes, day })
    }

    /// The rain gauge that says most about a place: the nearest with increments within `most_km`, and its distance in kilometres.
    #[must_use]
    pub fn rain_near(&self, place: model::Place, most_km: f64) -> Option<(Arc<Datastream>, f64)> {
        let increments = |datastream: &Arc<Datastream>| datastream.property == ObservedProperty::RainIncrement;
        let gauges = self.datastreams(None).into_iter().filter(increments);
        let near = gauges.filter_map(|gauge| Some((place.kilometres_to(self.station(gauge.station.as_str())?.place), gauge)));
        near.filter(|(km, _)| *km <= most_km).min_by(|one, other| one.0.total_cmp(&other.0)).map(|(km, gauge)| (gauge, km))
    }
}
