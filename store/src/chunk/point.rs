use model::{DatastreamId, Observation, Quality, QualityTest, Timestamp};

/// An observation without its datastream, as buffers and chunks hold it: 24 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// Phenomenon time, µs.
    pub(crate) at: i64,
    pub(crate) value: f64,
    /// Arrival, whole seconds since 1970 (until 2106).
    pub(crate) received_s: u32,
    /// [`Quality::to_bits`].
    pub(crate) quality: u16,
    /// In a buffer: about when it was committed ([`Stamp`]). No part of what it says.
    pub(crate) stamp: Stamp,
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.value, self.received_s, self.quality) == (other.at, other.value, other.received_s, other.quality)
    }
}

/// The number of a commit, in sixteen bits that a point has left over: coarse, and good only while that commit lies less than
/// [`Stamp::REACH`] commits back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp(u16);

impl Stamp {
    const COARSE: u64 = 32;
    /// Commits that a stamp reaches back.
    pub(crate) const REACH: u64 = (1 << 16) * Self::COARSE;

    #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is kept")]
    pub(crate) fn of(commit: u64) -> Self {
        Self((commit / Self::COARSE) as u16)
    }
    /// The earliest commit, seen from a later one, that it may stand for.
    pub(crate) fn earliest(self, now: u64) -> u64 {
        let back = Self::of(now).0.wrapping_sub(self.0);
        (now / Self::COARSE).saturating_sub(u64::from(back)) * Self::COARSE
    }
}

impl Point {
    /// Before anything is known of it.
    pub(crate) const EMPTY: Self = Self { at: 0, value: 0.0, received_s: 0, quality: 0, stamp: Stamp(0) };

    pub(crate) fn of(observation: &Observation) -> Self {
        Self {
            at: observation.phenomenon_time.micros(),
            value: observation.result,
            received_s: u32::try_from(observation.received_at.seconds()).unwrap_or(0),
            quality: observation.quality.to_bits(),
            stamp: Stamp::default(),
        }
    }
    pub(crate) fn observation(self, datastream: DatastreamId) -> Observation {
        Observation {
            datastream,
            phenomenon_time: Timestamp::from_micros(self.at),
            received_at: Timestamp::from_seconds(i64::from(self.received_s)),
            result: self.value,
            quality: Quality::from_bits(self.quality).unwrap_or(Quality::NOT_EVALUATED),
        }
    }
    /// Whole seconds from phenomenon to arrival.
    pub(crate) fn lag_s(&self) -> i64 {
        i64::from(self.received_s) - self.at.div_euclid(1_000_000)
    }
    /// It stands no longer, and is kept so that it does not come back by being sent again.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.quality == Quality::WITHDRAWN.to_bits()
    }
    pub(crate) fn is_corrected(&self) -> bool {
        Quality::from_bits(self.quality).is_some_and(|quality| quality.spoke(QualityTest::Corrected))
    }
    pub(crate) fn same_value(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_never_later_than_its_commit_and_little_earlier() {
        for commit in [1, 31, 32, 1_000_000, 3_000_000, u64::from(u32::MAX)] {
            for later in [0, 1, 33, 70_000, Stamp::REACH - 64] {
                let earliest = Stamp::of(commit).earliest(commit + later);
                assert!(earliest <= commit && commit - earliest < 32, "{commit} seen from {later} later: {earliest}");
            }
        }
    }
}
