//! Fewer observations that still draw the same line: what a chart needs of ten years.

use super::View;
use crate::Error;
use crate::chunk::Point;
use model::{Datastream, Interval, Observation, Quality, stale_after};
use std::ops::ControlFlow;

/// One observation that was kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thinned {
    pub observation: Observation,
    /// Somewhere since the one before nothing was measured for longer than three periods: no line leads here.
    pub after_gap: bool,
}

/// The observations of one part of the interval that are kept so far.
struct Column {
    number: i128,
    first: Point,
    least: Point,
    greatest: Point,
    last: Point,
    /// Times of observations before which there was a gap.
    after_gap: Vec<i64>,
}

impl Column {
    fn of(number: i128, point: Point) -> Self {
        Self { number, first: point, least: point, greatest: point, last: point, after_gap: Vec::new() }
    }

    /// What is kept, in the order of time, each once; a gap is told at the first that is kept after it.
    fn kept(&self) -> impl Iterator<Item = (Point, bool)> {
        let mut points = [self.first, self.least, self.greatest, self.last];
        points.sort_by_key(|point| point.at);
        let mut before = None;
        points.into_iter().filter_map(move |point| {
            let since = before.replace(point.at);
            let is_new = since != Some(point.at);
            let lies_between = |at: &i64| since.is_none_or(|since| *at > since) && *at <= point.at;
            is_new.then(|| (point, self.after_gap.iter().any(lies_between)))
        })
    }
}

impl View {
    /// Of each of `columns` equal parts of `interval` the first, the least, the greatest and the last usable observation (quality 1 or 2),
    /// as they were measured, ascending: at most four each. No crest and no trough is lost, at any number of columns, and a line that is
    /// broken wherever [`Thinned::after_gap`] says so crosses no gap.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn thinned(&self, datastream: &Datastream, interval: Interval, columns: u32) -> Result<Vec<Thinned>, Error> {
        let Some(id) = self.gate(datastream) else { return Ok(Vec::new()) };
        let gap_us = stale_after(datastream.period_s).saturating_mul(1_000_000);
        let from = i128::from(interval.from.micros());
        let length = (i128::from(interval.to.micros()) - from).max(1);
        let columns = i128::from(columns.max(1));
        let mut kept = Vec::new();
        let mut column: Option<Column> = None;
        let mut end = |column: &Column| {
            let thinned = |(point, after_gap): (Point, bool)| Thinned { observation: point.observation(id), after_gap };
            kept.extend(column.kept().map(thinned));
        };
        self.visit(id, interval, |point| {
            if !Quality::from_bits(point.quality).is_some_and(Quality::is_usable) {
                return ControlFlow::Continue(());
            }
            let number = (i128::from(point.at) - from) * columns / length;
            let is_after_gap = column.as_ref().is_some_and(|column| point.at.saturating_sub(column.last.at) > gap_us);
            match column.as_mut().filter(|column| column.number == number) {
                Some(column) => {
                    if point.value < column.least.value {
                        column.least = point;
                    }
                    if point.value > column.greatest.value {
                        column.greatest = point;
                    }
                    column.last = point;
                }
                None => {
                    if let Some(full) = column.replace(Column::of(number, point)) {
                        end(&full);
                    }
                }
            }
            if let Some(column) = column.as_mut().filter(|_| is_after_gap) {
                column.after_gap.push(point.at);
            }
            ControlFlow::Continue(())
        })?;
        if let Some(last) = &column {
            end(last);
        }
        Ok(kept)
    }
}
