//! Raw payloads of devices whose bytes are laid out by a profile: kept beside what was made of them, so that history can be read
//! again once a layout is mended.

use crate::engine::{Change, Engine, Order, Row, Span, Table};
use crate::{Error, Store};
use model::{DeviceId, Interval, OwnerId, Timestamp};
use std::collections::HashMap;

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
        let number = self.shared().book.read().unwrap_or_else(std::sync::PoisonError::into_inner).number(owner, device);
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
}
