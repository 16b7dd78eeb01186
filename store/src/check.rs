//! Looking at a whole store, or at a backup, without changing it: every byte that has a checksum is read, every list is walked.

use crate::chunk::{Chunks, Versions, decode_points};
use crate::digest::hex;
use crate::engine::{Depth, Engine, Order, Row, Span, Sqlite, Table};
use crate::registry::Registry;
use crate::store::registry_of;
use crate::{Error, audit, explain, ledger, outbox, published, wal_check};
use model::{DatastreamId, Interval, Timestamp};
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Rows that are looked at together.
const FETCH: usize = 64;
/// Damages that are told; all are counted.
const MOST: usize = 50;

/// What a store, or a backup, holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The last commit in it: what was acknowledged with it or before is there.
    pub commit: u64,
    pub datastreams: u64,
    /// Those that are served.
    pub observations: u64,
    /// Values that were replaced, and are kept.
    pub replaced: u64,
    pub bytes: u64,
    /// The datastream with the greatest time, and that time.
    pub newest: Option<(String, Timestamp)>,
    /// SHA-256 over every served observation, datastream by datastream: the same for two stores that serve the same, however they
    /// hold it.
    pub digest: String,
    /// What is not as it was written, each with its place. Empty when all is well.
    pub damage: Vec<String>,
    /// Damages beyond those that are told.
    pub more_damage: usize,
}

impl Checked {
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }
    fn found(&mut self, what: String) {
        if self.damage.len() < MOST {
            self.damage.push(what);
        } else {
            self.more_damage += 1;
        }
    }
}

