//! From the store to polars columns.

use crate::Error;
use model::{Datastream, Interval, Station, Timestamp, civil_day, civil_day_around, epoch_day};
use polars::prelude::*;
use std::sync::Arc;
use store::View;

/// What a job reads: some datastreams as the public sees them.
pub struct Frames {
    view: View,
    datastreams: Vec<(Arc<Datastream>, Arc<Station>)>,
}

impl Frames {
    /// Of `datastreams` those that have a station which the view sees.
    #[must_use]
    pub fn new(view: View, datastreams: &[Arc<Datastream>]) -> Self {
        let with_station = |datastream: &Arc<Datastream>| Some((datastream.clone(), view.station(datastream.station.as_str())?));
        let datastreams = datastreams.iter().filter_map(with_station).collect();
        Self { view, datastreams }
    }
    #[must_use]
    pub fn datastreams(&self) -> &[(Arc<Datastream>, Arc<Station>)] {
        &self.datastreams
    }

    /// The usable observations (quality 1 or 2) of `[from, to)`, by datastream and then time. Columns: `number` (u32, of the
    /// datastream), `day` (date, civil day of Europe/Rome), `time` (datetime µs, UTC), `value` (f64, canonical unit).
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn observations(&self, interval: Interval) -> Result<DataFrame, Error> {
        let (mut number, mut day): (Vec<u32>, Vec<i32>) = (Vec::new(), Vec::new());
        let (mut time, mut value): (Vec<i64>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut around = Interval::new(interval.from, interval.from);
        let mut date = 0;
        for (datastream, _) in &self.datastreams {
            self.view.each_usable(datastream, interval, |times, values| {
                time.extend_from_slice(times);
                value.extend_from_slice(values);
                let mut left = times;
                while let Some(first) = left.first().map(|at| Timestamp::from_micros(*at)) {
                    if !around.contains(first) {
                        around = civil_day_around(first);
                        date = epoch_day(civil_day(first));
                    }
                    let inside = left.partition_point(|at| *at < around.to.micros());
                    day.resize(day.len() + inside, date);
                    left = left.get(inside..).unwrap_or_default();
                }
            })?;
            number.resize(time.len(), datastream.id.0);
        }
        let day = Column::new("day".into(), day).cast(&DataType::Date)?;
        let time = Column::new("time".into(), time).cast(&DataType::Datetime(TimeUnit::Microseconds, None))?;
        Ok(DataFrame::new_infer_height(vec![Column::new("number".into(), number), day, time, Column::new("value".into(), value)])?)
    }

    /// One row for each datastream. Columns: `number` (u32), `datastream`, `station`, `name`, `river`, `property` (text; `river`
    /// may be null), `period_s` (f64).
    ///
    /// # Errors
    /// Only if polars refuses the columns.
    pub fn described(&self) -> Result<DataFrame, Error> {
        let text = |name: &str, of: fn(&Datastream, &Station) -> Option<String>| {
            let cells: Vec<_> = self.datastreams.iter().map(|(datastream, station)| of(datastream, station)).collect();
            Column::new(name.into(), cells)
        };
        let number: Vec<_> = self.datastreams.iter().map(|(datastream, _)| datastream.id.0).collect();
        let period: Vec<_> = self.datastreams.iter().map(|(datastream, _)| f64::from(datastream.period_s)).collect();
        Ok(DataFrame::new_infer_height(vec![
            Column::new("number".into(), number),
            text("datastream", |datastream, _| Some(datastream.key.to_string())),
            text("station", |_, station| Some(station.id.to_string())),
            text("name", |_, station| Some(station.name.clone())),
            text("river", |_, station| station.river.clone()),
            text("property", |datastream, _| Some(datastream.property.word().to_owned())),
            Column::new("period_s".into(), period),
        ])?)
    }
}
