//! A machine that nobody looks at: its log goes away, its configuration changes, its commands write where their user means.

use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, root, token};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The gauge, whose device speaks HTTP.
fn network() -> String {
    let lines =
        one_gauge().lines().map(|line| if line.starts_with("mqtt = ") { "http = true" } else { line }.to_owned()).collect::<Vec<_>>();
    lines.join("\n")
}

fn push(world: &World, key: &str, at_s: i64) -> u16 {
    let body = format!(r#"{{"device": "prova", "time": {at_s}, "values": {{"level": 1.5}}}}"#);
    world.post("/api/v1/observations", key, "application/json", &body).0
}

fn part(world: &World, kind: &str) -> serde_json::Value {
    let ready = world.get("/readyz");
    let found = ready["parts"].as_array().expect("parts").iter().find(|part| part["part"] == kind).cloned();
    found.unwrap_or_else(|| panic!("no {kind} in {ready}"))
}

fn run(command: &mut Command) -> Output {
    command.output().expect("it runs")
}

fn words(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

#[test]
fn an_edge_whose_log_nobody_reads_any_more_hands_on_what_it_has_and_says_so() {
    let (centre_dir, edge_dir) = (Dir::new("log-centre"), Dir::new("log-edge"));
    let network = network();
    let mut centre = World::run(&centre_dir, &network);
    edge_dir.write("secret", &token(&centre_dir, "demo", &["ingest"]));
    let config = configure(&edge_dir, &network);
    let of_edge = format!("[edge]\nname = \"cabina-7\"\ncentre = \"http://{}\"\ntoken_file = \"secret\"\ngather_ms = 100\n", centre.http);
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &of_edge).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let edge = World::start(pescaia().arg("run").arg("--config").arg(&config).stderr(Stdio::from(writer)));
    reader.read_exact(&mut [0; 16]).unwrap();
    drop(reader);
    // The centre goes away, which is worth a line of the log, and comes back at the same place.
    let key = token(&edge_dir, "demo", &["ingest"]);
    let start = now_s() - 1000;
    centre.kill();
    assert_eq!(push(&edge, &key, start), 200);
    eventually("the cut is seen", 20, || part(&edge, "edge-centre")["state"] == "degraded");
    eventually("the log is named", 20, || part(&edge, "log")["state"] == "degraded");
    let address = format!("[http]\nlisten = \"{}\"", centre.http);
    let text = std::fs::read_to_string(centre_dir.path().join("pescaia.toml")).unwrap();
    let anew = centre_dir.write("pescaia.toml", &text.replace("[http]\nlisten = \"127.0.0.1:0\"", &address));
    let centre = World::start(pescaia().arg("run").arg("--config").arg(&anew));
    assert_eq!(push(&edge, &key, start + 10), 200);
    eventually("all of it is at the centre", 60, || centre.observations("prova-level", "period=P1D").len() == 2);
    assert_eq!(part(&edge, "edge-centre")["state"], "ok");
}

#[test]
fn a_reload_takes_over_what_it_can_and_names_what_wants_a_restart() {
    let dir = Dir::new("reload");
    let config = configure(&dir, &one_gauge());
    let log = dir.path().join("log");
    let mut world =
        World::start(pescaia().arg("run").arg("--config").arg(&config).env_remove("PESCAIA_LOG").stderr(File::create(&log).unwrap()));
    let logged = |text: &str| std::fs::read_to_string(&log).unwrap().contains(text);
    dir.write("network.toml", &one_gauge().replace("name = \"Prova\"", "name = \"Prova nuova\""));
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("log = \"debug\"\n{text}[store]\nlinger_ms = 7\n")).unwrap();
    world.signal("USR1");
    world.signal("HUP");
    eventually("it is told", 20, || logged("wants_restart") && logged("[store] linger_ms"));
    assert_eq!(world.get("/api/v1/stations/prova")["name"], "Prova nuova");
    std::fs::write(&config, "data_dri = 1\n").unwrap();
    world.signal("HUP");
    eventually("it is refused", 20, || logged("reload_refused") && logged("did you mean"));
    assert!(world.is_running());
    assert_eq!(world.terminate(), Some(0));
}

