//! From entries to the words of the model. Every complaint is collected; nothing is guessed.

mod modbus;
mod sensor;

pub(super) use modbus::profile;

use super::NetworkFile;
use super::layout::LayoutEntry;
use super::nearest::nearest;
use super::wire::{DatastreamEntry, DeviceEntry, FeedEntry, MeterEntry, ProfileEntry, StationEntry, VisibilityEntry, Words};
use crate::Complaint;
use model::{
    Counter, Datastream, DatastreamId, Device, Feed, GaugeZero, Link, MeterChange, ObservedProperty, OwnerId, Place, Profile, SignalClass,
    Station, Text, Threshold, Timestamp, Unit, Validity, Visibility, civil_day_start,
};
use std::sync::Arc;

/// What is wrong with one entry: the key it is about and the sentence.
pub(super) type Wrong = (&'static str, String);

impl NetworkFile {
    /// A complaint about `key` of the entry that begins at byte `at`.
    pub(super) fn complain(&self, at: usize, key: &str, message: String) -> Complaint {
        let rest = self.text.get(at..).unwrap_or("");
        if !rest.starts_with("[[") {
            // A row of a table has no keys.
            return Complaint::at(&self.name, &self.text, at, message);
        }
        // The key's own line, if it is found before the next entry; else the entry's.
        let mut offset = at;
        let mut found = at;
        for (number, line) in rest.split_inclusive('\n').enumerate() {
            if number > 0
                && ["[[owner]]", "[[station]]", "[[datastream]]", "[[device]]", "[[feed]]"].iter().any(|next| line.starts_with(next))
            {
                break;
            }
            let trimmed = line.trim_start();
            if trimmed.strip_prefix(key).is_some_and(|after| after.trim_start().starts_with('=')) || line.contains(&format!("{key} =")) {
                found = offset + (line.len() - trimmed.len());
                break;
            }
            offset += line.len();
        }
        Complaint::at(&self.name, &self.text, found, message)
    }
}

pub(super) fn words(entry: &Words) -> Text {
    match entry {
        Words::Same(text) => Text::new(text.as_str(), text.as_str()),
        Words::Each { it, en } => Text::new(it.as_str(), en.as_str()),
    }
}

pub(super) fn slug(id: &str, wrong: &mut Vec<Wrong>) {
    if !model::is_slug(id) {
        wrong.push(("id", format!("\"{id}\" can't be an id; use a-z, 0-9 and -, 1 to 64 long, no - at the ends")));
    }
}

/// One of `known`, or a complaint that names the nearest.
pub(super) fn one_of<'a>(word: &str, kind: &str, key: &'static str, known: impl Iterator<Item = &'a str> + Clone, wrong: &mut Vec<Wrong>) {
    let cure = nearest(word, known.clone())
        .map_or_else(|| format!("it may be one of {}", known.collect::<Vec<_>>().join(", ")), |near| format!("did you mean \"{near}\"?"));
    wrong.push((key, format!("unknown {kind} \"{word}\", {cure}")));
}

fn instant(text: Option<&String>, key: &'static str, wrong: &mut Vec<Wrong>) -> Option<Timestamp> {
    let text = text?;
    if let Ok(at) = Timestamp::parse(text) {
        return Some(at);
    }
    if let Ok(day) = text.parse() {
        return Some(civil_day_start(day));
    }
    wrong.push((key, format!("\"{text}\" is no time; write \"2013-01-01\" (a day in Italy) or \"2013-01-01T00:00:00Z\"")));
    None
}

pub(super) fn validity(from: Option<&String>, to: Option<&String>, wrong: &mut Vec<Wrong>) -> Validity {
    let validity = Validity { from: instant(from, "from", wrong), to: instant(to, "to", wrong) };
    if let (Some(from), Some(to)) = (validity.from, validity.to)
        && from >= to
    {
        wrong.push(("to", "\"to\" does not lie after \"from\"".into()));
    }
    validity
}

pub(super) fn station(entry: &StationEntry, retired: bool, wrong: &mut Vec<Wrong>) -> Station {
    slug(&entry.id, wrong);
    let [latitude, longitude] = entry.place;
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        wrong
            .push(("where", format!("[{latitude}, {longitude}] is no place; write [latitude, longitude] in degrees, e.g. [43.88, 11.10]")));
    } else if (5.0..20.0).contains(&latitude) && (35.0..48.0).contains(&longitude) {
        wrong.push((
            "where",
            format!("[{latitude}, {longitude}] looks like longitude first; write [latitude, longitude]: [{longitude}, {latitude}]"),
        ));
    }
    if let Some(comune) = &entry.comune
        && (comune.len() != 6 || !comune.bytes().all(|digit| digit.is_ascii_digit()))
    {
        wrong.push(("comune", format!("\"{comune}\" is no ISTAT code; write its six digits as a text, e.g. \"048006\"")));
    }
    let zero = |zero: &super::wire::ZeroEntry, wrong: &mut Vec<Wrong>| GaugeZero {
        metres_above_sea: zero.metres_above_sea,
        datum: zero.datum.clone(),
        validity: validity(zero.from.as_ref(), zero.to.as_ref(), wrong),
    };
    Station {
        id: entry.id.as_str().into(),
        owner: entry.owner.as_str().into(),
        name: entry.name.clone(),
        place: Place { latitude, longitude },
        comune: entry.comune.clone(),
        river: entry.river.clone(),
        downstream: entry.downstream.as_deref().map(Into::into),
        gauge_zero: entry.zero.iter().map(|entry| zero(entry, wrong)).collect(),
        note: entry.note.as_ref().map(words),
        retired,
    }
}

