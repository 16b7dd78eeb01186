//! What applying a network makes of the registry: pure, so that a preview and the real thing can't differ.

use super::check::{self, Wrong};
use super::layout::LayoutEntry;
use super::wire::{DatastreamEntry, DeviceEntry, FeedEntry, FeedLinkEntry, OwnerEntry, ProfileEntry, StationEntry};
use super::{ADOPTED, Change, ChangeKind, Document, Network};
use crate::registry::{Names, Registry, canonical};
use crate::{Complaint, Error};
use model::{DatastreamId, Device, DeviceId, Link, Owner};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Every entry that was ever applied, as it was written, by kind and id.
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginMap {
    entries: BTreeMap<(&'static str, String), Origin>,
}

#[derive(Debug, Clone, PartialEq)]
struct Origin {
    file: String,
    retired: bool,
    number: Option<u32>,
    entry: Entry,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Entry {
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

/// What to write and what to change, if nothing was wrong.
pub(crate) struct Plan {
    pub(crate) registry: Registry,
    pub(crate) origins: OriginMap,
    pub(crate) changes: Vec<Change>,
    pub(crate) documents: Vec<Document>,
}

/// Where complaints about an entry go: the file and the byte, while a network is being applied.
type Places<'a> = HashMap<(&'static str, String), (&'a super::NetworkFile, usize)>;

impl OriginMap {
    /// Lets entries follow their file to another directory, e.g. with a backup to another machine: where a file of `network` has the
    /// name of one, and only one, that entries come from and that no longer `exists`, they are its entries.
    fn follow_moved(&mut self, network: &Network, exists: impl Fn(&str) -> bool) {
        let known: BTreeSet<String> = self.entries.values().map(|origin| origin.file.clone()).collect();
        let name = |path: &str| Path::new(path).file_name().map(ToOwned::to_owned);
        for file in network.files.iter().filter(|file| !known.contains(&file.name)) {
            let namesakes: Vec<&String> = known.iter().filter(|other| name(other) == name(&file.name)).collect();
            if let [gone] = namesakes.as_slice()
                && !exists(gone)
            {
                for origin in self.entries.values_mut().filter(|origin| origin.file == **gone) {
                    origin.file.clone_from(&file.name);
                }
            }
        }
    }
}

/// `exists` says whether a file that entries come from is still there.
///
/// # Errors
/// Every complaint at once.
pub(crate) fn plan(before: &OriginMap, network: &Network, exists: impl Fn(&str) -> bool) -> Result<Plan, Vec<Complaint>> {
    let mut origins = before.clone();
    origins.follow_moved(network, exists);
    let current = &origins.clone();
    let mut places: Places<'_> = HashMap::new();
    let mut complaints = Vec::new();
    // By the file that an entry comes from already: the first such entry, and how many there are.
    let mut taken: BTreeMap<&str, (&super::NetworkFile, usize, String, usize)> = BTreeMap::new();
    for file in &network.files {
        let mut put = |kind: &'static str, id: &str, at: usize, entry: Entry| {
            let key = (kind, id.to_owned());
            if places.insert(key.clone(), (file, at)).is_some() {
                complaints.push(file.complain(at, "id", format!("there is another {kind} \"{id}\"; give one of them another id")));
            }
            let before = current.entries.get(&key);
            let other = before.filter(|before| before.file != file.name && !before.retired);
            // What was adopted gives way to what a person wrote.
            if file.name == ADOPTED && other.is_some() {
                return;
            }
            if let Some(before) = other.filter(|before| before.file != ADOPTED)
                && !network.files.iter().any(|other| other.name == before.file)
            {
                taken.entry(&before.file).or_insert_with(|| (file, at, format!("the {kind} \"{id}\""), 0)).3 += 1;
            }
            let number = before.and_then(|before| before.number);
            origins.entries.insert(key, Origin { file: file.name.clone(), retired: false, number, entry });
        };
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
    }
    for file in &network.files {
        for placed in &file.feeds {
            let key = ("feed", placed.entry.id());
            places.insert(key.clone(), (file, placed.at));
            origins
                .entries
                .insert(key, Origin { file: file.name.clone(), retired: false, number: None, entry: Entry::Feed(placed.entry.clone()) });
        }
    }
    for (other, (file, at, what, count)) in taken {
        let message = match count {
            1 => format!("{what} already comes from {other}"),
            _ => format!(
                "{what} and {} more entries already come from {other}; apply that file again, take them out of one of the two, or remove that file if this one takes its place",
                count - 1
            ),
        };
        complaints.push(file.complain(at, "id", message));
    }
    for (key, origin) in &mut origins.entries {
        if network.files.iter().any(|file| file.name == origin.file) && !places.contains_key(key) {
            origin.retired = true;
        }
    }
    number(&mut origins);
    let registry = build(&origins, &places, &mut complaints);
    property_stays(current, &origins, &places, &mut complaints);
    if !complaints.is_empty() {
        complaints.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        complaints.dedup();
        return Err(complaints);
    }
    let (changes, documents) = differences(before, &origins);
    Ok(Plan { registry, origins, changes, documents })
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

fn build(origins: &OriginMap, places: &Places<'_>, complaints: &mut Vec<Complaint>) -> Registry {
    let mut registry = Registry::default();
    let mut complain = |kind: &'static str, id: &str, wrong: Vec<Wrong>| {
        if let Some((file, at)) = places.get(&(kind, id.to_owned())) {
            complaints.extend(wrong.into_iter().map(|(key, message)| file.complain(*at, key, message)));
        }
    };
    let missing = |what: &str, id: &str| format!("there is no {what} \"{id}\"; add a [[{what}]] with this id or correct it");
    let mut keep_months = BTreeMap::new();
    for ((_, id), origin) in &origins.entries {
        if let Entry::Owner(entry) = &origin.entry {
            let mut wrong = Vec::new();
            check::slug(id, &mut wrong);
            check::keep_months(entry.keep_months, &mut wrong);
            keep_months.insert(id.as_str(), entry.keep_months);
            registry.owners.insert(id.clone(), Arc::new(Owner { id: id.as_str().into(), name: check::words(&entry.name) }));
            complain("owner", id, wrong);
        }
    }
    for ((_, id), origin) in &origins.entries {
        if let Entry::Station(entry) = &origin.entry {
            let mut wrong = Vec::new();
            if !registry.owners.contains_key(&entry.owner) {
                wrong.push(("owner", missing("owner", &entry.owner)));
            }
            if let Some(downstream) = entry.downstream.as_ref().filter(|next| !origins.entries.contains_key(&("station", (*next).clone())))
            {
                wrong.push(("downstream", missing("station", downstream)));
            }
            registry.stations.insert(id.clone(), Arc::new(check::station(entry, origin.retired, &mut wrong)));
            complain("station", id, wrong);
        }
    }
    let (mut datastreams, mut of_ratings) = (BTreeMap::new(), Vec::new());
    for ((_, id), origin) in &origins.entries {
        if let Entry::Datastream(entry) = &origin.entry {
            let mut wrong = Vec::new();
            let owner = registry.stations.get(&entry.station).map(|station| station.owner.clone());
            if owner.is_none() {
                wrong.push(("station", missing("station", &entry.station)));
            }
            let number = DatastreamId(origin.number.unwrap_or(0));
            let mut datastream = check::datastream(entry, number, owner.unwrap_or_else(|| "".into()), origin.retired, &mut wrong);
            datastream.keep_months = datastream.keep_months.or_else(|| keep_months.get(datastream.owner.as_str()).copied().flatten());
            if let model::Visibility::Shared(with) = &datastream.visibility {
                let unknown = with.iter().filter(|owner| !registry.owners.contains_key(owner.as_str()));
                wrong.extend(unknown.map(|owner| ("visibility", missing("owner", owner.as_str()))));
            }
            let mut wrong_ratings = Vec::new();
            datastream.ratings = super::rating::ratings(entry, datastream.property, &mut wrong_ratings);
            registry.by_key.insert(id.clone(), number);
            datastreams.insert(number, Arc::new(datastream));
            complain("datastream", id, wrong);
            if let Some((file, at)) = places.get(&("datastream", id.clone())) {
                of_ratings.extend(wrong_ratings.into_iter().map(|wrong| file.complain_of_rating(*at, wrong)));
            }
        }
    }
    registry.datastreams = datastreams.into_values().collect();
    let mut fed: HashMap<DatastreamId, String> = HashMap::new();
    let mut addressed: HashMap<(String, String), DeviceId> = HashMap::new();
    for ((_, id), origin) in &origins.entries {
        if let Entry::Device { device: entry, profile, layout, lines, hash } = &origin.entry {
            let mut wrong = Vec::new();
            if !registry.owners.contains_key(&entry.owner) {
                wrong.push(("owner", missing("owner", &entry.owner)));
            }
            let datastream_of = |key: &str| registry.datastream_by_key(key).map(|found| (found.id, found.unit()));
            let entry = &with_feeds(entry, origins);
            let mut device =
                check::device(entry, profile.as_ref(), layout.as_ref(), hash.as_ref(), datastream_of, origin.retired, &mut wrong);
            device.lines = lines.as_deref().map(Into::into);
            let device = Arc::new(device);
            if !device.retired {
                for feed in &device.feeds {
                    if let Some(other) = fed.insert(feed.datastream, id.clone()) {
                        wrong.push(("feeds", format!("{other} feeds the same datastream; two devices can't measure one")));
                    }
                }
                if let Link::Mqtt { user, credential, .. } = &device.link {
                    if let Some(user) = user
                        && registry.by_user.insert(user.clone(), device.clone()).is_some()
                    {
                        wrong.push(("user", format!("the MQTT user \"{user}\" is taken; each device has its own")));
                    }
                    if credential.is_certificate() && registry.by_certificate.insert(credential.clone(), device.clone()).is_some() {
                        wrong.push(("mqtt", "the certificate is another device's; each device has its own".into()));
                    }
                }
            }
            if let Some(address) = device.address.as_ref().filter(|_| !device.retired)
                && let Some(other) = addressed.insert((entry.owner.clone(), canonical(address)), device.id.clone())
            {
                wrong.push(("address", format!("{other} has the address \"{address}\" already; each device has its own")));
            }
            registry.devices.entry(entry.owner.clone()).or_default().insert(entry.id.clone(), device);
            complain("device", id, wrong);
        }
    }
    complaints.extend(of_ratings);
    let names = |devices: &BTreeMap<String, Arc<Device>>| Names::of(devices.values().filter(|device| !device.retired));
    registry.names = registry.devices.iter().map(|(owner, devices)| (owner.clone(), names(devices))).collect();
    registry
}

/// A device with the channels that other files add; what it says of a channel itself holds.
fn with_feeds(device: &DeviceEntry, origins: &OriginMap) -> DeviceEntry {
    let prefix = format!("{}/{}/", device.owner, device.id);
    let from = ("feed", prefix.clone());
    let links = origins.entries.range(from..).take_while(|((kind, id), _)| *kind == "feed" && id.starts_with(&prefix));
    let mut whole = device.clone();
    for (_, origin) in links.filter(|(_, origin)| !origin.retired) {
        if let Entry::Feed(link) = &origin.entry
            && !whole.feeds.iter().any(|feed| feed.channel == link.channel)
        {
            whole.feeds.push(FeedEntry { channel: link.channel.clone(), datastream: link.datastream.clone(), unit: link.unit.clone() });
        }
    }
    whole
}

/// What was measured as one thing can't become another.
fn property_stays(current: &OriginMap, origins: &OriginMap, places: &Places<'_>, complaints: &mut Vec<Complaint>) {
    for (key, (file, at)) in places {
        if let (Some(Origin { entry: Entry::Datastream(before), .. }), Some(Origin { entry: Entry::Datastream(now), .. })) =
            (current.entries.get(key), origins.entries.get(key))
            && before.property != now.property
        {
            let message =
                format!("{} was {} and can't become {}; make a new datastream with another id", key.1, before.property, now.property);
            complaints.push(file.complain(*at, "property", message));
        }
    }
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
        if let Ok(body) = serde_json::to_string(&origin.entry) {
            documents.push(Document {
                kind: what,
                id: id.clone(),
                number: origin.number,
                file: origin.file.clone(),
                retired: origin.retired,
                body,
            });
        }
    }
    (changes, documents)
}

/// The registry from what was kept.
///
/// # Errors
/// [`Error::Damaged`] when a document can't be read.
pub(crate) fn restore(documents: Vec<Document>) -> Result<(Registry, OriginMap), Error> {
    let mut origins = OriginMap::default();
    for Document { kind, id, number, file, retired, body } in documents {
        let damaged = |cause: serde_json::Error| Error::Damaged { what: format!("{kind} {id}: {cause}") };
        let entry: Entry = serde_json::from_str(&body).map_err(damaged)?;
        origins.entries.insert((kind, id), Origin { file, retired, number, entry });
    }
    let registry = build(&origins, &HashMap::new(), &mut Vec::new());
    Ok((registry, origins))
}
