use model::{RejectReason, Timestamp};

/// One message that waits in the quarantine.
#[derive(Debug, Clone)]
pub struct QuarantineEntry {
    /// Its number; grows.
    pub number: u64,
    pub received_at: Timestamp,
    pub source: String,
    pub route: String,
    pub owner: Option<String>,
    pub device: Option<String>,
    /// What was wrong, one line for each rejected reading of the message.
    pub reasons: Vec<(RejectReason, String)>,
    /// The message as it came.
    pub bytes: Vec<u8>,
}
