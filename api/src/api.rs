use crate::live::{OwnWatchers, Public};
use crate::routes::datasets::Files;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Instant;
use store::Store;
use tokio::sync::watch;

/// What every handler may ask.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Registry>,
    pub(crate) started: Instant,
    pub(crate) live: Public,
    pub(crate) own_watchers: OwnWatchers,
    /// Files that are on their way to somebody.
    pub(crate) files: Files,
    /// True when the house closes: then nobody is kept waiting.
    pub(crate) stop: watch::Receiver<bool>,
}
