//! The walls of the house, kept: who may import whom, and where the heavy crates live. It reads the manifests.

use crate::support::root;
use std::collections::BTreeSet;

/// Room, the rooms that it may import.
const WALLS: [(&str, &[&str]); 8] = [
    ("model", &[]),
    ("store", &["model"]),
    ("ingest", &["model", "store"]),
    ("analytics", &["model", "store"]),
    ("api", &["model", "store"]),
    ("dashboards", &["model", "store"]),
    ("firmware-sim", &["model"]),
    // Not a room of the product: it looks at it from outside, and puts a simulated disk under the store.
    ("tests/torture", &["model", "store"]),
];

/// Crate, the rooms where it may live.
const HOMES: [(&str, &[&str]); 13] = [
    ("rusqlite", &["store"]),
    ("influxdb2", &["store"]),
    ("pco", &["store"]),
    ("influxdb2", &["store"]),
    ("polars", &["analytics"]),
    ("polars-io", &["analytics"]),
    ("axum", &["api", "dashboards", "ingest"]),
    ("rumqttc", &["ingest", "firmware-sim"]),
    ("tokio-modbus", &["ingest", "firmware-sim"]),
    ("mqtt-proto", &["ingest"]),
    ("tokio-rustls", &["ingest"]),
    ("geojson", &["api", "analytics"]),
    ("askama", &["dashboards"]),
];

fn dependencies(room: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().cloned().collect()
}

fn members() -> BTreeSet<String> {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    manifest["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap().to_owned()).collect()
}

#[test]
fn rooms_import_only_what_lies_below_them() {
    let rooms: BTreeSet<&str> = WALLS.iter().map(|(room, _)| *room).collect();
    assert_eq!(members().iter().map(String::as_str).collect::<BTreeSet<_>>(), rooms, "a new room needs its walls here");
    for (room, allowed) in WALLS {
        let imported: Vec<String> = dependencies(room).into_iter().filter(|name| rooms.contains(name.as_str())).collect();
        for other in imported {
            assert!(
                allowed.contains(&other.as_str()),
                "{room} imports {other}: data goes down into the store and up from it, never sideways"
            );
        }
    }
}

#[test]
fn heavy_crates_live_in_one_room() {
    for room in members() {
        for (name, homes) in HOMES {
            assert!(!dependencies(&room).contains(name) || homes.contains(&room.as_str()), "{name} does not belong into {room}");
        }
    }
}

#[test]
fn nothing_in_the_poller_can_write_to_a_device() {
    let mut folders = vec![root().join("ingest/src/source")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            for forbidden in
                ["write_single", "write_multiple", "read_write_multiple", "masked_write", "Request::Write", "client::Writer", "Writer for"]
            {
                assert!(!text.contains(forbidden), "{}: {forbidden}", entry.path().display());
            }
        }
    }
}
