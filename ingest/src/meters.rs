//! What ingest counts, for `/metrics`. Passed along; there is no global recorder.

use model::GapReason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::ops::Deref;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Message {
    protocol: &'static str,
    owner: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokerName {
    owner: String,
    broker: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorOf {
    door: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FormatOf {
    format: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultOf {
    result: &'static str,
}

/// Cheap to clone, as each message takes one along; all clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    kept: Arc<Kept>,
}

impl Deref for Meters {
    type Target = Kept;
    fn deref(&self) -> &Kept {
        &self.kept
    }
}

/// The meters themselves.
#[derive(Debug)]
pub struct Kept {
    messages: Family<Message, Counter>,
    ack_seconds: Histogram,
    pub(crate) inflight: Gauge,
    pub(crate) mqtt_connections: Gauge,
    spool_bytes: Gauge,
    spool_oldest_s: Gauge,
    spool_limit_bytes: Gauge,
    broker_connected: Family<BrokerName, Gauge>,
    mqtt_disconnects: Family<Reason, Counter>,
    pub(crate) mqtt_dropped: Counter,
    pub(crate) mqtt_throttled: Counter,
    certificate_expiry: Family<DoorOf, Gauge>,
    pub(crate) mqtt_plaintext: Gauge,
    modbus_polls: Family<ResultOf, Counter>,
    gap_records: Family<Reason, Counter>,
    passed_over: Family<FormatOf, Counter>,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            messages: Family::default(),
            ack_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            inflight: Gauge::default(),
            mqtt_connections: Gauge::default(),
            spool_bytes: Gauge::default(),
            spool_oldest_s: Gauge::default(),
            spool_limit_bytes: Gauge::default(),
            broker_connected: Family::default(),
            mqtt_disconnects: Family::default(),
            mqtt_dropped: Counter::default(),
            mqtt_throttled: Counter::default(),
            certificate_expiry: Family::default(),
            mqtt_plaintext: Gauge::default(),
            modbus_polls: Family::default(),
            gap_records: Family::default(),
            passed_over: Family::default(),
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
        registry.register("pescaia_spool_bytes", "What waits for the centre", self.spool_bytes.clone());
        registry.register("pescaia_spool_oldest_seconds", "How long the oldest of it has waited", self.spool_oldest_s.clone());
        registry.register("pescaia_spool_limit_bytes", "How much may wait for the centre", self.spool_limit_bytes.clone());
        registry.register("pescaia_broker_connected", "1 while an external broker is connected", self.broker_connected.clone());
        registry.register("pescaia_mqtt_disconnects", "Closed MQTT connections by reason", self.mqtt_disconnects.clone());
        registry.register("pescaia_mqtt_dropped", "Messages that MQTT subscribers were too slow for", self.mqtt_dropped.clone());
        let throttled = "Messages that waited for their owner's quota";
        registry.register("pescaia_mqtt_throttled", throttled, self.mqtt_throttled.clone());
        let expiry = "When a door's certificate ceases to hold, seconds since 1970";
        registry.register("pescaia_cert_expiry_timestamp_seconds", expiry, self.certificate_expiry.clone());
        let plaintext = "1 while MQTT without TLS can be reached from other machines";
        registry.register("pescaia_mqtt_plaintext_exposed", plaintext, self.mqtt_plaintext.clone());
        registry.register("pescaia_modbus_polls", "Modbus requests by result", self.modbus_polls.clone());
        registry.register("pescaia_gap_records", "Failed polls by reason", self.gap_records.clone());
        let passed_over = "What messages said that is nobody's measurement: words of channels that feed nothing, what a broker retained";
        registry.register("pescaia_ingest_passed_over", passed_over, self.passed_over.clone());
    }
    pub(crate) fn count(&self, protocol: &'static str, owner: &str, result: &'static str, amount: u64) {
        if amount > 0 {
            self.messages.get_or_create(&Message { protocol, owner: owner.to_owned(), result }).inc_by(amount);
        }
    }
    pub(crate) fn acked_after(&self, seconds: f64) {
        self.ack_seconds.observe(seconds);
    }
    pub(crate) fn spool(&self, bytes: u64, limit: u64, oldest_s: i64) {
        self.spool_oldest_s.set(oldest_s);
        self.spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.spool_limit_bytes.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }
    pub(crate) fn broker_connected(&self, owner: &str, broker: &str, connected: i64) {
        let name = BrokerName { owner: owner.to_owned(), broker: broker.to_owned() };
        self.broker_connected.get_or_create(&name).set(connected);
    }
    pub(crate) fn disconnected(&self, reason: &str) {
        self.mqtt_disconnects.get_or_create(&Reason { reason: reason.to_owned() }).inc();
    }
    pub(crate) fn certificate_expires(&self, door: &'static str, at_s: i64) {
        self.certificate_expiry.get_or_create(&DoorOf { door }).set(at_s);
    }
    pub(crate) fn polled(&self, result: &'static str) {
        self.modbus_polls.get_or_create(&ResultOf { result }).inc();
    }
    pub(crate) fn passed_over(&self, format: &'static str, amount: u64) {
        if amount > 0 {
            self.passed_over.get_or_create(&FormatOf { format }).inc_by(amount);
        }
    }
    pub(crate) fn gap(&self, reason: &GapReason, count: u64) {
        self.gap_records.get_or_create(&Reason { reason: reason.code() }).inc_by(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meters_stand_under_their_names() {
        let (meters, mut registry) = (Meters::default(), Registry::default());
        meters.register(&mut registry);
        meters.count("mqtt", "demo", "accepted", 2);
        meters.acked_after(0.001);
        meters.disconnected("client");
        meters.certificate_expires("mqtt", 1_800_000_000);
        meters.polled("ok");
        meters.gap(&GapReason::Timeout, 3);
        meters.passed_over("chirpstack", 2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a text");
        for line in [
            r#"pescaia_ingest_messages_total{protocol="mqtt",owner="demo",result="accepted"} 2"#,
            "pescaia_ingest_ack_seconds_count 1",
            "pescaia_ingest_inflight 0",
            "pescaia_mqtt_connections 0",
            r#"pescaia_mqtt_disconnects_total{reason="client"} 1"#,
            "pescaia_mqtt_dropped_total 0",
            "pescaia_mqtt_throttled_total 0",
            r#"pescaia_cert_expiry_timestamp_seconds{door="mqtt"} 1800000000"#,
            "pescaia_mqtt_plaintext_exposed 0",
            r#"pescaia_modbus_polls_total{result="ok"} 1"#,
            r#"pescaia_gap_records_total{reason="timeout"} 3"#,
            r#"pescaia_ingest_passed_over_total{format="chirpstack"} 2"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
    }
}
