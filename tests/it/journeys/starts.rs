//! What was accepted starts again; what is wrong by then is left out and named; and whoever tells it to end is heard at every moment.

use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, said, token};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Two owners: `demo` with a spare datastream, `beta` with one that is private and one that is public.
fn two_owners() -> String {
    let mut text = one_gauge();
    text += "[[datastream]]\nid = \"prova-spare\"\nstation = \"prova\"\nproperty = \"water_level\"\nperiod_s = 10\n";
    text += "[[owner]]\nid = \"beta\"\nname = \"beta\"\n";
    for (id, visibility) in [("pub", "public"), ("pri", "private")] {
        text += &format!(
            "[[station]]\nid = \"beta-{id}\"\nowner = \"beta\"\nname = \"Segreto {id}\"\nwhere = [43.9, 11.1]\n\
             [[datastream]]\nid = \"beta-{id}-level\"\nstation = \"beta-{id}\"\nproperty = \"water_level\"\nperiod_s = 10\nvisibility = \"{visibility}\"\n"
        );
    }
    text
}

fn push(world: &World, token: &str, device: &str, channel: &str) {
    let body = format!("[{{\"device\": \"{device}\", \"time\": {}, \"values\": {{\"{channel}\": 1.5}}}}]", now_s());
    world.post("/api/v1/observations", token, "application/json", &body);
}

#[test]
fn an_adoption_asks_whose_it_is_and_nothing_that_was_adopted_blocks_the_next_start() {
    let dir = Dir::new("adoptions");
    let world = World::run(&dir, &two_owners());
    let (ingest, manage) = (token(&dir, "demo", &["ingest"]), token(&dir, "demo", &["manage"]));
    push(&world, &ingest, "prova", "livello");
    let adopt = |world: &World, more: &str| {
        let order = format!("{{\"device\": \"prova\", \"channel\": \"livello\", \"property\": \"water_level\", {more}}}");
        let (status, answer) = world.post("/api/v1/proposals/adopt", &manage, "application/json", &order);
        (status, answer.to_string())
    };
    for (more, status) in [
        ("\"station\": \"beta-pri\"", 404),
        ("\"station\": \"beta-pri\", \"public\": true, \"datastream\": \"beta-pri-level\"", 404),
        ("\"station\": \"beta-pub\", \"datastream\": \"beta-pub-level\"", 403),
        ("\"station\": \"prova\", \"datastream\": \"beta-pri-level\"", 404),
        ("\"station\": \"prova\", \"datastream\": \"beta-pub-level\"", 403),
        // Its own, which another device of its own feeds already.
        ("\"station\": \"prova\", \"datastream\": \"prova-level\"", 422),
    ] {
        let (found, said) = adopt(&world, more);
        assert_eq!(found, status, "{more}: {said}");
        assert!(!said.contains("Segreto"), "{said}");
    }
    let command = ["proposals", "adopt", "prova", "livello", "--owner", "demo", "--property", "water_level", "--station", "beta-pri"];
    assert!(said(&dir, &command).contains("demo has no station \"beta-pri\""), "{}", said(&dir, &command));
    let (status, answer) = adopt(&world, "\"station\": \"prova\", \"datastream\": \"prova-spare\"");
    assert!(status == 200 && answer.contains("\"accepted\":1"), "{answer}");
    assert_eq!(world.terminate(), Some(0));
    let world = World::run(&dir, &two_owners());
    assert_eq!(world.get("/readyz")["degraded"], false);
    assert_eq!(world.terminate(), Some(0));
}

