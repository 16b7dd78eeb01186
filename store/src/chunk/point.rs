use model::{DatastreamId, Observation, Quality, QualityTest, Timestamp};

/// An observation without its datastream, as buffers and chunks hold it: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// Phenomenon time, µs.
    pub(crate) at: i64,
    pub(crate) value: f64,
    /// Arrival, whole seconds since 1970 (until 2106).
    pub(crate) received_s: u32,
    /// [`Quality::to_bits`].
    pub(crate) quality: u32,
}

impl Point {
    /// Before anything is known of it.
    pub(crate) const EMPTY: Self = Self { at: 0, value: 0.0, received_s: 0, quality: 0 };

    pub(crate) fn of(observation: &Observation) -> Self {
        Self {
            at: observation.phenomenon_time.micros(),
            value: observation.result,
            received_s: u32::try_from(observation.received_at.seconds()).unwrap_or(0),
            quality: observation.quality.to_bits(),
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
    fn a_buffered_point_takes_twenty_four_bytes() {
        assert_eq!(size_of::<Point>(), 24);
    }
}
