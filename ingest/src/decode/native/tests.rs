use super::*;
use bytes::Bytes;

fn frame(payload: &[u8], device: Option<&str>) -> Frame {
    Frame {
        source: "mqtt",
        format: "native",
        route: "pescaia/v1/demo/prova".into(),
        owner: "demo".into(),
        device: device.map(Into::into),
        channel: None,
        received_at: Timestamp::from_seconds(1_767_225_600),
        bytes: Bytes::copy_from_slice(payload),
    }
}

/// `channel=value@time` of each reading, `index:code` of each refusal.
fn check(payload: &str, expected: &[&str]) {
    let decoded = Native.decode(&frame(payload.as_bytes(), Some("prova")));
    let readings = decoded.readings.iter().map(|placed| {
        let time = placed.what.phenomenon_time.expect("native readings have a time");
        format!("{}={}@{time}", placed.what.channel, placed.what.value)
    });
    let rejects = decoded.rejects.iter().map(|placed| format!("{}:{}", placed.index, placed.what.reason.code()));
    let unread = decoded.unread.iter().map(|placed| format!("{}:{}", placed.index, placed.what.refusal.reason.code()));
    assert_eq!(readings.chain(rejects).chain(unread).collect::<Vec<_>>(), expected, "{payload}");
}

#[test]
fn good_messages_are_read() {
    check(r#"{"time":"2026-11-23T06:20:00Z","values":{"level":1.42}}"#, &["level=1.42@2026-11-23T06:20:00Z"]);
    check(
        r#"{"time":"2026-11-23T07:20:00+01:00","values":{"level":1.42,"battery":12}}"#,
        &["level=1.42@2026-11-23T06:20:00Z", "battery=12@2026-11-23T06:20:00Z"],
    );
    check(r#"{"device":"prova","time":1795414800,"values":{"level":1}}"#, &["level=1@2026-11-23T06:20:00Z"]);
    check(r#"{"time":1795414800,"values":{"level":0.30000000000000004}}"#, &["level=0.30000000000000004@2026-11-23T06:20:00Z"]);
    check(r#"{"time":1795414800,"values":{"level":-0.5}}"#, &["level=-0.5@2026-11-23T06:20:00Z"]);
    check(
        r#"[{"time":1795414800000,"values":{"level":1}},{"time":1795414801,"values":{"level":2}}]"#,
        &["level=1@2026-11-23T06:20:00Z", "level=2@2026-11-23T06:20:01Z"],
    );
}

#[test]
fn each_bad_part_is_refused_alone_and_the_good_ones_stay() {
    check(r#"{"time":1795414800,"values":{"level":"high","battery":12}}"#, &["battery=12@2026-11-23T06:20:00Z", "0:not-a-number"]);
    check(r#"{"time":1795414800,"values":{"level":null,"a":true,"b":[1]}}"#, &["0:not-a-number", "0:not-a-number", "0:not-a-number"]);
    check(
        r#"[{"time":"yesterday","values":{"level":1}},{"time":1795414800,"values":{"level":2}}]"#,
        &["level=2@2026-11-23T06:20:00Z", "0:bad-time"],
    );
    check(r#"{"time":1795414800,"values":{"level":1,"level":2}}"#, &["0:wrong-shape", "0:wrong-shape"]);
    check(r#"{"time":1795414800,"time":5,"values":{"level":1}}"#, &["0:wrong-shape"]);
    check(r#"{"time":1795414800,"valeus":{"level":1}}"#, &["0:wrong-shape"]);
    check(r#"{"values":{"level":1}}"#, &["0:bad-time"]);
    check(r#"{"time":"2026-11-23T06:20:00","values":{"level":1}}"#, &["0:bad-time"]);
    check(r#"{"time":1795414800,"values":{"level":1},"units":{"level":"mt"}}"#, &["0:wrong-unit"]);
    check(r#"{"time":1795414800,"values":{"level":1},"units":{"level":"m","level":"cm"}}"#, &["0:wrong-shape"]);
    check(r#"{"time":1795414800,"values":{"level":1e999,"battery":12}}"#, &["battery=12@2026-11-23T06:20:00Z", "0:not-a-number"]);
    check(r#"{"time":1e999,"values":{"level":1}}"#, &["0:bad-time"]);
    check(r#"[{"time":1795414800,"values":{"level":1}},7,null]"#, &["level=1@2026-11-23T06:20:00Z", "1:wrong-shape", "2:wrong-shape"]);
    check(r#"{"device":"altra","time":1795414800,"values":{"level":1}}"#, &["0:wrong-shape"]);
}

#[test]
fn poison_is_refused_whole_and_never_panics() {
    for payload in [&b""[..], b"\xff\xfe{\0}\0", b"{", b"{} {}", "[".repeat(10_000).as_bytes()] {
        let decoded = Native.decode(&frame(payload, Some("prova")));
        assert!(decoded.readings.is_empty());
        assert_eq!(decoded.rejects.first().map(|reject| reject.what.reason), Some(RejectReason::Unreadable), "{payload:?}");
    }
    check("[]", &["0:wrong-shape"]);
    check("7", &["0:wrong-shape"]);
    check("{}", &["0:bad-time"]);
    check(r#"{"\ud800":1}"#, &["0:unreadable"]);
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    check(&deep, &["0:wrong-shape"]);
    check(
        &format!(r#"{{"time":1795414800,"values":{{"level":{deep},"battery":12}}}}"#),
        &["battery=12@2026-11-23T06:20:00Z", "0:not-a-number"],
    );
}

#[test]
fn over_http_each_object_names_its_device() {
    let good = Native.decode(&frame(br#"{"device":"prova","time":1795414800,"values":{"level":1}}"#, None));
    assert_eq!(good.readings.first().map(|reading| reading.what.device.as_str()), Some("prova"));
    let bad = Native.decode(&frame(br#"{"time":1795414800,"values":{"level":1}}"#, None));
    assert_eq!(bad.rejects.first().map(|reject| reject.what.reason), Some(RejectReason::WrongShape));
}

#[test]
fn what_is_too_much_is_said_and_the_rest_is_kept() {
    let values: Vec<String> =
        (0..MOST_READINGS + 3).map(|n| format!(r#"{{"time":{},"values":{{"level":1}}}}"#, 1_795_414_800 + n)).collect();
    let decoded = Native.decode(&frame(format!("[{}]", values.join(",")).as_bytes(), Some("prova")));
    let left_out: Vec<_> = decoded.left_out.iter().map(|left| (left.index, left.reason, left.count)).collect();
    assert_eq!(
        (decoded.readings.len(), decoded.rejects.len(), left_out),
        (MOST_READINGS, 0, vec![(MOST_READINGS, RejectReason::TooMany, 3)]),
        "one refusal for all the rest"
    );
    assert!(decoded.left_out[0].detail.contains("the 3 objects from here on"), "{:?}", decoded.left_out);
}

fn unit_of(payload: &str, channel: &str) -> Option<Unit> {
    let decoded = Native.decode(&frame(payload.as_bytes(), Some("prova")));
    decoded.readings.iter().find(|placed| placed.what.channel.as_str() == channel).and_then(|placed| placed.what.unit)
}

#[test]
fn a_unit_is_said_for_all_or_for_each() {
    let payload = r#"{"time":1795414800,"unit":"cm","units":{"b":"mm"},"values":{"a":1,"b":2}}"#;
    assert_eq!((unit_of(payload, "a"), unit_of(payload, "b")), (Some(Unit::Centimetre), Some(Unit::Millimetre)));
    assert_eq!(unit_of(r#"{"time":1795414800,"values":{"a":1}}"#, "a"), None);
}

#[test]
fn a_refusal_says_what_was_found_where_and_the_cure() {
    let said = |payload: &str| {
        let mut decoded = Native.decode(&frame(payload.as_bytes(), Some("prova")));
        decoded.unread.pop().map_or_else(|| decoded.rejects.remove(0).what.detail, |unread| unread.what.refusal.detail)
    };
    let detail = said(r#"{"time":1795414800,"values":{"level":"high"}}"#);
    assert_eq!(
        detail,
        "values.level is the text \"high\"; send a decimal number such as 1.42, and leave the channel out when there is none"
    );
    let long = "x".repeat(100_000);
    for payload in [
        format!(r#"{{"time":"{long}","values":{{"level":1}}}}"#),
        format!(r#"{{"{long}":1}}"#),
        format!(r#"{{"time":1795414800,"values":{{"{long}":null}}}}"#),
        format!(r#"{{"time":1795414800,"values":{{"level":1}},"units":{{"level":"{long}"}}}}"#),
        format!(r#"{{"time":1795414800,"values":{{"level":{}e999}}}}"#, "9".repeat(100_000)),
    ] {
        let detail = said(&payload);
        assert!(detail.len() < 400, "{} bytes: {detail}", detail.len());
    }
}

/// What is made to be dear for the reader. The bound is loose, for slow machines; the naive way takes minutes or gigabytes.
#[test]
fn bombs_cost_little_time_and_few_refusals() {
    let many = |item: &dyn Fn(usize) -> String| (0..400_000).map(item).collect::<Vec<_>>().join(",");
    for payload in [
        format!("[{}]", many(&|_| "0".into())),
        format!(r#"{{"time":1,"values":{{{}}}}}"#, many(&|n| format!(r#""{n}":[]"#))),
        format!(r#"{{"time":1,"values":{{{}}}}}"#, many(&|_| r#""":0"#.into())),
        format!("{{{}}}", many(&|n| format!(r#""{n}":0"#))),
        format!(r#"{{"time":1,"values":{{"a":1}},"units":{{{}}}}}"#, many(&|n| format!(r#""{n}":"m""#))),
    ] {
        let start = std::time::Instant::now();
        let decoded = Native.decode(&frame(payload.as_bytes(), Some("prova")));
        assert!(decoded.rejects.len() + decoded.unread.len() <= MOST_READINGS + 2 && decoded.readings.len() <= MOST_READINGS);
        assert!(start.elapsed().as_secs() < 10, "{:?} for {:.60}", start.elapsed(), payload);
    }
}
