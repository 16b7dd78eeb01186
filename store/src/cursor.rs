//! What a centre has received of each edge: the epoch of its store and the sequences, committed with what they hold.

use crate::engine::{Change, Document, Engine};
use crate::{Error, Store};
use model::{OwnerId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(crate) const KIND: &str = "edge";
/// Stretches between missing sequences that are remembered; beyond them the oldest hole is taken for filled.
const STRETCHES: usize = 64;

/// What one batch of an edge holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub owner: OwnerId,
    pub edge: String,
    pub epoch: u64,
    /// Both ends included, ascending.
    pub sequences: Vec<(u64, u64)>,
}

impl Cursor {
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.owner, self.edge)
    }
}

/// What has come of one edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeState {
    pub epoch: u64,
    /// Both ends included, ascending, apart.
    pub received: Vec<(u64, u64)>,
    last_us: i64,
}

impl EdgeState {
    /// When something came last.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        Timestamp::from_micros(self.last_us)
    }

    fn holds(&self, epoch: u64, (first, last): (u64, u64)) -> bool {
        self.epoch == epoch && self.received.iter().any(|(from, to)| *from <= first && last <= *to)
    }

    fn with(mut self, (first, last): (u64, u64)) -> Self {
        self.received.push((first, last));
        self.received.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (from, to) in std::mem::take(&mut self.received) {
            match joined.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = to.max(*end),
                _ => joined.push((from, to)),
            }
        }
        while joined.len() > STRETCHES {
            let (from, _) = joined.remove(0);
            if let Some(next) = joined.first_mut() {
                next.0 = from;
            }
        }
        Self { received: joined, ..self }
    }
}

pub(crate) type Edges = BTreeMap<String, EdgeState>;

pub(crate) fn restore(engine: &dyn Engine) -> Result<Edges, Error> {
    let read = |document: Document| Some((document.id, serde_json::from_str(&document.body).ok()?));
    Ok(engine.documents(KIND)?.into_iter().filter_map(read).collect())
}

/// Adds what the cursors of a group say to its commit; the states are true once that is done.
pub(crate) fn put<'a>(known: &Edges, cursors: impl Iterator<Item = &'a Cursor>, now: Timestamp, changes: &mut Vec<Change>) -> Edges {
    let mut changed = Edges::new();
    for cursor in cursors {
        let id = cursor.id();
        let before = changed.get(&id).or_else(|| known.get(&id)).filter(|state| state.epoch == cursor.epoch).cloned();
        let before = before.unwrap_or(EdgeState { epoch: cursor.epoch, received: Vec::new(), last_us: 0 });
        let state = cursor.sequences.iter().fold(before, |state, stretch| state.with(*stretch));
        changed.insert(id, EdgeState { last_us: now.micros(), ..state });
    }
    for (id, state) in &changed {
        let body = serde_json::to_string(state).unwrap_or_default();
        changes.push(Change::PutDocument(Document { kind: KIND.into(), id: id.clone(), body }));
    }
    changed
}

impl Store {
    /// Whether everything that a cursor speaks of has been received.
    #[must_use]
    pub fn has_received(&self, cursor: &Cursor) -> bool {
        let edges = self.shared().edges.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(state) = edges.get(&cursor.id()) else { return false };
        cursor.sequences.iter().all(|stretch| state.holds(cursor.epoch, *stretch))
    }

    /// Whether an edge is known, or its owner has fewer than `most`.
    #[must_use]
    pub fn has_room_for_edge(&self, owner: &OwnerId, edge: &str, most: usize) -> bool {
        let edges = self.shared().edges.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let own = format!("{owner}/");
        edges.contains_key(&format!("{own}{edge}")) || edges.range(own.clone()..).take_while(|(id, _)| id.starts_with(&own)).count() < most
    }

    /// Every edge of an owner that has sent something, by name.
    #[must_use]
    pub fn edges(&self, owner: &OwnerId) -> Vec<(String, EdgeState)> {
        let edges = self.shared().edges.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let own =
            edges.iter().filter_map(|(id, state)| Some((id.strip_prefix(owner.as_str())?.strip_prefix('/')?.to_owned(), state.clone())));
        own.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_that_come_in_any_order_join() {
        let state = EdgeState { epoch: 7, received: Vec::new(), last_us: 0 };
        let state = [(5, 6), (1, 2), (9, 9), (3, 3), (7, 7)].into_iter().fold(state, EdgeState::with);
        assert_eq!(state.received, [(1, 3), (5, 7), (9, 9)]);
        assert!(state.holds(7, (5, 7)) && !state.holds(7, (3, 5)) && !state.holds(8, (5, 7)));
        let many = (0..200).fold(state, |state, at| state.with((at * 2 + 20, at * 2 + 20)));
        assert_eq!(many.received.len(), STRETCHES);
        assert_eq!(many.received.last(), Some(&(418, 418)));
    }
}
