//! Months that were put away as files: which they are, what changed since, and making room of what lies in them.
//!
//! The files are written by `analytics`; here is what is known of them, durably.

use crate::chunk::Versions;
use crate::engine::{Change, Document, Engine, unreadable};
use crate::late::late_days;
use crate::writer::{Cut, Purpose, Work};
use crate::{Error, Store};
use model::{DatastreamId, Gap, GapReason, Interval, Observation, Timestamp, UtcMonth, civil_day_around};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::PoisonError;

/// A month whose file was read back and compared.
const MONTH: &str = "archive";
/// The last commit that changed a month, of those whose marks were struck off.
const CHANGED: &str = "archive-changed";
/// Months of a datastream that lie only in files.
const TRIMMED: &str = "archive-trimmed";
/// A month that was brought back, and stays until then.
const HELD: &str = "archive-held";

/// Datastreams that are trimmed before the writer does something else.
const AT_ONCE: usize = 256;

/// A month as it lies in a file that was read back and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// `2026-10`, of UTC.
    pub month: String,
    pub observations: u64,
    pub datastreams: u64,
    /// Values that were replaced, in a file of their own.
    pub replaced: u64,
    /// Of both files.
    pub bytes: u64,
    /// SHA-256 over the rows in their order, the same whatever program wrote the file.
    pub digest: String,
    /// SHA-256 of the observations' file.
    pub sha256: String,
    /// The same of the file that it takes the place of, which may still be there after a kill.
    #[serde(default)]
    pub before: Option<String>,
    /// All that was committed by then is in it.
    pub commit: u64,
    /// Seconds since 1970, when reading the store for it began.
    pub at_s: i64,
}

/// A value that another took the place of, of one datastream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Replaced {
    pub observation: Observation,
    /// In the order in which they were replaced.
    pub order: u32,
}

/// By datastream: months that lie only in files, each with its observations.
pub(crate) type Trimmed = HashMap<DatastreamId, BTreeMap<UtcMonth, u64>>;

#[derive(Serialize, Deserialize)]
struct TrimmedBody {
    months: BTreeMap<String, u64>,
}

pub(crate) fn restore_trimmed(engine: &dyn Engine) -> Result<Trimmed, Error> {
    let mut trimmed = Trimmed::new();
    for document in engine.documents(TRIMMED)? {
        let damaged = || Error::Damaged { what: format!("which months of datastream {} lie in files", document.id) };
        let number = document.id.parse().map_err(|_| damaged())?;
        let body: TrimmedBody = serde_json::from_str(&document.body).map_err(|_| damaged())?;
        let months = body.months.iter().filter_map(|(month, count)| Some((UtcMonth::parse(month)?, *count))).collect();
        trimmed.insert(DatastreamId(number), months);
    }
    Ok(trimmed)
}

/// What of the marks up to and with a commit is to be remembered when they are struck off.
pub(crate) fn changed_by(engine: &dyn Engine, through: u64) -> Result<Vec<Change>, Error> {
    let mut changed: BTreeMap<UtcMonth, u64> = BTreeMap::new();
    for day in late_days(engine)?.iter().filter(|day| day.commit <= through) {
        for month in months_of_day(day.start) {
            let last = changed.entry(month).or_default();
            *last = day.commit.max(*last);
        }
    }
    let document = |(month, commit): (UtcMonth, u64)| Document { kind: CHANGED.into(), id: month.to_string(), body: commit.to_string() };
    Ok(changed.into_iter().map(document).map(Change::PutDocument).collect())
}

/// A civil day of Europe/Rome may lie in two months of UTC.
fn months_of_day(start: Timestamp) -> BTreeSet<UtcMonth> {
    let day = civil_day_around(start);
    [UtcMonth::around(day.from), UtcMonth::around(day.to.plus_micros(-1))].into()
}

