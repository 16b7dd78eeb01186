//! What came late: which civil days must be derived again. Marked in the very commit that holds the late observations, so that
//! neither a kill nor a restart can part the two.

use crate::chunk::{Reader, put_varint, zigzag};
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
        let body = encode(days);
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

/// How the marks of a commit are coded.
const VERSION: u8 = 1;

/// Marks of a commit, ascending, as runs: mostly all that is measured is late together. The version, how many runs; of each the day as it differs from
/// the one before, in seconds, how many numbers of datastreams lie between it and the run before of that day, and how long it is.
fn encode(days: &[(u32, i64)]) -> Vec<u8> {
    let mut by_day: Vec<(i64, u32)> = days.iter().map(|(id, start)| (start.div_euclid(SECOND), *id)).collect();
    by_day.sort_unstable();
    let runs: Vec<&[(i64, u32)]> = by_day.chunk_by(|(day, id), (next_day, next)| day == next_day && *next == *id + 1).collect();
    let mut out = vec![VERSION];
    put_varint(&mut out, runs.len() as u64);
    let (mut last_day, mut last) = (0, 0);
    for run in runs {
        let Some((day, id)) = run.first() else { continue };
        put_varint(&mut out, zigzag(day - last_day));
        put_varint(&mut out, zigzag(i64::from(*id) - last));
        put_varint(&mut out, run.len() as u64);
        (last_day, last) = (*day, i64::from(*id));
    }
    out
}

const SECOND: i64 = 1_000_000;

/// Datastreams and first instants of days in µs.
fn decode(body: &[u8]) -> Result<Vec<(u32, i64)>, Error> {
    let mut days = Vec::new();
    let damaged = || Error::Damaged { what: "marks of late days".into() };
    let mut reader = Reader::new(body);
    match reader.byte()? {
        VERSION => {}
        other => {
            let what = format!("marks of late days of version {other}, which this pescaia does not know; use a newer one");
            return Err(Error::Damaged { what });
        }
    }
    let (mut day, mut first) = (0_i64, 0_i64);
    for _ in 0..reader.length()? {
        day = day.wrapping_add(reader.zigzag()?);
        first = first.wrapping_add(reader.zigzag()?);
        let from = u32::try_from(first).map_err(|_| damaged())?;
        let to = reader.length().ok().and_then(|length| from.checked_add(u32::try_from(length).ok()?)).ok_or_else(damaged)?;
        days.extend((from..to).map(|id| (id, day.wrapping_mul(SECOND))));
    }
    Ok(days)
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
        let commit = row.at.cast_unsigned();
        let days = decode(&row.body).unwrap_or_else(|cause| {
            tracing::error!(event = "damaged", commit, %cause, "which days came late with a commit can't be read; derive them all again");
            Vec::new()
        });
        found.extend(days.into_iter().map(|(id, start)| LateDay {
            commit,
            datastream: DatastreamId(id),
            start: Timestamp::from_micros(start),
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_and_those_of_another_version_are_refused_by_name() {
        let day = 1_795_000_000 * SECOND;
        let all: Vec<(u32, i64)> = (0..2000).map(|id| (id, day)).collect();
        assert!(encode(&all).len() < 16, "a run takes no more for two thousand than for one");
        let some = [(3, day), (4, day - 86_400 * SECOND), (4, day), (5, day), (900, day + 90_000 * SECOND), (u32::MAX - 1, -day)];
        let twelve: Vec<(u32, i64)> = (0..60).map(|n| (n * 3, day)).collect();
        for days in (0..twelve.len()).filter_map(|n| twelve.get(..n)).chain([&all[..], &some[..]]) {
            let (mut expected, mut found) = (days.to_vec(), decode(&encode(days)).unwrap());
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected);
        }
        let mut newer = encode(&some);
        newer[0] = 2;
        assert!(decode(&newer).unwrap_err().to_string().contains("version 2"));
    }
}
