//! The same rules on every wire: a value arrives as it was sent, and what is none costs only itself.

use super::{Decoded, Matters, all};
use crate::frame::Frame;
use model::Timestamp;

const NOW: i64 = 1_795_414_800;
/// The wires whose messages are text and hold several channels.
const WIRES: [&str; 5] = ["native", "senml", "chirpstack", "tts", "line-protocol"];

/// A message that says `level` of one channel, as its wire writes it, and 12.6 of another.
fn message(wire: &str, level: &str) -> String {
    let object = format!("{{\"level\": {level}, \"battery\": 12.6}}");
    match wire {
        "native" => format!("{{\"time\": {NOW}, \"values\": {object}}}"),
        "senml" => format!("[{{\"n\": \"level\", \"t\": {NOW}, \"v\": {level}}}, {{\"n\": \"battery\", \"t\": {NOW}, \"v\": 12.6}}]"),
        "chirpstack" => format!("{{\"deviceInfo\": {{\"devEui\": \"0A\"}}, \"time\": \"2026-11-23T06:20:00Z\", \"object\": {object}}}"),
        "tts" => format!(
            "{{\"end_device_ids\": {{\"device_id\": \"d\"}}, \"uplink_message\": {{\"received_at\": \"2026-11-23T06:20:00Z\", \"decoded_payload\": {object}}}}}"
        ),
        _ => format!("m level={level},battery=12.6 {NOW}"),
    }
}

fn decoded(wire: &str, bytes: &[u8]) -> Decoded {
    let decoders = all();
    let decoder = decoders.iter().find(|decoder| decoder.name() == wire).expect("a decoder");
    decoder.decode(&Frame {
        source: "http",
        format: decoder.name(),
        route: "/api/v2/write?precision=s".into(),
        owner: "acque".into(),
        device: (wire != "chirpstack" && wire != "tts").then(|| "d".into()),
        channel: None,
        received_at: Timestamp::from_seconds(NOW),
        bytes: bytes.to_vec().into(),
    })
}

/// `channel=value` of each reading, then what each refusal says.
fn said(wire: &str, bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    let decoded = decoded(wire, bytes);
    let mut readings: Vec<String> =
        decoded.readings.iter().map(|placed| format!("{}={}", placed.what.channel, placed.what.value)).collect();
    readings.sort();
    let unread = decoded.unread.iter().map(|placed| placed.what.refusal.detail.clone());
    (readings, decoded.rejects.iter().map(|placed| placed.what.detail.clone()).chain(unread).collect())
}

fn check(level: &str, expected: &str) {
    for wire in WIRES {
        let (readings, refusals) = said(wire, message(wire, level).as_bytes());
        assert_eq!(readings, ["battery=12.6".to_owned(), format!("level={expected}")], "{wire} {level}: {refusals:?}");
        assert!(refusals.is_empty(), "{wire} {level}: {refusals:?}");
    }
}

/// The good value is taken, the other one named.
fn check_named(level: &str, words: &str) {
    for wire in WIRES {
        let (readings, refusals) = said(wire, message(wire, level).as_bytes());
        assert_eq!(readings, ["battery=12.6"], "{wire} {level}: {refusals:?}");
        assert!(matches!(refusals.as_slice(), [one] if one.contains("level") && one.contains(words)), "{wire} {level}: {refusals:?}");
    }
}

#[test]
fn a_number_arrives_as_it_was_sent() {
    for (level, expected) in [
        ("-12.5", "-12.5"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("1e-3", "0.001"),
        ("9007199254740992", "9007199254740992"),
        ("\"21.50\"", "21.5"),
        ("\" 1.42 \"", "1.42"),
    ] {
        check(level, expected);
    }
}

#[test]
fn a_whole_number_that_no_double_is_is_refused_by_name() {
    let of = |wire: &str, suffix: &str| message(wire, &format!("9007199254740993{}", if wire == "line-protocol" { suffix } else { "" }));
    for wire in WIRES {
        for suffix in ["i", "u"] {
            let (readings, refusals) = said(wire, of(wire, suffix).as_bytes());
            assert_eq!(readings, ["battery=12.6"], "{wire}");
            assert!(matches!(refusals.as_slice(), [one] if one.contains("9007199254740993")), "{wire}: {refusals:?}");
        }
    }
}

#[test]
fn what_is_no_number_costs_only_itself() {
    for word in ["NaN", "nan", "-inf", "Infinity", "-Infinity"] {
        check_named(word, word);
    }
    check_named("\"high\"", "high");
    check_named("\"21,50\"", "21,50");
}

#[test]
fn null_costs_only_itself_where_json_is_spoken() {
    for wire in WIRES.into_iter().filter(|wire| *wire != "line-protocol") {
        let (readings, refusals) = said(wire, message(wire, "null").as_bytes());
        assert_eq!(readings, ["battery=12.6"], "{wire}");
        assert!(matches!(refusals.as_slice(), [one] if one.contains("null")), "{wire}: {refusals:?}");
    }
}

#[test]
fn what_c_and_windows_put_around_a_text_is_no_part_of_it() {
    for wire in WIRES {
        for (before, after) in [("", "\0"), ("", "\0\0\0\0"), ("\u{feff}", ""), (" ", "\r\n"), ("\u{feff}", "\r\n\0")] {
            let (readings, refusals) = said(wire, format!("{before}{}{after}", message(wire, "1.42")).as_bytes());
            assert_eq!(readings, ["battery=12.6", "level=1.42"], "{wire} {before:?} {after:?}: {refusals:?}");
        }
    }
}

#[test]
fn no_words_of_a_library_stand_in_a_refusal() {
    for wire in WIRES {
        for bytes in [&b"{"[..], b"[1,", b"{\"a\" 1}", b"\xff\xfe1\0", b"[{\"n\": 7}]", b"nonsense", b"{\"time\": tru}"] {
            let (_, refusals) = said(wire, bytes);
            assert!(!refusals.is_empty(), "{wire} {bytes:?}");
            for words in ["at line ", "column ", "expected ", "invalid type", "EOF while"] {
                assert!(refusals.iter().all(|one| !one.contains(words)), "{wire}: {refusals:?}");
            }
        }
    }
}

#[test]
fn words_of_channels_that_feed_nothing_are_told_apart_from_numbers_that_failed() {
    for (wire, expected) in
        [("chirpstack", Matters::WhereFed), ("tts", Matters::WhereFed), ("line-protocol", Matters::WhereFed), ("native", Matters::Always)]
    {
        let found = decoded(wire, message(wire, "\"on\"").as_bytes());
        assert_eq!(found.unread.first().map(|placed| placed.what.matters), Some(expected), "{wire}");
    }
}