fn counter(entry: &DatastreamEntry, class: SignalClass, wrong: &mut Vec<Wrong>) -> Counter {
    if class != SignalClass::Counter && (entry.counter.is_some() || !entry.meter.is_empty()) {
        wrong.push(("counter", format!("\"{}\" is no counter; leave counter and meter out, or write class = \"counter\"", entry.id)));
    }
    let wraps_at = entry.counter.as_ref().and_then(|counter| match (counter.digits, counter.bits, counter.wraps_at) {
        (Some(digits @ 1..=15), None, None) => Some(10_f64.powi(i32::from(digits))),
        (None, Some(bits @ 1..=53), None) => Some(2_f64.powi(i32::from(bits))),
        (None, None, Some(width)) if width.is_finite() && width > 0.0 => Some(width),
        _ => {
            wrong.push(("counter", "give one of digits (1 to 15), bits (1 to 53) or wraps_at (a number above 0)".into()));
            None
        }
    });
    let change = |meter: &MeterEntry, wrong: &mut Vec<Wrong>| {
        Some(MeterChange { at: instant(Some(&meter.replaced), "replaced", wrong)?, last: meter.last, first: meter.first })
    };
    let mut replaced: Vec<MeterChange> = entry.meter.iter().filter_map(|meter| change(meter, wrong)).collect();
    replaced.sort_by_key(|change| change.at);
    Counter { wraps_at, replaced }
}

/// `owner` is that of the station.
pub(super) fn datastream(entry: &DatastreamEntry, id: DatastreamId, owner: OwnerId, retired: bool, wrong: &mut Vec<Wrong>) -> Datastream {
    slug(&entry.id, wrong);
    let property = ObservedProperty::from_word(&entry.property).unwrap_or_else(|| {
        one_of(&entry.property, "property", "property", ObservedProperty::words().collect::<Vec<_>>().into_iter(), wrong);
        ObservedProperty::WaterLevel
    });
    if let Some(unit) = entry.unit.as_deref().filter(|unit| *unit != property.unit().symbol()) {
        let symbol = property.unit().symbol();
        wrong.push((
            "unit",
            format!(
                "{} is kept in \"{symbol}\", not \"{unit}\"; write \"{symbol}\" here and the device's unit in its feed",
                property.word()
            ),
        ));
    }
    let class = entry.class.as_ref().map_or(property.class(), |word| {
        SignalClass::from_word(word).unwrap_or_else(|| {
            one_of(word, "class", "class", SignalClass::ALL.map(SignalClass::word).into_iter(), wrong);
            property.class()
        })
    });
    if !(1..=31 * 86_400).contains(&entry.period_s) {
        wrong.push((
            "period_s",
            format!("a period of {} s can't be; write the seconds between two observations, 1 to 2678400", entry.period_s),
        ));
    }
    let visibility = match &entry.visibility {
        None => Visibility::Private,
        Some(VisibilityEntry::Shared { shared }) => Visibility::Shared(shared.iter().map(|owner| owner.as_str().into()).collect()),
        Some(VisibilityEntry::Word(word)) => match word.as_str() {
            "public" => Visibility::Public,
            "private" => Visibility::Private,
            other => {
                one_of(other, "visibility", "visibility", ["public", "private"].into_iter(), wrong);
                Visibility::Private
            }
        },
    };
    let thresholds = entry.threshold.iter().map(|threshold| {
        if !threshold.value.is_finite() {
            wrong.push(("value", "a threshold must be a finite number".into()));
        }
        Threshold {
            value: threshold.value,
            label: words(&threshold.label),
            meaning: threshold.meaning.as_ref().map(words),
            validity: validity(threshold.from.as_ref(), threshold.to.as_ref(), wrong),
        }
    });
    let thresholds = thresholds.collect();
    keep_months(entry.keep_months, wrong);
    Datastream {
        id,
        key: entry.id.as_str().into(),
        owner,
        station: entry.station.as_str().into(),
        property,
        class,
        period_s: entry.period_s,
        visibility,
        thresholds,
        ratings: Vec::new(),
        counter: counter(entry, class, wrong),
        keep_months: entry.keep_months,
        span: sensor::span(entry, wrong),
        retired,
    }
}

