//! ChirpStack 4, as its MQTT and HTTP integrations send events in JSON: `application/{application}/device/{DevEUI}/event/{event}`.
//! Uplinks give readings and raw bytes, `status` the battery; joins, acknowledgements and logs hold nothing that was measured.
//!
//! Source: chirpstack-api 4, `integration.proto`; events of real devices in tests/vectors/chirpstack.

use super::uplink::{Uplink, judged, object, raw, refuse, text, time};
use super::{Decoded, Decoder, Placed, WrongClock};
use crate::frame::Frame;
use model::{DeviceId, Reading, RejectReason, Timestamp};
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
    let (event, bytes) = object(frame, EXAMPLE)?;
    let Some(eui) = text(&event, &["deviceInfo", "devEui"]) else {
        return Err(refuse(RejectReason::WrongShape, format!("no deviceInfo.devEui; an event of ChirpStack 4 is wanted: {EXAMPLE}")));
    };
    let device = DeviceId::from(eui.to_lowercase());
    let (time, wrong_clock) = heard_at(&event)?;
    if event.contains_key("margin") || event.contains_key("batteryLevel") {
        return Ok(status(&event, device, time, frame));
    }
    // Only an uplink has data or an object; everything else says nothing that is measured.
    let number = |key: &str| event.get(key).and_then(Value::as_u64);
    let uplink = Uplink {
        device,
        id: text(&event, &["deduplicationId"]).filter(|id| !id.is_empty()).map(|id| (id.to_owned(), f64::INFINITY)),
        time,
        wrong_clocks: wrong_clock.into_iter().collect(),
        port: number("fPort").and_then(|port| u8::try_from(port).ok()),
        bytes: text(&event, &["data"]),
        object: raw(&bytes, &["object"]),
    };
    Ok(uplink.decoded(frame))
}

/// When the uplink was heard: by the event's time, which is a gateway's, judged by the first of the network server's times.
fn heard_at(event: &Map<String, Value>) -> Result<(Option<Timestamp>, Option<WrongClock>), Box<Decoded>> {
    let gateways = || event.get("rxInfo").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    let times = |key: &str| -> Result<Vec<(String, Timestamp)>, Box<Decoded>> {
        let mut times = Vec::new();
        for gateway in gateways() {
            let name = text(gateway, &["gatewayId"]).unwrap_or("?").to_owned();
            times.extend(time(text(gateway, &[key]))?.map(|time| (name, time)));
        }
        Ok(times)
    };
    let (of_gateways, of_server) = (times("gwTime")?, times("nsTime")?);
    let server = of_server.iter().map(|(_, time)| *time).min();
    let said = time(text(event, &["time"]))?.or_else(|| of_gateways.first().map(|(_, time)| *time));
    // Whose clock it is: the gateway that says the same, else the only one there is to name.
    let whose = said.and_then(|said| of_gateways.iter().find(|(_, time)| *time == said));
    let name = whose.map(|(name, _)| name.clone()).or_else(|| gateways().find_map(|one| text(one, &["gatewayId"]).map(str::to_owned)));
    let name = name.unwrap_or_else(|| "?".into());
    Ok(judged(said.map(|said| (name.as_str(), said)), server))
}

/// What the device says of itself, where it can.
fn status(event: &Map<String, Value>, device: DeviceId, time: Option<Timestamp>, frame: &Frame) -> Decoded {
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
