//! F18: a process that stands still for long, and one that the machine has no memory for. Both lose nothing that was acknowledged.

use crate::support::crew::{Crew, network};
use crate::support::{Dir, World, configure, pescaia, token};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PUBLISHERS: usize = 50;

fn is_long() -> bool {
    std::env::var("PESCAIA_LONG").is_ok()
}

#[test]
fn who_stands_still_for_long_goes_on_and_takes_once_what_is_sent_again() {
    let (stop, patience) = if is_long() { (30, 5) } else { (6, 2) };
    let dir = Dir::new("stopped");
    let config = configure(&dir, &network(PUBLISHERS, 1));
    let mut world = World::start(pescaia().env("PESCAIA_LOG", "error").arg("run").arg("--config").arg(&config));
    // Its publishers give up several times while it stands: their connections wait at the door, each with the same to say.
    let crew = Crew::start(&world, PUBLISHERS, Duration::from_secs(patience));
    crew.reaches(&mut world, 20_000);
    world.signal("STOP");
    std::thread::sleep(Duration::from_millis(500));
    let before = crew.acked();
    std::thread::sleep(Duration::from_secs(stop));
    assert_eq!(crew.acked(), before, "nobody is there to acknowledge anything");
    world.signal("CONT");
    let first = crew.reaches(&mut world, before + 1);
    crew.reaches(&mut world, before + 20_000);
    let ledger = crew.ends(&world);
    eprintln!("F18: stood still for {stop} s; acknowledged again after {first:?}; {ledger:?}, 0 twice");
    assert_eq!((ledger.lost, ledger.wrong), (0, 0));
    assert!(first < Duration::from_secs(5), "soon after it goes on: {first:?}");
    assert!(ledger.resent > 0, "something was sent again");
    assert_eq!(world.terminate(), Some(0), "a quiet end");
}

/// A group of processes with a limit of memory, where this machine lets us make one. It goes away with its owner.
struct Group(PathBuf);

impl Group {
    fn with(world: &World) -> Option<Self> {
        let group = PathBuf::from("/sys/fs/cgroup/memory").join(format!("pescaia-it-{}", world.id()));
        std::fs::create_dir(&group).ok()?;
        let group = Self(group);
        group.write("cgroup.procs", u64::from(world.id()));
        Some(group)
    }
    fn write(&self, name: &str, number: u64) {
        std::fs::write(self.0.join(name), number.to_string()).unwrap_or_else(|cause| panic!("{name}: {cause}"));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// How the machine takes memory away; the signal by which that ends.
#[derive(Debug, Clone, Copy)]
enum Want {
    /// It is killed: a group of its own, which has no more.
    Kill,
    /// It is refused what it asks for, and aborts.
    Refusal,
}

/// From now on there is only a little more than what it has. False where this machine does not let us do that.
fn takes_away(want: Want, world: &World, group: &mut Option<Group>) -> bool {
    let a_little = 4 << 20;
    match want {
        Want::Kill => {
            *group = Group::with(world);
            let Some(group) = group else { return false };
            group.write("memory.limit_in_bytes", a_little);
        }
        Want::Refusal => {
            let status = std::fs::read_to_string(format!("/proc/{}/status", world.id())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
            let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            let limit = format!("--data={}", kilobytes * 1024 + a_little);
            assert!(Command::new("prlimit").args(["--pid", &world.id().to_string(), &limit]).status().unwrap().success());
        }
    }
    true
}

/// Much at once, which needs memory; long before what the crew says.
fn ask_much(door: &str, key: &str, stop: &AtomicBool) {
    let item = |n: u32| format!(r#"{{"device":"d0","time":{},"values":{{"level":1.5}}}}"#, 1_600_000_000 + n);
    let body = format!("[{}]", (0..20_000).map(item).collect::<Vec<_>>().join(","));
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    while !stop.load(Ordering::Relaxed) {
        let request = agent.post(door).header("authorization", format!("Bearer {key}")).header("content-type", "application/json");
        let _ = request.send(&body);
    }
}

#[test]
fn who_gets_no_memory_ends_at_once_and_nothing_acknowledged_is_lost() {
    let rounds = if is_long() { 10 } else { 2 };
    for (want, signal) in [(Want::Kill, 9), (Want::Refusal, 6)] {
        let dir = Dir::new(&format!("memory-{want:?}"));
        let config = configure(&dir, &network(PUBLISHERS, 1));
        let start = || World::start(pescaia().env("PESCAIA_LOG", "error").arg("run").arg("--config").arg(&config));
        let mut world = start();
        let key = token(&dir, "o", &["ingest"]);
        let crew = Crew::start(&world, PUBLISHERS, Duration::from_secs(20));
        let mut ends = Vec::new();
        for round in 1..=rounds {
            let wanted = crew.acked() + 5_000;
            crew.reaches(&mut world, wanted);
            let mut group = None;
            if !takes_away(want, &world, &mut group) {
                eprintln!("F18: this machine lets us make no group of processes, so {want:?} is left out");
                break;
            }
            let (door, stop, begun) = (world.url("/api/v1/observations"), AtomicBool::new(false), Instant::now());
            let ended = std::thread::scope(|scope| {
                (0..4).for_each(|_| drop(scope.spawn(|| ask_much(&door, &key, &stop))));
                let ended = world.end_within(Duration::from_secs(30));
                stop.store(true, Ordering::Relaxed);
                ended
            });
            assert_eq!(ended.and_then(|ended| ended.signal()), Some(signal), "{want:?}, round {round}: {ended:?}");
            ends.push(begun.elapsed());
            world = start();
            crew.turns_to(&world);
        }
        let ledger = crew.ends(&world);
        eprintln!("F18: {want:?}: ended after {ends:?}; {ledger:?}, 0 twice");
        assert_eq!((ledger.lost, ledger.wrong), (0, 0));
        assert!(ends.is_empty() || ledger.resent >= rounds, "each end cost a resend");
        assert_eq!(world.terminate(), Some(0), "a quiet end");
    }
}