pub(super) fn keep_months(months: Option<u32>, wrong: &mut Vec<Wrong>) {
    if months.is_some_and(|months| !(1..=1200).contains(&months)) {
        wrong.push(("keep_months", "write the months that stay in the store, 1 to 1200, or leave it out to keep all of them".into()));
    }
}

/// A device without its feeds; `hash_of` gives the hash of a password file.
pub(super) fn device(
    entry: &DeviceEntry,
    profile: Option<&ProfileEntry>,
    layout: Option<&LayoutEntry>,
    hash: Option<&String>,
    retired: bool,
    wrong: &mut Vec<Wrong>,
) -> Device {
    slug(&entry.id, wrong);
    let link = link(entry, profile, hash, wrong);
    let layout = layout.and_then(|layout| match super::layout::layout(layout) {
        Ok(layout) => Some(Arc::new(layout)),
        Err(messages) => {
            wrong.extend(messages.into_iter().map(|message| ("layout", message)));
            None
        }
    });
    Device {
        id: entry.id.as_str().into(),
        owner: entry.owner.as_str().into(),
        address: entry.address.clone(),
        layout,
        lines: None,
        link,
        feeds: Vec::new(),
        retired,
    }
}

/// A feed of this device; `datastream_of` looks the datastream up.
pub(super) fn feed(
    entry: &FeedEntry,
    device: &Device,
    datastream_of: impl Fn(&str) -> Option<(DatastreamId, Unit)>,
    wrong: &mut Vec<Wrong>,
) -> Option<Feed> {
    let Some((datastream, canonical)) = datastream_of(&entry.datastream) else {
        let message = format!("there is no datastream \"{}\"; add a [[datastream]] with this id or correct it", entry.datastream);
        wrong.push(("feeds", message));
        return None;
    };
    let of_register = match &device.link {
        Link::Modbus { profile, .. } => {
            let register = profile.registers.iter().find(|register| register.channel == entry.channel);
            if register.is_none() {
                let known: Vec<_> = profile.registers.iter().map(|register| register.channel.as_str()).collect();
                one_of(&entry.channel, "channel of the profile", "feeds", known.into_iter(), wrong);
            }
            register.map(|register| register.unit)
        }
        _ => None,
    };
    let unit = match &entry.unit {
        Some(symbol) => Unit::from_symbol(symbol).unwrap_or_else(|| {
            one_of(symbol, "unit", "feeds", Unit::symbols().collect::<Vec<_>>().into_iter(), wrong);
            canonical
        }),
        None => of_register.unwrap_or(canonical),
    };
    if unit.convert(1.0, canonical).is_none() {
        wrong.push(("feeds", format!("\"{unit}\" can't be turned into \"{canonical}\", the unit of {}", entry.datastream)));
    } else {
        sensor::spoken_unit_fits(entry, of_register, device.layout.as_deref(), canonical, wrong);
    }
    Some(Feed { channel: entry.channel.clone(), datastream, unit })
}

fn link(entry: &DeviceEntry, profile: Option<&ProfileEntry>, hash: Option<&String>, wrong: &mut Vec<Wrong>) -> Link {
    match (&entry.mqtt, &entry.modbus, entry.http) {
        (Some(mqtt), None, None) => super::mqtt::link(mqtt, hash, wrong),
        (None, Some(modbus), None) => {
            let wire = modbus::modbus_wire(modbus, wrong);
            if !(0.1..=86_400.0).contains(&modbus.poll_s) || !(0.05..=60.0).contains(&modbus.timeout_s) {
                wrong.push(("modbus", "poll_s may be 0.1 to 86400 and timeout_s 0.05 to 60 seconds".into()));
            }
            let empty = Profile { max_batch: 1, ..Profile::default() };
            let profile = match profile.map(self::profile) {
                Some(Ok(profile)) => profile,
                Some(Err(messages)) => {
                    wrong.extend(messages.into_iter().map(|message| ("profile", format!("{}: {message}", modbus.profile))));
                    empty
                }
                None => {
                    wrong.push(("profile", format!("the profile \"{}\" was not read", modbus.profile)));
                    empty
                }
            };
            Link::Modbus {
                wire,
                unit: modbus.unit,
                poll_interval_s: modbus.poll_s,
                timeout_s: modbus.timeout_s,
                profile: Arc::new(profile),
            }
        }
        (None, None, Some(true)) => Link::Http,
        (None, None, None) if entry.address.is_some() => Link::Relayed,
        _ => {
            wrong.push((
                "id",
                format!(
                    "device \"{}\" needs exactly one of mqtt = {{…}}, modbus = {{…}} or http = true; or an address = \"…\" by which a gateway or broker speaks of it",
                    entry.id
                ),
            ));
            Link::Http
        }
    }
}
