//! How much one owner may send, so that a device gone mad slows its owner down and nobody else. Beyond that reading waits: nothing
//! is dropped.

use model::OwnerId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What may come at once after a rest: as much as in two seconds.
const BURST: Duration = Duration::from_secs(2);

pub(super) struct Quotas {
    messages_per_s: u32,
    of: Mutex<HashMap<OwnerId, Arc<Quota>>>,
}

impl Quotas {
    pub(super) fn new(messages_per_s: u32) -> Self {
        Self { messages_per_s, of: Mutex::default() }
    }
    /// The one that all connections of an owner share.
    pub(super) fn of(&self, owner: &OwnerId) -> Arc<Quota> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.entry(owner.clone()).or_insert_with(|| Arc::new(Quota::new(self.messages_per_s, Instant::now()))).clone()
    }
}

/// Counts in time: each message moves the instant on from which on its owner owes nothing.
pub(super) struct Quota {
    start: Instant,
    each_ns: u64,
    /// Since `start`, ns.
    paid_until: AtomicU64,
}

impl Quota {
    fn new(messages_per_s: u32, start: Instant) -> Self {
        Self { start, each_ns: 1_000_000_000 / u64::from(messages_per_s.max(1)), paid_until: AtomicU64::new(0) }
    }

    /// Counts one message; returns how long to wait before it may be taken.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let now_ns = u64::try_from(now.duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let after = |before: u64| before.max(now_ns).saturating_add(self.each_ns);
        let mut before = self.paid_until.load(Ordering::Relaxed);
        while let Err(other) = self.paid_until.compare_exchange_weak(before, after(before), Ordering::Relaxed, Ordering::Relaxed) {
            before = other;
        }
        let ahead = Duration::from_nanos(after(before) - now_ns);
        ahead.checked_sub(BURST).filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_a_burst_an_owner_gets_its_rate_and_never_less() {
        let start = Instant::now();
        let quota = Quota::new(100, start);
        assert!((0..200).all(|_| quota.wait(start).is_none()), "two seconds' worth at once");
        assert_eq!(quota.wait(start), Some(Duration::from_millis(10)));
        assert_eq!(quota.wait(start), Some(Duration::from_millis(20)));
        let later = start + Duration::from_secs(1);
        assert_eq!((0..98).filter_map(|_| quota.wait(later)).count(), 0, "what was waited for is there");
        assert!(quota.wait(later).is_some());
        let rested = start + Duration::from_secs(60);
        assert!((0..200).all(|_| quota.wait(rested).is_none()) && quota.wait(rested).is_some(), "rest is not saved up");
    }

    #[test]
    fn each_owner_has_its_own() {
        let quotas = Quotas::new(1);
        let now = Instant::now();
        let (one, same, other) = (quotas.of(&"a".into()), quotas.of(&"a".into()), quotas.of(&"b".into()));
        while one.wait(now).is_none() {}
        assert!(same.wait(now).is_some() && other.wait(now).is_none());
    }
}
