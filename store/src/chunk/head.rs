use super::Point;
use super::pages::fitting_points;

/// A chunk with fewer points is taken up by its successor.
pub(crate) const SHORT_CHUNK: usize = 768;
/// The newest points that stay in the buffer when the rest is sealed: what comes late or is said again is mostly of these, and finds
/// them in memory.
const STAY_POINTS: usize = 512;
/// Late points that are worth rewriting the chunks they touch, and replaced ones that are worth a row.
const LATE_POINTS: usize = 128;
const REPLACED_POINTS: usize = 256;

/// So many points that were appended one after another, or a few more, have one number of a commit: a number beside each would make a point a third larger.
const SHARED: usize = 32;

/// Neighbouring points of a buffer, from this place to where the next ones begin: none came before `commit`.
#[derive(Debug, Clone, Copy)]
struct Since {
    place: usize,
    commit: u64,
}

/// What is held in memory of one datastream: what is not yet in chunks, and where its chunks begin. What every point touches comes first.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(crate) struct Head {
    /// Ascending; all later than `sealed_end`.
    pub(crate) fresh: Vec<Point>,
    /// Time of the last point in chunks; the minimum when there is none.
    pub(crate) sealed_end: i64,
    /// No point in the buffers is of an earlier commit; the maximum when they are empty.
    pub(crate) oldest: u64,
    /// Different phenomenon times, sealed or not.
    pub(crate) count: u64,
    /// The smallest time.
    pub(crate) first_at: i64,
    /// Points to seal together.
    seal_at: u32,
    /// Points of the last chunk.
    pub(crate) last_chunk_points: u32,
    /// Ascending; none later than `sealed_end`. Where a chunk has a point of the same time, this one is served.
    pub(crate) late: Vec<Point>,
    /// First times of the chunks, ascending.
    pub(crate) starts: Vec<i64>,
    /// What was replaced since the last seal, in that order, with the commit that did.
    pub(crate) replaced: Vec<(u64, Point)>,
    /// When the points of `fresh` came, ascending by place and commit.
    fresh_since: Vec<Since>,
    /// The same of all of `late`; the maximum when it is empty.
    late_since: u64,
}

