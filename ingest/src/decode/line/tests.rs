use super::*;

fn decoded(bytes: &[u8], route: &str) -> Decoded {
    Line.decode(&Frame {
        source: "http",
        format: "line-protocol",
        route: route.into(),
        owner: "acque".into(),
        device: None,
        channel: None,
        received_at: Timestamp::from_seconds(1_700_000_000),
        bytes: bytes.to_vec().into(),
    })
}

/// `device|channel|value|time` of each reading, then the code and line of each refusal.
fn check(text: &str, expected: &[&str]) {
    let found = decoded(text.as_bytes(), "/api/v2/write?precision=s");
    let mut said: Vec<String> = found
        .readings
        .iter()
        .map(|placed| {
            let one = &placed.what;
            let time = one.phenomenon_time.map_or_else(|| "now".into(), |time| time.seconds().to_string());
            format!("{}|{}|{}|{time}", one.device, one.channel, one.value)
        })
        .collect();
    said.extend(found.rejects.iter().map(|placed| format!("{} {}", placed.what.reason.code(), placed.index)));
    let unread = found.unread.iter().map(|placed| {
        let Unread { channel, refusal, matters, .. } = &placed.what;
        format!("{matters:?} {channel} {} {}", refusal.reason.code(), placed.index)
    });
    said.extend(unread);
    assert_eq!(said, expected, "{text}");
}

#[test]
fn series_fields_and_times_are_read_with_their_escapes() {
    check(
        "modbus,name=pump1,host=a level=1.42,starts=7i,run=true 1700000000",
        &[
            "modbus,host=a,name=pump1|level|1.42|1700000000",
            "modbus,host=a,name=pump1|starts|7|1700000000",
            "modbus,host=a,name=pump1|run|1|1700000000",
        ],
    );
    check("m f=-1e-3,g=18446744073709549568u,h=f", &["m|f|-0.001|now", "m|g|18446744073709550000|now", "m|h|0|now"]);
    check(r"my\ m\,x,t\=a=b\ c f\ 1=2 -5", &[r"my\ m\,x,t\=a=b\ c|f 1|2|-5"]);
    check("m s=\"a, b=c \\\" d\",f=1 5\r\n# comment\n\nm f=2 6\n", &["m|f|1|5", "m|f|2|6", "WhereFed s not-a-number 0"]);
    check("m s=\"only text\" 5", &["WhereFed s not-a-number 0"]);
    check(r"m,path=C:\temp,a\,b=x\ y f=1 5", &[r"m,a\,b=x\ y,path=C:\temp|f|1|5"]);
}

#[test]
fn a_line_end_within_a_text_belongs_to_the_text() {
    check("m note=\"pump 1\npump 2\",f=1 5\nm f=2 6", &["m|f|1|5", "m|f|2|6", "WhereFed note not-a-number 0"]);
    check("m log=\"last:\nm f=9.99 6\nend\",f=1 5\nm f=x 7", &["m|f|1|5", "not-a-number 3", "WhereFed log not-a-number 0"]);
    check("m log=\"a \\\"quoted\\\"\nm f=9.99\",f=1 5", &["m|f|1|5", "WhereFed log not-a-number 0"]);
    // A text without an end takes what follows with it: nothing of it is a line for sure.
    check("m f=1 5\nm s=\"open,f=3 6\nm f=9.99 7", &["m|f|1|5", "not-a-number 1"]);
    // A quote elsewhere is a character like others.
    check("m,size=3\" f=1 5\nm f=2 6", &["m,size=3\"|f|1|5", "m|f|2|6"]);
    check("# said \"so\nm f=2 6", &["m|f|2|6"]);
}

