//! The ledger: what became of everything that each device sent, by the civil day (Europe/Rome) of its receipt. Its lines go into
//! the log record of the very commit they speak of, and from there into rows of their own before the record is dropped, so that a
//! kill neither loses nor doubles a line. Only repetitions that came alone, which cost no commit, may be forgotten by a kill.

#[cfg(test)]
mod tests;
mod wire;

pub(crate) use wire::{decode, encode};

use crate::engine::{self, Change, Document, Engine, Order, Row, Span, Table};
use crate::{Batch, Error, Outcome};
use model::{Account, DeviceId, OwnerId, Timestamp, civil_day, epoch_day};
use std::collections::{BTreeSet, HashMap};

const NAME: &str = "ledger-name";
const MARK: &str = "ledger";

/// What one device said in a batch.
#[derive(Debug, Clone)]
pub struct Tally {
    pub owner: OwnerId,
    pub device: DeviceId,
    /// Its civil day is the line of the ledger.
    pub received_at: Timestamp,
    /// Readings that came in; less than none when a replay gives them to another device's line.
    pub received: i32,
    /// How many of the batch's observations, in their order, are this device's.
    pub observations: u32,
    /// Repetitions of them that came before and waited as one.
    pub repeated: u32,
    /// What went into the quarantine; less than none when a replay gets something out of it.
    pub quarantined: i32,
}

/// What one commit adds to one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    pub(crate) day: i32,
    pub(crate) device: u32,
    pub(crate) received: i32,
    pub(crate) accepted: u32,
    pub(crate) duplicates: u32,
    pub(crate) revised: u32,
    pub(crate) quarantined: i32,
}

impl Entry {
    fn added_to(self, account: Account) -> Account {
        Account {
            received: account.received.saturating_add_signed(i64::from(self.received)),
            accepted: account.accepted + u64::from(self.accepted),
            duplicates: account.duplicates + u64::from(self.duplicates),
            revised: account.revised + u64::from(self.revised),
            quarantined: account.quarantined.saturating_add_signed(i64::from(self.quarantined)),
        }
    }
}

/// The lines that are not, or not only, on disk as rows, and the names behind the numbers.
#[derive(Default)]
pub(crate) struct Book {
    names: Vec<(OwnerId, DeviceId)>,
    lines: HashMap<(i32, u32), Account>,
}

/// What only the writer touches.
#[derive(Default)]
pub(crate) struct Bookkeeper {
    numbers: HashMap<(OwnerId, DeviceId), u32>,
    names: Vec<(OwnerId, DeviceId)>,
    /// How many of the names are on disk.
    kept_names: usize,
    /// Repetitions that wait for a commit to go along with.
    carried: Vec<Entry>,
    /// The civil day last asked for.
    today: Option<(model::Interval, i32)>,
}

impl Book {
    /// From the rows, and from the log records that the rows do not yet hold.
    pub(crate) fn restore(engine: &dyn Engine, logged: Vec<(u64, Vec<Entry>)>) -> Result<(Self, Bookkeeper), Error> {
        let damaged = |what: &str| Error::Damaged { what: format!("the ledger: {what}") };
        let (mut book, mut keeper) = (Self::default(), Bookkeeper::default());
        let mut names = Vec::new();
        for document in engine.documents(NAME)? {
            let number: u32 = document.id.parse().map_err(|_| damaged("a number of a name"))?;
            let (owner, device) = document.body.split_once('\n').ok_or_else(|| damaged("a name"))?;
            names.push((number, (OwnerId::from(owner), DeviceId::from(device))));
        }
        let lost = engine::unreadable(engine, NAME);
        if !lost.is_empty() {
            fill(&mut names, engine)?;
        }
        names.sort_by_key(|(number, _)| *number);
        for (number, name) in names {
            keeper.numbers.insert(name.clone(), number);
            keeper.names.push(name);
        }
        keeper.kept_names = keeper.names.len();
        book.names.clone_from(&keeper.names);
        let marks = engine.documents(MARK)?;
        // Rather a line too few than one twice.
        let unknown = if engine::unreadable(engine, MARK).is_empty() { 0 } else { u64::MAX };
        let through: u64 = marks.first().and_then(|mark| mark.body.parse().ok()).unwrap_or(unknown);
        for entry in logged.into_iter().filter(|(commit, _)| *commit > through).flat_map(|(_, entries)| entries) {
            book.add(entry, engine)?;
        }
        Ok((book, keeper))
    }

