//! The oracle: what the store serves, beside what must be.

use super::disk::{Disk, Platter};
use super::plain::{Plain, Stand, is_withdrawn};
use super::schedule::{STREAMS, SimClock};
use crate::dice::Dice;
use model::{DatastreamId, GapReason, Interval, Observation, Quality, Timestamp, Viewer};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::engine::Table;
use store::{Batch, History, Outcome, Settings, Store};

fn alike(one: &Observation, other: &Observation) -> bool {
    one == other && one.result.to_bits() == other.result.to_bits()
}

/// Everything that is served is as the model says, to the bit, once and in order.
pub(crate) fn whole(store: &Store, plain: &Plain) -> Result<(), String> {
    for id in (0..STREAMS).map(DatastreamId) {
        let must = plain.served(id);
        let found = store.scan(id, Interval::ALL, usize::MAX).map_err(|cause| format!("reading: {cause}"))?;
        if let Some(place) = (0..must.len().max(found.len())).find(|place| match (must.get(*place), found.get(*place)) {
            (Some(one), Some(other)) => !alike(one, other),
            _ => true,
        }) {
            return Err(format!("{id:?}: at {place} must be {:?}, is {:?}", must.get(place), found.get(place)));
        }
        if store.count(id) != must.len() as u64 {
            return Err(format!("{id:?}: {} counted, {} there", store.count(id), must.len()));
        }
        if store.latest(id).map(|one| one.phenomenon_time) != must.last().map(|one| one.phenomenon_time) {
            return Err(format!("{id:?}: the latest is {:?}, must be {:?}", store.latest(id), must.last()));
        }
    }
    Ok(())
}

/// A part of it, from either end.
pub(crate) fn part(store: &Store, plain: &Plain, dice: &mut Dice) -> Result<(), String> {
    let id = DatastreamId(u32::try_from(dice.roll(u64::from(STREAMS))).expect("small"));
    let must = plain.served(id);
    let pick =
        |dice: &mut Dice| must.get(usize::try_from(dice.roll(must.len().max(1) as u64)).expect("small")).map(|one| one.phenomenon_time);
    let (Some(one), Some(other)) = (pick(dice), pick(dice)) else { return Ok(()) };
    let interval = Interval::new(one.min(other), one.max(other));
    let limit = usize::try_from(dice.roll(60) + 1).expect("small");
    let inside: Vec<&Observation> = must.iter().filter(|one| interval.contains(one.phenomenon_time)).take(limit).collect();
    let found = store.scan(id, interval, limit).map_err(|cause| format!("reading: {cause}"))?;
    let before: Vec<&Observation> = must.iter().filter(|one| one.phenomenon_time < interval.to).collect();
    let before = &before[before.len().saturating_sub(limit)..];
    let back = store.scan_back(id, interval.to, limit).map_err(|cause| format!("reading back: {cause}"))?;
    let same = |found: &[Observation], must: &[&Observation]| {
        found.len() == must.len() && found.iter().zip(must).all(|(one, other)| alike(one, other))
    };
    match same(&found, &inside) && same(&back, before) {
        true => Ok(()),
        false => Err(format!("{id:?}: {interval:?} of at most {limit} is not as it must be")),
    }
}

/// Where a bit was flipped.
struct Flip {
    table: Table,
    /// What the damaged record of the log held.
    of_record: BTreeSet<(DatastreamId, i64)>,
    /// It is the last chunk of its datastream.
    is_last: bool,
    /// What was missing, and named, when it was first looked at.
    missing_before: Option<BTreeSet<(DatastreamId, i64)>>,
}

