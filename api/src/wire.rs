//! What answers look like. Made here from the model's words, which know nothing of JSON.

mod dataset;
mod quarantine;
mod rating;

pub(crate) use dataset::{DatasetOut, DatasetWhole};
pub(crate) use quarantine::{LedgerOut, QuarantineOut, QuarantineWhole, TroubleOut, Troubles};
pub(crate) use rating::{DischargeOut, RatingOut};

use model::{
    CounterStep, Datastream, Gap, Increment, Lang, Observation, SignalClass, Station, Threshold, Timestamp, TimestampWriter, Visibility,
};
use serde::Serialize;
use store::{BucketRow, Increase, Latest, Thinned, View};
use utoipa::ToSchema;

/// Both languages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TextOut {
    pub(crate) it: String,
    pub(crate) en: String,
}

impl From<&model::Text> for TextOut {
    fn from(text: &model::Text) -> Self {
        Self { it: text.get(Lang::It).into(), en: text.get(Lang::En).into() }
    }
}

/// A place with a location.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StationOut {
    #[schema(example = "bisenzio-gamberame")]
    pub(crate) id: String,
    #[schema(example = "Gamberame")]
    pub(crate) name: String,
    #[schema(example = "medio-valdarno")]
    pub(crate) owner: String,
    /// Degrees, WGS84.
    #[schema(example = 43.95)]
    pub(crate) latitude: f64,
    #[schema(example = 11.12)]
    pub(crate) longitude: f64,
    /// ISTAT code of the comune, a text of six digits.
    #[schema(example = "100006")]
    pub(crate) comune: Option<String>,
    pub(crate) river: Option<String>,
    /// The next station downstream.
    pub(crate) downstream: Option<String>,
    /// Quotas of the gauge zero, m above sea level, with their validity.
    pub(crate) gauge_zero: Vec<ZeroOut>,
    pub(crate) note: Option<TextOut>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ZeroOut {
    pub(crate) metres_above_sea: f64,
    pub(crate) datum: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

fn instant(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

impl From<&Station> for StationOut {
    fn from(station: &Station) -> Self {
        let zero = |zero: &model::GaugeZero| ZeroOut {
            metres_above_sea: zero.metres_above_sea,
            datum: zero.datum.clone(),
            from: instant(zero.validity.from),
            to: instant(zero.validity.to),
        };
        Self {
            id: station.id.to_string(),
            name: station.name.clone(),
            owner: station.owner.to_string(),
            latitude: station.place.latitude,
            longitude: station.place.longitude,
            comune: station.comune.clone(),
            river: station.river.clone(),
            downstream: station.downstream.as_ref().map(ToString::to_string),
            gauge_zero: station.gauge_zero.iter().map(zero).collect(),
            note: station.note.as_ref().map(Into::into),
        }
    }
}

/// One property, one sensor, one station.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatastreamOut {
    #[schema(example = "bisenzio-gamberame-level")]
    pub(crate) id: String,
    pub(crate) station: String,
    pub(crate) owner: String,
    #[schema(example = "water_level")]
    pub(crate) property: String,
    pub(crate) title: TextOut,
    /// UCUM symbol of every result.
    #[schema(example = "m")]
    pub(crate) unit: String,
    /// instant, interval, counter or state
    #[schema(example = "instant")]
    pub(crate) class: String,
    /// Nominal seconds between two observations.
    #[schema(example = 300)]
    pub(crate) period_s: u32,
    /// public, shared or private
    #[schema(example = "public")]
    pub(crate) visibility: String,
    pub(crate) thresholds: Vec<ThresholdOut>,
    /// All that ever held, of which no two hold at once: discharge is derived by them.
    pub(crate) ratings: Vec<RatingOut>,
    /// Observations kept, and the extent of their phenomenon times; null when there is none.
    pub(crate) count: u64,
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThresholdOut {
    pub(crate) value: f64,
    pub(crate) label: TextOut,
    pub(crate) meaning: Option<TextOut>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

impl From<&Threshold> for ThresholdOut {
    fn from(threshold: &Threshold) -> Self {
        Self {
            value: threshold.value,
            label: (&threshold.label).into(),
            meaning: threshold.meaning.as_ref().map(Into::into),
            from: instant(threshold.validity.from),
            to: instant(threshold.validity.to),
        }
    }
}

impl DatastreamOut {
    /// # Errors
    /// As [`View::extent`].
    pub(crate) fn seen(view: &View, datastream: &Datastream) -> Result<Self, store::Error> {
        Ok(Self::of(datastream, view.extent(datastream)?))
    }
    fn of(datastream: &Datastream, extent: Option<(u64, Timestamp, Timestamp)>) -> Self {
        let visibility = match datastream.visibility {
            Visibility::Public => "public",
            Visibility::Shared(_) => "shared",
            Visibility::Private => "private",
        };
        Self {
            id: datastream.key.to_string(),
            station: datastream.station.to_string(),
            owner: datastream.owner.to_string(),
            property: datastream.property.word().into(),
            title: (&datastream.property.title()).into(),
            unit: datastream.unit().symbol().into(),
            class: datastream.class.word().into(),
            period_s: datastream.period_s,
            visibility: visibility.into(),
            thresholds: datastream.thresholds.iter().map(Into::into).collect(),
            ratings: datastream.ratings.iter().map(Into::into).collect(),
            count: extent.map_or(0, |(count, ..)| count),
            first: extent.map(|(_, first, _)| first.to_string()),
            last: extent.map(|(_, _, last)| last.to_string()),
        }
    }
}

/// One value at one instant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ObservationOut {
    /// When the water stood so; UTC.
    #[schema(example = "2026-11-23T06:20:00Z")]
    pub(crate) phenomenon_time: String,
    /// In the datastream's unit.
    #[schema(example = 1.42)]
    pub(crate) result: f64,
    /// QARTOD: 1 good, 2 not evaluated, 3 suspect, 4 fail, 9 missing.
    #[schema(example = 1)]
    pub(crate) quality: u8,
    /// When we heard of it, to the second; UTC.
    #[schema(example = "2026-11-23T06:20:03Z")]
    pub(crate) received_at: String,
}

impl From<&Observation> for ObservationOut {
    fn from(observation: &Observation) -> Self {
        Self {
            phenomenon_time: observation.phenomenon_time.to_string(),
            result: observation.result,
            quality: observation.quality.flag() as u8,
            received_at: observation.received_at.to_string(),
        }
    }
}

/// One of the observations that a chart needs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThinnedOut {
    #[serde(flatten)]
    pub(crate) observation: ObservationOut,
    /// Nothing usable was measured for longer than three periods since the one before: draw no line from it to this one.
    pub(crate) after_gap: bool,
}

impl From<&Thinned> for ThinnedOut {
    fn from(thinned: &Thinned) -> Self {
        Self { observation: (&thinned.observation).into(), after_gap: thinned.after_gap }
    }
}

/// Aggregate over `[start, end)` of the observations of quality 1 and 2; over `(start, end]` of an interval quantity such as rain,
/// whose time is its interval's end.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BucketOut {
    #[schema(example = "2026-11-23T06:00:00Z")]
    pub(crate) start: String,
    #[schema(example = "2026-11-23T07:00:00Z")]
    pub(crate) end: String,
    pub(crate) min: f64,
    pub(crate) mean: f64,
    pub(crate) max: f64,
    /// First time of the maximum.
    pub(crate) max_at: String,
    pub(crate) count: u64,
    /// Of an interval quantity only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sum: Option<f64>,
}

