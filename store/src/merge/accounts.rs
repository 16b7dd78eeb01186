//! The ledger and the quarantine of a backup. A line of the ledger (a device, a civil day) is taken whole, with the messages that it counts
//! as waiting, where the backup heard more of that day than this store did; so every line balances as it did where it was kept. Where
//! this store heard as much or more, its line stays, and what of the backup's messages is not here was mended or went here.

use super::Merged;
use crate::engine::{Engine, Row};
use crate::ledger::{Book, Entry};
use crate::quarantine::{each_entry, one};
use crate::writer::Work;
use crate::{Error, QuarantineEntry, Store, Tombstone, Wanted};
use model::{Account, DeviceId, OwnerId, civil_day, epoch_day};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::PoisonError;

/// What the writer is to take in by one commit: of one civil day.
#[derive(Default)]
pub(crate) struct TakenIn {
    pub(crate) day: i32,
    pub(crate) lines: Vec<(OwnerId, DeviceId, Account)>,
    /// Messages, whose numbers are still those of the backup, with their owners.
    pub(crate) messages: Vec<(Option<OwnerId>, Row)>,
}

type Line = (OwnerId, DeviceId);

/// A message that waits, and what it counts for.
type Waiting = (Identity, BTreeMap<Line, u64>);

/// The same message, that came at the same time by the same way.
type Identity = [u8; 32];

fn identity(entry: &QuarantineEntry) -> Identity {
    let mut digest = Sha256::new();
    for part in [entry.owner.as_deref().unwrap_or_default().as_bytes(), entry.route.as_bytes(), &entry.first.micros().to_le_bytes()] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.update(&entry.bytes);
    digest.finalize().into()
}

/// What an entry counts for in lines of the ledger; nothing where it is of no line.
fn counted(entry: &QuarantineEntry) -> BTreeMap<Line, u64> {
    let mut lines = BTreeMap::new();
    for refused in entry.refusals.iter().filter(|refused| !refused.line.as_str().is_empty()) {
        let owner = OwnerId::from(entry.owner.as_deref().unwrap_or_default());
        *lines.entry((owner, refused.line.clone())).or_default() += entry.count * u64::from(refused.count);
    }
    lines
}

fn day_of(entry: &QuarantineEntry) -> i32 {
    epoch_day(civil_day(entry.first))
}

fn is_erased(entry: &QuarantineEntry, tombstones: &[Tombstone]) -> bool {
    tombstones.iter().any(|tombstone| {
        let is_its = tombstone.subject.as_ref().is_some_and(|subject| {
            let wanted = Wanted { device: Some(subject.device.clone()), ..Wanted::default() };
            entry.owner.as_deref() == Some(subject.owner.as_str()) && wanted.lets(entry)
        });
        is_its && tombstone.hides(entry.first.micros(), entry.last.seconds())
    })
}

/// The lines of a day, by name.
fn lines(book: &Book, engine: &dyn Engine, day: i32) -> Result<HashMap<Line, Account>, Error> {
    let named = |(device, account): (u32, Account)| Some((book.name(device)?.clone(), account));
    Ok(book.day(engine, day)?.into_iter().filter_map(named).collect())
}

impl Store {
    /// Takes in what this store lacks of the ledger and the quarantine; `logged` is what the backup's log adds to its ledger.
    pub(super) fn take_over_accounts(&self, other: &dyn Engine, logged: Vec<(u64, Vec<Entry>)>, merged: &mut Merged) -> Result<(), Error> {
        let theirs = Book::restore(other, logged)?.0;
        let tombstones = self.tombstones()?;
        let mut here: HashMap<i32, HashSet<Identity>> = HashMap::new();
        // Of each day and line, what waits here; each with its identity.
        let mut waiting: HashMap<i32, Vec<Waiting>> = HashMap::new();
        each_entry(self.shared().engine.as_ref(), &mut |entry| {
            here.entry(day_of(&entry)).or_default().insert(identity(&entry));
            waiting.entry(day_of(&entry)).or_default().push((identity(&entry), counted(&entry)));
            true
        })?;
        let mut messages: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
        each_entry(other, &mut |entry| {
            messages.entry(day_of(&entry)).or_default().push(entry.number);
            true
        })?;
        let mut days: BTreeSet<i32> = theirs.days(other)?;
        days.extend(messages.keys());
        for day in days {
            let their_lines = lines(&theirs, other, day)?;
            let our_lines = {
                let book = self.shared().book.read().unwrap_or_else(PoisonError::into_inner);
                lines(&book, self.shared().engine.as_ref(), day)?
            };
            let heard_more = |(line, account): &(&Line, &Account)| our_lines.get(*line).is_none_or(|ours| ours.received < account.received);
            let mut taken: HashMap<Line, Account> =
                their_lines.iter().filter(heard_more).map(|(line, account)| (line.clone(), *account)).collect();
            let mut identities = HashSet::new();
            let mut taken_in = TakenIn { day, ..TakenIn::default() };
            // The oldest first: as they came.
            for number in messages.remove(&day).unwrap_or_default().into_iter().rev() {
                let Some(row) = one(other, number)? else { continue };
                let Some(entry) = crate::quarantine::entry(&row) else { continue };
                let identity = identity(&entry);
                identities.insert(identity);
                if here.get(&day).is_some_and(|here| here.contains(&identity)) {
                    continue;
                }
                if is_erased(&entry, &tombstones) {
                    merged.deleted += 1;
                    continue;
                }
                let lines = counted(&entry);
                // One may be in no line.
                let is_new = if lines.is_empty() { our_lines.is_empty() } else { lines.keys().all(|line| taken.contains_key(line)) };
                if is_new {
                    taken_in.messages.push((entry.owner.as_deref().map(OwnerId::from), row));
                } else {
                    merged.quarantined_left += 1;
                }
            }
            // What waits here too, and the backup did not hear of, came in as well.
            let only_here = waiting.get(&day).into_iter().flatten().filter(|(identity, _)| !identities.contains(identity));
            for (line, count) in only_here.flat_map(|(_, lines)| lines) {
                if let Some(account) = taken.get_mut(line) {
                    account.received += count;
                    account.quarantined += count;
                }
            }
            taken_in.lines = taken.into_iter().map(|((owner, device), account)| (owner, device, account)).collect();
            taken_in.lines.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
            merged.lines += taken_in.lines.len() as u64;
            if !taken_in.lines.is_empty() || !taken_in.messages.is_empty() {
                let (all, took) = (taken_in.messages.len() as u64, self.hand_over(|answer| Work::TakeIn(taken_in, answer))?);
                merged.quarantined += took;
                merged.quarantined_left += all - took;
            }
        }
        Ok(())
    }
}
