//! Raw payloads of devices whose bytes are laid out by a profile: kept beside what was made of them, so that history can be read
//! again once a layout is mended.

use crate::engine::{Change, Engine, Order, Row, Span, Table};
use crate::ledger::Book;
use crate::writer::Work;
use crate::{Batch, Error, Store, Subject, Tally, Tombstone};
use model::{DeviceId, Interval, OwnerId, Timestamp};
use std::collections::HashMap;
use std::sync::PoisonError;

/// Bytes as a device sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub owner: OwnerId,
    pub device: DeviceId,
    pub received_at: Timestamp,
    pub port: Option<u8>,
    /// When the network heard it, where it says so.
    pub heard_at: Option<Timestamp>,
    pub bytes: Vec<u8>,
}

/// How long raw payloads are kept, days: the observations made of them stay.
const KEPT_DAYS: i64 = 400;

/// Rows that are taken over together.
const AT_ONCE: usize = 1000;

/// When a device's payloads were last looked through for old ones, by its number in the ledger.
pub(crate) type Trimmed = HashMap<u32, i64>;

/// Adds a payload to a commit; `number` is its device's in the ledger. Two of one microsecond lie side by side. Once a day those go
/// that are older than they are kept.
pub(crate) fn put(payload: &Payload, number: u32, place: usize, trimmed: &mut Trimmed, changes: &mut Vec<Change>) {
    let day = payload.received_at.seconds().div_euclid(86_400);
    if trimmed.insert(number, day) != Some(day) {
        let upto = Timestamp::from_seconds((day - KEPT_DAYS) * 86_400).micros();
        changes.push(Change::DropThrough { table: Table::Payload, part: i64::from(number), at: upto });
    }
    let mut body = vec![payload.port.unwrap_or(0), u8::from(payload.port.is_some()), u8::from(payload.heard_at.is_some())];
    body.extend_from_slice(&payload.heard_at.map_or(0, Timestamp::micros).to_le_bytes());
    body.extend_from_slice(&payload.bytes);
    let at = payload.received_at.micros().saturating_add(i64::try_from(place).unwrap_or(0));
    changes.push(Change::Put { table: Table::Payload, row: Row { part: i64::from(number), at, weight: 0, summary: Vec::new(), body } });
}

impl Store {
    /// Raw payloads of a device that came in `interval`, ascending, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn payloads(&self, owner: &OwnerId, device: &DeviceId, interval: Interval, limit: usize) -> Result<Vec<Payload>, Error> {
        let number = self.shared().book.read().unwrap_or_else(PoisonError::into_inner).number(owner, device);
        let Some(number) = number else { return Ok(Vec::new()) };
        let span = Span { part: i64::from(number), from: interval.from.micros(), to: interval.to.micros().saturating_sub(1) };
        let engine: &dyn Engine = self.shared().engine.as_ref();
        let rows = engine.range(Table::Payload, span, Order::Ascending, limit)?;
        let payload = |row: &Row| {
            let (head, rest) = row.body.split_first_chunk::<3>()?;
            let (heard, bytes) = rest.split_first_chunk::<8>()?;
            let [port, has_port, has_time] = *head;
            Some(Payload {
                owner: owner.clone(),
                device: device.clone(),
                received_at: Timestamp::from_micros(row.at),
                port: (has_port == 1).then_some(port),
                heard_at: (has_time == 1).then(|| Timestamp::from_micros(i64::from_le_bytes(*heard))),
                bytes: bytes.to_vec(),
            })
        };
        Ok(rows.iter().filter_map(payload).collect())
    }

    /// Takes over the payloads of another store that are not here and were not deleted here. How many came in.
    pub(crate) fn take_over_payloads(&self, other: &dyn Engine) -> Result<u64, Error> {
        let book = Book::restore(other, Vec::new())?.0;
        let tombstones = self.tombstones()?;
        let mut count = 0;
        for part in 0_u32.. {
            let Some((owner, device)) = book.name(part) else { break };
            let subject = Subject { owner: owner.clone(), device: device.clone() };
            let deleted: Vec<&Tombstone> = tombstones.iter().filter(|one| one.subject.as_ref() == Some(&subject)).collect();
            let mut span = Span { part: i64::from(part), from: i64::MIN, to: i64::MAX };
            loop {
                let mut rows = other.range(Table::Payload, span, Order::Ascending, AT_ONCE)?;
                let Some(last) = rows.last() else { break };
                span.from = last.at.saturating_add(1);
                rows.retain(|row| !deleted.iter().any(|one| one.hides(row.at, row.at.div_euclid(1_000_000))));
                count += self.put_payloads(&subject, rows)?;
            }
        }
        Ok(count)
    }

    fn put_payloads(&self, subject: &Subject, rows: Vec<Row>) -> Result<u64, Error> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(0) };
        let (from, to) = (first.at, last.at);
        let part = i64::from(self.number_of(subject)?);
        let engine = self.shared().engine.as_ref();
        let here = engine.range(Table::Payload, Span { part, from, to }, Order::Ascending, usize::MAX)?;
        let here: HashMap<i64, Row> = here.into_iter().map(|row| (row.at, row)).collect();
        // One of the same microsecond that says something else has the place already.
        let new = rows.into_iter().filter(|row| !here.contains_key(&row.at)).map(|row| Row { part, ..row });
        let changes: Vec<Change> = new.map(|row| Change::Put { table: Table::Payload, row }).collect();
        let count = changes.len() as u64;
        if count > 0 {
            self.ask(|answer| Work::Documents(changes, answer))?;
        }
        Ok(count)
    }

    /// A device's number in the ledger, which it gets if it has none.
    fn number_of(&self, Subject { owner, device }: &Subject) -> Result<u32, Error> {
        let known = || self.shared().book.read().unwrap_or_else(PoisonError::into_inner).number(owner, device);
        if let Some(number) = known() {
            return Ok(number);
        }
        let tally = Tally {
            owner: owner.clone(),
            device: device.clone(),
            received_at: self.clock().now(),
            received: 0,
            observations: 0,
            repeated: 0,
            quarantined: 0,
        };
        // A commit of nothing else would be none.
        let mark = crate::SessionMark { client: String::new(), exists: false };
        self.commit_blocking(Batch { tallies: vec![tally], sessions: vec![mark], ..Batch::default() })?;
        known().ok_or_else(|| Error::Damaged { what: format!("the ledger: no number for {owner}/{device}") })
    }
}
