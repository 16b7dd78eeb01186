//! Getting a group of observations ready for one commit: what is new, what is known, what is sealed along with it.

use super::cache::Cache;
use super::head::{Head, Heads, SHORT_CHUNK, Seal, merge};
use super::{Point, codec, log};
use crate::Error;
use crate::batch::Outcome;
use crate::engine::{Change, Document, Engine, Order, Row, Span, Table};
use crate::gaps::row_of;
use crate::ledger;
use model::{DatastreamId, Gap, GapReason, Observation, Timestamp};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// What is to be staged.
#[derive(Clone, Copy)]
pub(crate) struct Group<'a> {
    pub(crate) observations: &'a [Observation],
    /// A person's correction, which stands above what devices say.
    pub(crate) is_correction: bool,
}

/// A group that is ready: becomes true in memory once its changes are on disk.
pub(crate) struct Staged {
    pub(crate) commit: u64,
    /// Accepted and revised, in the order of receipt.
    pub(crate) points: Vec<(u32, Point)>,
    /// One for each observation of the group.
    pub(crate) outcomes: Vec<Outcome>,
    /// What withdrawing and its undoing do to the counts, by datastream.
    pub(crate) recounted: Vec<(u32, i64)>,
    pub(crate) seals: Vec<Seal>,
    /// How large its log record is.
    pub(crate) log_bytes: usize,
    /// The last log record that is dropped with it.
    pub(crate) freed: Option<u64>,
}

/// The writer's memory between groups.
#[derive(Default)]
pub(crate) struct Stager {
    /// Per datastream: the commit that last staged it, and the greatest time it staged.
    staged: Vec<(u64, i64)>,
}

impl Stager {
    /// Classifies `group` against `heads`, adds log record, seals and superseded values to `changes`.
    pub(crate) fn stage(
        &mut self,
        group: Group<'_>,
        commit: u64,
        heads: &Heads,
        engine: &dyn Engine,
        cache: &mut Cache,
        changes: &mut Vec<Change>,
    ) -> Result<Staged, Error> {
        let mut points: Vec<(u32, Point)> = Vec::with_capacity(group.observations.len());
        let mut outcomes = Vec::with_capacity(group.observations.len());
        let mut superseded: HashMap<u32, Vec<Point>> = HashMap::new();
        // Built when a group first looks back at itself.
        let mut seen: Option<HashMap<(u32, i64), usize>> = None;
        let (mut recounted, mut replaced) = (Vec::new(), Replaced::default());
        for observation in group.observations {
            let id = observation.datastream.0;
            let index = observation.datastream.index();
            if self.staged.len() <= index {
                self.staged.resize(index + 1, (0, i64::MIN));
            }
            let point = Point::of(observation);
            let head = heads.get(index);
            let committed_to = head.and_then(|head| head.last).map_or(i64::MIN, |last| last.at);
            let Some(staged) = self.staged.get_mut(index) else { continue };
            let staged_to = if staged.0 == commit { staged.1 } else { i64::MIN };
            if point.at > committed_to && point.at > staged_to && !point.is_withdrawn() {
                *staged = (commit, point.at);
                if let Some(seen) = &mut seen {
                    seen.insert((id, point.at), points.len());
                }
                points.push((id, point));
                outcomes.push(Outcome::Accepted);
                continue;
            }
            *staged = (commit, staged_to.max(point.at));
            let seen = seen.get_or_insert_with(|| points.iter().enumerate().map(|(place, (id, point))| ((*id, point.at), place)).collect());
            let before = match seen.get(&(id, point.at)).and_then(|place| points.get(*place)) {
                Some((_, staged)) => Some(*staged),
                None => match head {
                    Some(head) => undamaged(existing(head, id, point.at, engine, cache), id)?,
                    None => None,
                },
            };
            match before {
                Some(before) if changes_nothing(&before, &point, group.is_correction) => outcomes.push(Outcome::Duplicate),
                // The device says again what was corrected since.
                Some(before) if before.is_corrected() && !group.is_correction && replaced.holds(id, &point, engine)? => {
                    outcomes.push(Outcome::Duplicate);
                }
                Some(before) => {
                    let change = i64::from(before.is_withdrawn()) - i64::from(point.is_withdrawn());
                    if change != 0 {
                        recounted.push((id, change));
                    }
                    superseded.entry(id).or_default().push(before);
                    seen.insert((id, point.at), points.len());
                    points.push((id, point));
                    outcomes.push(Outcome::Revised);
                }
                // Nothing is there to be withdrawn.
                None if point.is_withdrawn() => outcomes.push(Outcome::Duplicate),
                None => {
                    seen.insert((id, point.at), points.len());
                    points.push((id, point));
                    outcomes.push(Outcome::Accepted);
                }
            }
        }
        for (id, replaced) in superseded {
            changes.push(put_superseded(id, commit, replaced)?);
        }
        Ok(Staged { commit, points, outcomes, recounted, seals: Vec::new(), log_bytes: 0, freed: None })
    }
}

