use crate::live::Public;
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
    /// True when the house closes: then nobody is kept waiting.
    pub(crate) stop: watch::Receiver<bool>,
}
