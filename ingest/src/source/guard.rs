//! What strangers may take of a door: connections that have not shown who they are, wrong sign-ins, and what is done when the system
//! can accept no more.

mod network;

pub use network::{Network, Networks};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Whom an address is counted with: a subscriber of IPv6 has 2⁶⁴ of them.
#[must_use]
pub fn group_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        four => four,
    }
}

/// How many strangers there may be.
#[derive(Debug, Clone)]
pub struct StrangerLimits {
    /// From all addresses together.
    pub most: usize,
    /// From one address, of IPv6 from one /64, that have not sent their whole greeting. Of those whose greeting is being looked at, one
    /// address may have half of all.
    pub per_address: usize,
    /// Networks whose addresses are not counted each: proxies and gateways that speak for many.
    pub exempt: Networks,
}

/// Connections that have not shown who they are. When there are too many the oldest that is still silent goes, and the newcomer comes in:
/// who does what it came for is done before that. Cheap to clone.
#[derive(Clone)]
pub struct Strangers {
    limits: Arc<StrangerLimits>,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    next: u64,
    known: HashMap<u64, Known>,
    /// Those that have not sent their whole greeting, the oldest first.
    silent: BTreeSet<u64>,
    of: HashMap<IpAddr, Group>,
}

struct Known {
    group: IpAddr,
    told: Arc<Told>,
}

/// What a stranger's connection is told.
#[derive(Default)]
struct Told {
    eviction: Notify,
    /// It need not go any more. What it sent may have been waiting to be read when it was told to.
    has_greeted: AtomicBool,
}

impl Told {
    /// Resolves when it has to go.
    async fn evicted(&self) {
        self.eviction.notified().await;
        if self.has_greeted.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Default)]
struct Group {
    greeted: usize,
    silent: BTreeSet<u64>,
}

/// A stranger's place; given back when it is dropped, which is also how it ceases to be one.
pub struct Stranger {
    strangers: Strangers,
    number: u64,
    told: Arc<Told>,
}

impl Strangers {
    #[must_use]
    pub fn new(limits: StrangerLimits) -> Self {
        Self { limits: Arc::new(limits), held: Arc::default() }
    }

