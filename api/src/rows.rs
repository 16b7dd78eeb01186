//! What rows read and how they are written. Observations are written straight from their numbers, a month of them in the time that making
//! an object of each would take; they read as [`crate::wire::ObservationOut`] does.

use crate::csv::{Cell, Dialect, put_italian};
use crate::table::{BATCH, Row, Times};
use crate::wire::{BucketOut, DischargeOut};
use model::{Datastream, Interval, Observation, SignalClass};
use std::io::Write;
use std::sync::Arc;
use store::{Bucket, BucketRow, Flow, Thinned, View};

/// Buckets that are made at once: each may be of a whole day of seconds.
const BUCKETS: usize = 64;

/// The columns of an observation.
const OBSERVATION: [&str; 4] = ["phenomenon_time", "result", "quality", "received_at"];

/// Reads the observations of an interval on and on, [`BATCH`] at a time.
pub(crate) fn observations(
    view: View,
    datastream: Arc<Datastream>,
    mut left: Interval,
) -> impl FnMut() -> Result<Vec<Observation>, store::Error> + Send + 'static {
    move || {
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let found = view.observations(&datastream, left, BATCH)?;
        left.from = match found.last() {
            Some(last) if found.len() == BATCH => last.phenomenon_time.plus_micros(1),
            _ => left.to,
        };
        Ok(found)
    }
}

/// As [`observations`], with what flowed then.
pub(crate) fn discharges(
    view: View,
    datastream: Arc<Datastream>,
    mut left: Interval,
) -> impl FnMut() -> Result<Vec<Flow>, store::Error> + Send + 'static {
    move || {
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let found = view.discharges(&datastream, left, BATCH)?;
        left.from = match found.last() {
            Some(last) if found.len() == BATCH => last.stage.phenomenon_time.plus_micros(1),
            _ => left.to,
        };
        Ok(found)
    }
}

/// As [`observations`], in buckets.
pub(crate) fn buckets(
    view: View,
    datastream: Arc<Datastream>,
    mut left: Interval,
    bucket: Bucket,
) -> impl FnMut() -> Result<Vec<BucketRow>, store::Error> + Send + 'static {
    move || {
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let found = view.buckets(&datastream, left, bucket, BUCKETS)?;
        left.from = match found.last() {
            Some(last) if found.len() == BUCKETS => last.end,
            _ => left.to,
        };
        Ok(found)
    }
}

impl Row for Observation {
    const COLUMNS: &'static [&'static str] = &OBSERVATION;

    fn put_json(&self, times: &mut Times, out: &mut Vec<u8>) {
        put_fields(self, times, out);
        out.push(b'}');
    }
    fn cells(&self, times: &mut Times) -> Vec<Cell> {
        vec![
            Cell::Instant(times.of.write(self.phenomenon_time)),
            Cell::Number(self.result),
            Cell::Whole((self.quality.flag() as u8).into()),
            Cell::Instant(times.other.write(self.received_at)),
        ]
    }
    fn put_csv(&self, dialect: Dialect, times: &mut Times, out: &mut Vec<u8>) {
        let delimiter = dialect.delimiter();
        match dialect {
            Dialect::Plain => times.of.put(self.phenomenon_time, out),
            Dialect::Italian => put_italian(self.phenomenon_time, out),
        }
        out.push(delimiter);
        let from = out.len();
        if !put_thousandths(self.result, "", out) {
            // Writing to memory does not fail.
            let _ = write!(out, "{}", self.result);
        }
        dialect.point(out.get_mut(from..).unwrap_or_default());
        out.extend_from_slice(&[delimiter, b'0' + self.quality.flag() as u8, delimiter]);
        match dialect {
            Dialect::Plain => times.other.put(self.received_at, out),
            Dialect::Italian => put_italian(self.received_at, out),
        }
        out.push(b'\n');
    }
}

impl Row for Thinned {
    const COLUMNS: &'static [&'static str] = &["phenomenon_time", "result", "quality", "received_at", "after_gap"];

    fn put_json(&self, times: &mut Times, out: &mut Vec<u8>) {
        put_fields(&self.observation, times, out);
        out.extend_from_slice(if self.after_gap { b",\"after_gap\":true}" } else { b",\"after_gap\":false}" });
    }
    fn cells(&self, times: &mut Times) -> Vec<Cell> {
        let mut cells = self.observation.cells(times);
        cells.push(Cell::Text(self.after_gap.to_string()));
        cells
    }
}

