//! The registry in memory and how a network gets into it.

use super::Store;
use super::former::{History, Reason};
use crate::engine::{self, Engine, Sqlite};
use crate::network::{self, Change, Document, Network, OriginMap};
use crate::registry::Registry;
use crate::writer::Work;
use crate::{Complaint, Distrust, Error, explain, trust};
use model::{Clock, DatastreamId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

pub(crate) const KINDS: [&str; 5] = ["owner", "station", "datastream", "device", "feed"];

/// As a document of the registry lies on disk, around its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) number: Option<u32>,
    pub(super) file: String,
    pub(super) retired: bool,
    pub(super) body: String,
}

/// The entry itself, of a document's body.
pub(super) fn kept_document(body: &str) -> Option<String> {
    serde_json::from_str::<Kept>(body).ok().map(|kept| kept.body)
}

/// The registry as of now and the file that each entry came from.
pub(super) struct Networks {
    registry: watch::Sender<Arc<Registry>>,
    origins: Mutex<OriginMap>,
    pub(super) history: History,
}

/// The entries that an engine holds.
pub(super) fn documents(engine: &dyn Engine) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    for kind in KINDS {
        for kept in engine.documents(kind)? {
            let damaged = |cause: serde_json::Error| Error::Damaged { what: format!("{kind} {}: {cause}", kept.id) };
            let Kept { number, file, retired, body } = serde_json::from_str(&kept.body).map_err(damaged)?;
            documents.push(Document { kind, id: kept.id, number, file, retired, body });
        }
    }
    Ok(documents)
}

