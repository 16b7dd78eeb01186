//! The registry in memory and how a network gets into it.

use super::Store;
use crate::engine::{self, Engine};
use crate::network::{self, Change, Document, Network, OriginMap};
use crate::registry::Registry;
use crate::writer::Work;
use crate::{Complaint, Error};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

const KINDS: [&str; 5] = ["owner", "station", "datastream", "device", "feed"];

/// As a document of the registry lies on disk, around its body.
#[derive(Serialize, Deserialize)]
struct Kept {
    number: Option<u32>,
    file: String,
    retired: bool,
    body: String,
}

/// The registry as of now and the file that each entry came from.
pub(super) struct Networks {
    registry: watch::Sender<Arc<Registry>>,
    origins: Mutex<OriginMap>,
}

impl Networks {
    pub(super) fn restore(engine: &dyn Engine) -> Result<Self, Error> {
        let mut documents = Vec::new();
        for kind in KINDS {
            for kept in engine.documents(kind)? {
                let damaged = |cause: serde_json::Error| Error::Damaged { what: format!("{kind} {}: {cause}", kept.id) };
                let Kept { number, file, retired, body } = serde_json::from_str(&kept.body).map_err(damaged)?;
                documents.push(Document { kind, id: kept.id, number, file, retired, body });
            }
        }
        let (registry, origins) = network::restore(documents)?;
        Ok(Self { registry: watch::channel(Arc::new(registry)).0, origins: Mutex::new(origins) })
    }
    pub(super) fn registry(&self) -> Arc<Registry> {
        self.registry.borrow().clone()
    }
    pub(super) fn changes(&self) -> watch::Receiver<Arc<Registry>> {
        self.registry.subscribe()
    }
}

impl Store {
    /// What applying `network` would change; changes nothing.
    ///
    /// # Errors
    /// Every complaint about the network at once.
    pub fn preview(&self, network: &Network) -> Result<Vec<Change>, Vec<Complaint>> {
        let networks = &self.inner.networks;
        let origins = networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        network::plan(&origins, network).map(|plan| plan.changes)
    }

    /// Makes the registry what `network` says, durably. Twice the same is no change.
    ///
    /// # Errors
    /// Every complaint about the network at once; or one about the store. Nothing was changed then.
    pub fn apply(&self, network: &Network) -> Result<Vec<Change>, Vec<Complaint>> {
        let networks = &self.inner.networks;
        let mut origins = networks.origins.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = network::plan(&origins, network)?;
        if plan.documents.is_empty() {
            return Ok(plan.changes);
        }
        let of_store = |message: String| vec![Complaint { file: "the store".into(), line: 0, column: 0, message }];
        let mut changes = Vec::with_capacity(plan.documents.len());
        for Document { kind, id, number, file, retired, body } in plan.documents {
            let body = serde_json::to_string(&Kept { number, file, retired, body }).map_err(|cause| of_store(cause.to_string()))?;
            changes.push(engine::Change::PutDocument(engine::Document { kind: kind.to_owned(), id, body }));
        }
        self.ask(|answer| Work::Documents(changes, answer)).map_err(|cause| of_store(cause.to_string()))?;
        *origins = plan.origins;
        networks.registry.send_replace(Arc::new(plan.registry));
        Ok(plan.changes)
    }

    /// What was adopted so far, as the text of a network file.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn adopted(&self) -> Result<String, Error> {
        let found = self.inner.shared.engine.documents(network::ADOPTED)?;
        Ok(found.into_iter().next().map_or_else(String::new, |document| document.body))
    }

    /// Adds entries, as the text of a network file, to what was adopted before, durably.
    ///
    /// # Errors
    /// Every complaint about the entries, or one about the store. Nothing was changed then.
    pub fn adopt(&self, more: &str) -> Result<Vec<Change>, Vec<Complaint>> {
        let of_store = |cause: Error| vec![Complaint { file: "the store".into(), line: 0, column: 0, message: cause.to_string() }];
        let text = self.adopted().map_err(of_store)? + more;
        let network = Network { files: vec![network::parse_network(network::ADOPTED, &text)?] };
        self.preview(&network)?;
        // The text first: what it holds and was not applied is applied with the next.
        let document = engine::Document { kind: network::ADOPTED.to_owned(), id: "text".into(), body: text };
        self.ask(|answer| Work::Documents(vec![engine::Change::PutDocument(document)], answer)).map_err(of_store)?;
        self.apply(&network)
    }
}
