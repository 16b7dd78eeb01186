//! From the version that holds to the one that should.

use crate::Error;
use crate::file;
use crate::frames::Frames;
use crate::job::Job;
use crate::month::{CivilMonth, healed, in_order, read};
use model::{Dataset, Datastream, DatastreamId, Interval, Timestamp, Viewer, civil_day, civil_day_around, civil_days, epoch_day};
use polars::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Edition, Format, Published, PublishedFile, Store, View, sha256_hex};

/// At most about so many observations are in memory at once.
const ROWS_AT_ONCE: u64 = 1_000_000;

/// So many days, s, are made without asking which of them have observations.
const FEW_DAYS_S: f64 = 40.0 * 86_400.0;

/// A version that was published.
pub struct Refreshed {
    pub published: Arc<Published>,
    /// Days of datastreams that were made again.
    pub days: usize,
    pub why: Why,
}

/// What a version was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is the first, or the network or the job changed.
    Anew,
    /// A day is over.
    Day,
    /// Something came late.
    Late,
}

/// Days to be made again, by their first instant: of which datastreams.
type Dirty = BTreeMap<Timestamp, BTreeSet<DatastreamId>>;

/// Publishes what has changed since the last version: days that are over by now, days with late observations of commits up to
/// `through`, everything when the network or the job changed. `None` when nothing has.
///
/// # Errors
/// Nothing was published then.
pub fn refresh(store: &Store, job: &dyn Job, through: u64) -> Result<Option<Refreshed>, Error> {
    match refresh_from(Start::LastVersion, store, job, through) {
        Err(Error::Store(store::Error::Damaged { what })) => {
            tracing::warn!(event = "made_anew", what, "the last version of a dataset is damaged; all of it is made again");
            refresh_from(Start::Nothing, store, job, through)
        }
        done => done,
    }
}

/// What a version is made from besides the days that changed.
#[derive(PartialEq, Eq)]
enum Start {
    LastVersion,
    Nothing,
}

fn refresh_from(start: Start, store: &Store, job: &dyn Job, through: u64) -> Result<Option<Refreshed>, Error> {
    let view = store.seen_by(&Viewer::Public);
    let about = job.about();
    let wanted: Vec<_> = view.datastreams(None).into_iter().filter(|datastream| job.wants(datastream)).collect();
    let frames = Frames::new(view.clone(), &wanted);
    let basis = basis(job, &frames);
    let today = civil_day_around(view.now()).from;
    let last = view.dataset(&about.id);
    // One that is complete up to a day to come was made while the clock was ahead.
    let goes_on = last.as_ref().filter(|last| start == Start::LastVersion && last.basis == basis && last.complete_to <= today);
    let mut dirty = over_since(&view, &wanted, goes_on.map_or(Timestamp::MIN, |last| last.complete_to), today)?;
    if let Some(last) = goes_on {
        add_late(&mut dirty, store, &wanted, last.watermark, today, through)?;
    }
    if dirty.is_empty() && goes_on.is_some_and(|last| last.complete_to == today) {
        return Ok(None);
    }
    let mut files = goes_on.map_or_else(Vec::new, |last| last.files.clone());
    let mut by_month: BTreeMap<CivilMonth, Dirty> = BTreeMap::new();
    for (day, datastreams) in &dirty {
        by_month.entry(CivilMonth::around(*day)).or_default().insert(*day, datastreams.clone());
    }
    for (month, days) in &by_month {
        let old = match goes_on {
            Some(_) => old_rows(&view, &about, month)?,
            None => None,
        };
        let rows = rows(job, &view, &wanted, days, old)?;
        files.retain(|file| file.month != month.name);
        files.extend(staged(store, &about, month, &rows, &frames)?);
    }
    let why = match goes_on {
        None => Why::Anew,
        Some(last) if last.complete_to < today => Why::Day,
        Some(_) => Why::Late,
    };
    let watermark = through.max(last.as_ref().map_or(0, |last| last.watermark));
    let published = store.publish(Edition { dataset: about, complete_to: today, watermark, basis, files })?;
    Ok(Some(Refreshed { published, days: dirty.values().map(BTreeSet::len).sum(), why }))
}

/// What the rows come from besides observations: a change here makes all of them again.
fn basis(job: &dyn Job, frames: &Frames) -> String {
    let mut text = format!("{:?} {}", job.about(), job.revision());
    for (datastream, station) in frames.datastreams() {
        text += &format!(
            "\n{} {} {} {} {} {:?} {:?} {:?}",
            datastream.id.0,
            datastream.key,
            datastream.property.word(),
            datastream.period_s,
            station.id,
            station.name,
            station.river,
            station.place
        );
    }
    sha256_hex(text.as_bytes())
}

/// Every day since `complete_to` that is over and may have rows, of each datastream. Where that would be many days, only those that have
/// observations: one observation of a far year must not make work of all the days since.
fn over_since(view: &View, wanted: &[Arc<Datastream>], complete_to: Timestamp, today: Timestamp) -> Result<Dirty, Error> {
    let mut dirty = Dirty::new();
    for datastream in wanted {
        let Some((_, first, _)) = view.extent(datastream)? else { continue };
        let over = Interval::new(first.max(complete_to), today);
        if over.to.seconds_since(over.from) <= FEW_DAYS_S {
            for day in civil_days(over) {
                dirty.entry(day.from).or_default().insert(datastream.id);
            }
        } else {
            add_measured(&mut dirty, view, datastream, over)?;
        }
    }
    Ok(dirty)
}

