//! Network files with the profiles and password files that they name.

use super::check::profile;
use super::layout::read_layout;
use super::parse::{parse_network, read_profile};
use super::wire::DeviceEntry;
use super::{Network, NetworkFile, Placed, Secret};
use crate::Complaint;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, SaltString, rand_core::OsRng};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use std::path::{Path, PathBuf};

/// Reads files from the disk; profiles and password files are looked for beside the file that names them.
///
/// # Errors
/// Every complaint about every file at once.
pub fn load_network(paths: &[PathBuf]) -> Result<Network, Vec<Complaint>> {
    let network = load_network_to_start(paths)?;
    let unread: Vec<Complaint> = network.files.iter().flat_map(|file| file.unread.values().cloned()).collect();
    if unread.is_empty() { Ok(network) } else { Err(unread) }
}

/// As [`load_network`], for a start: where a profile, a layout, a pattern or a password file that a device names can't be read, that device
/// alone stays as it was before.
///
/// # Errors
/// Every complaint about a network file that itself can't be read.
pub fn load_network_to_start(paths: &[PathBuf]) -> Result<Network, Vec<Complaint>> {
    let mut network = Network::default();
    let mut complaints = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let beside = path.parent().unwrap_or(Path::new("."));
        let read = |wanted: &str| std::fs::read_to_string(beside.join(wanted)).map_err(|cause| cause.to_string());
        match std::fs::read_to_string(path) {
            Ok(text) => match file(&name, &text, read) {
                Ok(file) => network.files.push(file),
                Err(more) => complaints.extend(more),
            },
            Err(cause) => complaints.push(Complaint {
                file: name,
                line: 0,
                column: 0,
                message: format!("can't be read: {cause}; check the path and its rights"),
            }),
        }
    }
    if complaints.is_empty() { Ok(network) } else { Err(complaints) }
}

/// Reads a file that is compiled into the binary, with its profiles by path.
///
/// # Errors
/// Every complaint at once.
pub fn load_embedded(name: &str, text: &str, profiles: &[(&str, &str)]) -> Result<Network, Vec<Complaint>> {
    let read = |wanted: &str| {
        let found = profiles.iter().find(|(path, _)| *path == wanted);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "not part of this pescaia".to_owned())
    };
    let file = file(name, text, read)?;
    if file.unread.is_empty() { Ok(Network { files: vec![file] }) } else { Err(file.unread.into_values().collect()) }
}

/// Reads and checks a device profile.
///
/// # Errors
/// What is wrong, with its line and the cure.
pub fn parse_profile(name: &str, text: &str) -> Result<model::Profile, Vec<Complaint>> {
    profile(&read_profile(name, text)?)
        .map_err(|messages| messages.into_iter().map(|message| Complaint { file: name.into(), line: 0, column: 0, message }).collect())
}

fn file(name: &str, text: &str, read: impl Fn(&str) -> Result<String, String>) -> Result<NetworkFile, Vec<Complaint>> {
    let is_table = Path::new(name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let mut file = if is_table { super::table::parse(name, text)? } else { parse_network(name, text)? };
    let devices = std::mem::take(&mut file.devices);
    for placed in &devices {
        let id = format!("{}/{}", placed.entry.owner, placed.entry.id);
        if let Err(complaint) = named_files(&mut file, placed, &read) {
            file.unread.entry(id).or_insert(complaint);
        }
    }
    file.devices = devices;
    Ok(file)
}

fn first(path: &str, said: Vec<Complaint>) -> Complaint {
    let nothing = || Complaint { file: path.to_owned(), line: 0, column: 0, message: "it can't be read".into() };
    said.into_iter().next().unwrap_or_else(nothing)
}

/// Reads the files that a device names, those that were not read before.
fn named_files(
    file: &mut NetworkFile,
    placed: &Placed<DeviceEntry>,
    read: &impl Fn(&str) -> Result<String, String>,
) -> Result<(), Complaint> {
    let device = &placed.entry;
    let failed = |file: &NetworkFile, key: &str, message: String| file.complain(placed.at, key, message);
    if let Some(path) = device.modbus.as_ref().map(|modbus| &modbus.profile).filter(|path| !file.profiles.contains_key(*path)) {
        let text = match path.strip_prefix("library:") {
            Some(name) => from_library(name),
            None => read(path),
        };
        let text = text.map_err(|cause| failed(file, "profile", format!("the profile \"{path}\" can't be read: {cause}")))?;
        let profile = read_profile(path, &text).map_err(|said| first(path, said))?;
        file.profiles.insert(path.clone(), profile);
    }
    if let Some(path) = device.layout.as_ref().filter(|path| !file.layouts.contains_key(*path)) {
        let text = read(path).map_err(|cause| failed(file, "layout", format!("the layout \"{path}\" can't be read: {cause}")))?;
        let layout = read_layout(path, &text).map_err(|said| first(path, said))?;
        file.layouts.insert(path.clone(), layout);
    }
    if let Some(path) = device.lines.as_ref().filter(|path| !file.lines.contains_key(*path)) {
        let text = read(path).map_err(|cause| failed(file, "lines", format!("the pattern \"{path}\" can't be read: {cause}")))?;
        file.lines.insert(path.clone(), text);
    }
    if let Some(path) = device.mqtt.as_ref().and_then(|mqtt| mqtt.password_file.as_ref()) {
        let text =
            read(path).map_err(|cause| failed(file, "password_file", format!("the password file \"{path}\" can't be read: {cause}")))?;
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(failed(file, "password_file", format!("the password file \"{path}\" is empty; put a password into it")));
        }
        file.passwords.insert(path.clone(), Secret(password.to_owned()));
    }
    Ok(())
}

/// Profiles of devices that many have, from their manuals: a network file names one as `library:eastron-sdm`.
pub const LIBRARY: [(&str, &str); 5] = [
    ("vegapuls-c21", include_str!("../../../profiles/vegapuls-c21.toml")),
    ("eastron-sdm", include_str!("../../../profiles/eastron-sdm.toml")),
    ("plc-pumping-station", include_str!("../../../profiles/plc-pumping-station.toml")),
    ("flow-meter-4-20ma", include_str!("../../../profiles/flow-meter-4-20ma.toml")),
    ("water-meter-counter", include_str!("../../../profiles/water-meter-counter.toml")),
];

fn from_library(name: &str) -> Result<String, String> {
    let found = LIBRARY.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| {
        let known = LIBRARY.map(|(known, _)| known);
        let cure = super::nearest(name, known)
            .map_or_else(|| format!("there are {}", known.join(", ")), |near| format!("did you mean \"library:{near}\"?"));
        format!("the library has no such profile; {cure}")
    })
}

/// The stored form of a device's password: Argon2id with 19 MiB, two passes.
///
/// # Errors
/// The reason in words, for an empty password.
pub fn hash_password(password: &str) -> Result<String, String> {
    if password.is_empty() {
        return Err("it is empty; put a password into it".into());
    }
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|cause| cause.to_string())?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::generate(&mut OsRng);
    let hash = argon.hash_password(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|cause| cause.to_string())
}

/// Whether this is the password that was hashed.
pub(super) fn is_password(hash: &str, password: &Secret) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
}
