//! Step 4: how far the value can be trusted. Flags, never drops or changes a value.

use model::{Datastream, Flag, Observation, Quality, QualityTest};

/// Gross range: what no sensor of this property can mean fails; the rest is good as far as one value can tell.
#[must_use]
pub fn qualify(observation: Observation, datastream: &Datastream) -> Observation {
    let (low, high) = datastream.property.span();
    let quality = if (low..=high).contains(&observation.result) {
        Quality::GOOD
    } else {
        Quality::GOOD.with(QualityTest::GrossRange, Flag::Fail)
    };
    Observation { quality, ..observation }
}
