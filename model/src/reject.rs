use crate::{DeviceId, OwnerId, Timestamp, Unit, Uptime};
use std::sync::Arc;

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
    /// Raw bytes of a device of which nobody has said what they mean.
    NoLayout,
    /// A number stands for a name that was said when we did not hear it.
    UnknownAlias,
    /// It came while this machine's own clock could not be right.
    UntrustedClock,
}

impl RejectReason {
    pub const ALL: [Self; 13] = [
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
        Self::NoLayout,
        Self::UnknownAlias,
        Self::UntrustedClock,
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
            Self::NoLayout => "no-layout",
            Self::UnknownAlias => "unknown-alias",
            Self::UntrustedClock => "untrusted-clock",
        }
    }
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

/// One message as it came from the wire, with everything that is needed to read it again one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The door: `mqtt`, `http`, `modbus`, `broker`.
    pub source: &'static str,
    /// The decoder that reads it, by its name.
    pub format: &'static str,
    /// Topic or path it came by.
    pub route: String,
    pub owner: Option<OwnerId>,
    /// The device that the route names.
    pub device: Option<DeviceId>,
    /// The channel that the route names.
    pub channel: Option<String>,
    pub received_at: Timestamp,
    /// When it came, where `received_at` can't be believed.
    pub uptime: Option<Uptime>,
    pub bytes: Arc<[u8]>,
}

/// Refused with a reason, bytes kept: what waits in the quarantine for a person to mend.
#[derive(Debug, Clone, PartialEq)]
pub struct Reject {
    pub reason: RejectReason,
    /// One sentence for the person who mends it: what was found, where, and the cure.
    pub detail: String,
    /// Its place among what its message holds, by which it is found when the message is read again.
    pub place: usize,
    /// What the message says, where it could be read so far.
    pub said: Option<Said>,
    /// The device in whose line of the ledger it is counted.
    pub line: DeviceId,
    /// Readings that it stands for: 1, or more where a message has too many to list each.
    pub count: u32,
    /// Shared by all rejects of one message, and kept once.
    pub message: Arc<Message>,
}

/// A reading that was understood and could not be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub device: DeviceId,
    pub channel: String,
    /// NaN where what was said is no number.
    pub value: f64,
    pub time: Option<Timestamp>,
    pub unit: Option<Unit>,
}
