//! F3: a disk that fails to sync. Nothing is acknowledged after the error, the process ends at once, and a restart finds what
//! was acknowledged before.

use crate::support::mqtt::Publisher;
use crate::support::{Dir, World, configure, one_gauge, pescaia};
use std::process::Command;
use std::time::Duration;

const START: i64 = 1_767_225_600;

fn payload(number: u64) -> String {
    format!(r#"{{"time":{},"values":{{"level":1.25}}}}"#, START + i64::try_from(number).unwrap())
}

#[test]
fn a_failed_sync_ends_the_process_and_nothing_acknowledged_is_lost() {
    let mut fired = 0;
    for call in ["fdatasync", "fsync"] {
        let dir = Dir::new(&format!("sync-{call}"));
        let config = configure(&dir, &one_gauge());
        let trace = dir.path().join("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-q", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:error=EIO:when=60+"), "-o"]).arg(&trace);
        let mut world =
            World::start(strace.arg(env!("CARGO_BIN_EXE_pescaia")).env("PESCAIA_LOG", "error").arg("run").arg("--config").arg(&config));
        let mut publisher = Publisher::new("p", "prova", "pescaia/v1/demo/prova", 4, payload);
        // Only the call that SQLite uses on this system fires; the other never fails, and the run must end well.
        let lost = publisher.publish(&world.mqtt.clone(), &|now| now.acked >= 2000);
        let text = std::fs::read_to_string(&trace).unwrap_or_default();
        let injected = text.matches("INJECTED").count();
        eprintln!("{call}: {} acknowledged, {injected} failed syncs", publisher.acked);
        if injected == 0 {
            assert!(!lost, "{call} is not what commits wait for here");
            world.kill();
            continue;
        }
        fired += injected;
        assert!(lost, "{call}: the link ends with the process");
        assert_eq!(injected, 1, "no second sync after the error");
        for _ in 0..100 {
            if !world.is_running() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(!world.is_running(), "it ends within 5 s");
        let world = World::start(pescaia().arg("run").arg("--config").arg(&config));
        let found = world.observations("prova-level", "from=2025-12-31T00:00:00Z&to=2027-01-01T00:00:00Z").len();
        assert!(u64::try_from(found).unwrap() >= publisher.acked, "{found} found of {} acknowledged", publisher.acked);
    }
    assert!(fired > 0, "the fault was never there");
}
