//! The value columns: which datastream each feeds, in which unit, of which rows.

use super::ColumnReport;
use super::choice::{Condition, Place, conditions, place};
use super::header_unit;
use super::number::Missing;
use super::pattern::{ColumnRef, Label, Pattern, ValuePattern};
use super::rows::{Header, Row, Rows};
use super::zone::Times;
use crate::decimal::scale;
use crate::shown::{nearest, shown};
use model::{Datastream, SignalClass, Timestamp, Unit, seconds_of_duration};
use std::io::Read;
use std::sync::Arc;
use store::{Complaint, Registry};
use toml::Spanned;

pub(super) struct Columns {
    registry: Arc<Registry>,
    columns: Vec<Column>,
    /// Columns whose datastream each row names.
    named: Vec<Named>,
}

struct Named {
    place: Place,
    value: ValuePattern,
    template: Template,
}

/// What the columns of one `[[value]]` share.
#[derive(Clone)]
struct Template {
    /// From 0.
    place: usize,
    header: String,
    conditions: Vec<Condition>,
    missing: Arc<Missing>,
    is_labelled_start: bool,
    interval_s: Option<i64>,
}

pub(super) struct Column {
    template: Template,
    pub(super) datastream: Arc<Datastream>,
    unit: Unit,
    factor: f64,
    add: f64,
    report: ColumnReport,
}

impl Columns {
    /// # Errors
    /// Every column that is not there, every datastream and unit that can't be.
    pub(super) fn find<R: Read>(registry: Arc<Registry>, rows: &mut Rows<R>, pattern: &Pattern) -> Result<Self, Vec<Complaint>> {
        let missing = Arc::new(Missing::of(pattern));
        let interval_s = interval_of(pattern)?;
        let mut found = Self { registry, columns: Vec::new(), named: Vec::new() };
        let (mut complaints, mut places) = (Vec::new(), Vec::new());
        for value in &pattern.value {
            match found.add(rows.header(), pattern, value, (missing.clone(), interval_s)) {
                Ok(place) => places.push(place),
                Err(wrong) => complaints.extend(wrong),
            }
        }
        rows.values_at(places);
        if complaints.is_empty() { Ok(found) } else { Err(complaints) }
    }

    fn add(
        &mut self,
        header: &Header,
        pattern: &Pattern,
        value: &ValuePattern,
        (missing, interval_s): (Arc<Missing>, Option<i64>),
    ) -> Result<usize, Vec<Complaint>> {
        let at = header.place(value.column.get_ref(), pattern, value.column.span().start)?;
        let template = Template {
            place: at,
            header: header.names.get(at).cloned().unwrap_or_default(),
            conditions: conditions(header, pattern, &value.chosen)?,
            missing,
            is_labelled_start: pattern.time.label == Some(Label::Start),
            interval_s,
        };
        let mut feeds: Vec<(&Spanned<String>, Template)> = value.datastream.iter().map(|key| (key, template.clone())).collect();
        if let Some(column) = &value.datastream_column {
            let place = place(header, pattern, column.get_ref(), column.span().start)?;
            match &value.datastreams {
                None => self.named.push(Named { place, value: value.clone(), template }),
                Some(map) => feeds.extend(map.iter().map(|(cell, key)| {
                    let mut template = template.clone();
                    template.conditions.push(Condition::one(column.get_ref(), place, cell));
                    (key, template)
                })),
            }
        }
        let mut complaints = Vec::new();
        for (key, template) in feeds {
            let wrong = |message| vec![pattern.complain(key.span().start, message)];
            let column = self.datastream(key.get_ref()).map_err(wrong).and_then(|datastream| column(datastream, pattern, value, template));
            match column {
                Ok(column) if self.columns.iter().any(|other| other.is_the_same(&column)) => {
                    complaints.extend(wrong(format!("two columns feed {}; one datastream holds one quantity", column.datastream.key)));
                }
                Ok(column) => self.columns.push(column),
                Err(found) => complaints.extend(found),
            }
        }
        if complaints.is_empty() { Ok(at) } else { Err(complaints) }
    }

    fn datastream(&self, key: &str) -> Result<Arc<Datastream>, String> {
        let is_kept = |datastream: &&Arc<Datastream>| !datastream.retired;
        self.registry.datastream_by_key(key).filter(is_kept).cloned().ok_or_else(|| {
            let keys = self.registry.datastreams().filter(|datastream| !datastream.retired).map(|datastream| datastream.key.as_str());
            let cure = nearest(key, keys)
                .map_or_else(|| "add it to a network file and apply it".to_owned(), |near| format!("did you mean \"{near}\"?"));
            format!("there is no datastream {}; {cure}", shown(key))
        })
    }

