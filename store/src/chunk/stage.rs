//! Getting a group of observations ready for one commit: what is new, what is known, what is sealed along with it.

use super::cache::Cache;
use super::head::{Head, NewChunk, SHORT_CHUNK, Seal, merge};
use super::heads::Heads;
use super::pages::fitting;
use super::tail::{chunk_row, superseded_row};
use super::{Point, codec, log};
use crate::Error;
use crate::batch::Outcome;
use crate::engine::{Change, Document, Engine, Order, Row, Span, Table};
use crate::gaps::row_of;
use crate::ledger;
use model::{DatastreamId, Gap, GapReason, Observation, Timestamp};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// How many of the group were looked for among what was there.
    pub(crate) sought: usize,
    /// What withdrawing and its undoing do to the counts, by datastream.
    pub(crate) recounted: Vec<(u32, i64)>,
    /// What is replaced, by datastream: it becomes a row along with the next seal.
    pub(crate) replaced: Vec<(u32, Point)>,
    /// Datastreams whose replaced values have become rows by now.
    pub(crate) replaced_put: Vec<u32>,
    pub(crate) seals: Vec<Seal>,
    /// Where its log record stands.
    pub(crate) link: log::Link,
    /// How large its log record is.
    pub(crate) log_bytes: usize,
    /// The last log record that is dropped with it.
    pub(crate) freed: Option<u64>,
}

/// The writer's memory between groups.
#[derive(Default)]
pub(crate) struct Stager {
    /// Per datastream.
    staged: Vec<Latest>,
    /// Number of the group: a commit that failed leaves its own number to the next, and nothing else.
    group: u64,
    /// The room of the group before.
    room: Points,
}

/// What was staged of a datastream last.
#[derive(Clone, Copy)]
struct Latest {
    group: u64,
    /// The greatest time that this group staged.
    at: i64,
    /// Where among its points the last one stands.
    place: u32,
}

const NOTHING: Latest = Latest { group: 0, at: i64::MIN, place: NOWHERE };
const NOWHERE: u32 = u32::MAX;

/// The points of a group so far, each with the place of the one before it of the same datastream.
#[derive(Default)]
struct Points {
    all: Vec<(u32, Point)>,
    before: Vec<u32>,
    /// By datastream and time; built when a group has many of one datastream and looks back at itself.
    by_time: Option<HashMap<(u32, i64), usize>>,
}

impl Points {
    /// So many are walked back before they are put in order.
    const WALK: usize = 32;

    /// So many are kept room for between groups.
    const ROOM: usize = 16_384;

    fn begin(&mut self, count: usize) {
        self.all.clear();
        self.all.reserve(count);
        self.before.clear();
        self.before.reserve(count);
        self.by_time = None;
    }
    #[inline]
    fn push(&mut self, id: u32, point: Point, latest: &mut Latest) {
        let place = self.all.len();
        if let Some(by_time) = &mut self.by_time {
            by_time.insert((id, point.at), place);
        }
        self.before.push(latest.place);
        self.all.push((id, point));
        latest.place = u32::try_from(place).unwrap_or(NOWHERE);
    }
    /// The last point of this time that was staged.
    fn of(&mut self, id: u32, at: i64, latest: Latest) -> Option<Point> {
        if at > latest.at {
            return None;
        }
        if self.by_time.is_none() {
            let mut place = latest.place as usize;
            for _ in 0..Self::WALK {
                let (_, point) = self.all.get(place)?;
                if point.at == at {
                    return Some(*point);
                }
                place = self.before.get(place).map_or(usize::MAX, |place| *place as usize);
            }
        }
        let places = || self.all.iter().enumerate().map(|(place, (id, point))| ((*id, point.at), place)).collect();
        let place = *self.by_time.get_or_insert_with(places).get(&(id, at))?;
        self.all.get(place).map(|(_, point)| *point)
    }
}

