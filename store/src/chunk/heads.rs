//! The heads of all datastreams. What commits add is first held together as it came, and goes into its buffers when there is some of
//! each: touching a buffer costs as much for one point as for twenty.

use super::Point;
use super::head::Head;
use crate::Outcome;

/// So many points are held together before they go into their buffers, 32 bytes each.
const TOGETHER: usize = 131_072;
/// The same while much comes late or again, and is looked for among them.
const TOGETHER_WHEN_SOUGHT: usize = 16_384;
/// Longer chains of one datastream are not walked: they go into its buffer at the end of the commit that made them so long.
const LONG_CHAIN: u32 = 256;

/// The heads of all datastreams, by number, and the point of the greatest time of each beside them: what is asked of all at once, and of
/// every observation that comes, lies close together.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    heads: Vec<Head>,
    /// [`NONE`] where there is none.
    lasts: Vec<Point>,
    young: Young,
    /// Points in all buffers.
    buffered: u64,
    /// Datastreams whose buffers became worth sealing, until the writer takes note.
    full: Vec<u32>,
}

const NONE: Point = Point { at: i64::MIN, ..Point::EMPTY };

/// What was committed and is in no buffer yet, in the order of receipt.
#[derive(Debug, Default)]
struct Young {
    points: Vec<Linked>,
    /// The chain of each datastream.
    chains: Vec<Chain>,
    /// Those of them that stand in the place of others.
    revised: Vec<u32>,
    /// The commit of the first.
    oldest: u64,
    has_long_chain: bool,
}

#[derive(Debug, Clone, Copy)]
struct Linked {
    point: Point,
    datastream: u32,
    /// Place of the one before it of the same datastream.
    before: u32,
}

#[derive(Debug, Clone, Copy)]
struct Chain {
    /// Place of its last point.
    place: u32,
    length: u32,
    /// Its smallest time.
    first_at: i64,
}

const NOWHERE: u32 = u32::MAX;
const NO_CHAIN: Chain = Chain { place: NOWHERE, length: 0, first_at: i64::MAX };

impl Young {
    #[inline]
    fn push(&mut self, datastream: u32, point: Point) {
        let index = datastream as usize;
        if self.chains.len() <= index {
            self.chains.resize(index + 1, NO_CHAIN);
        }
        let Some(chain) = self.chains.get_mut(index) else { return };
        self.points.push(Linked { point, datastream, before: chain.place });
        chain.place = u32::try_from(self.points.len() - 1).unwrap_or(NOWHERE);
        chain.first_at = chain.first_at.min(point.at);
        chain.length += 1;
        self.has_long_chain |= chain.length > LONG_CHAIN;
    }
    /// The last one of this time.
    fn find(&self, index: usize, at: i64) -> Option<Point> {
        let chain = self.chains.get(index).filter(|chain| chain.first_at <= at)?;
        let mut place = chain.place;
        while let Some(linked) = self.points.get(place as usize) {
            if linked.point.at == at {
                return Some(linked.point);
            }
            place = linked.before;
        }
        None
    }
}

