//! What came late: which civil days must be derived again. Marked in the very commit that holds the late observations, so that
//! neither a kill nor a restart can part the two.

use crate::engine::{Change, Engine, Order, Row, Span, Table};
use crate::{Error, Outcome};
use model::{DatastreamId, Interval, Observation, Timestamp, UtcMonth, civil_day_around};
use std::collections::BTreeSet;

/// A civil day of Europe/Rome of one datastream that was over when something of it was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LateDay {
    /// The commit that changed it.
    pub commit: u64,
    pub datastream: DatastreamId,
    /// The first instant of the day.
    pub start: Timestamp,
}

/// The writer's memory of the last days asked for: most observations are of today.
#[derive(Default)]
pub(crate) struct LateMarks {
    received: Option<Interval>,
    phenomenon: Option<Interval>,
}

impl LateMarks {
    /// Adds the mark of a commit, if anything in it is of a day that was over by then. True when it is.
    ///
    /// A month of `archived` was over once, whatever the clock says now: it went ahead and came back.
    pub(crate) fn put(
        &mut self,
        commit: u64,
        now: Timestamp,
        archived: &BTreeSet<UtcMonth>,
        observations: &[Observation],
        outcomes: &[Outcome],
        changes: &mut Vec<Change>,
    ) -> bool {
        let archived_to = archived.last().map_or(Timestamp::MIN, |month| month.interval().to);
        let is_archived = |at: Timestamp| at < archived_to && archived.contains(&UtcMonth::around(at));
        let mut days: Vec<(u32, i64)> = Vec::new();
        for (observation, outcome) in observations.iter().zip(outcomes) {
            // What was heard elsewhere before, and comes here now, is late here.
            let today = around(&mut self.received, observation.received_at.max(now));
            let is_over = observation.phenomenon_time < today.from || is_archived(observation.phenomenon_time);
            if is_over && *outcome != Outcome::Duplicate {
                let day = around(&mut self.phenomenon, observation.phenomenon_time);
                days.push((observation.datastream.0, day.from.micros()));
            }
        }
        days.sort_unstable();
        days.dedup();
        Self::put_days(commit, &days, changes)
    }

    /// Adds the mark of a commit that took something out of these days, by their first instant in µs.
    pub(crate) fn mark(&self, commit: u64, datastream: DatastreamId, days: &BTreeSet<i64>, changes: &mut Vec<Change>) -> bool {
        Self::put_days(commit, &days.iter().map(|day| (datastream.0, *day)).collect::<Vec<_>>(), changes)
    }

    fn put_days(commit: u64, days: &[(u32, i64)], changes: &mut Vec<Change>) -> bool {
        if days.is_empty() {
            return false;
        }
        let body = days.iter().flat_map(|(id, start)| id.to_le_bytes().into_iter().chain(start.to_le_bytes())).collect();
        changes
            .push(Change::Put { table: Table::Late, row: Row { part: 0, at: commit.cast_signed(), weight: 0, summary: Vec::new(), body } });
        true
    }
}

fn around(known: &mut Option<Interval>, at: Timestamp) -> Interval {
    match known {
        Some(day) if day.contains(at) => *day,
        _ => *known.insert(civil_day_around(at)),
    }
}

/// The last commit with a mark; 0 without one.
pub(crate) fn last_late(engine: &dyn Engine) -> Result<u64, Error> {
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    let last = engine.range(Table::Late, all, Order::Descending, 1)?;
    Ok(last.first().map_or(0, |row| row.at.cast_unsigned()))
}

/// Every mark that nobody has worked off, in the order of commits.
pub(crate) fn late_days(engine: &dyn Engine) -> Result<Vec<LateDay>, Error> {
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    let mut found = Vec::new();
    for row in engine.range(Table::Late, all, Order::Ascending, usize::MAX)? {
        for mark in row.body.chunks_exact(12) {
            let (Some((id, start)), commit) = (mark.split_first_chunk::<4>(), row.at.cast_unsigned()) else { continue };
            let Some((start, _)) = start.split_first_chunk::<8>() else { continue };
            let datastream = DatastreamId(u32::from_le_bytes(*id));
            found.push(LateDay { commit, datastream, start: Timestamp::from_micros(i64::from_le_bytes(*start)) });
        }
    }
    Ok(found)
}
