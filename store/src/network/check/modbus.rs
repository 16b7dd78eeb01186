//! Modbus devices and their register maps.

use super::{Wrong, one_of};
use crate::network::wire::{ModbusEntry, ProfileEntry, RegisterEntry};
use model::{ByteOrder, ModbusWire, NumberType, Parity, Profile, Register, RegisterSpace, Role, Span, Unit};

/// A profile, or every reason why it is none.
pub(in crate::network) fn profile(entry: &ProfileEntry) -> Result<Profile, Vec<String>> {
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
pub(super) fn modbus_wire(entry: &ModbusEntry, wrong: &mut Vec<Wrong>) -> ModbusWire {
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
