//! Devices that said that they fall silent: what they measured before is not current any more, however young it is.

use crate::engine::{Change, Document, Engine};
use crate::{Error, Store};
use model::{DatastreamId, Timestamp};
use std::collections::HashMap;

const SILENCED: &str = "silenced";
const BIRTH: &str = "sparkplug";

/// Since when, by datastream.
pub(crate) type Silenced = HashMap<DatastreamId, Timestamp>;

pub(crate) fn restore(engine: &dyn Engine) -> Result<Silenced, Error> {
    let read = |document: Document| Some((DatastreamId(document.id.parse().ok()?), Timestamp::from_micros(document.body.parse().ok()?)));
    Ok(engine.documents(SILENCED)?.into_iter().filter_map(read).collect())
}

/// Adds what falls silent, and what was said at births, to a commit.
pub(crate) fn put(silenced: &[(DatastreamId, Timestamp)], births: &[(String, String)], changes: &mut Vec<Change>) {
    for (datastream, since) in silenced {
        let document = Document { kind: SILENCED.into(), id: datastream.0.to_string(), body: since.micros().to_string() };
        changes.push(Change::PutDocument(document));
    }
    for (id, text) in births {
        changes.push(Change::PutDocument(Document { kind: BIRTH.into(), id: id.clone(), body: text.clone() }));
    }
}

impl Store {
    /// What edge nodes said at their last births, by id; nothing when it can't be read: then they are asked again.
    #[must_use]
    pub fn births(&self) -> Vec<(String, String)> {
        let found = self.shared().engine.documents(BIRTH).unwrap_or_default();
        found.into_iter().map(|document| (document.id, document.body)).collect()
    }

    /// Since when a datastream's device is silent, by its own word.
    pub(crate) fn silent_since(&self, datastream: DatastreamId) -> Option<Timestamp> {
        self.shared().silenced.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&datastream).copied()
    }
}
