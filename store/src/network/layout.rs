//! Layouts of payloads, as TOML.

use super::nearest::nearest;
use super::parse::parse_toml;
use crate::Complaint;
use model::{Endian, Field, FieldKind, Layout, Meaning, Repeat, Unit};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayoutEntry {
    name: String,
    title: String,
    #[serde(default)]
    cayenne: bool,
    #[serde(default)]
    field: Vec<FieldEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// Instead of a channel: `unix_s`, `age_s` or `age_min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    offset: i32,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bits: Option<[u8; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sentinels: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeat: Option<RepeatEntry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u16>,
    stride: u16,
    step_s: f64,
}

/// Reads and checks the layout of a payload.
///
/// # Errors
/// What is wrong, with its line and the cure.
pub fn parse_layout(name: &str, text: &str) -> Result<Layout, Vec<Complaint>> {
    let wrong =
        |messages: Vec<String>| messages.into_iter().map(|message| Complaint { file: name.into(), line: 0, column: 0, message }).collect();
    layout(&read_layout(name, text)?).map_err(wrong)
}

pub(super) fn read_layout(name: &str, text: &str) -> Result<LayoutEntry, Vec<Complaint>> {
    parse_toml(name, text)
}

/// # Errors
/// Everything that is wrong with it.
pub(super) fn layout(entry: &LayoutEntry) -> Result<Layout, Vec<String>> {
    let mut wrong = Vec::new();
    if entry.cayenne != entry.field.is_empty() {
        wrong.push("give either [[field]] entries or cayenne = true".into());
    }
    let fields = entry.field.iter().filter_map(|one| field(one).map_err(|message| wrong.push(message)).ok()).collect();
    let layout = Layout { name: entry.name.clone(), title: entry.title.clone(), is_cayenne: entry.cayenne, fields };
    if wrong.is_empty() { Ok(layout) } else { Err(wrong) }
}

fn field(entry: &FieldEntry) -> Result<Field, String> {
    let unit = entry.unit.as_deref().map(|symbol| {
        let cure = || nearest(symbol, Unit::symbols()).map_or_else(String::new, |near| format!(", did you mean \"{near}\"?"));
        Unit::from_symbol(symbol).ok_or_else(|| format!("unknown unit \"{symbol}\"{}", cure()))
    });
    let unit = unit.transpose()?;
    let (meaning, scale) = match (entry.channel.as_deref(), entry.time.as_deref()) {
        (Some(channel), None) if !channel.is_empty() => (Meaning::Channel { channel: channel.to_owned(), unit }, 1.0),
        (None, Some("unix_s")) => (Meaning::UnixTime, 1.0),
        (None, Some("age_s")) => (Meaning::Age, 1.0),
        (None, Some("age_min")) => (Meaning::Age, 60.0),
        (None, Some(other)) => return Err(format!("time = \"{other}\" is not known; it may be unix_s, age_s or age_min")),
        _ => return Err("a field needs a channel, or time = \"unix_s\", \"age_s\" or \"age_min\"".into()),
    };
    let kind = kind(&entry.kind).ok_or_else(|| {
        format!(
            "type = \"{}\" is not known; it may be uint8 to uint64, int8 to int64 in steps of 8, float32, float64, bcd1 to bcd8",
            entry.kind
        )
    })?;
    let order = match entry.order.as_deref() {
        None | Some("big") => Endian::Big,
        Some("little") => Endian::Little,
        Some(other) => return Err(format!("order = \"{other}\" is not known; it may be big or little")),
    };
    let bits = match entry.bits {
        Some([lowest, count]) if count == 0 || usize::from(lowest) + usize::from(count) > kind.width() * 8 => {
            return Err(format!("bits = [{lowest}, {count}] do not lie within {}; write [lowest, how many]", entry.kind));
        }
        bits => bits.map(|[lowest, count]| (lowest, count)),
    };
    if entry.repeat.as_ref().is_some_and(|repeat| repeat.stride == 0 || !repeat.step_s.is_finite()) {
        return Err("repeat needs a stride of at least one byte, and step_s in seconds".into());
    }
    Ok(Field {
        port: entry.port,
        meaning,
        offset: entry.offset,
        kind,
        order,
        bits,
        scale: entry.scale.unwrap_or(1.0) * scale,
        add: entry.add.unwrap_or(0.0),
        sentinels: entry.sentinels.clone(),
        repeat: entry.repeat.as_ref().map(|repeat| Repeat { count: repeat.count, stride: repeat.stride, step_s: repeat.step_s }),
    })
}

fn kind(word: &str) -> Option<FieldKind> {
    let bytes = |bits: &str| bits.parse::<u8>().ok().filter(|bits| bits % 8 == 0 && (8..=64).contains(bits)).map(|bits| bits / 8);
    match word {
        "float32" => Some(FieldKind::Float32),
        "float64" => Some(FieldKind::Float64),
        _ => {
            if let Some(bits) = word.strip_prefix("uint") {
                return bytes(bits).map(FieldKind::Unsigned);
            }
            if let Some(bits) = word.strip_prefix("int") {
                return bytes(bits).map(FieldKind::Signed);
            }
            let width = word.strip_prefix("bcd")?.parse().ok().filter(|width| (1..=8).contains(width))?;
            Some(FieldKind::Bcd(width))
        }
    }
}