    /// Finds the datastreams that a row names and none before it did.
    ///
    /// # Errors
    /// The column (from 1) that names one that is not there, and what to do.
    pub(super) fn name(&mut self, row: &Row, pattern: &Pattern) -> Result<(), (usize, String)> {
        for number in 0..self.named.len() {
            let Some(named) = self.named.get(number) else { continue };
            let key = named.place.of(&row.cells, &row.block);
            let condition = Condition::one(&ColumnRef::Name(key.to_owned()), named.place, key);
            let mut template = named.template.clone();
            template.conditions.push(condition);
            if self
                .columns
                .iter()
                .any(|column| column.template.place == template.place && column.template.conditions == template.conditions)
            {
                continue;
            }
            let at = if let Place::Cell(place) = named.place { place + 1 } else { 1 };
            let datastream = self.datastream(key).map_err(|message| (at, message))?;
            let first = |found: Vec<Complaint>| found.first().map_or_else(String::new, |complaint| complaint.message.clone());
            let column = column(datastream, pattern, &named.value, template).map_err(|found| (at, first(found)))?;
            self.columns.push(column);
        }
        Ok(())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Column> {
        self.columns.iter_mut()
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter()
    }
    pub(super) fn into_reports(self) -> Vec<ColumnReport> {
        self.columns.into_iter().map(|column| column.report).collect()
    }
}

/// How long an interval is, where the pattern says it.
fn interval_of(pattern: &Pattern) -> Result<Option<i64>, Vec<Complaint>> {
    let Some(written) = &pattern.time.interval else { return Ok(None) };
    let wrong = || {
        let message = format!("the interval {:?} is no ISO 8601 duration; write PT10M, PT1H or P1D", written.get_ref());
        vec![pattern.complain(written.span().start, message)]
    };
    seconds_of_duration(written.get_ref()).map(Some).ok_or_else(wrong)
}

fn column(datastream: Arc<Datastream>, pattern: &Pattern, value: &ValuePattern, template: Template) -> Result<Column, Vec<Complaint>> {
    let unit = match &value.unit {
        None => datastream.unit(),
        Some(symbol) => {
            let wrong = |message| vec![pattern.complain(symbol.span().start, message)];
            let unit = Unit::from_symbol(symbol.get_ref()).ok_or_else(|| {
                let known: Vec<_> = Unit::symbols().collect();
                wrong(format!("there is no unit {:?}; there are {}", symbol.get_ref(), known.join(", ")))
            })?;
            if unit.convert(1.0, datastream.unit()).is_none() {
                return Err(wrong(format!("{unit} can't be turned into {}, the unit of {}", datastream.unit(), datastream.key)));
            }
            unit
        }
    };
    let of: Vec<String> = template.conditions.iter().map(Condition::words).collect();
    let report = ColumnReport {
        column: if of.is_empty() { template.header.clone() } else { format!("{} where {}", template.header, of.join(", ")) },
        datastream: datastream.key.clone(),
        unit: unit.to_string(),
        values: 0,
        missing: 0,
        first: None,
        last: None,
    };
    Ok(Column { template, datastream, unit, factor: value.factor, add: value.add, report })
}

impl Column {
    fn is_the_same(&self, other: &Self) -> bool {
        self.datastream.id == other.datastream.id && self.template.conditions == other.template.conditions
    }
    /// From 0.
    pub(super) fn place(&self) -> usize {
        self.template.place
    }
    pub(super) fn is_of(&self, row: &Row) -> bool {
        self.template.conditions.iter().all(|condition| condition.is_met(&row.cells, &row.block))
    }
    /// Whether its times are the ends of intervals.
    pub(super) fn is_of_intervals(&self) -> bool {
        self.datastream.class == SignalClass::Interval
    }
    /// The time of the value of a row: of an interval its end.
    pub(super) fn time(&self, of_row: Timestamp, times: &Times) -> Timestamp {
        if !self.template.is_labelled_start || !self.is_of_intervals() {
            return of_row;
        }
        times.end_of(of_row, self.template.interval_s.unwrap_or_else(|| i64::from(self.datastream.period_s)))
    }
    /// A surprise that the header holds: its unit is another one than the pattern's.
    pub(super) fn warning(&self) -> Option<String> {
        let is_scaled = (self.factor - 1.0).abs() > f64::EPSILON || self.add != 0.0;
        header_unit::surprise(&self.template.header, self.unit).filter(|_| !is_scaled)
    }
    /// The value of this column in a row, in the datastream's unit; `None` where nothing was measured.
    ///
    /// # Errors
    /// Why it is no number, and the cure.
    pub(super) fn value(&mut self, cells: &[String]) -> Result<Option<f64>, String> {
        let cell = cells.get(self.template.place).map_or("", String::as_str);
        let Some(number) = self.template.missing.or_number(cell)? else {
            self.report.missing += 1;
            return Ok(None);
        };
        let result = scale(number, self.factor, self.add).and_then(|number| self.unit.convert(number, self.datastream.unit()));
        let result = result.filter(|result| result.is_finite());
        result.map(Some).ok_or_else(|| format!("{} is too large a number", shown(cell)))
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
