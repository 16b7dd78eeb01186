//! A fleet of LoRaWAN level sensors as network servers tell of it: ChirpStack 4 (`integration.proto` of chirpstack-api 4 in its JSON)
//! and The Things Stack 3 (its data formats, which leave out what is zero). Shapes as in the real events under `tests/vectors`.
//!
//! The payload, on port 2, seven bytes, most significant byte first:
//! 0 status, bit 0 battery low; 1–2 level in mm, int16, 0x7FFF without an echo; 3–4 battery in mV, uint16;
//! 5–6 seconds since it was measured, uint16, for what waited in the device.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;
use serde_json::{Map, Value, json};

/// Where the layout stands.
pub const PORT: u8 = 2;
/// Below this the status says that the battery is low, mV.
const LOW_MV: u16 = 3300;
const NO_ECHO: i16 = 0x7FFF;

/// What a sensor measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// m; `None` when the echo was lost.
    pub level_m: Option<f64>,
    pub battery_mv: u16,
    /// Seconds that it waited in the device before it was sent.
    pub waited_s: u16,
}

impl Measured {
    /// The bytes that go over the air.
    #[must_use]
    pub fn bytes(&self) -> [u8; 7] {
        #[expect(clippy::cast_possible_truncation, reason = "a sensor of 32 m at most")]
        let level = self.level_m.map_or(NO_ECHO, |level| (level * 1000.0).round() as i16);
        let ([high, low], [full, rest], [long, short]) = (level.to_be_bytes(), self.battery_mv.to_be_bytes(), self.waited_s.to_be_bytes());
        [u8::from(self.battery_mv < LOW_MV), high, low, full, rest, long, short]
    }
}

/// A sensor and how often it has spoken since it joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mote {
    /// Sixteen digits, lower case.
    pub dev_eui: String,
    /// As it is called at the network server.
    pub name: String,
    frame_counter: u32,
}

/// One uplink, as a network server took it. Sent again it is the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Uplink {
    pub dev_eui: String,
    pub name: String,
    /// From 0 at each join.
    pub frame_counter: u32,
    /// When the first gateway heard it; LoRaWAN knows no other time.
    pub heard_at: Timestamp,
    pub bytes: Vec<u8>,
    /// Those that heard it within the server's window, the first one first.
    pub gateways: Vec<&'static str>,
}

/// What is published: topic and JSON.
pub type Event = (String, String);

impl Mote {
    /// One that has just joined.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self { dev_eui: format!("a84041ff{number:08x}"), name: format!("livello-{number}"), frame_counter: 0 }
    }

    /// Its next uplink, heard by these gateways.
    pub fn say(&mut self, measured: &Measured, heard_at: Timestamp, gateways: &[&'static str]) -> Uplink {
        let frame_counter = self.frame_counter;
        self.frame_counter += 1;
        let (dev_eui, name, bytes) = (self.dev_eui.clone(), self.name.clone(), measured.bytes().to_vec());
        Uplink { dev_eui, name, frame_counter, heard_at, bytes, gateways: gateways.to_vec() }
    }

    /// It lost its session: counters begin anew.
    pub fn join_again(&mut self) {
        self.frame_counter = 0;
    }
}

impl Uplink {
    /// As a second network server tells it, or the same one after its window: another gateway, heard `later_s` later.
    #[must_use]
    pub fn heard_again(&self, gateway: &'static str, later_s: i64) -> Self {
        Self { heard_at: self.heard_at.plus_seconds(later_s), gateways: vec![gateway], ..self.clone() }
    }

    /// As ChirpStack 4 publishes it.
    #[must_use]
    pub fn chirpstack(&self) -> Event {
        let heard = |gateway: &&str| json!({ "gatewayId": gateway, "uplinkId": self.frame_counter, "gwTime": self.heard_at.to_string(), "rssi": -97, "snr": 6.5, "crcStatus": "CRC_OK" });
        let event = json!({
            "deduplicationId": self.id("-"),
            "time": self.heard_at.to_string(),
            "deviceInfo": {
                "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
                "tenantName": "Acque",
                "applicationId": "7",
                "applicationName": "livelli",
                "deviceProfileId": "f1c0ae0e-b4a2-4547-b360-7cfa15e85734",
                "deviceProfileName": "livello",
                "deviceName": self.name,
                "devEui": self.dev_eui,
                "tags": {},
            },
            "devAddr": "01dfbaf2",
            "adr": true,
            "dr": 5,
            "fCnt": self.frame_counter,
            "fPort": PORT,
            "confirmed": false,
            "data": STANDARD.encode(&self.bytes),
            "rxInfo": self.gateways.iter().map(heard).collect::<Vec<_>>(),
            "txInfo": { "frequency": 867_700_000, "modulation": { "lora": { "bandwidth": 125_000, "spreadingFactor": 7, "codeRate": "CR_4_5" } } },
        });
        (format!("application/7/device/{}/event/up", self.dev_eui), event.to_string())
    }

