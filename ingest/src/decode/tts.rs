//! The Things Stack 3 (The Things Network), as MQTT and webhooks send uplinks: `v3/{application}@{tenant}/devices/{device}/up`.
//! Fields that are zero, empty or false are left out by it: no `f_cnt` is the counter 0, no `f_port` the port 0.
//!
//! Source: its data formats; an uplink of a real device in tests/vectors/tts.

use super::uplink::{Uplink, at, object, refuse, text, time};
use super::{Decoded, Decoder};
use crate::frame::Frame;
use model::{DeviceId, RejectReason};
use serde_json::Value;

pub(super) struct Tts;

const EXAMPLE: &str = "{\"end_device_ids\": {\"device_id\": \"…\", \"dev_eui\": \"…\"}, \"uplink_message\": {\"f_port\": 2, \"frm_payload\": \"base64\", \"decoded_payload\": {…}, \"received_at\": \"…\"}}";

impl Decoder for Tts {
    fn name(&self) -> &'static str {
        "tts"
    }
    fn decode(&self, frame: &Frame) -> Decoded {
        read(frame).unwrap_or_else(|refused| *refused)
    }
}

fn read(frame: &Frame) -> Result<Decoded, Box<Decoded>> {
    let event = object(frame, EXAMPLE)?;
    let eui = text(&event, &["end_device_ids", "dev_eui"]).map(str::to_lowercase);
    let Some(device) = eui.or_else(|| text(&event, &["end_device_ids", "device_id"]).map(str::to_owned)) else {
        return Err(refuse(RejectReason::WrongShape, format!("no end_device_ids; an uplink of The Things Stack 3 is wanted: {EXAMPLE}")));
    };
    // Typed into its console, to try a codec: no sensor measured that.
    if event.get("simulated").and_then(Value::as_bool) == Some(true) {
        return Err(refuse(
            RejectReason::WrongShape,
            format!("a simulated uplink of {device}, typed into the console; nothing was measured"),
        ));
    }
    // Joins and acknowledgements come by other topics of the same shape, and hold nothing that was measured.
    let Some(message) = at(&event, &["uplink_message"]).and_then(Value::as_object) else { return Ok(Decoded::default()) };
    let time = time(text(message, &["received_at"]).or_else(|| text(&event, &["received_at"])))?;
    let number = |key: &str| message.get(key).and_then(Value::as_u64).unwrap_or(0);
    let uplink = Uplink {
        device: DeviceId::from(device),
        time,
        port: u8::try_from(number("f_port")).ok(),
        counter: u32::try_from(number("f_cnt")).ok(),
        bytes: text(message, &["frm_payload"]),
        object: at(message, &["decoded_payload"]).and_then(Value::as_object),
    };
    Ok(uplink.decoded(frame))
}
