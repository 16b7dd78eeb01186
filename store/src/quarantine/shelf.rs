//! The writer's side: what is put in, what goes, and the bounds.

use super::wire::{Label, parts};
use super::{Room, Whose, each_entry, one};
use crate::engine::{Change, Document, Engine, Row, Table, last_at};
use crate::{Error, Replayed};
use model::{OwnerId, Reject, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Messages of late whose repetition is known as one.
const KNOWN: usize = 4096;
const DROPPED: &str = "quarantine-dropped";

/// What is in the quarantine, without the bytes.
#[derive(Default)]
pub(crate) struct Shelf {
    next: u64,
    room: Room,
    /// Each owner's entries by number, with their lengths.
    of: HashMap<Whose, Place>,
    /// Messages of late by their fingerprints.
    known: HashMap<[u8; 32], u64>,
    order: VecDeque<[u8; 32]>,
}

#[derive(Default)]
struct Place {
    entries: BTreeMap<u64, usize>,
    bytes: usize,
    dropped: u64,
}

/// What a group does to the shelf; becomes true with [`Shelf::publish`].
#[derive(Default)]
pub(crate) struct Plan {
    put: Vec<Fresh>,
    /// Where in `put` a message is, by its fingerprint.
    places: HashMap<[u8; 32], usize>,
    gone: HashSet<u64>,
    dropped: Vec<(Whose, u64)>,
    /// Entries that came again, by number: how often, and when last.
    again: BTreeMap<u64, (u64, Timestamp)>,
}

/// An entry that is not yet on disk.
struct Fresh {
    whose: Whose,
    number: u64,
    label: Label,
    bytes: Arc<[u8]>,
    fingerprint: Option<[u8; 32]>,
}

impl Shelf {
    pub(crate) fn restore(engine: &dyn Engine) -> Result<Self, Error> {
        let mut shelf = Self { next: 1, ..Self::default() };
        each_entry(engine, &mut |entry| {
            shelf.next = shelf.next.max(entry.number + 1);
            let place = shelf.of.entry(entry.owner.as_deref().map(OwnerId::from)).or_default();
            place.entries.insert(entry.number, entry.bytes.len());
            place.bytes += entry.bytes.len();
            true
        })?;
        shelf.next = shelf.next.max(last_at(engine, Table::Quarantine)?.cast_unsigned() + 1);
        for document in engine.documents(DROPPED)? {
            let whose = (!document.id.is_empty()).then(|| OwnerId::from(document.id.as_str()));
            shelf.of.entry(whose).or_default().dropped = document.body.parse().unwrap_or(0);
        }
        Ok(shelf)
    }

    /// Another bound, for tests.
    #[cfg(test)]
    pub(crate) fn with_room(mut self, room: Room) -> Self {
        self.room = room;
        self
    }

    pub(crate) fn dropped(&self, whose: Option<&OwnerId>) -> u64 {
        self.of.get(&whose.cloned()).map_or(0, |place| place.dropped)
    }

    /// One row for each message, though several of its readings may have been refused.
    pub(crate) fn put(&self, rejects: &[Reject], plan: &mut Plan) {
        for of_one in rejects.chunk_by(|one, next| Arc::ptr_eq(&one.message, &next.message)) {
            let Some(first) = of_one.first() else { continue };
            let message = &first.message;
            let fingerprint = (!takes_arrival_time(of_one)).then(|| fingerprint(of_one));
            let same = fingerprint.as_ref().and_then(|fingerprint| plan.places.get(fingerprint)).copied();
            if let Some(same) = same.and_then(|place| plan.put.get_mut(place)) {
                same.label.came_again(1, message.received_at);
            } else if let Some(number) = fingerprint.as_ref().and_then(|fingerprint| self.known.get(fingerprint)) {
                let again = plan.again.entry(*number).or_insert((0, message.received_at));
                *again = (again.0 + 1, message.received_at.max(again.1));
            } else {
                let number = self.next + plan.put.len() as u64;
                let (whose, bytes) = (message.owner.clone(), message.bytes.clone());
                plan.places.extend(fingerprint.map(|fingerprint| (fingerprint, plan.put.len())));
                plan.put.push(Fresh { whose, number, label: Label::of(message, of_one), bytes, fingerprint });
            }
        }
    }

    /// What was read again goes, or stays with what is still refused.
    pub(crate) fn replayed(
        &self,
        replayed: &Replayed,
        engine: &dyn Engine,
        plan: &mut Plan,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        if replayed.left.is_empty() {
            changes.push(Change::Delete { table: Table::Quarantine, part: 0, at: replayed.number.cast_signed() });
            plan.gone.insert(replayed.number);
            return Ok(());
        }
        if let Some(row) = one(engine, replayed.number)?
            && let Some((mut label, bytes)) = parts(&row)
        {
            label.now_refused(&replayed.left);
            changes.push(Change::Put { table: Table::Quarantine, row: label.row(replayed.number, bytes)? });
        }
        Ok(())
    }

    /// Ends a plan: repetitions are counted, and owners with more than there is room for lose their oldest.
    pub(crate) fn end(&self, plan: &mut Plan, engine: &dyn Engine, changes: &mut Vec<Change>) -> Result<(), Error> {
        for fresh in &plan.put {
            changes.push(Change::Put { table: Table::Quarantine, row: fresh.label.row(fresh.number, &fresh.bytes)? });
        }
        for (number, (times, at)) in &plan.again {
            if let Some(row) = one(engine, *number)?
                && let Some((mut label, bytes)) = parts(&row)
            {
                label.came_again(*times, *at);
                changes.push(Change::Put { table: Table::Quarantine, row: label.row(*number, bytes)? });
            }
        }
        let mut added: HashMap<&Whose, (usize, usize)> = HashMap::new();
        for fresh in &plan.put {
            let sum = added.entry(&fresh.whose).or_default();
            *sum = (sum.0 + 1, sum.1 + fresh.bytes.len());
        }
        for (whose, (more, more_bytes)) in added {
            let Some(place) = self.of.get(whose) else { continue };
            let (mut count, mut bytes) = (place.entries.len() + more, place.bytes + more_bytes);
            let mut gone = 0;
            for (number, length) in &place.entries {
                if count <= self.room.entries && bytes <= self.room.bytes {
                    break;
                }
                changes.push(Change::Delete { table: Table::Quarantine, part: 0, at: number.cast_signed() });
                plan.gone.insert(*number);
                (count, bytes, gone) = (count - 1, bytes.saturating_sub(*length), gone + 1);
            }
            if gone > 0 {
                let dropped = place.dropped + gone;
                let id = whose.as_ref().map_or_else(String::new, ToString::to_string);
                changes.push(Change::PutDocument(Document { kind: DROPPED.into(), id, body: dropped.to_string() }));
                plan.dropped.push((whose.clone(), dropped));
            }
        }
        Ok(())
    }

    /// Adds messages of another store under numbers of this one, as far as there is room: nothing goes for them. How many.
    pub(crate) fn take_in(&self, messages: Vec<(Whose, Row)>, changes: &mut Vec<Change>) -> Vec<(Whose, u64, usize)> {
        let mut put: Vec<(Whose, u64, usize)> = Vec::new();
        let mut added: HashMap<Whose, (usize, usize)> = HashMap::new();
        for (whose, row) in messages {
            let length = parts(&row).map_or(0, |(_, bytes)| bytes.len());
            let (count, bytes) = self.of.get(&whose).map_or((0, 0), |place| (place.entries.len(), place.bytes));
            let sum = added.entry(whose.clone()).or_default();
            if count + sum.0 >= self.room.entries || bytes + sum.1 + length > self.room.bytes {
                continue;
            }
            *sum = (sum.0 + 1, sum.1 + length);
            let number = self.next + put.len() as u64;
            changes.push(Change::Put { table: Table::Quarantine, row: Row { at: number.cast_signed(), ..row } });
            put.push((whose, number, length));
        }
        put
    }

    /// Makes what was taken in true.
    pub(crate) fn publish_taken(&mut self, put: Vec<(Whose, u64, usize)>) {
        for (whose, number, length) in put {
            self.next = self.next.max(number + 1);
            let place = self.of.entry(whose).or_default();
            place.entries.insert(number, length);
            place.bytes += length;
        }
    }

    /// Makes a committed plan true.
    pub(crate) fn publish(&mut self, plan: Plan) {
        for Fresh { whose, number, bytes, fingerprint, .. } in plan.put {
            self.next = self.next.max(number + 1);
            let place = self.of.entry(whose).or_default();
            place.entries.insert(number, bytes.len());
            place.bytes += bytes.len();
            let Some(fingerprint) = fingerprint else { continue };
            self.known.insert(fingerprint, number);
            self.order.push_back(fingerprint);
            if self.order.len() > KNOWN
                && let Some(old) = self.order.pop_front()
            {
                self.known.remove(&old);
            }
        }
        for (whose, dropped) in plan.dropped {
            let place = self.of.entry(whose.clone()).or_default();
            // At the 1st, 2nd, 4th, 8th … : a device gone mad must not fill the log too.
            if place.dropped.checked_ilog2() != dropped.checked_ilog2() {
                tracing::warn!(event = "quarantine_full", owner = ?whose.as_ref().map(OwnerId::as_str), dropped, "the quarantine is full; the oldest messages went from it: mend what they are refused for, and replay the rest");
            }
            place.dropped = dropped;
        }
        if plan.gone.is_empty() {
            return;
        }
        for number in &plan.gone {
            for place in self.of.values_mut() {
                if let Some(bytes) = place.entries.remove(number) {
                    place.bytes -= bytes;
                }
            }
        }
        self.known.retain(|_, number| !plan.gone.contains(number));
        let known = &self.known;
        self.order.retain(|fingerprint| known.contains_key(fingerprint));
    }
}

/// A number without a time of its own is another reading each time it comes.
fn takes_arrival_time(rejects: &[Reject]) -> bool {
    let timeless = |reject: &Reject| reject.said.as_ref().is_some_and(|said| said.time.is_none());
    // Where the clock can't be believed, each has an arrival of its own too.
    let is_untrusted = |reject: &Reject| reject.message.uptime.is_some();
    rejects.iter().any(timeless)
        || rejects.iter().any(is_untrusted)
        || rejects.first().is_some_and(|reject| reject.message.format == "bare")
}

/// The same for the same bytes by the same way, refused for the same reasons.
fn fingerprint(rejects: &[Reject]) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut part = |bytes: &[u8]| {
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    };
    if let Some(first) = rejects.first() {
        let message = &first.message;
        part(message.source.as_bytes());
        part(message.format.as_bytes());
        part(message.route.as_bytes());
        part(message.owner.as_ref().map_or("", |owner| owner.as_str()).as_bytes());
        part(&message.bytes);
    }
    for reject in rejects {
        part(reject.reason.code().as_bytes());
    }
    digest.finalize().into()
}
