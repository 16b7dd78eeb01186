//! The Things Stack 3 (The Things Network), as MQTT and webhooks send uplinks: `v3/{application}@{tenant}/devices/{device}/up`.
//! Fields that are zero, empty or false are left out by it: no `f_cnt` is the counter 0, no `f_port` the port 0.
//!
//! Source: its data formats; an uplink of a real device in tests/vectors/tts.

use super::uplink::{Uplink, at, judged, object, raw, refuse, text, time};
use super::{Decoded, Decoder};
use crate::frame::Frame;
use model::{DeviceId, RejectReason, Timestamp};
use serde_json::Value;

pub(super) struct Tts;

/// Tellings of one uplink are at most so far apart, s: a node whose counter begins anew at each waking, as is allowed where the session
/// is given by hand, has the same session and counter each time.
const TOLD_WITHIN_S: f64 = 30.0;
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
    let (event, bytes) = object(frame, EXAMPLE)?;
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
    let server = time(text(message, &["received_at"]).or_else(|| text(&event, &["received_at"])))?;
    let mut wrong_clocks = Vec::new();
    for gateway in message.get("rx_metadata").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        let name = text(gateway, &["gateway_ids", "gateway_id"]).unwrap_or("?");
        // The network server's time is taken either way; a gateway's clock that can't be read says nothing.
        let said = text(gateway, &["time"]).and_then(|text| Timestamp::parse(text).ok());
        wrong_clocks.extend(judged(said.map(|said| (name, said)), server).1);
    }
    let number = |key: &str| message.get(key).and_then(Value::as_u64).unwrap_or(0);
    let uplink = Uplink {
        device: DeviceId::from(device),
        id: text(message, &["session_key_id"]).map(|session| {
            let address = text(&event, &["end_device_ids", "dev_addr"]).unwrap_or_default();
            (format!("{session}/{address}/{}", number("f_cnt")), TOLD_WITHIN_S)
        }),
        time: server,
        wrong_clocks,
        port: u8::try_from(number("f_port")).ok(),
        bytes: text(message, &["frm_payload"]),
        object: raw(&bytes, &["uplink_message", "decoded_payload"]),
    };
    Ok(uplink.decoded(frame))
}
