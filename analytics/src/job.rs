//! The seam of a dataset.

use crate::Error;
use crate::frames::Frames;
use model::{Dataset, Datastream, Interval};
use polars::frame::DataFrame;

/// One dataset: what it is, what it is made of, and how whole civil days of it are made.
pub trait Job: Send + Sync {
    /// Its description; from it come catalogue, file names, columns and page.
    fn about(&self) -> Dataset;
    /// Whether a datastream goes into it.
    fn wants(&self, datastream: &Datastream) -> bool;
    /// Grows when the same observations would give other rows: then all of it is made again.
    fn revision(&self) -> u32;
    /// The rows of `interval`, which begins and ends with civil days of Europe/Rome, of the frames' datastreams: the columns of
    /// [`Job::about`] in their order, one row for a datastream and day, in any order. Must have `station` (text), `datastream`
    /// (text, its key) and `day` (date).
    ///
    /// # Errors
    /// When the store or polars fails; nothing is published then.
    fn build(&self, frames: &Frames, interval: Interval) -> Result<DataFrame, Error>;
}
