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

/// `(property, word, canonical unit, class, span that a sensor can mean, it, en)`.
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
        (P::RainCounter, "rain_counter", Unit::Millimetre, Counter, (0.0, 1e9), "contatore di pioggia", "rain counter"),
        (P::PumpRun, "pump_run", Unit::One, State, (0.0, 1.0), "pompa in marcia", "pump running"),
        (P::MainsOk, "mains_ok", Unit::One, State, (0.0, 1.0), "rete elettrica presente", "mains present"),
        (P::GatePosition, "gate_position", Unit::Percent, Instant, (0.0, 100.0), "apertura paratoia", "gate opening"),
        (P::Current, "current", Unit::Ampere, Instant, (0.0, 10_000.0), "corrente", "current"),
        (P::Power, "power", Unit::Kilowatt, Instant, (-100_000.0, 100_000.0), "potenza", "power"),
        (P::EnergyCounter, "energy_counter", Unit::KilowattHour, Counter, (0.0, 1e12), "contatore di energia", "energy counter"),
        (P::HoursCounter, "hours_counter", Unit::Hour, Counter, (0.0, 1e7), "ore di marcia", "running hours"),
        (P::VolumeCounter, "volume_counter", Unit::CubicMetre, Counter, (0.0, 1e12), "contatore dell'acqua", "water meter"),
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
    /// Inclusive span of values that a sensor of this property can mean; outside it quality is 4 (fail).
    #[must_use]
    pub fn span(self) -> (f64, f64) {
        self.row().4
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
