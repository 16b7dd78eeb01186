//! What ingest counts, for `/metrics`. Passed along; there is no global recorder.

use model::GapReason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Message {
    protocol: &'static str,
    owner: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultOf {
    result: &'static str,
}

/// Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Meters {
    messages: Family<Message, Counter>,
    ack_seconds: Histogram,
    pub(crate) inflight: Gauge,
    pub(crate) mqtt_connections: Gauge,
    mqtt_disconnects: Family<Reason, Counter>,
    modbus_polls: Family<ResultOf, Counter>,
    gap_records: Family<Reason, Counter>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            messages: Family::default(),
            ack_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            inflight: Gauge::default(),
            mqtt_connections: Gauge::default(),
            mqtt_disconnects: Family::default(),
            modbus_polls: Family::default(),
            gap_records: Family::default(),
        }
    }
}

impl Meters {
    /// Puts the meters under their names, which begin with `pescaia_`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("pescaia_ingest_messages", "Readings by what became of them", self.messages.clone());
        registry.register("pescaia_ingest_ack_seconds", "From receipt to durable, seconds", self.ack_seconds.clone());
        registry.register("pescaia_ingest_inflight", "Messages on their way to the disk", self.inflight.clone());
        registry.register("pescaia_mqtt_connections", "Open MQTT connections", self.mqtt_connections.clone());
        registry.register("pescaia_mqtt_disconnects", "Closed MQTT connections by reason", self.mqtt_disconnects.clone());
        registry.register("pescaia_modbus_polls", "Modbus requests by result", self.modbus_polls.clone());
        registry.register("pescaia_gap_records", "Failed polls by reason", self.gap_records.clone());
    }
    pub(crate) fn count(&self, protocol: &'static str, owner: &str, result: &'static str, amount: u64) {
        if amount > 0 {
            self.messages.get_or_create(&Message { protocol, owner: owner.to_owned(), result }).inc_by(amount);
        }
    }
    pub(crate) fn acked_after(&self, seconds: f64) {
        self.ack_seconds.observe(seconds);
    }
    pub(crate) fn disconnected(&self, reason: &str) {
        self.mqtt_disconnects.get_or_create(&Reason { reason: reason.to_owned() }).inc();
    }
    pub(crate) fn polled(&self, result: &'static str) {
        self.modbus_polls.get_or_create(&ResultOf { result }).inc();
    }
    pub(crate) fn gap(&self, reason: &GapReason, count: u64) {
        self.gap_records.get_or_create(&Reason { reason: reason.code() }).inc_by(count);
    }
}
