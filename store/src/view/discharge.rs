//! What flowed, as the ratings of a level say.

use super::View;
use crate::Error;
use model::{Datastream, Discharge, Interval, NoDischarge, Observation};

/// What flowed when a stage was measured.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    pub stage: Observation,
    pub discharge: Result<Discharge, NoDischarge>,
}

impl View {
    /// Discharge at every observation of `interval`, ascending, at most `limit` from the earliest: each by the rating that holds at its
    /// phenomenon time, as ratings and values are known to this view. Nothing of it is kept.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn discharges(&self, datastream: &Datastream, interval: Interval, limit: usize) -> Result<Vec<Flow>, Error> {
        let Some(seen) = self.datastream(datastream.key.as_str()) else { return Ok(Vec::new()) };
        let stages = self.observations(&seen, interval, limit)?;
        Ok(stages.into_iter().map(|stage| Flow { stage, discharge: seen.discharge(&stage) }).collect())
    }
}
