//! A tipping-bucket rain gauge: counts the tips of its period and says them as the rain that fell in it.

use crate::gauge::RainGauge;
use crate::recorder::Measure;
use crate::wave::Wave;
use std::sync::Arc;

/// The channel `rain`: mm that fell in the `period_s` seconds that end at the time of the reading.
#[must_use]
pub fn increments(wave: Wave, gauge: RainGauge, period_s: i64) -> Measure {
    Arc::new(move |at| vec![("rain", wave.rain(gauge, at.plus_seconds(-period_s), at))])
}
