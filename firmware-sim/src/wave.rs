//! A flood wave down Bisenzio, Marina and Ombrone Pistoiese, made up plausibly after the flood of 2 November 2023
//! (domain.md 7, scenarios 1 and 2): *dati dimostrativi*, not a model of these rivers.
//!
//! Everything is a pure function of (seed, epoch, gauge, time), so a simulator that starts again agrees with what it said before.

use crate::gauge::{Gauge, RainGauge};
use model::Timestamp;

mod flood;
mod noise;

use flood::Flood;

/// The height that a bucket of a rain gauge tips at, mm.
pub const TIP_MM: f64 = 0.2;
/// From one great flood to the next: a day and an hour, so that they don't keep to an hour of the day.
const GREAT_PERIOD_S: i64 = 25 * 3600;
/// From the epoch to the crossing of the first threshold at Gamberame, seconds.
const FIRST_CROSSING_S: f64 = 75.0;
/// Modest floods of the month before: days before the epoch and share of the great one.
const MODEST: [(i64, f64); 3] = [(24, 0.34), (15, 0.46), (6, 0.40)];
/// Later than this after its start nothing of a flood is left.
const SPENT_S: f64 = 4.0 * 86_400.0;

/// The weather of one demonstration.
#[derive(Debug, Clone, Copy)]
pub struct Wave {
    seed: u64,
    epoch: Timestamp,
    /// Start of the great flood at Gamberame relative to the epoch, seconds; negative: it is under way when the demonstration starts.
    great_start_s: f64,
}

impl Wave {
    /// The great flood crosses the first threshold at Gamberame 75 s after `epoch`, and is followed by another every 25 hours;
    /// before it lie three modest ones in 30 days.
    #[must_use]
    pub fn new(seed: u64, epoch: Timestamp) -> Self {
        let gauge = Gauge::Gamberame;
        let shape = gauge.shape();
        let share = (gauge.first_threshold().unwrap_or(shape.base_m) - shape.base_m) / shape.amplitude_m;
        let since_start = flood::rise_reaches(share) * shape.rise_s;
        Self { seed, epoch, great_start_s: FIRST_CROSSING_S - since_start }
    }

    #[must_use]
    pub fn epoch(&self) -> Timestamp {
        self.epoch
    }

    /// The water over the zero of a gauge, metres, as a sensor sees it: with a noise of about 1 mm, to the millimetre.
    #[must_use]
    pub fn level(&self, gauge: Gauge, at: Timestamp) -> f64 {
        let noise_m = 0.0015 * noise::between_ones(self.seed, gauge as u64, at.micros());
        ((self.true_level(gauge, at) + noise_m) * 1000.0).round() / 1000.0
    }

    /// The water over the zero of a gauge, metres, without the sensor.
    #[must_use]
    pub fn true_level(&self, gauge: Gauge, at: Timestamp) -> f64 {
        let shape = gauge.shape();
        // Breathing of a centimetre or two over some days; zero at the epoch, where the crossing is promised.
        let slow = 0.015 * (at.seconds_since(self.epoch) / shape.breath_s).sin();
        shape.base_m + slow + shape.amplitude_m * self.flood_share(gauge, at)
    }

    /// How high the floods stand at a gauge, as a share of its greatest: 0 is none, 1 the crest of the great one.
    #[must_use]
    pub fn flood_share(&self, gauge: Gauge, at: Timestamp) -> f64 {
        let shape = gauge.shape();
        self.floods(at).map(|flood| flood.share(&shape, at.seconds_since(self.epoch))).sum()
    }

    /// Rain that fell on a gauge in `[from, to)`, mm: whole tips of the bucket, none lost or doubled wherever the time is cut.
    #[must_use]
    pub fn rain(&self, gauge: RainGauge, from: Timestamp, to: Timestamp) -> f64 {
        if from >= to {
            return 0.0;
        }
        let (start, end) = (from.seconds_since(self.epoch), to.seconds_since(self.epoch));
        let storm = gauge.storm();
        let mut tips = 0.0;
        for flood in self.floods_between(start, end) {
            tips += flood.tips(&storm, end) - flood.tips(&storm, start);
        }
        tips / (1.0 / TIP_MM)
    }

    /// Floods of which anything may be seen at `at`.
    fn floods(&self, at: Timestamp) -> impl Iterator<Item = Flood> {
        let now = at.seconds_since(self.epoch);
        self.floods_between(now, now)
    }

    /// Floods of which anything may be seen in a time, seconds since the epoch.
    #[expect(clippy::cast_possible_truncation, reason = "days since the epoch")]
    #[expect(clippy::cast_precision_loss, reason = "seconds within centuries")]
    fn floods_between(&self, from: f64, to: f64) -> impl Iterator<Item = Flood> {
        let modest = MODEST.iter().map(|(days, share)| Flood { start_s: (-days * 86_400) as f64, share: *share });
        let period = GREAT_PERIOD_S as f64;
        let first = (((from - SPENT_S - self.great_start_s) / period).floor() as i64).max(0);
        // A storm starts before its flood, so one more is looked at.
        let last = ((to - self.great_start_s) / period).floor() as i64 + 1;
        let (seed, start) = (self.seed, self.great_start_s);
        let great = (first..=last).map(move |number| Flood {
            start_s: start + (number * GREAT_PERIOD_S) as f64,
            share: if number == 0 { 1.0 } else { 0.85 + 0.15 * noise::between_ones(seed, 0xF100D, number) },
        });
        modest.chain(great).filter(move |flood| flood.start_s - 86_400.0 <= to && from <= flood.start_s + SPENT_S)
    }
}

#[cfg(test)]
mod tests;
