//! The rating of a gauged section (*scala di deflusso*): discharge from stage.

use crate::{Datastream, Flag, Observation, Quality, QualityTest, Timestamp, Validity};

/// Neighbouring segments may differ by this share where they meet. Source: domain.md 4.2.
const MEET_WITHIN: f64 = 0.01;
/// A rating that is extrapolated is so up to this many times the highest gauged stage. Source: domain.md 4.2.
const EXTRAPOLATED_TO: f64 = 1.2;
/// Exponents that no section has: 1.5 is a weir, 1.67 a wide channel, 2.5 a V-notch (domain.md 4.2).
const STEEPEST: f64 = 10.0;
/// Stages nearer to one another than this are one, metres.
const SAME_M: f64 = 1e-6;

/// One power law `Q = a · (h − h0)^b` over the stages `[from_m, to_m)`; m³/s, metres over the gauge zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    pub from_m: f64,
    pub to_m: f64,
    pub a: f64,
    /// The stage at which the water stands still.
    pub h0_m: f64,
    pub b: f64,
}

impl Segment {
    fn at(&self, stage: f64) -> f64 {
        self.a * (stage - self.h0_m).max(0.0).powf(self.b)
    }
}

/// What is said of stages at which nobody measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Beyond {
    #[default]
    Nothing,
    /// The nearest segment goes on, flagged, up to 1.2 times the highest gauged stage.
    Extrapolated,
}

/// Discharge of a section by its stage, while it holds. Made by [`Rating::new`] alone, so its segments ascend and meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Rating {
    segments: Vec<Segment>,
    pub beyond: Beyond,
    /// In phenomenon time: of the stage, not of when it was agreed.
    pub validity: Validity,
    /// Who gauged, when, how often.
    pub source: Option<String>,
}

/// Why segments make no rating, and the cure. Segments count from 1, as people do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RatingFault {
    #[error("a rating needs at least one segment, from the lowest gauged stage to the highest")]
    Empty,
    #[error("segment {0}: a, b, h0 and both ends must be finite numbers")]
    NotFinite(usize),
    #[error("segment {segment} ends at {to} m and begins at {from} m; write the lower stage first")]
    Reversed { segment: usize, from: f64, to: f64 },
    #[error("segment {segment}: a = {a} can't be, water would not flow downhill; write a number above 0")]
    Factor { segment: usize, a: f64 },
    #[error(
        "segment {segment}: b = {b} can't be; write a number above 0 and up to 10: about 1.5 for a weir, 1.67 for a wide channel, 2.5 for a V-notch"
    )]
    Exponent { segment: usize, b: f64 },
    #[error("segment {segment}: h0 = {h0} m lies above all of it, so nothing ever flows; write an h0 below {to} m")]
    AlwaysDry { segment: usize, h0: f64, to: f64 },
    #[error("segment {segment}: h0 = {h0} m does not lie below its beginning at {from} m, where segment {before} says that water flows; lower h0", before = .segment - 1)]
    DryInside { segment: usize, h0: f64, from: f64 },
    #[error("segment {segment} begins at {from} m, but segment {before} ends at {to} m; let each begin where the one before ends", before = .segment - 1)]
    Hole { segment: usize, from: f64, to: f64 },
    #[error(
        "segments {before} and {segment} do not meet at {stage} m: {below:.3} and {above:.3} m³/s, {percent:.1} % apart, and at most 1 % may be; with a = {a} segment {segment} would meet",
        before = .segment - 1
    )]
    Apart { segment: usize, stage: f64, below: f64, above: f64, percent: f64, a: f64 },
}

