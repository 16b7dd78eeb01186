//! How an entry lies in its row: one line of JSON, then the bytes as they came.

use super::{QuarantineEntry, Refused};
use crate::Error;
use crate::engine::Row;
use model::{Message, Reject, RejectReason, Said, Timestamp, Unit, Uptime};
use serde::{Deserialize, Serialize};

/// The line. What is as it mostly is, is left out.
#[derive(Serialize, Deserialize)]
pub(super) struct Label {
    received_at_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_us: Option<i64>,
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub(super) count: u64,
    /// The boot in which it came and the microseconds since that began, where `received_at_us` can't be believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uptime: Option<(String, i64)>,
    source: String,
    format: String,
    route: String,
    pub(super) owner: Option<String>,
    device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    reasons: Vec<(String, String)>,
    /// Beside `reasons`, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    said: Vec<Option<SaidRow>>,
    /// Beside `reasons`, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
    /// Beside `reasons`, in their order: readings that each stands for, where one of them stands for several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    counts: Vec<u32>,
    /// Beside `reasons`, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<usize>,
}

fn once() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_once(count: &u64) -> bool {
    *count == 1
}

#[derive(Serialize, Deserialize)]
struct SaidRow {
    device: String,
    channel: String,
    /// None for what is no number.
    value: Option<f64>,
    time_us: Option<i64>,
    unit: Option<String>,
}

impl Label {
    pub(super) fn of(message: &Message, rejects: &[Reject]) -> Self {
        let mut label = Self {
            received_at_us: message.received_at.micros(),
            last_us: None,
            count: 1,
            uptime: message.uptime.as_ref().map(|uptime| (uptime.boot.to_string(), uptime.micros)),
            source: message.source.to_owned(),
            format: message.format.to_owned(),
            route: message.route.clone(),
            owner: message.owner.as_ref().map(ToString::to_string),
            device: message.device.as_ref().map(ToString::to_string),
            channel: message.channel.clone(),
            reasons: Vec::new(),
            said: Vec::new(),
            lines: Vec::new(),
            counts: Vec::new(),
            places: Vec::new(),
        };
        label.now_refused(rejects);
        label
    }

    /// What is refused now, instead of what was before.
    pub(super) fn now_refused(&mut self, rejects: &[Reject]) {
        self.reasons = rejects.iter().map(|reject| (reject.reason.code().to_owned(), reject.detail.clone())).collect();
        let said = |said: &Said| SaidRow {
            device: said.device.to_string(),
            channel: said.channel.clone(),
            value: Some(said.value).filter(|value| value.is_finite()),
            time_us: said.time.map(Timestamp::micros),
            unit: said.unit.map(|unit| unit.symbol().to_owned()),
        };
        let are_several = rejects.iter().any(|reject| reject.count > 1);
        self.counts = if are_several { rejects.iter().map(|reject| reject.count).collect() } else { Vec::new() };
        self.places = rejects.iter().map(|reject| reject.place).collect();
        self.lines = rejects.iter().map(|reject| reject.line.to_string()).collect();
        self.said = rejects.iter().map(|reject| reject.said.as_ref().map(said)).collect();
    }

    pub(super) fn came_again(&mut self, times: u64, at: Timestamp) {
        self.count += times;
        self.last_us = Some(self.last_us.unwrap_or(self.received_at_us).max(at.micros()));
    }

    pub(super) fn row(&self, number: u64, bytes: &[u8]) -> Result<Row, Error> {
        let mut body =
            serde_json::to_vec(self).map_err(|cause| Error::Io { action: "writing a quarantine row".into(), cause: cause.to_string() })?;
        body.push(b'\n');
        body.extend_from_slice(bytes);
        Ok(Row { part: 0, at: number.cast_signed(), weight: 0, summary: Vec::new(), body })
    }
}

/// The line and the bytes of a row.
pub(super) fn parts(row: &Row) -> Option<(Label, &[u8])> {
    let end = row.body.iter().position(|byte| *byte == b'\n')?;
    let (label, bytes) = row.body.split_at_checked(end)?;
    Some((serde_json::from_slice(label).ok()?, bytes.get(1..)?))
}

pub(crate) fn entry(row: &Row) -> Option<QuarantineEntry> {
    let (label, bytes) = parts(row)?;
    let said = |said: SaidRow| Said {
        device: said.device.into(),
        channel: said.channel,
        value: said.value.unwrap_or(f64::NAN),
        time: said.time_us.map(Timestamp::from_micros),
        unit: said.unit.as_deref().and_then(Unit::from_symbol),
    };
    let mut readings = label.said.into_iter().map(|one| one.map(said)).chain(std::iter::repeat(None));
    let (mut lines, mut places, mut counts) = (label.lines.into_iter(), label.places.into_iter(), label.counts.into_iter());
    let refused = |(code, detail): (String, String)| {
        let said = readings.next().flatten();
        let line = lines.next().unwrap_or_default().into();
        let (place, count) = (places.next().unwrap_or_default(), counts.next().unwrap_or(1));
        Some(Refused { reason: RejectReason::from_code(&code)?, detail, place, said, line, count })
    };
    Some(QuarantineEntry {
        number: row.at.cast_unsigned(),
        first: Timestamp::from_micros(label.received_at_us),
        last: Timestamp::from_micros(label.last_us.unwrap_or(label.received_at_us)),
        count: label.count,
        uptime: label.uptime.map(|(boot, micros)| Uptime { boot: boot.into(), micros }),
        source: label.source,
        format: label.format,
        route: label.route,
        owner: label.owner,
        device: label.device,
        channel: label.channel,
        refusals: label.reasons.into_iter().filter_map(refused).collect(),
        bytes: bytes.to_vec(),
    })
}
