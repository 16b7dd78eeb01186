//! Network files: what stands in the field, as its owner writes it down. Read, checked and applied declaratively.
//! The grammar is explained by example in `demo/network.toml`.

mod build;
mod check;
mod layout;
mod load;
mod mqtt;
mod nearest;
mod parse;
mod plan;
mod rating;
mod table;
mod wire;

pub(crate) use plan::{OriginMap, Plan, Restored, plan, plan_start, restore, restore_whole, retire_conflicts};

pub use build::Fault;
pub(crate) use build::file_name;
pub use layout::parse_layout;
pub use load::{LIBRARY, hash_password, load_embedded, load_network, load_network_to_start, parse_profile};
pub use nearest::nearest;
pub use parse::{parse_network, parse_toml};

use crate::Complaint;
use std::collections::BTreeMap;
use std::fmt;
#[cfg(test)]
mod tests;
use wire::{DatastreamEntry, DeviceEntry, FeedLinkEntry, OwnerEntry, ProfileEntry, StationEntry};

/// The file of what was adopted from proposals: every other file may take over what it says.
pub(crate) const ADOPTED: &str = "adopted";

/// Kind and id of an entry.
pub(crate) type Key = (&'static str, String);

/// Network files that are applied together; their entries may refer to one another.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub files: Vec<NetworkFile>,
}

/// One file as it was read: well-formed, not yet checked against anything.
#[derive(Debug, Clone, Default)]
pub struct NetworkFile {
    /// Entries belong to the file of this name: what disappears from it is retired.
    pub name: String,
    text: String,
    owners: Vec<Placed<OwnerEntry>>,
    stations: Vec<Placed<StationEntry>>,
    datastreams: Vec<Placed<DatastreamEntry>>,
    devices: Vec<Placed<DeviceEntry>>,
    feeds: Vec<Placed<FeedLinkEntry>>,
    /// Device profiles by the path that the file names them with.
    profiles: BTreeMap<String, ProfileEntry>,
    /// Layouts of payloads by the path that the file names them with.
    layouts: BTreeMap<String, layout::LayoutEntry>,
    /// Patterns of lines by the path that the file names them with.
    lines: BTreeMap<String, String>,
    /// What stood in password files, by the path that the file names them with.
    passwords: BTreeMap<String, Secret>,
    /// By device, `owner/id`: why a file that it names can't be read.
    unread: BTreeMap<String, Complaint>,
}

impl NetworkFile {
    /// As it was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// A password as it was read: hashed when the network is applied, never shown.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An entry and the byte of the file where it begins.
#[derive(Debug, Clone)]
struct Placed<T> {
    at: usize,
    entry: T,
}

impl Network {
    /// Points a Modbus device at another address: for the demo, whose simulated devices listen where there is room.
    pub fn set_modbus_endpoint(&mut self, device: &str, endpoint: &str) {
        let devices = self.files.iter_mut().flat_map(|file| &mut file.devices);
        for placed in devices.filter(|placed| placed.entry.id == device) {
            if let Some(modbus) = &mut placed.entry.modbus {
                modbus.tcp = Some(endpoint.to_owned());
            }
        }
    }
}

/// What applying a network does to one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Changed,
    /// No longer in its file: out of service, but everything measured stays.
    Retired,
    Restored,
}

impl ChangeKind {
    /// `+`, `~` or `-`, as a preview shows it.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Added | Self::Restored => '+',
            Self::Changed => '~',
            Self::Retired => '-',
        }
    }
}

/// One line of what applying a network changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// `owner`, `station`, `datastream`, `device` or `feed`.
    pub what: &'static str,
    pub id: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let note = match self.kind {
            ChangeKind::Added | ChangeKind::Changed => "",
            ChangeKind::Retired => " (retired; what it measured stays)",
            ChangeKind::Restored => " (back in service)",
        };
        write!(f, "{} {} {}{note}", self.kind.sign(), self.what, self.id)
    }
}

/// An entry of the registry as it is kept.
pub(crate) struct Document {
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    /// The store's number of a datastream.
    pub(crate) number: Option<u32>,
    pub(crate) file: String,
    pub(crate) retired: bool,
    pub(crate) body: String,
}