impl Rating {
    /// `segments` from the lowest stage to the highest; the last ends at the highest gauged stage.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(segments: Vec<Segment>, beyond: Beyond, validity: Validity, source: Option<String>) -> Result<Self, Vec<RatingFault>> {
        let mut faults: Vec<RatingFault> = segments.iter().zip(1..).filter_map(|(one, place)| fault(one, place)).collect();
        if segments.is_empty() {
            faults.push(RatingFault::Empty);
        }
        if faults.is_empty() {
            faults.extend(
                segments.iter().zip(segments.iter().skip(1)).zip(2..).filter_map(|((below, above), place)| joint(below, above, place)),
            );
        }
        if faults.is_empty() { Ok(Self { segments, beyond, validity, source }) } else { Err(faults) }
    }

    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Discharge in m³/s at a stage in metres over the gauge zero: `Q = a · (h − h0)^b` of the segment that holds the stage; where two
    /// meet, of the upper; the highest gauged stage belongs to the last. Zero at and below the `h0` of the lowest: the bed is dry.
    ///
    /// `None` where nobody measured, as Delft-FEWS says too, but for a rating that is extrapolated.
    /// It knows nothing of hysteresis, backwater and weeds: not for pumped canals. Source: domain.md 4.2.
    #[must_use]
    pub fn discharge(&self, stage: f64) -> Option<Discharge> {
        let (lowest, highest) = (self.segments.first()?, self.segments.last()?);
        if !stage.is_finite() {
            return None;
        }
        if stage <= lowest.h0_m {
            return Some(Discharge { cubic_metres_per_second: 0.0, is_extrapolated: false });
        }
        let is_gauged = stage >= lowest.from_m - SAME_M && stage <= highest.to_m + SAME_M;
        let limit = (highest.to_m * EXTRAPOLATED_TO).max(highest.to_m) + SAME_M;
        if !is_gauged && (self.beyond == Beyond::Nothing || stage > limit) {
            return None;
        }
        let segment = self.segments.iter().find(|segment| stage < segment.to_m).unwrap_or(highest);
        Some(Discharge { cubic_metres_per_second: segment.at(stage), is_extrapolated: !is_gauged })
    }
}

fn fault(one: &Segment, segment: usize) -> Option<RatingFault> {
    let Segment { from_m: from, to_m: to, a, h0_m: h0, b } = *one;
    if ![from, to, a, h0, b].iter().all(|number| number.is_finite()) {
        return Some(RatingFault::NotFinite(segment));
    }
    if to <= from {
        return Some(RatingFault::Reversed { segment, from, to });
    }
    if a <= 0.0 {
        return Some(RatingFault::Factor { segment, a });
    }
    if b <= 0.0 || b > STEEPEST {
        return Some(RatingFault::Exponent { segment, b });
    }
    if h0 >= to {
        return Some(RatingFault::AlwaysDry { segment, h0, to });
    }
    // In the lowest the bed may be dry for a part of it; above, water flows already.
    (segment > 1 && h0 >= from).then_some(RatingFault::DryInside { segment, h0, from })
}

/// What is wrong where `above`, counted `segment`, takes over from `below`.
fn joint(below: &Segment, above: &Segment, segment: usize) -> Option<RatingFault> {
    let stage = above.from_m;
    if (stage - below.to_m).abs() > SAME_M {
        return Some(RatingFault::Hole { segment, from: stage, to: below.to_m });
    }
    let (lower, upper) = (below.at(stage), above.at(stage));
    let apart = (upper - lower).abs() / lower;
    // Not a number is not near.
    let meets = apart <= MEET_WITHIN;
    let a = significant(lower / (stage - above.h0_m).powf(above.b), 5);
    (!meets).then_some(RatingFault::Apart { segment, stage, below: lower, above: upper, percent: apart * 100.0, a })
}

/// What flows through a section, as its rating says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discharge {
    /// 0 or above.
    pub cubic_metres_per_second: f64,
    /// Of a stage at which nobody measured.
    pub is_extrapolated: bool,
}

impl Discharge {
    /// How far it can be trusted: as far as the stage, and no further than suspect where it is extrapolated.
    #[must_use]
    pub fn quality(&self, of_stage: Quality) -> Quality {
        if self.is_extrapolated { of_stage.with(QualityTest::Extrapolated, Flag::Suspect) } else { of_stage }
    }
}

/// Why there is no discharge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDischarge {
    /// None held when it was measured.
    NoRating,
    /// The stage is suspect or wrong itself.
    UnusableStage,
    /// Nobody measured at this stage.
    OutsideRating,
}

impl NoDischarge {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoRating => "no-rating",
            Self::UnusableStage => "unusable-stage",
            Self::OutsideRating => "outside-rating",
        }
    }
}

impl Datastream {
    /// The rating that holds at an instant.
    #[must_use]
    pub fn rating_at(&self, at: Timestamp) -> Option<&Rating> {
        self.ratings.iter().find(|rating| rating.validity.holds_at(at))
    }

