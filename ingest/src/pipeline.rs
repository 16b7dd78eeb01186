//! The way of a reading, in order: decode, bind, qualify, commit, settle.

use crate::commit::Settling;
use crate::frame::Frame;

/// The way in, for every door. Cheap to clone.
#[derive(Clone)]
pub struct Intake {}

impl Intake {
    /// Decodes, binds, qualifies and hands the frame to the store's writer, in the order of the calls.
    /// The answer resolves when all of it is on disk, or can't be.
    #[must_use]
    pub fn take(&self, _frame: Frame) -> Settling {
        todo!()
    }
}
