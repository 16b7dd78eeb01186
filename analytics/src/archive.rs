//! Putting old months away: each closed month of UTC becomes a Parquet file that any program reads; what an owner wants kept no longer
//! than some months then goes from the store, and stays in the file. A month can be brought back.

mod back;
mod everything;
mod export;
mod file;
mod rows;
#[cfg(test)]
mod tests;

use crate::Error;
pub use back::BroughtBack;
pub use everything::{Everything, Imported};
use export::{export, names, place};
use model::{DatastreamId, Timestamp, UtcMonth, civil_day_around};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Archived, Store};
use tokio::sync::watch;

/// Devices may send for so long after a month's last civil day what they measured in it, before its file is written.
const AFTER_S: i64 = 3600;
/// So often is looked whether there is something to do.
const EVERY: Duration = Duration::from_secs(3600);
/// A start is busy enough.
const AFTER_START: Duration = Duration::from_secs(60);
/// The directory of the months, and the store that they are of.
#[derive(Clone)]
pub struct Archive {
    store: Store,
    dir: PathBuf,
    /// Months that turned out to be empty, and the last change of them then.
    empty: Arc<Mutex<BTreeMap<UtcMonth, u64>>>,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Months whose files were written.
    pub written: Vec<Archived>,
    /// Observations that went from the store, by month.
    pub trimmed: BTreeMap<UtcMonth, u64>,
    /// Months that could not be written, and why; they are tried again.
    pub failed: BTreeMap<UtcMonth, String>,
}

impl Archive {
    /// The months lie in `parquet` in the store's directory, which only its owner reads. `None` for a store in memory.
    ///
    /// # Errors
    /// [`Error::File`] when the directory can't be made.
    pub fn of(store: &Store) -> Result<Option<Self>, Error> {
        let Some(dir) = store.dir().map(|dir| dir.join("parquet")) else { return Ok(None) };
        let failed = |cause: std::io::Error| Error::File { path: dir.display().to_string(), what: cause.to_string() };
        export::make_private(&dir).map_err(failed)?;
        Ok(Some(Self { store: store.clone(), dir, empty: Arc::default() }))
    }

    /// One at a time, whoever asks.
    fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join(".lock");
        let failed = |cause: std::io::Error| Error::File { path: path.display().to_string(), what: cause.to_string() };
        let file = store::create_private(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// Runs until it is told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let part = self.store.part("archive", "", None);
        let mut wait = AFTER_START;
        loop {
            tokio::select! {
                () = async { drop(stop.wait_for(|stop| *stop).await) } => return,
                () = tokio::time::sleep(wait) => {}
            }
            // Which months are over nobody knows while the clock can't be right.
            if self.store.clock_trust().is_err() {
                wait = AFTER_START;
                continue;
            }
            wait = EVERY;
            let archive = self.clone();
            let keeping = tokio::task::spawn_blocking(move || archive.keep(&|_| ()));
            let kept = tokio::select! {
                // The month that is being written is given up: it has no name yet, and is written again.
                () = async { drop(stop.wait_for(|stop| *stop).await) } => return,
                kept = keeping => kept,
            };
            match &kept {
                Ok(Ok(kept)) => match kept.failed.first_key_value() {
                    None => part.ok("the months that are over are in their files"),
                    Some((month, cause)) => {
                        let count = kept.failed.len();
                        part.degraded(format!("{count} months could not be put away; {month}: {cause}; it is tried again within the hour"));
                    }
                },
                Ok(Err(cause)) => part.degraded(format!("old months could not be put away: {cause}; it is tried again in an hour")),
                Err(_) => {
                    part.degraded("putting old months away ended early; it is tried again in an hour, report the line panic of the log")
                }
            }
            match kept {
                Ok(Ok(kept)) => say(&kept),
                Ok(Err(cause)) => {
                    tracing::error!(event = "archive_failed", %cause, "old months could not be put away; it is tried again in an hour")
                }
                Err(_) => tracing::error!(event = "archive_failed", "putting old months away ended early; it is tried again in an hour"),
            }
        }
    }