/// As [`Store::changed_months`].
pub(crate) fn changed_months(engine: &dyn Engine) -> Result<BTreeMap<UtcMonth, u64>, Error> {
    let mut changed: BTreeMap<UtcMonth, u64> = BTreeMap::new();
    let mut mark = |month: UtcMonth, commit: u64| {
        let last = changed.entry(month).or_default();
        *last = commit.max(*last);
    };
    for document in engine.documents(CHANGED)? {
        if let (Some(month), Ok(commit)) = (UtcMonth::parse(&document.id), document.body.parse()) {
            mark(month, commit);
        }
    }
    for id in unreadable(engine, CHANGED) {
        UtcMonth::parse(&id).into_iter().for_each(|month| mark(month, u64::MAX));
    }
    for day in late_days(engine)? {
        months_of_day(day.start).into_iter().for_each(|month| mark(month, day.commit));
    }
    Ok(changed)
}

fn json<T: Serialize>(kind: &str, id: String, body: &T) -> Result<Change, Error> {
    let body = serde_json::to_string(body).map_err(|cause| Error::Damaged { what: cause.to_string() })?;
    Ok(Change::PutDocument(Document { kind: kind.into(), id, body }))
}

pub(crate) fn restore_archived(engine: &dyn Engine) -> Result<BTreeSet<UtcMonth>, Error> {
    Ok(engine.documents(MONTH)?.iter().filter_map(|document| UtcMonth::parse(&document.id)).collect())
}