/// Kind and id.
type Entry = (&'static str, String);

/// Entries that can't be read in either copy, e.g. `datastream empoli-level`: they are not in the registry.
fn unreadable(engine: &dyn Engine) -> Vec<Entry> {
    KINDS.iter().flat_map(|kind| engine::unreadable(engine, kind).into_iter().map(|id| (*kind, id))).collect()
}

fn damaged(entries: &[Entry]) -> Option<Error> {
    let (kind, id) = entries.first()?;
    let more = if entries.len() > 1 { format!(" and {} more entries of the network", entries.len() - 1) } else { String::new() };
    let what = format!(
        "{kind} {id}{more} can't be read, and what it measured is held under a number that only the entry knew: take in a backup of this store, with pescaia restore FILE; until then nothing can be added to the network"
    );
    Some(Error::Damaged { what })
}

/// The registry that an engine holds.
///
/// # Errors
/// [`Error::Damaged`] names the entry.
pub(crate) fn registry_of(engine: &dyn Engine) -> Result<Registry, Error> {
    network::restore(documents(engine)?).map(|(registry, _)| registry)
}

impl Networks {
    pub(super) fn restore(engine: &dyn Engine) -> Result<Self, Error> {
        let (registry, origins) = network::restore(documents(engine)?)?;
        Ok(Self { registry: watch::channel(Arc::new(registry)).0, origins: Mutex::new(origins), history: History::restore(engine)? })
    }
    pub(super) fn registry(&self) -> Arc<Registry> {
        self.registry.borrow().clone()
    }
    pub(super) fn changes(&self) -> watch::Receiver<Arc<Registry>> {
        self.registry.subscribe()
    }
}

fn is_there(file: &str) -> bool {
    std::path::Path::new(file).exists()
}

/// What a start would make of a network, looked at without changing anything.
#[derive(Debug)]
pub struct Preview {
    pub changes: Vec<Change>,
    /// What would stand in the field then.
    pub registry: Registry,
    /// Why this machine's clock can't be right, by the store that is there.
    pub distrust: Option<Distrust>,
}

/// As [`Store::preview`], of the store in the file at `path`, which is only read; of an empty one where there is none.
///
/// # Errors
/// Every complaint about the network at once, or one about the store.
pub fn preview_of(path: &Path, network: &Network, clock: &dyn Clock) -> Result<Preview, Vec<Complaint>> {
    let of_store = |cause: Error| vec![Complaint { file: path.display().to_string(), line: 0, column: 0, message: cause.to_string() }];
    let found = || {
        let (engine, _) = Sqlite::snapshot(path).map_err(|cause| explain::of_file(path, cause))?;
        let (_, origins) = network::restore(documents(&engine)?)?;
        Ok((origins, trust::restore(&engine)?))
    };
    let (origins, last_commit) = if path.exists() { found().map_err(of_store)? } else { (OriginMap::default(), Timestamp::MIN) };
    let plan = network::plan(&origins, network, is_there)?;
    Ok(Preview { changes: plan.changes, registry: plan.registry, distrust: trust::judge(clock, last_commit).err() })
}

impl Store {
    /// Adds the entries of another store that are not known here, and says which; what is known stays as it is.
    ///
    /// # Errors
    /// [`Error::Damaged`] names an entry that can't be read; otherwise as [`Store::commit`].
    pub(crate) fn take_over_registry(&self, other: &dyn Engine) -> Result<Vec<String>, Error> {
        let networks = &self.inner.networks;
        let mut origins = networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = documents(self.inner.shared.engine.as_ref())?;
        let known: HashSet<(&'static str, String)> = all.iter().map(|document| (document.kind, document.id.clone())).collect();
        let mut theirs = documents(other)?;
        theirs.retain(|document| !known.contains(&(document.kind, document.id.clone())));
        let lost = unreadable(self.inner.shared.engine.as_ref());
        let mended = self.mended(&lost, &all, &theirs, other)?;
        if let Some(cause) = damaged(&lost).filter(|_| mended.len() < lost.len() && !theirs.is_empty()) {
            return Err(cause);
        }
        let mut numbers = 0_u32..;
        let taken = all.iter().filter_map(|document| document.number).chain(mended.values().copied().flatten()).max();
        let mut next = || numbers.by_ref().find(|number| taken.is_none_or(|taken| *number > taken));
        let (mut changes, mut added) = (Vec::new(), Vec::new());
        for mut document in theirs {
            document.number = match mended.get(&(document.kind, document.id.clone())) {
                Some(number) => *number,
                None => document.number.and_then(|_| next()),
            };
            let Document { kind, id, number, file, retired, body } = &document;
            let kept = Kept { number: *number, file: file.clone(), retired: *retired, body: body.clone() };
            let body = serde_json::to_string(&kept).map_err(|cause| Error::Damaged { what: format!("{kind} {id}: {cause}") })?;
            changes.push(engine::Change::PutDocument(engine::Document { kind: (*kind).to_owned(), id: id.clone(), body }));
            added.push(format!("{kind} {id}"));
            all.push(document);
        }
        if !changes.is_empty() {
            let (registry, merged) = network::restore(all)?;
            self.ask(|answer| Work::Documents(changes, answer))?;
            *origins = merged;
            networks.registry.send_replace(Arc::new(registry));
        }
        Ok(added)
    }

    /// Of the entries that can't be read here those that a backup of this very store has, with their numbers. It is of this store where
    /// every datastream that both know has the same number, and nothing here lies under a number that would still be nobody's.
    fn mended(
        &self,
        lost: &[Entry],
        ours: &[Document],
        theirs: &[Document],
        other: &dyn Engine,
    ) -> Result<HashMap<Entry, Option<u32>>, Error> {
        let is_lost = |document: &&Document| lost.iter().any(|(kind, id)| (*kind, id) == (document.kind, &document.id));
        let mended: HashMap<Entry, Option<u32>> =
            theirs.iter().filter(is_lost).map(|document| ((document.kind, document.id.clone()), document.number)).collect();
        let there: HashMap<Entry, Option<u32>> =
            documents(other)?.into_iter().map(|document| ((document.kind, document.id), document.number)).collect();
        let differs =
            |document: &Document| there.get(&(document.kind, document.id.clone())).is_some_and(|number| *number != document.number);
        let known: HashSet<u32> = ours.iter().filter_map(|document| document.number).collect();
        let numbers: HashSet<u32> = mended.values().copied().flatten().collect();
        let last = known.iter().chain(&numbers).max().map_or(0, |last| last + u32::try_from(lost.len()).unwrap_or(0));
        let holds = |number: &u32| self.inner.shared.chunks.extent(DatastreamId(*number)).is_some();
        let is_left = (0..=last).filter(holds).any(|number| !known.contains(&number) && !numbers.contains(&number));
        let is_of_this = !ours.iter().any(differs) && known.is_disjoint(&numbers) && !is_left;
        Ok(if is_of_this { mended } else { HashMap::new() })
    }

    /// What applying `network` would change; changes nothing.
    ///
    /// # Errors
    /// Every complaint about the network at once.
    pub fn preview(&self, network: &Network) -> Result<Vec<Change>, Vec<Complaint>> {
        let networks = &self.inner.networks;
        let origins = networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        network::plan(&origins, network, is_there).map(|plan| plan.changes)
    }

    /// As [`Store::apply_as`], by the instance itself.
    ///
    /// # Errors
    /// As [`Store::apply_as`].
    pub fn apply(&self, network: &Network) -> Result<Vec<Change>, Vec<Complaint>> {
        self.apply_as(network, &Reason { who: "pescaia".into(), why: String::new() })
    }

    /// Makes the registry what `network` says, durably; what it said before is kept, with who changed it and why. Twice the same is no
    /// change.
    ///
    /// # Errors
    /// Every complaint about the network at once; or one about the store. Nothing was changed then.
    pub fn apply_as(&self, network: &Network, reason: &Reason) -> Result<Vec<Change>, Vec<Complaint>> {
        let networks = &self.inner.networks;
        let mut origins = networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = network::plan(&origins, network, is_there)?;
        let lost = unreadable(self.inner.shared.engine.as_ref());
        let is_lost = |document: &Document| lost.iter().any(|(kind, id)| (*kind, id) == (document.kind, &document.id));
        // What can't be read looks new; all else goes on as it was.
        if plan.documents.iter().all(is_lost) {
            return Ok(if lost.is_empty() { plan.changes } else { Vec::new() });
        }
        let of_store = |message: String| vec![Complaint { file: "the store".into(), line: 0, column: 0, message }];
        if let Some(cause) = damaged(&lost) {
            return Err(of_store(cause.to_string()));
        }
        let mut changes = Vec::with_capacity(plan.documents.len() + 1);
        let former = History::put(self.inner.shared.engine.as_ref(), self.inner.clock.now(), reason, &plan.documents);
        let former = former.map_err(|cause| of_store(cause.to_string()))?.map(|(change, former)| {
            changes.push(change);
            former
        });
        for Document { kind, id, number, file, retired, body } in plan.documents {
            let body = serde_json::to_string(&Kept { number, file, retired, body }).map_err(|cause| of_store(cause.to_string()))?;
            changes.push(engine::Change::PutDocument(engine::Document { kind: kind.to_owned(), id, body }));
        }
        self.ask(|answer| Work::Documents(changes, answer)).map_err(|cause| of_store(cause.to_string()))?;
        if let Some(former) = former {
            networks.history.publish(former);
        }
        *origins = plan.origins;
        networks.registry.send_replace(Arc::new(plan.registry));
        Ok(plan.changes)
    }

    /// What was adopted so far, as the text of a network file.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn adopted(&self) -> Result<String, Error> {
        let found = self.inner.shared.engine.documents(network::ADOPTED)?;
        if let Some(id) = engine::unreadable(self.inner.shared.engine.as_ref(), network::ADOPTED).pop() {
            return Err(Error::Damaged { what: format!("what was adopted from proposals ({id})") });
        }
        Ok(found.into_iter().next().map_or_else(String::new, |document| document.body))
    }

    /// Adds entries, as the text of a network file, to what was adopted before, durably.
    ///
    /// # Errors
    /// Every complaint about the entries, or one about the store. Nothing was changed then.
    pub fn adopt(&self, more: &str) -> Result<Vec<Change>, Vec<Complaint>> {
        let of_store = |cause: Error| vec![Complaint { file: "the store".into(), line: 0, column: 0, message: cause.to_string() }];
        let text = self.adopted().map_err(of_store)? + more;
        let network = Network { files: vec![network::parse_network(network::ADOPTED, &text)?] };
        self.preview(&network)?;
        // The text first: what it holds and was not applied is applied with the next.
        let document = engine::Document { kind: network::ADOPTED.to_owned(), id: "text".into(), body: text };
        self.ask(|answer| Work::Documents(vec![engine::Change::PutDocument(document)], answer)).map_err(of_store)?;
        self.apply(&network)
    }
}
