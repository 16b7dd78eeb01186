//! Network files with the profiles and password files that they name.

use super::check::profile;
use super::layout::read_layout;
use super::parse::{parse_network, read_profile};
use super::{Network, NetworkFile, Secret};
use crate::Complaint;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, SaltString, rand_core::OsRng};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use std::path::{Path, PathBuf};

/// Reads files from the disk; profiles and password files are looked for beside the file that names them.
///
/// # Errors
/// Every complaint about every file at once.
pub fn load_network(paths: &[PathBuf]) -> Result<Network, Vec<Complaint>> {
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
    Ok(Network { files: vec![file(name, text, read)?] })
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
    let mut complaints = Vec::new();
    for placed in &file.devices {
        if let Some(modbus) = &placed.entry.modbus
            && !file.profiles.contains_key(&modbus.profile)
        {
            let text = match modbus.profile.strip_prefix("library:") {
                Some(name) => from_library(name),
                None => read(&modbus.profile),
            };
            match text {
                Ok(text) => match read_profile(&modbus.profile, &text) {
                    Ok(profile) => drop(file.profiles.insert(modbus.profile.clone(), profile)),
                    Err(more) => complaints.extend(more),
                },
                Err(cause) => complaints.push(file.complain(
                    placed.at,
                    "profile",
                    format!("the profile \"{}\" can't be read: {cause}", modbus.profile),
                )),
            }
        }
        if let Some(path) = placed.entry.layout.as_ref().filter(|path| !file.layouts.contains_key(*path)) {
            match read(path) {
                Ok(text) => match read_layout(path, &text) {
                    Ok(layout) => drop(file.layouts.insert(path.clone(), layout)),
                    Err(more) => complaints.extend(more),
                },
                Err(cause) => complaints.push(file.complain(placed.at, "layout", format!("the layout \"{path}\" can't be read: {cause}"))),
            }
        }
        if let Some(path) = placed.entry.lines.as_ref().filter(|path| !file.lines.contains_key(*path)) {
            match read(path) {
                Ok(text) => drop(file.lines.insert(path.clone(), text)),
                Err(cause) => complaints.push(file.complain(placed.at, "lines", format!("the pattern \"{path}\" can't be read: {cause}"))),
            }
        }
        if let Some(path) = placed.entry.mqtt.as_ref().and_then(|mqtt| mqtt.password_file.as_ref()) {
            match read(path).map(|password| password.trim_end_matches(['\r', '\n']).to_owned()) {
                Ok(password) if password.is_empty() => {
                    complaints.push(file.complain(
                        placed.at,
                        "password_file",
                        format!("the password file \"{path}\" is empty; put a password into it"),
                    ));
                }
                Ok(password) => drop(file.passwords.insert(path.clone(), Secret(password))),
                Err(cause) => complaints.push(file.complain(
                    placed.at,
                    "password_file",
                    format!("the password file \"{path}\" can't be read: {cause}"),
                )),
            }
        }
    }
    if complaints.is_empty() { Ok(file) } else { Err(complaints) }
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
