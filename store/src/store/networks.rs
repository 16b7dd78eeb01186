//! The registry in memory and how a network gets into it.

use super::Store;
use super::former::{History, Reason};
use crate::engine::{self, Engine, Sqlite};
use crate::network::{self, Change, Document, Fault, Network, OriginMap, Plan, Restored};
use crate::registry::Registry;
use crate::writer::Work;
use crate::{Complaint, Distrust, Error, explain, trust};
use model::{Clock, DatastreamId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
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
    /// Taken for the length of a change, so that there is one at a time.
    origins: Mutex<OriginMap>,
    pub(super) history: History,
    /// What can't stand, and is not in the registry.
    faults: RwLock<Vec<Fault>>,
    /// What the start did not take of the files that it applied.
    left_out: RwLock<Vec<Fault>>,
    /// Entries that this pescaia does not understand.
    unread: Vec<Fault>,
    /// The files that the next start applies.
    start_files: RwLock<Vec<PathBuf>>,
    /// What files said when they were applied last, by name.
    applied: RwLock<HashMap<String, String>>,
}

/// The entries that an engine holds; those that can't be told apart are left out.
pub(super) fn documents(engine: &dyn Engine) -> Result<Vec<Document>, Error> {
    Ok(documents_and_unread(engine)?.0)
}

/// Entries that are not understood, each with why.
type NotUnderstood = Vec<(Entry, String)>;

