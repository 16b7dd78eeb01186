//! The last of everything, and what it means now.

use super::View;
use crate::Error;
use model::{
    Approach, Datastream, DatastreamKey, Interval, Level, Observation, RainSums, State, Station, Threshold, Timestamp, hysteresis, level,
    rise_per_hour, stale_after,
};
use std::borrow::Cow;
use std::sync::Arc;

/// Steps down and slopes are judged over this long, or over four periods of a slow datastream.
const SHORT_S: i64 = 30 * 60;
/// When that does not settle the level, its history over this long does.
pub(super) const LONG_S: i64 = 24 * 3600;

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
    /// What fell over the last hours, for rain gauges: their newest value alone says nothing of the rain.
    pub rain: Option<RainSums>,
    /// When this was looked at.
    pub now: Timestamp,
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

const UNKNOWN: State = State { level: Level::Unknown, stale: true, rise_per_hour: None };

impl Latest {
    fn of(datastream: &Arc<Datastream>, station: &Arc<Station>, observation: Option<Observation>, state: State, now: Timestamp) -> Self {
        let age_s = observation.map(|last| now.seconds() - last.phenomenon_time.seconds());
        Self { datastream: datastream.clone(), station: station.clone(), observation, state, age_s, rain: None, now }
    }

    /// The first second at which this is stale if nothing newer comes; `None` where nothing was measured.
    #[must_use]
    pub fn stale_at(&self) -> Option<Timestamp> {
        let last = self.observation.as_ref()?;
        if self.state.stale {
            return Some(self.now.min(last.phenomenon_time.plus_seconds(stale_after(self.datastream.period_s) + 1)));
        }
        Some(Timestamp::from_seconds(last.phenomenon_time.seconds() + stale_after(self.datastream.period_s) + 1))
    }

    /// The next threshold that a level is near, as [`model::approach`] judges; `None` for everything else.
    #[must_use]
    pub fn approach(&self) -> Option<Approach> {
        let last = self.observation.as_ref().filter(|last| self.datastream.property.is_level() && last.quality.is_usable())?;
        model::approach(last.result, &self.state, &self.datastream.thresholds_at(self.now))
    }

    /// The last of `day`, judged by it: the observations of the 24 hours that end with it, ascending.
    ///
    /// # Errors
    /// None of its own.
    pub(super) fn judged(
        datastream: &Arc<Datastream>,
        station: &Arc<Station>,
        day: &[Observation],
        silent_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let last = day.last().copied();
        let state = judge(datastream, last.as_ref(), silent_since, now, |last, seconds| {
            let from = last.phenomenon_time.plus_micros(1).plus_seconds(-seconds);
            Ok(Cow::Borrowed(day.get(day.partition_point(|one| one.phenomenon_time < from)..).unwrap_or_default()))
        })?;
        Ok(Self::of(datastream, station, last, state, now))
    }
}

/// Judged anew at each call from what was measured, so that it can't freeze. A stale datastream's level is unknown.
///
/// What is not younger than `silent_since`, when its device said that it falls silent, is not current.
/// `until(last, seconds)` are the observations of so many seconds that end with the last one, ascending.
fn judge<'a>(
    datastream: &Datastream,
    last: Option<&Observation>,
    silent_since: Option<Timestamp>,
    now: Timestamp,
    until: impl Fn(&Observation, i64) -> Result<Cow<'a, [Observation]>, Error>,
) -> Result<State, Error> {
    let is_silent = |last: &&Observation| silent_since.is_some_and(|since| last.phenomenon_time <= since);
    let Some(last) = last.filter(|last| is_current(datastream, last, now) && !is_silent(last)) else { return Ok(UNKNOWN) };
    let recent = until(last, SHORT_S.max(i64::from(datastream.period_s) * 4))?;
    let thresholds = datastream.thresholds_at(now);
    let level = match (is_trusted(datastream, &recent, now), clearly_below(&recent, &thresholds)) {
        (false, _) => Level::Unknown,
        (true, true) => Level::Below,
        (true, false) => level(&until(last, LONG_S)?, &thresholds),
    };
    Ok(State { level, stale: false, rise_per_hour: slope(&recent) })
}

fn is_current(datastream: &Datastream, last: &Observation, now: Timestamp) -> bool {
    now.seconds() - last.phenomenon_time.seconds() <= stale_after(datastream.period_s)
}

/// Whether anything usable is as young as a current value must be: a sensor that says nonsense says nothing about the water.
fn is_trusted(datastream: &Datastream, recent: &[Observation], now: Timestamp) -> bool {
    recent.iter().rev().find(|one| one.quality.is_usable()).is_some_and(|last| is_current(datastream, last, now))
}

