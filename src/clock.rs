use model::{Clock, Timestamp, Uptime};
use std::sync::Arc;
use std::time::SystemTime;

/// Names the boot of this machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The machine's clock: the only place that asks it.
pub(crate) struct SystemClock {
    boot: Arc<str>,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        // Where the kernel does not name its boot, what came before a restart counts as of another.
        let unnamed = || format!("of process {} at {}", std::process::id(), since_boot_us());
        Self { boot: std::fs::read_to_string(BOOT_ID).map_or_else(|_| unnamed(), |text| text.trim().to_owned()).into() }
    }
}

/// Time asleep included.
fn since_boot_us() -> i64 {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    since.tv_sec.saturating_mul(1_000_000).saturating_add(since.tv_nsec / 1000)
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::UNIX_EPOCH.elapsed() {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
        };
        Timestamp::from_micros(micros)
    }

    fn uptime(&self) -> Option<Uptime> {
        Some(Uptime { boot: self.boot.clone(), micros: since_boot_us() })
    }

    fn built_at(&self) -> Timestamp {
        Timestamp::from_seconds(env!("PESCAIA_BUILT_S").parse().unwrap_or(0))
    }
}
