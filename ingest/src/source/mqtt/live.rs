//! What has just been committed, for those who subscribe. Nothing is followed while nobody does, and nobody's slowness is felt
//! by anybody else: each has so much waiting and no more.

mod listener;
mod routes;

pub(super) use listener::Listener;
use listener::Said;

use super::filter::meet;
use super::topic::LONGEST;
use crate::meters::Meters;
use model::Observation;
use routes::{Map, Routes};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError};

/// Filters of one connection.
const MOST_FILTERS: usize = 64;
/// Clients whose filters are remembered while they are away.
const MOST_REMEMBERED: usize = 1000;

/// What becomes of a filter in a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    /// As QoS 0, whatever was asked for.
    Granted,
    /// It can't match anything that the client may see.
    Denied,
    /// `$share/…`: each subscriber here hears everything.
    Shared,
    /// Too many filters, or too long a one.
    TooMany,
    /// With a subscription identifier, which we announce not to take.
    Identified,
}

/// The live feed of one door.
pub(super) struct Live {
    store: Store,
    meters: Meters,
    heard: Mutex<Heard>,
    map: Mutex<Map>,
    /// Somebody left.
    left: Notify,
}

#[derive(Default)]
struct Heard {
    listeners: Vec<Arc<Listener>>,
    /// Changes with the listeners and their filters.
    version: u64,
    following: bool,
    /// Of clients whose session is kept, so that they need not subscribe again when they come back.
    remembered: HashMap<String, Vec<String>>,
}

impl Live {
    pub(super) fn new(store: Store, meters: Meters) -> Arc<Self> {
        Arc::new(Self { store, meters, heard: Mutex::default(), map: Mutex::default(), left: Notify::new() })
    }

    /// Adds filters; each is judged alone.
    pub(super) fn subscribe(self: &Arc<Self>, listener: &Arc<Listener>, filters: Vec<String>) -> Vec<Grant> {
        // Each is compared with all topics: who sends thousands is not worth that.
        if filters.len() > MOST_FILTERS {
            return vec![Grant::TooMany; filters.len()];
        }
        let map = self.map();
        let grants: Vec<_> = filters
            .into_iter()
            .map(|filter| match judge(&map, listener, &filter) {
                Grant::Granted if !listener.add(filter, MOST_FILTERS) => Grant::TooMany,
                grant => grant,
            })
            .collect();
        if grants.contains(&Grant::Granted) {
            self.listen(listener);
        }
        grants
    }

    /// For each filter whether there was such a subscription.
    pub(super) fn unsubscribe(&self, listener: &Listener, filters: &[String]) -> Vec<bool> {
        let removed = filters.iter().map(|filter| listener.remove(filter)).collect();
        self.heard().version += 1;
        removed
    }

    fn listen(self: &Arc<Self>, listener: &Arc<Listener>) {
        let mut heard = self.heard();
        heard.version += 1;
        if !heard.listeners.iter().any(|other| Arc::ptr_eq(other, listener)) {
            heard.listeners.push(listener.clone());
        }
        if !heard.following {
            heard.following = true;
            // Followed from this moment on: what is committed after the SUBACK is heard. On a thread of its own: telling many is long
            // work, and who acknowledges must not wait behind it.
            let (live, committed, runtime) = (self.clone(), self.store.follow(), Handle::current());
            let telling = move || live.follow_on(&runtime, committed);
            if let Err(cause) = std::thread::Builder::new().name("mqtt-live".into()).spawn(telling) {
                tracing::error!(event = "mqtt_live", %cause, "no thread for the live feed; who subscribed hears nothing until it subscribes again");
                heard.following = false;
            }
        }
    }

    pub(super) fn leave(&self, listener: &Arc<Listener>) {
        let mut heard = self.heard();
        let before = heard.listeners.len();
        heard.listeners.retain(|other| !Arc::ptr_eq(other, listener));
        if heard.listeners.len() < before {
            heard.version += 1;
            drop(heard);
            self.left.notify_one();
        }
    }

