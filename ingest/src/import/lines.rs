//! The lines of one message of a logger, by the pattern that its network file names: the same as an import's, with `channel` instead
//! of `datastream`, and columns that are named there because a message has no header.

use super::choice::{Condition, conditions};
use super::number::Missing;
use super::pattern::{Pattern, ValuePattern};
use super::rows::{Row, Rows};
use crate::decimal::scale;
use crate::shown::shown;
use model::{Timestamp, Unit};
use std::io::Read;

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

/// One value of a line.
struct Channel<'a> {
    place: usize,
    name: &'a str,
    unit: Option<Unit>,
    value: &'a ValuePattern,
    conditions: Vec<Condition>,
}

/// # Errors
/// What is wrong with the pattern, or the message as a whole.
pub(crate) fn read(bytes: &[u8], pattern: &str) -> Result<Vec<Said>, String> {
    let first = |complaints: Vec<store::Complaint>| complaints.first().map_or_else(String::new, ToString::to_string);
    let pattern = Pattern::parse("the pattern of its lines", pattern).map_err(first)?;
    let mut rows = Rows::open(bytes, "the message", &pattern).map_err(first)?;
    let missing = Missing::of(&pattern);
    let channels: Vec<Channel<'_>> = pattern.value.iter().map(|value| channel(&rows, &pattern, value)).collect::<Result<_, _>>()?;
    rows.values_at(channels.iter().map(|channel| channel.place).collect());
    let mut said = Vec::new();
    while let Some(row) = rows.next().map_err(first)? {
        if said.len() >= MOST {
            said.push(Said { line: row.line, values: Err(format!("more than {MOST} lines; send the rest in another message")) });
            break;
        }
        said.push(Said { line: row.line, values: values(&row, &channels, &missing) });
    }
    Ok(said)
}

fn channel<'a, R: Read>(rows: &Rows<R>, pattern: &'a Pattern, value: &'a ValuePattern) -> Result<Channel<'a>, String> {
    let first = |complaints: Vec<store::Complaint>| complaints.first().map_or_else(String::new, ToString::to_string);
    let place = rows.header().place(value.column.get_ref(), pattern, value.column.span().start).map_err(first)?;
    let Some(name) = &value.datastream else {
        return Err("each [[value]] of the lines of a device names its channel; write channel = \"…\"".into());
    };
    let unit = match &value.unit {
        None => None,
        Some(symbol) => Some(Unit::from_symbol(symbol.get_ref()).ok_or_else(|| format!("there is no unit {:?}", symbol.get_ref()))?),
    };
    let conditions = conditions(rows.header(), pattern, &value.chosen).map_err(first)?;
    Ok(Channel { place, name: name.get_ref(), unit, value, conditions })
}

fn values(row: &Row, channels: &[Channel<'_>], missing: &Missing) -> Result<(Timestamp, Vec<Value>), String> {
    let time = row.time.clone().map_err(|(_, message)| message)?;
    let mut values = Vec::new();
    for Channel { place, name, unit, value, conditions } in channels {
        let cell = row.cells.get(*place).map_or("", String::as_str);
        if !conditions.iter().all(|condition| condition.is_met(&row.cells, &row.block)) {
            continue;
        }
        if let Some(number) = missing.or_number(cell)? {
            let number = scale(number, value.factor, value.add).ok_or_else(|| format!("{} is too large a number", shown(cell)))?;
            values.push(Value { channel: (*name).to_owned(), value: number, unit: *unit });
        }
    }
    Ok((time, values))
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
