//! The pumping station of Castelletti (Signa): seven pumps that start in cascade, 0.20 m apart (domain.md 3.2 and scenario 4).
//! How it works is after the real kind; every number is made up.

use crate::gauge::Gauge;
use crate::wave::Wave;
use model::Timestamp;
use std::sync::{Mutex, PoisonError};

pub const PUMPS: usize = 7;
/// Basin level that starts the first pump, m; each further one starts 0.20 m higher.
const FIRST_START_M: f64 = 1.05;
const NEXT_START_M: f64 = 0.20;
/// In dry weather the basin fills for this long and the first pump empties it in the rest, s.
const DRY_CYCLE_S: i64 = 7200;
const DRY_PUMPING_S: i64 = 600;
const DRY_SWING_M: f64 = 0.20;
/// Drawn by one pump of 1.75 m³/s against 4 m at an efficiency of 0.70, kW (domain.md 4.6).
const PUMP_KW: f64 = 98.07;
/// The counters as they stood 30 days before the epoch.
const HOURS_BEFORE: f64 = 18_240.0;
const KWH_BEFORE: f64 = 412_300.0;
const BEFORE_S: i64 = 30 * 86_400;
/// The mains fail while a great flood rises through this share of itself: about three minutes.
const MAINS_FAIL_SHARE: std::ops::Range<f64> = 0.700..0.717;

/// The plant at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Running {
    /// Land side, m over the plant's zero.
    pub level_up_m: f64,
    /// River side, m over the same zero.
    pub level_down_m: f64,
    pub pumps: [bool; PUMPS],
    pub mains: bool,
    /// Of all pumps together, h.
    pub hours: f64,
    pub energy_kwh: f64,
}

/// A pure function of the wave, but for a memory of how far the counters were counted.
#[derive(Debug)]
pub struct Plant {
    wave: Wave,
    counted: Mutex<Counted>,
}

/// Pump-minutes up to a minute, from the first one.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    minutes: i64,
    pump_minutes: u64,
}

impl Plant {
    #[must_use]
    pub fn new(wave: Wave) -> Self {
        Self { wave, counted: Mutex::default() }
    }

    #[must_use]
    pub fn at(&self, at: Timestamp) -> Running {
        let pumps = self.pumps(at);
        #[expect(clippy::cast_precision_loss, reason = "minutes of pumps")]
        let hours = self.pump_minutes(at) as f64 / 60.0;
        let share = self.wave.flood_share(Gauge::CastellettiBasin, at);
        let rising = share < self.wave.flood_share(Gauge::CastellettiBasin, at.plus_seconds(60));
        Running {
            level_up_m: millimetres(self.wave.level(Gauge::CastellettiBasin, at) + self.dry_swing(at)),
            level_down_m: self.wave.level(Gauge::CastellettiRiver, at),
            pumps,
            mains: !(rising && MAINS_FAIL_SHARE.contains(&share)),
            hours: ((HOURS_BEFORE + hours) * 100.0).floor() / 100.0,
            energy_kwh: ((KWH_BEFORE + hours * PUMP_KW) * 10.0).floor() / 10.0,
        }
    }

    fn pumps(&self, at: Timestamp) -> [bool; PUMPS] {
        let basin = self.wave.true_level(Gauge::CastellettiBasin, at);
        let mut start = FIRST_START_M;
        let mut pumps = [false; PUMPS];
        for pump in &mut pumps {
            *pump = basin >= start;
            start += NEXT_START_M;
        }
        if let Some(first) = pumps.first_mut() {
            *first |= phase(at) >= DRY_CYCLE_S - DRY_PUMPING_S;
        }
        pumps
    }

    /// In dry weather the basin breathes: up slowly, down fast under the first pump; in a flood it no longer does.
    fn dry_swing(&self, at: Timestamp) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "seconds of two hours")]
        let (phase, filling, pumping) = (phase(at) as f64, (DRY_CYCLE_S - DRY_PUMPING_S) as f64, DRY_PUMPING_S as f64);
        let full = if phase < filling { phase / filling } else { 1.0 - (phase - filling) / pumping };
        let dry = (1.0 - self.wave.flood_share(Gauge::CastellettiBasin, at) / 0.1).max(0.0);
        (full - 0.5) * DRY_SWING_M * dry
    }

    /// Counted minute by minute from 30 days before the epoch, so that the counters agree with the run bits.
    fn pump_minutes(&self, at: Timestamp) -> u64 {
        let start = self.wave.epoch().plus_seconds(-BEFORE_S);
        let wanted = (at.seconds() - start.seconds()).div_euclid(60).max(0);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted < counted.minutes {
            *counted = Counted::default();
        }
        while counted.minutes < wanted {
            let minute = start.plus_seconds(counted.minutes * 60);
            counted.pump_minutes += self.pumps(minute).iter().filter(|runs| **runs).count() as u64;
            counted.minutes += 1;
        }
        counted.pump_minutes
    }
}

/// Seconds into the dry-weather cycle.
fn phase(at: Timestamp) -> i64 {
    at.seconds().rem_euclid(DRY_CYCLE_S)
}

fn millimetres(metres: f64) -> f64 {
    (metres * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch() -> Timestamp {
        Timestamp::parse("2026-11-23T08:00:00Z").expect("a time")
    }

    #[test]
    fn the_pumps_start_in_cascade_and_the_counters_count_them() {
        let plant = Plant::new(Wave::new(7, epoch()));
        let mut before = plant.at(epoch().plus_seconds(-7200));
        let mut most = 0;
        let mut outage_s = 0;
        for second in (-7170..16 * 3600).step_by(30) {
            let now = plant.at(epoch().plus_seconds(second));
            let running = now.pumps.iter().filter(|runs| **runs).count();
            assert!(now.pumps.is_sorted_by(|one, next| one >= next), "no pump before the one below it");
            assert!(now.hours >= before.hours && now.energy_kwh >= before.energy_kwh, "counters never fall");
            assert!((now.level_up_m - before.level_up_m).abs() < 0.05, "at {second} s");
            most = most.max(running);
            outage_s += if now.mains { 0 } else { 30 };
            before = now;
        }
        assert_eq!(most, PUMPS);
        assert!((60..=600).contains(&outage_s), "{outage_s} s without mains");
    }

    #[test]
    fn the_counters_agree_with_themselves_whoever_asks_first() {
        let (one, other) = (Plant::new(Wave::new(7, epoch())), Plant::new(Wave::new(7, epoch())));
        let (early, late) = (epoch(), epoch().plus_seconds(9000));
        let forwards = [one.at(early), one.at(late)];
        let backwards = [other.at(late), other.at(early)];
        assert_eq!(forwards, [backwards[1], backwards[0]]);
        assert!(forwards[0].hours > HOURS_BEFORE + 59.0, "a first pump that runs an hour in twelve: {}", forwards[0].hours);
    }
}