/// Flips a bit on a copy of the platter, opens it and looks: nothing wrong is served, what is missing is named. How many are missing.
pub(crate) fn flipped(platter: &Platter, plain: &Plain, table: Table, dice: &mut Dice) -> Result<Option<u64>, String> {
    let rows = platter.rows(table);
    if rows.is_empty() {
        return Ok(None);
    }
    let row = &rows[usize::try_from(dice.roll(rows.len() as u64)).expect("small")];
    let bit = usize::try_from(dice.roll(row.body.len() as u64 * 8)).expect("small");
    let copy = Arc::new(platter.copy());
    copy.flip(table, row, bit);
    // A log record says itself which observations it held.
    let of_record: BTreeSet<(DatastreamId, i64)> = match table {
        Table::Log => {
            let held = store::unpack_record(row).map_err(|cause| format!("a sound record: {cause}"))?;
            held.iter().map(|one| (one.datastream, one.phenomenon_time.micros())).collect()
        }
        _ => BTreeSet::new(),
    };
    let is_last = rows.iter().all(|other| other.part != row.part || other.at <= row.at);
    let flip = Flip { table, of_record, is_last, missing_before: None };
    let clock = Arc::new(SimClock::at(4_102_444_800));
    let store = Store::open_on(Disk::on(copy), Settings::default(), clock, |_| ()).map_err(|cause| format!("opening damaged: {cause}"))?;
    let place = format!("bit {bit} of {table:?} ({}, {})", row.part, row.at);
    let missing = look(&store, plain, &flip).map_err(|why| format!("{place}: {why}"))?;
    // It goes on beside the damage.
    let at = plain.kept.keys().map(|(_, at)| *at).max().unwrap_or(0) + 60_000_000;
    let fresh = |id| Observation {
        datastream: DatastreamId(id),
        phenomenon_time: Timestamp::from_micros(at),
        received_at: Timestamp::from_seconds(4_000_000_000),
        result: 0.125,
        quality: Quality::GOOD,
    };
    let group: Vec<Observation> = (0..STREAMS).map(fresh).collect();
    let mut plain = plain.clone();
    let receipt = store.commit_blocking(Batch { observations: group.clone(), ..Batch::default() });
    let outcomes = receipt.map_err(|cause| format!("{place}: going on: {cause}"))?.outcomes;
    if outcomes != plain.take(&group, false) || outcomes.iter().any(|outcome| *outcome != Outcome::Accepted) {
        return Err(format!("{place}: what is new was not taken as new"));
    }
    store.seal_all().map_err(|cause| format!("{place}: sealing: {cause}"))?;
    // What gives way to a new chunk is counted in its gap less what came in its place, be that the same or other: only before is it exact.
    let flip = Flip { missing_before: Some(missing), ..flip };
    let missing = look(&store, &plain, &flip).map_err(|why| format!("{place}, after sealing: {why}"))?;
    Ok(Some(missing.len() as u64))
}

fn look(store: &Store, plain: &Plain, flip: &Flip) -> Result<BTreeSet<(DatastreamId, i64)>, String> {
    let view = store.seen_by(&Viewer::Public);
    let mut missing = BTreeSet::new();
    for id in (0..STREAMS).map(DatastreamId) {
        let found = store.scan(id, Interval::ALL, usize::MAX).map_err(|cause| format!("reading: {cause}"))?;
        for one in &found {
            let key = (id, one.phenomenon_time.micros());
            let stand = plain.kept.get(&key).ok_or_else(|| format!("never said: {one:?}"))?;
            let is_earlier = |stand: &Stand| flip.of_record.contains(&key) && stand.before.iter().any(|before| alike(before, one));
            if !alike(&stand.now, one) && !is_earlier(stand) {
                return Err(format!("a wrong value: {one:?} for {:?}", stand.now));
            }
        }
        let times: BTreeSet<i64> = found.iter().map(|one| one.phenomenon_time.micros()).collect();
        if times.len() != found.len() {
            return Err(format!("{id:?}: one comes twice"));
        }
        let datastream = view.datastream(&format!("d{}", id.0)).ok_or("a datastream is gone")?;
        let mut gaps = view.gaps(&datastream, Interval::ALL).map_err(|cause| cause.to_string())?;
        gaps.retain(|gap| gap.reason == GapReason::Damaged);
        let (mut lost, named) = (0, gaps.iter().map(|gap| gap.count).sum::<u64>());
        let kept = plain.kept.range((id, i64::MIN)..=(id, i64::MAX)).filter(|(_, stand)| !is_withdrawn(&stand.now));
        for (key, _) in kept.filter(|(key, _)| !times.contains(&key.1)) {
            lost += 1;
            missing.insert(*key);
            if let Some(before) = &flip.missing_before {
                if before.contains(key) {
                    continue;
                }
                return Err(format!("missing now, and was not before: {key:?}"));
            }
            let at = Timestamp::from_micros(key.1);
            // Where the last chunk ended nobody knows once it is damaged: its gap says where it began, and how many it held.
            let is_named = match flip.table {
                Table::Log => flip.of_record.contains(key),
                _ => gaps.iter().any(|gap| gap.from <= at && (at <= gap.to || flip.is_last)),
            };
            if !is_named {
                return Err(format!("missing without a word: {key:?}; gaps {gaps:?}"));
            }
        }
        if flip.missing_before.is_none() && flip.table == Table::Chunk && lost > named {
            return Err(format!("{id:?}: {lost} missing, {named} named"));
        }
    }
    match store.health().damaged_chunks {
        0 if flip.missing_before.is_none() => Err("nobody saw it".to_owned()),
        _ => Ok(missing),
    }
}
