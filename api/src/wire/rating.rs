//! Ratings and what flows by them.

use super::instant;
use model::{Beyond, Flag, NoDischarge, Rating, Segment, TimestampWriter, significant};
use serde::Serialize;
use store::Flow;
use utoipa::ToSchema;

/// Digits that a derived discharge is worth.
const DIGITS: usize = 5;

/// Scala di deflusso: discharge of a section by its stage, while it holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RatingOut {
    /// Of the phenomenon time of a stage; from is included, to excluded, null is open.
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    /// Who gauged, when, how often.
    pub(crate) source: Option<String>,
    /// Whether it goes on, flagged, outside the gauged stages, up to 1.2 times the highest.
    pub(crate) extrapolate: bool,
    /// From the lowest gauged stage to the highest.
    pub(crate) segments: Vec<SegmentOut>,
}

/// Q = a · (h − h0)^b, in m³/s of metres over the gauge zero; 0 at and below the lowest h0.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SegmentOut {
    #[schema(example = 0.2)]
    pub(crate) from_m: f64,
    /// Excluded, but for the highest gauged stage.
    #[schema(example = 3.5)]
    pub(crate) to_m: f64,
    #[schema(example = 14.0)]
    pub(crate) a: f64,
    #[schema(example = 0.2)]
    pub(crate) h0_m: f64,
    #[schema(example = 1.72)]
    pub(crate) b: f64,
}

impl From<&Rating> for RatingOut {
    fn from(rating: &Rating) -> Self {
        let segment = |one: &Segment| SegmentOut { from_m: one.from_m, to_m: one.to_m, a: one.a, h0_m: one.h0_m, b: one.b };
        Self {
            from: instant(rating.validity.from),
            to: instant(rating.validity.to),
            source: rating.source.clone(),
            extrapolate: rating.beyond == Beyond::Extrapolated,
            segments: rating.segments().iter().map(segment).collect(),
        }
    }
}

/// What flowed when a stage was measured, by the rating of that time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DischargeOut {
    /// When the water stood so; UTC.
    #[schema(example = "2026-11-23T06:20:00Z")]
    pub(crate) phenomenon_time: String,
    /// m³/s, to five digits; null where nobody knows, see why.
    #[schema(example = 31.421)]
    pub(crate) discharge: Option<f64>,
    /// QARTOD, of the discharge: that of the stage, 3 where it is extrapolated, 9 where there is none.
    #[schema(example = 1)]
    pub(crate) quality: u8,
    /// The level as it was measured, m over the gauge zero.
    #[schema(example = 1.8)]
    pub(crate) stage: f64,
    /// Nobody measured at this stage: the rating goes on.
    pub(crate) extrapolated: bool,
    /// Of a discharge that is null: no-rating (none held then), unusable-stage (of quality 3 or worse) or outside-rating (nobody measured
    /// there).
    pub(crate) why: Option<&'static str>,
    /// When we heard of the stage, to the second; UTC.
    #[schema(example = "2026-11-23T06:20:03Z")]
    pub(crate) received_at: String,
}

impl DischargeOut {
    /// With the calendar of its neighbours.
    pub(crate) fn of(flow: &Flow, times: &mut TimestampWriter) -> Self {
        let found = flow.discharge.ok();
        Self {
            phenomenon_time: times.write(flow.stage.phenomenon_time),
            discharge: found.map(|found| significant(found.cubic_metres_per_second, DIGITS)),
            quality: found.map_or(Flag::Missing, |found| found.quality(flow.stage.quality).flag()) as u8,
            stage: flow.stage.result,
            extrapolated: found.is_some_and(|found| found.is_extrapolated),
            why: flow.discharge.err().map(NoDischarge::word),
            received_at: times.write(flow.stage.received_at),
        }
    }
}