/// The days of an interval that have usable observations: no others have rows.
fn add_measured(dirty: &mut Dirty, view: &View, datastream: &Datastream, interval: Interval) -> Result<(), Error> {
    let mut known = Interval::new(interval.from, interval.from);
    view.each_usable(datastream, interval, |times, _| {
        let mut left = times;
        while let Some(first) = left.first().map(|at| Timestamp::from_micros(*at)) {
            if !known.contains(first) {
                known = civil_day_around(first);
                dirty.entry(known.from).or_default().insert(datastream.id);
            }
            let inside = left.partition_point(|at| *at < known.to.micros());
            left = left.get(inside.max(1)..).unwrap_or_default();
        }
    })?;
    Ok(())
}

/// Days that are over and of which something came in a commit after `watermark`, up to `through`.
fn add_late(
    dirty: &mut Dirty,
    store: &Store,
    wanted: &[Arc<Datastream>],
    watermark: u64,
    today: Timestamp,
    through: u64,
) -> Result<(), Error> {
    for late in store.late_days()?.into_iter().filter(|late| late.commit <= through && late.commit > watermark) {
        if late.start < today && wanted.iter().any(|datastream| datastream.id == late.datastream) {
            dirty.entry(late.start).or_default().insert(late.datastream);
        }
    }
    Ok(())
}

fn old_rows(view: &View, about: &Dataset, month: &CivilMonth) -> Result<Option<DataFrame>, Error> {
    let name = format!("{}-{}.{}", about.id, month.name, Format::Parquet.extension());
    view.dataset_file(&about.id, &name)?.map(|(_, bytes)| read(bytes)).transpose()
}

/// The rows of a month: those that stay and those that are made again.
fn rows(job: &dyn Job, view: &View, wanted: &[Arc<Datastream>], days: &Dirty, old: Option<DataFrame>) -> Result<DataFrame, Error> {
    let mut parts = Vec::new();
    let (mut again_datastream, mut again_day) = (Vec::new(), Vec::new());
    for (interval, numbers) in stretches(days) {
        let inside: Vec<_> = wanted.iter().filter(|datastream| numbers.contains(&datastream.id)).cloned().collect();
        for day in civil_days(interval) {
            again_datastream.extend(inside.iter().map(|datastream| datastream.key.to_string()));
            again_day.extend(inside.iter().map(|_| epoch_day(civil_day(day.from))));
        }
        for group in groups(&inside, interval) {
            parts.push(job.build(&Frames::new(view.clone(), group), interval)?);
        }
    }
    let mut parts = parts.into_iter();
    match (old, parts.next()) {
        (Some(old), first) => {
            let day = Column::new("day".into(), again_day).cast(&DataType::Date)?;
            let again = DataFrame::new_infer_height(vec![Column::new("datastream".into(), again_datastream), day])?;
            healed(old, again, first.into_iter().chain(parts).collect())
        }
        (None, Some(first)) => in_order(parts.try_fold(first, |all, part| all.vstack(&part))?),
        (None, None) => Ok(DataFrame::empty()),
    }
}

/// Days in a row with the same datastreams are made in one go.
fn stretches(days: &Dirty) -> Vec<(Interval, &BTreeSet<DatastreamId>)> {
    let mut found: Vec<(Interval, &BTreeSet<DatastreamId>)> = Vec::new();
    for (start, datastreams) in days {
        let day = civil_day_around(*start);
        match found.last_mut() {
            Some((interval, same)) if interval.to == day.from && *same == datastreams => interval.to = day.to,
            _ => found.push((day, datastreams)),
        }
    }
    found
}

/// So many datastreams at once as memory allows.
fn groups(datastreams: &[Arc<Datastream>], interval: Interval) -> Vec<&[Arc<Datastream>]> {
    let seconds = interval.to.seconds().abs_diff(interval.from.seconds());
    let mut found = Vec::new();
    let mut rest = datastreams;
    while !rest.is_empty() {
        let mut rows = 0;
        let fit = rest.iter().take_while(|datastream| {
            rows += seconds / u64::from(datastream.period_s.max(1));
            rows <= ROWS_AT_ONCE
        });
        let (group, later) = rest.split_at(fit.count().max(1));
        found.push(group);
        rest = later;
    }
    found
}

fn staged(store: &Store, about: &Dataset, month: &CivilMonth, rows: &DataFrame, frames: &Frames) -> Result<Vec<PublishedFile>, Error> {
    if rows.height() == 0 {
        return Ok(Vec::new());
    }
    let stage = |format| {
        let bytes = file::write(format, rows, &about.columns, frames)?;
        Ok(store.stage_file(&about.id, &month.name, format, rows.height() as u64, bytes)?)
    };
    Format::ALL.into_iter().map(stage).collect()
}
