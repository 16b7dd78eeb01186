use crate::{DeviceId, OwnerId, Timestamp};

/// Why a reading, or a whole message, could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    /// The bytes are not of the declared format.
    Unreadable,
    /// Of the format, but not of a shape that holds readings.
    WrongShape,
    /// A text, a null, NaN or an infinity where a number belongs.
    NotANumber,
    /// The time is missing where it must be, or cannot be read.
    BadTime,
    /// Later than now by more than the door allows.
    FutureTime,
    /// Before the year that the door allows.
    AncientTime,
    UnknownDevice,
    UnknownChannel,
    /// The unit cannot be turned into that of the datastream.
    WrongUnit,
    /// More than one message may hold.
    TooMany,
}

impl RejectReason {
    pub const ALL: [Self; 10] = [
        Self::Unreadable,
        Self::WrongShape,
        Self::NotANumber,
        Self::BadTime,
        Self::FutureTime,
        Self::AncientTime,
        Self::UnknownDevice,
        Self::UnknownChannel,
        Self::WrongUnit,
        Self::TooMany,
    ];

    /// The word in the API, in logs and on disk.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::WrongShape => "wrong-shape",
            Self::NotANumber => "not-a-number",
            Self::BadTime => "bad-time",
            Self::FutureTime => "future-time",
            Self::AncientTime => "ancient-time",
            Self::UnknownDevice => "unknown-device",
            Self::UnknownChannel => "unknown-channel",
            Self::WrongUnit => "wrong-unit",
            Self::TooMany => "too-many",
        }
    }
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// Refused with a reason, bytes kept: what waits in the quarantine for a person to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    pub reason: RejectReason,
    /// One sentence for the person who mends it: what was found, where, and the cure.
    pub detail: String,
    pub received_at: Timestamp,
    /// The door: `mqtt`, `http`, `modbus`.
    pub source: &'static str,
    /// Topic or path it came by.
    pub route: String,
    pub owner: Option<OwnerId>,
    pub device: Option<DeviceId>,
    /// The whole message as it came; shared by all rejects of one message and kept once.
    pub bytes: std::sync::Arc<[u8]>,
}
