//! The store's front door.

use crate::{Batch, Change, Error, Health, Network, NewToken, Receipt, Registry, View};
use model::{Clock, OwnerId, Scope, Viewer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, oneshot, watch};

/// How the writer and the chunks behave. The default is right for a disk; a slow card wants a longer linger.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long the writer waits for company before it commits.
    pub linger: Duration,
}

/// Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
}

impl Store {
    /// Opens or makes the store in `dir` and takes its lock. Recovers what a crash left before it returns.
    pub fn open(dir: &Path, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> { todo!() }
    /// A store that lives as long as the process, for tests.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, Error> { todo!() }
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> { todo!() }
    /// Hands a batch to the writer at once, in the order of the calls. The receiver answers when it is on disk.
    pub fn submit(&self, batch: Batch) -> oneshot::Receiver<Result<Receipt, Error>> { todo!() }
    /// As [`Store::submit`], waiting for the answer.
    pub async fn commit(&self, batch: Batch) -> Result<Receipt, Error> { todo!() }
    /// What is known of owners, stations, datastreams and devices, as of now.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> { todo!() }
    /// Changes whenever a network is applied.
    #[must_use]
    pub fn registry_changes(&self) -> watch::Receiver<Arc<Registry>> { todo!() }
    /// What applying `network` would change; changes nothing.
    pub fn preview(&self, network: &Network) -> Result<Vec<Change>, Error> { todo!() }
    /// Makes the registry what `network` says, durably. Twice the same is no change.
    pub fn apply(&self, network: &Network) -> Result<Vec<Change>, Error> { todo!() }
    #[must_use]
    pub fn seen_by(&self, viewer: &Viewer) -> View { todo!() }
    /// Every observation as it was committed, in commit order, unfiltered: for the live feed and derivations, which filter with a view.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<[model::Observation]>> { todo!() }
    /// Makes a token; its text is shown this once and only its SHA-256 is kept.
    pub fn new_token(&self, owner: &OwnerId, scopes: &[Scope]) -> Result<NewToken, Error> { todo!() }
    /// Who holds this token; `None` if nobody does.
    #[must_use]
    pub fn viewer_of(&self, token: &str) -> Option<Viewer> { todo!() }
    /// Whether an MQTT client is remembered to have a session.
    #[must_use]
    pub fn has_session(&self, client: &str) -> bool { todo!() }
    #[must_use]
    pub fn health(&self) -> Health { todo!() }
    /// Waits for the writer to finish what was submitted, then closes. Later submissions answer [`Error::Closed`].
    pub async fn close(&self) { todo!() }
}
