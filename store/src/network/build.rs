//! The registry that a set of entries makes, and what in it can't stand. One check for everything that changes a network: applying files,
//! an adoption, a merge, and the start.

use super::check::{self, Wrong};
use super::plan::{Entry, Origin, OriginMap};
use super::wire::{DeviceEntry, FeedEntry, FeedLinkEntry};
use super::{ADOPTED, Key};
use crate::registry::{Names, Registry, canonical};
use model::{DatastreamId, Device, Feed, Link, Owner, OwnerId, Visibility};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// An entry of the network, or one channel of a device, that can't stand beside the others: it is left out of the registry, and all else
/// goes on. What a device sends of it waits in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `owner`, `station`, `datastream`, `device` or `feed`.
    pub kind: &'static str,
    pub id: String,
    /// Whose it is, as far as can be told.
    pub owner: Option<OwnerId>,
    /// The network file that it comes from; `adopted` for what was adopted.
    pub file: String,
    /// What is wrong, with the cure.
    pub message: String,
    pub(super) key: &'static str,
    /// The channel, where only this channel of a device's own feeds is meant.
    pub(super) channel: Option<String>,
    /// Of a datastream's ratings, which one is meant.
    pub(super) rating: Option<usize>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (from {}): {}", self.kind, self.id, self.file, self.message)
    }
}

impl Fault {
    pub(super) fn entry(&self) -> Key {
        (self.kind, self.id.clone())
    }
    /// Of an entry that is kept and of which nothing is known but its name.
    pub(crate) fn of_kept(kind: &'static str, id: &str, message: String) -> Self {
        Self::of(&(kind, id.to_owned()), None, "the store", ("id", message))
    }
    /// Of an entry that is wrong by itself.
    pub(super) fn of(key: &Key, owner: Option<&str>, file: &str, (field, message): Wrong) -> Self {
        let owner = owner.map(Into::into);
        Self { kind: key.0, id: key.1.clone(), owner, file: file.to_owned(), message, key: field, channel: None, rating: None }
    }
}

/// Which of two entries stays where both can't.
#[derive(Clone, Copy)]
pub(super) enum Precedence<'a> {
    /// The one that stands already: whoever asks for a change is told.
    Standing(&'a OriginMap),
    /// The one that a network file says before one that was adopted; of two alike the one that stands already.
    Files(&'a OriginMap),
}

impl Precedence<'_> {
    fn rank(self, key: &Key, origin: &Origin) -> (bool, bool) {
        let is_new = |before: &OriginMap| {
            before.entries.get(key).is_none_or(|before| (&before.entry, before.retired) != (&origin.entry, origin.retired))
        };
        let is_adopted = origin.file == ADOPTED;
        match self {
            Self::Standing(before) => (is_new(before), is_adopted),
            Self::Files(before) => (is_adopted, is_new(before)),
        }
    }
}

/// What entries make.
pub(super) struct Built {
    pub(super) registry: Registry,
    pub(super) faults: Vec<Fault>,
    /// What can't stand for want of an entry that is itself among the faults.
    pub(super) following: Vec<Fault>,
}

/// Makes the registry of `origins`. What is wrong with an entry that is in service is a fault, and the entry is left out.
pub(super) fn build(origins: &OriginMap, precedence: Precedence<'_>) -> Built {
    let mut building =
        Building { origins, registry: Registry::default(), faults: Vec::new(), following: Vec::new(), keep_months: BTreeMap::new() };
    building.owners();
    building.stations();
    building.datastreams();
    building.devices(precedence);
    let Building { mut registry, faults, following, .. } = building;
    let names = |devices: &BTreeMap<String, Arc<Device>>| Names::of(devices.values().filter(|device| !device.retired));
    registry.names = registry.devices.iter().map(|(owner, devices)| (owner.clone(), names(devices))).collect();
    Built { registry, faults, following }
}

struct Building<'a> {
    origins: &'a OriginMap,
    registry: Registry,
    faults: Vec<Fault>,
    following: Vec<Fault>,
    /// By owner.
    keep_months: BTreeMap<&'a str, Option<u32>>,
}

fn missing(what: &str, id: &str) -> String {
    format!("there is no {what} \"{id}\"; add a [[{what}]] with this id or correct it")
}

impl<'a> Building<'a> {
    /// Notes what is wrong with an entry; whether it goes into the registry. One that is out of service always does: what it measured is
    /// still to be read.
    fn judge(&mut self, key: &Key, owner: Option<&str>, origin: &Origin, wrong: Vec<Wrong>) -> bool {
        if origin.retired {
            return true;
        }
        let is_sound = wrong.is_empty();
        self.faults.extend(wrong.into_iter().map(|wrong| Fault::of(key, owner, &origin.file, wrong)));
        is_sound
    }

