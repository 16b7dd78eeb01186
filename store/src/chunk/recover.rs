//! Opening: what the engine holds, back into memory. Replaying the log is exact: a record first takes out of the buffers what its commit
//! sealed, then adds its own points.

use super::cache::Cache;
use super::heads::Heads;
use super::layer::{ChunkWriter, Chunks, FETCH};
use super::log;
use super::stage::{existing, undamaged};
use super::tail::Tail;
use crate::Error;
use crate::engine::{Damaged, Engine, Key, Order, Span, Table};
use crate::ledger::Entry;
use model::{DatastreamId, Timestamp};
use std::collections::{BTreeMap, HashMap};
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
        let keys = engine.keys(Table::Chunk)?;
        engine.keys(Table::Superseded)?;
        // Before anything is looked for by an index that does not say what was written.
        if engine.damaged().iter().any(|damaged| matches!(damaged, Damaged::Index { .. })) {
            engine.mend()?;
        }
        for key in &keys {
            let Ok(id) = u32::try_from(key.part) else { continue };
            let Some(tail) = Tail::of(key) else {
                // Nobody knows whose it is, and how many are in it.
                damage.push(unreadable_key(key));
                continue;
            };
            let head = heads.reach(id);
            match head.starts.last() {
                Some(last) if *last >= key.at => match head.starts.binary_search(&key.at) {
                    Ok(_) => continue,
                    Err(place) => head.starts.insert(place, key.at),
                },
                _ => head.starts.push(key.at),
            }
            head.count += key.weight.cast_unsigned();
            head.first_at = head.first_at.min(key.at);
            if tail.last.at >= head.sealed_end {
                (head.sealed_end, head.last_chunk_points) = (tail.last.at, tail.points);
                heads.set_last(id, Some(tail.last));
            }
        }
        let mut writer = ChunkWriter::new(Cache::default());
        let mut rows_of_replaced = RowsOfReplaced::default();
        let mut order = RecordOrder::default();
        let mut from = i64::MIN;
        loop {
            let rows = engine.range(Table::Log, Span { part: 0, from, to: i64::MAX }, Order::Ascending, FETCH)?;
            let Some(last) = rows.last() else { break };
            let beyond = last.at.saturating_add(1);
            let mut last_sound = None;
            for row in rows {
                let commit = row.at.cast_unsigned();
                match log::decode(commit, &row.body) {
                    // Where numbers are damaged, a search may come upon one twice.
                    Ok(_) if order.is_known(commit) => last_sound = Some(row.at),
                    Ok(mut record) => {
                        last_sound = Some(row.at);
                        order.sound(&record.link, row.body.len(), &mut writer, &mut damage);
                        entries.push((commit, std::mem::take(&mut record.entries)));
                        replay(record, commit, &mut heads, engine.as_ref(), &mut writer.cache, &mut rows_of_replaced)?;
                    }
                    Err(cause) => order.damaged(row.at, row.body.len(), cause, &mut damage),
                }
            }
            // A number that is not as it was written says nothing of where the next stands.
            let next = last_sound.map_or(beyond, |last: i64| last.saturating_add(1));
            if from == i64::MAX {
                break;
            }
            from = next.max(from + 1);
        }
        order.end(engine.last_record(), &mut writer, &mut damage);
        heads.count_buffers();
        writer.take_full(heads.iter().filter(|(_, head)| head.wants_sealing()).map(|(id, _)| id));
        let gone = engine.damaged().into_iter().filter_map(|damaged| match damaged {
            Damaged::Missing { table: Table::Chunk, weight, key: Some((part, at)), .. } => Some((u32::try_from(part).ok()?, at, weight)),
            _ => None,
        });
        let gone: Vec<_> = gone.collect();
        let chunks = Self::of(engine, heads);
        for (id, at, count) in gone {
            chunks.fences.put_missing(id, at, chunks.end_of_chunk(DatastreamId(id), at), count.cast_unsigned());
        }
        Ok(Recovered { chunks, writer, damage, entries })
    }
}

/// Whether the records of the log are all there: each says which stood before it, and the last which is the first.
#[derive(Default)]
struct RecordOrder {
    /// The first that is there, damaged or not; `None` before any.
    begins: Option<i64>,
    /// The last sound one, and damaged ones since, whose numbers may be wrong, with their bytes.
    last: u64,
    unread: BTreeMap<i64, usize>,
    /// Where the last sound one says that the log begins.
    said_first: u64,
}

impl RecordOrder {
    /// A number farther from the last sound one is no number of a record.
    const FAR: i64 = 1 << 20;

    fn is_known(&self, commit: u64) -> bool {
        commit <= self.last
    }

    fn damaged(&mut self, at: i64, bytes: usize, cause: Error, damage: &mut Vec<Error>) {
        self.begins.get_or_insert(at);
        if self.unread.insert(at, bytes).is_none() {
            damage.push(cause);
        }
    }

    fn sound(&mut self, link: &log::Link, bytes: usize, writer: &mut ChunkWriter, damage: &mut Vec<Error>) {
        let at = link.commit.cast_signed();
        let is_first = self.begins.is_none_or(|_| self.last == 0 && self.unread.is_empty());
        self.begins.get_or_insert(at);
        self.take_unread(at, writer);
        if !is_first && link.before != writer.last_record() {
            damage.push(missing(writer.last_record(), link.commit));
        }
        writer.take_record(link.commit, bytes);
        (self.last, self.said_first) = (link.commit, link.first);
    }

    /// Those whose numbers can be right keep them: none is given again.
    fn take_unread(&mut self, before: i64, writer: &mut ChunkWriter) {
        for (at, bytes) in std::mem::take(&mut self.unread) {
            if at > self.last.cast_signed() && at < before {
                writer.take_record(at.cast_unsigned(), bytes);
            }
        }
    }

    fn end(mut self, must_reach: i64, writer: &mut ChunkWriter, damage: &mut Vec<Error>) {
        let far = self.last.cast_signed().saturating_add(Self::FAR);
        self.take_unread(far, writer);
        if let Some(begins) = self.begins.filter(|begins| self.said_first != 0 && begins.cast_unsigned() > self.said_first) {
            damage.push(missing(self.said_first.saturating_sub(1), begins.cast_unsigned()));
        }
        // What went with a write-ahead log is named as that.
        if must_reach.cast_unsigned() > writer.last_record() {
            damage.push(missing(writer.last_record(), must_reach.cast_unsigned().saturating_add(1)));
            writer.pass(must_reach.cast_unsigned());
        }
    }
}

fn unreadable_key(key: &Key) -> Error {
    let at = Timestamp::from_micros(key.at);
    Error::Damaged {
        what: format!("the chunk of datastream number {} from {at}: its key, or what stands beside it, is not as it was written", key.part),
    }
}

fn missing(after: u64, before: u64) -> Error {
    Error::Damaged { what: format!("the log: what was committed after commit {after} and before {before} is not all there") }
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
        heads.reach(id).sealed_through(through);
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
