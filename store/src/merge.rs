//! Taking a backup into a store that lives on: what is missing comes in, what is newer here stays.

mod accounts;
#[cfg(test)]
mod tests;

pub(crate) use accounts::TakenIn;

use crate::backup::Progress;
use crate::check::{Checked, check, each_row, parts};
use crate::chunk::{Chunks, Point, Recovered, Versions};
use crate::engine::{Change, Engine, Order, Span, Sqlite, Table};
use crate::store::registry_of;
use crate::writer::Work;
use crate::{AuditEntry, Batch, Error, Store, Tombstone};
use model::{DatastreamId, Interval, Timestamp};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Points that are compared, and committed, together.
const WINDOW: usize = 4096;

/// What became of a backup that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    pub backup: Checked,
    /// Entries of the registry that were not known here, e.g. `station empoli`.
    pub added: Vec<String>,
    /// Times of which nothing was held here.
    pub accepted: u64,
    /// Values that were replaced by later ones of the backup; the old ones are kept.
    pub revised: u64,
    pub there_already: u64,
    /// Times for which a value that came later is held here.
    pub newer_here: u64,
    /// Times of the backup that were deleted here since, and stay so.
    pub deleted: u64,
    pub gaps: u64,
    /// Changes of the network that the backup knew of, for those who look back.
    pub former: u64,
    /// Raw payloads.
    pub payloads: u64,
    /// Refused messages that wait here now.
    pub quarantined: u64,
    /// Refused messages that stay in the backup: of days of which this store heard as much or more itself, or there was no room.
    pub quarantined_left: u64,
    /// Lines of the ledger that are here now as the backup had them: of a device on a civil day.
    pub lines: u64,
    /// Entries of the audit of another store, which are kept beside this one's.
    pub audited: u64,
}

/// A datastream of the backup.
struct Theirs<'a> {
    chunks: &'a Chunks,
    id: DatastreamId,
    replaced: HashMap<i64, Vec<Point>>,
    /// What was deleted of it here.
    deleted: Vec<Tombstone>,
}

impl Theirs<'_> {
    fn is_deleted(&self, point: &Point) -> bool {
        self.deleted.iter().any(|tombstone| tombstone.hides(point.at, i64::from(point.received_s)))
    }
}

impl Store {
    /// Takes in what a backup holds and this store does not: entries of the registry, tokens, observations with the values that they
    /// replaced and the times at which they came, gaps, lines of the ledger with the refused messages that they count, the audit. Where both have a value, the one that came later is served. Beside running
    /// doors; twice is once. It goes into the audit as `who`'s.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the backup is not sound, [`Error::Io`] when a name stands for something else in it than here: nothing was
    /// taken in then. As [`Store::commit`] otherwise; what was taken in
    /// before stays, and doing it again goes on.
    pub fn merge(&self, backup: &Path, who: &str, progress: &mut dyn FnMut(Progress)) -> Result<Merged, Error> {
        let checked = check(backup, &mut |datastreams, of| progress(Progress::Read { datastreams, of }))?;
        if let Some(first) = checked.damage.first() {
            return Err(Error::Damaged { what: format!("the backup {}: {first}", backup.display()) });
        }
        let (engine, _) = Sqlite::snapshot(backup)?;
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let theirs = registry_of(engine.as_ref())?;
        self.is_of_the_same_things(&theirs)?;
        let mut merged = Merged {
            backup: checked,
            added: self.take_over_registry(engine.as_ref())?,
            accepted: 0,
            revised: 0,
            there_already: 0,
            newer_here: 0,
            deleted: 0,
            gaps: 0,
            former: self.take_over_former(engine.as_ref())?,
            payloads: 0,
            quarantined: 0,
            quarantined_left: 0,
            lines: 0,
            audited: self.take_over_audit(engine.as_ref(), backup)?,
        };
        self.take_over_tokens(engine.as_ref())?;
        // What was deleted there stays deleted here too.
        self.delete_again(&crate::delete::tombstones(engine.as_ref())?)?;
        crate::delete::all_known(self.shared().engine.as_ref())?;
        let ours = self.registry();
        let number = |theirs: DatastreamId, key: &str| {
            let here = ours.datastream_by_key(key).map(|here| here.id);
            here.ok_or_else(|| Error::Damaged { what: format!("the backup: datastream {key}, number {}", theirs.0) })
        };
        let Recovered { chunks, entries, .. } = Chunks::recover(engine.clone())?;
        let deleted = crate::delete::tombstones(self.shared().engine.as_ref())?;
        let of = theirs.by_key.len() as u64;
        for ((key, id), datastreams) in theirs.by_key.iter().zip(1_u64..) {
            let deleted = deleted.iter().filter(|one| one.datastream == **key).cloned().collect();
            let theirs = Theirs { chunks: &chunks, id: *id, replaced: chunks.replaced(*id)?, deleted };
            self.merge_one(&theirs, number(*id, key)?, &mut merged)?;
            progress(Progress::Read { datastreams, of });
        }
        for part in parts(engine.as_ref(), Table::Gap)? {
            let known = u32::try_from(part).ok().and_then(|number| theirs.datastream(DatastreamId(number)));
            let Some(datastream) = known else { continue };
            merged.gaps += self.take_over_gaps(engine.as_ref(), part, number(datastream.id, datastream.key.as_str())?)?;
        }
        merged.payloads = self.take_over_payloads(engine.as_ref())?;
        self.take_over_accounts(engine.as_ref(), entries, &mut merged)?;
        // What was gone is what came in now, or nobody has it.
        self.shared().engine.recount()?;
        self.shared().chunks.fences.forget_missing();
        self.commit_blocking(Batch { audit: vec![self.entry(&merged, backup, who)], ..Batch::default() })?;
        Ok(merged)
    }

