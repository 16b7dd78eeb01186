//! Taking observations out for good: chunk by chunk, a few to a commit, so that it takes as little memory for ten years as for a day.

use super::layer::{ChunkWriter, Chunks};
use super::tail::{chunk_row, put_chunk, superseded_row};
use super::{Point, codec, log};
use crate::Error;
use crate::engine::{Change, Order, Row, Span, Table, damaged_rows};
use model::{DatastreamId, Interval, Timestamp, civil_day_around};
use std::collections::BTreeSet;

/// Chunks that one commit cuts.
const AT_ONCE: usize = 32;

/// A step of a deletion, prepared for a commit.
pub(crate) struct Cut {
    pub(crate) datastream: DatastreamId,
    pub(crate) commit: u64,
    pub(crate) changes: Vec<Change>,
    /// Served observations that go with it.
    pub(crate) removed: u64,
    /// Civil days that they were of, by their first instant in µs.
    pub(crate) days: BTreeSet<i64>,
    gone: Vec<i64>,
    new: Vec<i64>,
    log_bytes: usize,
}

/// What becomes of the records of the log that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Records {
    Stay,
    /// The caller drops them by the same commit.
    Go,
}

impl Chunks {
    /// Prepares the next step of taking what had come by `came_by`, to the second, of `interval` out of a datastream whose buffers are
    /// sealed; `None` when nothing of it is left.
    pub(crate) fn stage_cut(
        &self,
        writer: &ChunkWriter,
        datastream: DatastreamId,
        interval: Interval,
        came_by: Timestamp,
        records: Records,
    ) -> Result<Option<Cut>, Error> {
        let (from, to) = (interval.from.micros(), interval.to.micros());
        let part = i64::from(datastream.0);
        let mut cut = Cut {
            datastream,
            commit: writer.next_commit,
            changes: Vec::new(),
            removed: 0,
            days: BTreeSet::new(),
            gone: Vec::new(),
            new: Vec::new(),
            log_bytes: 0,
        };
        let stays = |point: &Point| point.at < from || point.at >= to || i64::from(point.received_s) > came_by.seconds();
        let mut day: Option<Interval> = None;
        for (start, next) in self.starts(datastream, from, to) {
            let row = self.engine().range(Table::Chunk, Span { part, from: start, to: start }, Order::Ascending, 1)?.pop();
            let Some(row) = row else { continue };
            let points = match codec::decode(Table::Chunk, &row) {
                Ok(points) => points,
                // What can't be read goes when all of it lies inside.
                Err(_) if start >= from && next.is_none_or(|next| next <= to) => {
                    cut.removed += row.weight.cast_unsigned();
                    Vec::new()
                }
                Err(_) => continue,
            };
            let kept: Vec<Point> = points.iter().filter(|point| stays(point)).copied().collect();
            if kept.len() == points.len() && !points.is_empty() {
                continue;
            }
            for point in points.iter().filter(|point| !stays(point) && !point.is_withdrawn()) {
                cut.removed += 1;
                let at = Timestamp::from_micros(point.at);
                if !day.is_some_and(|day| day.contains(at)) {
                    cut.days.insert(day.insert(civil_day_around(at)).from.micros());
                }
            }
            cut.changes.push(Change::Delete { table: Table::Chunk, part, at: start });
            cut.gone.push(start);
            if let Some(row) = chunk_row(datastream.0, &kept)? {
                cut.new.push(row.at);
                cut.changes.push(put_chunk(row));
            }
            if cut.gone.len() == AT_ONCE {
                break;
            }
        }
        self.cut_replaced(part, &stays, &mut cut.changes)?;
        // What can't be read may hold what goes: it goes with all of the rest.
        if (from, to) == (i64::MIN, i64::MAX) {
            let damaged = damaged_rows(self.engine(), Table::Superseded, part).into_iter();
            cut.changes.extend(damaged.map(|at| Change::Delete { table: Table::Superseded, part, at }));
        }
        if cut.changes.is_empty() {
            return Ok(None);
        }
        // A record of its own, so that the number of this commit is never given again.
        let freed = (records == Records::Go).then(|| cut.commit.saturating_sub(1));
        let body = log::encode(writer.link(cut.commit, freed), &[], &[(datastream.0, i64::MAX)], &[]);
        cut.log_bytes = body.len();
        cut.changes.push(Change::Put {
            table: Table::Log,
            row: Row { part: 0, at: cut.commit.cast_signed(), weight: 0, summary: Vec::new(), body },
        });
        Ok(Some(cut))
    }

    /// What was replaced goes with what replaced it.
    fn cut_replaced(&self, part: i64, stays: &dyn Fn(&Point) -> bool, changes: &mut Vec<Change>) -> Result<(), Error> {
        for row in self.engine().range(Table::Superseded, Span { part, from: i64::MIN, to: i64::MAX }, Order::Ascending, usize::MAX)? {
            let Ok(points) = codec::decode(Table::Superseded, &row) else { continue };
            let kept: Vec<Point> = points.iter().filter(|point| stays(point)).copied().collect();
            if kept.len() == points.len() {
                continue;
            }
            changes.push(match kept.is_empty() {
                true => Change::Delete { table: Table::Superseded, part, at: row.at },
                false => Change::Put { table: Table::Superseded, row: superseded_row(part, row.at, &kept)? },
            });
        }
        Ok(())
    }

    /// Makes a committed step true for readers.
    pub(crate) fn publish_cut(&self, writer: &mut ChunkWriter, cut: &Cut) {
        writer.take_record(cut.commit, cut.log_bytes);
        for start in &cut.gone {
            writer.forget_chunk(cut.datastream.0, *start);
            self.fences.remove(cut.datastream.0, *start);
        }
        let mut heads = self.heads_mut();
        let head = heads.reach(cut.datastream.0);
        head.starts.retain(|start| !cut.gone.contains(start));
        for start in &cut.new {
            if let Err(place) = head.starts.binary_search(start) {
                head.starts.insert(place, *start);
            }
        }
        head.count = head.count.saturating_sub(cut.removed);
        head.first_at = head.starts.first().copied().unwrap_or(i64::MAX);
        let Some(start) = head.starts.last().copied() else {
            (head.sealed_end, head.last_chunk_points) = (i64::MIN, 0);
            return heads.set_last(cut.datastream.0, None);
        };
        match writer.chunk(self.engine(), cut.datastream.0, start) {
            Ok(points) => {
                head.last_chunk_points = u32::try_from(points.len()).unwrap_or(u32::MAX);
                head.sealed_end = points.last().map_or(start, |last| last.at);
                heads.set_last(cut.datastream.0, points.last().copied());
            }
            Err(cause) => {
                tracing::error!(event = "damaged", datastream = cut.datastream.0, %cause, "what is now the last chunk can't be read")
            }
        }
    }
}