    fn add(&mut self, entry: Entry, engine: &dyn Engine) -> Result<(), Error> {
        let key = (entry.day, entry.device);
        let before = match self.lines.get(&key) {
            Some(account) => *account,
            None => row(engine, key)?,
        };
        self.lines.insert(key, entry.added_to(before));
        Ok(())
    }

    pub(crate) fn name(&self, device: u32) -> Option<&(OwnerId, DeviceId)> {
        self.names.get(device as usize)
    }

    pub(crate) fn number(&self, owner: &OwnerId, device: &DeviceId) -> Option<u32> {
        let place = self.names.iter().position(|(of, id)| of == owner && id == device)?;
        u32::try_from(place).ok()
    }

    /// Every civil day with a line.
    pub(crate) fn days(&self, engine: &dyn Engine) -> Result<BTreeSet<i32>, Error> {
        let in_rows = engine.keys(Table::Ledger)?;
        let in_rows = in_rows.iter().filter_map(|key| i32::try_from(key.part).ok());
        Ok(in_rows.chain(self.lines.keys().map(|(day, _)| *day)).collect())
    }

    /// These lines are so now, whatever they were; to be put as rows at once.
    pub(crate) fn with(&self, day: i32, lines: impl Iterator<Item = (u32, Account)>) -> Self {
        let mut all = self.lines.clone();
        all.extend(lines.map(|(device, account)| ((day, device), account)));
        Self { names: self.names.clone(), lines: all }
    }

    /// Every line of a day, by device.
    pub(crate) fn day(&self, engine: &dyn Engine, day: i32) -> Result<Vec<(u32, Account)>, Error> {
        let span = Span { part: i64::from(day), from: i64::MIN, to: i64::MAX };
        let rows = engine.range(Table::Ledger, span, Order::Ascending, usize::MAX)?;
        let mut lines: HashMap<u32, Account> =
            rows.iter().filter_map(|row| Some((u32::try_from(row.at).ok()?, wire::account(&row.body)?))).collect();
        lines.extend(self.lines.iter().filter(|((of, _), _)| *of == day).map(|((_, device), account)| (*device, *account)));
        let mut lines: Vec<_> = lines.into_iter().collect();
        lines.sort_by_key(|(device, _)| *device);
        Ok(lines)
    }
}

/// Gives the numbers whose names can't be read to nobody, so that none of them becomes another device's.
fn fill(names: &mut Vec<(u32, (OwnerId, DeviceId))>, engine: &dyn Engine) -> Result<(), Error> {
    let held =
        engine.keys(Table::Payload)?.into_iter().map(|key| key.part).chain(engine.keys(Table::Ledger)?.into_iter().map(|key| key.at));
    let last = held.filter_map(|number| u32::try_from(number).ok()).chain(names.iter().map(|(number, _)| *number)).max();
    for number in 0..=last.unwrap_or(0) {
        if !names.iter().any(|(known, _)| *known == number) {
            names.push((number, (OwnerId::from(""), DeviceId::from(format!("?{number}").as_str()))));
        }
    }
    Ok(())
}

/// A line as it is on disk; empty when it is not there.
fn row(engine: &dyn Engine, (day, device): (i32, u32)) -> Result<Account, Error> {
    let span = Span { part: i64::from(day), from: i64::from(device), to: i64::from(device) };
    let rows = engine.range(Table::Ledger, span, Order::Ascending, 1)?;
    Ok(rows.first().and_then(|row| wire::account(&row.body)).unwrap_or_default())
}

