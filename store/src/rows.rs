//! How rejects and gaps lie in their rows.

use crate::Error;
use crate::engine::{Change, Engine, Order, Row, Span, Table};
use model::{DatastreamId, Gap, GapReason, Reject, RejectReason, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// One message that waits in the quarantine.
#[derive(Debug, Clone)]
pub struct QuarantineEntry {
    /// Its number; grows.
    pub number: u64,
    pub received_at: Timestamp,
    pub source: String,
    pub route: String,
    pub owner: Option<String>,
    pub device: Option<String>,
    /// What was wrong, one line for each rejected reading of the message.
    pub reasons: Vec<(RejectReason, String)>,
    /// The message as it came.
    pub bytes: Vec<u8>,
}

/// The head of a quarantine row: one line of JSON, then the bytes as they came.
#[derive(Serialize, Deserialize)]
struct Label {
    received_at_us: i64,
    source: String,
    route: String,
    owner: Option<String>,
    device: Option<String>,
    reasons: Vec<(String, String)>,
}

/// One row for each message, though several of its readings may have been refused. Returns the next free number.
pub(crate) fn put_rejects(rejects: &[Reject], mut number: u64, changes: &mut Vec<Change>) -> Result<u64, Error> {
    for message in rejects.chunk_by(|one, next| Arc::ptr_eq(&one.bytes, &next.bytes)) {
        let Some(first) = message.first() else { continue };
        let label = Label {
            received_at_us: first.received_at.micros(),
            source: first.source.to_owned(),
            route: first.route.clone(),
            owner: first.owner.as_ref().map(ToString::to_string),
            device: first.device.as_ref().map(ToString::to_string),
            reasons: message.iter().map(|reject| (reject.reason.code().to_owned(), reject.detail.clone())).collect(),
        };
        let mut body = serde_json::to_vec(&label)
            .map_err(|cause| Error::Io { action: "writing a quarantine row".into(), cause: cause.to_string() })?;
        body.push(b'\n');
        body.extend_from_slice(&first.bytes);
        changes.push(Change::Put { table: Table::Quarantine, row: Row { part: 0, at: number.cast_signed(), weight: 0, body } });
        number += 1;
    }
    Ok(number)
}

/// The newest entries that `wanted` lets through, newest first.
pub(crate) fn quarantine(
    engine: &dyn Engine,
    limit: usize,
    wanted: impl Fn(&QuarantineEntry) -> bool,
) -> Result<Vec<QuarantineEntry>, Error> {
    const FETCH: usize = 64;
    let mut found = Vec::new();
    let mut to = i64::MAX;
    while found.len() < limit {
        let rows = engine.range(Table::Quarantine, Span { part: 0, from: i64::MIN, to }, Order::Descending, FETCH)?;
        let Some(last) = rows.last() else { break };
        to = last.at - 1;
        found.extend(rows.iter().filter_map(entry).filter(|entry| wanted(entry)));
    }
    found.truncate(limit);
    Ok(found)
}

fn entry(row: &Row) -> Option<QuarantineEntry> {
    let end = row.body.iter().position(|byte| *byte == b'\n')?;
    let (label, bytes) = row.body.split_at_checked(end)?;
    let label: Label = serde_json::from_slice(label).ok()?;
    let reasons = label.reasons.into_iter();
    Some(QuarantineEntry {
        number: row.at.cast_unsigned(),
        received_at: Timestamp::from_micros(label.received_at_us),
        source: label.source,
        route: label.route,
        owner: label.owner,
        device: label.device,
        reasons: reasons.filter_map(|(code, detail)| Some((RejectReason::from_code(&code)?, detail))).collect(),
        bytes: bytes.get(1..)?.to_vec(),
    })
}

/// The first free number of the quarantine.
pub(crate) fn next_number(engine: &dyn Engine) -> Result<u64, Error> {
    let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
    let last = engine.range(Table::Quarantine, all, Order::Descending, 1)?;
    Ok(last.first().map_or(1, |row| row.at.cast_unsigned() + 1))
}

/// The last gap of each datastream, as the writer knows it.
#[derive(Default)]
pub(crate) struct OpenGaps {
    last: HashMap<DatastreamId, Option<Gap>>,
}

impl OpenGaps {
    /// Adds failed polls: to the last gap while its reason lasts and nothing was measured since, else as a new one.
    pub(crate) fn put(
        &mut self,
        gap: &Gap,
        last_observed: Option<Timestamp>,
        engine: &dyn Engine,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        let last = match self.last.entry(gap.datastream) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => {
                let all = Span { part: i64::from(gap.datastream.0), from: i64::MIN, to: i64::MAX };
                let rows = engine.range(Table::Gap, all, Order::Descending, 1)?;
                unknown.insert(rows.first().and_then(gap_of))
            }
        };
        let merged = match last.take() {
            Some(last) if last.reason == gap.reason && last_observed.is_none_or(|observed| observed < last.from) => {
                Gap { to: gap.to.max(last.to), count: last.count + gap.count, ..last }
            }
            _ => gap.clone(),
        };
        let mut body = merged.to.micros().to_le_bytes().to_vec();
        body.extend_from_slice(merged.reason.code().as_bytes());
        let weight = i64::try_from(merged.count).unwrap_or(i64::MAX);
        let row = Row { part: i64::from(merged.datastream.0), at: merged.from.micros(), weight, body };
        changes.push(Change::Put { table: Table::Gap, row });
        *last = Some(merged);
        Ok(())
    }
    /// What was put was not committed: read it anew.
    pub(crate) fn forget(&mut self) {
        self.last.clear();
    }
}

/// Back from a row of [`Table::Gap`].
pub(crate) fn gap_of(row: &Row) -> Option<Gap> {
    let (to, reason) = row.body.split_first_chunk::<8>()?;
    Some(Gap {
        datastream: DatastreamId(u32::try_from(row.part).ok()?),
        from: Timestamp::from_micros(row.at),
        to: Timestamp::from_micros(i64::from_le_bytes(*to)),
        reason: GapReason::from_code(std::str::from_utf8(reason).ok()?)?,
        count: row.weight.cast_unsigned(),
    })
}
