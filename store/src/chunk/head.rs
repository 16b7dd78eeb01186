use super::Point;

/// Points that are sealed together before anything is known of how well they pack.
const CHUNK_POINTS: usize = 1536;
/// The most that are sealed together: more would cost few bits less and make every late point dearer.
const MOST_POINTS: usize = 2560;
/// A chunk with fewer points is taken up by its successor.
pub(crate) const SHORT_CHUNK: usize = 768;
/// Bytes of a chunk that fill a quarter, a half and a whole page of the engine with little left over. With arbitrary sizes a
/// fifth of the file was empty space at the ends of pages.
const FITTING: [usize; 3] = [975, 1985, 3980];

/// How many points to seal next time, from what the last chunk took: as many as fill a fitting part of a page.
fn fitting_points(points: usize, bytes: usize) -> usize {
    let fits = FITTING.iter().map(|room| room * points / bytes.max(1));
    fits.filter(|points| (SHORT_CHUNK..=MOST_POINTS).contains(points)).max().unwrap_or(CHUNK_POINTS)
}
/// Late points that are worth rewriting the chunks they touch.
const LATE_POINTS: usize = 128;

/// Heads by the number of their datastream.
pub(crate) type Heads = Vec<Head>;

/// What is held in memory of one datastream: what is not yet in chunks, and where its chunks begin.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// Ascending; all later than `sealed_end`.
    pub(crate) fresh: Vec<Point>,
    /// Ascending; none later than `sealed_end`. Where a chunk has a point of the same time, this one is served.
    pub(crate) late: Vec<Point>,
    /// First times of the chunks, ascending.
    pub(crate) starts: Vec<i64>,
    /// Time of the last point in chunks; the minimum when there is none.
    pub(crate) sealed_end: i64,
    /// Points of the last chunk.
    pub(crate) last_chunk_points: usize,
    /// Different phenomenon times, sealed or not.
    pub(crate) count: u64,
    /// The point of the smallest and of the greatest time.
    pub(crate) first_at: i64,
    pub(crate) last: Option<Point>,
    /// Commit of the oldest point in the buffers; the maximum when they are empty.
    pub(crate) oldest: u64,
    pub(crate) seal_at: usize,
}

impl Head {
    /// `spread` (any number, e.g. the datastream's) makes buffers that were begun together fill up at different times.
    pub(crate) fn new(spread: u32) -> Self {
        let spread = usize::try_from(spread.wrapping_mul(2_654_435_761) >> 22).unwrap_or(0);
        Self {
            fresh: Vec::new(),
            late: Vec::new(),
            starts: Vec::new(),
            sealed_end: i64::MIN,
            last_chunk_points: 0,
            count: 0,
            first_at: i64::MAX,
            last: None,
            oldest: u64::MAX,
            seal_at: SHORT_CHUNK + spread,
        }
    }
    pub(crate) fn wants_sealing(&self) -> bool {
        self.fresh.len() >= self.seal_at || self.late.len() >= LATE_POINTS
    }
    /// The buffered point of this time.
    pub(crate) fn buffered(&self, at: i64) -> Option<&Point> {
        let buffer = if at > self.sealed_end { &self.fresh } else { &self.late };
        buffer.binary_search_by_key(&at, |point| point.at).ok().and_then(|place| buffer.get(place))
    }
    /// The start of the chunk that holds this time, if one may.
    pub(crate) fn chunk_of(&self, at: i64) -> Option<i64> {
        if at > self.sealed_end {
            return None;
        }
        let after = self.starts.partition_point(|start| *start <= at);
        self.starts.get(after.checked_sub(1)?).copied()
    }
    /// Takes a committed point into its buffer, in the place of one of the same time. Does not count it.
    pub(crate) fn insert(&mut self, point: Point, commit: u64) {
        let buffer = if point.at > self.sealed_end { &mut self.fresh } else { &mut self.late };
        if buffer.last().is_none_or(|last| last.at < point.at) {
            if buffer.capacity() == 0 {
                buffer.reserve(32);
            }
            buffer.push(point);
        } else {
            match buffer.binary_search_by_key(&point.at, |kept| kept.at) {
                Ok(place) => {
                    if let Some(kept) = buffer.get_mut(place) {
                        *kept = point;
                    }
                }
                Err(place) => buffer.insert(place, point),
            }
        }
        self.oldest = self.oldest.min(commit);
        self.first_at = self.first_at.min(point.at);
        if self.last.is_none_or(|last| last.at <= point.at) {
            self.last = Some(point);
        }
    }
    /// Forgets the buffers: everything in them is in chunks now.
    pub(crate) fn sealed(&mut self, seal: &Seal) {
        self.fresh = Vec::new();
        self.late = Vec::new();
        self.oldest = u64::MAX;
        self.starts.retain(|start| !seal.gone.contains(start));
        for (start, ..) in &seal.chunks {
            if let Err(place) = self.starts.binary_search(start) {
                self.starts.insert(place, *start);
            }
        }
        self.sealed_end = self.sealed_end.max(seal.end);
        if let Some((start, points, bytes)) = seal.chunks.last()
            && self.starts.last() == Some(start)
        {
            self.last_chunk_points = *points;
            self.seal_at = fitting_points(*points, *bytes);
        }
    }
}

/// The sealing of one datastream, prepared for a commit.
#[derive(Debug)]
pub(crate) struct Seal {
    pub(crate) datastream: u32,
    /// Starts of chunks that are replaced.
    pub(crate) gone: Vec<i64>,
    /// Start, points and bytes of each new chunk, ascending.
    pub(crate) chunks: Vec<(i64, usize, usize)>,
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
