//! Damaged chunks that reading came upon: fenced off, so that what stands around them is served, and named.

use super::Point;
use super::columns::Columns;
use crate::Error;
use crate::engine::{Place, Row, Table};
use model::{DatastreamId, Gap, GapReason, Interval, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Where damage begins, by datastream and first time, and where the next sound chunk may begin.
#[derive(Default)]
pub(crate) struct Fences {
    known: Mutex<BTreeMap<(u32, i64), Fence>>,
}

struct Fence {
    to: i64,
    /// Observations that its key counts.
    count: u64,
    /// Whether they count among those that are held.
    counted: bool,
}

impl Fences {
    /// The points of a chunk; none of them, and a fence around it, when it is damaged. `to` is where the next chunk begins.
    pub(crate) fn decode(&self, datastream: u32, row: &Row, to: impl FnOnce() -> i64) -> Vec<Point> {
        let mut columns = Columns::default();
        if self.read(&mut columns, datastream, row, to) { columns.points() } else { Vec::new() }
    }

    /// Whether the chunk could be read; a fence is around it otherwise.
    pub(crate) fn read(&self, columns: &mut Columns, datastream: u32, row: &Row, to: impl FnOnce() -> i64) -> bool {
        match columns.read(&row.body, Place::of(Table::Chunk, row)) {
            Ok(()) => true,
            Err(cause) => {
                self.put(datastream, row, to(), &cause);
                false
            }
        }
    }

    fn put(&self, datastream: u32, row: &Row, to: i64, cause: &Error) {
        let fence = Fence { to, count: row.weight.cast_unsigned(), counted: true };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.insert((datastream, row.at), fence).is_none() {
            let from = Timestamp::from_micros(row.at);
            tracing::error!(event = "damaged", datastream, %from, observations = row.weight, %cause, "a chunk is damaged and fenced off; it is not served, the rest is; take in a backup with: pescaia restore FILE");
        }
    }

    /// Puts one where a chunk was that is gone with its key.
    pub(crate) fn put_missing(&self, datastream: u32, start: i64, to: i64, count: u64) {
        let fence = Fence { to, count, counted: false };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert((datastream, start), fence);
    }

    /// What was gone was taken in from elsewhere, or is given up.
    pub(crate) fn forget_missing(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, fence| fence.counted);
    }

    /// Observations of a datastream that are counted among those that are held, and are not served; of all without one.
    pub(crate) fn counted(&self, datastream: Option<u32>) -> u64 {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = known.iter().filter(|((id, _), fence)| fence.counted && datastream.is_none_or(|datastream| datastream == *id));
        of_it.map(|(_, fence)| fence.count).sum()
    }

    /// It was replaced by what is sound.
    pub(crate) fn remove(&self, datastream: u32, start: i64) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&(datastream, start));
    }

    pub(crate) fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// As gaps, those that touch the interval.
    pub(crate) fn gaps(&self, id: DatastreamId, interval: Interval) -> Vec<Gap> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = known.range((id.0, i64::MIN)..=(id.0, i64::MAX));
        let touches = |from: i64, to: i64| from < interval.to.micros() && to >= interval.from.micros();
        let gap = |((_, from), fence): (&(u32, i64), &Fence)| Gap {
            datastream: id,
            from: Timestamp::from_micros(*from),
            to: Timestamp::from_micros(fence.to),
            reason: GapReason::Damaged,
            count: fence.count,
        };
        of_it.filter(|((_, from), fence)| touches(*from, fence.to)).map(gap).collect()
    }
}
