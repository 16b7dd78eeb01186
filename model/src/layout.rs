//! How the bytes of a device's payload are laid out, as data: what a LoRaWAN sensor sends and what it means.

use crate::Unit;

/// The layout of a type of device.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub name: String,
    pub title: String,
    /// Payloads are Cayenne LPP: they say themselves what they hold.
    pub is_cayenne: bool,
    pub fields: Vec<Field>,
}

/// One number of a payload: `value = raw × scale + add`, in `unit`; or a time that the numbers after it are of.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Only in payloads of this port; in all when there is none.
    pub port: Option<u8>,
    pub meaning: Meaning,
    /// The first byte, from 0; from the end when negative: −1 is the last byte.
    pub offset: i32,
    pub kind: FieldKind,
    pub order: Endian,
    /// The lowest bit, and how many.
    pub bits: Option<(u8, u8)>,
    pub scale: f64,
    pub add: f64,
    /// Raw whole numbers that mean "no value".
    pub sentinels: Vec<i64>,
    pub repeat: Option<Repeat>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    Channel {
        channel: String,
        unit: Option<Unit>,
    },
    /// Seconds since 1970 at which the payload was measured.
    UnixTime,
    /// How long before its reception the payload was measured; the scale makes it seconds.
    Age,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// So many bytes, 1 to 8.
    Unsigned(u8),
    Signed(u8),
    Float32,
    Float64,
    /// Two decimal digits a byte.
    Bcd(u8),
}

impl FieldKind {
    #[must_use]
    pub const fn width(self) -> usize {
        match self {
            Self::Unsigned(width) | Self::Signed(width) | Self::Bcd(width) => width as usize,
            Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Endian {
    #[default]
    Big,
    Little,
}

/// A queue of values: one after the other, each of another time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeat {
    /// How many; as many as the payload holds when there is none.
    pub count: Option<u16>,
    /// Bytes from one to the next.
    pub stride: u16,
    /// Seconds from one to the next; negative where the newest comes first.
    pub step_s: f64,
}
