#[cfg(test)]
mod tests;

use super::cache::Cache;
use super::columns::Columns;
use super::fence::Fences;
use super::head::{Head, merge};
use super::heads::Heads;
use super::log::Link;
use super::pages::in_pages;
use super::stage::{Group, Portion, Staged, Stager, put_log, seal};
use super::tail::put_chunk;
use super::versions::Versions;
use super::{Point, codec};
use crate::Error;
use crate::engine::{Change, Engine, Order, Span, Table, damaged_rows};
use crate::ledger::Entry;
use model::{DatastreamId, Interval, Observation, Timestamp};
use std::collections::{HashSet, VecDeque};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes of log after which the oldest buffers are sealed though they are not full, so that reopening stays short.
const LOG_LIMIT: usize = 48 << 20;
/// The log grows by such a part of its limit before anybody looks what of it can go: looking and dropping cost as much for little as for much.
const LOG_STEPS: usize = 64;
/// The same for points in buffers, 24 bytes each, and for records of the log.
const BUFFERED_LIMIT: u64 = 8 << 20;
const RECORDS_LIMIT: usize = 1 << 20;
/// So many datastreams are sealed by one commit, that their chunks fill pages together; fewer when one can't wait.
const SEALED_TOGETHER: usize = 12;
/// The same beyond a limit, so that no commit takes long.
const OLDEST_TOGETHER: usize = 256;
/// Chunks fetched at once while reading on.
pub(super) const FETCH: usize = 32;

