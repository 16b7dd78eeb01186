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
    registry: Arc<Registry>,
    version: u64,
    listeners: Vec<Arc<Listener>>,
    topics: HashMap<DatastreamId, Arc<str>>,
    hearers: HashMap<DatastreamId, Arc<[Arc<Listener>]>>,
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

/// The topic of each datastream that a device feeds: what is published there comes out there.
pub(super) fn topics(registry: &Registry) -> impl Iterator<Item = (DatastreamId, Arc<str>)> {
    let of_feeds = registry.devices().flat_map(|device| {
        device.feeds.iter().map(move |feed| {
            let topic = format!("pescaia/v1/{}/{}/{}", device.owner, device.id, feed.channel);
            (feed.datastream, Arc::<str>::from(topic))
        })
    });
    of_feeds.filter(|(_, topic)| is_publishable(topic))
}

impl Routes {
    pub(super) fn renew(&mut self, registry: Arc<Registry>, heard: impl FnOnce() -> (u64, Vec<Arc<Listener>>)) {
        let (version, listeners) = heard();
        let same_network = Arc::ptr_eq(&registry, &self.registry);
        if same_network && version == self.version {
            return;
        }
        if !same_network {
            self.topics = topics(&registry).collect();
        }
        (self.registry, self.version, self.listeners) = (registry, version, listeners);
        self.hearers.clear();
    }

    /// Tells one observation to all who hear it; returns how many messages had to go for it.
    pub(super) fn say(&mut self, observation: &Observation) -> u64 {
        let id = observation.datastream;
        let Some(topic) = self.topics.get(&id) else { return 0 };
        let (listeners, registry) = (&self.listeners, &self.registry);
        let hears = |listener: &&Arc<Listener>| listener.wants(topic) && listener.sees(id) && listener.pass.device(registry).is_some();
        let hearers = self.hearers.entry(id).or_insert_with(|| listeners.iter().filter(hears).cloned().collect());
        let Some(datastream) = self.registry.datastream(id).filter(|_| !hearers.is_empty()) else { return 0 };
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
