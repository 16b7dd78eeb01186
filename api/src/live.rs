//! What has just been committed, for those who watch: gathered for a moment, judged once, said to all.

use crate::wire::LatestOut;
use futures_util::stream::{self, Stream};
use model::{DatastreamId, Observation, OwnerId, Viewer};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Store, View, supervise};
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

/// Commits of so long are said together: a screen needs no more, and a burst costs each watcher one message.
const GATHER: Duration = Duration::from_millis(200);
/// Messages that a slow watcher may lag behind before it is given everything anew.
const LAG: usize = 64;

/// The newest of one datastream, as it is said.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) station: Arc<str>,
    /// A [`LatestOut`] in JSON.
    pub(crate) json: Arc<str>,
}

/// What one viewer's eyes see change.
pub(crate) struct Watching {
    view: View,
    committed: broadcast::Receiver<Arc<[Observation]>>,
}

impl Watching {
    pub(crate) fn of(store: &Store, viewer: &Viewer) -> Self {
        Self { view: store.seen_by(viewer), committed: store.follow() }
    }

    /// Waits for the next commits and says what is newest now. Empty when nothing that the viewer sees has changed; `None` when the
    /// store is closed.
    pub(crate) async fn next(&mut self) -> Option<Vec<Change>> {
        let mut changed = BTreeSet::new();
        self.gather(&mut changed).await?;
        let until = tokio::time::Instant::now() + GATHER;
        while let Ok(going_on) = tokio::time::timeout_at(until, self.gather(&mut changed)).await {
            going_on?;
        }
        let view = self.view.clone();
        let said = tokio::task::spawn_blocking(move || changes(&view, changed.into_iter())).await;
        Some(said.unwrap_or_default())
    }

    async fn gather(&mut self, changed: &mut BTreeSet<DatastreamId>) -> Option<()> {
        match self.committed.recv().await {
            Ok(commit) => changed.extend(commit.iter().map(|observation| observation.datastream)),
            // Some were missed: then each may have changed.
            Err(RecvError::Lagged(_)) => changed.extend(self.view.datastreams(None).iter().map(|datastream| datastream.id)),
            Err(RecvError::Closed) => return None,
        }
        Some(())
    }
}

/// The newest of everything, as a watcher is told first.
fn all(view: &View) -> Vec<Change> {
    changes(view, view.datastreams(None).iter().map(|datastream| datastream.id))
}

/// Datastreams that are told at once.
const TOGETHER: usize = 64;

/// The newest of everything, read as it is taken: who does not read what is told holds the numbers of what is left, and no more.
pub(crate) fn everything(view: &View) -> impl Stream<Item = Vec<Change>> + Send + use<> {
    let ids: Vec<DatastreamId> = view.datastreams(None).iter().map(|datastream| datastream.id).collect();
    stream::unfold((view.clone(), ids, 0), |(view, ids, told)| async move {
        let some = ids.get(told..(told + TOGETHER).min(ids.len())).filter(|some| !some.is_empty())?.to_vec();
        let of = view.clone();
        let said = tokio::task::spawn_blocking(move || changes(&of, some.into_iter())).await.unwrap_or_default();
        Some((said, (view, ids, told + TOGETHER)))
    })
}

fn changes(view: &View, datastreams: impl Iterator<Item = DatastreamId>) -> Vec<Change> {
    let seen: Vec<_> = datastreams.filter_map(|id| view.datastream_by_id(id)).filter(|datastream| !datastream.retired).collect();
    let latest = view.latest_of_these(&seen).unwrap_or_else(|cause| {
        tracing::error!(event = "live_failed", %cause, "the live feed could not read the newest values");
        Vec::new()
    });
    let said = latest.iter().map(|one| Change {
        station: one.station.id.as_str().into(),
        json: serde_json::to_string(&LatestOut::from(one)).unwrap_or_default().into(),
    });
    said.collect()
}

/// Watchers with a token: each is told what its own eyes see, which costs more than what is said once for the public. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct OwnWatchers(Arc<Mutex<HashMap<OwnerId, usize>>>);

/// A place among them; given back when it is dropped.
pub(crate) struct OwnWatcher(OwnWatchers, OwnerId);

/// Watchers with tokens of one owner, and of all.
const MOST_OF_OWNER: usize = 100;
const MOST_OWN: usize = 1000;

impl OwnWatchers {
    /// A place; `None` when there are too many.
    pub(crate) fn admit(&self, owner: &OwnerId) -> Option<OwnWatcher> {
        let mut of = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if of.values().sum::<usize>() >= MOST_OWN || of.get(owner).is_some_and(|count| *count >= MOST_OF_OWNER) {
            return None;
        }
        *of.entry(owner.clone()).or_default() += 1;
        Some(OwnWatcher(self.clone(), owner.clone()))
    }
}

impl Drop for OwnWatcher {
    fn drop(&mut self) {
        let mut of = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                of.remove(&self.1);
            }
        }
    }
}

/// What the public sees change, said once for all who watch; while nobody does, nothing is followed.
#[derive(Clone)]
pub(crate) struct Public {
    said: broadcast::Sender<Arc<[Change]>>,
    somebody: Arc<Notify>,
}

impl Public {
    pub(crate) fn start(store: &Store, stop: watch::Receiver<bool>) -> Self {
        let public = Self { said: broadcast::channel(LAG).0, somebody: Arc::default() };
        let (watching, store) = (public.clone(), store.clone());
        let part = store.part("live-feed", "", None);
        tokio::spawn(supervise(part, stop.clone(), move || watching.clone().watch_until(store.clone(), stop.clone())));
        public
    }

    async fn watch_until(self, store: Store, mut stop: watch::Receiver<bool>) {
        // Somebody may watch already, and was told of by a notice that went down with the one before.
        if self.watchers() > 0 {
            self.somebody.notify_one();
        }
        tokio::select! {
            () = self.watch(store) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Ends with the store.
    async fn watch(self, store: Store) {
        loop {
            self.somebody.notified().await;
            let mut watching = Watching::of(&store, &Viewer::Public);
            // What was committed between the first watcher's look and this moment is in here.
            let view = watching.view.clone();
            let mut changes = tokio::task::spawn_blocking(move || all(&view)).await.unwrap_or_default();
            while self.said.receiver_count() > 0 {
                if !changes.is_empty() {
                    let _ = self.said.send(changes.into());
                }
                match watching.next().await {
                    Some(next) => changes = next,
                    None => return,
                }
            }
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<[Change]>> {
        let receiver = self.said.subscribe();
        self.somebody.notify_one();
        receiver
    }
    pub(crate) fn watchers(&self) -> usize {
        self.said.receiver_count()
    }
}
