//! From a cabinet in the field to its centre: what an edge has on disk goes on in batches over HTTP, and is freed there once the
//! centre has it on disk. Why and how: docs/decisions/0010-edge.md.

mod accept;
mod forward;
mod wire;

pub(crate) use accept::{Unaccepted, accept};
pub use forward::{EdgeSettings, Forwarder, PART};

/// Where a centre takes batches of the edge that is named after it.
pub(crate) const PATH: &str = "/api/v1/edges/";
/// In the answer: the epoch of the batch that is on disk.
pub(crate) const EPOCH: &str = "edge-epoch";