impl Stager {
    /// Classifies `group` against `heads`, adds superseded values to `changes`.
    pub(crate) fn stage(
        &mut self,
        group: Group<'_>,
        commit: u64,
        heads: &Heads,
        engine: &dyn Engine,
        cache: &mut Cache,
        changes: &mut Vec<Change>,
    ) -> Result<Staged, Error> {
        self.group += 1;
        let mut points = std::mem::take(&mut self.room);
        points.begin(group.observations.len());
        let mut outcomes = Vec::with_capacity(group.observations.len());
        let (mut recounted, mut replaced, mut known) = (Vec::new(), Vec::new(), Replaced::default());
        let mut sought = 0;
        for observation in group.observations {
            let id = observation.datastream.0;
            let index = observation.datastream.index();
            if self.staged.len() <= index {
                self.staged.resize(index + 1, NOTHING);
            }
            let point = Point::of(observation);
            let Some(latest) = self.staged.get_mut(index) else { continue };
            if latest.group != self.group {
                *latest = Latest { group: self.group, ..NOTHING };
            }
            if point.at > heads.last_at(index).max(latest.at) && !point.is_withdrawn() {
                latest.at = point.at;
                points.push(id, point, latest);
                outcomes.push(Outcome::Accepted);
                continue;
            }
            sought += 1;
            let before = match points.of(id, point.at, *latest) {
                Some(staged) => Some(staged),
                None => undamaged(existing(heads, id, point.at, engine, cache), id)?,
            };
            latest.at = latest.at.max(point.at);
            match before {
                Some(before) if changes_nothing(&before, &point, group.is_correction) => outcomes.push(Outcome::Duplicate),
                // The device says again what was corrected since.
                Some(before) if before.is_corrected() && !group.is_correction && known.holds(id, &point, heads.get(index), engine)? => {
                    outcomes.push(Outcome::Duplicate);
                }
                Some(before) => {
                    let change = i64::from(before.is_withdrawn()) - i64::from(point.is_withdrawn());
                    if change != 0 {
                        recounted.push((id, change));
                    }
                    replaced.push((id, before));
                    points.push(id, point, latest);
                    outcomes.push(Outcome::Revised);
                }
                // Nothing is there to be withdrawn.
                None if point.is_withdrawn() => outcomes.push(Outcome::Duplicate),
                None => {
                    points.push(id, point, latest);
                    outcomes.push(Outcome::Accepted);
                }
            }
        }
        let all = std::mem::take(&mut points.all);
        self.room = points;
        let mut staged = Staged {
            commit,
            points: all,
            outcomes,
            sought,
            recounted,
            replaced,
            replaced_put: Vec::new(),
            seals: Vec::new(),
            link: log::Link { commit, ..log::Link::default() },
            log_bytes: 0,
            freed: None,
        };
        if group.is_correction {
            staged.put_replaced(heads, changes)?;
        }
        Ok(staged)
    }
    /// Takes the room of points back that are published: asking the system for it anew each time costs more than filling it.
    pub(crate) fn give_back(&mut self, points: Vec<(u32, Point)>) {
        if points.capacity() <= Points::ROOM {
            self.room.all = points;
        }
    }
}

impl Staged {
    /// Makes rows of what a correction replaces, and before them of what waited: a row is asked for by the commit that replaced.
    fn put_replaced(&mut self, heads: &Heads, changes: &mut Vec<Change>) -> Result<(), Error> {
        let mut by_datastream: BTreeMap<u32, Vec<(u64, Point)>> = BTreeMap::new();
        for (id, point) in self.replaced.drain(..) {
            by_datastream.entry(id).or_default().push((self.commit, point));
        }
        for (id, replaced) in by_datastream {
            let waited = heads.get(id as usize).map_or(&[][..], |head| head.replaced.as_slice());
            changes.extend(put_superseded(id, waited)?);
            changes.extend(put_superseded(id, &replaced)?);
            self.replaced_put.push(id);
        }
        Ok(())
    }
}

/// What stood once and was replaced: times and bits of values of a datastream, read when it is first asked for.
#[derive(Default)]
struct Replaced {
    known: HashMap<u32, HashSet<(i64, u64)>>,
}