impl Head {
    /// `spread` (any number, e.g. the datastream's) makes buffers that were begun together fill up at different times.
    pub(crate) fn new(spread: u32) -> Self {
        Self {
            fresh: Vec::new(),
            late: Vec::new(),
            starts: Vec::new(),
            replaced: Vec::new(),
            fresh_since: Vec::new(),
            late_since: u64::MAX,
            sealed_end: i64::MIN,
            last_chunk_points: 0,
            count: 0,
            first_at: i64::MAX,
            oldest: u64::MAX,
            seal_at: 2560 + (spread.wrapping_mul(2_654_435_761) >> 21) * 5 / 4,
        }
    }
    pub(crate) fn seal_at(&self) -> usize {
        self.seal_at as usize
    }
    pub(crate) fn wants_sealing(&self) -> bool {
        self.is_full() || self.late.len() >= LATE_POINTS || self.replaced.len() >= REPLACED_POINTS
    }
    /// It should wait no longer for others to be sealed with.
    pub(crate) fn is_overfull(&self) -> bool {
        let fresh = self.seal_at() + STAY_POINTS;
        self.fresh.len() > fresh + fresh / 4 || self.late.len() > 2 * LATE_POINTS || self.replaced.len() > 2 * REPLACED_POINTS
    }
    fn is_full(&self) -> bool {
        self.fresh.len() >= self.seal_at() + STAY_POINTS
    }
    /// How many of the fresh points a seal takes: all but the newest, or all.
    pub(crate) fn to_seal(&self, all: bool) -> usize {
        match (all, self.is_full()) {
            (true, _) => self.fresh.len(),
            (false, true) => self.fresh.len() - STAY_POINTS,
            (false, false) => 0,
        }
    }
    /// No point that stays is of an earlier commit, when so many fresh points and all others go.
    pub(crate) fn oldest_without(&self, sealed: usize) -> u64 {
        if sealed >= self.fresh.len() {
            return u64::MAX;
        }
        let after = self.fresh_since.partition_point(|since| since.place <= sealed);
        let first = after.checked_sub(1).and_then(|place| self.fresh_since.get(place));
        first.map_or(self.oldest, |since| since.commit.max(self.oldest))
    }
    /// Takes the first fresh points out.
    fn drop_fresh(&mut self, count: usize) {
        self.fresh.drain(..count);
        let after = self.fresh_since.partition_point(|since| since.place <= count);
        self.fresh_since.drain(..after.saturating_sub(1));
        self.fresh_since.iter_mut().for_each(|since| since.place = since.place.saturating_sub(count));
        if self.fresh.is_empty() {
            self.fresh_since.clear();
        }
    }
    /// The buffered point of this time.
    pub(crate) fn buffered(&self, at: i64) -> Option<&Point> {
        let buffer = if at > self.sealed_end { &self.fresh } else { &self.late };
        find(buffer, at).ok().and_then(|place| buffer.get(place))
    }
    /// The start of the chunk that holds this time, if one may.
    pub(crate) fn chunk_of(&self, at: i64) -> Option<i64> {
        if at > self.sealed_end {
            return None;
        }
        let after = self.starts.partition_point(|start| *start <= at);
        self.starts.get(after.checked_sub(1)?).copied()
    }
    /// Puts a point into its buffer. `since` is its commit or an earlier one, and none before what was given last.
    #[inline]
    pub(super) fn insert(&mut self, point: Point, since: u64) -> Inserted {
        self.first_at = self.first_at.min(point.at);
        if point.at > self.sealed_end {
            if self.fresh.len() == self.fresh.capacity() {
                self.fresh.reserve_exact(self.room());
            }
            let is_another = match put(&mut self.fresh, point) {
                Some(place) => {
                    self.share(place, since);
                    true
                }
                None => false,
            };
            Inserted { is_another, is_full: self.fresh.len() == self.seal_at() + STAY_POINTS }
        } else {
            let is_another = put(&mut self.late, point).is_some();
            self.late_since = self.late_since.min(since);
            Inserted { is_another, is_full: self.late.len() == LATE_POINTS }
        }
    }
    /// Notes the commit of a fresh point that was put at `place`.
    #[inline]
    fn share(&mut self, place: usize, commit: u64) {
        if place + 1 == self.fresh.len() {
            if place.is_multiple_of(SHARED) {
                self.fresh_since.push(Since { place, commit });
            }
            return;
        }
        // It counts with those around it, which came before.
        self.fresh_since.iter_mut().rev().take_while(|since| since.place > place).for_each(|since| since.place += 1);
    }
    /// How much longer the buffer becomes: four times as long as it is, and once it is long, as long as it will ever be. Memory that nobody wrote to costs
    /// nothing, and moving a long buffer does.
    #[cold]
    fn room(&self) -> usize {
        let length = self.fresh.len();
        let whole = self.seal_at() + STAY_POINTS + 64;
        if (128..whole).contains(&length) { whole - length } else { (3 * length).clamp(32, 4096) }
    }
    /// Remembers what a commit replaced. True when enough waits to be worth a row.
    pub(crate) fn replace(&mut self, commit: u64, point: Point) -> bool {
        self.replaced.push((commit, point));
        self.replaced.len() == REPLACED_POINTS
    }
    /// Forgets what is in chunks now.
    pub(crate) fn sealed(&mut self, seal: &Seal) {
        if seal.fresh < self.fresh.len() {
            // It fills up again: the room is kept.
            self.drop_fresh(seal.fresh);
        } else {
            self.fresh = Vec::new();
            self.fresh_since = Vec::new();
        }
        self.late = Vec::new();
        self.late_since = u64::MAX;
        self.replaced = Vec::new();
        self.oldest = seal.oldest_left;
        self.starts.retain(|start| !seal.gone.contains(start));
        for chunk in &seal.chunks {
            if let Err(place) = self.starts.binary_search(&chunk.start) {
                self.starts.insert(place, chunk.start);
            }
        }
        self.sealed_end = self.sealed_end.max(seal.end);
        if let Some(chunk) = seal.chunks.last()
            && self.starts.last() == Some(&chunk.start)
        {
            self.last_chunk_points = u32::try_from(chunk.points).unwrap_or(u32::MAX);
            self.seal_at = u32::try_from(fitting_points(chunk.points, chunk.bytes)).unwrap_or(u32::MAX);
        }
    }
    /// As [`Head::sealed`], where only the time is known up to which a commit sealed.
    pub(crate) fn sealed_through(&mut self, through: i64) {
        let gone = self.fresh.partition_point(|point| point.at <= through);
        self.oldest = self.oldest_without(gone);
        self.drop_fresh(gone);
        self.late.retain(|point| point.at > through);
        self.replaced.clear();
        if self.late.is_empty() {
            self.late_since = u64::MAX;
        }
        self.oldest = self.oldest.min(self.late_since);
    }
}

/// Where this time is, or where it would be. What a device measures comes in nearly equal steps: the place is guessed first, and found
/// around it.
fn find(points: &[Point], at: i64) -> Result<usize, usize> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Err(0) };
    if at > last.at {
        return Err(points.len());
    }
    if at <= first.at {
        return if at == first.at { Ok(0) } else { Err(0) };
    }
    let steps = (points.len() - 1) as i128;
    let guess = i128::from(at.wrapping_sub(first.at)) * steps / i128::from(last.at.wrapping_sub(first.at)).max(1);
    let guess = usize::try_from(guess).unwrap_or(0).min(points.len() - 1);
    let is_before = |place: usize| points.get(place).is_some_and(|point| point.at < at);
    // Steps that double, from the guess towards the place: it lies in (low, high].
    let (mut low, mut high, mut step) = (guess, guess, 1);
    while low > 0 && !is_before(low) {
        high = low;
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 1;
    while high < points.len() && is_before(high) {
        low = high;
        high = (high + step).min(points.len());
        step *= 2;
    }
    let between = points.get(low..high).unwrap_or_default();
    let place = low + between.partition_point(|point| point.at < at);
    if points.get(place).is_some_and(|point| point.at == at) { Ok(place) } else { Err(place) }
}

