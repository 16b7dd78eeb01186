//! Opening: what the engine holds, back into memory. Replaying the log is exact: a record first takes out of the buffers what its commit
//! sealed, then adds its own points.

use super::cache::Cache;
use super::heads::Heads;
use super::layer::{ChunkWriter, Chunks, FETCH};
use super::log;
use super::stage::{existing, undamaged};
use super::tail::Tail;
use crate::Error;
use crate::engine::{Engine, Order, Span, Table};
use crate::ledger::Entry;
use std::collections::HashMap;
use std::sync::Arc;

/// What was found when a store was opened.
pub(crate) struct Recovered {
    pub(crate) chunks: Chunks,
    pub(crate) writer: ChunkWriter,
    /// Records that could not be read, which stay where they are.
    pub(crate) damage: Vec<Error>,
    /// What the records that are still in the log add to the ledger, by commit.
    pub(crate) entries: Vec<(u64, Vec<Entry>)>,
}

impl Chunks {
    /// Reads back what the engine holds: where chunks begin, the last of each datastream, and the log into the buffers.
    pub(crate) fn recover(engine: Arc<dyn Engine>) -> Result<Recovered, Error> {
        let (mut damage, mut entries) = (Vec::new(), Vec::new());
        let mut heads = Heads::default();
        let mut cache = Cache::default();
        let keys = engine.keys(Table::Chunk)?;
        for (place, key) in keys.iter().enumerate() {
            let Ok(id) = u32::try_from(key.part) else { continue };
            let head = heads.reach(id);
            head.starts.push(key.at);
            head.count += key.weight.cast_unsigned();
            head.first_at = head.first_at.min(key.at);
            head.last_chunk_points = u32::try_from(key.weight).unwrap_or(0);
            if keys.get(place + 1).is_some_and(|next| next.part == key.part) {
                continue;
            }
            match Tail::of(key) {
                Some(tail) => {
                    (head.sealed_end, head.last_chunk_points) = (tail.last.at, tail.points);
                    heads.set_last(id, Some(tail.last));
                }
                None => damage.extend(read_last(id, &mut heads, engine.as_ref(), &mut cache)),
            }
        }
        let mut writer = ChunkWriter::new(cache);
        let mut rows_of_replaced = RowsOfReplaced::default();
        let mut from = i64::MIN;
        loop {
            let rows = engine.range(Table::Log, Span { part: 0, from, to: i64::MAX }, Order::Ascending, FETCH)?;
            let Some(last) = rows.last() else { break };
            from = last.at + 1;
            for row in rows {
                let commit = row.at.cast_unsigned();
                writer.take_record(commit, row.body.len());
                match log::decode(&row.body) {
                    Ok(mut record) => {
                        entries.push((commit, std::mem::take(&mut record.entries)));
                        replay(record, commit, &mut heads, engine.as_ref(), &mut writer.cache, &mut rows_of_replaced)?;
                    }
                    Err(cause) => damage.push(cause),
                }
            }
        }
        heads.count_buffers();
        writer.take_full(heads.iter().filter(|(_, head)| head.wants_sealing()).map(|(id, _)| id));
        Ok(Recovered { chunks: Self::of(engine, heads), writer, damage, entries })
    }
}

/// Where the last chunk has no summary: the last chunk that can be read has the last point; where a damaged one ended nobody knows. What
/// is damaged.
fn read_last(id: u32, heads: &mut Heads, engine: &dyn Engine, cache: &mut Cache) -> Vec<Error> {
    let mut damage = Vec::new();
    let (mut last, mut sealed_end) = (None, i64::MIN);
    for start in heads.reach(id).starts.iter().rev() {
        match cache.chunk(engine, id, *start) {
            Ok(points) => {
                last = points.last().copied();
                sealed_end = sealed_end.max(last.map_or(*start, |last| last.at));
                break;
            }
            Err(cause) => {
                sealed_end = sealed_end.max(*start);
                damage.push(cause);
            }
        }
    }
    heads.reach(id).sealed_end = sealed_end;
    heads.set_last(id, last);
    damage
}

/// The last commit of each datastream whose replaced values have become rows, looked up when it is first asked for.
#[derive(Default)]
struct RowsOfReplaced {
    last: HashMap<u32, u64>,
}

impl RowsOfReplaced {
    fn hold(&mut self, id: u32, commit: u64, engine: &dyn Engine) -> Result<bool, Error> {
        if let Some(last) = self.last.get(&id) {
            return Ok(commit <= *last);
        }
        let all = Span { part: i64::from(id), from: i64::MIN, to: i64::MAX };
        // Where the last is damaged, what the log still holds of it becomes a row again.
        let rows = engine.range(Table::Superseded, all, Order::Descending, 1)?;
        let last = rows.first().map_or(0, |row| row.at.cast_unsigned());
        self.last.insert(id, last);
        Ok(commit <= last)
    }
}

fn replay(
    record: log::Record,
    commit: u64,
    heads: &mut Heads,
    engine: &dyn Engine,
    cache: &mut Cache,
    rows: &mut RowsOfReplaced,
) -> Result<(), Error> {
    for (id, through) in record.sealed {
        heads.reach(id).sealed_through(through, commit);
    }
    for (id, point) in record.points {
        let may_be_known = point.at <= heads.last_at(id as usize);
        let before = if may_be_known { undamaged(existing(heads, id, point.at, engine, cache), id)? } else { None };
        let head = heads.reach(id);
        if let Some(before) = before.filter(|before| *before != point)
            && !rows.hold(id, commit, engine)?
        {
            head.replace(commit, before);
        }
        let was_served = before.is_some_and(|before| !before.is_withdrawn());
        head.count = head.count.saturating_add_signed(i64::from(!point.is_withdrawn()) - i64::from(was_served));
        heads.insert(id, point, commit);
    }
    Ok(())
}
