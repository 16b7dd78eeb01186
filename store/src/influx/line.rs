//! Line protocol as Grafana's users expect it: the property as measurement, where and what as tags, value and quality as fields.

use crate::registry::Registry;
use model::Observation;
use std::fmt::Write;

/// Adds one observation; nothing when its datastream is unknown. Precision: microseconds.
pub(super) fn put(text: &mut String, registry: &Registry, observation: &Observation) {
    let Some(datastream) = registry.datastream(observation.datastream) else { return };
    escape(text, datastream.property.word(), MEASUREMENT);
    let tags = [
        ("datastream", datastream.key.as_str()),
        ("owner", datastream.owner.as_str()),
        ("station", datastream.station.as_str()),
        ("unit", datastream.property.unit().symbol()),
    ];
    for (name, value) in tags.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(text, ",{name}=");
        escape(text, value, TAG);
    }
    let (flag, tests) = (observation.quality.flag() as u8, observation.quality.tests());
    let (received, at) = (observation.received_at.seconds(), observation.phenomenon_time.micros());
    let _ = writeln!(text, " value={},quality={flag}i,tests={tests}i,received={received}i {at}", observation.result);
}

/// What must not stand bare in a measurement, and in a tag.
const MEASUREMENT: &[char] = &[',', ' '];
const TAG: &[char] = &[',', ' ', '='];

/// A name as it stands there.
pub(super) fn shown(plain: &str) -> String {
    plain.chars().map(plain_char).collect()
}

fn plain_char(char: char) -> char {
    if char.is_control() || char == '\\' { '_' } else { char }
}

/// A newline would begin another line, and a backslash at the end of a value swallow what follows it: both become `_`.
fn escape(text: &mut String, plain: &str, special: &[char]) {
    for char in plain.chars().map(plain_char) {
        if special.contains(&char) {
            text.push('\\');
        }
        text.push(char);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_name_holds_ends_a_line_or_a_tag() {
        let check = |plain: &str, expected: &str| {
            let mut text = String::new();
            escape(&mut text, plain, TAG);
            assert_eq!(text, expected);
        };
        check("ponte-a-elsa", "ponte-a-elsa");
        check("a b,c=d", "a\\ b\\,c\\=d");
        check("a\nb\\", "a_b_");
        check("m³/s", "m³/s");
    }
}
