//! Usable observations in runs of columns, for whoever sums or copies many and needs no more of them than time and value.

use super::View;
use crate::Error;
use crate::chunk::Piece;
use model::{Datastream, DatastreamId, Interval, Quality};
use std::ops::ControlFlow;

pub(super) fn is_usable(quality: u32) -> bool {
    Quality::from_bits(quality).is_some_and(Quality::is_usable)
}

impl View {
    /// Gives the usable observations (quality 1 or 2) of `[from, to)` to `each` in runs, ascending: phenomenon times in µs since 1970, and
    /// as many values in the datastream's unit.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn each_usable(&self, datastream: &Datastream, interval: Interval, mut each: impl FnMut(&[i64], &[f64])) -> Result<(), Error> {
        let Some(id) = self.gate(datastream) else { return Ok(()) };
        let (here, _) = self.visit_beyond(id, interval, usize::MAX, &mut |point| {
            if is_usable(point.quality) {
                each(&[point.at], &[point.value]);
            }
            ControlFlow::Continue(())
        })?;
        self.usable_here(id, here, |times, values| {
            each(times, values);
            ControlFlow::Continue(())
        })
    }

    /// Of what is here, chunk by chunk, until `each` breaks.
    pub(super) fn usable_here(
        &self,
        id: DatastreamId,
        here: Interval,
        mut each: impl FnMut(&[i64], &[f64]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let chunks = &self.store.shared().chunks;
        if self.looks_back() {
            return chunks.visit(id, here, self.as_of, |point| match is_usable(point.quality) {
                true => each(&[point.at], &[point.value]),
                false => ControlFlow::Continue(()),
            });
        }
        chunks.visit_pieces(id, here, |piece| match piece {
            Piece::Columns(columns, places) => columns.runs(places).filter(|(quality, _)| is_usable(*quality)).try_for_each(|(_, run)| {
                each(columns.times.get(run.clone()).unwrap_or_default(), columns.values.get(run).unwrap_or_default())
            }),
            Piece::Points(points) => {
                let usable = points.iter().filter(|point| is_usable(point.quality));
                let (times, values): (Vec<i64>, Vec<f64>) = usable.map(|point| (point.at, point.value)).unzip();
                each(&times, &values)
            }
        })
    }
}
