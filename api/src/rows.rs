//! Observations as rows, straight from their numbers: a month of them is written in the time that making an object of each would take.
//! They read as [`crate::wire::ObservationOut`] does.

use crate::csv::{Dialect, OBSERVATION};
use model::{Observation, Timestamp, TimestampWriter};
use std::io::Write;

/// What a row takes, about.
const JSON_ROW: usize = 112;
const CSV_ROW: usize = 56;

/// As [`crate::page::Page`] of observations, in JSON.
pub(crate) fn json(found: &[Observation], limit: usize, next_cursor: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(found.len() * JSON_ROW + 64);
    let (mut times, mut arrivals) = (TimestampWriter::default(), TimestampWriter::default());
    out.extend_from_slice(b"{\"items\":[");
    for (place, one) in found.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"{\"phenomenon_time\":\"" } else { b",{\"phenomenon_time\":\"" });
        times.put(one.phenomenon_time, &mut out);
        out.extend_from_slice(b"\",\"result\":");
        if !put_thousandths(one.result, ".0", &mut out) {
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(&mut out, &one.result);
        }
        out.extend_from_slice(b",\"quality\":");
        out.push(b'0' + one.quality.flag() as u8);
        out.extend_from_slice(b",\"received_at\":\"");
        arrivals.put(one.received_at, &mut out);
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b"],\"limit\":");
    let _ = serde_json::to_writer(&mut out, &limit);
    out.extend_from_slice(b",\"next_cursor\":");
    let _ = serde_json::to_writer(&mut out, &next_cursor);
    out.push(b'}');
    out
}

/// As CSV; without a header it is the middle of a file.
pub(crate) fn csv(found: &[Observation], dialect: Dialect, has_header: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(found.len() * CSV_ROW + 64);
    let (mut times, mut arrivals) = (TimestampWriter::default(), TimestampWriter::default());
    let delimiter = dialect.delimiter();
    if has_header {
        out.extend_from_slice(dialect.mark());
        let names = |name: &&str| dialect.names(name, matches!(*name, "phenomenon_time" | "received_at"));
        let names: Vec<String> = OBSERVATION.iter().flat_map(names).collect();
        out.extend_from_slice(names.join(&char::from(delimiter).to_string()).as_bytes());
        out.push(b'\n');
    }
    let put = |at: Timestamp, times: &mut TimestampWriter, out: &mut Vec<u8>| match dialect {
        Dialect::Plain => times.put(at, out),
        Dialect::Italian => {
            let (clock, offset) = at.italian();
            let _ = write!(out, "{clock};{offset}");
        }
    };
    for one in found {
        put(one.phenomenon_time, &mut times, &mut out);
        out.push(delimiter);
        let from = out.len();
        if !put_thousandths(one.result, "", &mut out) {
            let _ = write!(out, "{}", one.result);
        }
        dialect.point(out.get_mut(from..).unwrap_or_default());
        out.extend_from_slice(&[delimiter, b'0' + one.quality.flag() as u8, delimiter]);
        put(one.received_at, &mut arrivals, &mut out);
        out.push(b'\n');
    }
    out
}

/// Writes what is a whole number of thousandths, as nearly every measurement is, with no more decimals than it has, and `whole` after it
/// when it has none: the shortest text that reads back as it. False when it is not one.
fn put_thousandths(value: f64, whole: &str, out: &mut Vec<u8>) -> bool {
    const MOST: f64 = 1e12;
    let thousandths = (value * 1000.0).round();
    if thousandths.abs() >= MOST || (thousandths / 1000.0).to_bits() != value.to_bits() {
        return false;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below MOST, and not negative")]
    let number = thousandths.abs() as u64;
    let digits = |mut number: u64, least: usize, out: &mut Vec<u8>| {
        let (mut text, mut from) = ([b'0'; 16], 16);
        while number > 0 || 16 - from < least {
            from -= 1;
            if let Some(digit) = text.get_mut(from) {
                *digit = b'0' + (number % 10) as u8;
            }
            number /= 10;
        }
        out.extend_from_slice(text.get(from..).unwrap_or_default());
    };
    digits(number / 1000, 1, out);
    match number % 1000 {
        0 => out.extend_from_slice(whole.as_bytes()),
        rest => {
            out.push(b'.');
            let (rest, places) = [(100, 1), (10, 2)]
                .into_iter()
                .find(|(unit, _)| rest % unit == 0)
                .map_or((rest, 3), |(unit, places)| (rest / unit, places));
            digits(rest, places, out);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csv::{observation, write};
    use crate::page::Page;
    use crate::wire::ObservationOut;
    use model::{DatastreamId, Quality};

    #[test]
    fn rows_read_as_the_objects_do() {
        let times = (0_i64..).map(|n| [0, 1_795_000_000_000_000, 1_795_000_000_500_000, 1_795_086_400_000_001, -1][n as usize % 5] + n / 5);
        let odd = [1.42, -0.0, 0.0, 1e21, 1e-7, 3.0, -3.0, 0.001, -0.01, 99.999, 1e12, 1e9 + 0.1, f64::MAX, 0.1 + 0.2, 1.0 / 3.0];
        let results =
            odd.into_iter().chain((-4000..4000).map(|n| f64::from(n) / 1000.0)).chain((0..2000).map(|n| f64::from(n * 7919) / 1000.0));
        let observation_of = |(at, result): (i64, f64)| Observation {
            datastream: DatastreamId(0),
            phenomenon_time: Timestamp::from_micros(at),
            received_at: Timestamp::from_seconds(at / 1_000_000 + 3),
            result,
            quality: Quality::NOT_EVALUATED,
        };
        let found: Vec<Observation> = times.zip(results).map(observation_of).collect();
        for (found, next) in [(found.as_slice(), Some("t0")), (&[], None)] {
            let items: Vec<ObservationOut> = found.iter().map(Into::into).collect();
            for dialect in [Dialect::Plain, Dialect::Italian] {
                let (rows, expected) = (csv(found, dialect, true), write(dialect, &OBSERVATION, items.iter().map(observation)));
                let lines = |text: &[u8]| String::from_utf8(text.to_vec()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
                for (row, expected) in lines(&rows).iter().zip(lines(&expected)) {
                    assert_eq!(*row, expected);
                }
                assert_eq!(rows, expected);
            }
            let page = Page { items, limit: 7, next_cursor: next.map(str::to_owned) };
            assert_eq!(String::from_utf8(json(found, 7, next)).unwrap(), serde_json::to_string(&page).unwrap());
        }
    }
}