impl Bookkeeper {
    /// What a group adds to the ledger.
    pub(crate) fn enter<'a>(&mut self, group: impl Iterator<Item = &'a Batch>, outcomes: &[Outcome]) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut outcomes = outcomes.iter();
        for batch in group {
            let mut counted = 0;
            for tally in &batch.tallies {
                let mut entry = Entry {
                    day: self.day(tally.received_at),
                    device: self.number(&tally.owner, &tally.device),
                    received: tally.received,
                    duplicates: tally.repeated,
                    quarantined: tally.quarantined,
                    ..Entry::default()
                };
                counted += tally.observations as usize;
                for outcome in outcomes.by_ref().take(tally.observations as usize) {
                    match outcome {
                        Outcome::Accepted => entry.accepted += 1,
                        Outcome::Duplicate => entry.duplicates += 1,
                        Outcome::Revised => entry.revised += 1,
                    }
                }
                merge(&mut entries, entry);
            }
            // What nobody is held to account for: imports and the like.
            outcomes.by_ref().take(batch.observations.len().saturating_sub(counted)).for_each(drop);
        }
        entries
    }

    fn day(&mut self, at: Timestamp) -> i32 {
        match &self.today {
            Some((interval, day)) if interval.contains(at) => *day,
            _ => {
                let day = epoch_day(civil_day(at));
                self.today = Some((model::civil_day_around(at), day));
                day
            }
        }
    }

    pub(crate) fn number(&mut self, owner: &OwnerId, device: &DeviceId) -> u32 {
        let name = (owner.clone(), device.clone());
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.clone(), number);
        self.names.push(name);
        number
    }

    /// What the log record of a commit says: its own entries and those that waited for it.
    pub(crate) fn logged(&self, entries: &[Entry]) -> Vec<Entry> {
        let mut all = self.carried.clone();
        entries.iter().for_each(|entry| merge(&mut all, *entry));
        all
    }

    /// Adds the names that are new to a commit.
    pub(crate) fn put_names(&self, changes: &mut Vec<Change>) {
        for (number, (owner, device)) in self.names.iter().enumerate().skip(self.kept_names) {
            changes.push(Change::PutDocument(Document { kind: NAME.into(), id: number.to_string(), body: format!("{owner}\n{device}") }));
        }
    }

    /// Adds every line that is not wholly a row to a commit that drops log records.
    pub(crate) fn put_rows(
        book: &Book,
        engine: &dyn Engine,
        entries: &[Entry],
        commit: u64,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        let mut lines = book.lines.clone();
        for entry in entries {
            let key = (entry.day, entry.device);
            let before = match lines.get(&key) {
                Some(account) => *account,
                None => row(engine, key)?,
            };
            lines.insert(key, entry.added_to(before));
        }
        for ((day, device), account) in lines {
            let row =
                Row { part: i64::from(day), at: i64::from(device), weight: 0, summary: Vec::new(), body: wire::account_bytes(&account) };
            changes.push(Change::Put { table: Table::Ledger, row });
        }
        changes.push(Change::PutDocument(Document { kind: MARK.into(), id: "through".into(), body: commit.to_string() }));
        Ok(())
    }

    /// Makes entries true in memory, and remembers what is still to be kept.
    pub(crate) fn publish(&mut self, book: &mut Book, engine: &dyn Engine, entries: &[Entry], kept: Kept) -> Result<(), Error> {
        let known = book.names.len();
        book.names.extend(self.names.iter().skip(known).cloned());
        if kept != Kept::Nowhere {
            self.kept_names = self.names.len();
            self.carried.clear();
        }
        match kept {
            // Every line is a row now.
            Kept::InRows => {
                book.lines.clear();
                return Ok(());
            }
            Kept::InLog => {}
            Kept::Nowhere => entries.iter().for_each(|entry| merge(&mut self.carried, *entry)),
        }
        entries.iter().try_for_each(|entry| book.add(*entry, engine))
    }
}

/// Where entries are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    InRows,
    InLog,
    /// They go along with the next commit.
    Nowhere,
}

/// Neighbours mostly speak of one device.
fn merge(entries: &mut Vec<Entry>, entry: Entry) {
    match entries.iter_mut().rev().take(8).find(|known| (known.day, known.device) == (entry.day, entry.device)) {
        Some(known) => *known = known.with(entry),
        None => entries.push(entry),
    }
}

impl Entry {
    fn with(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            accepted: self.accepted + other.accepted,
            duplicates: self.duplicates + other.duplicates,
            revised: self.revised + other.revised,
            quarantined: self.quarantined + other.quarantined,
            ..self
        }
    }
}