    /// The observations of one datastream.
    fn merge_one(&self, theirs: &Theirs<'_>, id: DatastreamId, merged: &mut Merged) -> Result<(), Error> {
        let mut window = Vec::with_capacity(WINDOW);
        let mut outcome = Ok(());
        theirs.chunks.visit_of(theirs.id, Interval::ALL, &Versions::Every, |point| {
            window.push(point);
            if window.len() == WINDOW {
                outcome = self.merge_window(&std::mem::take(&mut window), theirs, id, merged);
            }
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        self.merge_window(&window, theirs, id, merged)
    }

    fn merge_window(&self, window: &[Point], theirs: &Theirs<'_>, id: DatastreamId, merged: &mut Merged) -> Result<(), Error> {
        let (Some(first), Some(last)) = (window.first(), window.last()) else { return Ok(()) };
        let interval = Interval { from: Timestamp::from_micros(first.at), to: Timestamp::from_micros(last.at.saturating_add(1)) };
        let mut here = HashMap::new();
        self.shared().chunks.visit_of(id, interval, &Versions::Every, |point| {
            here.insert(point.at, point);
            ControlFlow::Continue(())
        })?;
        let mut observations = Vec::new();
        for point in window {
            if theirs.is_deleted(point) {
                merged.deleted += 1;
                continue;
            }
            match here.get(&point.at) {
                Some(ours) if ours == point => merged.there_already += 1,
                Some(ours) if ours.received_s >= point.received_s => merged.newer_here += 1,
                ours => {
                    if ours.is_some() {
                        merged.revised += 1;
                    } else if !point.is_withdrawn() {
                        merged.accepted += 1;
                    }
                    let since = ours.map_or(0, |ours| ours.received_s);
                    let before = theirs.replaced.get(&point.at).map_or(&[][..], Vec::as_slice);
                    let before = before.iter().filter(|version| !theirs.is_deleted(version));
                    let versions = before.filter(|version| ours.is_none() || version.received_s > since).chain([point]);
                    observations.extend(versions.map(|version| version.observation(id)));
                }
            }
        }
        for group in observations.chunks(WINDOW) {
            self.commit_blocking(Batch { observations: group.to_vec(), as_it_was: true, ..Batch::default() })?;
        }
        Ok(())
    }

    fn take_over_gaps(&self, engine: &dyn Engine, part: i64, id: DatastreamId) -> Result<u64, Error> {
        let mut changes = Vec::new();
        each_row(engine, Table::Gap, part, |row| {
            let row = crate::engine::Row { part: i64::from(id.0), ..row.clone() };
            changes.push(Change::Put { table: Table::Gap, row });
        })?;
        let ours = &self.shared().engine;
        let mut missing = Vec::new();
        for change in changes {
            let Change::Put { row, .. } = &change else { continue };
            let here = Span { part: row.part, from: row.at, to: row.at };
            if ours.range(Table::Gap, here, Order::Ascending, 1)?.is_empty() {
                missing.push(change);
            }
        }
        let count = missing.len() as u64;
        if count > 0 {
            self.ask(|answer| Work::Documents(missing, answer))?;
        }
        Ok(count)
    }

    fn entry(&self, merged: &Merged, backup: &Path, who: &str) -> AuditEntry {
        AuditEntry {
            number: 0,
            commit: 0,
            at: self.clock().now().to_string(),
            who: who.to_owned(),
            what: "restore".into(),
            datastream: "*".into(),
            from: String::new(),
            to: String::new(),
            change: format!("took in {} up to its commit {}", backup.display(), merged.backup.commit),
            why: format!("a backup of {} observations, SHA-256 {}", merged.backup.observations, merged.backup.digest),
            shift_s: 0,
            count: merged.accepted + merged.revised,
            undoes: None,
        }
    }
}