/// Points of one datastream, ascending in time.
pub(crate) enum Piece<'a> {
    /// These places of a chunk.
    Columns(&'a Columns, Range<usize>),
    Points(&'a [Point]),
}

/// The observations of a store: buffers in memory, log and chunks in an engine.
pub(crate) struct Chunks {
    engine: Arc<dyn Engine>,
    heads: RwLock<Heads>,
    pub(crate) fences: Fences,
}

/// What only the writer touches.
pub(crate) struct ChunkWriter {
    stager: Stager,
    pub(super) cache: Cache,
    /// Records that are still in the log, oldest first, with their bytes.
    log: VecDeque<(u64, usize)>,
    /// The last that was put into it, also when it has gone; 0 without one.
    last_record: u64,
    log_bytes: usize,
    log_limit: usize,
    buffered_limit: u64,
    records_limit: usize,
    /// Bytes of log at which it is looked for what can go.
    look_at: usize,
    /// Datastreams whose buffers are worth sealing.
    full: Vec<u32>,
    /// Those whose buffers are sealed because there is too much in all of them, and how many of them by one commit.
    oldest: VecDeque<u32>,
    oldest_together: usize,
    pub(crate) next_commit: u64,
}

impl Chunks {
    pub(super) fn of(engine: Arc<dyn Engine>, heads: Heads) -> Self {
        Self { engine, heads: RwLock::new(heads), fences: Fences::default() }
    }

    pub(super) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// With everything in the buffers.
    pub(super) fn heads_mut(&self) -> RwLockWriteGuard<'_, Heads> {
        let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
        heads.settle();
        heads
    }

    /// Gives the times between which something lies of each chunk and buffer.
    pub(crate) fn each_span(&self, mut each: impl FnMut(Timestamp, Timestamp)) {
        let mut each = |from: i64, to: i64| each(Timestamp::from_micros(from), Timestamp::from_micros(to));
        for (_, head) in self.settled().iter() {
            let ends = head.starts.iter().skip(1).copied().chain([head.sealed_end]);
            head.starts.iter().zip(ends).for_each(|(start, end)| each(*start, end.max(*start)));
            for buffer in [&head.fresh, &head.late] {
                buffer.iter().for_each(|point| each(point.at, point.at));
            }
        }
    }

    /// First times of the chunks that may hold something of `[from, to)`, each with that of the next.
    pub(super) fn starts(&self, datastream: DatastreamId, from: i64, to: i64) -> Vec<(i64, Option<i64>)> {
        let heads = self.heads();
        let Some(head) = heads.get(datastream.index()) else { return Vec::new() };
        let first = head.starts.partition_point(|start| *start <= from).saturating_sub(1);
        let nexts = head.starts.iter().skip(first + 1).copied().map(Some).chain([None]);
        head.starts.iter().skip(first).copied().zip(nexts).take_while(|(start, _)| *start < to).collect()
    }

    /// What came last may be in no buffer yet.
    fn heads(&self) -> RwLockReadGuard<'_, Heads> {
        self.heads.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// With everything in the buffers.
    fn settled(&self) -> RwLockReadGuard<'_, Heads> {
        let heads = self.heads();
        if heads.is_settled() {
            return heads;
        }
        drop(heads);
        RwLockWriteGuard::downgrade(self.heads_mut())
    }

    /// As a commit is prepared: with everything in the buffers when something is sealed along with it.
    fn heads_to_stage(&self, writer: &mut ChunkWriter) -> RwLockReadGuard<'_, Heads> {
        let mut heads = self.heads();
        if heads.has_full() {
            drop(heads);
            writer.take_full(self.heads.write().unwrap_or_else(PoisonError::into_inner).take_full());
            heads = self.heads();
        }
        if writer.is_sealing(&heads) {
            drop(heads);
            heads = RwLockWriteGuard::downgrade(self.heads_mut());
        }
        heads
    }

    /// Prepares a group: classified, with seals in `changes`; [`Chunks::put_log`] ends it. Nothing is true before [`Chunks::publish`].
    pub(crate) fn stage(&self, writer: &mut ChunkWriter, group: Group<'_>, changes: &mut Vec<Change>) -> Result<Staged, Error> {
        let heads = self.heads_to_stage(writer);
        let commit = writer.next_commit;
        let engine = self.engine.as_ref();
        let mut staged = writer.stager.stage(group, commit, &heads, engine, &mut writer.cache, changes)?;
        let mut wanted: Vec<(u32, Portion)> = Vec::new();
        if writer.is_sealing_full(&heads) {
            wanted.extend(writer.full.iter().map(|id| (*id, Portion::Full)));
        }
        if writer.oldest.is_empty() && writer.is_over_a_limit(&heads) {
            let cutoff = writer.log_cutoff();
            let mut oldest: Vec<(u64, u32)> =
                heads.iter().map(|(id, head)| (head.oldest, id)).filter(|(oldest, _)| *oldest <= cutoff).collect();
            oldest.sort_unstable();
            writer.oldest.extend(oldest.into_iter().map(|(_, id)| id));
        }
        let oldest: Vec<u32> = writer.oldest.iter().take(writer.oldest_together).copied().collect();
        let whole: HashSet<u32> = oldest.iter().copied().collect();
        wanted.retain(|(id, _)| !whole.contains(id));
        wanted.extend(oldest.into_iter().map(|id| (id, Portion::All)));
        let mut rows = Vec::new();
        for (id, portion) in wanted {
            if let Some(head) = heads.get(id as usize) {
                match seal((id, head), portion, engine, &mut writer.cache, changes, &mut rows) {
                    Ok(seal) => staged.seals.push(seal),
                    // The log keeps the points; the damage is named, and others go on.
                    Err(cause @ Error::Damaged { .. }) => {
                        tracing::error!(event = "damaged", datastream = id, %cause, "a datastream can't be sealed; its points stay in the log");
                        writer.full.retain(|full| *full != id);
                        writer.oldest.retain(|oldest| *oldest != id);
                    }
                    Err(cause) => return Err(cause),
                }
            }
        }
        changes.extend(in_pages(rows).into_iter().map(put_chunk));
        staged.freed = writer.free_log_through(&heads, &staged);
        staged.link = writer.link(commit, staged.freed);
        Ok(staged)
    }

    /// Adds the log record of a prepared group to `changes`, and drops the records that nobody needs any more.
    pub(crate) fn put_log(staged: &mut Staged, entries: &[Entry], changes: &mut Vec<Change>) {
        put_log(staged, entries, changes);
        if let Some(upto) = staged.freed {
            changes.push(Change::DropThrough { table: Table::Log, part: 0, at: upto.cast_signed() });
        }
    }

    /// Makes a committed group visible.
    pub(crate) fn publish(&self, writer: &mut ChunkWriter, staged: &mut Staged) {
        writer.next_commit = staged.commit + 1;
        if staged.log_bytes == 0 {
            return;
        }
        writer.last_record = staged.commit;
        writer.log.push_back((staged.commit, staged.log_bytes));
        writer.log_bytes += staged.log_bytes;
        let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
        for seal in &staged.seals {
            let head = heads.reach(seal.datastream);
            let points = seal.fresh + head.late.len();
            head.sealed(seal);
            head.count = head.count.saturating_sub(seal.lost);
            heads.sealed(points);
            writer.full.retain(|full| *full != seal.datastream);
            while writer.oldest.pop_front_if(|oldest| *oldest == seal.datastream).is_some() {}
            seal.gone.iter().for_each(|start| self.fences.remove(seal.datastream, *start));
        }
        let kept = staged.outcomes.iter().copied().filter(|outcome| *outcome != crate::Outcome::Duplicate);
        heads.take(&staged.points, kept, staged.sought, staged.commit);
        if !staged.recounted.is_empty() {
            heads.settle();
        }
        for (id, change) in &staged.recounted {
            let head = heads.reach(*id);
            head.count = head.count.saturating_add_signed(*change);
        }
        staged.replaced_put.iter().for_each(|id| heads.reach(*id).replaced.clear());
        for (id, point) in &staged.replaced {
            if heads.reach(*id).replace(staged.commit, *point) {
                writer.take_full([*id]);
            }
        }
        drop(heads);
        writer.forget_log(staged);
        writer.stager.give_back(std::mem::take(&mut staged.points));
    }

    /// Seals every buffer: for benches and for a store that will rest.
    pub(crate) fn stage_seal_all(&self, writer: &mut ChunkWriter, changes: &mut Vec<Change>) -> Result<Staged, Error> {
        let limit = std::mem::replace(&mut writer.log_limit, 0);
        writer.oldest.clear();
        writer.oldest_together = usize::MAX;
        writer.log_bytes += 1; // Over the limit even with an empty log.
        let staged = self.stage(writer, Group { observations: &[], is_correction: false }, changes);
        writer.log_bytes -= 1;
        writer.log_limit = limit;
        writer.oldest.clear();
        writer.oldest_together = OLDEST_TOGETHER;
        staged
    }

    /// The point of the greatest time.
    pub(crate) fn last(&self, datastream: DatastreamId) -> Option<Observation> {
        let last = self.heads().last(datastream.index())?;
        self.served(datastream, last)
    }

    /// `last`, or what stands before it when it was withdrawn.
    fn served(&self, datastream: DatastreamId, last: Point) -> Option<Observation> {
        if !last.is_withdrawn() {
            return Some(last.observation(datastream));
        }
        match self.last_before(datastream, last.at, 1, None) {
            Ok(before) => before.last().map(|point| point.observation(datastream)),
            Err(cause) => {
                tracing::error!(event = "damaged", datastream = datastream.0, %cause, "what stands before a withdrawn value can't be read");
                None
            }
        }
    }

    /// The last of many at once, in the order asked.
    pub(crate) fn last_of(&self, datastreams: &[DatastreamId]) -> Vec<Option<Observation>> {
        let heads = self.heads();
        let mut withdrawn = Vec::new();
        let mut found = Vec::with_capacity(datastreams.len());
        for id in datastreams {
            let last = heads.last(id.index());
            if let Some(last) = last.filter(Point::is_withdrawn) {
                withdrawn.push((found.len(), *id, last));
            }
            found.push(last.map(|last| last.observation(*id)));
        }
        drop(heads);
        for (place, id, last) in withdrawn {
            if let Some(found) = found.get_mut(place) {
                *found = self.served(id, last);
            }
        }
        found
    }

    /// Count, first and last time.
    pub(crate) fn extent(&self, datastream: DatastreamId) -> Option<(u64, i64, i64)> {
        let heads = self.settled();
        let head = heads.get(datastream.index())?;
        let (count, first_at, last) = (head.count, head.first_at, heads.last(datastream.index())?);
        drop(heads);
        let count = count.saturating_sub(self.fences.counted(Some(datastream.0)));
        Some((count, first_at, self.served(datastream, last)?.phenomenon_time.micros()))
    }

    pub(crate) fn observations(&self) -> u64 {
        let counted: u64 = self.settled().iter().map(|(_, head)| head.count).sum();
        counted.saturating_sub(self.fences.counted(None))
    }

    /// Gives every point of `interval`, as it was served at `as_of` or is now, to `each`, ascending, each time once, until it breaks.
    pub(crate) fn visit(
        &self,
        datastream: DatastreamId,
        interval: Interval,
        as_of: Option<Timestamp>,
        each: impl FnMut(Point) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.visit_of(datastream, interval, &self.versions(datastream, as_of)?, each)
    }

    /// As [`Chunks::visit`], with the choice among the values of one time made before.
    pub(crate) fn visit_of(
        &self,
        datastream: DatastreamId,
        interval: Interval,
        versions: &Versions,
        mut each: impl FnMut(Point) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut each = |point: Point| versions.of(point).map_or(ControlFlow::Continue(()), &mut each);
        self.visit_pieces(datastream, interval, |piece| match piece {
            Piece::Columns(columns, range) => columns.each_point(range, &mut each),
            Piece::Points(points) => points.iter().try_for_each(|point| each(*point)),
        })
    }

    /// Gives what stands in `interval`, withdrawn or not, to `each` in pieces, ascending, each time once, until it breaks.
    pub(crate) fn visit_pieces(
        &self,
        datastream: DatastreamId,
        interval: Interval,
        mut each: impl FnMut(Piece<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let (from, to) = (interval.from.micros(), interval.to.micros());
        // Buffers before chunks: what is sealed in between is seen twice, never missed.
        let buffered = self.buffered(datastream, from, to);
        let mut waiting = buffered.as_slice();
        let mut columns = Columns::default();
        let mut next = from;
        // The first time that was not given yet.
        let mut from = from;
        let mut first_fetch = true;
        loop {
            let span = Span { part: i64::from(datastream.0), from: next, to: to.saturating_sub(1) };
            let rows = if first_fetch {
                self.engine.covering(Table::Chunk, span, FETCH)?
            } else {
                self.engine.range(Table::Chunk, span, Order::Ascending, FETCH)?
            };
            first_fetch = false;
            let done = rows.len() < FETCH;
            for row in rows {
                next = row.at.saturating_add(1);
                if !self.fences.read(&mut columns, datastream.0, &row, || self.end_of_chunk(datastream, row.at)) {
                    continue;
                }
                let range = columns.within(from, to);
                let Some(last) = columns.times.get(range.clone()).and_then(<[i64]>::last).copied() else { continue };
                let (mine, rest) = waiting.split_at(waiting.partition_point(|buffered| buffered.at <= last));
                waiting = rest;
                from = last.saturating_add(1);
                let flow = if mine.is_empty() {
                    each(Piece::Columns(&columns, range))
                } else {
                    each(Piece::Points(&merge(columns.points().get(range).unwrap_or_default(), mine)))
                };
                if flow.is_break() {
                    return Ok(());
                }
            }
            if done {
                break;
            }
        }
        if !waiting.is_empty() {
            let _ = each(Piece::Points(waiting));
        }
        Ok(())
    }

    /// The observations of `interval`, ascending, at most `limit` from the earliest.
    pub(crate) fn scan(
        &self,
        datastream: DatastreamId,
        interval: Interval,
        limit: usize,
        as_of: Option<Timestamp>,
    ) -> Result<Vec<Observation>, Error> {
        let mut found = Vec::new();
        if interval.is_empty() || limit == 0 {
            return Ok(found);
        }
        self.visit(datastream, interval, as_of, |point| {
            found.push(point.observation(datastream));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }

    /// What the commits `from` to `to`, both included, replaced, in their order.
    pub(crate) fn superseded(&self, datastream: DatastreamId, from: u64, to: u64) -> Result<Vec<Observation>, Error> {
        Ok(self.replaced_by(datastream, from, to)?.into_iter().map(|point| point.observation(datastream)).collect())
    }

    /// How many replaced values have not become rows.
    pub(crate) fn replaced_waiting(&self) -> u64 {
        self.heads().iter().map(|(_, head)| head.replaced.len() as u64).sum()
    }

    /// As [`Chunks::superseded`]: what has become rows, and after it what waits for the next seal.
    pub(super) fn replaced_by(&self, datastream: DatastreamId, from: u64, to: u64) -> Result<Vec<Point>, Error> {
        // What waits before the rows: what becomes one in between is seen twice, never missed.
        let waiting = self.heads().get(datastream.index()).map_or_else(Vec::new, |head| head.replaced.clone());
        let span = Span { part: i64::from(datastream.0), from: from.cast_signed(), to: i64::try_from(to).unwrap_or(i64::MAX) };
        let (mut found, mut in_rows) = (Vec::new(), 0);
        let rows = self.engine.range(Table::Superseded, span, Order::Ascending, usize::MAX)?;
        // Without one of them the others would tell another story.
        if let Some(at) =
            damaged_rows(self.engine.as_ref(), Table::Superseded, span.part).iter().find(|at| (span.from..=span.to).contains(at))
        {
            return Err(Error::Damaged { what: format!("what commit {at} replaced in datastream number {}", datastream.0) });
        }
        for row in rows {
            in_rows = row.at.cast_unsigned();
            found.extend(codec::decode(Table::Superseded, &row)?);
        }
        let waiting = waiting.into_iter().filter(|(commit, _)| (from..=to).contains(commit) && *commit > in_rows);
        found.extend(waiting.map(|(_, point)| point));
        Ok(found)
    }

    /// The last `limit` points before `to`, as they were served at `as_of` or are now, ascending.
    pub(crate) fn last_before(
        &self,
        datastream: DatastreamId,
        to: i64,
        limit: usize,
        as_of: Option<Timestamp>,
    ) -> Result<Vec<Point>, Error> {
        let versions = self.versions(datastream, as_of)?;
        let buffered = self.buffered(datastream, i64::MIN, to);
        let mut found = buffered;
        let mut upto = to;
        // Chunks from the newest, until enough points are known and no chunk can hold a later one than the earliest of them.
        while upto > i64::MIN {
            let span = Span { part: i64::from(datastream.0), from: i64::MIN, to: upto.saturating_sub(1) };
            let rows = self.engine.range(Table::Chunk, span, Order::Descending, 1)?;
            let Some(row) = rows.first() else { break };
            let points = self.fences.decode(datastream.0, row, || self.end_of_chunk(datastream, row.at));
            let inside = points.partition_point(|point| point.at < to);
            found = merge(points.get(..inside).unwrap_or(&[]), &found);
            upto = row.at;
            let certain = found.get(found.partition_point(|point| point.at < upto)..).unwrap_or(&[]);
            if certain.iter().filter(|point| versions.of(**point).is_some()).count() >= limit {
                break;
            }
        }
        let mut found: Vec<Point> = found.into_iter().filter_map(|point| versions.of(point)).collect();
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }

    /// Where the chunk after the one from `start` begins; what is sealed ends there after the last.
    pub(super) fn end_of_chunk(&self, datastream: DatastreamId, start: i64) -> i64 {
        let heads = self.heads();
        let Some(head) = heads.get(datastream.index()) else { return start };
        let after = head.starts.partition_point(|other| *other <= start);
        head.starts.get(after).copied().unwrap_or(head.sealed_end).max(start)
    }

    fn buffered(&self, datastream: DatastreamId, from: i64, to: i64) -> Vec<Point> {
        let heads = self.settled();
        let Some(head) = heads.get(datastream.index()) else { return Vec::new() };
        let inside = |points: &[Point]| {
            let start = points.partition_point(|point| point.at < from);
            let end = points.partition_point(|point| point.at < to);
            points.get(start..end).unwrap_or(&[]).to_vec()
        };
        let mut found = inside(&head.late);
        found.extend(inside(&head.fresh));
        found
    }
}

impl ChunkWriter {
    pub(super) fn new(cache: Cache) -> Self {
        Self {
            stager: Stager::default(),
            cache,
            log: VecDeque::new(),
            last_record: 0,
            log_bytes: 0,
            log_limit: LOG_LIMIT,
            buffered_limit: BUFFERED_LIMIT,
            records_limit: RECORDS_LIMIT,
            look_at: 0,
            full: Vec::new(),
            oldest: VecDeque::new(),
            oldest_together: OLDEST_TOGETHER,
            next_commit: 1,
        }
    }
    /// A commit that put a record of `bytes` into the log by itself.
    pub(super) fn take_record(&mut self, commit: u64, bytes: usize) {
        self.next_commit = commit + 1;
        self.last_record = commit;
        self.log.push_back((commit, bytes));
        self.log_bytes += bytes;
    }
    /// The number of a commit whose record is gone is not given again.
    pub(super) fn pass(&mut self, commit: u64) {
        self.next_commit = self.next_commit.max(commit + 1);
    }
    pub(super) fn last_record(&self) -> u64 {
        self.last_record
    }
    /// These are worth sealing.
    pub(super) fn take_full(&mut self, full: impl IntoIterator<Item = u32>) {
        self.full.extend(full);
        self.full.sort_unstable();
        self.full.dedup();
    }
    /// Where the record of `commit` will stand, when those up to `freed`, included, go along with it.
    pub(super) fn link(&self, commit: u64, freed: Option<u64>) -> Link {
        let mut kept = self.log.iter().map(|(commit, _)| *commit);
        let first = kept.find(|kept| freed.is_none_or(|freed| *kept > freed)).unwrap_or(commit);
        Link { commit, before: self.last_record, first }
    }
    /// The log was dropped whole.
    pub(crate) fn forget_all_records(&mut self) {
        self.log.clear();
        (self.log_bytes, self.look_at) = (0, self.log_limit / LOG_STEPS);
    }
    pub(super) fn forget_chunk(&mut self, datastream: u32, start: i64) {
        self.cache.forget(datastream, start);
    }
    pub(super) fn chunk(&mut self, engine: &dyn Engine, datastream: u32, start: i64) -> Result<Arc<[Point]>, Error> {
        self.cache.chunk(engine, datastream, start)
    }
    fn is_sealing_full(&self, heads: &Heads) -> bool {
        let is_urgent = |id: &u32| heads.get(*id as usize).is_some_and(Head::is_overfull);
        self.full.len() >= SEALED_TOGETHER || self.full.iter().any(is_urgent)
    }
    fn is_sealing(&self, heads: &Heads) -> bool {
        self.is_sealing_full(heads) || !self.oldest.is_empty() || self.is_over_a_limit(heads)
    }
    fn is_over_a_limit(&self, heads: &Heads) -> bool {
        self.log_bytes > self.log_limit || heads.buffered_points() > self.buffered_limit || self.log.len() > self.records_limit
    }
    /// The commit up to which buffers are sealed so that half the log is freed.
    fn log_cutoff(&self) -> u64 {
        let half = self.log_bytes.min(self.log_limit) / 2;
        let mut left = self.log_bytes;
        for (commit, bytes) in &self.log {
            if left <= half {
                return *commit;
            }
            left = left.saturating_sub(*bytes);
        }
        u64::MAX - 1
    }
    /// The last record that nobody needs once `staged` is committed.
    fn free_log_through(&mut self, heads: &Heads, staged: &Staged) -> Option<u64> {
        let (first, _) = self.log.front()?;
        if !self.is_over_a_limit(heads) && (staged.seals.is_empty() || self.log_bytes < self.look_at) {
            return None;
        }
        self.look_at = self.log_bytes + self.log_limit / LOG_STEPS;
        let mut sealed: Vec<u32> = staged.seals.iter().map(|seal| seal.datastream).collect();
        sealed.sort_unstable();
        let untouched = heads.iter().filter(|(id, _)| sealed.binary_search(id).is_err()).map(|(_, head)| head.oldest);
        let still_open = untouched.chain(staged.seals.iter().map(|seal| seal.oldest_left));
        // The record of this commit stays: its points are in no chunk.
        let needed = still_open.min().unwrap_or(u64::MAX).min(staged.commit);
        (needed > *first).then(|| needed - 1)
    }
    fn forget_log(&mut self, staged: &Staged) {
        if let Some(upto) = staged.freed {
            while let Some((_, bytes)) = self.log.pop_front_if(|(commit, _)| *commit <= upto) {
                self.log_bytes -= bytes;
            }
            self.look_at = self.log_bytes + self.log_limit / LOG_STEPS;
        }
    }
}
