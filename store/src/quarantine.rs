//! Where refused messages wait for a person: each with its reasons and its bytes, the same message once however often it came,
//! bounded for every owner by what is oldest.

mod shelf;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use shelf::{Plan, Shelf};
pub(crate) use wire::entry;

use crate::engine::{Engine, Order, Row, Span, Table};
use crate::{Error, View};
use model::{DeviceId, OwnerId, RejectReason, Said, Scope, Timestamp, Uptime, Viewer};
use std::collections::BTreeMap;

/// One message that waits in the quarantine.
#[derive(Debug, Clone)]
pub struct QuarantineEntry {
    /// Its number; grows.
    pub number: u64,
    /// When it came first …
    pub first: Timestamp,
    /// … and last, and how often: the same bytes by the same way are one entry.
    pub last: Timestamp,
    pub count: u64,
    /// When it came, where `first` can't be believed.
    pub uptime: Option<Uptime>,
    pub source: String,
    /// The decoder that read it, by its name.
    pub format: String,
    pub route: String,
    pub owner: Option<String>,
    /// The device and the channel that the route names.
    pub device: Option<String>,
    pub channel: Option<String>,
    /// What was wrong, one for each refused reading of the message.
    pub refusals: Vec<Refused>,
    /// The message as it came.
    pub bytes: Vec<u8>,
}

/// What was wrong with one reading, or with a message as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    pub reason: RejectReason,
    /// What was found, and the cure.
    pub detail: String,
    /// Its place among what the message holds.
    pub place: usize,
    /// What the message says, where it could be read so far.
    pub said: Option<Said>,
    /// The device in whose line of the ledger it is counted.
    pub line: DeviceId,
    /// Readings that it stands for: 1, or more where the message had too many to list each.
    pub count: u32,
}

impl QuarantineEntry {
    /// Whom the message speaks of: as its readings say, else as its route does.
    #[must_use]
    pub fn speaks_of(&self) -> Option<&str> {
        let said = self.refusals.iter().find_map(|refused| refused.said.as_ref());
        said.map(|said| said.device.as_str()).or(self.device.as_deref())
    }
}

/// Which entries are meant. Empty means all.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub numbers: Vec<u64>,
    pub device: Option<DeviceId>,
    pub channel: Option<String>,
    pub reason: Option<RejectReason>,
}

impl Wanted {
    #[must_use]
    pub fn lets(&self, entry: &QuarantineEntry) -> bool {
        let said = |test: &dyn Fn(&Said) -> bool| entry.refusals.iter().filter_map(|refused| refused.said.as_ref()).any(test);
        (self.numbers.is_empty() || self.numbers.contains(&entry.number))
            && self
                .device
                .as_ref()
                .is_none_or(|device| entry.device.as_deref() == Some(device.as_str()) || said(&|said: &Said| said.device == *device))
            && self
                .channel
                .as_ref()
                .is_none_or(|channel| entry.channel.as_ref() == Some(channel) || said(&|said: &Said| said.channel == *channel))
            && self.reason.is_none_or(|reason| entry.refusals.iter().any(|refused| refused.reason == reason))
    }
}

/// Entries with the same trouble, together.
#[derive(Debug, Clone)]
pub struct Trouble {
    pub owner: Option<String>,
    pub device: Option<String>,
    pub reason: RejectReason,
    /// The channel, where one is the trouble.
    pub channel: Option<String>,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Refused readings, repetitions counted.
    pub count: u64,
    /// Entries that wait.
    pub entries: u64,
    /// Of the last one.
    pub detail: String,
    /// An entry to look at: the newest.
    pub number: u64,
}

/// What makes two refusals the same trouble: owner, device, reason, channel.
type Kind = (Option<String>, Option<String>, RejectReason, Option<String>);

