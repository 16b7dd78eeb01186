//! What an edge owes its centre: everything committed, in its order, kept in the very commit that holds it and freed once the centre
//! has it on disk.

use crate::chunk::{pack, unpack};
use crate::engine::{self, Change, Document, Engine, Order, Row, Span, Table};
use crate::{Error, Store};
use model::{DatastreamId, Gap, GapReason, Observation, Timestamp};
use std::collections::BTreeMap;

const MARK: &str = "outbox";

/// How much may wait, and what happens beyond that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxRoom {
    pub bytes: u64,
    pub when_full: WhenFull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Nothing more is taken: devices keep what they have, and an alarm is raised.
    Stop,
    /// The oldest goes, and a gap with its count stays in its place.
    DropOldest,
}

/// What one commit owes.
#[derive(Debug, Clone, PartialEq)]
pub struct Owed {
    pub sequence: u64,
    pub observations: Vec<Observation>,
    pub gaps: Vec<Gap>,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    pub commits: u64,
    pub bytes: u64,
    /// Sequences of the first and the last.
    pub ends: Option<(u64, u64)>,
    pub is_full: bool,
}

/// The rows by sequence with their lengths, as the writer knows them.
#[derive(Debug)]
pub(crate) struct Outbox {
    room: OutboxRoom,
    /// Another one after the store was made anew, so that a sequence never means two things.
    epoch: u64,
    next: u64,
    rows: BTreeMap<u64, usize>,
    bytes: u64,
    is_full: bool,
}

impl Outbox {
    /// # Errors
    /// As the engine's.
    pub(crate) fn restore(engine: &dyn Engine, room: OutboxRoom) -> Result<Self, Error> {
        let marks = engine.documents(MARK)?;
        let mark = |id: &str| marks.iter().find(|mark| mark.id == id).and_then(|mark| mark.body.parse::<u64>().ok());
        // Were one of the two not to be known, a number could mean two things to the centre: it gets everything under another epoch.
        let is_damaged = !engine::unreadable(engine, MARK).is_empty();
        let epoch = match mark("epoch").filter(|_| !is_damaged) {
            Some(epoch) => epoch,
            None => {
                let mut random = [0_u8; 6];
                getrandom::fill(&mut random).map_err(|cause| Error::Io { action: "drawing an epoch".into(), cause: cause.to_string() })?;
                let epoch = random.iter().fold(1, |epoch, byte| epoch << 8 | u64::from(*byte));
                engine.commit(&[Change::PutDocument(Document { kind: MARK.into(), id: "epoch".into(), body: epoch.to_string() })])?;
                epoch
            }
        };
        let mut outbox = Self { room, epoch, next: mark("next").unwrap_or(1), rows: BTreeMap::new(), bytes: 0, is_full: false };
        let mut from = i64::MIN;
        loop {
            let rows = engine.range(Table::Outbox, Span { part: 0, from, to: i64::MAX }, Order::Ascending, 256)?;
            let Some(last) = rows.last() else { break };
            from = last.at + 1;
            for row in &rows {
                outbox.rows.insert(row.at.cast_unsigned(), row.body.len());
                outbox.bytes += row.body.len() as u64;
                outbox.next = outbox.next.max(row.at.cast_unsigned() + 1);
            }
        }
        Ok(outbox)
    }

    /// Adds what a group owes to its commit.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no room and nothing may go.
    pub(crate) fn put(&mut self, engine: &dyn Engine, owed: &Owed, changes: &mut Vec<Change>) -> Result<Option<Put>, Error> {
        if owed.observations.is_empty() && owed.gaps.is_empty() {
            return Ok(None);
        }
        self.is_full = self.bytes >= self.room.bytes;
        let (mut gone, mut gaps) = (Vec::new(), owed.gaps.clone());
        if self.is_full {
            if self.room.when_full == WhenFull::Stop {
                return Err(Error::Full);
            }
            // A sixteenth at once: one by one would never end.
            let mut freed = 0;
            for (sequence, length) in &self.rows {
                if freed >= self.room.bytes / 16 {
                    break;
                }
                freed += *length as u64;
                gone.push(*sequence);
            }
            for sequence in &gone {
                changes.push(Change::Delete { table: Table::Outbox, part: 0, at: sequence.cast_signed() });
                if let Some(owed) = one(engine, *sequence)? {
                    dropped(&owed.observations, &mut gaps);
                }
            }
        }
        let sequence = self.next;
        let body = encode(&owed.observations, &gaps);
        let length = body.len();
        changes.push(Change::Put {
            table: Table::Outbox,
            row: Row { part: 0, at: sequence.cast_signed(), weight: 0, summary: Vec::new(), body },
        });
        // The next number outlives its row, which may be freed before the next commit.
        changes.push(Change::PutDocument(Document { kind: MARK.into(), id: "next".into(), body: (sequence + 1).to_string() }));
        Ok(Some(Put { sequence, length, gone }))
    }

    pub(crate) fn publish(&mut self, put: Put) {
        for sequence in put.gone {
            self.forget(sequence);
        }
        self.next = put.sequence + 1;
        self.rows.insert(put.sequence, put.length);
        self.bytes += put.length as u64;
    }

    fn forget(&mut self, sequence: u64) {
        if let Some(length) = self.rows.remove(&sequence) {
            self.bytes -= length as u64;
        }
    }

