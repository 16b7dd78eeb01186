//! Durable observations → datasets. A [`job::Job`] says what a dataset is and how a span of days of it is made; the
//! [`keeper::Keeper`] decides which days are to be made again, writes the files and publishes them. polars lives here and nowhere else.

mod error;

pub mod archive;
pub mod dataset;
pub mod file;
pub mod frames;
pub mod job;
pub mod keeper;
mod month;

pub use error::Error;
