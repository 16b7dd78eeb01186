//! Who decides which days are made again, and when. Days that are over are published; what comes late for them is healed at once.

mod refresh;
#[cfg(test)]
mod tests;

pub use refresh::{Refreshed, Why, refresh};

use crate::job::Job;
use model::{Timestamp, civil_day_around};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use store::Store;
use tokio::sync::watch;

/// What comes late rarely comes alone: this long is waited for company, so that many late readings are healed by one publication.
const GATHER: Duration = Duration::from_millis(300);
/// After midnight devices still send what they measured before it.
const AFTER_MIDNIGHT_S: i64 = 120;
/// A clock that is set to another day is noticed within this long, seconds.
const LOOK_AGAIN_S: f64 = 900.0;
/// A dataset that could not be made is tried again after this long.
const RETRY: Duration = Duration::from_secs(30);
/// A dataset in `/readyz`, by its id.
const PART: &str = "dataset";

/// Keeps every dataset as the observations say.
pub struct Keeper {
    store: Store,
    jobs: Arc<[Box<dyn Job>]>,
    meters: Meters,
}

/// What it counts.
#[derive(Clone, Default)]
pub struct Meters {
    published: Counter,
    failed: Counter,
    last_seconds: Gauge<f64, AtomicU64>,
}

impl Meters {
    pub fn register(&self, registry: &mut Registry) {
        registry.register("pescaia_datasets_published", "Versions of datasets that were published", self.published.clone());
        registry.register("pescaia_datasets_failed", "Versions of datasets that could not be made", self.failed.clone());
        registry.register("pescaia_dataset_last_seconds", "How long the last one took, s", self.last_seconds.clone());
    }
}

impl Keeper {
    #[must_use]
    pub fn new(store: Store, jobs: Vec<Box<dyn Job>>, meters: Meters) -> Self {
        Self { store, jobs: jobs.into(), meters }
    }

    /// Runs until it is told to stop; a version that is being made then is given up, the published one holds.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut late = self.store.late_changes();
        let mut registry = self.store.registry_changes();
        loop {
            late.mark_unchanged();
            registry.mark_unchanged();
            let all_made = tokio::select! {
                // The version that is being made is given up: nothing of it is seen.
                () = async { drop(stop.wait_for(|stop| *stop).await) } => return,
                all_made = self.make_all() => all_made,
            };
            let wait = if all_made { until_next_day(self.store.clock().now()) } else { RETRY };
            tokio::select! {
                () = async { drop(stop.wait_for(|stop| *stop).await) } => return,
                () = async { drop(late.changed().await) } => tokio::time::sleep(GATHER).await,
                () = async { drop(registry.changed().await) } => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn make_all(&self) -> bool {
        // Which days are over nobody knows then; what is published holds.
        if self.store.clock_trust().is_err() {
            return false;
        }
        let (store, jobs, meters) = (self.store.clone(), self.jobs.clone(), self.meters.clone());
        let made = tokio::task::spawn_blocking(move || {
            let through = *store.late_changes().borrow();
            let mut all = true;
            for job in jobs.iter() {
                all &= made(&store, job.as_ref(), through, &meters);
            }
            if all && through > 0 && store.late_days().is_ok_and(|days| days.first().is_some_and(|day| day.commit <= through)) {
                all = store.forget_late(through).is_ok();
            }
            all
        });
        made.await.unwrap_or(false)
    }
}

/// As [`make`]; a job that panics holds up no other.
fn made(store: &Store, job: &dyn Job, through: u64, meters: &Meters) -> bool {
    catch_unwind(AssertUnwindSafe(|| make(store, job, through, meters))).unwrap_or_else(|panic| {
        meters.failed.inc();
        store.part(PART, &job.about().id, None).panicked(panic.as_ref());
        false
    })
}

fn make(store: &Store, job: &dyn Job, through: u64, meters: &Meters) -> bool {
    let part = store.part(PART, &job.about().id, None);
    let start = std::time::Instant::now();
    let refreshed = refresh(store, job, through);
    match &refreshed {
        Ok(_) => part.ok("it is as the observations say"),
        Err(cause) => part.degraded(format!("it could not be made: {cause}; the one published before holds, and it is tried again")),
    }
    match refreshed {
        Ok(Some(Refreshed { published, days, why })) => {
            let seconds = start.elapsed().as_secs_f64();
            meters.published.inc();
            meters.last_seconds.set(seconds);
            let (dataset, edition) = (&published.dataset.id, published.edition);
            match why {
                // A device that sends its memory heals a dataset every few seconds: no news for whoever reads the log.
                Why::Late => tracing::debug!(event = "healed", dataset, edition, days, seconds, "a dataset was healed by what came late"),
                Why::Anew | Why::Day => tracing::info!(event = "published", dataset, edition, days, seconds, "a dataset was published"),
            }
            true
        }
        Ok(None) => true,
        // Given up, because everything ends.
        Err(crate::Error::Store(store::Error::Closed)) => false,
        Err(cause) => {
            meters.failed.inc();
            let dataset = job.about().id;
            tracing::error!(event = "dataset_failed", dataset, %cause, "a dataset could not be made; the one published before holds, and it is tried again");
            false
        }
    }
}

/// To shortly after the next civil day begins, and never longer than until it is worth asking the clock again: it may be set meanwhile.
fn until_next_day(now: Timestamp) -> Duration {
    let next = civil_day_around(now).to.plus_seconds(AFTER_MIDNIGHT_S);
    Duration::from_secs_f64(next.seconds_since(now).clamp(1.0, LOOK_AGAIN_S))
}