impl BucketOut {
    /// With the calendar of its neighbours.
    pub(crate) fn of(row: &BucketRow, class: SignalClass, times: &mut TimestampWriter) -> Self {
        Self {
            start: times.write(row.start),
            end: times.write(row.end),
            min: row.min,
            mean: row.mean,
            max: row.max,
            max_at: times.write(row.max_at),
            count: row.count,
            sum: (class == SignalClass::Interval).then(|| to_a_billionth(row.sum)),
        }
    }
}

/// Without what adding doubles leaves behind the digits that were measured: ten times 0.1 is 1.
fn to_a_billionth(sum: f64) -> f64 {
    let rounded = (sum * 1e9).round() / 1e9;
    if rounded.is_finite() { rounded } else { sum }
}

/// The last of one datastream, and what it means now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatestOut {
    #[schema(example = "bisenzio-gamberame-level")]
    pub(crate) datastream: String,
    #[schema(example = "bisenzio-gamberame")]
    pub(crate) station: String,
    #[schema(example = "water_level")]
    pub(crate) property: String,
    #[schema(example = "m")]
    pub(crate) unit: String,
    /// Null when nothing was measured yet, as are result, quality and age_s.
    pub(crate) phenomenon_time: Option<String>,
    pub(crate) result: Option<f64>,
    pub(crate) quality: Option<u8>,
    /// Seconds since the phenomenon time.
    pub(crate) age_s: Option<i64>,
    /// Older than three periods: not to be shown as current.
    pub(crate) stale: bool,
    /// unknown, below, over_1, over_2, …; unknown whenever it is stale.
    #[schema(example = "over_1")]
    pub(crate) state: String,
}

