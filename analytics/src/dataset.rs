//! Every dataset that is made here: a line for each.

mod livelli_giornalieri;

use crate::job::Job;
pub use livelli_giornalieri::LivelliGiornalieri;

/// All of them, in the order of the catalogue.
#[must_use]
pub fn all() -> Vec<Box<dyn Job>> {
    vec![Box::new(LivelliGiornalieri)]
}