impl View {
    /// The newest refused messages of the viewer's owner that are `wanted`, newest first; needs the scope `audit` or `manage`,
    /// else it is empty.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn quarantine(&self, wanted: &Wanted, limit: usize) -> Result<Vec<QuarantineEntry>, Error> {
        let mut found = Vec::new();
        self.each_refused(wanted, &mut |entry| {
            found.push(entry);
            found.len() < limit
        })?;
        Ok(found)
    }

    /// The numbers of what [`View::quarantine`] gives, for those who read it one by one.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn quarantine_numbers(&self, wanted: &Wanted, limit: usize) -> Result<Vec<u64>, Error> {
        let mut found = Vec::new();
        self.each_refused(wanted, &mut |entry| {
            found.push(entry.number);
            found.len() < limit
        })?;
        Ok(found)
    }

    /// What is wrong, by device, reason and channel, the latest trouble first. As [`View::quarantine`].
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn troubles(&self, wanted: &Wanted) -> Result<Vec<Trouble>, Error> {
        let mut troubles: BTreeMap<Kind, Trouble> = BTreeMap::new();
        self.each_refused(wanted, &mut |entry| {
            for refused in &entry.refusals {
                let device = refused.said.as_ref().map(|said| said.device.to_string()).or_else(|| entry.device.clone());
                let of_channel = matches!(refused.reason, RejectReason::UnknownChannel | RejectReason::WrongUnit);
                let channel = refused.said.as_ref().filter(|_| of_channel).map(|said| said.channel.clone());
                let key = (entry.owner.clone(), device, refused.reason, channel);
                let (owner, device, reason, channel) = key.clone();
                let trouble = troubles.entry(key).or_insert_with(|| Trouble {
                    owner,
                    device,
                    reason,
                    channel,
                    first: entry.first,
                    last: entry.last,
                    count: 0,
                    entries: 0,
                    detail: refused.detail.clone(),
                    number: entry.number,
                });
                trouble.first = trouble.first.min(entry.first);
                trouble.last = trouble.last.max(entry.last);
                trouble.count += entry.count * u64::from(refused.count);
                trouble.entries += 1;
            }
            true
        })?;
        let mut troubles: Vec<_> = troubles.into_values().collect();
        troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.last));
        Ok(troubles)
    }

    /// How many messages of the viewer's owner went from the quarantine for want of room.
    #[must_use]
    pub fn dropped_from_quarantine(&self) -> u64 {
        let Viewer::Token { owner, .. } = &self.viewer else { return 0 };
        let shelf = self.store.shared().quarantine.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shelf.dropped(Some(owner))
    }

    /// Newest first, until `each` has enough.
    fn each_refused(&self, wanted: &Wanted, each: &mut dyn FnMut(QuarantineEntry) -> bool) -> Result<(), Error> {
        let Viewer::Token { owner, .. } = &self.viewer else { return Ok(()) };
        if !self.viewer.may(Scope::Audit) && !self.viewer.may(Scope::Manage) {
            return Ok(());
        }
        let is_own = |entry: &QuarantineEntry| entry.owner.as_deref() == Some(owner.as_str());
        let engine = self.store.shared().engine.as_ref();
        if !wanted.numbers.is_empty() {
            let mut numbers = wanted.numbers.clone();
            numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
            for number in numbers {
                let entry = one(engine, number)?.as_ref().and_then(wire::entry);
                if let Some(entry) = entry.filter(|entry| is_own(entry) && wanted.lets(entry))
                    && !each(entry)
                {
                    break;
                }
            }
            return Ok(());
        }
        each_entry(engine, &mut |entry| {
            if is_own(&entry) && wanted.lets(&entry) { each(entry) } else { true }
        })
    }
}

/// Every entry, newest first, until `each` has enough.
pub(crate) fn each_entry(engine: &dyn Engine, each: &mut dyn FnMut(QuarantineEntry) -> bool) -> Result<(), Error> {
    /// Rows that are fetched at once, and how many bytes they may have if they are as large as those before.
    const FETCH: usize = 256;
    const BYTES: usize = 4 << 20;
    let (mut to, mut fetch) = (i64::MAX, FETCH / 16);
    loop {
        let rows = engine.range(Table::Quarantine, Span { part: 0, from: i64::MIN, to }, Order::Descending, fetch)?;
        let largest = rows.iter().map(|row| row.body.len()).max().unwrap_or(1);
        fetch = (BYTES / largest.max(1)).clamp(1, FETCH);
        let Some(last) = rows.last() else { return Ok(()) };
        to = last.at - 1;
        for row in &rows {
            if let Some(entry) = wire::entry(row)
                && !each(entry)
            {
                return Ok(());
            }
        }
    }
}

/// Entries behind `after`, by their numbers, of at most `limit` rows; and the number behind which there may be more.
pub(crate) fn ascending(engine: &dyn Engine, after: u64, limit: usize) -> Result<(Vec<QuarantineEntry>, Option<u64>), Error> {
    let span = Span { part: 0, from: after.cast_signed().saturating_add(1), to: i64::MAX };
    let rows = engine.range(Table::Quarantine, span, Order::Ascending, limit)?;
    let last = rows.last().filter(|_| rows.len() == limit).map(|row| row.at.cast_unsigned());
    Ok((rows.iter().filter_map(wire::entry).collect(), last))
}

/// One entry by its number.
pub(crate) fn one(engine: &dyn Engine, number: u64) -> Result<Option<Row>, Error> {
    let at = number.cast_signed();
    let rows = engine.range(Table::Quarantine, Span { part: 0, from: at, to: at }, Order::Ascending, 1)?;
    Ok(rows.into_iter().next())
}

/// How much of one owner's refused messages is kept; what is beyond goes, the oldest first, and is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { entries: 100_000, bytes: 256 << 20 }
    }
}

/// Nobody's messages have a place of their own.
type Whose = Option<OwnerId>;