    /// As The Things Stack 3 publishes it: nothing that is zero, empty or false, so that the first uplink of a session has no `f_cnt`.
    #[must_use]
    pub fn tts(&self) -> Event {
        let heard = |gateway: &&str| json!({ "gateway_ids": { "gateway_id": gateway, "eui": "50313953530A4750" }, "time": self.heard_at.to_string(), "rssi": -97, "channel_rssi": -97, "snr": 6.5, "channel_index": 0 });
        let mut event = json!({
            "end_device_ids": {
                "device_id": self.name,
                "application_ids": { "application_id": "livelli" },
                "dev_eui": self.dev_eui.to_uppercase(),
                "join_eui": "0000000000000000",
                "dev_addr": "260B5972",
            },
            "correlation_ids": [format!("gs:uplink:{}", self.id(""))],
            "received_at": self.heard_at.plus_micros(250_000).to_string(),
            "uplink_message": {
                "session_key_id": "AY0v/ZirzRkpNW0Cgjdhig==",
                "f_port": PORT,
                "f_cnt": self.frame_counter,
                "frm_payload": STANDARD.encode(&self.bytes),
                "rx_metadata": self.gateways.iter().map(heard).collect::<Vec<_>>(),
                "settings": { "data_rate": { "lora": { "bandwidth": 125_000, "spreading_factor": 9, "coding_rate": "4/5" } }, "frequency": "867500000" },
                "received_at": self.heard_at.to_string(),
                "consumed_airtime": "0.205824s",
                "confirmed": false,
            },
        });
        leave_out_zeros(&mut event);
        (format!("v3/livelli@acque/devices/{}/up", self.name), event.to_string())
    }

    /// Of this telling of it: other gateways, or another time, make another.
    fn id(&self, between: &str) -> String {
        format!("{}{between}{}{between}{}{between}{}", self.dev_eui, self.frame_counter, self.heard_at.micros(), self.gateways.concat())
    }
}

/// As protobuf's JSON does with fields at their defaults.
fn leave_out_zeros(value: &mut Value) {
    let is_zero = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    };
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(leave_out_zeros);
            *object = std::mem::take(object).into_iter().filter(|(_, value)| !is_zero(value)).collect::<Map<_, _>>();
        }
        Value::Array(list) => list.iter_mut().for_each(leave_out_zeros),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: Measured = Measured { level_m: Some(1.42), battery_mv: 3600, waited_s: 600 };

    // By hand from the layout above: 1420 is 058C, 3600 is 0E10, 600 is 0258.
    #[test]
    fn seven_bytes_say_what_was_measured() {
        assert_eq!(MEASURED.bytes(), [0, 0x05, 0x8C, 0x0E, 0x10, 0x02, 0x58]);
        assert_eq!(Measured { level_m: Some(-0.1), ..MEASURED }.bytes()[1..3], [0xFF, 0x9C]);
        assert_eq!(Measured { level_m: None, battery_mv: 3200, waited_s: 0 }.bytes(), [1, 0x7F, 0xFF, 0x0C, 0x80, 0, 0]);
    }

    #[test]
    fn the_things_stack_leaves_out_what_is_zero_and_chirpstack_does_not() {
        let mut mote = Mote::new(7);
        let at = Timestamp::from_seconds(1_700_000_000);
        let (first, second) = (mote.say(&MEASURED, at, &["gw-1", "gw-2"]), mote.say(&MEASURED, at.plus_seconds(600), &["gw-1"]));
        let parsed = |event: Event| serde_json::from_str::<Value>(&event.1).expect("JSON");
        let (tts, chirpstack) = (parsed(first.tts()), parsed(first.chirpstack()));
        assert_eq!(tts["uplink_message"].get("f_cnt"), None);
        assert_eq!(tts["uplink_message"]["rx_metadata"][0].get("channel_index"), None);
        assert_eq!(tts["uplink_message"]["frm_payload"], "AAWMDhACWA==");
        assert_eq!(tts["end_device_ids"]["dev_eui"], "A84041FF00000007");
        assert_eq!((chirpstack["fCnt"].as_u64(), chirpstack["confirmed"].as_bool()), (Some(0), Some(false)));
        assert_eq!(chirpstack["rxInfo"].as_array().map(Vec::len), Some(2), "two gateways, one event");
        assert_eq!(parsed(second.tts())["uplink_message"]["f_cnt"], 1);
        let again = parsed(second.heard_again("gw-9", 1).chirpstack());
        assert_ne!(again["deduplicationId"], parsed(second.chirpstack())["deduplicationId"]);
        assert_eq!(again["fCnt"], 1);
    }
}
