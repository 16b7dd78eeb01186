use bytes::Bytes;
use model::{DeviceId, OwnerId, Timestamp};

/// One message as it came from the wire, with who is known to have sent it. Step 1 makes it, step 2 reads it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The door: `mqtt`, `http`, `modbus`.
    pub source: &'static str,
    /// The decoder that reads it, by its name.
    pub format: &'static str,
    /// Topic, path or address it came by; goes to the quarantine with what can't be taken.
    pub route: String,
    /// In whose name the sender is allowed to speak.
    pub owner: OwnerId,
    /// The device that the route names; `None` where the payload names it.
    pub device: Option<DeviceId>,
    /// The channel that the route names; `None` where the payload names it.
    pub channel: Option<String>,
    pub received_at: Timestamp,
    pub bytes: Bytes,
}
