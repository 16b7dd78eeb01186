//! What a store knows besides observations, in a form that any program reads: for an export of everything, and back.

use crate::engine::{Change, Document, Engine, Memory, Order, Span, Table};
use crate::gaps::{gap_of, row_of};
use crate::store::KINDS;
use crate::writer::Work;
use crate::{Error, Store, Tombstone};
use model::{DatastreamId, Gap, GapReason, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Owners, stations, datastreams and devices; when nothing was measured; what was deleted. Not tokens, not the quarantine, not the audit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Described {
    pub network: Vec<Entry>,
    pub gaps: Vec<GapEntry>,
    pub deletions: Vec<Tombstone>,
}

/// One entry of the network, as its file said it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// `owner`, `station`, `datastream`, `device` or `feed`.
    pub kind: String,
    pub id: String,
    pub entry: Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GapEntry {
    pub datastream: String,
    /// RFC 3339; both ends included.
    pub from: String,
    pub to: String,
    pub reason: String,
    pub count: u64,
}

fn damaged(what: &str, cause: impl std::fmt::Display) -> Error {
    Error::Damaged { what: format!("{what}: {cause}") }
}

impl Store {
    /// What it knows besides observations.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read, [`Error::Damaged`] names the entry.
    pub fn described(&self) -> Result<Described, Error> {
        let engine = self.shared().engine.as_ref();
        let mut described = Described { deletions: self.tombstones()?, ..Described::default() };
        for kind in KINDS {
            for document in engine.documents(kind)? {
                let entry = serde_json::from_str(&document.body).map_err(|cause| damaged(&document.id, cause))?;
                described.network.push(Entry { kind: kind.to_owned(), id: document.id, entry });
            }
        }
        for datastream in self.registry().datastreams() {
            let span = Span { part: i64::from(datastream.id.0), from: i64::MIN, to: i64::MAX };
            let rows = engine.range(Table::Gap, span, Order::Ascending, usize::MAX)?;
            described.gaps.extend(rows.iter().filter_map(gap_of).map(|gap| GapEntry {
                datastream: datastream.key.to_string(),
                from: gap.from.to_string(),
                to: gap.to.to_string(),
                reason: gap.reason.code(),
                count: gap.count,
            }));
        }
        Ok(described)
    }

    /// Takes in what is not known here; what is known stays. Deletions first, so that nothing of them comes back. Entries that came in.
    ///
    /// # Errors
    /// [`Error::Damaged`] names what can't be read; as [`Store::commit`] otherwise.
    pub fn take_in(&self, described: &Described) -> Result<Vec<String>, Error> {
        let theirs = Memory::default();
        let document =
            |entry: &Entry| Change::PutDocument(Document { kind: entry.kind.clone(), id: entry.id.clone(), body: entry.entry.to_string() });
        theirs.commit(&described.network.iter().map(document).collect::<Vec<_>>())?;
        let added = self.take_over_registry(&theirs)?;
        self.delete_again(&described.deletions)?;
        let registry = self.registry();
        for entry in &described.gaps {
            let gap = gap_entry(entry, |key| registry.datastream_by_key(key).map(|known| known.id))?;
            let row = row_of(&gap);
            let span = Span { part: row.part, from: row.at, to: row.at };
            // One that is here may have grown since.
            if self.shared().engine.range(Table::Gap, span, Order::Ascending, 1)?.is_empty() {
                self.ask(|answer| Work::Documents(vec![Change::Put { table: Table::Gap, row }], answer))?;
            }
        }
        Ok(added)
    }
}

fn gap_entry(entry: &GapEntry, id: impl Fn(&str) -> Option<DatastreamId>) -> Result<Gap, Error> {
    let time = |text: &str| Timestamp::parse(text).map_err(|cause| damaged(&format!("a gap of {}", entry.datastream), cause));
    Ok(Gap {
        datastream: id(&entry.datastream).ok_or_else(|| damaged(&entry.datastream, "a gap of a datastream that nobody knows"))?,
        from: time(&entry.from)?,
        to: time(&entry.to)?,
        reason: GapReason::from_code(&entry.reason)
            .ok_or_else(|| damaged(&entry.datastream, format!("no gap has the reason {}", entry.reason)))?,
        count: entry.count,
    })
}
