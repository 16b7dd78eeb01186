//! A level logger with a battery.

use crate::gauge::Gauge;
use crate::recorder::Measure;
use crate::wave::Wave;
use model::Timestamp;
use std::sync::Arc;

/// The channel `level` in m.
#[must_use]
pub fn level(wave: Wave, gauge: Gauge) -> Measure {
    Arc::new(move |at| vec![("level", wave.level(gauge, at))])
}

/// What a radar says that has lost its echo: the end of its range, m.
pub const NO_ECHO_M: f64 = 99.99;

/// As [`level`], by a sensor that loses its echo five minutes after `epoch` for ten minutes, and again every half hour.
#[must_use]
pub fn level_of_a_faulty_sensor(wave: Wave, gauge: Gauge, epoch: Timestamp) -> Measure {
    Arc::new(move |at| {
        let is_lost = at >= epoch && (300..900).contains(&(at.seconds() - epoch.seconds()).rem_euclid(1800));
        vec![("level", if is_lost { NO_ECHO_M } else { wave.level(gauge, at) })]
    })
}

/// As [`level`], and the channel `battery` in V.
#[must_use]
pub fn level_and_battery(wave: Wave, gauge: Gauge) -> Measure {
    Arc::new(move |at| vec![("level", wave.level(gauge, at)), ("battery", battery(at))])
}

/// A 12 V battery under a solar panel: fullest in the early afternoon. V, to the hundredth.
#[must_use]
pub fn battery(at: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
    let day = (at.seconds().rem_euclid(86_400) - 7 * 3600) as f64 / 86_400.0;
    ((12.55 + 0.35 * (day * std::f64::consts::TAU).sin()) * 100.0).round() / 100.0
}
