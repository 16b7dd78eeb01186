//! What applying a network makes of the registry: pure, so that a preview and the real thing can't differ.

use super::build::{Built, Fault, Precedence, build, file_name};
use super::layout::LayoutEntry;
use super::wire::{DatastreamEntry, DeviceEntry, FeedLinkEntry, OwnerEntry, ProfileEntry, StationEntry};
use super::{ADOPTED, Change, ChangeKind, Document, Key, Network, NetworkFile};
use crate::registry::Registry;
use crate::{Complaint, Error};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Every entry that was ever applied, as it was written, by kind and id.
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginMap {
    pub(super) entries: BTreeMap<Key, Origin>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Origin {
    pub(super) file: String,
    pub(super) retired: bool,
    pub(super) number: Option<u32>,
    pub(super) entry: Entry,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Entry {
    Owner(OwnerEntry),
    Station(StationEntry),
    Datastream(DatastreamEntry),
    Feed(FeedLinkEntry),
    /// With the profile and the password hash that it named, so that the store needs no other file.
    Device {
        device: Box<DeviceEntry>,
        profile: Option<ProfileEntry>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layout: Option<LayoutEntry>,
        /// The text of the pattern of its lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lines: Option<String>,
        hash: Option<String>,
    },
}

impl Entry {
    fn owner(&self) -> Option<&str> {
        match self {
            Self::Owner(entry) => Some(&entry.id),
            Self::Station(entry) => Some(&entry.owner),
            Self::Datastream(_) => None,
            Self::Feed(entry) => Some(&entry.owner),
            Self::Device { device, .. } => Some(&device.owner),
        }
    }
}

/// What to write and what to change.
pub(crate) struct Plan {
    pub(crate) registry: Registry,
    pub(crate) origins: OriginMap,
    pub(crate) changes: Vec<Change>,
    pub(crate) documents: Vec<Document>,
    /// What can't stand, and is not in the registry.
    pub(crate) faults: Vec<Fault>,
    /// What of the files was not taken, at a start: it is not among `origins`.
    pub(crate) left_out: Vec<Fault>,
}

/// Where the entries that are being applied stand: the file and the byte.
type Places<'a> = HashMap<Key, (&'a NetworkFile, usize)>;

impl OriginMap {
    /// Lets entries follow their file to another directory, e.g. with a backup to another machine: where a file of `network` has the
    /// name of one, and only one, that entries come from and that no longer `exists`, they are its entries. The same file by a relative
    /// and by an absolute path is one file.
    fn follow_moved(&mut self, network: &Network, exists: impl Fn(&str) -> bool) {
        let known: BTreeSet<String> = self.entries.values().map(|origin| origin.file.clone()).collect();
        let name = |path: &str| Path::new(path).file_name().map(ToOwned::to_owned);
        for file in network.files.iter().filter(|file| !known.contains(&file.name)) {
            let is_same = |other: &&String| std::path::absolute(other.as_str()).ok() == std::path::absolute(&file.name).ok();
            let namesakes: Vec<&String> = known.iter().filter(|other| name(other) == name(&file.name)).collect();
            let gone = match namesakes.as_slice() {
                [gone] if !exists(gone) => Some(*gone),
                _ => namesakes.into_iter().find(is_same),
            };
            if let Some(gone) = gone {
                for origin in self.entries.values_mut().filter(|origin| origin.file == *gone) {
                    origin.file.clone_from(&file.name);
                }
            }
        }
    }
}

impl OriginMap {
    /// A complaint about each entry of `network` of which there is one already, in service or not.
    pub(crate) fn known(&self, network: &Network) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        for file in &network.files {
            each_entry(file, self, &mut |kind, id, at, _| {
                let Some(known) = self.entries.get(&(kind, id.to_owned())) else { return };
                let from = file_name(&known.file);
                let message = match known.retired {
                    false => format!("there is a {kind} \"{id}\" already (from {from}); choose another id"),
                    true => format!(
                        "there is a {kind} \"{id}\" that is out of service (from {from}); choose another id, or write it into a network file again"
                    ),
                };
                complaints.push(file.complain(at, "id", message));
            });
        }
        complaints
    }
}