/// Into an ascending buffer, in the place of one of the same time: the one that it stands for was committed before, and what holds either in
/// the log is still needed. Where the buffer grew, if it did.
#[inline]
fn put(buffer: &mut Vec<Point>, point: Point) -> Option<usize> {
    if buffer.last().is_none_or(|last| last.at < point.at) {
        buffer.push(point);
        return Some(buffer.len() - 1);
    }
    match find(buffer, point.at) {
        Ok(place) => {
            if let Some(kept) = buffer.get_mut(place) {
                *kept = point;
            }
            None
        }
        Err(place) => {
            buffer.insert(place, point);
            Some(place)
        }
    }
}

/// What became of a point that was put into a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inserted {
    /// It stands in the place of no other.
    pub(crate) is_another: bool,
    /// The buffer became worth sealing by it.
    pub(crate) is_full: bool,
}

/// A new chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewChunk {
    pub(crate) start: i64,
    pub(crate) points: usize,
    pub(crate) bytes: usize,
}

/// The sealing of one datastream, prepared for a commit.
#[derive(Debug)]
pub(crate) struct Seal {
    pub(crate) datastream: u32,
    /// How many of the fresh points are in it; all the late ones are.
    pub(crate) fresh: usize,
    /// Every point of the buffers up to this time, included, is in it.
    pub(crate) through: i64,
    /// No point that stays in the buffers is of an earlier commit.
    pub(crate) oldest_left: u64,
    /// Starts of chunks that are replaced.
    pub(crate) gone: Vec<i64>,
    /// Ascending.
    pub(crate) chunks: Vec<NewChunk>,
    /// Time of the last sealed point.
    pub(crate) end: i64,
    /// Observations of damaged chunks that are replaced: counted before, and gone.
    pub(crate) lost: u64,
}

/// Merges points of two ascending lists; of the same time, the second list's is kept.
pub(crate) fn merge(older: &[Point], newer: &[Point]) -> Vec<Point> {
    let mut merged = Vec::with_capacity(older.len() + newer.len());
    let (mut older, mut newer) = (older.iter().peekable(), newer.iter().peekable());
    loop {
        match (older.peek(), newer.peek()) {
            (Some(old), Some(new)) if old.at < new.at => merged.extend(older.next()),
            (Some(old), Some(new)) if old.at == new.at => {
                older.next();
                merged.extend(newer.next());
            }
            (_, Some(_)) => merged.extend(newer.next()),
            (Some(_), None) => merged.extend(older.next()),
            (None, None) => return merged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beside a list that knows the commit of each point.
    #[test]
    fn no_buffered_point_is_of_an_earlier_commit_than_is_said_and_little_is_said_too_early() {
        let mut dice = 9_u64;
        let mut roll = |faces: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % faces
        };
        let (mut head, mut exact) = (Head::new(0), std::collections::BTreeMap::new());
        for commit in 1..4000_u64 {
            let at = if roll(20) == 0 { roll(commit * 10) } else { commit * 10 }.cast_signed();
            exact.entry(at).or_insert(commit);
            head.insert(Point { at, ..Point::EMPTY }, commit);
            head.oldest = head.oldest.min(commit);
            if roll(200) == 0 {
                let count = usize::try_from(roll(head.fresh.len() as u64 + 1)).unwrap();
                head.oldest = head.oldest_without(count);
                let gone: Vec<i64> = head.fresh.iter().take(count).map(|point| point.at).collect();
                exact.retain(|at, _| !gone.contains(at));
                head.drop_fresh(count);
            }
            for sealed in [0, head.fresh.len() / 2, head.fresh.len().saturating_sub(1)] {
                let left: Vec<u64> = head.fresh.iter().skip(sealed).map(|point| exact[&point.at]).collect();
                let (said, first) = (head.oldest_without(sealed), left.iter().min().copied().unwrap_or(u64::MAX));
                assert!(said <= first, "{sealed} of {}: {said}, and one is of {first}", left.len());
                assert!(left.is_empty() || first - said < 5 * SHARED as u64, "{said} is said, and the first is of {first}");
            }
        }
        assert_eq!(exact.len(), head.fresh.len());
    }

    #[test]
    fn every_time_is_found_where_it_is_or_would_be() {
        let times = |steps: &dyn Fn(i64) -> i64| -> Vec<Point> { (0..300).map(|n| Point { at: steps(n), ..Point::EMPTY }).collect() };
        let with_holes = |n: i64| n * 600 + n / 7 * 9_000;
        for points in
            [times(&|n| n), times(&|n| n * 600), times(&with_holes), times(&|n| n * n * n), times(&|n| i64::MAX - 300 + n), Vec::new()]
        {
            let known = points.iter().map(|point| point.at);
            for at in known.flat_map(|at| [at.saturating_sub(1), at, at.saturating_add(1)]).chain([i64::MIN, i64::MAX, 0]) {
                assert_eq!(find(&points, at), points.binary_search_by_key(&at, |point| point.at), "{at}");
            }
        }
    }
}