/// An observation as an object that is still open.
fn put_fields(one: &Observation, times: &mut Times, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"phenomenon_time\":\"");
    times.of.put(one.phenomenon_time, out);
    out.extend_from_slice(b"\",\"result\":");
    if !put_thousandths(one.result, ".0", out) {
        let _ = serde_json::to_writer(&mut *out, &one.result);
    }
    out.extend_from_slice(b",\"quality\":");
    out.push(b'0' + one.quality.flag() as u8);
    out.extend_from_slice(b",\"received_at\":\"");
    times.other.put(one.received_at, out);
    out.push(b'"');
}

impl Row for BucketRow {
    const COLUMNS: &'static [&'static str] = &["start", "end", "min", "mean", "max", "max_at", "count"];

    fn put_json(&self, times: &mut Times, out: &mut Vec<u8>) {
        let _ = serde_json::to_writer(out, &BucketOut::of(self, SignalClass::Instant, &mut times.of));
    }
    fn cells(&self, times: &mut Times) -> Vec<Cell> {
        vec![
            Cell::Instant(times.of.write(self.start)),
            Cell::Instant(times.of.write(self.end)),
            Cell::Number(self.min),
            Cell::Number(self.mean),
            Cell::Number(self.max),
            Cell::Instant(times.of.write(self.max_at)),
            Cell::Whole(self.count),
        ]
    }
}

/// A bucket of a quantity that sums, such as rain.
pub(crate) struct Summed(BucketRow);

impl Summed {
    pub(crate) fn of(rows: Vec<BucketRow>) -> Vec<Self> {
        rows.into_iter().map(Self).collect()
    }
}

impl Row for Summed {
    const COLUMNS: &'static [&'static str] = &["start", "end", "min", "mean", "max", "max_at", "count", "sum"];

    fn put_json(&self, times: &mut Times, out: &mut Vec<u8>) {
        let _ = serde_json::to_writer(out, &BucketOut::of(&self.0, SignalClass::Interval, &mut times.of));
    }
    fn cells(&self, times: &mut Times) -> Vec<Cell> {
        let mut cells = self.0.cells(times);
        let sum = BucketOut::of(&self.0, SignalClass::Interval, &mut times.of).sum;
        cells.extend(sum.map(Cell::Number));
        cells
    }
}

impl Row for Flow {
    const COLUMNS: &'static [&'static str] = &["phenomenon_time", "discharge", "quality", "stage", "extrapolated", "why", "received_at"];

    fn put_json(&self, times: &mut Times, out: &mut Vec<u8>) {
        let _ = serde_json::to_writer(out, &DischargeOut::of(self, &mut times.of));
    }
    fn cells(&self, times: &mut Times) -> Vec<Cell> {
        let one = DischargeOut::of(self, &mut times.of);
        vec![
            Cell::Instant(one.phenomenon_time),
            one.discharge.map_or_else(|| Cell::Text(String::new()), Cell::Number),
            Cell::Whole(one.quality.into()),
            Cell::Number(one.stage),
            Cell::Text(one.extrapolated.to_string()),
            Cell::Text(one.why.unwrap_or_default().to_owned()),
            Cell::Instant(one.received_at),
        ]
    }
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
    use crate::csv::put_line;
    use crate::wire::{ObservationOut, ThinnedOut};
    use model::{DatastreamId, Quality, Timestamp};

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
        let (mut times_in_row, mut times_alone) = (Times::default(), Times::default());
        for one in times.zip(results).map(observation_of) {
            let text = |put: &dyn Fn(&mut Times, &mut Vec<u8>), times: &mut Times| {
                let mut out = Vec::new();
                put(times, &mut out);
                String::from_utf8(out).expect("UTF-8")
            };
            for dialect in [Dialect::Plain, Dialect::Italian] {
                let row = text(&|times, out| one.put_csv(dialect, times, out), &mut times_in_row);
                assert_eq!(row, text(&|times, out| put_line(dialect, &one.cells(times), out), &mut times_alone));
            }
            let object = serde_json::to_string(&ObservationOut::from(&one)).expect("JSON");
            assert_eq!(text(&|times, out| one.put_json(times, out), &mut times_in_row), object);
            let thinned = Thinned { observation: one, after_gap: true };
            let object = serde_json::to_string(&ThinnedOut::from(&thinned)).expect("JSON");
            assert_eq!(text(&|times, out| thinned.put_json(times, out), &mut times_in_row), object);
        }
    }
}