    /// Tells one client alone, if it listens to that.
    pub(super) fn tell(&self, listener: &Listener, topic: String, payload: Vec<u8>) -> bool {
        let wants = listener.wants(&topic);
        if wants {
            let dropped = listener.push(&Arc::new(Said { topic: topic.into(), payload: payload.into() }));
            self.meters.mqtt_dropped.inc_by(dropped);
        }
        wants
    }

    /// Notes what a client with a kept session is subscribed to. Lives as long as the process.
    pub(super) fn remember(&self, client: &str, listener: &Listener) {
        let filters = listener.filters();
        let remembered = &mut self.heard().remembered;
        if filters.is_empty() {
            remembered.remove(client);
        } else if remembered.len() < MOST_REMEMBERED || remembered.contains_key(client) {
            remembered.insert(client.to_owned(), filters);
        } else {
            tracing::warn!(
                event = "mqtt_not_remembered",
                "{MOST_REMEMBERED} clients are remembered already; this one has to subscribe again when it comes back"
            );
        }
    }

    /// What the client was subscribed to is heard again, as far as it still may. True when there is something.
    pub(super) fn resume(self: &Arc<Self>, client: &str, listener: &Arc<Listener>) -> bool {
        let filters = self.heard().remembered.get(client).cloned().unwrap_or_default();
        self.subscribe(listener, filters).contains(&Grant::Granted)
    }

    pub(super) fn forget(&self, client: &str) {
        self.heard().remembered.remove(client);
    }

    /// Follows until nobody listens. What it breaks on is said, and the commits after it are followed.
    fn follow_on(self: Arc<Self>, runtime: &Handle, mut committed: broadcast::Receiver<Arc<[Observation]>>) {
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.clone().follow(committed)))) {
            committed = self.store.follow();
            self.store.part("mqtt-live", "", None).panicked(panic.as_ref());
        }
    }

    async fn follow(self: Arc<Self>, mut committed: broadcast::Receiver<Arc<[Observation]>>) {
        let mut routes = Routes::default();
        loop {
            tokio::select! {
                commit = committed.recv() => match commit {
                    Ok(commit) => self.say(&commit, &mut routes),
                    Err(RecvError::Lagged(missed)) => {
                        self.meters.mqtt_dropped.inc_by(missed);
                        tracing::warn!(event = "mqtt_live_lagged", commits = missed, "subscribers missed commits: more is committed than can be told; all of it is on disk");
                    }
                    Err(RecvError::Closed) => return,
                },
                () = self.left.notified() => {
                    let mut heard = self.heard();
                    if heard.listeners.is_empty() {
                        heard.following = false;
                        return;
                    }
                }
            }
        }
    }

    fn say(&self, commit: &[Observation], routes: &mut Routes) {
        {
            let map = self.map();
            let heard = self.heard();
            routes.renew(map, heard.version, || heard.listeners.clone());
        }
        for observation in commit {
            let dropped = routes.say(observation);
            if dropped > 0 {
                self.meters.mqtt_dropped.inc_by(dropped);
            }
        }
    }

    fn map(&self) -> Map {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        map.renew(self.store.registry());
        map.clone()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn judge(map: &Map, listener: &Listener, filter: &str) -> Grant {
    if filter.starts_with("$share/") {
        return Grant::Shared;
    }
    if filter.len() > LONGEST {
        return Grant::TooMany;
    }
    // Its owner's own topics are granted before they exist: what is added later is heard too.
    let own = format!("pescaia/v1/{}/+/+", listener.pass.device.owner);
    // A gateway of Sparkplug waits for the one command that there is: to be born again.
    let device = &listener.pass.device;
    let is_command = device.format() == Some("sparkplug") && filter.starts_with("spBv1.0/") && meet(filter, "spBv1.0/+/NCMD/+");
    let may_match = is_command || meet(filter, &own) || map.topics().any(|(id, topic)| meet(filter, topic) && listener.sees(id));
    if may_match { Grant::Granted } else { Grant::Denied }
}
