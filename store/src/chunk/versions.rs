//! What was served at an earlier moment. Every value that was ever replaced is kept with the second in which it came; the value of a
//! time that had come last by then is what was served.

use super::{Point, codec};
use crate::Error;
use crate::engine::{Engine, Order, Span, Table};
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

impl Versions {
    /// As they were at the end of the second of `as_of`; now when that is not given.
    pub(crate) fn load(engine: &dyn Engine, datastream: DatastreamId, as_of: Option<Timestamp>) -> Result<Self, Error> {
        let Some(as_of) = as_of else { return Ok(Self::Now) };
        Ok(Self::Of { second: as_of.seconds(), replaced: Self::replaced(engine, datastream)? })
    }

    /// What was replaced, by time; of one time in the order in which it was.
    pub(crate) fn replaced(engine: &dyn Engine, datastream: DatastreamId) -> Result<HashMap<i64, Vec<Point>>, Error> {
        let mut replaced: HashMap<i64, Vec<Point>> = HashMap::new();
        let span = Span { part: i64::from(datastream.0), from: i64::MIN, to: i64::MAX };
        for row in engine.range(Table::Superseded, span, Order::Ascending, usize::MAX)? {
            for point in codec::decode(&row.body)? {
                replaced.entry(point.at).or_default().push(point);
            }
        }
        Ok(replaced)
    }

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
