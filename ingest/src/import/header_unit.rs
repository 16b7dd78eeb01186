//! The unit that a column's header states, compared with the one that its values are read in.

use crate::shown::shown;
use model::Unit;

/// How headers write units that we keep, beside their UCUM symbols.
const WRITTEN: [(&str, &str); 34] = [
    ("metri", "m"),
    ("m.", "m"),
    ("metre", "m"),
    ("metres", "m"),
    ("meter", "m"),
    ("centimetri", "cm"),
    ("millimetri", "mm"),
    ("m³/s", "m3/s"),
    ("m^3/s", "m3/s"),
    ("m3s-1", "m3/s"),
    ("mc/s", "m3/s"),
    ("mc/sec", "m3/s"),
    ("m3/sec", "m3/s"),
    ("cumec", "m3/s"),
    ("cumecs", "m3/s"),
    ("l/s", "L/s"),
    ("l/sec", "L/s"),
    ("ls-1", "L/s"),
    ("lps", "L/s"),
    ("°c", "Cel"),
    ("ºc", "Cel"),
    ("degc", "Cel"),
    ("deg c", "Cel"),
    ("celsius", "Cel"),
    ("volt", "V"),
    ("ampere", "A"),
    ("kwh", "kW.h"),
    ("m³", "m3"),
    ("mc", "m3"),
    ("ore", "h"),
    ("w/m²", "W/m2"),
    ("w/mq", "W/m2"),
    ("mbar", "hPa"),
    ("mm/ora", "mm/h"),
];

/// Units that we don't keep, with what makes one of ours of them.
const FOREIGN: [(&str, &str); 22] = [
    ("°f", "factor = 0.5555555555555556 and add = -17.77777777777778 make °C of it"),
    ("ºf", "factor = 0.5555555555555556 and add = -17.77777777777778 make °C of it"),
    ("degf", "factor = 0.5555555555555556 and add = -17.77777777777778 make °C of it"),
    ("fahrenheit", "factor = 0.5555555555555556 and add = -17.77777777777778 make °C of it"),
    ("k", "add = -273.15 makes °C of it"),
    ("kelvin", "add = -273.15 makes °C of it"),
    ("ft", "factor = 0.3048 makes m of it"),
    ("feet", "factor = 0.3048 makes m of it"),
    ("in", "factor = 25.4 makes mm of it"),
    ("inch", "factor = 25.4 makes mm of it"),
    ("ft3/s", "factor = 0.028316846592 makes m3/s of it"),
    ("cfs", "factor = 0.028316846592 makes m3/s of it"),
    ("m3/h", "factor = 0.0002777777777777778 makes m3/s of it"),
    ("m³/h", "factor = 0.0002777777777777778 makes m3/s of it"),
    ("l/min", "factor = 0.01666666666666667 with unit = \"L/s\" makes L/s of it"),
    ("km/h", "factor = 0.2777777777777778 makes m/s of it"),
    ("mv", "factor = 0.001 makes V of it"),
    ("ma", "factor = 0.001 makes A of it"),
    ("w", "factor = 0.001 makes kW of it"),
    ("wh", "factor = 0.001 makes kW.h of it"),
    ("kpa", "factor = 10 makes hPa of it, factor = 0.01 bar"),
    ("pa", "factor = 0.01 makes hPa of it"),
];

enum Stated {
    Ours(Unit),
    Foreign(&'static str),
}

/// A warning where the header states another unit than `read_as`; `None` where it states the same one, or none that is known.
pub(super) fn surprise(header: &str, read_as: Unit) -> Option<String> {
    let (written, stated) = candidates(header).into_iter().find_map(|text| known(text).map(|stated| (text, stated)))?;
    match stated {
        Stated::Ours(unit) if unit == read_as => None,
        // What measures another thing is a part of a name.
        Stated::Ours(unit) => unit.convert(1.0, read_as).is_some().then(|| {
            format!(
                "the header {} says {}, the values are read as {read_as}; write unit = \"{unit}\" in its [[value]], or \"{read_as}\" if the header is wrong",
                shown(header),
                shown(written)
            )
        }),
        Stated::Foreign(cure) => {
            Some(format!("the header {} says {}, the values are read as {read_as}; {cure}", shown(header), shown(written)))
        }
    }
}

/// What may be a unit: in brackets, or the last word.
fn candidates(header: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(inside) = header.rsplit_once(open).and_then(|(_, rest)| rest.split_once(close)).map(|(inside, _)| inside.trim()) {
            found.push(inside);
        }
    }
    let last = header.rsplit([' ', '_', ',', '-']).next().unwrap_or("");
    // One letter alone is as likely the name of something.
    if found.is_empty() && last.chars().count() > 1 && last.len() < header.trim().len() {
        found.push(last);
    }
    found
}

fn known(text: &str) -> Option<Stated> {
    let lower = text.trim().to_lowercase();
    let ours = Unit::from_symbol(text.trim()).or_else(|| {
        let symbol = WRITTEN.iter().find(|(written, _)| *written == lower).map(|(_, symbol)| *symbol);
        symbol
            .and_then(Unit::from_symbol)
            .or_else(|| Unit::symbols().find(|symbol| symbol.to_lowercase() == lower).and_then(Unit::from_symbol))
    });
    // kW is a unit of ours, k is kelvin: the longest text has been compared.
    let foreign = || FOREIGN.iter().find(|(written, _)| *written == lower).map(|(_, cure)| Stated::Foreign(cure));
    ours.map(Stated::Ours).or_else(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, read_as: Unit, expected: Option<&str>) {
        let found = surprise(header, read_as);
        assert!(
            found.as_deref().map_or(expected.is_none(), |found| expected.is_some_and(|expected| found.contains(expected))),
            "{header}: {found:?}, expected {expected:?}"
        );
    }

    #[test]
    fn a_unit_in_the_header_that_is_another_one_is_told() {
        check("Livello (m)", Unit::Metre, None);
        check("Livello (cm)", Unit::Metre, Some("unit = \"cm\""));
        check("Livello [cm]", Unit::Metre, Some("unit = \"cm\""));
        check("Portata (l/s)", Unit::CubicMetrePerSecond, Some("unit = \"L/s\""));
        check("Portata (mc/s)", Unit::CubicMetrePerSecond, None);
        check("Temperatura (°F)", Unit::Celsius, Some("add = -17.7"));
        check("Temp °F", Unit::Celsius, Some("make °C of it"));
        check("airtemp_degC", Unit::Celsius, None);
        check("airtemp_degF", Unit::Celsius, Some("factor"));
        check("rain_mmday", Unit::Millimetre, None);
        check("stazione_A", Unit::Metre, None);
        check("Valore", Unit::Metre, None);
        check("Batteria (mV)", Unit::Volt, Some("factor = 0.001"));
    }
}