/// What stood once and was replaced: times and bits of values of a datastream, read when it is first asked for.
#[derive(Default)]
struct Replaced {
    known: HashMap<u32, HashSet<(i64, u64)>>,
}

impl Replaced {
    fn holds(&mut self, id: u32, point: &Point, engine: &dyn Engine) -> Result<bool, Error> {
        let values = match self.known.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let span = Span { part: i64::from(id), from: i64::MIN, to: i64::MAX };
                let mut values = HashSet::new();
                for row in engine.range(Table::Superseded, span, Order::Ascending, usize::MAX)? {
                    match codec::decode(&row.body) {
                        Ok(points) => values.extend(points.iter().map(|point| (point.at, point.value.to_bits()))),
                        Err(cause) => {
                            tracing::error!(event = "damaged", datastream = id, commit = row.at, %cause, "what a commit replaced can't be read");
                        }
                    }
                }
                vacant.insert(values)
            }
        };
        Ok(values.contains(&(point.at, point.value.to_bits())))
    }
}

/// A repetition. What was withdrawn stays so when its device sends it again; only a correction brings it back.
fn changes_nothing(before: &Point, point: &Point, is_correction: bool) -> bool {
    let stays = before.is_withdrawn() == point.is_withdrawn() || (before.is_withdrawn() && !is_correction);
    before.same_value(point) && stays
}

/// What can't be read can't be compared with: the point counts as new, and nothing else waits for the repair.
pub(crate) fn undamaged(found: Result<Option<Point>, Error>, id: u32) -> Result<Option<Point>, Error> {
    match found {
        Err(cause @ Error::Damaged { .. }) => {
            tracing::error!(event = "damaged", datastream = id, %cause, "a late point could not be compared with what is kept");
            Ok(None)
        }
        other => other,
    }
}

/// The committed point of this time, if there is one.
pub(crate) fn existing(head: &Head, id: u32, at: i64, engine: &dyn Engine, cache: &mut Cache) -> Result<Option<Point>, Error> {
    if let Some(point) = head.buffered(at) {
        return Ok(Some(*point));
    }
    let Some(start) = head.chunk_of(at) else { return Ok(None) };
    let points = cache.chunk(engine, id, start)?;
    Ok(points.binary_search_by_key(&at, |point| point.at).ok().and_then(|place| points.get(place).copied()))
}

/// Replaced values of one datastream in one commit, ascending in time; of one time in the order in which they were replaced.
fn put_superseded(id: u32, commit: u64, mut replaced: Vec<Point>) -> Result<Change, Error> {
    replaced.sort_by_key(|point| point.at);
    let weight = i64::try_from(replaced.len()).unwrap_or(i64::MAX);
    let row = Row { part: i64::from(id), at: commit.cast_signed(), weight, body: codec::encode(&replaced)? };
    Ok(Change::Put { table: Table::Superseded, row })
}

/// Adds the log record of what was staged, if there is anything to say.
pub(crate) fn put_log(staged: &mut Staged, entries: &[ledger::Entry], changes: &mut Vec<Change>) {
    if staged.points.is_empty() && staged.seals.is_empty() && entries.is_empty() {
        return;
    }
    let sealed: Vec<u32> = staged.seals.iter().map(|seal| seal.datastream).collect();
    let body = log::encode(&staged.points, &sealed, entries);
    staged.log_bytes = body.len();
    changes.push(Change::Put { table: Table::Log, row: Row { part: 0, at: staged.commit.cast_signed(), weight: 0, body } });
}

