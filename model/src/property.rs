//! What is measured, in which canonical unit, and how its values may be combined.

use crate::{Text, Unit};

/// Decides everything downstream: instants interpolate, intervals sum, counters differ, states last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignalClass {
    Instant,
    Interval,
    Counter,
    State,
}

impl SignalClass {
    pub const ALL: [Self; 4] = [Self::Instant, Self::Interval, Self::Counter, Self::State];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Interval => "interval",
            Self::Counter => "counter",
            Self::State => "state",
        }
    }
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}

/// A row of the list of what we know how to keep (domain.md 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObservedProperty {
    WaterLevel,
    LevelUp,
    LevelDown,
    GroundwaterLevel,
    Flow,
    RainIncrement,
    RainCounter,
    PumpRun,
    MainsOk,
    GatePosition,
    Current,
    Power,
    EnergyCounter,
    HoursCounter,
    VolumeCounter,
    Battery,
    BatteryLevel,
    AirPressure,
    AirTemperature,
    RelativeHumidity,
    WindSpeed,
    SolarRadiation,
    Pressure,
}

/// `(property, word, canonical unit, class, span in which most sensors of it measure, it, en)`.
type Row = (ObservedProperty, &'static str, Unit, SignalClass, (f64, f64), &'static str, &'static str);

const TABLE: [Row; 23] = {
    use ObservedProperty as P;
    use SignalClass::{Counter, Instant, Interval, State};
    [
        (P::WaterLevel, "water_level", Unit::Metre, Instant, (-2.0, 15.0), "livello idrometrico", "water level"),
        (P::LevelUp, "level_up", Unit::Metre, Instant, (-2.0, 15.0), "livello a monte", "upstream level"),
        (P::LevelDown, "level_down", Unit::Metre, Instant, (-2.0, 15.0), "livello a valle", "downstream level"),
        (P::GroundwaterLevel, "groundwater_level", Unit::Metre, Instant, (-500.0, 5000.0), "livello di falda", "groundwater level"),
        (P::Flow, "flow", Unit::CubicMetrePerSecond, Instant, (-1000.0, 20_000.0), "portata", "flow"),
        (P::RainIncrement, "rain_increment", Unit::Millimetre, Interval, (0.0, 100.0), "pioggia", "rain"),
        (P::RainCounter, "rain_counter", Unit::Millimetre, Counter, (0.0, 1e9), "pioggia (contatore)", "rain (counter)"),
        (P::PumpRun, "pump_run", Unit::One, State, (0.0, 1.0), "pompa", "pump"),
        (P::MainsOk, "mains_ok", Unit::One, State, (0.0, 1.0), "rete elettrica", "mains power"),
        (P::GatePosition, "gate_position", Unit::Percent, Instant, (0.0, 100.0), "apertura paratoia", "gate opening"),
        (P::Current, "current", Unit::Ampere, Instant, (0.0, 10_000.0), "corrente", "current"),
        (P::Power, "power", Unit::Kilowatt, Instant, (-100_000.0, 100_000.0), "potenza", "power"),
        (P::EnergyCounter, "energy_counter", Unit::KilowattHour, Counter, (0.0, 1e12), "contatore di energia", "energy counter"),
        (P::HoursCounter, "hours_counter", Unit::Hour, Counter, (0.0, 1e7), "ore di funzionamento", "running hours"),
        (P::VolumeCounter, "volume_counter", Unit::CubicMetre, Counter, (0.0, 1e12), "contatore volumetrico", "water meter"),
        (P::BatteryLevel, "battery_level", Unit::Percent, Instant, (0.0, 100.0), "carica della batteria", "battery charge"),
        (P::Battery, "battery", Unit::Volt, Instant, (0.0, 60.0), "batteria", "battery"),
        (P::AirPressure, "air_pressure", Unit::Hectopascal, Instant, (800.0, 1100.0), "pressione atmosferica", "air pressure"),
        (P::AirTemperature, "air_temperature", Unit::Celsius, Instant, (-60.0, 60.0), "temperatura dell'aria", "air temperature"),
        (P::RelativeHumidity, "relative_humidity", Unit::Percent, Instant, (0.0, 105.0), "umidità relativa", "relative humidity"),
        (P::WindSpeed, "wind_speed", Unit::MetrePerSecond, Instant, (0.0, 90.0), "velocità del vento", "wind speed"),
        (P::SolarRadiation, "solar_radiation", Unit::WattPerSquareMetre, Instant, (-20.0, 1800.0), "radiazione solare", "solar radiation"),
        (P::Pressure, "pressure", Unit::Bar, Instant, (0.0, 25.0), "pressione", "pressure"),
    ]
};

/// Twice the most rain that was ever measured in so many seconds, mm: the envelope of the world's records (Jennings 1950),
/// 421.6 mm × hours^0.475.
fn most_rain_mm(period_s: u32) -> f64 {
    2.0 * 421.6 * (f64::from(period_s.max(1)) / 3600.0).powf(0.475)
}

impl ObservedProperty {
    fn row(self) -> Row {
        TABLE.iter().find(|row| row.0 == self).copied().unwrap_or(TABLE[0])
    }
    /// The word in configuration and API, e.g. `water_level`.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().1
    }
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == word).map(|row| row.0)
    }
    pub fn words() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|row| row.1)
    }
    /// The unit in which every observation of this property is kept.
    #[must_use]
    pub fn unit(self) -> Unit {
        self.row().2
    }
    #[must_use]
    pub fn class(self) -> SignalClass {
        self.row().3
    }
    /// Inclusive span in which most sensors of this property measure: for guesses, never for a judgement of a value.
    #[must_use]
    pub fn usual_span(self) -> (f64, f64) {
        self.row().4
    }
    /// Inclusive span of what nature and machines allow, over an interval of `period_s` seconds; beyond it no sensor has measured
    /// anything. What one sensor can mean is narrower, and stands in the network file ([`crate::Datastream::span`]).
    #[must_use]
    pub fn possible_span(self, period_s: u32) -> (f64, f64) {
        match self {
            // From the deepest trench to above the highest lake, whatever the zero.
            Self::WaterLevel | Self::LevelUp | Self::LevelDown | Self::GroundwaterLevel => (-12_000.0, 9000.0),
            Self::Flow => (-1e6, 1e6),
            Self::RainIncrement => (0.0, most_rain_mm(period_s)),
            Self::RainCounter | Self::EnergyCounter | Self::HoursCounter | Self::VolumeCounter => (0.0, 1e15),
            Self::PumpRun | Self::MainsOk => (0.0, 1.0),
            // A sensor's zero and end are never exactly there.
            Self::GatePosition => (-10.0, 110.0),
            Self::BatteryLevel => (-1.0, 110.0),
            Self::RelativeHumidity => (0.0, 110.0),
            Self::Current => (-1e6, 1e6),
            Self::Power => (-1e7, 1e7),
            Self::Battery => (0.0, 1000.0),
            Self::AirPressure => (300.0, 1100.0),
            Self::AirTemperature => (-95.0, 70.0),
            Self::WindSpeed => (0.0, 150.0),
            Self::SolarRadiation => (-50.0, 2000.0),
            Self::Pressure => (-1.1, 1000.0),
        }
    }
    #[must_use]
    pub fn title(self) -> Text {
        let row = self.row();
        Text::new(row.5, row.6)
    }
    /// A height of water over a zero, with thresholds and a hydrograph.
    #[must_use]
    pub const fn is_level(self) -> bool {
        matches!(self, Self::WaterLevel | Self::LevelUp | Self::LevelDown | Self::GroundwaterLevel)
    }
    #[must_use]
    pub const fn is_rain(self) -> bool {
        matches!(self, Self::RainIncrement | Self::RainCounter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_somewhere_is_possible() {
        let minute = 60;
        for (property, period_s, value) in [
            (ObservedProperty::WaterLevel, 600, -6.59),
            (ObservedProperty::GroundwaterLevel, 600, -320.0),
            (ObservedProperty::RainIncrement, 86_400, 127.0),
            (ObservedProperty::RainIncrement, 86_400, 1825.0),
            (ObservedProperty::RainIncrement, 3600, 401.0),
            (ObservedProperty::RainIncrement, minute, 38.0),
            (ObservedProperty::AirTemperature, minute, -89.2),
            (ObservedProperty::AirPressure, minute, 640.0),
            (ObservedProperty::WindSpeed, minute, 113.2),
            (ObservedProperty::GatePosition, minute, 100.4),
            (ObservedProperty::Battery, minute, 110.0),
        ] {
            let (low, high) = property.possible_span(period_s);
            assert!((low..=high).contains(&value), "{property:?} {value}");
        }
        assert!(!(0.0..=ObservedProperty::RainIncrement.possible_span(minute).1).contains(&500.0));
    }
}