/// What files ask for, before it is checked.
struct Desired<'a> {
    /// With the entries of the files in their places, and without those that another file claims.
    origins: OriginMap,
    places: Places<'a>,
    clashes: Vec<Clash<'a>>,
}

/// An entry of a file that another file has already, or that could not be read whole: what stood before goes on.
struct Clash<'a> {
    key: Key,
    owner: Option<String>,
    file: &'a NetworkFile,
    at: usize,
    cause: Cause,
}

enum Cause {
    /// Another entry of the files that are applied together.
    Twice,
    /// It comes from this file.
    Taken(String),
    /// A file that the entry names can't be read.
    Unread(Complaint),
}

impl Clash<'_> {
    fn what(&self) -> String {
        format!("the {} \"{}\"", self.key.0, self.key.1)
    }
    fn words(&self) -> String {
        match &self.cause {
            Cause::Twice => format!("there is another {} \"{}\"; give one of them another id", self.key.0, self.key.1),
            Cause::Taken(other) => format!("{} already comes from {other}", self.what()),
            Cause::Unread(complaint) => complaint.message.clone(),
        }
    }
    fn fault(&self) -> Fault {
        Fault::of(&self.key, self.owner.as_deref(), &self.file.name, ("id", self.words()))
    }
}

/// `exists` says whether a file that entries come from is still there.
fn desired<'a>(before: &OriginMap, network: &'a Network, exists: &impl Fn(&str) -> bool) -> Desired<'a> {
    let mut origins = before.clone();
    origins.follow_moved(network, exists);
    let current = origins.clone();
    let mut desired = Desired { origins, places: HashMap::new(), clashes: Vec::new() };
    let mut gone: BTreeMap<String, bool> = BTreeMap::new();
    for file in &network.files {
        let mut put = |kind: &'static str, id: &str, at: usize, entry: Entry| {
            let key = (kind, id.to_owned());
            let owner = entry.owner().map(str::to_owned);
            let clash = |cause| Clash { key: key.clone(), owner: owner.clone(), file, at, cause };
            if desired.places.contains_key(&key) {
                return desired.clashes.push(clash(Cause::Twice));
            }
            desired.places.insert(key.clone(), (file, at));
            let before = current.entries.get(&key);
            let other = before.filter(|before| before.file != file.name && !before.retired);
            if let Some(before) = other.filter(|before| before.file != ADOPTED || file.name == ADOPTED)
                && !network.files.iter().any(|other| other.name == before.file)
                // A file that is gone can't say anything any more.
                && !*gone.entry(before.file.clone()).or_insert_with(|| !exists(&before.file))
            {
                return desired.clashes.push(clash(Cause::Taken(before.file.clone())));
            }
            if let Some(complaint) = file.unread.get(id).filter(|_| kind == "device") {
                return desired.clashes.push(clash(Cause::Unread(complaint.clone())));
            }
            let number = before.and_then(|before| before.number);
            desired.origins.entries.insert(key, Origin { file: file.name.clone(), retired: false, number, entry });
        };
        each_entry(file, &current, &mut put);
    }
    for (key, origin) in &mut desired.origins.entries {
        // What was adopted goes on when more is adopted.
        if origin.file != ADOPTED && network.files.iter().any(|file| file.name == origin.file) && !desired.places.contains_key(key) {
            origin.retired = true;
        }
    }
    desired
}

