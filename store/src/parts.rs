//! The long-running tasks of an instance and how each of them fares, for `/readyz`.

mod supervise;
#[cfg(test)]
mod tests;

pub(crate) use supervise::panic_text;
pub use supervise::supervise;

use model::OwnerId;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A task that ended and was started again counts as degraded until it has run for so long.
const PROBATION: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartState {
    Ok,
    /// Somebody must look at it; everything else works.
    Degraded,
}

/// One part of an instance, as `/readyz` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHealth {
    /// E.g. `broker`, `modbus-line`, `dataset`.
    pub kind: &'static str,
    /// Which one of its kind; empty where there is only one.
    pub name: String,
    /// Whose it is; `None` where it belongs to the instance.
    pub owner: Option<OwnerId>,
    pub state: PartState,
    /// In words, with the cure when there is something to mend.
    pub detail: String,
}

type Key = (&'static str, String, Option<OwnerId>);

/// All parts of one instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts(Arc<Mutex<BTreeMap<Key, Entry>>>);

/// A part's own handle, by which it reports. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Part {
    parts: Parts,
    key: Key,
}

#[derive(Debug)]
struct Entry {
    state: PartState,
    detail: String,
    ended: Option<Ended>,
}

/// The last time that the part's task ended although nobody had stopped it.
#[derive(Debug)]
struct Ended {
    cause: String,
    at: Instant,
    times: u32,
    /// It runs again.
    runs: bool,
}

impl crate::Store {
    /// The handle by which a long-running part of this instance reports how it fares; the same one for the same names.
    #[must_use]
    pub fn part(&self, kind: &'static str, name: &str, owner: Option<OwnerId>) -> Part {
        self.parts().part(kind, name, owner)
    }
}

impl Parts {
    pub(crate) fn part(&self, kind: &'static str, name: &str, owner: Option<OwnerId>) -> Part {
        let key = (kind, name.to_owned(), owner);
        self.lock().entry(key.clone()).or_insert_with(|| Entry { state: PartState::Ok, detail: "it runs".into(), ended: None });
        Part { parts: self.clone(), key }
    }

    pub(crate) fn health(&self) -> Vec<PartHealth> {
        let of = |((kind, name, owner), entry): (&Key, &Entry)| {
            let (state, detail) = entry.health();
            PartHealth { kind, name: name.clone(), owner: owner.clone(), state, detail }
        };
        self.lock().iter().map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn health(&self) -> (PartState, String) {
        let Some(ended) = &self.ended else { return (self.state, self.detail.clone()) };
        let Ended { cause, at, times, runs } = ended;
        let ago_s = at.elapsed().as_secs();
        match runs {
            false => {
                let detail = format!("it ended {ago_s} s ago ({cause}) and is started again in a moment; the log names it as part_ended");
                (PartState::Degraded, detail)
            }
            true if at.elapsed() < PROBATION => {
                let detail = format!(
                    "it ended {ago_s} s ago ({cause}) and runs again, {times} times since the start; mend the cause, or report the line part_ended of the log if it is not yours"
                );
                (PartState::Degraded, detail)
            }
            true => (self.state, self.detail.clone()),
        }
    }
}

impl Part {
    /// It works; `detail` says how, in a few words.
    pub fn ok(&self, detail: impl Into<String>) {
        self.report(PartState::Ok, detail.into());
    }

    /// Something is in its way; `detail` names it with the cure.
    pub fn degraded(&self, detail: impl Into<String>) {
        self.report(PartState::Degraded, detail.into());
    }

    /// One piece of its work panicked and was caught; the part goes on with the next.
    pub fn panicked(&self, payload: &(dyn Any + Send)) {
        let words = panic_text(payload);
        self.ended(&format!("it panicked: {words}"));
        self.runs_again();
        let (kind, name) = (self.kind(), self.name());
        tracing::error!(event = "part_ended", kind, name, words, "a part of this instance panicked; it goes on, please report this line");
    }

    /// There is no such part any more.
    pub fn remove(&self) {
        self.parts.lock().remove(&self.key);
    }

    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.key.0
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.key.1
    }

    fn report(&self, state: PartState, detail: String) {
        if let Some(entry) = self.parts.lock().get_mut(&self.key) {
            (entry.state, entry.detail) = (state, detail);
        }
    }

    fn ended(&self, cause: &str) {
        if let Some(entry) = self.parts.lock().get_mut(&self.key) {
            let times = entry.ended.as_ref().map_or(1, |ended| ended.times.saturating_add(1));
            entry.ended = Some(Ended { cause: cause.to_owned(), at: Instant::now(), times, runs: false });
        }
    }

    fn runs_again(&self) {
        if let Some(ended) = self.parts.lock().get_mut(&self.key).and_then(|entry| entry.ended.as_mut()) {
            ended.runs = true;
        }
    }
}
