//! The units of SenML's registry (RFC 8428, 12.1; RFC 8798) that our properties know, and what a value in them is multiplied with.

use model::Unit;

const TABLE: [(&str, f64, Unit); 29] = [
    ("m", 1.0, Unit::Metre),
    ("cm", 1.0, Unit::Centimetre),
    ("mm", 1.0, Unit::Millimetre),
    ("km", 1000.0, Unit::Metre),
    ("m3/s", 1.0, Unit::CubicMetrePerSecond),
    ("l/s", 1.0, Unit::LitrePerSecond),
    ("m3/h", 1.0 / 3600.0, Unit::CubicMetrePerSecond),
    ("l", 0.001, Unit::CubicMetre),
    ("m3", 1.0, Unit::CubicMetre),
    ("mm/h", 1.0, Unit::MillimetrePerHour),
    ("Cel", 1.0, Unit::Celsius),
    ("%", 1.0, Unit::Percent),
    ("%RH", 1.0, Unit::Percent),
    ("%EL", 1.0, Unit::Percent),
    ("/", 100.0, Unit::Percent),
    ("V", 1.0, Unit::Volt),
    ("mV", 0.001, Unit::Volt),
    ("A", 1.0, Unit::Ampere),
    ("mA", 0.001, Unit::Ampere),
    ("W", 0.001, Unit::Kilowatt),
    ("kW", 1.0, Unit::Kilowatt),
    ("Wh", 0.001, Unit::KilowattHour),
    ("kWh", 1.0, Unit::KilowattHour),
    ("bar", 1.0, Unit::Bar),
    ("hPa", 1.0, Unit::Hectopascal),
    ("Pa", 0.01, Unit::Hectopascal),
    ("h", 1.0, Unit::Hour),
    ("m/s", 1.0, Unit::MetrePerSecond),
    ("W/m2", 1.0, Unit::WattPerSquareMetre),
];

/// Factor and unit of a symbol.
pub(super) fn of(symbol: &str) -> Option<(f64, Unit)> {
    TABLE.iter().find(|(known, ..)| *known == symbol).map(|(_, factor, unit)| (*factor, *unit))
}