    /// A place for a new connection. `None` when all places are taken by strangers whose greeting is being looked at.
    #[must_use]
    pub fn admit(&self, address: IpAddr) -> Option<Stranger> {
        let group = group_of(address);
        let mut held = self.held();
        if let Some(of_group) = held.of.get(&group).filter(|_| !self.limits.exempt.contain(address)) {
            if of_group.greeted >= (self.limits.most / 2).max(1) {
                return None;
            }
            if let Some(oldest) = of_group.silent.first().copied().filter(|_| of_group.silent.len() >= self.limits.per_address) {
                held.evict(oldest);
            }
        }
        if held.known.len() >= self.limits.most {
            let oldest = held.silent.first().copied()?;
            held.evict(oldest);
        }
        let (number, told) = (held.next, Arc::<Told>::default());
        held.next += 1;
        held.known.insert(number, Known { group, told: told.clone() });
        held.silent.insert(number);
        held.of.entry(group).or_default().silent.insert(number);
        Some(Stranger { strangers: self.clone(), number, told })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn evict(&mut self, number: u64) {
        if let Some(known) = self.remove(number) {
            known.told.eviction.notify_one();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Known> {
        let known = self.known.remove(&number)?;
        self.silent.remove(&number);
        if let Some(group) = self.of.get_mut(&known.group) {
            if !group.silent.remove(&number) {
                group.greeted -= 1;
            }
            if group.greeted == 0 && group.silent.is_empty() {
                self.of.remove(&known.group);
            }
        }
        Some(known)
    }
}

impl Stranger {
    /// Resolves when the connection has to go, for a newcomer. To be polled after what reads its greeting.
    pub async fn evicted(&self) {
        self.told.evicted().await;
    }

    /// As [`Stranger::evicted`], for whoever does not keep the place.
    pub fn eviction(&self) -> impl Future<Output = ()> + Send + 'static {
        let told = self.told.clone();
        async move { told.evicted().await }
    }

    /// Its greeting has come whole: it is looked at, and does not go for a newcomer any more.
    pub fn has_greeted(&self) {
        self.told.has_greeted.store(true, Ordering::Relaxed);
        let mut held = self.strangers.held();
        held.silent.remove(&self.number);
        if let Some(group) = held.known.get(&self.number).map(|known| known.group)
            && let Some(group) = held.of.get_mut(&group)
            && group.silent.remove(&self.number)
        {
            group.greeted += 1;
        }
    }

    /// It was a greeting of the wire's; that of the protocol is still to come, and it may go for a newcomer again.
    pub fn has_to_greet_again(&self) {
        let mut held = self.strangers.held();
        if let Some(group) = held.known.get(&self.number).map(|known| known.group)
            && let Some(group) = held.of.get_mut(&group)
            && group.silent.insert(self.number)
        {
            group.greeted -= 1;
            held.silent.insert(self.number);
            self.told.has_greeted.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.told.has_greeted.store(true, Ordering::Relaxed);
        self.strangers.held().remove(self.number);
    }
}

/// Wrong sign-ins by address: so many at once, then one more each second. One that is still looked at counts as wrong until it has shown to
/// be right, so that no address fills the line before the slow hash.
pub struct WrongSignIns {
    at_once: u32,
    exempt: Networks,
    of: Mutex<BTreeMap<IpAddr, Instant>>,
}

/// A sign-in that is looked at. Dropped, it was wrong.
pub struct Attempt<'a> {
    wrong: &'a WrongSignIns,
    /// `None` where none are counted.
    group: Option<IpAddr>,
}

impl Attempt<'_> {
    /// It is not counted.
    pub fn was_right(self) {
        let mut of = self.wrong.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(paid_until) = self.group.and_then(|group| of.get_mut(&group)) {
            *paid_until = paid_until.checked_sub(EACH).unwrap_or(*paid_until);
        }
    }
}

/// How long one wrong sign-in is remembered.
const EACH: Duration = Duration::from_secs(1);
/// Addresses that are remembered; beyond them those go first that have the least to answer for.
const MOST_ADDRESSES: usize = 10_000;

impl WrongSignIns {
    #[must_use]
    pub fn new(at_once: usize, exempt: Networks) -> Self {
        Self { at_once: u32::try_from(at_once).unwrap_or(u32::MAX), exempt, of: Mutex::default() }
    }

    /// Begins a sign-in from this address; `None` when there were too many wrong ones.
    pub fn begin(&self, address: IpAddr, now: Instant) -> Option<Attempt<'_>> {
        if self.exempt.contain(address) {
            return Some(Attempt { wrong: self, group: None });
        }
        let group = group_of(address);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let debt = of.get(&group).map_or(Duration::ZERO, |paid_until| paid_until.saturating_duration_since(now));
        if debt > EACH.saturating_mul(self.at_once.saturating_sub(1)) {
            return None;
        }
        if of.len() >= MOST_ADDRESSES {
            of.retain(|_, paid_until| *paid_until > now);
        }
        if of.len() >= MOST_ADDRESSES
            && let Some(least) = of.iter().min_by_key(|(_, paid_until)| **paid_until).map(|(address, _)| *address)
        {
            of.remove(&least);
        }
        of.insert(group, now + debt + EACH);
        Some(Attempt { wrong: self, group: Some(group) })
    }
}

/// What a door does when the system gives it no connection: out of descriptors, most likely, and asking again at once would only burn a
/// core.
#[derive(Debug, Default)]
pub struct AcceptFailures {
    in_a_row: u32,
    told_at: Option<Instant>,
}

/// How often it is told.
const TELL_EVERY: Duration = Duration::from_secs(60);
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl AcceptFailures {
    /// A connection was accepted.
    pub fn over(&mut self) {
        self.in_a_row = 0;
    }

    /// Counts a failure; returns how long to wait before the next try, and whether to tell of it.
    pub fn another(&mut self, cause: &std::io::Error, now: Instant) -> (Duration, bool) {
        use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
        // That one went away before we came to it says nothing of the next.
        if matches!(cause.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
            return (Duration::ZERO, false);
        }
        let pause = SHORTEST_PAUSE.saturating_mul(1 << self.in_a_row.min(10)).min(LONGEST_PAUSE);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let is_told = self.told_at.is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
        if is_told {
            self.told_at = Some(now);
        }
        (pause, is_told)
    }
}

#[cfg(test)]
mod tests;