    /// What flowed when `stage` was measured, by the rating of that time.
    ///
    /// # Errors
    /// Why nobody knows.
    pub fn discharge(&self, stage: &Observation) -> Result<Discharge, NoDischarge> {
        let rating = self.rating_at(stage.phenomenon_time).ok_or(NoDischarge::NoRating)?;
        if !stage.quality.is_usable() {
            return Err(NoDischarge::UnusableStage);
        }
        rating.discharge(stage.result).ok_or(NoDischarge::OutsideRating)
    }
}

/// A number to so many significant digits, as far as a rating is worth.
#[must_use]
pub fn significant(value: f64, digits: usize) -> f64 {
    let rounded = format!("{value:.*e}", digits.saturating_sub(1));
    rounded.parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Segment = Segment { from_m: 0.2, to_m: 3.5, a: 14.0, h0_m: 0.2, b: 1.72 };

    fn rating(segments: &[Segment], beyond: Beyond) -> Rating {
        Rating::new(segments.to_vec(), beyond, Validity::default(), None).expect("a rating")
    }

    fn check(rating: &Rating, stage: f64, expected: Option<(f64, bool)>) {
        let found = rating.discharge(stage).map(|found| (significant(found.cubic_metres_per_second, 4), found.is_extrapolated));
        assert_eq!(found, expected, "{stage} m");
    }

    #[test]
    fn the_values_of_the_domain_come_out() {
        for (stage, expected) in [(0.55, 2.30), (1.80, 31.4), (3.50, 109.1)] {
            let found = rating(&[CHECK], Beyond::Nothing).discharge(stage).expect("gauged");
            assert!((found.cubic_metres_per_second / expected - 1.0).abs() < 0.002, "{stage} m: {found:?}, not {expected}");
        }
    }

    #[test]
    fn where_nobody_measured_nothing_is_said_unless_it_is_asked_for_by_name() {
        let (strict, free) = (rating(&[CHECK], Beyond::Nothing), rating(&[CHECK], Beyond::Extrapolated));
        for rating in [&strict, &free] {
            check(rating, -0.3, Some((0.0, false)));
            check(rating, 0.2, Some((0.0, false)));
            check(rating, 3.5, Some((109.1, false)));
            check(rating, f64::NAN, None);
            check(rating, 4.21, None);
        }
        check(&strict, 3.51, None);
        check(&free, 3.51, Some((109.7, true)));
        check(&free, 4.2, Some((151.9, true)));
        // Below what was gauged, but not dry.
        let high = Segment { from_m: 0.5, ..CHECK };
        check(&rating(&[high], Beyond::Nothing), 0.4, None);
        check(&rating(&[high], Beyond::Extrapolated), 0.4, Some((0.8788, true)));
        check(&rating(&[high], Beyond::Nothing), 0.1, Some((0.0, false)));
        // A gauge whose zero lies high: 1.2 times less than nothing is not further up.
        let low = Segment { from_m: -2.0, to_m: -1.0, a: 3.0, h0_m: -2.0, b: 1.5 };
        check(&rating(&[low], Beyond::Extrapolated), -1.0, Some((3.0, false)));
        check(&rating(&[low], Beyond::Extrapolated), -0.9, None);
    }

    /// Two or three segments that meet, from numbers that look like chance.
    fn made_up(seed: u32) -> Vec<Segment> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
        let mut between = |low: f64, high: f64| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            low + (high - low) * f64::from(state >> 8) / f64::from(1_u32 << 24)
        };
        let from_m = between(-1.0, 1.0);
        let first = Segment {
            from_m,
            to_m: from_m + between(0.3, 2.0),
            a: between(0.5, 40.0),
            h0_m: from_m - between(-0.2, 0.3),
            b: between(1.3, 2.6),
        };
        let mut segments = vec![first];
        for _ in 0..=seed % 2 {
            let last = segments[segments.len() - 1];
            let mut next = Segment {
                from_m: last.to_m,
                to_m: last.to_m + between(0.3, 2.0),
                a: 1.0,
                h0_m: last.h0_m - between(0.0, 0.2),
                b: between(1.3, 2.6),
            };
            next.a = last.at(last.to_m) / next.at(last.to_m) * between(0.992, 1.008);
            segments.push(next);
        }
        segments
    }

    #[test]
    fn more_water_is_more_discharge_and_segments_join_within_one_percent() {
        for seed in 0..500 {
            let segments = made_up(seed);
            let (low, high) = (segments[0].from_m, segments[segments.len() - 1].to_m);
            let rating = rating(&segments, Beyond::Extrapolated);
            let at = |stage: f64| rating.discharge(stage).unwrap_or_else(|| panic!("seed {seed}: {stage} m")).cubic_metres_per_second;
            for joint in segments.iter().skip(1).map(|segment| segment.from_m) {
                let (below, above) = (at(joint - 1e-9), at(joint));
                assert!((above / below - 1.0).abs() <= 0.0101, "seed {seed}: {below} and {above} at {joint} m");
            }
            let mut last = 0.0;
            for step in 0..=1000 {
                let stage = low + (high - low) * f64::from(step) / 1000.0;
                let now = at(stage);
                assert!(now >= last * 0.99, "seed {seed}: {now} after {last} at {stage} m");
                let segment = |stage: f64| segments.iter().position(|segment| stage < segment.to_m);
                if segment(stage) == segment(stage - (high - low) / 1000.0) {
                    assert!(now >= last, "seed {seed}: {now} after {last} at {stage} m, within a segment");
                }
                last = now;
            }
        }
    }

    fn refused(segments: &[Segment], expected: &[&str]) {
        let faults = Rating::new(segments.to_vec(), Beyond::Nothing, Validity::default(), None).expect_err("refused");
        assert_eq!(faults.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_makes_no_rating_is_told_with_the_segment_and_the_cure() {
        refused(&[], &["a rating needs at least one segment, from the lowest gauged stage to the highest"]);
        refused(&[Segment { a: f64::NAN, ..CHECK }], &["segment 1: a, b, h0 and both ends must be finite numbers"]);
        refused(&[Segment { to_m: 0.1, ..CHECK }], &["segment 1 ends at 0.1 m and begins at 0.2 m; write the lower stage first"]);
        refused(
            &[Segment { a: -1.0, ..CHECK }, Segment { b: 172.0, ..CHECK }],
            &[
                "segment 1: a = -1 can't be, water would not flow downhill; write a number above 0",
                "segment 2: b = 172 can't be; write a number above 0 and up to 10: about 1.5 for a weir, 1.67 for a wide channel, 2.5 for a V-notch",
            ],
        );
        refused(
            &[Segment { h0_m: 4.0, ..CHECK }],
            &["segment 1: h0 = 4 m lies above all of it, so nothing ever flows; write an h0 below 3.5 m"],
        );
        let (low, high) = (Segment { to_m: 1.8, ..CHECK }, Segment { from_m: 1.8, ..CHECK });
        refused(
            &[low, Segment { h0_m: 1.9, ..high }],
            &["segment 2: h0 = 1.9 m does not lie below its beginning at 1.8 m, where segment 1 says that water flows; lower h0"],
        );
        refused(
            &[low, Segment { from_m: 2.0, ..high }],
            &["segment 2 begins at 2 m, but segment 1 ends at 1.8 m; let each begin where the one before ends"],
        );
        refused(
            &[low, Segment { a: 15.0, ..high }],
            &[
                "segments 1 and 2 do not meet at 1.8 m: 31.421 and 33.665 m³/s, 7.1 % apart, and at most 1 % may be; with a = 14 segment 2 would meet",
            ],
        );
        rating(&[low, Segment { a: 14.13, ..high }], Beyond::Nothing);
        refused(
            &[low, Segment { a: 14.15, ..high }],
            &[
                "segments 1 and 2 do not meet at 1.8 m: 31.421 and 31.757 m³/s, 1.1 % apart, and at most 1 % may be; with a = 14 segment 2 would meet",
            ],
        );
    }

    #[test]
    fn only_what_can_be_trusted_gives_a_discharge_and_what_is_extrapolated_is_suspect() {
        let flowing = Discharge { cubic_metres_per_second: 1.0, is_extrapolated: false };
        assert_eq!(flowing.quality(Quality::GOOD), Quality::GOOD);
        let guessed = Discharge { is_extrapolated: true, ..flowing };
        assert_eq!(guessed.quality(Quality::NOT_EVALUATED).flag(), Flag::Suspect);
        assert!(guessed.quality(Quality::GOOD).spoke(QualityTest::Extrapolated));
    }
}
