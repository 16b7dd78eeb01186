//! The value columns: which datastream each feeds, in which unit.

use super::ColumnReport;
use super::number::Missing;
use super::pattern::{Pattern, ValuePattern};
use super::rows::Rows;
use model::{Datastream, Timestamp, Unit};
use std::io::Read;
use std::sync::Arc;
use store::{Complaint, Registry, nearest};

pub(super) struct Columns {
    columns: Vec<Column>,
}

pub(super) struct Column {
    /// From 0.
    pub(super) place: usize,
    pub(super) datastream: Arc<Datastream>,
    unit: Unit,
    factor: f64,
    decimal: char,
    missing: Arc<Missing>,
    report: ColumnReport,
}

impl Columns {
    /// # Errors
    /// Every column that is not there, every datastream and unit that can't be.
    pub(super) fn find<R: Read>(registry: &Registry, rows: &Rows<R>, pattern: &Pattern) -> Result<Self, Vec<Complaint>> {
        let (mut columns, mut complaints): (Vec<Column>, Vec<Complaint>) = (Vec::new(), Vec::new());
        let missing: Arc<Missing> = Arc::new(Missing::of(&pattern.missing));
        for value in &pattern.value {
            match column(registry, rows, pattern, value, &missing) {
                Ok(column) if columns.iter().any(|other| other.datastream.id == column.datastream.id) => {
                    let message = format!("two columns feed {}; one datastream holds one quantity", column.datastream.key);
                    complaints.push(pattern.complain(value.datastream.span().start, message));
                }
                Ok(column) => columns.push(column),
                Err(found) => complaints.extend(found),
            }
        }
        if complaints.is_empty() { Ok(Self { columns }) } else { Err(complaints) }
    }
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Column> {
        self.columns.iter_mut()
    }
    pub(super) fn into_reports(self) -> Vec<ColumnReport> {
        self.columns.into_iter().map(|column| column.report).collect()
    }
}

fn column<R: Read>(
    registry: &Registry,
    rows: &Rows<R>,
    pattern: &Pattern,
    value: &ValuePattern,
    missing: &Arc<Missing>,
) -> Result<Column, Vec<Complaint>> {
    let place = rows.place(value.column.get_ref(), pattern, value.column.span().start)?;
    let key = value.datastream.get_ref();
    let Some(datastream) = registry.datastream_by_key(key).filter(|datastream| !datastream.retired).cloned() else {
        let keys = registry.datastreams().filter(|datastream| !datastream.retired).map(|datastream| datastream.key.as_str());
        let cure = nearest(key, keys)
            .map_or_else(|| "add it to a network file and apply it".to_owned(), |near| format!("did you mean \"{near}\"?"));
        return Err(vec![pattern.complain(value.datastream.span().start, format!("there is no datastream \"{key}\"; {cure}"))]);
    };
    let unit = match &value.unit {
        None => datastream.unit(),
        Some(symbol) => {
            let wrong = |message| vec![pattern.complain(symbol.span().start, message)];
            let unit = Unit::from_symbol(symbol.get_ref()).ok_or_else(|| {
                let known: Vec<_> = Unit::symbols().collect();
                wrong(format!("there is no unit {:?}; there are {}", symbol.get_ref(), known.join(", ")))
            })?;
            if unit.convert(1.0, datastream.unit()).is_none() {
                return Err(wrong(format!("{unit} can't be turned into {}, the unit of {key}", datastream.unit())));
            }
            unit
        }
    };
    let report = ColumnReport {
        column: value.column.get_ref().clone(),
        datastream: datastream.key.clone(),
        unit: unit.to_string(),
        values: 0,
        missing: 0,
        first: None,
        last: None,
    };
    Ok(Column { place, datastream, unit, factor: value.factor, decimal: pattern.decimal, missing: missing.clone(), report })
}

impl Column {
    /// The value of this column in a row, in the datastream's unit; `None` where nothing was measured.
    pub(super) fn value(&mut self, cells: &[String]) -> Result<Option<f64>, String> {
        let cell = cells.get(self.place).map_or("", String::as_str);
        let Some(number) = self.missing.or_number(cell, self.decimal)? else {
            self.report.missing += 1;
            return Ok(None);
        };
        let result = self.unit.convert(number * self.factor, self.datastream.unit()).filter(|result| result.is_finite());
        result.map(Some).ok_or_else(|| format!("{cell:?} is too large a number"))
    }
    pub(super) fn measured(&mut self, time: Timestamp, result: f64) {
        self.report.values += 1;
        if self.report.first.is_none_or(|(first, _)| time < first) {
            self.report.first = Some((time, result));
        }
        if self.report.last.is_none_or(|(last, _)| time >= last) {
            self.report.last = Some((time, result));
        }
    }
}
