//! Step 4: how far the value can be trusted. Flags, never drops or changes a value.

use model::{Datastream, Flag, Observation, Quality, QualityTest};

/// Gross range: what no sensor of this property can mean fails; the rest is good as far as one value can tell.
#[must_use]
pub fn qualify(observation: Observation, datastream: &Datastream) -> Observation {
    let (low, high) = datastream.property.span();
    // What the device said of itself stays; the worse flag holds.
    let said = if observation.quality.spoke(QualityTest::DeviceStatus) { observation.quality } else { Quality::GOOD };
    let quality = if (low..=high).contains(&observation.result) { said } else { said.with(QualityTest::GrossRange, Flag::Fail) };
    Observation { quality, ..observation }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DatastreamId, ObservedProperty, SignalClass, Timestamp, Visibility};

    /// Flag and bit of the gross range; the value is never touched.
    fn check(result: f64, expected: (Flag, bool)) {
        let datastream = Datastream {
            id: DatastreamId(0),
            key: "prova-level".into(),
            owner: "demo".into(),
            station: "prova".into(),
            property: ObservedProperty::WaterLevel,
            class: SignalClass::Instant,
            period_s: 10,
            visibility: Visibility::Public,
            thresholds: Vec::new(),
            ratings: Vec::new(),
            counter: model::Counter::default(),
            keep_months: None,
            retired: false,
        };
        let (phenomenon_time, received_at) = (Timestamp::from_seconds(1), Timestamp::from_seconds(2));
        let observation = Observation { datastream: datastream.id, phenomenon_time, received_at, result, quality: Quality::NOT_EVALUATED };
        let qualified = qualify(observation, &datastream);
        assert_eq!((qualified.quality.flag(), qualified.quality.spoke(QualityTest::GrossRange)), expected, "{result}");
        assert_eq!(Observation { quality: observation.quality, ..qualified }, observation);
    }

    #[test]
    fn what_no_sensor_can_mean_fails_and_is_kept_as_it_is() {
        for good in [-2.0, 0.0, 1.42, 15.0] {
            check(good, (Flag::Good, false));
        }
        for bad in [-2.001, 15.001, 99.99, -999.0, f64::MAX] {
            check(bad, (Flag::Fail, true));
        }
    }
}