impl Heads {
    /// All of them, with everything in the buffers: only when [`Heads::is_settled`].
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Head)> {
        (0_u32..).zip(&self.heads)
    }
    /// What its buffers hold is all there is only when [`Heads::is_settled`].
    pub(crate) fn get(&self, index: usize) -> Option<&Head> {
        self.heads.get(index)
    }
    /// Made when it is not there.
    pub(crate) fn reach(&mut self, id: u32) -> &mut Head {
        let index = id as usize;
        while self.heads.len() <= index {
            let next = u32::try_from(self.heads.len()).unwrap_or(u32::MAX);
            self.heads.push(Head::new(next));
            self.lasts.push(NONE);
        }
        #[expect(clippy::indexing_slicing, reason = "made longer just above")]
        &mut self.heads[index]
    }
    pub(crate) fn last(&self, index: usize) -> Option<Point> {
        self.lasts.get(index).copied().filter(|last| last.at != i64::MIN)
    }
    /// The greatest time, or the minimum.
    #[inline]
    pub(crate) fn last_at(&self, index: usize) -> i64 {
        self.lasts.get(index).map_or(i64::MIN, |last| last.at)
    }
    pub(crate) fn set_last(&mut self, id: u32, last: Option<Point>) {
        self.reach(id);
        if let Some(kept) = self.lasts.get_mut(id as usize) {
            *kept = last.unwrap_or(NONE);
        }
    }
    /// The committed point of this time that is in no chunk yet.
    pub(crate) fn buffered(&self, index: usize, at: i64) -> Option<Point> {
        self.young.find(index, at).or_else(|| self.heads.get(index)?.buffered(at).copied())
    }
    /// Points that are in no chunk yet; of those that stand in the place of others some are counted twice until they are in their buffers.
    pub(crate) fn buffered_points(&self) -> u64 {
        self.buffered + self.young.points.len() as u64
    }
    /// The buffers that a head was found with, when it was opened.
    pub(crate) fn count_buffers(&mut self) {
        self.buffered = self.iter().map(|(_, head)| (head.fresh.len() + head.late.len()) as u64).sum();
    }
    /// Datastreams whose buffers became worth sealing since this was last asked.
    pub(crate) fn take_full(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.full)
    }
    pub(crate) fn has_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// Takes committed points, in the order of receipt, each with what became of it; so many of the commit were `sought` among what was
    /// there.
    pub(crate) fn take(&mut self, points: &[(u32, Point)], mut outcomes: impl Iterator<Item = Outcome>, sought: usize, commit: u64) {
        if self.young.points.is_empty() {
            self.young.oldest = commit;
        }
        for (id, point) in points {
            let point = *point;
            if self.heads.len() <= *id as usize {
                self.reach(*id);
            }
            self.see(*id, point);
            self.young.push(*id, point);
            if outcomes.next() == Some(Outcome::Revised) {
                self.young.revised.push(*id);
            }
        }
        let together = if sought > points.len() / 32 { TOGETHER_WHEN_SOUGHT } else { TOGETHER };
        if self.young.points.len() >= together || self.young.has_long_chain {
            self.settle();
        }
    }
    /// Everything is in the buffers.
    pub(crate) fn is_settled(&self) -> bool {
        self.young.points.is_empty()
    }
    /// Puts what is held together into the buffers.
    pub(crate) fn settle(&mut self) {
        let mut young = std::mem::take(&mut self.young);
        let mut mine = Vec::new();
        for first in young.points.iter().filter(|linked| linked.before == NOWHERE) {
            let id = first.datastream;
            let Some(chain) = young.chains.get_mut(id as usize) else { continue };
            let mut place = std::mem::replace(chain, NO_CHAIN).place;
            mine.clear();
            while let Some(linked) = young.points.get(place as usize) {
                mine.push(linked.point);
                place = linked.before;
            }
            let Some(head) = self.heads.get_mut(id as usize) else { continue };
            head.oldest = head.oldest.min(young.oldest);
            head.count += mine.len() as u64;
            for point in mine.iter().rev() {
                // Some came later; that the log is kept for so many points longer costs nothing.
                let inserted = head.insert(*point, young.oldest);
                self.buffered += u64::from(inserted.is_another);
                if inserted.is_full {
                    self.full.push(id);
                }
            }
        }
        for id in young.revised.drain(..) {
            let head = self.reach(id);
            head.count = head.count.saturating_sub(1);
        }
        young.points.clear();
        young.has_long_chain = false;
        self.young = young;
    }
    /// Puts one point into its buffer, in the place of one of the same time: for replaying the log.
    pub(crate) fn insert(&mut self, id: u32, point: Point, commit: u64) {
        let head = self.reach(id);
        head.oldest = head.oldest.min(commit);
        head.insert(point, commit);
        self.see(id, point);
    }
    /// A point that may be the last of its datastream, which is there.
    #[inline]
    fn see(&mut self, id: u32, point: Point) {
        if let Some(last) = self.lasts.get_mut(id as usize)
            && last.at <= point.at
        {
            *last = point;
        }
    }
    /// Notes that so many points of a buffer went into chunks.
    pub(crate) fn sealed(&mut self, points: usize) {
        self.buffered = self.buffered.saturating_sub(points as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_together_is_found_and_counted_as_if_it_were_in_its_buffers() {
        let (mut together, mut at_once, mut dice) = (Heads::default(), Heads::default(), 5_u64);
        let mut roll = |faces: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % faces
        };
        for commit in 1..200 {
            let (mut points, mut outcomes) = (Vec::new(), Vec::new());
            for _ in 0..roll(12) {
                #[expect(clippy::cast_possible_truncation, reason = "below 3")]
                let id = roll(3) as u32;
                let at = (commit + roll(40)).cast_signed();
                let is_known = points.iter().any(|(other, point): &(u32, Point)| (*other, point.at) == (id, at));
                let is_known = is_known || together.buffered(id as usize, at).is_some();
                outcomes.push(if is_known { Outcome::Revised } else { Outcome::Accepted });
                points.push((id, Point { at, value: f64::from(u32::try_from(commit).unwrap_or(0)), ..Point::EMPTY }));
            }
            together.take(&points, outcomes.iter().copied(), 0, commit);
            at_once.take(&points, outcomes.iter().copied(), 0, commit);
            at_once.settle();
            for (id, at) in (0..3).flat_map(|id| (0..260).map(move |at| (id, at))) {
                assert_eq!(together.buffered(id, at), at_once.buffered(id, at), "{id} {at}");
            }
        }
        together.settle();
        assert_eq!(together.buffered_points(), at_once.buffered_points());
        for ((id, one), (_, other)) in together.iter().zip(at_once.iter()) {
            assert_eq!((one.count, one.first_at, &one.fresh), (other.count, other.first_at, &other.fresh));
            assert_eq!(one.count, one.fresh.len() as u64);
            assert_eq!(together.last(id as usize), at_once.last(id as usize));
        }
    }
}
