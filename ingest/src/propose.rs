//! Onboarding: what unknown channels of a known owner say is proposed as datastreams, with what can be guessed of them; adopting one
//! makes it a datastream and takes what waited.

mod guess;

use crate::pipeline::Intake;
use crate::replay::{Mending, Mode, Outcomes};
use crate::shown::{is_visible, shown};
use guess::guessed;
use model::{Datastream, ObservedProperty, OwnerId, RejectReason, Said, Scope, Timestamp, Unit, Viewer, Visibility};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use store::{Complaint, Error, Reason, Registry, View, Wanted};

/// Proposals of one owner at once: who invents channels without end must not fill the list.
const MOST: usize = 10_000;

/// A channel that nobody has described yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// What messages call the device.
    pub device: String,
    /// Its id, where the network knows it.
    pub known_as: Option<String>,
    pub channel: String,
    /// Readings that wait, and the times of the first and the last.
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The last of them, in the unit that the device speaks.
    pub value: f64,
    /// Guessed from the channel's name, its unit and its values: look before you adopt.
    pub property: Option<ObservedProperty>,
    pub unit: Option<Unit>,
    pub period_s: u32,
}

/// What is made of a proposal.
#[derive(Debug, Clone, Default)]
pub struct Adoption {
    pub device: String,
    pub channel: String,
    /// An existing station of the owner.
    pub station: String,
    /// Its id; the station and the channel when left out.
    pub datastream: Option<String>,
    /// As guessed when left out.
    pub property: Option<ObservedProperty>,
    pub unit: Option<Unit>,
    pub period_s: Option<u32>,
    pub is_public: Publicity,
}

/// Who sees the new datastream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Publicity {
    #[default]
    Private,
    Public,
}

/// What became of an adoption.
#[derive(Debug, Clone, Default)]
pub struct Adopted {
    /// What changed in the network, a line each.
    pub changes: Vec<String>,
    pub datastream: String,
    /// Of what waited.
    pub accepted: u64,
    pub left: usize,
}

/// Why nothing was adopted.
#[derive(Debug)]
pub enum Unadopted {
    /// There is no such proposal, or something is missing; in words.
    Wrong(String),
    /// What is named is not there, for all that this owner may know.
    Missing(String),
    /// What is named is another owner's.
    Forbidden(String),
    Network(Vec<Complaint>),
    Store(Error),
}

/// What waits of one channel, while it is gathered.
struct Waiting {
    known_as: Option<String>,
    count: u64,
    times: Vec<Timestamp>,
    value: f64,
    last: Timestamp,
    low: f64,
    high: f64,
    unit: Option<Unit>,
}

/// What unknown channels of the viewer's owner say, by device and channel. Needs the scope `audit` or `manage`, else it is empty.
///
/// # Errors
/// [`Error::Io`] when the store can't be read.
pub fn proposals(view: &View, intake: &Intake) -> Result<Vec<Proposal>, Error> {
    let Viewer::Token { owner, .. } = view.viewer() else { return Ok(Vec::new()) };
    let registry = intake.store().registry();
    let mut waiting: BTreeMap<(String, String), Waiting> = BTreeMap::new();
    for entry in view.quarantine(&Wanted::default(), usize::MAX)? {
        for refused in &entry.refusals {
            let unknown = matches!(refused.reason, RejectReason::UnknownChannel | RejectReason::UnknownDevice);
            let is_proposed = |said: &&Said| unknown && is_visible(said.device.as_str()) && is_visible(&said.channel);
            let Some(said) = refused.said.as_ref().filter(is_proposed) else { continue };
            let known = registry.device_called(owner.as_str(), said.device.as_str());
            let name = known.map_or_else(|| said.device.to_string(), |device| device.id.to_string());
            let time = said.time.unwrap_or(entry.first);
            let is_new = waiting.len() < MOST;
            let slot = match waiting.entry((name, said.channel.clone())) {
                std::collections::btree_map::Entry::Occupied(slot) => slot.into_mut(),
                std::collections::btree_map::Entry::Vacant(slot) if is_new => slot.insert(Waiting {
                    known_as: known.map(|device| device.id.to_string()),
                    count: 0,
                    times: Vec::new(),
                    value: said.value,
                    last: time,
                    low: said.value,
                    high: said.value,
                    unit: said.unit,
                }),
                std::collections::btree_map::Entry::Vacant(_) => continue,
            };
            slot.count += entry.count;
            slot.times.push(time);
            slot.low = slot.low.min(said.value);
            slot.high = slot.high.max(said.value);
            slot.unit = slot.unit.or(said.unit);
            if time >= slot.last {
                (slot.last, slot.value) = (time, said.value);
            }
        }
    }
    Ok(waiting.into_iter().map(|((device, channel), waiting)| proposal(device, channel, waiting)).collect())
}