fn each_entry(file: &NetworkFile, current: &OriginMap, put: &mut impl FnMut(&'static str, &str, usize, Entry)) {
    for placed in &file.owners {
        put("owner", &placed.entry.id, placed.at, Entry::Owner(placed.entry.clone()));
    }
    for placed in &file.stations {
        put("station", &placed.entry.id, placed.at, Entry::Station(placed.entry.clone()));
    }
    for placed in &file.datastreams {
        put("datastream", &placed.entry.id, placed.at, Entry::Datastream(placed.entry.clone()));
    }
    for placed in &file.devices {
        let device = placed.entry.clone();
        let profile = device.modbus.as_ref().and_then(|modbus| file.profiles.get(&modbus.profile)).cloned();
        let lines = device.lines.as_ref().and_then(|path| file.lines.get(path)).cloned();
        let layout = device.layout.as_ref().and_then(|path| file.layouts.get(path)).cloned();
        let id = format!("{}/{}", device.owner, device.id);
        let password = device.mqtt.as_ref().and_then(|mqtt| mqtt.password_file.as_ref()).and_then(|path| file.passwords.get(path));
        let hash = password.and_then(|password| hash_of(current, &id, password));
        put("device", &id, placed.at, Entry::Device { device: Box::new(device), profile, layout, lines, hash });
    }
    for placed in &file.feeds {
        put("feed", &placed.entry.id(), placed.at, Entry::Feed(placed.entry.clone()));
    }
}

/// What files make of a network, where a person waits for the answer: all of it, or nothing. The whole network is checked that there would
/// be then, not the files alone.
///
/// # Errors
/// Every complaint at once.
pub(crate) fn plan(before: &OriginMap, network: &Network, exists: impl Fn(&str) -> bool) -> Result<Plan, Vec<Complaint>> {
    let Desired { mut origins, places, clashes } = desired(before, network, &exists);
    let mut complaints = told(&clashes);
    number(&mut origins);
    let Built { mut registry, mut faults, following } = build(&origins, Precedence::Standing(before));
    let known = if faults.is_empty() { Vec::new() } else { all_faults(build(before, Precedence::Files(before))) };
    let new =
        |found: &[Fault]| found.iter().filter(|fault| !known.contains(fault)).map(|fault| complaint(fault, &places)).collect::<Vec<_>>();
    complaints.extend(new(&faults));
    if complaints.is_empty() {
        complaints.extend(new(&following));
    }
    faults.extend(following);
    for key in changes_property(before, &origins, &places) {
        if let (Some((file, at)), Some(words)) = (places.get(&key), other_property(before, &origins, &key)) {
            complaints.push(file.complain(*at, "property", words));
        }
    }
    if !complaints.is_empty() {
        complaints.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        complaints.dedup();
        return Err(complaints);
    }
    if !faults.is_empty() {
        // As the next start would.
        let built = build(&origins, Precedence::Files(&origins));
        (registry, faults) = (built.registry, built.faults.into_iter().chain(built.following).collect());
    }
    let (changes, documents) = differences(before, &origins);
    Ok(Plan { registry, origins, changes, documents, faults, left_out: Vec::new() })
}

/// What files make of a network at a start, which goes on with what is sound: an entry that can't stand stays as it was before, or is left
/// out where it is new; of a device's feeds only those that can't stand.
pub(crate) fn plan_start(before: &OriginMap, network: &Network, exists: impl Fn(&str) -> bool) -> Plan {
    let Desired { mut origins, places, clashes } = desired(before, network, &exists);
    let mut left_out: Vec<Fault> = clashes.iter().map(Clash::fault).collect();
    let mut done = BTreeSet::new();
    loop {
        let mut trial = origins.clone();
        number(&mut trial);
        let Built { faults, following, .. } = build(&trial, Precedence::Files(before));
        let mut is_changed = mend(&mut origins, before, faults, &places, &mut done, &mut left_out);
        if !is_changed {
            let other = |key: Key| {
                let (words, origin) = (other_property(before, &trial, &key)?, trial.entries.get(&key)?);
                Some(Fault::of(&key, None, &origin.file, ("property", words)))
            };
            let others = changes_property(before, &trial, &places).into_iter().filter_map(other).collect();
            is_changed = mend(&mut origins, before, others, &places, &mut done, &mut left_out);
        }
        // What hangs on another entry may stand again once that one is as it was.
        if !is_changed && !mend(&mut origins, before, following, &places, &mut done, &mut left_out) {
            break;
        }
    }
    number(&mut origins);
    let Built { registry, mut faults, following } = build(&origins, Precedence::Files(&origins));
    faults.extend(following);
    let (changes, documents) = differences(before, &origins);
    Plan { registry, origins, changes, documents, faults, left_out }
}

/// Puts what can't stand of the files back as it was before, and notes it; whether anything was changed.
fn mend(
    origins: &mut OriginMap,
    before: &OriginMap,
    faults: Vec<Fault>,
    places: &Places<'_>,
    done: &mut BTreeSet<Key>,
    left_out: &mut Vec<Fault>,
) -> bool {
    let mut is_changed = false;
    for fault in faults.into_iter().filter(|fault| places.contains_key(&fault.entry())) {
        let key = fault.entry();
        let is_trimmed = fault.channel.as_ref().is_some_and(|channel| without_feed(origins, &key, channel));
        let is_new = is_trimmed || done.insert(key.clone());
        if is_new && !is_trimmed {
            put_back(origins, before, &key);
        }
        is_changed |= is_new;
        if is_new && !left_out.contains(&fault) {
            left_out.push(fault);
        }
    }
    is_changed
}

fn all_faults(built: Built) -> Vec<Fault> {
    built.faults.into_iter().chain(built.following).collect()
}

/// What is wrong, told where it stands in the files that are applied; else by the name of the entry.
fn complaint(fault: &Fault, places: &Places<'_>) -> Complaint {
    match (places.get(&fault.entry()), fault.rating) {
        (Some((file, at)), Some(rating)) => file.complain_of_rating(*at, (rating, (fault.key, fault.message.clone()))),
        (Some((file, at)), None) => file.complain(*at, fault.key, fault.message.clone()),
        (None, _) => {
            let message = format!("{} {} could not stay: {}", fault.kind, fault.id, fault.message);
            Complaint { file: fault.file.clone(), line: 0, column: 0, message }
        }
    }
}

fn put_back(origins: &mut OriginMap, before: &OriginMap, key: &Key) {
    match before.entries.get(key) {
        Some(old) => drop(origins.entries.insert(key.clone(), old.clone())),
        None => drop(origins.entries.remove(key)),
    }
}

/// Takes one of a device's own feeds out; whether there was one. Of a channel that stands twice the second goes.
fn without_feed(origins: &mut OriginMap, key: &Key, channel: &str) -> bool {
    let Some(Origin { entry: Entry::Device { device, .. }, .. }) = origins.entries.get_mut(key) else { return false };
    let Some(last) = device.feeds.iter().rposition(|feed| feed.channel == channel) else { return false };
    device.feeds.remove(last);
    true
}

/// The clashes as complaints: for each file that has entries already, one that says how many.
fn told(clashes: &[Clash<'_>]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut taken: BTreeMap<&str, (&Clash<'_>, usize)> = BTreeMap::new();
    for clash in clashes {
        match &clash.cause {
            Cause::Taken(other) => taken.entry(other).or_insert((clash, 0)).1 += 1,
            Cause::Twice => complaints.push(clash.file.complain(clash.at, "id", clash.words())),
            Cause::Unread(complaint) => complaints.push(complaint.clone()),
        }
    }
    for (other, (clash, count)) in taken {
        let message = match count {
            1 => clash.words(),
            _ => format!(
                "{} and {} more entries already come from {other}; apply that file again, take them out of one of the two, or remove that file if this one takes its place",
                clash.what(),
                count - 1
            ),
        };
        complaints.push(clash.file.complain(clash.at, "id", message));
    }
    complaints
}

/// The hash that is already kept if it is of this password (a new salt would look like a change), else a new one.
fn hash_of(current: &OriginMap, id: &str, password: &super::Secret) -> Option<String> {
    match current.entries.get(&("device", id.to_owned())).map(|origin| &origin.entry) {
        Some(Entry::Device { hash: Some(kept), .. }) if super::load::is_password(kept, password) => Some(kept.clone()),
        _ => super::load::hash_password(&password.0).ok(),
    }
}

/// Gives new datastreams the next numbers, in the order of their ids.
fn number(origins: &mut OriginMap) {
    let of_datastreams = || origins.entries.iter().filter(|(key, _)| key.0 == "datastream");
    let mut next = of_datastreams().filter_map(|(_, origin)| origin.number).max().map_or(0, |last| last + 1);
    for (key, origin) in &mut origins.entries {
        if key.0 == "datastream" && origin.number.is_none() {
            origin.number = Some(next);
            next += 1;
        }
    }
}

/// Datastreams that were to become something else: what was measured as one thing can't become another.
fn changes_property(before: &OriginMap, origins: &OriginMap, places: &Places<'_>) -> Vec<Key> {
    places.keys().filter(|key| other_property(before, origins, key).is_some()).cloned().collect()
}

fn other_property(before: &OriginMap, origins: &OriginMap, key: &Key) -> Option<String> {
    let property = |origins: &OriginMap| match origins.entries.get(key).map(|origin| &origin.entry) {
        Some(Entry::Datastream(entry)) => Some(entry.property.clone()),
        _ => None,
    };
    let (was, is) = (property(before)?, property(origins)?);
    (was != is).then(|| format!("{} was {was} and can't become {is}; make a new datastream with another id", key.1))
}

fn differences(current: &OriginMap, origins: &OriginMap) -> (Vec<Change>, Vec<Document>) {
    let (mut changes, mut documents) = (Vec::new(), Vec::new());
    for ((what, id), origin) in &origins.entries {
        let kind = match current.entries.get(&(*what, id.clone())) {
            Some(before) if before == origin => continue,
            None => ChangeKind::Added,
            Some(before) if !before.retired && origin.retired => ChangeKind::Retired,
            Some(before) if before.retired && !origin.retired => ChangeKind::Restored,
            Some(_) => ChangeKind::Changed,
        };
        changes.push(Change { kind, what, id: id.clone() });
        documents.extend(document(what, id, origin));
    }
    (changes, documents)
}

fn document(kind: &'static str, id: &str, origin: &Origin) -> Option<Document> {
    let body = serde_json::to_string(&origin.entry).ok()?;
    Some(Document { kind, id: id.to_owned(), number: origin.number, file: origin.file.clone(), retired: origin.retired, body })
}

/// A network as it was kept.
pub(crate) struct Restored {
    pub(crate) registry: Registry,
    pub(crate) origins: OriginMap,
    /// What can't stand, and is not in the registry.
    pub(crate) faults: Vec<Fault>,
    /// Documents that this pescaia does not understand: kept as they are, and not in the registry.
    pub(crate) unread: Vec<(Key, String)>,
}

/// The registry from what was kept; goes on without what can't be read, and says so.
pub(crate) fn restore(documents: Vec<Document>) -> Restored {
    let (mut origins, mut unread) = (OriginMap::default(), Vec::new());
    for Document { kind, id, number, file, retired, body } in documents {
        match serde_json::from_str(&body) {
            Ok(entry) => drop(origins.entries.insert((kind, id), Origin { file, retired, number, entry })),
            Err(cause) => unread.push(((kind, id), cause.to_string())),
        }
    }
    let Built { registry, mut faults, following } = build(&origins, Precedence::Files(&origins));
    faults.extend(following);
    Restored { registry, origins, faults, unread }
}

/// As [`restore`], where nothing may be missing.
///
/// # Errors
/// [`Error::Damaged`] names a document that can't be read.
pub(crate) fn restore_whole(documents: Vec<Document>) -> Result<Registry, Error> {
    let restored = restore(documents);
    match restored.unread.first() {
        Some(((kind, id), cause)) => Err(Error::Damaged { what: format!("{kind} {id}: {cause}") }),
        None => Ok(restored.registry),
    }
}

/// Puts those of `theirs` out of service that can't stand beside `ours`; which.
pub(crate) fn retire_conflicts(ours: &[Document], theirs: &mut [Document]) -> Vec<Fault> {
    let read = |documents: &[Document]| {
        let entry = |one: &Document| {
            let entry = serde_json::from_str(&one.body).ok()?;
            Some(((one.kind, one.id.clone()), Origin { file: one.file.clone(), retired: one.retired, number: one.number, entry }))
        };
        documents.iter().filter_map(entry).collect::<BTreeMap<Key, Origin>>()
    };
    let before = OriginMap { entries: read(ours) };
    let mut retired = Vec::new();
    loop {
        let mut all = before.clone();
        all.entries.extend(read(theirs));
        let faults = all_faults(build(&all, Precedence::Standing(&before)));
        let mut is_changed = false;
        for fault in faults {
            if let Some(document) = theirs.iter_mut().find(|one| (one.kind, &one.id) == (fault.kind, &fault.id) && !one.retired) {
                document.retired = true;
                is_changed = true;
                retired.push(fault);
            }
        }
        if !is_changed {
            return retired;
        }
    }
}
