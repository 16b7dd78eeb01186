//! InfluxDB 2 as a second place for the history. Acknowledgement never depends on it: what is committed here is owed to it by the
//! commit that holds it, and is written there when it can be. Layout and guarantees: docs/influxdb.md, why so: docs/decisions/0013.

mod beyond;
mod client;
mod forward;
mod line;
mod refused;

pub(crate) use beyond::Beyond;
pub use forward::InfluxForwarder;
pub use refused::RefusedLine;

use crate::engine::{Change, Document, Order, Span, Table};
use crate::outbox::OutboxRoom;
use crate::writer::Work;
use crate::{Error, Store, WhenFull};

/// What waits for InfluxDB takes at most so much room; beyond it the oldest goes from the list, and is read from the store again later.
const ROOM: u64 = 256 << 20;

/// Which InfluxDB, and as whom.
#[derive(Clone, PartialEq, Eq)]
pub struct InfluxSettings {
    /// `http://host:port`
    pub url: String,
    pub org: String,
    pub bucket: String,
    pub token: crate::SecretFile,
}

impl InfluxSettings {
    /// Names the place: another one gets everything anew.
    fn place(&self) -> String {
        format!("{} {} {}", self.url, self.org, self.bucket)
    }
    /// The list of what is owed, for [`crate::Settings`].
    #[must_use]
    pub fn room() -> OutboxRoom {
        OutboxRoom { bytes: ROOM, when_full: WhenFull::DropOldest }
    }
}

impl std::fmt::Debug for InfluxSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InfluxSettings")
            .field("url", &self.url)
            .field("org", &self.org)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// How the way there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InfluxHealth {
    /// Why nothing can be written now; `None` when it can.
    pub trouble: Option<String>,
    /// Bytes that wait.
    pub waiting_bytes: u64,
    /// How long the oldest has waited, seconds.
    pub lag_s: i64,
    /// The datastream whose history is being written; `None` once all of it is there.
    pub walking: Option<String>,
    /// Since the start.
    pub points_written: u64,
    pub lines_refused: u64,
}

/// Of documents: how far the history is written, and what was refused.
const KIND: &str = "influx";

/// The way there in `/readyz`.
pub const PART: &str = "influxdb";

impl Store {
    /// Nothing is owed to an InfluxDB any more: should there be one again, it gets everything anew.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn forget_influx(&self) -> Result<(), Error> {
        let marks = self.shared().engine.documents(KIND)?;
        if marks.is_empty() {
            return Ok(());
        }
        let mut changes: Vec<Change> = marks.into_iter().map(|mark| Change::DeleteDocument { kind: KIND, id: mark.id }).collect();
        let all = Span { part: 0, from: i64::MIN, to: i64::MAX };
        if !self.shared().engine.range(Table::Outbox, all, Order::Ascending, 1)?.is_empty() {
            changes.push(Change::DropThrough { table: Table::Outbox, part: 0, at: i64::MAX });
        }
        self.ask(|answer| Work::Documents(changes, answer))
    }

    /// Everything is written there once more: after a bucket was emptied, or the cause of refused lines mended.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn write_influx_again(&self) -> Result<(), Error> {
        self.ask(|answer| Work::Documents(vec![Change::DeleteDocument { kind: KIND, id: "history".into() }], answer))
    }

    /// Whether an InfluxDB has everything that is here: all of the history went there, and nothing waits. Only then may anything go here
    /// that is to be read there.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn influx_has_all(&self) -> Result<bool, Error> {
        let went = self.influx_mark("history")?.is_some_and(|mark| mark.ends_with("\ndone"));
        Ok(went && self.waiting_for_centre().is_some_and(|waiting| waiting.commits == 0) && self.influx_refused()?.is_empty())
    }

    fn influx_mark(&self, id: &str) -> Result<Option<String>, Error> {
        Ok(self.shared().engine.documents(KIND)?.into_iter().find(|mark| mark.id == id).map(|mark| mark.body))
    }

    fn put_influx_mark(&self, id: &str, body: String) -> Result<(), Error> {
        let change = Change::PutDocument(Document { kind: KIND.into(), id: id.into(), body });
        self.ask(|answer| Work::Documents(vec![change], answer))
    }
}
