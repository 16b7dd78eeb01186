use super::*;
use model::DeviceId;
use store::parse_layout;

fn payload(bytes: &[u8]) -> RawPayload {
    RawPayload { device: DeviceId::from("eui"), port: Some(2), time: Some(Timestamp::from_seconds(1_000_000)), bytes: bytes.to_vec() }
}

/// Channel, value and seconds before (−) or after the reception; or the words of the refusal.
fn check(layout: &str, bytes: &[u8], expected: Result<&[(&str, f64, i64)], &str>) {
    let layout =
        parse_layout("layout.toml", &format!("name = \"l\"\ntitle = \"l\"\n{layout}")).unwrap_or_else(|wrong| panic!("{}", wrong[0]));
    let read = read(Placed { index: 1, what: &payload(bytes) }, &layout, &"o".into(), Timestamp::from_seconds(7));
    let refusals: Vec<Refusal> =
        read.rejects.iter().map(|placed| placed.what.clone()).chain(read.unread.iter().map(|placed| placed.what.refusal.clone())).collect();
    let said: Vec<_> = read
        .readings
        .iter()
        .map(|placed| (placed.what.channel.as_str(), placed.what.value, placed.what.phenomenon_time.expect("a time").seconds() - 1_000_000))
        .collect();
    match expected {
        Ok(expected) => assert_eq!(said, expected, "{bytes:02x?}"),
        Err(words) => assert!(refusals[0].detail.contains(words), "{:?}", refusals[0]),
    }
}

// 0CCE = 3278 mV, 04D2 = 1234 mm: the uplink of a level sensor made with chirpstack-api (tests/vectors/chirpstack).
const LDDS75: &str = r#"
[[field]]
port = 2
channel = "battery"
offset = 0
type = "uint16"
bits = [0, 14]
scale = 0.001
unit = "V"
[[field]]
port = 2
channel = "level"
offset = 2
type = "uint16"
scale = 0.001
unit = "m"
sentinels = [0]
"#;

#[test]
fn a_level_sensor_is_read_by_its_layout() {
    check(LDDS75, &[0x0C, 0xCE, 0x04, 0xD2], Ok(&[("battery", 3.278, 0), ("level", 1.234, 0)]));
    check(LDDS75, &[0x4C, 0xCE, 0x00, 0x00], Ok(&[("battery", 3.278, 0)]));
    check(LDDS75, &[0x0C, 0xCE, 0x04], Err("3 bytes are too few for level, 2 bytes from 2"));
}

#[test]
fn types_orders_bits_and_queues_of_older_values() {
    let field = |rest: &str| format!("[[field]]\nchannel = \"c\"\n{rest}");
    check(&field("offset = 0\ntype = \"int24\"\norder = \"little\"\nscale = 0.01"), &[0x9C, 0xFF, 0xFF], Ok(&[("c", -1.0, 0)]));
    check(&field("offset = -4\ntype = \"float32\""), &[0, 0x40, 0x26, 0xE9, 0x79], Ok(&[("c", 2.608, 0)]));
    check(&field("offset = 0\ntype = \"bcd4\"\norder = \"little\"\nscale = 0.001"), &[0x56, 0x34, 0x12, 0x00], Ok(&[("c", 123.456, 0)]));
    check(&field("offset = 1\ntype = \"uint8\"\nbits = [4, 3]"), &[0, 0b0101_0000], Ok(&[("c", 5.0, 0)]));
    check(&field("offset = 0\ntype = \"uint40\""), &[1, 0, 0, 0, 0], Ok(&[("c", 4_294_967_296.0, 0)]));
    let queue = "[[field]]\ntime = \"age_min\"\noffset = 0\ntype = \"uint8\"\n[[field]]\nchannel = \"h\"\noffset = 1\ntype = \"uint16\"\nscale = 0.001\nrepeat = { stride = 2, step_s = -600 }";
    check(queue, &[10, 0x04, 0xD2, 0x04, 0xC8, 0x04, 0xBE], Ok(&[("h", 1.234, -600), ("h", 1.224, -1200), ("h", 1.214, -1800)]));
    let unix = "[[field]]\ntime = \"unix_s\"\noffset = 0\ntype = \"uint32\"\n[[field]]\nchannel = \"h\"\noffset = 4\ntype = \"uint8\"";
    check(unix, &[0x00, 0x0F, 0x42, 0x04, 9], Ok(&[("h", 9.0, -60)]));
    check("[[field]]\nport = 7\nchannel = \"h\"\noffset = 0\ntype = \"uint8\"", &[1], Err("nothing is laid out for payloads on port 2"));
}

// Vectors: the examples of Cayenne's own documentation.
#[test]
fn cayenne_says_itself_what_it_holds() {
    let cayenne = "cayenne = true";
    check(cayenne, &[0x03, 0x67, 0x01, 0x10, 0x05, 0x67, 0x00, 0xFF], Ok(&[("temperature_3", 27.2, 0), ("temperature_5", 25.5, 0)]));
    check(cayenne, &[0x01, 0x67, 0xFF, 0xD7], Ok(&[("temperature_1", -4.1, 0)]));
    check(
        cayenne,
        &[0x06, 0x71, 0x04, 0xD2, 0xFB, 0x2E, 0x00, 0x00],
        Ok(&[("accelerometer_6.0", 1.234, 0), ("accelerometer_6.1", -1.234, 0), ("accelerometer_6.2", 0.0, 0)]),
    );
    check(cayenne, &[0x01, 0xEE, 0x00], Err("type 238"));
    check(cayenne, &[0x01, 0x67, 0x01], Err("ends within temperature"));
}

#[test]
fn what_a_layout_can_t_be_is_said_with_its_line() {
    for (text, words) in [
        ("[[field]]\nchannel = \"c\"\noffset = 0\ntype = \"uint12\"", "uint12"),
        ("[[field]]\noffset = 0\ntype = \"uint8\"", "channel"),
        ("[[field]]\nchannel = \"c\"\noffset = 0\ntype = \"uint8\"\nunit = \"mt\"", "mt"),
        ("[[field]]\nchannel = \"c\"\nofset = 0\ntype = \"uint8\"", "offset"),
        ("", "field"),
    ] {
        let wrong = parse_layout("layout.toml", &format!("name = \"l\"\ntitle = \"l\"\n{text}")).expect_err("wrong");
        assert!(wrong[0].to_string().contains(words), "{}", wrong[0]);
    }
}

#[test]
fn eight_bytes_are_unsigned_to_their_last_bit_and_never_rounded() {
    let field = "[[field]]\nchannel = \"c\"\noffset = 0\ntype = \"uint64\"\n";
    check(field, &[0x80, 0, 0, 0, 0, 0, 0, 0], Ok(&[("c", 9_223_372_036_854_775_808.0, 0)]));
    check(field, &[0, 0x20, 0, 0, 0, 0, 0, 1], Err("9007199254740993"));
}
