use super::codec;
use super::point::Point;
use crate::Error;
use crate::engine::{Engine, Order, Span, Table};
use std::collections::HashMap;
use std::sync::Arc;

/// Points that the cache holds, 24 bytes each.
const CACHE_POINTS: usize = 1 << 20;

/// Decoded chunks that late and repeated points are compared with.
#[derive(Default)]
pub(crate) struct Cache {
    chunks: HashMap<(u32, i64), Arc<[Point]>>,
    points: usize,
}

impl Cache {
    pub(crate) fn chunk(&mut self, engine: &dyn Engine, id: u32, start: i64) -> Result<Arc<[Point]>, Error> {
        if let Some(points) = self.chunks.get(&(id, start)) {
            return Ok(points.clone());
        }
        let span = Span { part: i64::from(id), from: start, to: start };
        let rows = engine.range(Table::Chunk, span, Order::Ascending, 1)?;
        let missing = || Error::Damaged { what: format!("the chunk of datastream {id} from {start} µs is missing") };
        let points: Arc<[Point]> = codec::decode(Table::Chunk, rows.first().ok_or_else(missing)?)?.into();
        if self.points + points.len() > CACHE_POINTS {
            self.chunks.clear();
            self.points = 0;
        }
        self.points += points.len();
        self.chunks.insert((id, start), points.clone());
        Ok(points)
    }
    pub(crate) fn forget(&mut self, id: u32, start: i64) {
        if let Some(points) = self.chunks.remove(&(id, start)) {
            self.points -= points.len();
        }
    }
}
