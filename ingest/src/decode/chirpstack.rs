//! ChirpStack 4, as its MQTT and HTTP integrations send events in JSON: `application/{application}/device/{DevEUI}/event/{event}`.
//! Uplinks give readings and raw bytes, `status` the battery; joins, acknowledgements and logs hold nothing that was measured.
//!
//! Source: chirpstack-api 4, `integration.proto`; events of real devices in tests/vectors/chirpstack.

use super::uplink::{Uplink, at, object, refuse, text, time};
use super::{Decoded, Decoder, Placed};
use crate::frame::Frame;
use model::{DeviceId, Reading, RejectReason};
use serde_json::{Map, Value};

pub(super) struct Chirpstack;

const EXAMPLE: &str = "{\"deviceInfo\": {\"devEui\": \"…\"}, \"time\": \"…\", \"fPort\": 2, \"data\": \"base64\", \"object\": {…}}";

impl Decoder for Chirpstack {
    fn name(&self) -> &'static str {
        "chirpstack"
    }
    fn decode(&self, frame: &Frame) -> Decoded {
        read(frame).unwrap_or_else(|refused| *refused)
    }
}

fn read(frame: &Frame) -> Result<Decoded, Box<Decoded>> {
    let event = object(frame, EXAMPLE)?;
    let Some(eui) = text(&event, &["deviceInfo", "devEui"]) else {
        return Err(refuse(RejectReason::WrongShape, format!("no deviceInfo.devEui; an event of ChirpStack 4 is wanted: {EXAMPLE}")));
    };
    let device = DeviceId::from(eui.to_lowercase());
    let time = time(text(&event, &["time"]).or_else(|| text(&event, &["rxInfo", "gwTime"])))?;
    if event.contains_key("margin") || event.contains_key("batteryLevel") {
        return Ok(status(&event, device, time, frame));
    }
    // Only an uplink has data or an object; everything else says nothing that is measured.
    let number = |key: &str| event.get(key).and_then(Value::as_u64);
    let uplink = Uplink {
        device,
        time,
        port: number("fPort").and_then(|port| u8::try_from(port).ok()),
        counter: number("fCnt").and_then(|counter| u32::try_from(counter).ok()),
        bytes: text(&event, &["data"]),
        object: at(&event, &["object"]).and_then(Value::as_object),
    };
    Ok(uplink.decoded(frame))
}

/// What the device says of itself, where it can.
fn status(event: &Map<String, Value>, device: DeviceId, time: Option<model::Timestamp>, frame: &Frame) -> Decoded {
    let is = |key: &str| event.get(key).and_then(Value::as_bool) == Some(true);
    let battery = event.get("batteryLevel").filter(|_| !is("batteryLevelUnavailable") && !is("externalPowerSource"));
    let said = [("battery_level", battery), ("margin", event.get("margin"))];
    let reading = |(channel, value): (&str, Option<&Value>)| {
        let value = value?.as_f64().filter(|value| value.is_finite())?;
        let (owner, device, channel) = (frame.owner.clone(), device.clone(), channel.to_owned());
        Some(Placed {
            index: 0,
            what: Reading { owner, device, channel: channel.into(), phenomenon_time: time, value, unit: None, flag: None },
        })
    };
    Decoded { readings: said.into_iter().filter_map(reading).collect(), ..Decoded::default() }
}
