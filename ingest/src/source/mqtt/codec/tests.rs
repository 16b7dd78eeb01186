use super::*;

/// Whatever bytes come, the codec answers; it neither panics nor reads past its packet.
#[test]
fn no_bytes_make_the_codec_panic() {
    let publish = b"\x32\x21\0\x1apescaia/v1/demo/prova/level\0\x071.42";
    let connect = b"\x10\x1a\0\x04MQTT\x05\xc2\0\x3c\x05\x11\0\0\0\x0a\0\0\0\x03abc\0\0";
    let text = b"\x32\x1f\0\x15pescaia/v1/demo/prova\0\x07\x02\x01\x01\xff\xfe\xfd";
    assert!(matches!(decode(Version::V5, text), Ok(Incoming::Publish(publish)) if publish.payload[..] == *b"\xff\xfe\xfd"));
    let seed = 20_261_123_u64;
    eprintln!("seed {seed}");
    let mut dice = seed;
    let mut roll = |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).expect("small") % sides
    };
    for round in 0..60_000 {
        let mut bytes = [&publish[..], connect, text][round % 3].to_vec();
        for _ in 0..1 + roll(6) {
            let place = roll(bytes.len());
            bytes[place] = u8::try_from(roll(256)).expect("a byte");
        }
        bytes.truncate(1 + roll(bytes.len()));
        let Ok(Some(length)) = packet_length(&bytes, 1024) else { continue };
        let packet = &bytes[..length.min(bytes.len())];
        let _ = version_of(packet);
        let _ = (decode(Version::V3, packet), decode(Version::V5, packet));
    }
}

#[test]
fn a_length_is_known_before_its_bytes_are_kept() {
    assert_eq!(packet_length(&[0x30], 100), Ok(None));
    assert_eq!(packet_length(&[0x30, 5], 100), Ok(Some(7)));
    assert_eq!(packet_length(&[0x30, 0xff, 0xff, 0xff, 0x7f], 262_144), Err(Broken::TooLarge));
    assert_eq!(packet_length(&[0x30, 0xff, 0xff, 0xff, 0xff], 262_144), Err(Broken::Malformed));
}
