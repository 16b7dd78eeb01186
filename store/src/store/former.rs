//! What the network was before each change: who changed it, when and why, and what stood in the field at an earlier moment.

use super::Store;
use super::networks::{Kept, documents, kept_document};
use crate::engine::{self, Change, Document, Engine};
use crate::network::{self, Document as NetworkDocument};
use crate::registry::Registry;
use crate::writer::Work;
use crate::{Error, Subject, View};
use model::{Datastream, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// One change of the network; its id grows with time.
const KIND: &str = "former";
/// Registries of former times that are kept built.
const KEEP_BUILT: usize = 4;

/// Who changes the network, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub who: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What one application of a network replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Former {
    /// When it was replaced, µs.
    until_us: i64,
    #[serde(flatten)]
    reason: Reason,
    /// By kind and id; nothing where the entry was new.
    entries: BTreeMap<String, Option<Kept>>,
}

fn key(kind: &str, id: &str) -> String {
    format!("{kind} {id}")
}

/// All changes, the oldest first, and the registries that were built of them.
#[derive(Default)]
pub(super) struct History {
    changes: RwLock<Vec<Arc<Former>>>,
    built: Mutex<Vec<(i64, Arc<Registry>)>>,
    /// A change that can't be read replaced what held until then, µs: what held before nobody knows.
    lost: Option<i64>,
}

impl History {
    pub(super) fn restore(engine: &dyn Engine) -> Result<Self, Error> {
        let (mut changes, mut unread) = (Vec::new(), Vec::new());
        for document in engine.documents(KIND)? {
            match serde_json::from_str::<Former>(&document.body) {
                Ok(former) => changes.push(Arc::new(former)),
                Err(_) => unread.push(document.id),
            }
        }
        changes.sort_by_key(|former| former.until_us);
        unread.extend(engine::unreadable(engine, KIND));
        // Its id says until when it held; one that says nothing may have held at any time.
        let lost = unread.iter().map(|id| id.parse().unwrap_or(i64::MAX)).max();
        Ok(Self { changes: RwLock::new(changes), built: Mutex::default(), lost })
    }

    fn changes(&self) -> Vec<Arc<Former>> {
        self.changes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a change of the network is to leave behind, for the commit that makes it; nothing when there was nothing before.
    pub(super) fn put(
        engine: &dyn Engine,
        now: Timestamp,
        reason: &Reason,
        changed: &[NetworkDocument],
    ) -> Result<Option<(Change, PutFormer)>, Error> {
        let before: BTreeMap<(&'static str, String), NetworkDocument> =
            documents(engine)?.into_iter().map(|document| ((document.kind, document.id.clone()), document)).collect();
        if before.is_empty() {
            return Ok(None);
        }
        let kept = |document: &NetworkDocument| Kept {
            number: document.number,
            file: document.file.clone(),
            retired: document.retired,
            body: document.body.clone(),
        };
        let entry = |document: &NetworkDocument| {
            let former = before.get(&(document.kind, document.id.clone()));
            (key(document.kind, &document.id), former.map(kept))
        };
        let former = Former { until_us: now.micros(), reason: reason.clone(), entries: changed.iter().map(entry).collect() };
        let body = serde_json::to_string(&former).map_err(|cause| Error::Damaged { what: cause.to_string() })?;
        let document = Document { kind: KIND.into(), id: format!("{:020}", now.micros()), body };
        Ok(Some((Change::PutDocument(document), PutFormer(former))))
    }

    pub(super) fn publish(&self, put: PutFormer) {
        self.changes.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(put.0));
    }
}

/// What an entry of the network names as a datastream, wherever in it.
fn datastreams_in(entry: &serde_json::Value, found: &mut BTreeSet<String>) {
    match entry {
        serde_json::Value::Object(fields) => {
            found.extend(fields.get("datastream").and_then(|name| name.as_str()).map(str::to_owned));
            fields.values().for_each(|value| datastreams_in(value, found));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| datastreams_in(value, found)),
        _ => {}
    }
}

/// A change that is in a commit.
pub(super) struct PutFormer(Former);

/// One application of a network that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkChange {
    pub at: Timestamp,
    pub reason: Reason,
    /// What was changed or added, e.g. `datastream empoli-level`.
    pub entries: Vec<String>,
}

