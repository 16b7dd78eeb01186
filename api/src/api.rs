use model::Timestamp;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use store::Store;

/// What every handler may ask.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Store,
    pub(crate) metrics: Arc<Registry>,
    pub(crate) started: Timestamp,
}
