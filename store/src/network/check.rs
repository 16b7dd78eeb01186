//! From entries to the words of the model. Every complaint is collected; nothing is guessed.

use super::NetworkFile;
use super::layout::LayoutEntry;
use super::nearest::nearest;
use super::wire::{
    DatastreamEntry, DeviceEntry, MeterEntry, ModbusEntry, ProfileEntry, RegisterEntry, StationEntry, VisibilityEntry, Words,
};
use crate::Complaint;
use model::{
    ByteOrder, Counter, Datastream, DatastreamId, Device, Feed, GaugeZero, Link, MeterChange, ModbusWire, NumberType, ObservedProperty,
    OwnerId, Parity, Place, Profile, Register, RegisterSpace, Role, SignalClass, Span, Station, Text, Threshold, Timestamp, Unit, Validity,
    Visibility, civil_day_start,
};
use std::sync::Arc;

/// What is wrong with one entry: the key it is about and the sentence.
pub(super) type Wrong = (&'static str, String);

impl NetworkFile {
    /// A complaint about `key` of the entry that begins at byte `at`.
    pub(super) fn complain(&self, at: usize, key: &str, message: String) -> Complaint {
        let rest = self.text.get(at..).unwrap_or("");
        // The key's own line, if it is found before the next entry; else the entry's.
        let mut offset = at;
        let mut found = at;
        for (number, line) in rest.split_inclusive('\n').enumerate() {
            if number > 0 && ["[[owner]]", "[[station]]", "[[datastream]]", "[[device]]"].iter().any(|next| line.starts_with(next)) {
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

fn validity(from: Option<&String>, to: Option<&String>, wrong: &mut Vec<Wrong>) -> Validity {
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
        counter: counter(entry, class, wrong),
        retired,
    }
}

/// What a device feeds is looked up by `datastream_of`; `hash_of` gives the hash of a password file.
pub(super) fn device(
    entry: &DeviceEntry,
    profile: Option<&ProfileEntry>,
    layout: Option<&LayoutEntry>,
    hash: Option<&String>,
    datastream_of: impl Fn(&str) -> Option<(DatastreamId, Unit)>,
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
    let mut feeds: Vec<Feed> = Vec::new();
    for feed in &entry.feeds {
        if feeds.iter().any(|other| other.channel == feed.channel) {
            wrong.push(("feeds", format!("the channel \"{}\" stands twice", feed.channel)));
        }
        let Some((datastream, canonical)) = datastream_of(&feed.datastream) else {
            wrong.push((
                "feeds",
                format!("there is no datastream \"{}\"; add a [[datastream]] with this id or correct it", feed.datastream),
            ));
            continue;
        };
        let of_register = match &link {
            Link::Modbus { profile, .. } => {
                let register = profile.registers.iter().find(|register| register.channel == feed.channel);
                if register.is_none() {
                    one_of(
                        &feed.channel,
                        "channel of the profile",
                        "feeds",
                        profile.registers.iter().map(|register| register.channel.as_str()).collect::<Vec<_>>().into_iter(),
                        wrong,
                    );
                }
                register.map(|register| register.unit)
            }
            _ => None,
        };
        let unit = match &feed.unit {
            Some(symbol) => Unit::from_symbol(symbol).unwrap_or_else(|| {
                one_of(symbol, "unit", "feeds", Unit::symbols().collect::<Vec<_>>().into_iter(), wrong);
                canonical
            }),
            None => of_register.unwrap_or(canonical),
        };
        if unit.convert(1.0, canonical).is_none() {
            wrong.push(("feeds", format!("\"{unit}\" can't be turned into \"{canonical}\", the unit of {}", feed.datastream)));
        }
        feeds.push(Feed { channel: feed.channel.clone(), datastream, unit });
    }
    Device {
        id: entry.id.as_str().into(),
        owner: entry.owner.as_str().into(),
        address: entry.address.clone(),
        layout,
        link,
        feeds,
        retired,
    }
}

fn link(entry: &DeviceEntry, profile: Option<&ProfileEntry>, hash: Option<&String>, wrong: &mut Vec<Wrong>) -> Link {
    match (&entry.mqtt, &entry.modbus, entry.http) {
        (Some(mqtt), None, None) => super::mqtt::link(mqtt, hash, wrong),
        (None, Some(modbus), None) => {
            let wire = modbus_wire(modbus, wrong);
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

/// A profile, or every reason why it is none.
pub(super) fn profile(entry: &ProfileEntry) -> Result<Profile, Vec<String>> {
    let mut wrong: Vec<Wrong> = Vec::new();
    if !(2..=125).contains(&entry.max_batch) {
        wrong.push(("max_batch", "max_batch may be 2 to 125 registers".into()));
    }
    let mut registers: Vec<Register> = Vec::new();
    for line in &entry.register {
        if registers.iter().any(|other| other.channel == line.channel) {
            wrong.push(("channel", format!("the channel \"{}\" stands twice", line.channel)));
        }
        registers.push(register(line, &mut wrong));
    }
    let forbidden = entry.forbidden.iter().filter_map(|one| {
        let space = RegisterSpace::ALL.iter().find(|(_, name)| *name == one.space).map(|(space, _)| *space);
        if space.is_none() || one.from > one.to {
            wrong.push((
                "forbidden",
                format!(
                    "forbidden needs a space (coil, discrete, holding, input) and from ≤ to, not {} {} to {}",
                    one.space, one.from, one.to
                ),
            ));
        }
        Some((space?, one.from, one.to))
    });
    let forbidden = forbidden.collect();
    if !wrong.is_empty() {
        return Err(wrong.into_iter().map(|(_, message)| message).collect());
    }
    let seconds = |millis: Option<u32>| f64::from(millis.unwrap_or(0)) / 1000.0;
    Ok(Profile {
        name: entry.name.clone(),
        title: entry.title.clone(),
        max_batch: entry.max_batch,
        max_hole: entry.max_hole,
        forbidden,
        pause_after_connect_s: seconds(entry.pause_after_connect_ms),
        pause_between_s: seconds(entry.pause_between_ms),
        registers,
    })
}

/// The way to a device: one of three, inside unless it is said otherwise.
fn modbus_wire(entry: &ModbusEntry, wrong: &mut Vec<Wrong>) -> ModbusWire {
    let is_outside = entry.outside;
    let checked = |address: &str, wrong: &mut Vec<Wrong>| {
        let parts = address.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        let Some((host, _)) = parts else {
            wrong.push(("tcp", format!("\"{address}\" is no address; write host:port, e.g. \"10.20.4.15:502\"")));
            return;
        };
        if let Ok(ip) = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>()
            && !is_outside
            && !model::is_inside(ip)
        {
            wrong.push((
                "tcp",
                format!("{ip} lies outside private networks; a device is asked only inside (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7, this machine), or with outside = true"),
            ));
        }
    };
    match (&entry.tcp, &entry.rtu_tcp, &entry.serial) {
        (Some(address), None, None) => {
            checked(address, wrong);
            ModbusWire::Tcp { address: address.clone(), is_outside }
        }
        (None, Some(address), None) => {
            checked(address, wrong);
            ModbusWire::RtuOverTcp { address: address.clone(), is_outside }
        }
        (None, None, Some(path)) => {
            let parity = match entry.parity.as_deref() {
                None | Some("none") => Parity::None,
                Some("even") => Parity::Even,
                Some("odd") => Parity::Odd,
                Some(other) => {
                    wrong.push(("parity", format!("parity = \"{other}\" is not known; it may be none, even or odd")));
                    Parity::None
                }
            };
            let (baud, stop_bits) = (entry.baud.unwrap_or(9600), entry.stop_bits.unwrap_or(1));
            if !(300..=921_600).contains(&baud) || !(1..=2).contains(&stop_bits) {
                wrong.push(("baud", "baud may be 300 to 921600, stop_bits 1 or 2".into()));
            }
            ModbusWire::Serial { path: path.clone(), baud, parity, stop_bits }
        }
        _ => {
            wrong.push(("modbus", "give one of tcp = \"host:port\", rtu_tcp = \"host:port\" or serial = \"/dev/ttyUSB0\"".into()));
            ModbusWire::Tcp { address: String::new(), is_outside }
        }
    }
}

/// Table and address of a register: as written, or from the manual's number, whose first digit is the table and which counts from 1.
fn place(entry: &RegisterEntry, wrong: &mut Vec<Wrong>) -> (RegisterSpace, u16) {
    let find = |word: &str, wrong: &mut Vec<Wrong>| {
        let found = RegisterSpace::ALL.iter().find(|(_, name)| *name == word).map(|(space, _)| *space);
        if found.is_none() {
            one_of(word, "space", "space", RegisterSpace::ALL.map(|(_, name)| name).into_iter(), wrong);
        }
        found.unwrap_or(RegisterSpace::Holding)
    };
    match (&entry.space, entry.address, entry.manual) {
        (Some(space), Some(address), None) => (find(space, wrong), address),
        (None, None, Some(number)) => {
            let (table, ordinal) =
                if number >= 100_000 { (number / 100_000, number % 100_000) } else { (number / 10_000, number % 10_000) };
            let space = match table {
                0 => Some(RegisterSpace::Coil),
                1 => Some(RegisterSpace::Discrete),
                3 => Some(RegisterSpace::Input),
                4 => Some(RegisterSpace::Holding),
                _ => None,
            };
            let address = ordinal.checked_sub(1).and_then(|address| u16::try_from(address).ok());
            match (space, address) {
                (Some(space), Some(address)) => (space, address),
                _ => {
                    wrong.push((
                        "manual",
                        format!(
                            "\"{}\": {number} is no register number; write e.g. 30001 (input), 40101 (holding), or space and address",
                            entry.channel
                        ),
                    ));
                    (RegisterSpace::Holding, 0)
                }
            }
        }
        _ => {
            wrong.push((
                "address",
                format!("\"{}\" needs space and address (from 0), or the manual's number: manual = 40101", entry.channel),
            ));
            (RegisterSpace::Holding, 0)
        }
    }
}

fn role(entry: &RegisterEntry, wrong: &mut Vec<Wrong>) -> Role {
    match (&entry.status, &entry.heartbeat) {
        (None, None) => Role::Value,
        (Some(status), None) => Role::Status { suspect: status.suspect.clone(), fail: status.fail.clone() },
        (None, Some(heartbeat)) if heartbeat.polls > 0 => Role::Heartbeat { polls: heartbeat.polls },
        (None, Some(_)) => {
            wrong.push(("heartbeat", format!("\"{}\": heartbeat needs polls of at least 1", entry.channel)));
            Role::Value
        }
        (Some(_), Some(_)) => {
            wrong.push(("status", format!("\"{}\" can't be status and heartbeat at once", entry.channel)));
            Role::Value
        }
    }
}

fn analogue(entry: &RegisterEntry, wrong: &mut Vec<Wrong>) -> Option<Span> {
    let span = entry.span.as_ref()?;
    let [raw, raw_to] = span.raw;
    if !span.raw.iter().chain(&span.value).all(|end| end.is_finite()) || raw >= raw_to {
        wrong.push(("span", format!("\"{}\": span needs raw = [least, most] and value = [from, to]", entry.channel)));
    }
    // NAMUR NE 43: below 3.6 mA of a span that begins at 4 mA.
    let four_to_twenty = (raw > 0.0).then(|| raw - (raw_to - raw) * 0.4 / 16.0);
    Some(Span { raw: (raw, raw_to), value: (span.value[0], span.value[1]), broken_below: span.broken_below.or(four_to_twenty) })
}

fn register(entry: &RegisterEntry, wrong: &mut Vec<Wrong>) -> Register {
    fn find<T: Copy, const N: usize>(all: [(T, &'static str); N], word: &str, kind: &'static str, wrong: &mut Vec<Wrong>) -> Option<T> {
        let found = all.iter().find(|(_, name)| *name == word).map(|(value, _)| *value);
        if found.is_none() {
            one_of(word, kind, kind, all.map(|(_, name)| name).into_iter(), wrong);
        }
        found
    }
    let (space, address) = place(entry, wrong);
    let space_word = RegisterSpace::ALL.iter().find(|(known, _)| *known == space).map_or("", |(_, word)| word);
    let number = find(NumberType::ALL, &entry.number, "type", wrong).unwrap_or(NumberType::Uint16);
    let order = entry.order.as_ref().and_then(|order| find(ByteOrder::ALL, order, "order", wrong)).unwrap_or_default();
    let unit = Unit::from_symbol(&entry.unit).unwrap_or_else(|| {
        one_of(&entry.unit, "unit", "unit", Unit::symbols().collect::<Vec<_>>().into_iter(), wrong);
        Unit::One
    });
    if space.is_bits() != (number == NumberType::Bit) {
        wrong.push((
            "type",
            format!(
                "\"{}\": a {} holds {}",
                entry.channel,
                space_word,
                if space.is_bits() { "a bit; write type = \"bit\"" } else { "a number, not a bit" }
            ),
        ));
    }
    if address.checked_add(number.width() - 1).is_none() {
        wrong.push(("address", format!("\"{}\" reaches past address 65535", entry.channel)));
    }
    if !entry.scale.is_finite() || !entry.offset.is_finite() || entry.scale == 0.0 {
        wrong.push(("scale", format!("\"{}\": scale and offset must be finite, scale not 0", entry.channel)));
    }
    let width = u16::from(entry.bits.map_or(0, |[lowest, count]| lowest.saturating_add(count)));
    if entry.bits.is_some_and(|[_, count]| count == 0) || width > number.width() * 16 {
        wrong.push(("bits", format!("\"{}\": bits = [lowest, how many] do not lie within {}", entry.channel, entry.number)));
    }
    let (every_s, phase_s) = (entry.every_s, entry.phase_s.unwrap_or(0.0));
    if every_s.is_some_and(|every| !(0.1..=86_400.0).contains(&every)) || !(0.0..86_400.0).contains(&phase_s) {
        wrong.push(("every_s", format!("\"{}\": every_s may be 0.1 to 86400 seconds, phase_s less than that", entry.channel)));
    }
    Register {
        channel: entry.channel.clone(),
        space,
        address,
        number,
        order,
        scale: entry.scale,
        offset: entry.offset,
        unit,
        sentinels: entry.sentinels.clone(),
        bits: entry.bits.map(|[lowest, count]| (lowest, count)),
        span: analogue(entry, wrong),
        role: role(entry, wrong),
        every_s,
        phase_s,
    }
}