impl Store {
    /// Every month that was put away, by month.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn archived(&self) -> Result<BTreeMap<UtcMonth, Archived>, Error> {
        let mut found = BTreeMap::new();
        let documents = self.shared().engine.documents(MONTH)?;
        // It would be put away anew, of what is here; what went from here would go from its file too.
        if let Some(month) = unreadable(self.shared().engine.as_ref(), MONTH).pop() {
            return Err(Error::Damaged { what: format!("what is known of the file of {month}") });
        }
        for document in documents {
            let damaged = || Error::Damaged { what: format!("what is known of the file of {}", document.id) };
            let month = UtcMonth::parse(&document.id).ok_or_else(damaged)?;
            found.insert(month, serde_json::from_str(&document.body).map_err(|_| damaged())?);
        }
        Ok(found)
    }

    /// What comes for this month from now on counts as late, whatever the clock says: its file is about to be written.
    pub fn will_archive(&self, month: UtcMonth) {
        self.shared().archived.write().unwrap_or_else(PoisonError::into_inner).insert(month);
    }

    /// Remembers that a month's file was read back and is what the store says. Durable when it returns.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn keep_archived(&self, archived: &Archived) -> Result<(), Error> {
        if let Some(month) = UtcMonth::parse(&archived.month) {
            self.will_archive(month);
        }
        let change = json(MONTH, archived.month.clone(), archived)?;
        self.ask(|answer| Work::Documents(vec![change], answer))
    }

    /// Months of which something came, or was deleted, after they were over: the last commit that did it.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn changed_months(&self) -> Result<BTreeMap<UtcMonth, u64>, Error> {
        changed_months(self.shared().engine.as_ref())
    }

    /// Months that may hold observations, ascending. Some may turn out to be empty.
    #[must_use]
    pub fn months(&self) -> BTreeSet<UtcMonth> {
        let mut months = BTreeSet::new();
        self.shared().chunks.each_span(|from, to| {
            let (mut month, last) = (UtcMonth::around(from), UtcMonth::around(to));
            while month <= last {
                months.insert(month);
                month = month.plus(1);
            }
        });
        months
    }

    /// Every served observation of an interval, whoever may see it: for files that stay with the store.
    ///
    /// # Errors
    /// [`Error::Damaged`] when something of it can't be read: a file of the rest would pass for the whole.
    pub fn each_kept(&self, datastream: DatastreamId, interval: Interval, mut each: impl FnMut(Observation)) -> Result<(), Error> {
        self.each_of(datastream, interval, &Versions::Now, &mut each)
    }

    /// As [`Store::each_kept`], and with it what was withdrawn.
    ///
    /// # Errors
    /// As [`Store::each_kept`].
    pub fn each_last(&self, datastream: DatastreamId, interval: Interval, mut each: impl FnMut(Observation)) -> Result<(), Error> {
        self.each_of(datastream, interval, &Versions::Every, &mut each)
    }

    fn each_of(
        &self,
        datastream: DatastreamId,
        interval: Interval,
        versions: &Versions,
        each: &mut dyn FnMut(Observation),
    ) -> Result<(), Error> {
        self.shared().chunks.visit_of(datastream, interval, versions, |point| {
            each(point.observation(datastream));
            std::ops::ControlFlow::Continue(())
        })?;
        match self.shared().chunks.fences.gaps(datastream, interval).first() {
            Some(gap) => Err(Error::Damaged { what: format!("datastream number {}, from {} to {}", datastream.0, gap.from, gap.to) }),
            None => Ok(()),
        }
    }

    /// What was replaced in an interval, by time and in the order in which it was.
    ///
    /// # Errors
    /// As [`Store::each_kept`].
    pub fn replaced(&self, datastream: DatastreamId, interval: Interval) -> Result<Vec<Replaced>, Error> {
        let replaced = self.shared().chunks.replaced(datastream)?;
        let within = replaced.into_iter().filter(|(at, _)| interval.contains(Timestamp::from_micros(*at)));
        let mut found: Vec<Replaced> = within
            .flat_map(|(_, points)| points.into_iter().zip(0_u32..))
            .map(|(point, order)| Replaced { observation: point.observation(datastream), order })
            .collect();
        found.sort_by_key(|one| (one.observation.phenomenon_time, one.order));
        Ok(found)
    }

    /// Whether a deletion hides this observation, by its datastream's id: for whoever brings back what came before.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read; [`Error::Damaged`] when a deletion can't be.
    pub fn is_deleted(&self) -> Result<impl Fn(&str, &Observation) -> bool + use<>, Error> {
        crate::delete::all_known(self.shared().engine.as_ref())?;
        let tombstones = self.tombstones()?;
        Ok(move |key: &str, one: &Observation| {
            let (at, received_s) = (one.phenomenon_time.micros(), one.received_at.seconds());
            tombstones.iter().any(|tombstone| tombstone.datastream == key && tombstone.hides(at, received_s))
        })
    }

    /// Whether this month of a datastream lies only in files.
    #[must_use]
    pub fn is_trimmed(&self, datastream: DatastreamId, month: UtcMonth) -> bool {
        let trimmed = self.shared().trimmed.read().unwrap_or_else(PoisonError::into_inner);
        trimmed.get(&datastream).is_some_and(|months| months.contains_key(&month))
    }

    /// Where an InfluxDB has all that ever was here, it serves what went.
    fn ask_influx_before(&self, datastream: DatastreamId, at: Timestamp) -> Result<(), Error> {
        let is_there = self.health().influx.is_some() && self.influx_has_all()?;
        if is_there && self.count_in(datastream, Interval::new(Timestamp::MIN, at))? == 0 {
            self.reaches_from(datastream, at)?;
        }
        Ok(())
    }

    /// Months of which something lies only in files.
    #[must_use]
    pub fn trimmed_months(&self) -> BTreeSet<UtcMonth> {
        let trimmed = self.shared().trimmed.read().unwrap_or_else(PoisonError::into_inner);
        trimmed.values().flat_map(BTreeMap::keys).copied().collect()
    }

    /// Takes a month out of some datastreams, whose file has it; nothing when the month has changed since the file was written.
    /// Observations that went. What is served says `archived` before anything goes, and a kill in between loses nothing.
    ///
    /// # Errors
    /// As [`Store::commit`]; call it again then.
    pub fn trim(&self, datastreams: &[DatastreamId], archived: &Archived) -> Result<u64, Error> {
        let Some(month) = UtcMonth::parse(&archived.month) else { return Ok(0) };
        if self.changed_months()?.get(&month).is_some_and(|last| *last > archived.commit) {
            return Ok(0);
        }
        let mut wanted = Vec::new();
        for datastream in datastreams {
            if self.count_in(*datastream, month.interval())? > 0 {
                wanted.push(*datastream);
            }
        }
        // Said before anything goes; how many went is known after.
        self.mark_trimmed(month, wanted.iter().map(|datastream| (*datastream, 0)))?;
        let mut went = 0;
        for some in wanted.chunks(AT_ONCE) {
            let purpose = Purpose::Trim { month, commit: archived.commit };
            let cut = Cut { datastreams: some.to_vec(), interval: month.interval(), came_by: Timestamp::MAX, purpose };
            let removed = self.cut(cut)?;
            self.mark_trimmed(month, some.iter().copied().zip(removed.iter().copied()))?;
            went += removed.iter().sum::<u64>();
            for datastream in some {
                self.ask_influx_before(*datastream, month.interval().to)?;
            }
        }
        Ok(went)
    }

    fn mark_trimmed(&self, month: UtcMonth, of: impl Iterator<Item = (DatastreamId, u64)>) -> Result<(), Error> {
        let mut trimmed = self.shared().trimmed.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut changes = Vec::new();
        for (datastream, count) in of {
            let months = trimmed.entry(datastream).or_default();
            // What came late into a month that lies in files goes the same way.
            *months.entry(month).or_default() += count;
            changes.push(trimmed_change(datastream, months)?);
        }
        self.ask(|answer| Work::Documents(changes, answer))?;
        *self.shared().trimmed.write().unwrap_or_else(PoisonError::into_inner) = trimmed;
        Ok(())
    }

    /// A month of these datastreams is in the store again, and stays until then whatever is said of keeping.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn brought_back(&self, month: UtcMonth, datastreams: &[DatastreamId], until: Timestamp) -> Result<(), Error> {
        let mut trimmed = self.shared().trimmed.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut changes =
            vec![Change::PutDocument(Document { kind: HELD.into(), id: month.to_string(), body: until.seconds().to_string() })];
        for datastream in datastreams {
            if let Some(months) = trimmed.get_mut(datastream)
                && months.remove(&month).is_some()
            {
                changes.push(trimmed_change(*datastream, months)?);
            }
        }
        self.ask(|answer| Work::Documents(changes, answer))?;
        *self.shared().trimmed.write().unwrap_or_else(PoisonError::into_inner) = trimmed;
        Ok(())
    }

    /// Months that were brought back and are not to be trimmed yet.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn held_months(&self) -> Result<BTreeSet<UtcMonth>, Error> {
        let now = self.clock().now().seconds();
        let held = self.shared().engine.documents(HELD)?;
        let held = held.iter().filter(|document| document.body.parse::<i64>().is_ok_and(|until| until > now));
        Ok(held.filter_map(|document| UtcMonth::parse(&document.id)).collect())
    }

    /// What lies only in files, as gaps: a run of months each.
    pub(crate) fn trimmed_gaps(&self, datastream: DatastreamId, interval: Interval) -> Vec<Gap> {
        let trimmed = self.shared().trimmed.read().unwrap_or_else(PoisonError::into_inner);
        let mut gaps: Vec<Gap> = Vec::new();
        for (month, count) in trimmed.get(&datastream).into_iter().flatten() {
            let Interval { from, to } = month.interval();
            let to = to.plus_micros(-1);
            match gaps.last_mut() {
                Some(last) if last.to.plus_micros(1) == from => (last.to, last.count) = (to, last.count + count),
                _ => gaps.push(Gap { datastream, from, to, reason: GapReason::Archived, count: *count }),
            }
        }
        gaps.retain(|gap| gap.from < interval.to && gap.to >= interval.from && !self.is_beyond(datastream, gap.to));
        gaps
    }

    /// The last commit that readers see.
    #[must_use]
    pub fn last_commit(&self) -> u64 {
        *self.commits().borrow()
    }
}

fn trimmed_change(datastream: DatastreamId, months: &BTreeMap<UtcMonth, u64>) -> Result<Change, Error> {
    if months.is_empty() {
        return Ok(Change::DeleteDocument { kind: TRIMMED, id: datastream.0.to_string() });
    }
    let months = months.iter().map(|(month, count)| (month.to_string(), *count)).collect();
    json(TRIMMED, datastream.0.to_string(), &TrimmedBody { months })
}