#[test]
fn a_field_that_is_no_number_costs_only_itself() {
    check("m f=NaN,g=2 5", &["m|g|2|5", "Always f not-a-number 0"]);
    check("m f=9007199254740993i,g=9007199254740992i 5", &["m|g|9007199254740992|5", "Always f not-a-number 0"]);
    check("m f=18446744073709551615u,g=2 5", &["m|g|2|5", "Always f not-a-number 0"]);
    check("m f=\"1.55\",g=\"on\" 5", &["m|f|1.55|5", "WhereFed g not-a-number 0"]);
    check("\u{feff}m f=1 5\r\n\0\0", &["m|f|1|5"]);
    let found = decoded(b"m f=1 5\nm,t=\xe9 f=2 6\nm f=3 7", "/api/v2/write?precision=s");
    assert_eq!((found.readings.len(), found.rejects.len()), (2, 1));
}

#[test]
fn a_time_of_another_precision_names_the_one_that_was_meant() {
    for (query, text, cure) in [
        ("", "1700000000", "say ?precision=s"),
        ("", "1700000000000", "say ?precision=ms"),
        ("?precision=ms", "1700000000", "say ?precision=s"),
        ("?precision=s", "1700000000000000000", "say ?precision=ns"),
        ("?precision=s", "1700000000000", "say ?precision=ms"),
    ] {
        let found = decoded(format!("m f=1 {text}").as_bytes(), &format!("/api/v2/write{query}"));
        assert_eq!(found.rejects[0].what.reason, RejectReason::BadTime);
        assert!(found.rejects[0].what.detail.ends_with(cure), "{:?}", found.rejects);
    }
    assert!(decoded(b"m f=1 1700000000", "telegraf/x").rejects[0].what.detail.ends_with("write it in nanoseconds"));
}

#[test]
fn a_bad_line_is_refused_with_its_number_and_the_others_go_in() {
    check("m f=1 5\nno fields\nm f=x 6\nm f=2 7", &["m|f|1|5", "m|f|2|7", "wrong-shape 1", "not-a-number 2"]);
    for (line, code) in [
        ("m", "wrong-shape"),
        (",t=1 f=1", "wrong-shape"),
        ("m,t f=1", "wrong-shape"),
        ("m,t= f=1", "wrong-shape"),
        ("m =1", "wrong-shape"),
        ("m f=", "not-a-number"),
        ("m f=1,", "wrong-shape"),
        ("m f=infinite", "not-a-number"),
        ("m f=\"open", "not-a-number"),
        ("m f=1 1.5", "bad-time"),
        ("m f=1 9223372036854775807", "bad-time"),
        ("m f=1 99999999999999999999", "bad-time"),
    ] {
        check(line, &[&format!("{code} 0")]);
    }
    assert_eq!(decoded(b"\xff\xfe m f=1", "").rejects[0].what.reason, RejectReason::Unreadable);
    assert_eq!(decoded(&[b'x'; 200_000], "").rejects.len(), 1);
}

#[test]
fn the_address_says_what_a_step_of_time_is() {
    for (query, text) in [
        ("?precision=ns", "1700000000000000000"),
        ("", "1700000000000000000"),
        ("?precision=us", "1700000000000000"),
        ("?org=x&precision=ms", "1700000000000"),
        ("?precision=s", "1700000000"),
    ] {
        let found = decoded(format!("m f=1 {text}").as_bytes(), &format!("/api/v2/write{query}"));
        assert_eq!(found.readings[0].what.phenomenon_time, Some(Timestamp::from_seconds(1_700_000_000)), "{query}");
    }
}

#[test]
fn what_is_too_much_is_counted_and_takes_no_memory() {
    let found = decoded("m f=1\n".repeat(MOST_READINGS + 7).as_bytes(), "");
    let left: Vec<_> = found.left_out.iter().map(|left| (left.index, left.reason, left.count)).collect();
    assert_eq!((found.readings.len(), found.rejects.len(), left), (MOST_READINGS, 0, vec![(MOST_READINGS, RejectReason::TooMany, 7)]));
    let found = decoded("x\n".repeat(MOST_REFUSALS + 9).as_bytes(), "");
    let left: Vec<_> = found.left_out.iter().map(|left| (left.index, left.reason, left.count)).collect();
    assert_eq!((found.rejects.len(), left), (MOST_REFUSALS, vec![(MOST_REFUSALS, RejectReason::WrongShape, 9)]));
}
