//! The lines of one message of a logger, by the pattern that its network file names: the same as an import's, with `channel` instead
//! of `datastream`, and columns that are named there because a message has no header.

use super::number::Missing;
use super::pattern::Pattern;
use super::rows::Rows;
use crate::decimal::scale;
use model::{Timestamp, Unit};

/// The most lines of one message.
const MOST: usize = 5000;

/// What one line says, by channel; or what is wrong with it.
pub(crate) struct Said {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) values: Result<(Timestamp, Vec<Value>), String>,
}

pub(crate) struct Value {
    pub(crate) channel: String,
    pub(crate) value: f64,
    pub(crate) unit: Option<Unit>,
}

/// # Errors
/// What is wrong with the pattern, or the message as a whole.
pub(crate) fn read(bytes: &[u8], pattern: &str) -> Result<Vec<Said>, String> {
    let first = |complaints: Vec<store::Complaint>| complaints.first().map_or_else(String::new, ToString::to_string);
    let pattern = Pattern::parse("the pattern of its lines", pattern).map_err(first)?;
    let mut rows = Rows::open(bytes, "the message", &pattern).map_err(first)?;
    let missing = Missing::of(&pattern.missing);
    let mut columns = Vec::new();
    for value in &pattern.value {
        let place = rows.place(value.column.get_ref(), &pattern, value.column.span().start).map_err(first)?;
        let unit = match &value.unit {
            None => None,
            Some(symbol) => Some(Unit::from_symbol(symbol.get_ref()).ok_or_else(|| format!("there is no unit {:?}", symbol.get_ref()))?),
        };
        columns.push((place, value.datastream.get_ref(), unit, value.factor));
    }
    let mut said = Vec::new();
    while let Some(row) = rows.next().map_err(first)? {
        if said.len() >= MOST {
            said.push(Said { line: row.line, values: Err(format!("more than {MOST} lines; send the rest in another message")) });
            break;
        }
        let values = row.time.map_err(|(_, message)| message).and_then(|time| {
            let mut values = Vec::new();
            for (place, channel, unit, factor) in &columns {
                let cell = row.cells.get(*place).map_or("", String::as_str);
                if let Some(number) = missing.or_number(cell, pattern.decimal)? {
                    let value = scale(number, *factor, 0.0).ok_or_else(|| format!("{cell:?} is too large a number"))?;
                    values.push(Value { channel: (*channel).clone(), value, unit: *unit });
                }
            }
            Ok((time, values))
        });
        said.push(Said { line: row.line, values });
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: &str = r#"
separator = ";"
decimal = ","
columns = ["ora", "livello", "batteria"]
missing = ["", "-999"]
[time]
column = "ora"
format = "%d/%m/%Y %H:%M"
zone = "+01:00"
[[value]]
column = "livello"
channel = "level"
unit = "cm"
[[value]]
column = "batteria"
channel = "battery"
factor = 0.1
"#;

    #[test]
    fn lines_of_a_logger_are_read_by_their_pattern_and_a_bad_one_is_named() {
        let said =
            read(b"23/11/2026 07:20;142,5;126\n23/11/2026 07:30;-999;125\nnonsense\n23/11/2026 07:40;1x;1\n", PATTERN).expect("read");
        let text: Vec<String> = said
            .iter()
            .map(|line| match &line.values {
                Ok((time, values)) => {
                    let values: Vec<String> =
                        values.iter().map(|one| format!("{}={}{}", one.channel, one.value, one.unit.map_or("", Unit::symbol))).collect();
                    format!("{time} {}", values.join(" "))
                }
                Err(message) => format!("{}: {}", line.line, message.split(' ').take(2).collect::<Vec<_>>().join(" ")),
            })
            .collect();
        assert_eq!(
            text,
            ["2026-11-23T06:20:00Z level=142.5cm battery=12.6", "2026-11-23T06:30:00Z battery=12.5", "3: 1 cells", "4: \"1x\" is"]
        );
        assert!(read(b"a;b;c", &PATTERN.replace("livello", "liv")).is_ok());
        assert!(read(b"a;b;c", "separator = \";\"").is_err());
    }
}
