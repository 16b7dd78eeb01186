//! Who is in the demonstration: the devices of `demo/network.toml` and what each of its datastreams measures.

use crate::gauge::{Gauge, RainGauge};
use crate::logger;
use crate::plant::Plant;
use crate::wave::Wave;
use model::Timestamp;

/// What the simulated devices send and how often they are asked, seconds; `period_s` of the network file.
pub const PERIOD_S: i64 = 10;

pub(crate) const CONSORTIUM: &str = "medio-valdarno";
pub(crate) const UNIVERSITY: &str = "schwingbach";

/// Devices over Modbus TCP.
pub(crate) const RADAR: &str = "gamberame-radar";
pub(crate) const PLC: &str = "castelletti-plc";
pub(crate) const REPLAY: &str = "schwingbach-recorder";

/// Level loggers over MQTT.
pub(crate) const LOGGERS: [(&str, Gauge); 7] = [
    ("prato-logger", Gauge::Prato),
    ("campi-logger", Gauge::Campi),
    ("san-piero-logger", Gauge::SanPieroAPonti),
    ("calenzano-logger", Gauge::Calenzano),
    ("pistoia-logger", Gauge::Pistoia),
    ("poggio-logger", Gauge::PoggioACaiano),
    ("montale-logger", Gauge::Montale),
];
/// The one that also says its battery.
pub(crate) const WITH_BATTERY: Gauge = Gauge::SanPieroAPonti;
/// The one whose link is lost for ten minutes of every hour.
pub(crate) const WITH_LOST_LINK: Gauge = Gauge::Calenzano;

/// The one whose sensor is faulty for ten minutes of every half hour.
pub(crate) const WITH_FAULTY_SENSOR: Gauge = Gauge::Montale;

/// Rain gauges over MQTT.
pub(crate) const RAIN_GAUGES: [(&str, RainGauge); 2] =
    [("sofignano-rain", RainGauge::Sofignano), ("montemurlo-rain", RainGauge::Montemurlo)];

/// What a datastream of the demonstration measures.
#[derive(Debug, Clone, Copy)]
enum Measured {
    Level(Gauge),
    Rain(RainGauge),
    Battery,
    PlantUp,
    PlantDown,
    Pump(usize),
    Hours,
    Energy,
    Mains,
}

/// By the keys of the network file. The Schwingbach's own year is not here: its recorder sends it.
const DATASTREAMS: [(&str, Measured); 23] = [
    ("bisenzio-gamberame-level", Measured::Level(Gauge::Gamberame)),
    ("bisenzio-prato-level", Measured::Level(Gauge::Prato)),
    ("bisenzio-campi-level", Measured::Level(Gauge::Campi)),
    ("bisenzio-san-piero-level", Measured::Level(Gauge::SanPieroAPonti)),
    ("bisenzio-san-piero-battery", Measured::Battery),
    ("marina-calenzano-level", Measured::Level(Gauge::Calenzano)),
    ("ombrone-pistoia-level", Measured::Level(Gauge::Pistoia)),
    ("ombrone-poggio-level", Measured::Level(Gauge::PoggioACaiano)),
    ("agna-montale-level", Measured::Level(Gauge::Montale)),
    ("sofignano-rain", Measured::Rain(RainGauge::Sofignano)),
    ("montemurlo-rain", Measured::Rain(RainGauge::Montemurlo)),
    ("castelletti-level-up", Measured::PlantUp),
    ("castelletti-level-down", Measured::PlantDown),
    ("castelletti-pump-1", Measured::Pump(0)),
    ("castelletti-pump-2", Measured::Pump(1)),
    ("castelletti-pump-3", Measured::Pump(2)),
    ("castelletti-pump-4", Measured::Pump(3)),
    ("castelletti-pump-5", Measured::Pump(4)),
    ("castelletti-pump-6", Measured::Pump(5)),
    ("castelletti-pump-7", Measured::Pump(6)),
    ("castelletti-hours", Measured::Hours),
    ("castelletti-energy", Measured::Energy),
    ("castelletti-mains", Measured::Mains),
];

/// The datastreams that have a history to import.
pub fn keys() -> impl Iterator<Item = &'static str> {
    DATASTREAMS.iter().map(|(key, _)| *key)
}

/// What the device of a datastream measured at the multiples of `step_s` in `[from, to)`, in the canonical unit; rain is what fell
/// in the step before. Empty for a datastream that is not of the demonstration.
#[must_use]
pub fn history(wave: &Wave, plant: &Plant, key: &str, from: Timestamp, to: Timestamp, step_s: i64) -> Vec<(Timestamp, f64)> {
    let Some((_, measured)) = DATASTREAMS.iter().find(|(known, _)| *known == key) else { return Vec::new() };
    let step = step_s.max(1);
    let value = |at: Timestamp| match *measured {
        Measured::Level(gauge) => wave.level(gauge, at),
        Measured::Rain(gauge) => wave.rain(gauge, at.plus_seconds(-step), at),
        Measured::Battery => logger::battery(at),
        Measured::PlantUp => plant.at(at).level_up_m,
        Measured::PlantDown => plant.at(at).level_down_m,
        Measured::Pump(number) => f64::from(u8::from(plant.at(at).pumps.get(number).is_some_and(|runs| *runs))),
        Measured::Hours => plant.at(at).hours,
        Measured::Energy => plant.at(at).energy_kwh,
        Measured::Mains => f64::from(u8::from(plant.at(at).mains)),
    };
    let first = from.seconds().div_euclid(step) * step;
    let times = std::iter::successors(Some(first), |second| Some(second + step)).map(Timestamp::from_seconds);
    times.skip_while(|at| *at < from).take_while(|at| *at < to).map(|at| (at, value(at))).collect()
}