impl Replaced {
    fn holds(&mut self, id: u32, point: &Point, head: Option<&Head>, engine: &dyn Engine) -> Result<bool, Error> {
        let same = |(_, replaced): &(u64, Point)| replaced.at == point.at && replaced.same_value(point);
        if head.is_some_and(|head| head.replaced.iter().any(same)) {
            return Ok(true);
        }
        let values = match self.known.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let span = Span { part: i64::from(id), from: i64::MIN, to: i64::MAX };
                let mut values = HashSet::new();
                for row in engine.range(Table::Superseded, span, Order::Ascending, usize::MAX)? {
                    match codec::decode(Table::Superseded, &row) {
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
pub(crate) fn existing(heads: &Heads, id: u32, at: i64, engine: &dyn Engine, cache: &mut Cache) -> Result<Option<Point>, Error> {
    if let Some(point) = heads.buffered(id as usize, at) {
        return Ok(Some(point));
    }
    let Some(start) = heads.get(id as usize).and_then(|head| head.chunk_of(at)) else { return Ok(None) };
    let points = cache.chunk(engine, id, start)?;
    Ok(points.binary_search_by_key(&at, |point| point.at).ok().and_then(|place| points.get(place).copied()))
}

/// Replaced values of one datastream, ascending in time; of one time in the order in which they were replaced. The row has the number of
/// the last commit that replaced any of them.
fn put_superseded(id: u32, replaced: &[(u64, Point)]) -> Result<Option<Change>, Error> {
    let Some((commit, _)) = replaced.last() else { return Ok(None) };
    let mut points: Vec<Point> = replaced.iter().map(|(_, point)| *point).collect();
    points.sort_by_key(|point| point.at);
    let row = superseded_row(i64::from(id), commit.cast_signed(), &points)?;
    Ok(Some(Change::Put { table: Table::Superseded, row }))
}

/// Adds the log record of what was staged, if there is anything to say.
pub(crate) fn put_log(staged: &mut Staged, entries: &[ledger::Entry], changes: &mut Vec<Change>) {
    if staged.points.is_empty() && staged.seals.is_empty() && entries.is_empty() {
        return;
    }
    let sealed: Vec<(u32, i64)> = staged.seals.iter().map(|seal| (seal.datastream, seal.through)).collect();
    let body = log::encode(staged.link, &staged.points, &sealed, entries);
    staged.log_bytes = body.len();
    changes.push(Change::Put {
        table: Table::Log,
        row: Row { part: 0, at: staged.commit.cast_signed(), weight: 0, summary: Vec::new(), body },
    });
}

/// What of a buffer is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Portion {
    /// What fills a chunk; the newest stay.
    Full,
    All,
}

/// Turns the buffers of one datastream into chunks: fresh points after the last chunk, late ones into those they touch. The new ones are
/// in `rows`, and belong after `changes`.
pub(crate) fn seal(
    (id, head): (u32, &Head),
    portion: Portion,
    engine: &dyn Engine,
    cache: &mut Cache,
    changes: &mut Vec<Change>,
    rows: &mut Vec<Row>,
) -> Result<Seal, Error> {
    let count = head.to_seal(portion == Portion::All);
    let fresh = head.fresh.get(..count).unwrap_or_default();
    let through = fresh.last().map_or(head.sealed_end, |last| last.at);
    let oldest_left = head.oldest_without(count);
    let mut seal =
        Seal { datastream: id, fresh: count, through, oldest_left, gone: Vec::new(), chunks: Vec::new(), end: i64::MIN, lost: 0 };
    changes.extend(put_superseded(id, &head.replaced)?);
    let mut late = head.late.as_slice();
    // The last chunk is rewritten when it is short and there is more to add to it, or when late points fall into it.
    let last_start = head.starts.last().copied();
    let mut tail: Vec<Point> = Vec::new();
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    let grow_last = (head.last_chunk_points as usize) < SHORT_CHUNK && !fresh.is_empty();
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
            split(&merged, head.seal_at(), &mut pieces);
        }
    }
    debug_assert!(late.is_empty() || last_start.is_none(), "late points without a chunk");
    tail.extend_from_slice(late);
    tail.extend_from_slice(fresh);
    split(&tail, head.seal_at(), &mut pieces);
    let mut last_row = None;
    if portion == Portion::Full
        && let Some(piece) = pieces.last_mut()
    {
        // What would fill pages badly is cut shorter, and the rest stays in the buffer.
        let row = chunk_row(id, piece)?;
        let fits = row.as_ref().map_or(piece.len(), |row| fitting(piece.len(), row.body.len()));
        let left = piece.len() - fits.min(piece.len());
        if left == 0 || left >= count {
            last_row = row;
        } else {
            piece.truncate(fits);
            seal.fresh = count - left;
            seal.through = piece.last().map_or(through, |last| last.at);
            seal.oldest_left = head.oldest_without(seal.fresh);
        }
    }
    let last = pieces.len().saturating_sub(1);
    for start in &seal.gone {
        changes.push(Change::Delete { table: Table::Chunk, part: i64::from(id), at: *start });
        cache.forget(id, *start);
    }
    for (place, piece) in pieces.iter().enumerate() {
        let row = last_row.take_if(|_| place == last);
        let row = if row.is_some() { row } else { chunk_row(id, piece)? };
        let (Some(last), Some(row)) = (piece.last(), row) else { continue };
        seal.chunks.push(NewChunk { start: row.at, points: piece.len(), bytes: row.body.len() });
        seal.end = seal.end.max(last.at);
        rows.push(row);
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
