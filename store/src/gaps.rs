//! How gaps lie in their rows.

use crate::Error;
use crate::engine::{Change, Engine, Order, Row, Span, Table};
use model::{DatastreamId, Gap, GapReason, Timestamp};
use std::collections::HashMap;

/// The last gap of each datastream, as the writer knows it.
#[derive(Default)]
pub(crate) struct OpenGaps {
    last: HashMap<DatastreamId, Option<Gap>>,
}

impl OpenGaps {
    /// Adds failed polls: to the last gap while its reason lasts and nothing was measured since, else as a new one.
    pub(crate) fn put(
        &mut self,
        gap: &Gap,
        last_observed: Option<Timestamp>,
        engine: &dyn Engine,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        let last = match self.last.entry(gap.datastream) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => {
                let all = Span { part: i64::from(gap.datastream.0), from: i64::MIN, to: i64::MAX };
                let rows = engine.range(Table::Gap, all, Order::Descending, 1)?;
                unknown.insert(rows.first().and_then(gap_of))
            }
        };
        let merged = match last.take() {
            Some(last) if last.reason == gap.reason && last_observed.is_none_or(|observed| observed < last.from) => {
                Gap { to: gap.to.max(last.to), count: last.count + gap.count, ..last }
            }
            _ => gap.clone(),
        };
        changes.push(Change::Put { table: Table::Gap, row: row_of(&merged) });
        *last = Some(merged);
        Ok(())
    }
    /// What was put was not committed: read it anew.
    pub(crate) fn forget(&mut self) {
        self.last.clear();
    }
}

/// As a row of [`Table::Gap`].
pub(crate) fn row_of(gap: &Gap) -> Row {
    let mut body = gap.to.micros().to_le_bytes().to_vec();
    body.extend_from_slice(gap.reason.code().as_bytes());
    let weight = i64::try_from(gap.count).unwrap_or(i64::MAX);
    Row { part: i64::from(gap.datastream.0), at: gap.from.micros(), weight, summary: Vec::new(), body }
}

/// Back from a row of [`Table::Gap`].
pub(crate) fn gap_of(row: &Row) -> Option<Gap> {
    let (to, reason) = row.body.split_first_chunk::<8>()?;
    Some(Gap {
        datastream: DatastreamId(u32::try_from(row.part).ok()?),
        from: Timestamp::from_micros(row.at),
        to: Timestamp::from_micros(i64::from_le_bytes(*to)),
        reason: GapReason::from_code(std::str::from_utf8(reason).ok()?)?,
        count: row.weight.cast_unsigned(),
    })
}
