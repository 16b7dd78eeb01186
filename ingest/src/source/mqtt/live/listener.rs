use crate::source::mqtt::filter::meet;
use crate::source::mqtt::pass::Pass;
use bytes::Bytes;
use model::DatastreamId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use store::View;
use tokio::sync::Notify;

/// What may wait for a slow subscriber; beyond, the oldest goes.
const MOST_MESSAGES: usize = 1024;
const MOST_BYTES: usize = 256 * 1024;
/// Header, lengths and properties of a PUBLISH of QoS 0, at most.
const AROUND: usize = 8;

/// One observation as it is told to subscribers.
pub(in super::super) struct Said {
    pub(in super::super) topic: Arc<str>,
    pub(in super::super) payload: Bytes,
}

impl Said {
    pub(in super::super) fn len(&self) -> usize {
        self.topic.len() + self.payload.len() + AROUND
    }
}

/// One connection's ear: what it asked for, and what waits for it.
pub(in super::super) struct Listener {
    pub(super) pass: Pass,
    view: View,
    /// The largest packet that the client takes.
    max_packet: usize,
    filters: Mutex<Vec<String>>,
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Default)]
struct Waiting {
    said: VecDeque<Arc<Said>>,
    bytes: usize,
}

impl Listener {
    pub(in super::super) fn new(pass: Pass, view: View, max_packet: usize) -> Arc<Self> {
        Arc::new(Self { pass, view, max_packet, filters: Mutex::default(), waiting: Mutex::default(), news: Notify::new() })
    }

    pub(super) fn sees(&self, datastream: DatastreamId) -> bool {
        self.view.datastream_by_id(datastream).is_some()
    }
    pub(super) fn wants(&self, topic: &str) -> bool {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|filter| meet(filter, topic))
    }
    pub(super) fn filters(&self) -> Vec<String> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// False when there are `most` already.
    pub(super) fn add(&self, filter: String, most: usize) -> bool {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if filters.contains(&filter) {
            return true;
        }
        let room = filters.len() < most;
        if room {
            filters.push(filter);
        }
        room
    }
    pub(super) fn remove(&self, filter: &str) -> bool {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let before = filters.len();
        filters.retain(|other| other != filter);
        filters.len() < before
    }

    /// Puts one more behind what waits; returns how many had to go.
    pub(super) fn push(&self, said: &Arc<Said>) -> u64 {
        if said.len() > self.max_packet {
            return 1;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = 0;
        while waiting.said.len() >= MOST_MESSAGES || waiting.bytes + said.len() > MOST_BYTES {
            let Some(oldest) = waiting.said.pop_front() else { break };
            waiting.bytes -= oldest.len();
            dropped += 1;
        }
        waiting.bytes += said.len();
        waiting.said.push_back(said.clone());
        if waiting.said.len() == 1 {
            self.news.notify_one();
        }
        dropped
    }

    /// Resolves when something has come to wait.
    pub(in super::super) async fn news(&self) {
        self.news.notified().await;
    }

    /// Gives what waits to `each`, the oldest first, until so many bytes are given. True when more waits.
    pub(in super::super) fn take(&self, bytes: usize, mut each: impl FnMut(&Said)) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut given = 0;
        while given < bytes {
            let Some(said) = waiting.said.pop_front() else { return false };
            waiting.bytes -= said.len();
            given += said.len();
            each(&said);
        }
        !waiting.said.is_empty()
    }
}