    /// What an entry lacks that names another: a mistake, or what follows from the other's.
    fn lacks(&mut self, key: &Key, owner: Option<&str>, origin: &Origin, of: (&'static str, &str), wrong: &mut Vec<Wrong>) -> bool {
        let what = (of.0, missing(of.0, of.1));
        let is_there = self.origins.entries.contains_key(&(of.0, of.1.to_owned()));
        if !is_there {
            wrong.push(what);
        } else if !origin.retired {
            self.following.push(Fault::of(key, owner, &origin.file, what));
        }
        is_there && !origin.retired
    }

    fn owners(&mut self) {
        for (key, origin) in &self.origins.entries {
            let Entry::Owner(entry) = &origin.entry else { continue };
            let mut wrong = Vec::new();
            check::slug(&key.1, &mut wrong);
            check::keep_months(entry.keep_months, &mut wrong);
            if self.judge(key, Some(&entry.id), origin, wrong) {
                self.keep_months.insert(&key.1, entry.keep_months);
                let owner = Owner { id: key.1.as_str().into(), name: check::words(&entry.name) };
                self.registry.owners.insert(key.1.clone(), Arc::new(owner));
            }
        }
    }

    fn stations(&mut self) {
        for (key, origin) in &self.origins.entries {
            let Entry::Station(entry) = &origin.entry else { continue };
            let mut wrong = Vec::new();
            let mut follows = false;
            if !self.registry.owners.contains_key(&entry.owner) {
                follows = self.lacks(key, Some(&entry.owner), origin, ("owner", &entry.owner), &mut wrong);
            }
            if let Some(downstream) =
                entry.downstream.as_ref().filter(|next| !self.origins.entries.contains_key(&("station", (*next).clone())))
            {
                wrong.push(("downstream", missing("station", downstream)));
            }
            let station = check::station(entry, origin.retired, &mut wrong);
            if self.judge(key, Some(&entry.owner), origin, wrong) && !follows {
                self.registry.stations.insert(key.1.clone(), Arc::new(station));
            }
        }
    }

    fn datastreams(&mut self) {
        for (key, origin) in &self.origins.entries {
            let Entry::Datastream(entry) = &origin.entry else { continue };
            let mut wrong = Vec::new();
            let owner = self.registry.stations.get(&entry.station).map(|station| station.owner.clone());
            let mut follows = false;
            if owner.is_none() {
                follows = self.lacks(key, None, origin, ("station", &entry.station), &mut wrong);
            }
            let number = DatastreamId(origin.number.unwrap_or(0));
            let of = owner.clone().unwrap_or_else(|| "".into());
            let mut datastream = check::datastream(entry, number, of, origin.retired, &mut wrong);
            datastream.keep_months = datastream.keep_months.or_else(|| self.keep_months.get(datastream.owner.as_str()).copied().flatten());
            if let Visibility::Shared(with) = &datastream.visibility {
                let unknown = with.iter().filter(|owner| !self.registry.owners.contains_key(owner.as_str()));
                wrong.extend(unknown.map(|owner| ("visibility", missing("owner", owner.as_str()))));
            }
            let mut wrong_ratings = Vec::new();
            datastream.ratings = super::rating::ratings(entry, datastream.property, &mut wrong_ratings);
            let is_rated_well = wrong_ratings.is_empty() || origin.retired;
            let owner = owner.as_ref().map(OwnerId::as_str);
            if !origin.retired {
                let fault = |(place, wrong)| Fault { rating: Some(place), ..Fault::of(key, owner, &origin.file, wrong) };
                self.faults.extend(wrong_ratings.into_iter().map(fault));
            }
            if self.judge(key, owner, origin, wrong) && is_rated_well && !follows {
                self.registry.by_key.insert(key.1.clone(), number);
                self.registry.put_datastream(Arc::new(datastream));
            }
        }
    }

    fn devices(&mut self, precedence: Precedence<'_>) {
        let links = self.links();
        let mut in_service = Vec::new();
        for (key, origin) in &self.origins.entries {
            let Entry::Device { device: entry, profile, layout, lines, hash } = &origin.entry else { continue };
            let (mut wrong, mut follows) = (Vec::new(), false);
            if !self.registry.owners.contains_key(&entry.owner) {
                follows = self.lacks(key, Some(&entry.owner), origin, ("owner", &entry.owner), &mut wrong);
            }
            let mut device = check::device(entry, profile.as_ref(), layout.as_ref(), hash.as_ref(), origin.retired, &mut wrong);
            device.lines = lines.as_deref().map(Into::into);
            if !self.judge(key, Some(&entry.owner), origin, wrong) || follows {
                continue;
            }
            let feeds = wanted(entry, origin, key, links.get(key.1.as_str()).map_or(&[][..], Vec::as_slice));
            if origin.retired {
                let feed = |wanted: &Wanted<'_>| check::feed(&wanted.entry, &device, |id| self.canonical(id), &mut Vec::new());
                device.feeds = feeds.iter().filter_map(feed).collect();
                self.put_device(device);
            } else {
                in_service.push(InService { key, origin, rank: precedence.rank(key, origin), entry, device, feeds });
            }
        }
        in_service.sort_by(|one, other| (one.rank, one.key).cmp(&(other.rank, other.key)));
        self.ways_in(&mut in_service);
        self.feeds(&mut in_service, precedence);
        in_service.into_iter().for_each(|one| self.put_device(one.device));
    }

    fn put_device(&mut self, device: Device) {
        let device = Arc::new(device);
        if let (Link::Mqtt { user, credential, .. }, false) = (&device.link, device.retired) {
            if let Some(user) = user {
                self.registry.by_user.insert(user.clone(), device.clone());
            }
            if credential.is_certificate() {
                self.registry.by_certificate.insert(credential.clone(), device.clone());
            }
        }
        self.registry.devices.entry(device.owner.to_string()).or_default().insert(device.id.to_string(), device);
    }

    /// Feeds that stand alone, in service, by the device that they are of; those of a device that there is not are faults.
    fn links(&mut self) -> HashMap<String, Vec<(&'a Key, &'a Origin, &'a FeedLinkEntry)>> {
        let mut links: HashMap<String, Vec<_>> = HashMap::new();
        for (key, origin) in self.origins.entries.range(("feed", String::new())..).take_while(|((kind, _), _)| *kind == "feed") {
            let Entry::Feed(entry) = &origin.entry else { continue };
            if origin.retired {
                continue;
            }
            let device = format!("{}/{}", entry.owner, entry.device);
            if self.origins.entries.contains_key(&("device", device.clone())) {
                links.entry(device).or_default().push((key, origin, entry));
            } else {
                let message = format!("{} has no device \"{}\"; add a [[device]] with this id or correct it", entry.owner, entry.device);
                self.faults.push(Fault::of(key, Some(&entry.owner), &origin.file, ("device", message)));
            }
        }
        links
    }

    fn canonical(&self, id: &str) -> Option<(DatastreamId, model::Unit)> {
        self.registry.datastream_by_key(id).map(|found| (found.id, found.unit()))
    }

    /// Each device has its own name, user and certificate: the first keeps it, the others are left out.
    fn ways_in(&mut self, devices: &mut Vec<InService<'a>>) {
        let (mut users, mut certificates, mut addresses) = (HashMap::new(), HashMap::new(), HashMap::new());
        devices.retain(|one| {
            let mut wrong: Vec<Wrong> = Vec::new();
            let of = &one.key.1;
            let (mut user_of, mut certificate_of) = (None, None);
            if let Link::Mqtt { user, credential, .. } = &one.device.link {
                user_of = user.clone();
                certificate_of = Some(credential.clone()).filter(model::Credential::is_certificate);
            }
            let address_of = one.device.address.as_deref().map(|address| (one.entry.owner.clone(), canonical(address)));
            if let Some(user) = user_of.as_ref().filter(|user| users.contains_key(*user)) {
                wrong.push(("user", format!("the MQTT user \"{user}\" is taken; each device has its own")));
            }
            if certificate_of.as_ref().is_some_and(|certificate| certificates.contains_key(certificate)) {
                wrong.push(("mqtt", "the certificate is another device's; each device has its own".into()));
            }
            if let Some((address, other)) = address_of.as_ref().and_then(|address| Some((address, addresses.get(address)?))) {
                wrong.push(("address", format!("{other} has the address \"{}\" already; each device has its own", address.1)));
            }
            if wrong.is_empty() {
                users.extend(user_of.map(|user| (user, of.clone())));
                certificates.extend(certificate_of.map(|certificate| (certificate, of.clone())));
                addresses.extend(address_of.map(|address| (address, one.device.id.clone())));
            }
            self.judge(one.key, Some(&one.entry.owner), one.origin, wrong)
        });
    }

    /// A datastream is measured by one channel of one device: the first keeps it. Another owner's is fed only where the entry names that
    /// owner.
    fn feeds(&mut self, devices: &mut [InService<'a>], precedence: Precedence<'_>) {
        let mut order: Vec<((bool, bool), usize, usize)> = Vec::new();
        for (place, one) in devices.iter().enumerate() {
            order.extend(one.feeds.iter().enumerate().map(|(at, wanted)| (precedence.rank(wanted.key, wanted.origin), place, at)));
        }
        order.sort_unstable();
        let mut fed: HashMap<DatastreamId, (&str, &str)> = HashMap::new();
        let mut taken: Vec<Vec<(usize, Feed)>> = devices.iter().map(|_| Vec::new()).collect();
        for (_, place, at) in order {
            let (Some(one), Some(taken)) = (devices.get(place), taken.get_mut(place)) else { continue };
            let Some(wanted) = one.feeds.get(at) else { continue };
            let mut wrong = Vec::new();
            if one.feeds.iter().take(at).any(|other| other.entry.channel == wanted.entry.channel) {
                wrong.push(("feeds", format!("the channel \"{}\" stands twice", wanted.entry.channel)));
            }
            let feed = check::feed(&wanted.entry, &one.device, |id| self.canonical(id), &mut wrong);
            if let Some(datastream) = self.registry.datastream_by_key(&wanted.entry.datastream) {
                wrong.extend(of_another(&wanted.entry, &one.entry.owner, datastream));
                match fed.get(&datastream.id) {
                    Some((other, file)) => wrong.push(("feeds", fed_twice(other, file, datastream.key.as_str()))),
                    None if wrong.is_empty() => drop(fed.insert(datastream.id, (&one.key.1, &wanted.origin.file))),
                    None => {}
                }
            }
            match feed {
                Some(feed) if wrong.is_empty() => taken.push((at, feed)),
                _ => {
                    let channel = Some(wanted.entry.channel.clone()).filter(|_| wanted.key.0 == "device");
                    let fault = |wrong| Fault {
                        channel: channel.clone(),
                        ..Fault::of(wanted.key, Some(&one.entry.owner), &wanted.origin.file, wrong)
                    };
                    let is_there = self.origins.entries.contains_key(&("datastream", wanted.entry.datastream.clone()));
                    let follows = is_there && self.registry.datastream_by_key(&wanted.entry.datastream).is_none();
                    let to = if follows { &mut self.following } else { &mut self.faults };
                    to.extend(wrong.into_iter().map(fault));
                }
            }
        }
        for (one, mut taken) in devices.iter_mut().zip(taken) {
            taken.sort_by_key(|(at, _)| *at);
            one.device.feeds = taken.into_iter().map(|(_, feed)| feed).collect();
        }
    }
}

/// A file by its name alone: where it lies is the operator's affair, and what is wrong is told to holders of tokens too.
pub(crate) fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

fn fed_twice(other: &str, file: &str, datastream: &str) -> String {
    let from = if file == ADOPTED { "as was adopted".to_owned() } else { format!("as {} says", file_name(file)) };
    format!(
        "{other} feeds the same datastream, {datastream}, {from}; two devices can't measure one: take that feed out, or name another datastream here"
    )
}

/// What is wrong with feeding a datastream that is not the device's owner's.
fn of_another(entry: &FeedEntry, owner: &str, datastream: &model::Datastream) -> Option<Wrong> {
    let (theirs, key) = (datastream.owner.as_str(), datastream.key.as_str());
    match entry.datastream_owner.as_deref() {
        None if theirs == owner => None,
        Some(named) if named == theirs => None,
        None => Some((
            "feeds",
            format!(
                "{key} belongs to {theirs}, and the device to {owner}; name a datastream of {owner}, or, where it is agreed that the device measures for {theirs}, add datastream_owner = \"{theirs}\" to the feed"
            ),
        )),
        Some(named) => Some(("feeds", format!("{key} belongs to {theirs}, not to {named}; correct datastream_owner"))),
    }
}

/// A device in service, while its rights to what it claims are looked at.
struct InService<'a> {
    key: &'a Key,
    origin: &'a Origin,
    rank: (bool, bool),
    entry: &'a DeviceEntry,
    device: Device,
    feeds: Vec<Wanted<'a>>,
}

/// A feed, and the entry that says it.
struct Wanted<'a> {
    key: &'a Key,
    origin: &'a Origin,
    entry: Cow<'a, FeedEntry>,
}

/// A device's own feeds, then those that stand alone; what the device says of a channel itself holds.
fn wanted<'a>(
    device: &'a DeviceEntry,
    origin: &'a Origin,
    key: &'a Key,
    links: &[(&'a Key, &'a Origin, &'a FeedLinkEntry)],
) -> Vec<Wanted<'a>> {
    let mut all: Vec<Wanted<'a>> = device.feeds.iter().map(|entry| Wanted { key, origin, entry: Cow::Borrowed(entry) }).collect();
    for (key, origin, link) in links {
        if !device.feeds.iter().any(|feed| feed.channel == link.channel) {
            all.push(Wanted { key, origin, entry: Cow::Owned(link.feed()) });
        }
    }
    all
}