/// Turns the buffers of one datastream into chunks: fresh points after the last chunk, late ones into those they touch.
pub(crate) fn seal(head: &Head, id: u32, engine: &dyn Engine, cache: &mut Cache, changes: &mut Vec<Change>) -> Result<Seal, Error> {
    let mut seal = Seal { datastream: id, gone: Vec::new(), chunks: Vec::new(), end: i64::MIN, lost: 0 };
    let mut late = head.late.as_slice();
    // The last chunk is rewritten when it is short and there is more to add to it, or when late points fall into it.
    let last_start = head.starts.last().copied();
    let mut tail: Vec<Point> = Vec::new();
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    let grow_last = head.last_chunk_points < SHORT_CHUNK && !head.fresh.is_empty();
    for (place, start) in head.starts.iter().enumerate() {
        let next = head.starts.get(place + 1).copied();
        let is_last = next.is_none();
        // Points before the first chunk go into it.
        let upto = next.map_or(late.len(), |next| late.partition_point(|point| point.at < next));
        let (mine, rest) = late.split_at_checked(upto).unwrap_or((late, &[]));
        late = rest;
        let is_short_last = is_last && grow_last;
        if mine.is_empty() && !is_short_last {
            continue;
        }
        let merged = match cache.chunk(engine, id, *start) {
            Ok(points) => merge(&points, mine),
            // What is damaged stays fenced until something comes in its place.
            Err(Error::Damaged { .. }) if mine.is_empty() => continue,
            Err(cause @ Error::Damaged { .. }) => {
                tracing::warn!(event = "damaged", datastream = id, start, %cause, "a damaged chunk gives way to what was taken in; its bytes are kept as a document");
                seal.lost += put_aside((id, *start), next, mine, engine, changes)?;
                mine.to_vec()
            }
            Err(cause) => return Err(cause),
        };
        seal.gone.push(*start);
        if is_short_last {
            tail = merged;
        } else {
            split(&merged, head.seal_at, &mut pieces);
        }
    }
    debug_assert!(late.is_empty() || last_start.is_none(), "late points without a chunk");
    tail.extend_from_slice(late);
    tail.extend_from_slice(&head.fresh);
    split(&tail, head.seal_at, &mut pieces);
    for start in &seal.gone {
        changes.push(Change::Delete { table: Table::Chunk, part: i64::from(id), at: *start });
        cache.forget(id, *start);
    }
    for piece in pieces {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { continue };
        let body = codec::encode(&piece)?;
        seal.chunks.push((first.at, piece.len(), body.len()));
        seal.end = seal.end.max(last.at);
        let served = piece.iter().filter(|point| !point.is_withdrawn()).count();
        let weight = i64::try_from(served).unwrap_or(i64::MAX);
        changes.push(Change::Put { table: Table::Chunk, row: Row { part: i64::from(id), at: first.at, weight, body } });
    }
    Ok(seal)
}

/// Keeps the bytes of a damaged chunk that `mine` comes in the place of, to look at, and a gap unless as much came as was lost: nobody
/// knows whether a point that came is one that was lost, so all of them are named until then. How many observations its key counted. The next chunk begins at `next`.
fn put_aside(
    (id, start): (u32, i64),
    next: Option<i64>,
    mine: &[Point],
    engine: &dyn Engine,
    changes: &mut Vec<Change>,
) -> Result<u64, Error> {
    let span = Span { part: i64::from(id), from: start, to: start };
    let Some(row) = engine.range(Table::Chunk, span, Order::Ascending, 1)?.pop() else { return Ok(0) };
    let lost = row.weight.cast_unsigned();
    if lost > mine.len() as u64 {
        let to = Timestamp::from_micros(next.or(mine.last().map(|last| last.at)).unwrap_or(start));
        let from = Timestamp::from_micros(start);
        let gap = Gap { datastream: DatastreamId(id), from, to, reason: GapReason::Damaged, count: lost };
        changes.push(Change::Put { table: Table::Gap, row: row_of(&gap) });
    }
    let document = Document { kind: "damaged".into(), id: format!("{id}-{start}"), body: crate::digest::hex(&row.body) };
    changes.push(Change::PutDocument(document));
    Ok(lost)
}

/// Cuts points into pieces of even size, none much over `most`.
fn split(points: &[Point], most: usize, pieces: &mut Vec<Vec<Point>>) {
    if !points.is_empty() {
        let count = points.len().div_ceil(most + most / 3);
        pieces.extend(points.chunks(points.len().div_ceil(count)).map(<[Point]>::to_vec));
    }
}
