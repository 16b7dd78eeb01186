//! The rows of a month's files: as columns, and back.

use model::{Observation, ObservedProperty, Quality, Timestamp};
use polars::prelude::*;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What is said of a datastream in each of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) datastream: Arc<str>,
    pub(super) station: String,
    pub(super) property: &'static str,
    pub(super) unit: &'static str,
}

/// One observation of a month; its datastream is the one of `about`, whatever the observation's number.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) about: Arc<About>,
    pub(super) observation: Observation,
    /// Where the rows are replaced values: the how-manieth of its time.
    pub(super) order: u32,
}

/// Which of the two files of a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Observations,
    Replaced,
}

/// The columns of rows. `datastream`, `station`, `property`, `unit` (text), `phenomenon_time` and `received_at` (datetime µs, UTC; the
/// latter in whole seconds), `result` (f64, in `unit`), `quality` (u32, QARTOD), `tests` (u32, the flag with the bits of the tests that
/// spoke); of replaced values `order` (u32) too.
pub(super) fn frame(rows: &[Row], kind: Kind) -> PolarsResult<DataFrame> {
    let text = |name: &str, of: fn(&Row) -> &str| Column::new(name.into(), rows.iter().map(of).collect::<Vec<_>>());
    let number = |name: &str, of: fn(&Row) -> u32| Column::new(name.into(), rows.iter().map(of).collect::<Vec<_>>());
    let time = |name: &str, of: fn(&Observation) -> Timestamp| {
        let micros: Vec<i64> = rows.iter().map(|row| of(&row.observation).micros()).collect();
        crate::file::instants(&Column::new(name.into(), micros))
    };
    let mut columns = vec![
        text("datastream", |row| &row.about.datastream),
        text("station", |row| &row.about.station),
        text("property", |row| row.about.property),
        text("unit", |row| row.about.unit),
        time("phenomenon_time", |one| one.phenomenon_time)?,
        Column::new("result".into(), rows.iter().map(|row| row.observation.result).collect::<Vec<_>>()),
        number("quality", |row| u32::from(row.observation.quality.flag() as u8)),
        number("tests", |row| row.observation.quality.to_bits()),
        time("received_at", |one| one.received_at)?,
    ];
    if kind == Kind::Replaced {
        columns.push(number("order", |row| row.order));
    }
    DataFrame::new_infer_height(columns)
}

/// Back from [`frame`]; `last` is what was said of the datastream of the row before. `Err` says what is wrong with which column.
pub(super) fn rows(frame: &DataFrame, kind: Kind, last: &mut Option<Arc<About>>) -> Result<Vec<Row>, String> {
    let column = |name: &str, to: &DataType| {
        let found =
            frame.column(name).map_err(|_| format!("it has no column \"{name}\"; is it a file of a month that pescaia put away?"))?;
        found.cast(to).map_err(|_| format!("its column \"{name}\" holds {}, not {to}", found.dtype()))
    };
    let of_kind = |cause: PolarsError| cause.to_string();
    let empty = |name: &str, place: usize| format!("its column \"{name}\" is empty in row {}", place + 1);
    let texts = [column("datastream", &DataType::String)?, column("station", &DataType::String)?, column("property", &DataType::String)?];
    let [datastream, station, property] =
        [texts[0].str().map_err(of_kind)?, texts[1].str().map_err(of_kind)?, texts[2].str().map_err(of_kind)?];
    let micros = &DataType::Datetime(TimeUnit::Microseconds, None);
    let at = column("phenomenon_time", micros)?.cast(&DataType::Int64).map_err(of_kind)?;
    let received = column("received_at", micros)?.cast(&DataType::Int64).map_err(of_kind)?;
    let (result, tests) = (column("result", &DataType::Float64)?, column("tests", &DataType::UInt32)?);
    let order = if kind == Kind::Replaced { Some(column("order", &DataType::UInt32)?) } else { None };
    let (at, received) = (at.i64().map_err(of_kind)?, received.i64().map_err(of_kind)?);
    let (result, tests) = (result.f64().map_err(of_kind)?, tests.u32().map_err(of_kind)?);
    let order = order.as_ref().map(|order| order.u32()).transpose().map_err(of_kind)?;
    let mut rows = Vec::with_capacity(frame.height());
    for place in 0..frame.height() {
        let key = datastream.get(place).ok_or_else(|| empty("datastream", place))?;
        let about = match last {
            Some(about) if &*about.datastream == key => about.clone(),
            _ => {
                let word = property.get(place).ok_or_else(|| empty("property", place))?;
                let property = ObservedProperty::from_word(word)
                    .ok_or_else(|| format!("nobody knows the property \"{word}\" of row {}", place + 1))?;
                let station = station.get(place).unwrap_or_default().to_owned();
                let about = About { datastream: key.into(), station, property: property.word(), unit: property.unit().symbol() };
                last.insert(Arc::new(about)).clone()
            }
        };
        let bits = tests.get(place).ok_or_else(|| empty("tests", place))?;
        let quality = Quality::from_bits(bits).ok_or_else(|| format!("no quality is {bits}, in row {}", place + 1))?;
        let result = result.get(place).ok_or_else(|| empty("result", place))?;
        if !result.is_finite() {
            return Err(format!("the result of row {} is no number", place + 1));
        }
        let observation = Observation {
            datastream: model::DatastreamId(u32::MAX),
            phenomenon_time: Timestamp::from_micros(at.get(place).ok_or_else(|| empty("phenomenon_time", place))?),
            received_at: Timestamp::from_micros(received.get(place).ok_or_else(|| empty("received_at", place))?),
            result,
            quality,
        };
        let order = order.and_then(|order| order.get(place)).unwrap_or(0);
        rows.push(Row { about, observation, order });
    }
    Ok(rows)
}

/// SHA-256 over rows in their order, of what they say and not of how a file holds it.
#[derive(Clone, Default)]
pub(super) struct RowsDigest(Sha256);

impl RowsDigest {
    pub(super) fn add(&mut self, row: &Row) {
        let one = &row.observation;
        self.0.update(row.about.datastream.as_bytes());
        self.0.update([0]);
        self.0.update(one.phenomenon_time.micros().to_le_bytes());
        self.0.update(one.result.to_bits().to_le_bytes());
        self.0.update(one.quality.to_bits().to_le_bytes());
        self.0.update(one.received_at.seconds().to_le_bytes());
        self.0.update(row.order.to_le_bytes());
    }
    pub(super) fn text(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
