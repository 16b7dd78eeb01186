//! What can be guessed of a channel: from its name in Italian and English, its unit, its values and their rhythm.

use model::{ObservedProperty, Timestamp, Unit};

pub(super) struct Guess {
    pub(super) property: Option<ObservedProperty>,
    /// The unit that the device speaks.
    pub(super) unit: Option<Unit>,
    pub(super) period_s: u32,
}

/// Parts of names, the more telling first.
const NAMES: [(&[&str], ObservedProperty); 20] = {
    use ObservedProperty as P;
    [
        (&["batt", "vbat", "batteria"], P::Battery),
        (&["falda", "groundwater", "piezo", "freat"], P::GroundwaterLevel),
        (&["monte", "upstream", "level_up"], P::LevelUp),
        (&["valle", "downstream", "level_down"], P::LevelDown),
        (&["rain_counter", "tips", "contapioggia", "pioggia_tot"], P::RainCounter),
        (&["rain", "pioggia", "pluvio", "precip"], P::RainIncrement),
        (&["umid", "humid", "rh"], P::RelativeHumidity),
        (&["temp"], P::AirTemperature),
        (&["vento", "wind"], P::WindSpeed),
        (&["radiaz", "solar", "irradi"], P::SolarRadiation),
        (&["kwh", "energ", "wh_tot"], P::EnergyCounter),
        (&["poten", "power", "kw"], P::Power),
        (&["corrent", "current", "amp"], P::Current),
        (&["ore", "hours", "runtime"], P::HoursCounter),
        (&["portata", "flow", "discharge"], P::Flow),
        (&["paratoia", "gate", "apertura"], P::GatePosition),
        (&["pompa", "pump"], P::PumpRun),
        (&["rete", "mains"], P::MainsOk),
        (&["press"], P::Pressure),
        (&["livello", "level", "idro", "stage", "quota", "water"], P::WaterLevel),
    ]
};

/// Rhythms that devices keep, seconds.
const RHYTHMS_S: [u32; 13] = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 86_400];

pub(super) fn guessed(channel: &str, unit: Option<Unit>, (low, high): (f64, f64), times: &[Timestamp]) -> Guess {
    let name = channel.to_lowercase();
    // Short words stand in many others: "ore" in "sensore".
    let says = |part: &&str| {
        if part.len() > 3 { name.contains(part) } else { name.split(|char: char| !char.is_alphanumeric()).any(|word| word == *part) }
    };
    let by_name = NAMES.iter().find(|(parts, _)| parts.iter().any(says)).map(|(_, property)| *property);
    // A name that goes against the unit is no help.
    let fits = |property: &ObservedProperty| unit.is_none_or(|unit| unit.convert(1.0, property.unit()).is_some());
    let by_unit = || {
        let alone = |unit: Unit| match unit {
            Unit::Volt => Some(ObservedProperty::Battery),
            Unit::Celsius => Some(ObservedProperty::AirTemperature),
            Unit::Bar => Some(ObservedProperty::Pressure),
            Unit::Ampere => Some(ObservedProperty::Current),
            Unit::KilowattHour => Some(ObservedProperty::EnergyCounter),
            Unit::CubicMetrePerSecond => Some(ObservedProperty::Flow),
            _ => None,
        };
        unit.and_then(alone)
    };
    let property = by_name.filter(fits).or_else(by_unit);
    let unit = unit.or_else(|| property.map(|property| spoken(property, low, high)));
    Guess { property, unit, period_s: rhythm(times) }
}

/// A level of hundreds is one of centimetres, one of thousands of millimetres.
fn spoken(property: ObservedProperty, low: f64, high: f64) -> Unit {
    let (_, most) = property.usual_span();
    let reach = low.abs().max(high.abs());
    if property.is_level() && property.unit() == Unit::Metre && reach > most {
        return if reach <= most * 100.0 { Unit::Centimetre } else { Unit::Millimetre };
    }
    property.unit()
}

/// The middle one of the steps between readings, as the nearest rhythm; an hour where there is one reading only.
fn rhythm(times: &[Timestamp]) -> u32 {
    let mut steps: Vec<f64> =
        times.windows(2).filter_map(|pair| Some(pair.get(1)?.seconds_since(*pair.first()?))).filter(|step| *step > 0.0).collect();
    steps.sort_by(f64::total_cmp);
    let Some(middle) = steps.get(steps.len() / 2) else { return 3600 };
    let distance = |rhythm: &u32| (f64::from(*rhythm).ln() - middle.ln()).abs();
    RHYTHMS_S.into_iter().min_by(|one, other| distance(one).total_cmp(&distance(other))).unwrap_or(3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(channel: &str, unit: Option<Unit>, span: (f64, f64), every_s: i64, expected: (Option<&str>, Option<Unit>, u32)) {
        let times: Vec<Timestamp> = (0..10).map(|number| Timestamp::from_seconds(number * every_s + number % 3)).collect();
        let guess = guessed(channel, unit, span, &times);
        assert_eq!((guess.property.map(ObservedProperty::word), guess.unit, guess.period_s), expected, "{channel}");
    }

    #[test]
    fn names_in_both_languages_units_and_values_say_what_is_measured() {
        check("livello_cm", None, (80.0, 210.0), 300, (Some("water_level"), Some(Unit::Centimetre), 300));
        check("Level", None, (0.8, 2.1), 600, (Some("water_level"), Some(Unit::Metre), 600));
        check("h_level", None, (800.0, 2608.0), 60, (Some("water_level"), Some(Unit::Millimetre), 60));
        check("pioggia", None, (0.0, 0.2), 60, (Some("rain_increment"), Some(Unit::Millimetre), 60));
        check("battery_v", None, (12.1, 12.8), 3600, (Some("battery"), Some(Unit::Volt), 3600));
        check("ch1", Some(Unit::Celsius), (8.0, 12.0), 900, (Some("air_temperature"), Some(Unit::Celsius), 900));
        check("level", Some(Unit::Volt), (8.0, 12.0), 900, (Some("battery"), Some(Unit::Volt), 900));
        check("sensore_livello", None, (0.8, 2.1), 600, (Some("water_level"), Some(Unit::Metre), 600));
        check("ore", None, (80.0, 81.0), 600, (Some("hours_counter"), Some(Unit::Hour), 600));
        check("ch2", None, (0.0, 1.0), 10, (None, None, 10));
    }
}
