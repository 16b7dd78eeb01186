//! Formats. A format is one file below and one line in [`all`].

mod bare;
mod json;
mod native;
pub mod registers;

use crate::frame::Frame;
use model::{Reading, RejectReason};

/// Every format there is.
#[must_use]
pub fn all() -> Vec<Box<dyn Decoder>> {
    vec![Box::new(native::Native), Box::new(bare::Bare), Box::new(registers::Registers)]
}

/// What one frame held: nothing of it is lost.
#[derive(Debug, Default)]
pub struct Decoded {
    pub readings: Vec<Placed<Reading>>,
    pub rejects: Vec<Placed<Refusal>>,
}

/// Something with its place among the objects of its message, from 0; a message that can't be read at all is place 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed<T> {
    pub index: usize,
    pub what: T,
}

/// Why one reading was refused, and the cure, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub reason: RejectReason,
    pub detail: String,
}

/// Turns the bytes of one frame into readings. Pure: no clock, no I/O, no registry.
pub trait Decoder: Send + Sync {
    /// The word that configuration, logs and rejects use for this format, e.g. `"native"`.
    fn name(&self) -> &'static str;
    /// Never fails as a whole: what cannot be read is in `rejects`, beside what can.
    fn decode(&self, frame: &Frame) -> Decoded;
}
