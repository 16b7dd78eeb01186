use super::listener::{Listener, Said};
use crate::source::mqtt::topic::is_publishable;
use model::{DatastreamId, Observation};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use store::Registry;

/// Where each datastream is told, and who hears it. Looked up once per datastream until the network or the listeners change.
#[derive(Default)]
pub(super) struct Routes {
    map: Map,
    version: u64,
    listeners: Vec<Arc<Listener>>,
    hearers: HashMap<DatastreamId, Arc<[Arc<Listener>]>>,
}

/// The topic of each datastream that a device feeds: what is published there comes out there. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Map {
    registry: Arc<Registry>,
    topics: Arc<HashMap<DatastreamId, Arc<str>>>,
}

impl Map {
    fn of(registry: Arc<Registry>) -> Self {
        let of_feeds = registry.devices().flat_map(|device| {
            device.feeds.iter().map(move |feed| {
                let topic = format!("pescaia/v1/{}/{}/{}", device.owner, device.id, feed.channel);
                (feed.datastream, Arc::<str>::from(topic))
            })
        });
        let topics = Arc::new(of_feeds.filter(|(_, topic)| is_publishable(topic)).collect());
        Self { registry, topics }
    }
    /// Drawn anew if the network has changed.
    pub(super) fn renew(&mut self, registry: Arc<Registry>) {
        if !Arc::ptr_eq(&self.registry, &registry) {
            *self = Self::of(registry);
        }
    }
    pub(super) fn topics(&self) -> impl Iterator<Item = (DatastreamId, &str)> {
        self.topics.iter().map(|(id, topic)| (*id, &**topic))
    }
}

/// As an observation is told.
#[derive(Serialize)]
struct ObservationOut<'a> {
    time: String,
    value: f64,
    unit: &'a str,
    quality: u8,
    datastream: &'a str,
}

impl Routes {
    pub(super) fn renew(&mut self, map: Map, version: u64, listeners: impl FnOnce() -> Vec<Arc<Listener>>) {
        if Arc::ptr_eq(&map.registry, &self.map.registry) && version == self.version {
            return;
        }
        (self.map, self.version, self.listeners) = (map, version, listeners());
        self.hearers.clear();
    }

    /// Tells one observation to all who hear it; returns how many messages had to go for it.
    pub(super) fn say(&mut self, observation: &Observation) -> u64 {
        let id = observation.datastream;
        let Some(topic) = self.map.topics.get(&id) else { return 0 };
        let (listeners, registry) = (&self.listeners, &self.map.registry);
        let hears = |listener: &&Arc<Listener>| listener.wants(topic) && listener.sees(id) && listener.pass.device(registry).is_some();
        let hearers = self.hearers.entry(id).or_insert_with(|| listeners.iter().filter(hears).cloned().collect());
        let Some(datastream) = registry.datastream(id).filter(|_| !hearers.is_empty()) else { return 0 };
        let out = ObservationOut {
            time: observation.phenomenon_time.to_string(),
            value: observation.result,
            unit: datastream.unit().symbol(),
            quality: observation.quality.flag() as u8,
            datastream: datastream.key.as_str(),
        };
        let Ok(payload) = serde_json::to_vec(&out) else { return 0 };
        let said = Arc::new(Said { topic: topic.clone(), payload: payload.into() });
        hearers.iter().map(|listener| listener.push(&said)).sum()
    }
}