impl From<&Latest> for LatestOut {
    fn from(latest: &Latest) -> Self {
        let observation = latest.observation.as_ref();
        Self {
            datastream: latest.datastream.key.to_string(),
            station: latest.station.id.to_string(),
            property: latest.datastream.property.word().into(),
            unit: latest.datastream.unit().symbol().into(),
            phenomenon_time: observation.map(|observation| observation.phenomenon_time.to_string()),
            result: observation.map(|observation| observation.result),
            quality: observation.map(|observation| observation.quality.flag() as u8),
            age_s: latest.age_s,
            stale: latest.state.stale,
            state: latest.state.level.word(),
        }
    }
}

/// A time without values, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GapOut {
    /// First and last failed poll.
    pub(crate) from: String,
    pub(crate) to: String,
    /// timeout, unreachable, exception-N, bad-answer, no-number, frozen, broken-wire, dropped, damaged, archived
    #[schema(example = "timeout")]
    pub(crate) reason: String,
    /// Failed polls.
    pub(crate) count: u64,
}

impl From<&Gap> for GapOut {
    fn from(gap: &Gap) -> Self {
        Self { from: gap.from.to_string(), to: gap.to.to_string(), reason: gap.reason.code(), count: gap.count }
    }
}

/// A change of a description.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevisionOut {
    pub(crate) at: String,
    pub(crate) who: String,
    /// Empty when nobody said.
    pub(crate) why: String,
    /// datastream, station or owner
    pub(crate) of: String,
    pub(crate) id: String,
    /// As the network file said it; null where it was new.
    #[schema(value_type = Option<Object>)]
    pub(crate) before: Option<serde_json::Value>,
    #[schema(value_type = Option<Object>)]
    pub(crate) after: Option<serde_json::Value>,
}

impl From<&store::Revision> for RevisionOut {
    fn from(one: &store::Revision) -> Self {
        // As it lies in the store the entry stands under the name of its kind.
        let entry =
            |text: &str| serde_json::from_str::<std::collections::BTreeMap<String, serde_json::Value>>(text).ok()?.into_values().next();
        let value = |text: &Option<String>| text.as_deref().and_then(entry);
        let (before, after) = (value(&one.before), value(&one.after));
        Self { at: one.at.to_string(), who: one.who.clone(), why: one.why.clone(), of: one.of.clone(), id: one.id.clone(), before, after }
    }
}

/// What a counter counted from `start` to `end`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncrementOut {
    pub(crate) start: String,
    pub(crate) end: String,
    /// In the datastream's unit; null where readings lie more than 48 hours apart.
    pub(crate) amount: Option<f64>,
    /// From reading to reading: plain, rollover, reset, replaced or backflow; null for a bucket.
    pub(crate) step: Option<&'static str>,
}

impl From<&Increase> for IncrementOut {
    fn from(row: &Increase) -> Self {
        Self { start: row.start.to_string(), end: row.end.to_string(), amount: row.amount, step: None }
    }
}

impl From<&Increment> for IncrementOut {
    fn from(row: &Increment) -> Self {
        let step = match row.step {
            CounterStep::Plain => "plain",
            CounterStep::Rollover => "rollover",
            CounterStep::Reset => "reset",
            CounterStep::Replaced => "replaced",
            CounterStep::Backflow => "backflow",
        };
        Self { start: row.from.to_string(), end: row.to.to_string(), amount: Some(row.amount), step: Some(step) }
    }
}