#[test]
fn files_that_were_edited_into_a_conflict_start_with_what_is_sound() {
    let dir = Dir::new("conflicts");
    let world = World::run(&dir, &two_owners());
    let (ingest, read) = (token(&dir, "demo", &["ingest"]), token(&dir, "demo", &["read"]));
    let more = "[[feed]]\nowner = \"demo\"\ndevice = \"prova\"\nchannel = \"x2\"\ndatastream = \"prova-level\"\n";
    let file = dir.write("more.toml", more);
    let refused = said(&dir, &["network", "apply", file.to_str().unwrap()]);
    assert!(refused.contains("demo/prova feeds the same datastream, prova-level"), "{refused}");
    dir.write("more.toml", &more.replace("prova-level", "beta-pub-level"));
    let refused = said(&dir, &["network", "apply", file.to_str().unwrap()]);
    assert!(refused.contains("add datastream_owner = \"beta\" to the feed"), "{refused}");
    dir.write("more.toml", &more.replace("prova-level", "prova-spare"));
    assert!(said(&dir, &["network", "apply", file.to_str().unwrap()]).contains("+ feed demo/prova/x2"));
    assert_eq!(world.terminate(), Some(0));

    // By hand: a second device for one datastream, a property that there is not, and a gauge that is all right.
    let edited = two_owners().replacen("period_s = 10\n[[owner]]", "period_s = 10\nvisibility = \"publik\"\n[[owner]]", 1)
        + "[[device]]\nid = \"second\"\nowner = \"demo\"\nhttp = true\n\
           feeds = [{ channel = \"level\", datastream = \"prova-level\" }, { channel = \"other\", datastream = \"prova-other\" }]\n\
           [[datastream]]\nid = \"prova-other\"\nstation = \"prova\"\nproperty = \"water_level\"\nperiod_s = 10\nvisibility = \"public\"\n";
    let config = configure(&dir, &edited);
    let doctor = pescaia().args(["doctor", "--config"]).arg(&config).output().unwrap();
    let words = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.success() && words.contains("the start would leave out: device demo/second"), "{words}");
    let world = World::run(&dir, &edited);
    let ready = world.get("/readyz");
    assert!(ready["degraded"] == true && ready["ready"] == true, "{ready}");
    assert!(!ready.to_string().contains("demo/second"), "names are nobody's business: {ready}");
    let (_, own) = world.get_as("/readyz", Some(&read));
    assert!(own.contains("device demo/second: demo/prova feeds the same datastream") && own.contains("publik"), "{own}");
    push(&world, &ingest, "second", "other");
    push(&world, &ingest, "second", "level");
    eventually("what is sound of it is taken", 5, || world.observations("prova-other", "period=PT1H").len() == 1);
    assert!(said(&dir, &["quarantine", "list"]).contains("demo/second/level"), "what is not waits in the quarantine");
    assert_eq!(world.terminate(), Some(0));
    // Mended: all of it is there, and what waited can be taken.
    let mended = two_owners()
        + "[[device]]\nid = \"second\"\nowner = \"demo\"\nhttp = true\nfeeds = [{ channel = \"level\", datastream = \"prova-fresh\" }]\n\
           [[datastream]]\nid = \"prova-fresh\"\nstation = \"prova\"\nproperty = \"water_level\"\nperiod_s = 10\nvisibility = \"public\"\n";
    let world = World::run(&dir, &mended);
    assert_eq!(world.get("/readyz")["degraded"], false, "{}", world.get("/readyz"));
    let replayed = said(&dir, &["quarantine", "replay", "--device", "second"]);
    assert!(replayed.contains("1 readings accepted"), "{replayed}");
}

/// The service without waiting for anything; its standard output.
fn begin(command: &str, words: &[&str]) -> Child {
    pescaia().arg(command).args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("pescaia starts")
}

fn send(child: &Child, signal: &str) {
    assert!(std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
}

/// How it ended, within ten seconds.
fn ended(child: &mut Child) -> std::process::ExitStatus {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return status,
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            None => {
                child.kill().unwrap();
                panic!("it had not ended after ten seconds");
            }
        }
    }
}

/// Whether the process takes this signal, as the kernel has it.
fn takes_term(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let mask = |kind: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(kind));
        line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or(0)
    };
    // Held back until it is taken, or taken.
    (mask("SigCgt:") | mask("SigBlk:")) & (1 << 14) != 0
}