    /// Writes the closed months that are not written yet or have changed since, then makes room as owners want. `telling` hears of each
    /// month that is begun.
    ///
    /// # Errors
    /// [`Error::Store`] when the store can't be read or written. What is wrong with a month alone is in the answer.
    pub fn keep(&self, telling: &dyn Fn(UtcMonth)) -> Result<Kept, Error> {
        let _one_at_a_time = self.lock()?;
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Kept::default();
        let mut archived = self.store.archived()?;
        let changed = self.store.changed_months()?;
        let last_deletion_s = self.last_deletions()?;
        let now = self.store.clock().now();
        let trimmed = self.store.trimmed_months();
        let months: BTreeSet<UtcMonth> = self.store.months().into_iter().chain(archived.keys().copied()).collect();
        for month in months.into_iter().filter(|month| is_closed(*month, now)) {
            let last = changed.get(&month).copied().unwrap_or(0);
            let is_current = archived.get(&month).is_some_and(|known| {
                last <= known.commit
                    && last_deletion_s.get(&month).is_none_or(|deleted| *deleted < known.at_s)
                    && self.is_there(month, known)
            });
            if is_current || empty.get(&month) == Some(&last) {
                continue;
            }
            telling(month);
            self.store.will_archive(month);
            let whole = self.is_whole(month, archived.get(&month), &trimmed);
            match whole.and_then(|()| export(&self.store, &self.dir, &self.dir, month)) {
                Ok(Some(staged)) => {
                    let file = staged.archived.clone();
                    // Known before it has its name: after a kill in between either file is a known one.
                    self.store.keep_archived(&file)?;
                    staged.put_in_place()?;
                    archived.insert(month, file.clone());
                    kept.written.push(file);
                }
                Ok(None) => {
                    empty.insert(month, last);
                }
                Err(Error::Store(cause @ (store::Error::Poisoned { .. } | store::Error::Closed))) => return Err(cause.into()),
                Err(cause) => {
                    archived.remove(&month);
                    kept.failed.insert(month, cause.to_string());
                }
            }
        }
        self.trim(now, &archived, &mut kept)?;
        Ok(kept)
    }

    /// By month that a deletion touches: the second of the last.
    fn last_deletions(&self) -> Result<BTreeMap<UtcMonth, i64>, Error> {
        let mut last = BTreeMap::new();
        for tombstone in self.store.tombstones()?.into_iter().filter(|one| one.subject.is_none()) {
            for (month, known) in self.store.archived()? {
                let interval = month.interval();
                if tombstone.from_us < interval.to.micros() && tombstone.to_us > interval.from.micros() && tombstone.at_s >= known.at_s {
                    let at = last.entry(month).or_insert(tombstone.at_s);
                    *at = tombstone.at_s.max(*at);
                }
            }
        }
        Ok(last)
    }

    /// Whether what lies only in a month's file is still there; if not, nothing may take its place.
    fn is_whole(&self, month: UtcMonth, known: Option<&Archived>, trimmed: &BTreeSet<UtcMonth>) -> Result<(), Error> {
        if !trimmed.contains(&month) {
            return Ok(());
        }
        let path = &names(&place(&self.dir, month))[0].0;
        let sha256 = file::sha256_of(path)?;
        if known.is_some_and(|known| known.sha256 == sha256 || known.before.as_ref() == Some(&sha256)) {
            return Ok(());
        }
        let what = "it holds what is nowhere else, and is no longer what was compared; put back the file of a backup".into();
        Err(Error::File { path: path.display().to_string(), what })
    }

    fn is_there(&self, month: UtcMonth, known: &Archived) -> bool {
        let bytes: u64 =
            names(&place(&self.dir, month)).iter().filter_map(|(path, _)| std::fs::metadata(path).ok()).map(|found| found.len()).sum();
        bytes == known.bytes
    }

    /// Only what lies in a file whose bytes are still those that were compared.
    fn trim(&self, now: Timestamp, archived: &BTreeMap<UtcMonth, Archived>, kept: &mut Kept) -> Result<(), Error> {
        let held = self.store.held_months()?;
        let this = UtcMonth::around(now);
        let mut by_month: BTreeMap<UtcMonth, Vec<DatastreamId>> = BTreeMap::new();
        let months = self.store.months();
        for datastream in self.store.registry().datastreams() {
            let Some(keep) = datastream.keep_months else { continue };
            let first_kept = this.plus(-i32::try_from(keep).unwrap_or(i32::MAX));
            for month in months.range(..first_kept).filter(|month| archived.contains_key(month) && !held.contains(month)) {
                by_month.entry(*month).or_default().push(datastream.id);
            }
        }
        for (month, datastreams) in by_month {
            let Some(known) = archived.get(&month) else { continue };
            let path = &names(&place(&self.dir, month))[0].0;
            let mut due = Vec::new();
            for datastream in datastreams {
                if self.store.count_in(datastream, month.interval())? > 0 {
                    due.push(datastream);
                }
            }
            if due.is_empty() {
                continue;
            }
            match file::sha256_of(path) {
                Ok(sha256) if sha256 == known.sha256 => {
                    let went = self.store.trim(&due, known)?;
                    if went > 0 {
                        kept.trimmed.insert(month, went);
                    }
                }
                Ok(_) => {
                    kept.failed
                        .insert(month, format!("{} is no longer what was compared; nothing of it goes from the store", path.display()));
                }
                Err(cause) => {
                    kept.failed.insert(month, cause.to_string());
                }
            }
        }
        Ok(())
    }