/// Reads all of the database file at `path`, as it is at this moment, beside an instance or without one. `progress` hears how many of
/// the datastreams were read.
///
/// # Errors
/// [`Error::Foreign`], [`Error::Newer`], or [`Error::Io`] when it can't be opened at all; what is damaged in it is in the answer.
pub fn check(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Checked, Error> {
    let (engine, faults) = Sqlite::snapshot(path).map_err(|cause| explain::of_file(path, cause))?;
    let engine: Arc<dyn Engine> = Arc::new(engine);
    let mut checked = Checked {
        commit: 0,
        datastreams: 0,
        observations: 0,
        replaced: 0,
        newest: None,
        bytes: std::fs::metadata(path).map_or(0, |found| found.len()),
        digest: String::new(),
        damage: Vec::new(),
        more_damage: 0,
    };
    for fault in faults {
        checked.found(format!("the database file: {fault}"));
    }
    if let Err(cause) = contents(&engine, &mut checked, progress) {
        checked.found(cause.to_string());
    }
    if engine.lacks_log() {
        checked.found(wal_check::words(checked.commit));
    }
    Ok(checked)
}

fn contents(engine: &Arc<dyn Engine>, checked: &mut Checked, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Error> {
    engine.look_over(Depth::All)?;
    // Published files are named below, as what they are.
    for damaged in engine.damaged().iter().filter(|damaged| damaged.kind() != Table::File.name()) {
        checked.found(damaged.to_string());
    }
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    let last = engine.range(Table::Log, all, Order::Descending, 1)?;
    checked.commit = last.first().map_or(0, |row| row.at.cast_unsigned());
    let registry = registry_of(engine.as_ref())?;
    let recovered = Chunks::recover(engine.clone())?;
    for cause in recovered.damage {
        checked.found(cause.to_string());
    }
    if let Err(cause) = ledger::Book::restore(engine.as_ref(), recovered.entries) {
        checked.found(cause.to_string());
    }
    observations(&recovered.chunks, &registry, checked, progress);
    chunks(engine.as_ref(), &registry, checked)?;
    replaced(engine.as_ref(), &registry, checked)?;
    checked.replaced += recovered.chunks.replaced_waiting();
    for looked in [audit::entries(engine.as_ref()).map(drop), audit::of_others(engine.as_ref()).map(drop)] {
        if let Err(cause) = looked {
            checked.found(cause.to_string());
        }
    }
    for cause in published::damage(engine.as_ref())? {
        checked.found(cause.to_string());
    }
    each_row(engine.as_ref(), Table::Outbox, 0, |row| {
        if let Err(cause) = outbox::decode(row) {
            checked.found(format!("what is owed to the centre, at {}: {cause}", row.at));
        }
    })
}

/// All that is served, into the digest.
fn observations(chunks: &Chunks, registry: &Registry, checked: &mut Checked, progress: &mut dyn FnMut(u64, u64)) {
    let mut whole = Sha256::new();
    let of = registry.by_key.len() as u64;
    for ((key, id), done) in registry.by_key.iter().zip(1_u64..) {
        let (mut one, mut count, mut last) = (Sha256::new(), 0_u64, None);
        let looked = chunks.visit_of(*id, Interval::ALL, &Versions::Now, |point| {
            count += 1;
            last = Some(Timestamp::from_micros(point.at));
            one.update(point.at.to_le_bytes());
            one.update(point.value.to_bits().to_le_bytes());
            one.update(point.quality.to_le_bytes());
            one.update(point.received_s.to_le_bytes());
            ControlFlow::Continue(())
        });
        if let Err(cause) = looked {
            checked.found(format!("datastream {key}: {cause}"));
        }
        if let Some(last) = last.filter(|last| checked.newest.as_ref().is_none_or(|(_, newest)| last > newest)) {
            checked.newest = Some((key.to_string(), last));
        }
        if count > 0 {
            whole.update(format!("{key}\t{count}\t{}\n", hex(&one.finalize())));
            checked.datastreams += 1;
            checked.observations += count;
        }
        progress(done, of);
    }
    checked.digest = hex(&whole.finalize());
}

fn name(registry: &Registry, part: i64) -> String {
    let found = u32::try_from(part).ok().and_then(|number| registry.datastream(DatastreamId(number)));
    found.map_or_else(|| format!("datastream number {part}, which nobody knows"), |datastream| format!("datastream {}", datastream.key))
}

/// Whether each chunk holds what its key says, and none reaches into the next.
fn chunks(engine: &dyn Engine, registry: &Registry, checked: &mut Checked) -> Result<(), Error> {
    for part in parts(engine, Table::Chunk)? {
        let mut end = None;
        each_row(engine, Table::Chunk, part, |row| match decode_points(Table::Chunk, row) {
            Err(cause) => checked.found(format!("{}, chunk from {}: {cause}", name(registry, part), model::Timestamp::from_micros(row.at))),
            Ok(points) => {
                let served = points.iter().filter(|point| !point.is_withdrawn()).count();
                let first = points.first().map(|point| point.at);
                let ascends = points.is_sorted_by(|one, other| one.at < other.at) && end.is_none_or(|end| Some(end) < first);
                if first != Some(row.at) || i64::try_from(served) != Ok(row.weight) || !ascends {
                    let at = model::Timestamp::from_micros(row.at);
                    checked.found(format!("{}, chunk from {at}: it is not what its key says", name(registry, part)));
                }
                end = points.last().map(|point| point.at).or(end);
            }
        })?;
    }
    Ok(())
}

fn replaced(engine: &dyn Engine, registry: &Registry, checked: &mut Checked) -> Result<(), Error> {
    for part in parts(engine, Table::Superseded)? {
        each_row(engine, Table::Superseded, part, |row| match decode_points(Table::Superseded, row) {
            Ok(points) => checked.replaced += points.len() as u64,
            Err(cause) => checked.found(format!("{}, what commit {} replaced: {cause}", name(registry, part), row.at)),
        })?;
    }
    Ok(())
}

/// The parts of a table, each once.
pub(crate) fn parts(engine: &dyn Engine, table: Table) -> Result<Vec<i64>, Error> {
    let mut parts: Vec<i64> = engine.keys(table)?.iter().map(|key| key.part).collect();
    parts.dedup();
    Ok(parts)
}

/// Every row of one part, a few at a time in memory.
pub(crate) fn each_row(engine: &dyn Engine, table: Table, part: i64, mut each: impl FnMut(&Row)) -> Result<(), Error> {
    let mut from = i64::MIN;
    loop {
        let rows = engine.range(table, Span { part, from, to: i64::MAX }, Order::Ascending, FETCH)?;
        rows.iter().for_each(&mut each);
        match rows.last() {
            Some(last) if last.at < i64::MAX => from = last.at + 1,
            _ => return Ok(()),
        }
    }
}
