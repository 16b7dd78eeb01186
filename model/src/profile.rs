//! The register map of a type of device, as data: what a Modbus master reads and what it means.

use crate::Unit;

/// Which of the four Modbus tables. We only ever read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RegisterSpace {
    /// Function 1, bits.
    Coil,
    /// Function 2, bits.
    Discrete,
    /// Function 3, 16-bit words.
    Holding,
    /// Function 4, 16-bit words.
    Input,
}

impl RegisterSpace {
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Coil, "coil"), (Self::Discrete, "discrete"), (Self::Holding, "holding"), (Self::Input, "input")];

    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberType {
    Bit,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Float32,
    Int64,
    Uint64,
    Float64,
    /// Four decimal digits in one register.
    Bcd16,
    /// Eight decimal digits in two.
    Bcd32,
}

impl NumberType {
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Bit, "bit"),
        (Self::Int16, "int16"),
        (Self::Uint16, "uint16"),
        (Self::Int32, "int32"),
        (Self::Uint32, "uint32"),
        (Self::Float32, "float32"),
        (Self::Int64, "int64"),
        (Self::Uint64, "uint64"),
        (Self::Float64, "float64"),
        (Self::Bcd16, "bcd16"),
        (Self::Bcd32, "bcd32"),
    ];

    /// Registers (or bits) that one number takes.
    #[must_use]
    pub const fn width(self) -> u16 {
        match self {
            Self::Bit | Self::Int16 | Self::Uint16 | Self::Bcd16 => 1,
            Self::Int32 | Self::Uint32 | Self::Float32 | Self::Bcd32 => 2,
            Self::Int64 | Self::Uint64 | Self::Float64 => 4,
        }
    }
}

/// Order of the bytes of a number of two registers, as it goes over the wire; `A` is the most significant. A number of four registers
/// keeps to the same rule: words the other way round, bytes swapped within words, or both.
/// For a number of one register, `Badc` and `Dcba` swap its two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ByteOrder {
    #[default]
    Abcd,
    Cdab,
    Badc,
    Dcba,
}

impl ByteOrder {
    pub const ALL: [(Self, &'static str); 4] = [(Self::Abcd, "ABCD"), (Self::Cdab, "CDAB"), (Self::Badc, "BADC"), (Self::Dcba, "DCBA")];
}

/// One number to read: `value = raw × scale + offset`, in `unit`.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// What the network file binds to a datastream, e.g. `level_up`.
    pub channel: String,
    pub space: RegisterSpace,
    /// Protocol address, from 0 (register 40101 of a manual is holding 100).
    pub address: u16,
    pub number: NumberType,
    pub order: ByteOrder,
    pub scale: f64,
    pub offset: f64,
    pub unit: Unit,
    /// Raw integer values that mean "no value" (e.g. 0x7FFF).
    pub sentinels: Vec<i64>,
    /// Only these bits of the raw whole number: the lowest, and how many.
    pub bits: Option<(u8, u8)>,
    /// Instead of scale and offset: an analogue input.
    pub span: Option<Span>,
    pub role: Role,
    /// Seconds between two readings, where they are more than the device's own; a multiple of them.
    pub every_s: Option<f64>,
    /// Seconds after the beginning of its interval.
    pub phase_s: f64,
}

/// An analogue input: raw counts that stand for a span of values, as 4–20 mA do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub raw: (f64, f64),
    pub value: (f64, f64),
    /// Below this raw count the wire is broken (3.6 mA by NAMUR NE 43).
    pub broken_below: Option<f64>,
}

/// What a register is for.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Role {
    /// It is measured.
    #[default]
    Value,
    /// It says how far the values of this poll can be trusted: raw numbers, after `bits`, that mean suspect or fail.
    Status { suspect: Vec<i64>, fail: Vec<i64> },
    /// It changes while the device lives: the same for so many polls, and nothing else of it can be trusted.
    Heartbeat { polls: u32 },
}

impl Default for Register {
    fn default() -> Self {
        Self {
            channel: String::new(),
            space: RegisterSpace::Holding,
            address: 0,
            number: NumberType::Uint16,
            order: ByteOrder::Abcd,
            scale: 1.0,
            offset: 0.0,
            unit: Unit::One,
            sentinels: Vec::new(),
            bits: None,
            span: None,
            role: Role::Value,
            every_s: None,
            phase_s: 0.0,
        }
    }
}

/// A type of device: its registers, and how to talk to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    pub name: String,
    pub title: String,
    /// The most registers that one request may ask for; at most 125.
    pub max_batch: u16,
    /// Registers that may be read in between without being asked for, to save a request.
    pub max_hole: u16,
    /// Addresses that must not be asked for: a request that touches one is refused whole. `[from, to]`.
    pub forbidden: Vec<(RegisterSpace, u16, u16)>,
    /// Quiet that the device needs after a connection is made, and between two requests, seconds.
    pub pause_after_connect_s: f64,
    pub pause_between_s: f64,
    pub registers: Vec<Register>,
}
