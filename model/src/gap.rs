use crate::{DatastreamId, Timestamp};

/// Why nothing was measured. A gap is said, never filled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The device did not answer in time.
    Timeout,
    /// No connection to the device could be made.
    Unreachable,
    /// The device said no, with this Modbus exception code.
    Exception(u8),
    /// The answer was not one to this question (short frame, other transaction, other unit).
    BadAnswer,
    /// The answer held no number, or one beyond what the unit can be.
    NoNumber,
    /// The device answers, and its heartbeat stands still: nothing it says is of now.
    Frozen,
    /// Less current than a sensor that lives draws: its wire is broken.
    BrokenWire,
    /// It was measured, and went from a full edge that was told to drop the oldest.
    Dropped,
    /// It was measured and kept, and its bytes on the disk are no longer what was written.
    Damaged,
    /// It was measured and kept, and now lies in a month that was put away.
    Archived,
}

impl GapReason {
    /// The word in the API and on disk, e.g. `timeout`, `exception-2`.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Timeout => "timeout".into(),
            Self::Unreachable => "unreachable".into(),
            Self::Exception(code) => format!("exception-{code}"),
            Self::BadAnswer => "bad-answer".into(),
            Self::NoNumber => "no-number".into(),
            Self::Frozen => "frozen".into(),
            Self::BrokenWire => "broken-wire".into(),
            Self::Dropped => "dropped".into(),
            Self::Damaged => "damaged".into(),
            Self::Archived => "archived".into(),
        }
    }
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Some(match code {
            "timeout" => Self::Timeout,
            "unreachable" => Self::Unreachable,
            "bad-answer" => Self::BadAnswer,
            "no-number" => Self::NoNumber,
            "frozen" => Self::Frozen,
            "broken-wire" => Self::BrokenWire,
            "dropped" => Self::Dropped,
            "damaged" => Self::Damaged,
            "archived" => Self::Archived,
            other => Self::Exception(other.strip_prefix("exception-")?.parse().ok()?),
        })
    }
}

/// A time in which polls of one datastream failed for one reason; it grows while the reason lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub datastream: DatastreamId,
    /// The first failed poll.
    pub from: Timestamp,
    /// The last failed poll so far; equal to `from` after one.
    pub to: Timestamp,
    pub reason: GapReason,
    /// Failed polls in it.
    pub count: u64,
}
