//! What was served at an earlier moment. Every value that was ever replaced is kept with the second in which it came; the value of a
//! time that had come last by then is what was served.

use super::{Chunks, Point};
use crate::Error;
use model::{DatastreamId, Timestamp};
use std::collections::HashMap;

/// Which of the values of one time is served.
pub(crate) enum Versions {
    /// The last.
    Now,
    /// The last, even when it was withdrawn.
    Every,
    /// The last that had come by this second, among it and those that it replaced, by time.
    Of { second: i64, replaced: HashMap<i64, Vec<Point>> },
}

impl Chunks {
    /// As they were at the end of the second of `as_of`; now when that is not given.
    pub(super) fn versions(&self, datastream: DatastreamId, as_of: Option<Timestamp>) -> Result<Versions, Error> {
        let Some(as_of) = as_of else { return Ok(Versions::Now) };
        Ok(Versions::Of { second: as_of.seconds(), replaced: self.replaced(datastream)? })
    }

    /// What was replaced, by time; of one time in the order in which it was.
    pub(crate) fn replaced(&self, datastream: DatastreamId) -> Result<HashMap<i64, Vec<Point>>, Error> {
        let mut replaced: HashMap<i64, Vec<Point>> = HashMap::new();
        for point in self.replaced_by(datastream, 0, u64::MAX)? {
            replaced.entry(point.at).or_default().push(point);
        }
        Ok(replaced)
    }
}

impl Versions {
    /// What is served of the time of `last`, its last value; `None` when nothing is.
    pub(crate) fn of(&self, last: Point) -> Option<Point> {
        let served = match self {
            Self::Every => return Some(last),
            Self::Now => Some(last),
            Self::Of { second, .. } if i64::from(last.received_s) <= *second => Some(last),
            // In the order in which they were replaced: the last that had come.
            Self::Of { second, replaced } => {
                replaced.get(&last.at).and_then(|before| before.iter().rev().find(|point| i64::from(point.received_s) <= *second)).copied()
            }
        };
        served.filter(|point| !point.is_withdrawn())
    }
}