    fn waiting(&self) -> Waiting {
        let ends = self.rows.first_key_value().zip(self.rows.last_key_value()).map(|((first, _), (last, _))| (*first, *last));
        Waiting { commits: self.rows.len() as u64, bytes: self.bytes, ends, is_full: self.is_full }
    }
}

/// What becomes true with its commit.
pub(crate) struct Put {
    sequence: u64,
    length: usize,
    gone: Vec<u64>,
}

/// What went for want of room: one gap for each datastream, from the first to the last.
fn dropped(observations: &[Observation], gaps: &mut Vec<Gap>) {
    for observation in observations {
        let at = observation.phenomenon_time;
        match gaps.iter_mut().find(|gap| gap.datastream == observation.datastream && gap.reason == GapReason::Dropped) {
            Some(gap) => {
                gap.from = gap.from.min(at);
                gap.to = gap.to.max(at);
                gap.count += 1;
            }
            None => gaps.push(Gap { datastream: observation.datastream, from: at, to: at, reason: GapReason::Dropped, count: 1 }),
        }
    }
}

fn one(engine: &dyn Engine, sequence: u64) -> Result<Option<Owed>, Error> {
    let at = sequence.cast_signed();
    let rows = engine.range(Table::Outbox, Span { part: 0, from: at, to: at }, Order::Ascending, 1)?;
    rows.first().map(decode).transpose()
}

fn encode(observations: &[Observation], gaps: &[Gap]) -> Vec<u8> {
    let packed = pack(observations);
    let mut body = u32::try_from(packed.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    body.extend_from_slice(&packed);
    for gap in gaps {
        let line = format!("{} {} {} {} {}\n", gap.datastream.0, gap.from.micros(), gap.to.micros(), gap.count, gap.reason.code());
        body.extend_from_slice(line.as_bytes());
    }
    body
}

pub(crate) fn decode(row: &Row) -> Result<Owed, Error> {
    let damaged = || Error::Damaged { what: format!("row {} of the outbox", row.at) };
    let (length, rest) = row.body.split_first_chunk::<4>().ok_or_else(damaged)?;
    let (packed, gaps) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
    let gap = |line: &str| {
        let mut words = line.split(' ');
        Some(Gap {
            datastream: DatastreamId(words.next()?.parse().ok()?),
            from: Timestamp::from_micros(words.next()?.parse().ok()?),
            to: Timestamp::from_micros(words.next()?.parse().ok()?),
            count: words.next()?.parse().ok()?,
            reason: GapReason::from_code(words.next()?)?,
        })
    };
    let gaps = std::str::from_utf8(gaps).map_err(|_| damaged())?.lines().map(|line| gap(line).ok_or_else(damaged));
    Ok(Owed { sequence: row.at.cast_unsigned(), observations: unpack(packed)?, gaps: gaps.collect::<Result<_, _>>()? })
}

impl Store {
    /// What the centre has not yet confirmed, ascending from `from` on, of at most about `bytes`.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn owed(&self, from: u64, to: u64, bytes: usize) -> Result<Vec<Owed>, Error> {
        let wanted: Vec<u64> = {
            let outbox = self.outbox();
            let Some(outbox) = outbox.as_ref() else { return Ok(Vec::new()) };
            let mut sum = 0;
            let rows = outbox.rows.range(from..=to).take_while(|(_, length)| {
                let room = sum < bytes;
                sum += **length;
                room
            });
            rows.map(|(sequence, _)| *sequence).collect()
        };
        let engine = self.shared().engine.as_ref();
        let mut owed = Vec::with_capacity(wanted.len());
        for sequence in wanted {
            match one(engine, sequence) {
                Ok(found) => owed.extend(found),
                // What can't be read must not hold up what can: it stays where it is, and its observations are in the store.
                Err(cause @ Error::Damaged { .. }) => {
                    tracing::error!(event = "damaged", sequence, %cause, "a commit can't be handed to the centre; what it measured is still here");
                    self.outbox().iter_mut().for_each(|outbox| outbox.forget(sequence));
                }
                Err(cause) => return Err(cause),
            }
        }
        // What went meanwhile is owed no more.
        Ok(owed)
    }

    /// The centre has these commits on disk: they are owed no more.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn free_owed(&self, sequences: &[u64]) -> Result<(), Error> {
        let delete = |sequence: &u64| Change::Delete { table: Table::Outbox, part: 0, at: sequence.cast_signed() };
        self.ask(|answer| crate::writer::Work::Documents(sequences.iter().map(delete).collect(), answer))?;
        if let Some(outbox) = self.outbox().as_mut() {
            sequences.iter().for_each(|sequence| outbox.forget(*sequence));
        }
        Ok(())
    }

    /// What waits for the centre; `None` where this store is no edge's.
    #[must_use]
    pub fn waiting_for_centre(&self) -> Option<Waiting> {
        self.outbox().as_ref().map(Outbox::waiting)
    }

    /// Tells sequences of this store from those of another that stood in its place.
    #[must_use]
    pub fn outbox_epoch(&self) -> u64 {
        self.outbox().as_ref().map_or(0, |outbox| outbox.epoch)
    }

    fn outbox(&self) -> std::sync::MutexGuard<'_, Option<Outbox>> {
        self.shared().outbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
