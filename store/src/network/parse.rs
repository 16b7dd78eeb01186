//! From text to entries. What the text can't be is said with its place and the nearest thing that it could.

use super::nearest::nearest;
use super::wire::{DatastreamEntry, DeviceEntry, FeedLinkEntry, OwnerEntry, ProfileEntry, StationEntry};
use super::{NetworkFile, Placed};
use crate::Complaint;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    #[serde(default)]
    owner: Vec<Spanned<OwnerEntry>>,
    #[serde(default)]
    station: Vec<Spanned<StationEntry>>,
    #[serde(default)]
    datastream: Vec<Spanned<DatastreamEntry>>,
    #[serde(default)]
    device: Vec<Spanned<DeviceEntry>>,
    #[serde(default)]
    feed: Vec<Spanned<FeedLinkEntry>>,
}

/// Reads a network file's text. `name` stands in complaints and ties the entries to their file.
///
/// # Errors
/// What is wrong, with its line and the cure.
pub fn parse_network(name: &str, text: &str) -> Result<NetworkFile, Vec<Complaint>> {
    let whole: Whole = parse_toml(name, text)?;
    Ok(NetworkFile {
        name: name.to_owned(),
        text: text.to_owned(),
        owners: placed(whole.owner),
        stations: placed(whole.station),
        datastreams: placed(whole.datastream),
        devices: placed(whole.device),
        feeds: placed(whole.feed),
        ..NetworkFile::default()
    })
}

fn placed<T>(entries: Vec<Spanned<T>>) -> Vec<Placed<T>> {
    entries.into_iter().map(|spanned| Placed { at: spanned.span().start, entry: spanned.into_inner() }).collect()
}

pub(super) fn read_profile(name: &str, text: &str) -> Result<ProfileEntry, Vec<Complaint>> {
    parse_toml(name, text)
}

/// Reads any TOML of ours: a key that nobody knows is named with the nearest that somebody does.
///
/// # Errors
/// What is wrong, with its line and the cure.
pub fn parse_toml<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Vec<Complaint>> {
    toml::from_str(text).map_err(|cause| {
        let at = cause.span().map_or(0, |span| span.start);
        vec![Complaint::at(name, text, at, cure(cause.message()))]
    })
}

/// The parser's words, with the nearest of the words that it would have taken.
fn cure(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown field") => {
            let suggestion = nearest(unknown, known.iter().copied());
            let suggestion =
                suggestion.map_or_else(|| format!("it may be one of {}", known.join(", ")), |near| format!("did you mean \"{near}\"?"));
            format!("unknown key \"{unknown}\", {suggestion}")
        }
        Some((missing, _)) if message.starts_with("missing field") => format!("the key \"{missing}\" is missing here; add it"),
        _ => message.replace('`', "\"").replace('\n', "; "),
    }
}
