//! What a technician types, and what it answers when it is wrong.

use crate::support::{Dir, World, configure, one_gauge, pescaia};
use std::process::Output;

fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

#[test]
fn a_misspelt_key_is_named_with_file_line_and_cure() {
    let dir = Dir::new("misspelt");
    let config = configure(&dir, &one_gauge().replace("period_s", "perid_s"));
    for command in [vec!["run"], vec!["doctor"]] {
        let done = pescaia().args(&command).arg("--config").arg(&config).output().unwrap();
        assert!(said(&done).contains("network.toml:14:1  unknown key \"perid_s\", did you mean \"period_s\"?"), "{}", said(&done));
        assert!(!done.status.success());
    }
    let done = pescaia().args(["run", "--config"]).arg(&config).output().unwrap();
    assert_eq!(done.status.code(), Some(78));
}

#[test]
fn a_network_is_previewed_applied_to_a_running_instance_and_applied_again() {
    let dir = Dir::new("apply");
    let world = World::run(&dir, &one_gauge());
    let file = dir.path().join("network.toml");
    let more = one_gauge().replace("name = \"Prova\"", "name = \"Nuova\"")
        + "[[datastream]]\nid = \"prova-flow\"\nstation = \"prova\"\nproperty = \"flow\"\nperiod_s = 60\nvisibility = \"public\"\n";
    std::fs::write(&file, more).unwrap();
    let apply = |dry: bool| {
        let mut command = pescaia();
        command.args(["network", "apply"]).arg(&file).arg("--data").arg(dir.path().join("data"));
        if dry {
            command.arg("--dry-run");
        }
        said(&command.output().unwrap())
    };
    assert_eq!(apply(true), "+ datastream prova-flow\n~ station prova\n");
    assert_eq!(world.get("/api/v1/stations/prova")["name"], "Prova", "a preview changes nothing");
    assert_eq!(apply(false), "+ datastream prova-flow\n~ station prova\n");
    assert_eq!(world.get("/api/v1/stations/prova")["name"], "Nuova");
    assert_eq!(apply(false), "no change\n");
}

#[test]
fn doctor_and_the_lock_explain_themselves() {
    let dir = Dir::new("doctor");
    let config = configure(&dir, &one_gauge());
    let done = pescaia().args(["doctor", "--config"]).arg(&config).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("all well"), "{}", said(&done));
    let _world = World::run(&dir, &one_gauge());
    let second = pescaia().args(["run", "--config"]).arg(&config).output().unwrap();
    assert!(!second.status.success() && said(&second).contains("in use by another pescaia"), "{}", said(&second));
    let token = pescaia().args(["token", "new", "--owner", "demmo", "--scope", "read", "--config"]).arg(&config).output().unwrap();
    assert!(said(&token).contains("did you mean \"demo\"?"), "{}", said(&token));
    let plain = dir.write("open.toml", "[mqtt]\nlisten = \"0.0.0.0:0\"\n");
    let done = pescaia().args(["run", "--config"]).arg(plain).output().unwrap();
    assert!(said(&done).contains("allow_plaintext = true"), "{}", said(&done));
}