/// The slope up to the last, if that can be trusted.
fn slope(recent: &[Observation]) -> Option<f64> {
    recent.last().filter(|last| last.quality.is_usable()).and_then(|_| rise_per_hour(recent))
}

impl View {
    /// The last of every visible datastream, by key.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn latest(&self) -> Result<Vec<Latest>, Error> {
        self.latest_of_these(&self.datastreams(None))
    }

    /// The last of each of `datastreams`, in their order; those without a station are left out.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn latest_of_these(&self, datastreams: &[Arc<Datastream>]) -> Result<Vec<Latest>, Error> {
        let registry = self.registry();
        let now = self.now();
        let ids: Vec<_> = datastreams.iter().map(|datastream| datastream.id).collect();
        let last = self.last_of(&ids, now)?;
        // Nothing can be called current while nobody knows what time it is.
        let is_timeless = !self.looks_back() && self.store.clock_trust().is_err();
        let mut found = Vec::with_capacity(datastreams.len());
        for (datastream, observation) in datastreams.iter().zip(last) {
            let observation = observation.filter(|_| self.sees(datastream));
            let Some(station) = registry.station(datastream.station.as_str()) else { continue };
            let state = judge(datastream, observation.as_ref(), self.silent_since(datastream.id), now, |last, seconds| {
                Ok(Cow::Owned(self.recent(datastream, last, seconds)?))
            })?;
            let rain = observation.map(|last| self.rain_sums(datastream, last.phenomenon_time)).transpose()?.flatten();
            let latest = Latest { rain, ..Latest::of(datastream, station, observation, state, now) };
            found.push(if is_timeless { Latest { state: UNKNOWN, age_s: None, ..latest } } else { latest });
        }
        Ok(found)
    }

    pub(super) fn recent(&self, datastream: &Datastream, last: &Observation, seconds: i64) -> Result<Vec<Observation>, Error> {
        let end = last.phenomenon_time.plus_micros(1);
        self.observations(datastream, Interval::new(end.plus_seconds(-seconds), end), usize::MAX)
    }

    /// The datastream that stands for each visible station, by station.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn primaries(&self) -> Result<Vec<Latest>, Error> {
        let mut chosen = self.datastreams(None);
        chosen.sort_by_cached_key(|datastream| (datastream.station.clone(), rank(datastream)));
        chosen.dedup_by(|next, first| next.station == first.station);
        let mut found = self.latest_of_these(&chosen)?;
        found.retain(|latest| !latest.station.retired);
        Ok(found)
    }

    /// The datastream that stands for a station, if any of it is visible.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn primary(&self, station: &Station) -> Result<Option<Latest>, Error> {
        let chosen = self.datastreams(Some(station.id.as_str())).into_iter().min_by_key(|datastream| rank(datastream));
        Ok(self.latest_of_these(chosen.as_slice())?.into_iter().next())
    }

    /// A station with its neighbours along the river and the last of each of its datastreams.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn summary(&self, station: &str) -> Result<Option<StationSummary>, Error> {
        let Some(station) = self.station(station) else { return Ok(None) };
        let mut datastreams = self.datastreams(Some(station.id.as_str()));
        datastreams.sort_by_cached_key(|datastream| rank(datastream));
        let datastreams = self.latest_of_these(&datastreams)?;
        let visible = self.stations();
        let upstream = visible.iter().filter(|other| other.downstream.as_ref() == Some(&station.id)).cloned();
        let mut upstream: Vec<_> = upstream.collect();
        upstream.sort_by(|one, other| one.name.cmp(&other.name));
        let downstream = station.downstream.as_ref().and_then(|id| visible.iter().find(|other| other.id == *id)).cloned();
        Ok(Some(StationSummary { station, upstream, downstream, datastreams }))
    }
}

/// Levels first, then rain, then the rest: the first of a station stands for it.
fn rank(datastream: &Datastream) -> (bool, bool, DatastreamKey) {
    (!datastream.property.is_level(), !datastream.property.is_rain(), datastream.key.clone())
}

/// Every usable sample lies so far under the lowest threshold that no history could make it anything but below.
fn clearly_below(recent: &[Observation], thresholds: &[&Threshold]) -> bool {
    let Some(lowest) = thresholds.first() else { return false };
    let clearing = lowest.value - hysteresis(thresholds);
    let long_enough = match (recent.first(), recent.last()) {
        (Some(first), Some(last)) => last.phenomenon_time.seconds_since(first.phenomenon_time) >= 0.9 * 1800.0,
        _ => false,
    };
    long_enough && recent.iter().all(|sample| sample.quality.is_usable() && sample.result < clearing)
}