    /// Copies the files of every month into `to`, except those that are there already, byte for byte. How many were copied. All of them
    /// are synced when it returns.
    ///
    /// # Errors
    /// [`Error::File`] names the file; also when one is no longer what was compared.
    pub fn copy_to(&self, to: &Path) -> Result<usize, Error> {
        let _one_at_a_time = self.lock()?;
        let months = self.store.archived()?;
        copy(&months, &self.dir, to)
    }

    /// Copies back what [`Archive::copy_to`] copied, where it is missing here.
    ///
    /// # Errors
    /// As [`Archive::copy_to`].
    pub fn copy_from(&self, from: &Path) -> Result<usize, Error> {
        let _one_at_a_time = self.lock()?;
        let mut months = self.store.archived()?;
        months.retain(|month, known| !self.is_there(*month, known));
        copy(&months, from, &self.dir)
    }

    /// What is wrong with the months' files, each with its place; every byte of them is read.
    ///
    /// # Errors
    /// [`Error::Store`] when the store can't be read.
    pub fn check(&self) -> Result<Vec<String>, Error> {
        let mut wrong = Vec::new();
        for (month, known) in self.store.archived()? {
            let path = names(&place(&self.dir, month))[0].0.clone();
            match file::sha256_of(&path) {
                Ok(sha256) if sha256 == known.sha256 => {}
                Ok(_) => wrong.push(format!("{}: its bytes are no longer what was compared", path.display())),
                Err(cause) => wrong.push(cause.to_string()),
            }
        }
        Ok(wrong)
    }

    /// Where a month's files lie.
    #[must_use]
    pub fn place(&self, month: UtcMonth) -> PathBuf {
        place(&self.dir, month)
    }
}

fn copy(months: &BTreeMap<UtcMonth, Archived>, from: &Path, to: &Path) -> Result<usize, Error> {
    let mut copied = 0;
    for (month, known) in months {
        let (source, target) = (names(&place(from, *month)), names(&place(to, *month)));
        if file::sha256_of(&target[0].0).is_ok_and(|there| there == known.sha256) && target[1].0.exists() {
            continue;
        }
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |cause: std::io::Error| Error::File { path, what: format!("it can't be copied: {cause}") }
        };
        let place = place(to, *month);
        export::make_private(&place).map_err(failed(&place))?;
        for ((from, _), (to, _)) in source.iter().zip(&target) {
            let part = to.with_extension("parquet.part");
            let _ = std::fs::remove_file(&part);
            std::fs::copy(from, &part).map_err(failed(from))?;
            File::open(&part).and_then(|file| file.sync_all()).map_err(failed(&part))?;
            store::put_in_place(&part, to).map_err(failed(to))?;
        }
        if file::sha256_of(&target[0].0)? != known.sha256 {
            let what = "its bytes are not those that were compared; the month is written again within the hour, try again then".into();
            return Err(Error::File { path: source[0].0.display().to_string(), what });
        }
        copied += 1;
    }
    Ok(copied)
}

/// Its last civil day of Europe/Rome is over, and what came just after it is there.
fn is_closed(month: UtcMonth, now: Timestamp) -> bool {
    now >= civil_day_around(month.interval().to).to.plus_seconds(AFTER_S)
}

fn say(kept: &Kept) {
    for file in &kept.written {
        let Archived { month, observations, bytes, .. } = file;
        tracing::info!(event = "archived", month, observations, bytes, "a month was written, read back and compared");
    }
    for (month, observations) in &kept.trimmed {
        tracing::info!(event = "trimmed", %month, observations, "what lies in the file of this month went from the store, as its owner wants");
    }
    for (month, cause) in &kept.failed {
        tracing::error!(event = "archive_failed", %month, cause, "a month could not be put away; it stays in the store and is tried again in an hour");
    }
}
