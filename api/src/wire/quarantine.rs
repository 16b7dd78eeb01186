//! What could not be taken, and the ledger.

use model::{Account, civil_day};
use serde::Serialize;
use std::fmt::Write;
use store::{LedgerLine, QuarantineEntry, Refused, Trouble};
use utoipa::ToSchema;

/// A message that could not be taken, as it came.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuarantineOut {
    pub(crate) number: u64,
    /// When it came first and last, and how often: the same bytes by the same way are one entry.
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) count: u64,
    /// The door: mqtt, http, modbus, broker, edge.
    pub(crate) source: String,
    /// The format that it was read as.
    #[schema(example = "native")]
    pub(crate) format: String,
    /// Topic or path.
    pub(crate) route: String,
    pub(crate) owner: Option<String>,
    pub(crate) device: Option<String>,
    pub(crate) channel: Option<String>,
    /// One for each reading of the message that was refused.
    pub(crate) refusals: Vec<RefusedOut>,
    /// The message as text; bytes that are no UTF-8 are shown as U+FFFD. In a list no more than its first 16 KiB.
    pub(crate) text: String,
    /// How long the message was, bytes.
    pub(crate) bytes: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedOut {
    #[schema(example = "unknown-channel")]
    pub(crate) code: String,
    /// What was found, and the cure.
    pub(crate) detail: String,
    /// What the message says, where it could be read so far.
    pub(crate) device: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) value: Option<f64>,
    pub(crate) time: Option<String>,
    pub(crate) unit: Option<String>,
}

/// One entry with its bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QuarantineWhole {
    #[serde(flatten)]
    pub(crate) entry: QuarantineOut,
    /// Every byte as it came, in hexadecimal.
    pub(crate) hex: String,
}

impl From<&Refused> for RefusedOut {
    fn from(refused: &Refused) -> Self {
        let said = refused.said.as_ref();
        Self {
            code: refused.reason.code().into(),
            detail: refused.detail.clone(),
            device: said.map(|said| said.device.to_string()),
            channel: said.map(|said| said.channel.clone()),
            value: said.map(|said| said.value).filter(|value| value.is_finite()),
            time: said.and_then(|said| said.time).map(|time| time.to_string()),
            unit: said.and_then(|said| said.unit).map(|unit| unit.symbol().to_owned()),
        }
    }
}

/// Bytes of a message that a list shows; one entry alone has all of them.
const LISTED: usize = 16 * 1024;

impl QuarantineOut {
    /// As a list shows it: of a long message the beginning.
    pub(crate) fn in_list(entry: &QuarantineEntry) -> Self {
        let shown = entry.bytes.get(..LISTED).unwrap_or(&entry.bytes);
        Self { bytes: entry.bytes.len(), ..Self::from(&QuarantineEntry { bytes: shown.to_vec(), ..entry.clone() }) }
    }
}

impl From<&QuarantineEntry> for QuarantineOut {
    fn from(entry: &QuarantineEntry) -> Self {
        Self {
            number: entry.number,
            first: entry.first.to_string(),
            last: entry.last.to_string(),
            count: entry.count,
            source: entry.source.clone(),
            format: entry.format.clone(),
            route: entry.route.clone(),
            owner: entry.owner.clone(),
            device: entry.device.clone(),
            channel: entry.channel.clone(),
            refusals: entry.refusals.iter().map(Into::into).collect(),
            text: String::from_utf8_lossy(&entry.bytes).into_owned(),
            bytes: entry.bytes.len(),
        }
    }
}

impl From<&QuarantineEntry> for QuarantineWhole {
    fn from(entry: &QuarantineEntry) -> Self {
        let hex = entry.bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { entry: entry.into(), hex }
    }
}

/// What is wrong, and what can no longer be seen of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Troubles {
    pub(crate) items: Vec<TroubleOut>,
    /// Messages of the owner that went from the quarantine for want of room, the oldest first.
    pub(crate) dropped: u64,
}

/// Entries with the same trouble, together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TroubleOut {
    pub(crate) device: Option<String>,
    #[schema(example = "unknown-channel")]
    pub(crate) code: String,
    pub(crate) channel: Option<String>,
    pub(crate) first: String,
    pub(crate) last: String,
    /// Refused readings, repetitions counted.
    pub(crate) count: u64,
    /// Entries that wait.
    pub(crate) entries: u64,
    /// Of the newest.
    pub(crate) detail: String,
    /// The newest entry.
    pub(crate) number: u64,
}

impl From<&Trouble> for TroubleOut {
    fn from(trouble: &Trouble) -> Self {
        Self {
            device: trouble.device.clone(),
            code: trouble.reason.code().into(),
            channel: trouble.channel.clone(),
            first: trouble.first.to_string(),
            last: trouble.last.to_string(),
            count: trouble.count,
            entries: trouble.entries,
            detail: trouble.detail.clone(),
            number: trouble.number,
        }
    }
}

/// One device on one civil day: received = accepted + duplicates + revised + quarantined.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LedgerOut {
    /// Civil day of Europe/Rome on which it came in.
    #[schema(example = "2026-11-23")]
    pub(crate) day: String,
    /// Its id; ? for what devices said that nobody knows.
    pub(crate) device: String,
    pub(crate) received: u64,
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) revised: u64,
    pub(crate) quarantined: u64,
    pub(crate) balances: bool,
    /// Observations that this day should have, from the periods of the device's datastreams, as far as it is over.
    pub(crate) expected: u64,
    /// Those that it has, whenever they came in.
    pub(crate) present: u64,
    /// Where nothing was measured for longer than one and a half periods, at most fifty.
    pub(crate) missing: Vec<MissingOut>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MissingOut {
    pub(crate) datastream: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl From<&LedgerLine> for LedgerOut {
    fn from(line: &LedgerLine) -> Self {
        let Account { received, accepted, duplicates, revised, quarantined } = line.account;
        let missing = line.missing.iter();
        let missing = missing.map(|missing| MissingOut {
            datastream: missing.datastream.to_string(),
            from: missing.from.to_string(),
            to: missing.to.to_string(),
        });
        Self {
            day: civil_day(line.day.from).to_string(),
            device: line.device.to_string(),
            received,
            accepted,
            duplicates,
            revised,
            quarantined,
            balances: line.account.balances(),
            expected: line.expected,
            present: line.present,
            missing: missing.collect(),
        }
    }
}