fn proposal(device: String, channel: String, mut waiting: Waiting) -> Proposal {
    waiting.times.sort_unstable();
    let guess = guessed(&channel, waiting.unit, (waiting.low, waiting.high), &waiting.times);
    Proposal {
        device,
        known_as: waiting.known_as,
        channel,
        count: waiting.count,
        first: waiting.times.first().copied().unwrap_or(waiting.last),
        last: waiting.last,
        value: waiting.value,
        property: guess.property,
        unit: guess.unit,
        period_s: guess.period_s,
    }
}

impl Intake {
    /// Makes a proposal of `owner` a datastream, durably and in the name of `who`, and takes what waited for it. Station and datastream
    /// must be the owner's own, whoever asks. For threads that may block.
    ///
    /// # Errors
    /// Nothing was changed then, except with [`Unadopted::Store`]: the datastream may be there, and what waited still waits.
    pub fn adopt(&self, owner: &OwnerId, adoption: &Adoption, who: &str) -> Result<Adopted, Unadopted> {
        let view = self.store().seen_by(&Viewer::Token { owner: owner.clone(), scopes: vec![Scope::Manage] });
        let all = proposals(&view, self).map_err(Unadopted::Store)?;
        let Some(proposal) = all.iter().find(|one| one.device == adoption.device && one.channel == adoption.channel) else {
            let wrong = format!(
                "nothing waits of channel \"{}\" of device \"{}\" of {owner}; \"pescaia proposals list\" shows what does",
                adoption.channel, adoption.device
            );
            return Err(Unadopted::Wrong(wrong));
        };
        let target = target(&view, &self.store().registry(), owner, proposal, adoption)?;
        if matches!(target, Target::New(_)) {
            self.check_quota(owner)?;
        }
        let text = entries(owner, proposal, adoption, target).map_err(Unadopted::Wrong)?;
        let reason = Reason { who: who.to_owned(), why: format!("adopted {} of {}", shown(&proposal.channel), shown(&proposal.device)) };
        let changes = self.store().adopt(&text.toml, &reason).map_err(Unadopted::Network)?;
        let mut adopted =
            Adopted { changes: changes.iter().map(ToString::to_string).collect(), datastream: text.datastream, ..Adopted::default() };
        let wanted = Wanted { channel: Some(proposal.channel.clone()), ..Wanted::default() };
        let mut entries = view.quarantine(&wanted, usize::MAX).map_err(Unadopted::Store)?;
        let registry = self.store().registry();
        let meant = |name: &str| registry.device_called(owner.as_str(), name).map(|device| device.id.to_string());
        let of_device = meant(&proposal.device);
        entries.retain(|entry| entry.speaks_of().and_then(meant) == of_device);
        for entry in entries.iter().rev() {
            let Outcomes { accepted, .. } = self.replay(entry, &Mending::default(), Mode::Write).map_err(Unadopted::Store)?;
            adopted.accepted += accepted;
        }
        // Other channels of the same messages may wait on; what counts is this one.
        let of_channel = |entry: &&store::QuarantineEntry| of_device == entry.speaks_of().and_then(meant);
        let left = view.quarantine(&wanted, usize::MAX).map_err(Unadopted::Store)?;
        adopted.left = left.iter().filter(of_channel).count();
        Ok(adopted)
    }
}

impl Intake {
    /// Room for one datastream more.
    fn check_quota(&self, owner: &OwnerId) -> Result<(), Unadopted> {
        let (most, registry) = (self.limits().datastreams, self.store().registry());
        let count = registry.datastreams().filter(|datastream| datastream.owner == *owner && !datastream.retired).count();
        if count >= most {
            return Err(Unadopted::Wrong(format!(
                "{owner} has {count} datastreams, as many as it may adopt; who runs this pescaia can raise datastreams under [quota], or add them in a network file"
            )));
        }
        if count + 1 >= most / 5 * 4 {
            tracing::warn!(event = "quota_near", %owner, datastreams = count + 1, most, "an owner has nearly as many datastreams as it may adopt");
        }
        Ok(())
    }
}