#[test]
fn sigterm_is_heard_at_every_stage_of_a_start() {
    let dir = Dir::new("term");
    let config = configure(&dir, &one_gauge());
    let config = config.to_str().unwrap();
    for wait_ms in [0, 3, 10, 20, 40, 60, 80, 120, 160, 240] {
        let mut child = begin("run", &["--config", config]);
        while !takes_term(&child) {
            assert!(child.try_wait().unwrap().is_none());
        }
        std::thread::sleep(Duration::from_millis(wait_ms));
        send(&child, "TERM");
        let status = ended(&mut child);
        assert_eq!((status.code(), status.signal()), (Some(0), None), "{wait_ms} ms after the start");
    }
    // The moment the line is read, while a client asks and does not read.
    for _ in 0..3 {
        let mut child = begin("run", &["--config", config]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.next().unwrap().unwrap();
        let http = ready.split(' ').find_map(|word| word.strip_prefix("http=")).unwrap().to_owned();
        let mut live = TcpStream::connect(&http).unwrap();
        live.write_all(b"GET /api/v1/live HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut half = TcpStream::connect(&http).unwrap();
        half.write_all(b"POST /api/v1/observations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
        send(&child, "TERM");
        assert_eq!(ended(&mut child).code(), Some(0));
        drop((live, half));
    }
    let checked = said(&dir, &["verify"]);
    assert!(checked.contains("it is sound"), "{checked}");
    let data = dir.path().join("demo");
    let data = data.to_str().unwrap();
    let demo = ["--data", data, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
    for wait_ms in [0, 100, 600] {
        let mut child = begin("demo", &demo);
        while !takes_term(&child) {
            assert!(child.try_wait().unwrap().is_none());
        }
        std::thread::sleep(Duration::from_millis(wait_ms));
        send(&child, "INT");
        assert_eq!(ended(&mut child).code(), Some(0), "demo, {wait_ms} ms after the start");
    }
}

#[test]
fn sighup_and_sigusr1_end_nothing_and_a_second_sigterm_ends_at_once() {
    let dir = Dir::new("hup");
    let config = configure(&dir, &one_gauge());
    let mut child = begin("run", &["--config", config.to_str().unwrap()]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("ready "));
    for signal in ["HUP", "USR1", "USR2", "HUP"] {
        send(&child, signal);
    }
    assert!(said(&dir, &["audit"]).contains("nobody has changed anything"), "it goes on");
    assert!(child.try_wait().unwrap().is_none());
    // An import that waits for its file holds nothing up.
    let mut import = pescaia();
    import.args(["import", "-", "--datastream", "prova-level", "--config", config.to_str().unwrap()]);
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    import.stdin.as_mut().unwrap().write_all(b"phenomenon_time,result\n").unwrap();
    send(&child, "TERM");
    assert_eq!(ended(&mut child).code(), Some(0));
    drop(import.stdin.take());
    let _ = import.wait();
    let mut child = begin("run", &["--config", config.to_str().unwrap()]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    let http = ready.split(' ').find_map(|word| word.strip_prefix("http=")).unwrap().to_owned();
    let mut slow = TcpStream::connect(&http).unwrap();
    slow.write_all(b"GET /api/v1/live HTTP/1.1\r\nHost: x\r\n").unwrap();
    send(&child, "TERM");
    send(&child, "INT");
    ended(&mut child);
}

fn modes(path: &Path, wide: &mut Vec<String>) {
    let mode = std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        wide.push(format!("{} {mode:o}", path.display()));
    }
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().flatten().for_each(|entry| modes(&entry.path(), wide));
    }
}

#[test]
fn the_data_directory_is_its_owner_s_alone_and_no_device_writes_on_the_terminal() {
    let dir = Dir::new("modes");
    let config = configure(&dir, &one_gauge());
    let log = std::fs::File::create(dir.path().join("log")).unwrap();
    let world = World::start(pescaia().args(["run", "--config"]).arg(&config).stderr(log));
    let ingest = token(&dir, "demo", &["ingest"]);
    let evil = "\\u001b]0;pwned\\u0007\\u001b[2J\\u202e\\nFAKE line\\u009b31m";
    push(&world, &ingest, &format!("dev{evil}"), "level");
    push(&world, &ingest, "prova", &format!("ch{evil}"));
    let backup = dir.path().join("backup.db");
    assert!(said(&dir, &["backup", backup.to_str().unwrap()]).contains("backed up"));
    let (mut wide, data) = (Vec::new(), dir.path().join("data"));
    modes(&data, &mut wide);
    modes(&backup, &mut wide);
    assert!(wide.is_empty(), "{wide:?}");
    for words in [
        &["quarantine", "list"][..],
        &["quarantine", "show", "1"],
        &["quarantine", "show", "2"],
        &["proposals", "list"],
        &["proposals", "adopt", "dev\u{1b}[2J", "x", "--owner", "demo", "--station", "prova"],
        &["ledger"],
        &["audit"],
        &["quarantine", "replay", "--all", "--dry-run"],
    ] {
        let shown = said(&dir, words);
        let wrong = shown.chars().find(|char| (char.is_control() && *char != '\n') || *char == '\u{202e}');
        assert!(wrong.is_none() && !shown.contains("\nFAKE"), "{words:?}: {shown:?}");
    }
    assert_eq!(world.terminate(), Some(0));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains('\u{1b}') && !log.contains("\nFAKE"), "{log:?}");
}

#[test]
fn a_hyphen_is_the_standard_output_and_the_standard_input() {
    let dir = Dir::new("hyphen");
    let world = World::run(&dir, &one_gauge());
    let ingest = token(&dir, "demo", &["ingest"]);
    push(&world, &ingest, "prova", "level");
    let data = dir.path().join("data");
    let export = |more: &[&str]| {
        let done = pescaia().current_dir(dir.path()).args(["export", "prova-level", "--data"]).arg(&data).args(more).output().unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    };
    let whole = export(&[]);
    assert_eq!((export(&["--out", "-"]), whole.lines().count()), (whole.clone(), 2));
    let mut import = pescaia();
    import.current_dir(dir.path()).args(["import", "-", "--datastream", "prova-level", "--data"]).arg(&data);
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(whole.as_bytes()).unwrap();
    let mut told = String::new();
    import.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(import.wait().unwrap().success() && told.contains("1 there already"), "{told}");
    assert!(!dir.path().join("-").exists());
}
