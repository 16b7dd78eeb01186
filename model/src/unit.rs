//! Units by their UCUM symbol, and how one is turned into another of the same kind.

use crate::decimal::scale;
use std::fmt;

/// A unit that devices send or that we keep, named by its UCUM symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    Metre,
    Centimetre,
    Millimetre,
    CubicMetrePerSecond,
    LitrePerSecond,
    MillimetrePerHour,
    Celsius,
    Percent,
    Volt,
    Ampere,
    Kilowatt,
    KilowattHour,
    CubicMetre,
    Bar,
    Hectopascal,
    Hour,
    MetrePerSecond,
    WattPerSquareMetre,
    One,
}

/// `(unit, UCUM symbol, kind, factor to the kind's base)`; two units convert when their kinds agree.
const TABLE: [(Unit, &str, &str, f64); 19] = [
    (Unit::Metre, "m", "length", 1.0),
    (Unit::Centimetre, "cm", "length", 100.0),
    (Unit::Millimetre, "mm", "length", 1000.0),
    (Unit::CubicMetrePerSecond, "m3/s", "flow", 1.0),
    (Unit::LitrePerSecond, "L/s", "flow", 1000.0),
    (Unit::MillimetrePerHour, "mm/h", "rain intensity", 1.0),
    (Unit::Celsius, "Cel", "temperature", 1.0),
    (Unit::Percent, "%", "share", 1.0),
    (Unit::Volt, "V", "voltage", 1.0),
    (Unit::Ampere, "A", "current", 1.0),
    (Unit::Kilowatt, "kW", "power", 1.0),
    (Unit::KilowattHour, "kW.h", "energy", 1.0),
    (Unit::CubicMetre, "m3", "volume", 1.0),
    (Unit::Bar, "bar", "pressure", 1.0),
    (Unit::Hectopascal, "hPa", "air pressure", 1.0),
    (Unit::Hour, "h", "duration", 1.0),
    (Unit::MetrePerSecond, "m/s", "speed", 1.0),
    (Unit::WattPerSquareMetre, "W/m2", "irradiance", 1.0),
    (Unit::One, "1", "count", 1.0),
];

impl Unit {
    fn row(self) -> (&'static str, &'static str, f64) {
        TABLE.iter().find(|(unit, ..)| *unit == self).map_or(("1", "count", 1.0), |(_, symbol, kind, per_base)| (symbol, kind, *per_base))
    }
    /// The UCUM symbol.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        self.row().0
    }
    #[must_use]
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        TABLE.iter().find(|(_, known, ..)| *known == symbol).map(|(unit, ..)| *unit)
    }
    /// Every symbol there is, for error messages.
    pub fn symbols() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|(_, symbol, ..)| *symbol)
    }
    /// `value` of this unit in `target`; `None` when they measure different things, or the result is not finite.
    ///
    /// Calculated in decimal: 142 cm is exactly 1.42 m, and 1.1 cm 0.011 m.
    #[must_use]
    pub fn convert(self, value: f64, target: Self) -> Option<f64> {
        if self == target {
            return Some(value);
        }
        let ((_, kind, from), (_, wanted, to)) = (self.row(), target.row());
        if kind == wanted { scale(value, to / from, 0.0) } else { None }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_the_same_in_every_unit() {
        assert_eq!(Unit::Centimetre.convert(142.0, Unit::Metre), Some(1.42));
        assert_eq!(Unit::Millimetre.convert(2608.0, Unit::Metre), Some(2.608));
        assert_eq!(Unit::Metre.convert(1.42, Unit::Centimetre), Some(142.0));
        assert_eq!(Unit::Metre.convert(1.1, Unit::Centimetre), Some(110.0));
        assert_eq!(Unit::Centimetre.convert(1.1, Unit::Metre), Some(0.011));
        assert_eq!(Unit::Metre.convert(1.0, Unit::Bar), None);
    }
}
