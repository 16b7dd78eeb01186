//! From a receipt to an answer for the sender.

use store::{Error, Outcome};

/// What became of one frame, once it is on disk.
#[derive(Debug, Clone)]
pub struct Settled {
    pub commit: u64,
    /// `(index in the message, outcome)` of what was stored.
    pub stored: Vec<(usize, Outcome)>,
    /// `(index, reason, detail)` of what went to the quarantine.
    pub rejected: Vec<(usize, model::RejectReason, String)>,
}

/// A frame on its way to the disk. Await it in the order of receipt of its connection.
pub struct Settling {}

impl Settling {
    /// # Errors
    /// The store's, when the frame is not on disk: then the sender must not be told that it is.
    pub async fn settled(self) -> Result<Settled, Error> {
        todo!()
    }
}
