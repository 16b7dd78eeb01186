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
}

impl NumberType {
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Bit, "bit"),
        (Self::Int16, "int16"),
        (Self::Uint16, "uint16"),
        (Self::Int32, "int32"),
        (Self::Uint32, "uint32"),
        (Self::Float32, "float32"),
    ];

    /// Registers (or bits) that one number takes.
    #[must_use]
    pub const fn width(self) -> u16 {
        match self {
            Self::Bit | Self::Int16 | Self::Uint16 => 1,
            Self::Int32 | Self::Uint32 | Self::Float32 => 2,
        }
    }
}

/// Order of the bytes of a number of two registers, as it goes over the wire; `A` is the most significant.
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
}

/// A type of device: its registers, and how to talk to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub name: String,
    pub title: String,
    /// The most registers that one request may ask for; at most 125.
    pub max_batch: u16,
    /// Registers that may be read in between without being asked for, to save a request.
    pub max_hole: u16,
    pub registers: Vec<Register>,
}