fn documents_and_unread(engine: &dyn Engine) -> Result<(Vec<Document>, NotUnderstood), Error> {
    let (mut documents, mut unread) = (Vec::new(), Vec::new());
    for kind in KINDS {
        for kept in engine.documents(kind)? {
            match serde_json::from_str(&kept.body) {
                Ok(Kept { number, file, retired, body }) => documents.push(Document { kind, id: kept.id, number, file, retired, body }),
                Err(cause) => unread.push(((kind, kept.id), cause.to_string())),
            }
        }
    }
    Ok((documents, unread))
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

/// The registry that an engine holds, whole.
///
/// # Errors
/// [`Error::Damaged`] names the entry.
pub(crate) fn registry_of(engine: &dyn Engine) -> Result<Registry, Error> {
    let (documents, unread) = documents_and_unread(engine)?;
    match unread.into_iter().next() {
        Some(((kind, id), cause)) => Err(Error::Damaged { what: format!("{kind} {id}: {cause}") }),
        None => network::restore_whole(documents),
    }
}

const CURE_OF_UNREAD: &str = "take in a backup of this store, with pescaia restore FILE; until then nothing can be added to the network";

impl Networks {
    pub(super) fn restore(engine: &dyn Engine) -> Result<Self, Error> {
        let (documents, mut unread) = documents_and_unread(engine)?;
        let restored = network::restore(documents);
        unread.extend(restored.unread);
        let fault = |((kind, id), cause): (Entry, String)| {
            Fault::of_kept(
                kind,
                &id,
                format!("its entry can't be understood ({cause}): {CURE_OF_UNREAD}, or start the newer pescaia that wrote it"),
            )
        };
        Ok(Self {
            registry: watch::channel(Arc::new(restored.registry)).0,
            origins: Mutex::new(restored.origins),
            history: History::restore(engine)?,
            faults: RwLock::new(restored.faults),
            left_out: RwLock::default(),
            unread: unread.into_iter().map(fault).collect(),
            start_files: RwLock::default(),
            applied: RwLock::default(),
        })
    }
    pub(super) fn registry(&self) -> Arc<Registry> {
        self.registry.borrow().clone()
    }
    pub(super) fn changes(&self) -> watch::Receiver<Arc<Registry>> {
        self.registry.subscribe()
    }
    fn start_files(&self) -> Vec<PathBuf> {
        self.start_files.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Whether a file of a start was edited since it was applied.
    fn is_edited(&self, path: &Path) -> bool {
        let applied = self.applied.read().unwrap_or_else(PoisonError::into_inner);
        let known = path.to_str().and_then(|name| applied.get(name));
        known.is_none_or(|known| std::fs::read_to_string(path).is_ok_and(|now| now != *known))
    }
    fn note_applied(&self, network: &Network) {
        let texts = network.files.iter().map(|file| (file.name.clone(), file.text().to_owned()));
        self.applied.write().unwrap_or_else(PoisonError::into_inner).extend(texts);
    }
    /// Whether a file that entries come from can still say anything: it is on the disk, or a start applies it.
    fn is_there(&self, file: &str) -> bool {
        Path::new(file).exists() || self.start_files().iter().any(|known| known.as_os_str() == file)
    }
    /// Entries of which nothing can be told: those whose bytes are damaged, and those that are not understood.
    fn lost(&self, engine: &dyn Engine) -> Vec<Entry> {
        unreadable(engine).into_iter().chain(self.unread.iter().map(|fault| (fault.kind, fault.id.clone()))).collect()
    }
}

/// What a start made of the network.
#[derive(Debug, Clone, Default)]
pub struct Started {
    pub changes: Vec<Change>,
    /// What could not stand and was left out, or stays as it was: all else goes on.
    pub faults: Vec<Fault>,
}

fn of_store(message: String) -> Vec<Complaint> {
    vec![Complaint { file: "the store".into(), line: 0, column: 0, message }]
}

/// What a start would make of a network, looked at without changing anything.
#[derive(Debug)]
pub struct Preview {
    pub started: Started,
    /// What would stand in the field then.
    pub registry: Registry,
    /// Why this machine's clock can't be right, by the store that is there.
    pub distrust: Option<Distrust>,
}

/// As [`Store::preview_start`], of the store in the file at `path`, which is only read; of an empty one where there is none.
///
/// # Errors
/// Why the store can't be read.
pub fn preview_of(path: &Path, network: &Network, clock: &dyn Clock) -> Result<Preview, Error> {
    let (mut origins, mut last_commit) = (OriginMap::default(), Timestamp::MIN);
    if path.exists() {
        let (engine, _) = Sqlite::snapshot(path).map_err(|cause| explain::of_file(path, cause))?;
        origins = network::restore(documents(&engine)?).origins;
        last_commit = trust::restore(&engine)?;
    }
    let plan = network::plan_start(&origins, network, |file| Path::new(file).exists());
    let faults = plan.left_out.into_iter().chain(plan.faults).collect();
    let started = Started { changes: plan.changes, faults };
    Ok(Preview { started, registry: plan.registry, distrust: trust::judge(clock, last_commit).err() })
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
        let lost = networks.lost(self.inner.shared.engine.as_ref());
        let mended = self.mended(&lost, &all, &theirs, other)?;
        if let Some(cause) = damaged(&lost).filter(|_| mended.len() < lost.len() && !theirs.is_empty()) {
            return Err(cause);
        }
        let mut numbers = 0_u32..;
        let taken = all.iter().filter_map(|document| document.number).chain(mended.values().copied().flatten()).max();
        let mut next = || numbers.by_ref().find(|number| taken.is_none_or(|taken| *number > taken));
        let (mut changes, mut added) = (Vec::new(), Vec::new());
        // Two devices can't have one user, nor feed one datastream: what stands here stays in service.
        let conflicts = network::retire_conflicts(&all, &mut theirs);
        for mut document in theirs {
            document.number = match mended.get(&(document.kind, document.id.clone())) {
                Some(number) => *number,
                None => document.number.and_then(|_| next()),
            };
            let Document { kind, id, number, file, retired, body } = &document;
            let kept = Kept { number: *number, file: file.clone(), retired: *retired, body: body.clone() };
            let body = serde_json::to_string(&kept).map_err(|cause| Error::Damaged { what: format!("{kind} {id}: {cause}") })?;
            changes.push(engine::Change::PutDocument(engine::Document { kind: (*kind).to_owned(), id: id.clone(), body }));
            let conflict = conflicts.iter().find(|fault| (fault.kind, &fault.id) == (*kind, id));
            added.push(match conflict {
                None => format!("{kind} {id}"),
                Some(fault) => format!("{kind} {id}, out of service: {}", fault.message),
            });
            all.push(document);
        }
        if !changes.is_empty() {
            let Restored { registry, origins: merged, faults, .. } = network::restore(all);
            self.ask(|answer| Work::Documents(changes, answer))?;
            *origins = merged;
            *networks.faults.write().unwrap_or_else(PoisonError::into_inner) = faults;
            networks.registry.send_replace(Arc::new(registry));
        }
        Ok(added)
    }

    /// Refuses a backup in which a name stands for something else than here: its values would come under ours, or under another owner's eyes.
    pub(crate) fn is_of_the_same_things(&self, theirs: &Registry) -> Result<(), Error> {
        let ours = self.registry();
        let refuse = |what: String| {
            let cause =
                format!("{what}; restore it into a directory of its own, with pescaia restore FILE --data DIR, and export from there");
            Err(Error::Io { action: "taking in the backup".into(), cause })
        };
        for their in theirs.stations() {
            if let Some(our) = ours.station(their.id.as_str()).filter(|our| our.owner != their.owner) {
                return refuse(format!("the station {} belongs to {} there and to {} here", our.id, their.owner, our.owner));
            }
        }
        for their in theirs.datastreams() {
            let Some(our) = ours.datastream_by_key(their.key.as_str()) else { continue };
            if our.property != their.property {
                return refuse(format!("{} measures {} there and {} here", our.key, their.property.word(), our.property.word()));
            }
            if our.owner != their.owner {
                return refuse(format!("{} belongs to {} there and to {} here", our.key, their.owner, our.owner));
            }
        }
        Ok(())
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

    /// Names the files that the next start applies: what is asked for until then is checked against them too.
    pub fn starts_with(&self, files: &[PathBuf]) {
        *self.inner.networks.start_files.write().unwrap_or_else(PoisonError::into_inner) = files.to_vec();
    }

    /// What can't stand in the network as it is now, and is not in the registry: what is sent of it waits in the quarantine.
    #[must_use]
    pub fn network_faults(&self) -> Vec<Fault> {
        let networks = &self.inner.networks;
        let mut found = networks.unread.clone();
        let lost = |(kind, id): Entry| {
            Fault::of_kept(kind, &id, format!("its entry is not as it was written, and can't be read: {CURE_OF_UNREAD}"))
        };
        found.extend(unreadable(self.inner.shared.engine.as_ref()).into_iter().map(lost));
        for more in [&networks.left_out, &networks.faults] {
            found.extend(more.read().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        }
        found
    }

    /// What applying `network` would change; changes nothing.
    ///
    /// # Errors
    /// Every complaint about the network at once.
    pub fn preview(&self, network: &Network) -> Result<Vec<Change>, Vec<Complaint>> {
        let networks = &self.inner.networks;
        let origins = networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        self.checked(&origins, network).map(|plan| plan.changes)
    }

    /// What a start with `network` would make of it; changes nothing.
    #[must_use]
    pub fn preview_start(&self, network: &Network) -> Started {
        let networks = &self.inner.networks;
        let origins = networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = network::plan_start(&origins, network, |file| networks.is_there(file));
        let faults = networks.unread.iter().cloned().chain(plan.left_out).chain(plan.faults).collect();
        Started { changes: plan.changes, faults }
    }

    /// Plans a change, and looks whether the next start would still find all of it sound.
    fn checked(&self, origins: &OriginMap, network: &Network) -> Result<Plan, Vec<Complaint>> {
        let networks = &self.inner.networks;
        let exists = |file: &str| networks.is_there(file);
        let plan = network::plan(origins, network, exists)?;
        if plan.documents.is_empty() {
            return Ok(plan);
        }
        let is_applied = |path: &PathBuf| network.files.iter().any(|file| path.as_os_str() == file.name.as_str());
        // What was applied as it lies there is among the entries already.
        let others: Vec<PathBuf> =
            networks.start_files().into_iter().filter(|path| !is_applied(path) && networks.is_edited(path)).collect();
        if others.is_empty() {
            return Ok(plan);
        }
        // A file that can't be read now says nothing of what it will hold at the start.
        let Ok(others) = network::load_network_to_start(&others) else { return Ok(plan) };
        let faults = |plan: Plan| plan.left_out.into_iter().chain(plan.faults);
        let now: Vec<Fault> = faults(network::plan_start(origins, &others, exists)).collect();
        let start = faults(network::plan_start(&plan.origins, &others, exists));
        let new: Vec<Fault> = start.filter(|fault| !now.contains(fault) && !plan.faults.contains(fault)).collect();
        if new.is_empty() {
            return Ok(plan);
        }
        let complaint = |fault: Fault| Complaint {
            message: format!(
                "the next start, which applies {}, could not keep {} {} as it is: {}",
                network::file_name(&fault.file),
                fault.kind,
                fault.id,
                fault.message
            ),
            file: fault.file,
            line: 0,
            column: 0,
        };
        Err(new.into_iter().map(complaint).collect())
    }

    /// As [`Store::apply_as`], by the instance itself.
    ///
    /// # Errors
    /// As [`Store::apply_as`].
    pub fn apply(&self, network: &Network) -> Result<Vec<Change>, Vec<Complaint>> {
        self.apply_as(network, &itself())
    }

    /// Makes the registry what `network` says, durably; what it said before is kept, with who changed it and why. Twice the same is no
    /// change. Nothing is taken that the next start could not keep.
    ///
    /// # Errors
    /// Every complaint about the network at once; or one about the store. Nothing was changed then.
    pub fn apply_as(&self, network: &Network, reason: &Reason) -> Result<Vec<Change>, Vec<Complaint>> {
        let mut origins = self.inner.networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = self.checked(&origins, network)?;
        let changes = self.carry_out(&mut origins, plan, reason, Vec::new()).map_err(of_store)?;
        let is_applied = |fault: &Fault| network.files.iter().any(|file| file.name == fault.file);
        self.inner.networks.left_out.write().unwrap_or_else(PoisonError::into_inner).retain(|fault| !is_applied(fault));
        self.inner.networks.note_applied(network);
        Ok(changes)
    }

    /// Makes the registry what `network` says, durably, as far as it can stand: for a start, which nothing in a network may prevent. An
    /// entry that is wrong stays as it was before, or is left out; [`Store::network_faults`] tells.
    pub fn start_with(&self, network: &Network) -> Started {
        let networks = &self.inner.networks;
        let mut origins = networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = network::plan_start(&origins, network, |file| networks.is_there(file));
        let mut left_out = plan.left_out.clone();
        let changes = self.carry_out(&mut origins, plan, &itself(), Vec::new()).unwrap_or_else(|cause| {
            left_out.push(Fault::of_kept("network", "files", format!("what the network files say anew could not be taken: {cause}")));
            Vec::new()
        });
        *networks.left_out.write().unwrap_or_else(PoisonError::into_inner) = left_out;
        networks.note_applied(network);
        drop(origins);
        Started { changes, faults: self.network_faults() }
    }

    /// Writes a plan, with `more` in the same commit, and makes it the registry.
    fn carry_out(
        &self,
        origins: &mut OriginMap,
        plan: Plan,
        reason: &Reason,
        mut more: Vec<engine::Change>,
    ) -> Result<Vec<Change>, String> {
        let networks = &self.inner.networks;
        let lost = networks.lost(self.inner.shared.engine.as_ref());
        let is_lost = |document: &Document| lost.iter().any(|(kind, id)| (*kind, id) == (document.kind, &document.id));
        // What can't be read looks new; all else goes on as it was.
        if plan.documents.iter().all(is_lost) {
            return Ok(if lost.is_empty() { plan.changes } else { Vec::new() });
        }
        if let Some(cause) = damaged(&lost) {
            return Err(cause.to_string());
        }
        let former = History::put(self.inner.shared.engine.as_ref(), self.inner.clock.now(), reason, &plan.documents);
        let former = former.map_err(|cause| cause.to_string())?.map(|(change, former)| {
            more.push(change);
            former
        });
        for Document { kind, id, number, file, retired, body } in plan.documents {
            let body = serde_json::to_string(&Kept { number, file, retired, body }).map_err(|cause| cause.to_string())?;
            more.push(engine::Change::PutDocument(engine::Document { kind: kind.to_owned(), id, body }));
        }
        self.ask(|answer| Work::Documents(more, answer)).map_err(|cause| cause.to_string())?;
        if let Some(former) = former {
            networks.history.publish(former);
        }
        *origins = plan.origins;
        *networks.faults.write().unwrap_or_else(PoisonError::into_inner) = plan.faults;
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

    /// Adds entries, as the text of a network file, to what was adopted before, durably and in one commit. They must be new: what stands
    /// already is not changed by an adoption. Nothing is taken that the next start could not keep.
    ///
    /// # Errors
    /// Every complaint about the entries, or one about the store. Nothing was changed then.
    pub fn adopt(&self, more: &str, reason: &Reason) -> Result<Vec<Change>, Vec<Complaint>> {
        let mut origins = self.inner.networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let network = Network { files: vec![network::parse_network(network::ADOPTED, more)?] };
        let known = origins.known(&network);
        if !known.is_empty() {
            return Err(known);
        }
        let text = self.adopted().map_err(|cause| of_store(cause.to_string()))? + more;
        let plan = self.checked(&origins, &network)?;
        let document = engine::Document { kind: network::ADOPTED.to_owned(), id: "text".into(), body: text };
        self.carry_out(&mut origins, plan, reason, vec![engine::Change::PutDocument(document)]).map_err(of_store)
    }
}

fn itself() -> Reason {
    Reason { who: "pescaia".into(), why: String::new() }
}