/// A property by its word.
///
/// # Errors
/// The nearest that there is.
pub fn property(word: &str) -> Result<ObservedProperty, String> {
    ObservedProperty::from_word(word).ok_or_else(|| {
        let cure = store::nearest(word, ObservedProperty::words()).map_or_else(
            || format!("it may be one of {}", ObservedProperty::words().collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        format!("there is no property \"{word}\"; {cure}")
    })
}

/// A unit by its UCUM symbol.
///
/// # Errors
/// Those that there are.
pub fn unit(symbol: &str) -> Result<Unit, String> {
    Unit::from_symbol(symbol)
        .ok_or_else(|| format!("there is no unit \"{symbol}\"; it may be one of {}", Unit::symbols().collect::<Vec<_>>().join(", ")))
}

/// The entries of a network file that make a proposal a datastream.
struct Entries {
    toml: String,
    datastream: String,
}

/// What a channel is adopted as.
enum Target {
    /// A datastream of this id, at a station of the owner.
    New(String),
    /// One that the owner has already and that nothing feeds.
    Own(Arc<Datastream>),
}

/// Looks whose station and whose datastream it is. What the owner may not see is not there; what it may see and does not own is not its to
/// change.
fn target(view: &View, registry: &Registry, owner: &OwnerId, proposal: &Proposal, adoption: &Adoption) -> Result<Target, Unadopted> {
    let forbidden = |what: &str, id: &str| Unadopted::Forbidden(format!("the {what} \"{id}\" is another owner's; name one of {owner}"));
    let station = registry.station(&adoption.station);
    match station {
        Some(station) if station.owner == *owner && station.retired => {
            let wrong = format!("the station \"{}\" is out of service; write it into a network file again first", station.id);
            return Err(Unadopted::Wrong(wrong));
        }
        Some(station) if station.owner == *owner => {}
        Some(station) if view.station(station.id.as_str()).is_some() => return Err(forbidden("station", &adoption.station)),
        _ => {
            let own = registry.stations().filter(|station| station.owner == *owner).map(|station| station.id.as_str());
            let cure = store::nearest(&adoption.station, own).map_or_else(
                || "add a [[station]] with this id to a network file or correct it".to_owned(),
                |near| format!("did you mean \"{near}\"?"),
            );
            return Err(Unadopted::Missing(format!("{owner} has no station \"{}\"; {cure}", adoption.station)));
        }
    }
    let id = adoption.datastream.clone().unwrap_or_else(|| slug(&format!("{}-{}", adoption.station, proposal.channel)));
    let Some(datastream) = registry.datastream_by_key(&id) else { return Ok(Target::New(id)) };
    if datastream.owner != *owner {
        return Err(match view.datastream(&id) {
            Some(_) => forbidden("datastream", &id),
            None => Unadopted::Missing(format!("{owner} has no datastream \"{id}\", and a new one can't have this id; choose another")),
        });
    }
    let wrong = |cause: String| Err(Unadopted::Wrong(cause));
    if datastream.retired {
        return wrong(format!("the datastream \"{id}\" is out of service; choose another id, or write it into a network file again first"));
    }
    if datastream.station.as_str() != adoption.station {
        return wrong(format!("the datastream \"{id}\" is at the station {}, not at {}", datastream.station, adoption.station));
    }
    if let Some(property) = adoption.property.filter(|property| *property != datastream.property) {
        return wrong(format!("{id} measures {}, not {}; choose another id", datastream.property.word(), property.word()));
    }
    if adoption.is_public == Publicity::Public && datastream.visibility != Visibility::Public {
        return wrong(format!("{id} is there and not public; say who sees it where it is described, in its network file"));
    }
    Ok(Target::Own(datastream.clone()))
}

fn entries(owner: &OwnerId, proposal: &Proposal, adoption: &Adoption, target: Target) -> Result<Entries, String> {
    let property = match &target {
        Target::Own(datastream) => Some(datastream.property),
        Target::New(_) => adoption.property.or(proposal.property),
    };
    let Some(property) = property else {
        return Err(format!("what {} measures can't be guessed; say it with --property, e.g. water_level", shown(&proposal.channel)));
    };
    let unit = adoption.unit.or(proposal.unit).filter(|unit| *unit != property.unit());
    let device = match &proposal.known_as {
        Some(id) => id.clone(),
        None => slug(&proposal.device),
    };
    let period_s = adoption.period_s.unwrap_or(proposal.period_s);
    let mut toml = String::new();
    let datastream = match target {
        Target::Own(datastream) => datastream.key.to_string(),
        Target::New(id) => {
            let _ = write!(
                toml,
                "\n[[datastream]]\nid = {}\nstation = {}\nproperty = {}\nperiod_s = {period_s}\nvisibility = \"{}\"\n",
                quoted(&id),
                quoted(&adoption.station),
                quoted(property.word()),
                if adoption.is_public == Publicity::Public { "public" } else { "private" }
            );
            id
        }
    };
    if proposal.known_as.is_none() {
        let _ = write!(
            toml,
            "[[device]]\nid = {}\nowner = {}\naddress = {}\n",
            quoted(&device),
            quoted(owner.as_str()),
            quoted(&proposal.device)
        );
    }
    let _ = write!(
        toml,
        "[[feed]]\nowner = {}\ndevice = {}\nchannel = {}\ndatastream = {}\n",
        quoted(owner.as_str()),
        quoted(&device),
        quoted(&proposal.channel),
        quoted(&datastream)
    );
    if let Some(unit) = unit {
        let _ = writeln!(toml, "unit = {}", quoted(unit.symbol()));
    }
    Ok(Entries { toml, datastream })
}

/// A basic string of TOML: JSON's escapes are among its own.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// As an id may be: small letters, digits and single hyphens.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for char in text.chars().flat_map(char::to_lowercase) {
        match char {
            'a'..='z' | '0'..='9' => slug.push(char),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(60);
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests;