#[test]
fn an_export_fills_a_pipe_follows_a_link_and_never_takes_their_place() {
    let dir = Dir::new("targets");
    let world = World::run(&dir, &network());
    assert_eq!(push(&world, &token(&dir, "demo", &["ingest"]), now_s()), 200);
    let at = |name: &str| dir.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    std::fs::write(at("real"), "old").unwrap();
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    let export = |out: &Path| pescaia().args(["export", "prova-level", "--out"]).arg(out).arg("--data").arg(at("data")).output().unwrap();
    let pipe = at("pipe");
    let reading = std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap());
    assert!(export(&at("pipe")).status.success());
    assert!(reading.join().unwrap().contains("1.5"));
    let done = export(&at("link"));
    assert!(done.status.success(), "{}", words(&done));
    assert!(at("link").is_symlink() && std::fs::read_to_string(at("real")).unwrap().contains("1.5"));
    assert_eq!(export(Path::new("/dev/full")).status.code(), Some(1), "what could not be written is no success");
    let backup = |to: &Path| run(pescaia().arg("backup").arg(to).arg("--data").arg(at("data")));
    assert_eq!(backup(Path::new("/dev/full")).status.code(), Some(1));
    assert_eq!(backup(&at("real")).status.code(), Some(1), "it is there already");
    std::os::unix::fs::symlink("to-be", at("dangling")).unwrap();
    let done = backup(&at("dangling"));
    assert!(done.status.success() && at("to-be").is_file(), "{}", words(&done));
    assert!(!at("to-be.incoming").exists() && !at("data/backup.tmp").exists());
}

#[test]
fn a_backup_is_where_its_user_means_even_if_the_service_sees_another_place_there() {
    let dir = Dir::new("elsewhere");
    let config = configure(&dir, &network());
    let place = dir.path().join("private");
    std::fs::create_dir(&place).unwrap();
    // As PrivateTmp does: the service has a directory of its own by the same name.
    let script = format!("mount -t tmpfs none {} && exec \"$0\" \"$@\"", place.display());
    let may = Command::new("unshare").args(["-rm", "true"]).status();
    if !may.is_ok_and(|status| status.success()) {
        eprintln!("left out: this machine lets nobody have a name space of mounts");
        return;
    }
    let world = World::start(
        Command::new("unshare")
            .args(["-rm", "sh", "-c", &script])
            .arg(env!("CARGO_BIN_EXE_pescaia"))
            .arg("run")
            .arg("--config")
            .arg(&config),
    );
    assert_eq!(push(&world, &token(&dir, "demo", &["ingest"]), now_s()), 200);
    let file = place.join("nightly.db");
    let done = run(pescaia().arg("backup").arg(&file).arg("--config").arg(&config));
    assert!(done.status.success() && file.is_file(), "{}", words(&done));
    let checked = run(pescaia().arg("verify").arg(&file));
    assert!(checked.status.success() && words(&checked).contains("1 observations"), "{}", words(&checked));
}

#[test]
fn every_command_of_the_guide_works() {
    let dir = Dir::new("guide");
    let config = configure(&dir, &one_gauge());
    let _world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    let guide = std::fs::read_to_string(root().join("docs/guida/esercizio.md")).unwrap();
    let blocks = guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let commands: Vec<&str> = blocks.flat_map(str::lines).filter(|line| line.starts_with("pescaia ")).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let here = command
            .replacen("pescaia ", &format!("{} ", env!("CARGO_BIN_EXE_pescaia")), 1)
            .replace("> /etc/pescaia/pescaia.toml", "> /dev/null")
            .replace("/etc/pescaia/pescaia.toml", config.to_str().unwrap())
            .replace("/mnt/copie", dir.path().to_str().unwrap())
            .replace("empoli-level --out empoli.csv", &format!("prova-level --out {}", dir.path().join("out.csv").display()));
        let done = run(Command::new("sh").args(["-c", &here]));
        assert!(done.status.success(), "{command}: {}", words(&done));
    }
}

#[test]
fn doctor_only_looks_and_a_long_path_is_no_trouble() {
    let dir = Dir::new("looks");
    let long = "d".repeat(60) + "/" + &"e".repeat(60);
    let config = configure(&dir, &one_gauge());
    let text = std::fs::read_to_string(&config).unwrap().replace("\"data\"", &format!("\"{long}\""));
    std::fs::write(&config, text).unwrap();
    let done = run(pescaia().args(["doctor", "--config"]).arg(&config));
    assert!(done.status.success(), "{}", words(&done));
    assert!(words(&done).contains("is not there yet") && words(&done).contains("descriptors"), "{}", words(&done));
    assert!(!dir.path().join("d".repeat(60)).exists(), "nothing was made");
    let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
    assert!(token(&dir, "demo", &["read"]).starts_with("pescaia_"), "commands reach it");
    let done = run(pescaia().args(["doctor", "--config"]).arg(&config));
    assert!(words(&done).contains("ask the running pescaia"), "{}", words(&done));
    assert_eq!(world.terminate(), Some(0));
}
