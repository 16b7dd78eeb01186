//! Real events of both network servers, and what nobody should send.

use crate::decode::chirpstack::Chirpstack;
use crate::decode::tts::Tts;
use crate::decode::{Decoded, Decoder};
use crate::frame::Frame;
use model::Timestamp;

macro_rules! vector {
    ($path:literal) => {
        include_bytes!(concat!("../../../../tests/vectors/", $path))
    };
}

fn decoded(decoder: &dyn Decoder, bytes: &[u8]) -> Decoded {
    decoder.decode(&Frame {
        source: "broker",
        format: decoder.name(),
        route: "application/7/device/0101010101010101/event/up".into(),
        owner: "acque".into(),
        device: None,
        channel: None,
        received_at: Timestamp::from_seconds(1_700_000_000),
        bytes: bytes.to_vec().into(),
    })
}

/// Device, time, channels with values; then port and bytes of the payloads.
fn check(decoder: &dyn Decoder, bytes: &[u8], device: &str, time: &str, channels: &[(&str, f64)], payload: Option<(u8, usize)>) {
    let found = decoded(decoder, bytes);
    let said: Vec<_> = found.readings.iter().map(|placed| (placed.what.channel.as_str(), placed.what.value)).collect();
    assert_eq!(said, channels);
    for reading in &found.readings {
        assert_eq!(reading.what.device.as_str(), device);
        assert_eq!(reading.what.phenomenon_time.map(|time| time.to_string()).as_deref(), Some(time));
    }
    let payloads: Vec<_> = found.payloads.iter().map(|placed| (placed.what.port.expect("a port"), placed.what.bytes.len())).collect();
    assert_eq!(payloads, payload.into_iter().collect::<Vec<_>>());
    assert!(found.rejects.is_empty(), "{:?}", found.rejects);
}

#[test]
fn chirpstack_s_events_give_channels_and_raw_bytes() {
    let relay = [("ACI2_mA", 0.0), ("AVI2_V", 0.0), ("ACI1_mA", 0.0), ("AVI1_V", 0.0)];
    check(&Chirpstack, vector!("chirpstack/up.json"), "a8404127a188d826", "2024-01-24T16:47:01.573381Z", &relay, Some((2, 11)));
    let level = [("level_m", 1.234), ("battery", 3.278)];
    check(&Chirpstack, vector!("chirpstack/level.json"), "0101010101010101", "2026-11-23T05:00:00.123456Z", &level, Some((2, 4)));
    check(&Chirpstack, vector!("chirpstack/join.json"), "", "", &[], None);
    let status = [("battery_level", 85.826_775), ("margin", 7.0)];
    check(&Chirpstack, vector!("chirpstack/status.json"), "70b3d52dd300ed31", "2024-01-26T20:18:45.299871Z", &status, None);
}

#[test]
fn the_things_stack_leaves_zeros_out() {
    let channels = [
        ("airhumidity", 50.9),
        ("airtemperature", 19.9),
        ("port", 20.0),
        ("relais1", 0.0),
        ("relais2", 1.0),
        ("volt", 3.649),
        ("zisternenpegel", 2.0),
    ];
    check(&Tts, vector!("tts/up.json"), "70b3d5e050013950", "2024-01-22T07:06:25.054442Z", &channels, Some((20, 10)));
    let bare =
        br#"{"end_device_ids": {"device_id": "g"}, "received_at": "2024-01-22T07:06:25Z", "uplink_message": {"frm_payload": "AA=="}}"#;
    check(&Tts, bare, "g", "", &[], Some((0, 1)));
    check(&Tts, br#"{"end_device_ids": {"device_id": "g"}, "join_accept": {}}"#, "", "", &[], None);
    let nested = br#"{"end_device_ids": {"device_id": "g"}, "received_at": "2024-01-22T07:06:25Z", "uplink_message": {"decoded_payload": {"a": {"b": [1, {"c": true}]}, "t": "text", "n": null}}}"#;
    check(&Tts, nested, "g", "2024-01-22T07:06:25Z", &[("a.b.0", 1.0), ("a.b.1.c", 1.0)], None);
}

#[test]
fn what_somebody_typed_into_a_console_is_never_a_reading() {
    let simulated = br#"{"end_device_ids": {"device_id": "g"}, "simulated": true, "uplink_message": {"decoded_payload": {"level": 9.9}}}"#;
    let found = decoded(&Tts, simulated);
    assert_eq!((found.readings.len(), found.payloads.len(), found.rejects.len()), (0, 0, 1));
}

#[test]
fn what_is_none_of_theirs_is_one_refusal_and_never_a_panic() {
    let deep = "[".repeat(10_000);
    let nothing = br#"{"deviceInfo": {"devEui": "0A"}, "object": {"state": "ON"}}"#;
    let no_base64 = br#"{"deviceInfo": {"devEui": "0A"}, "data": "%%%"}"#;
    let bad_time = br#"{"deviceInfo": {"devEui": "0A"}, "time": "yesterday", "object": {"a": 1}}"#;
    let hostile: [&[u8]; 12] = [
        b"",
        b"{",
        b"[]",
        b"null",
        deep.as_bytes(),
        b"\xff\xfe{\0}\0",
        b"\xef\xbb\xbf{}",
        b"{\"a\": 1e999}",
        b"{\"a\": NaN}",
        nothing,
        no_base64,
        bad_time,
    ];
    for bytes in hostile {
        let found = decoded(&Chirpstack, bytes);
        assert_eq!((found.readings.len(), found.payloads.len(), found.rejects.len()), (0, 0, 1), "{:?}", String::from_utf8_lossy(bytes));
        let found = decoded(&Tts, bytes);
        assert_eq!((found.readings.len(), found.rejects.len()), (0, 1));
    }
}

#[test]
fn a_deep_path_is_not_copied_for_each_number_below_it() {
    let leaves: Vec<String> = (0..5000).map(|n| format!("\"a{n}\":1")).collect();
    let key = "k".repeat(2000);
    let object = format!("{{\"{key}\":{{\"{key}\":{{{}}}}},\"level\":1}}", leaves.join(","));
    let event = format!(r#"{{"deviceInfo":{{"devEui":"0101010101010101"}},"fPort":2,"data":"AQ==","object":{object}}}"#);
    let found = decoded(&Chirpstack, event.as_bytes());
    assert_eq!(found.readings.iter().map(|placed| placed.what.channel.as_str()).collect::<Vec<_>>(), ["level"]);
    assert_eq!(found.left_out.iter().map(|left| (left.reason.code(), left.count)).collect::<Vec<_>>(), [("wrong-shape", 1)]);
    let event = format!(r#"{{"deviceInfo":{{"devEui":"0101010101010101"}},"fPort":2,"data":"AQ==","object":{{{}}}}}"#, leaves.join(","));
    let found = decoded(&Chirpstack, event.as_bytes());
    assert_eq!((found.readings.len(), found.left_out.iter().map(|left| left.count).sum::<u32>()), (2000, 3000));
}