/// One revision of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// When it was made.
    pub at: Timestamp,
    pub who: String,
    /// Empty when nobody said.
    pub why: String,
    /// `datastream`, `station` or `owner`.
    pub of: String,
    pub id: String,
    /// As JSON, as the network file said it; `None` where it was new.
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Store {
    /// Takes over what the network of another store was before each of its changes, as far as they lie before the first that is known
    /// here: what came after is this store's own to tell. To be called once its entries are known. How many changes came in.
    pub(crate) fn take_over_former(&self, other: &dyn Engine) -> Result<u64, Error> {
        let history = &self.inner.networks.history;
        let ours = history.changes();
        let begins = ours.first().map_or(i64::MAX, |first| first.until_us);
        let numbers: BTreeMap<String, Option<u32>> = documents(self.inner.shared.engine.as_ref())?
            .into_iter()
            .map(|document| (key(document.kind, &document.id), document.number))
            .collect();
        let mut put = Vec::new();
        let mut taken = Vec::new();
        for former in History::restore(other)?.changes().iter().filter(|former| former.until_us < begins) {
            // Numbers are each store's own.
            let here = |(key, entry): (&String, &Option<Kept>)| {
                let number = numbers.get(key)?;
                Some((key.clone(), entry.as_ref().map(|kept| Kept { number: *number, ..kept.clone() })))
            };
            let entries = former.entries.iter().filter_map(here).collect();
            let former = Former { until_us: former.until_us, reason: former.reason.clone(), entries };
            let body = serde_json::to_string(&former).map_err(|cause| Error::Damaged { what: cause.to_string() })?;
            put.push(Change::PutDocument(Document { kind: KIND.into(), id: format!("{:020}", former.until_us), body }));
            taken.push(Arc::new(former));
        }
        if taken.is_empty() {
            return Ok(0);
        }
        self.ask(|answer| Work::Documents(put, answer))?;
        let count = taken.len() as u64;
        let mut changes = history.changes.write().unwrap_or_else(PoisonError::into_inner);
        changes.splice(0..0, taken);
        drop(changes);
        history.built.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(count)
    }

    /// Ids of the datastreams that a device feeds or ever fed, as far as is known; also of one that is retired.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn ever_fed_by(&self, subject: &Subject) -> Result<BTreeSet<String>, Error> {
        let device = key("device", &format!("{}/{}", subject.owner, subject.device));
        let feed = key("feed", &format!("{}/{}/", subject.owner, subject.device));
        let is_its = |key: &str| key == device || key.starts_with(&feed);
        let mut found = BTreeSet::new();
        let mut look = |body: &str| {
            if let Ok(entry) = serde_json::from_str(body) {
                datastreams_in(&entry, &mut found);
            }
        };
        for document in documents(self.inner.shared.engine.as_ref())?.iter().filter(|one| is_its(&key(one.kind, &one.id))) {
            look(&document.body);
        }
        for former in self.inner.networks.history.changes() {
            let entries = former.entries.iter().filter(|(key, _)| is_its(key));
            entries.filter_map(|(_, entry)| entry.as_ref()).for_each(|kept| look(&kept.body));
        }
        Ok(found)
    }

    /// Every change of the network that is known, the oldest first; the first network of all is none.
    #[must_use]
    pub fn network_changes(&self) -> Vec<NetworkChange> {
        let change = |former: &Arc<Former>| NetworkChange {
            at: Timestamp::from_micros(former.until_us),
            reason: former.reason.clone(),
            entries: former.entries.keys().cloned().collect(),
        };
        self.inner.networks.history.changes().iter().map(change).collect()
    }

    /// What stood in the field at the end of a second. Where nothing was kept of that time (a store from before revisions were), the first
    /// description that is known.
    ///
    /// # Errors
    /// [`Error::Damaged`] names what can't be read.
    pub(crate) fn registry_at(&self, at: Timestamp) -> Result<Arc<Registry>, Error> {
        let history = &self.inner.networks.history;
        let changes = history.changes();
        if history.lost.is_some_and(|lost| at.seconds() < Timestamp::from_micros(lost).seconds()) {
            return Err(Error::Damaged { what: format!("what the network was at {at}") });
        }
        let first_later = changes.partition_point(|former| Timestamp::from_micros(former.until_us).seconds() <= at.seconds());
        let Some(next) = changes.get(first_later) else { return Ok(self.registry()) };
        let epoch = next.until_us;
        let find = |built: &[(i64, Arc<Registry>)]| built.iter().find(|(of, _)| *of == epoch).map(|(_, registry)| registry.clone());
        if let Some(found) = find(&history.built.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(found);
        }
        let mut all: BTreeMap<String, NetworkDocument> = documents(self.inner.shared.engine.as_ref())?
            .into_iter()
            .map(|document| (key(document.kind, &document.id), document))
            .collect();
        // Back through time: the oldest change has the last word.
        for former in changes.iter().skip(first_later).rev() {
            for (key, entry) in &former.entries {
                match (entry, all.get_mut(key)) {
                    (None, _) => drop(all.remove(key)),
                    (Some(entry), Some(document)) => {
                        (document.number, document.file) = (entry.number, entry.file.clone());
                        (document.retired, document.body) = (entry.retired, entry.body.clone());
                    }
                    (Some(_), None) => {}
                }
            }
        }
        let registry = Arc::new(network::restore(all.into_values().collect()).registry);
        let mut built = history.built.lock().unwrap_or_else(PoisonError::into_inner);
        built.truncate(KEEP_BUILT - 1);
        built.insert(0, (epoch, registry.clone()));
        Ok(registry)
    }
}

impl View {
    /// What was changed in the description of a datastream, its station or its owner, the newest first.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn revisions(&self, datastream: &Datastream) -> Result<Vec<Revision>, Error> {
        let Some(seen) = self.datastream(datastream.key.as_str()) else { return Ok(Vec::new()) };
        let engine = self.store.inner.shared.engine.as_ref();
        let mut found = Vec::new();
        let of = [("datastream", seen.key.as_str()), ("station", seen.station.as_str()), ("owner", seen.owner.as_str())];
        for (kind, id) in of {
            let mut after =
                engine.documents(kind)?.into_iter().find(|document| document.id == id).and_then(|document| kept_document(&document.body));
            for former in self.store.inner.networks.history.changes().iter().rev() {
                let Some(entry) = former.entries.get(&key(kind, id)) else { continue };
                let before = entry.as_ref().map(|kept| kept.body.clone());
                found.push(Revision {
                    at: Timestamp::from_micros(former.until_us),
                    who: former.reason.who.clone(),
                    why: former.reason.why.clone(),
                    of: kind.to_owned(),
                    id: id.to_owned(),
                    before: before.clone(),
                    after: std::mem::replace(&mut after, before),
                });
            }
        }
        found.sort_by_key(|one| std::cmp::Reverse(one.at));
        Ok(found)
    }
}
