use super::*;
use bytes::Bytes;
use model::Unit;

const NOW: &str = "2026-11-23T06:20:00Z";

fn frame(pack: &str) -> Frame {
    Frame {
        source: "mqtt",
        format: "senml",
        route: "pescaia/v1/o/d".into(),
        owner: "o".into(),
        device: Some("d".into()),
        channel: None,
        received_at: Timestamp::parse(NOW).expect("a time"),
        bytes: Bytes::copy_from_slice(pack.as_bytes()),
    }
}

/// As [`check`], of a pack in CBOR, in hexadecimal.
fn check_cbor(hex: &str, readings: &[(&str, f64, &str, &str)], refusals: &[&str]) {
    let digits: String = hex.split_whitespace().collect();
    let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect::<Vec<_>>();
    let frame = Frame { bytes: bytes.into(), ..frame("") };
    said(&Senml.decode(&frame), hex, readings, refusals);
}

/// Channel, value, unit and time of each reading, and the words of each refusal.
fn check(pack: &str, readings: &[(&str, f64, &str, &str)], refusals: &[&str]) {
    said(&Senml.decode(&frame(pack)), pack, readings, refusals);
}

fn said(decoded: &Decoded, pack: &str, readings: &[(&str, f64, &str, &str)], refusals: &[&str]) {
    let found: Vec<_> = decoded
        .readings
        .iter()
        .map(|placed| {
            let Reading { channel, value, unit, phenomenon_time, .. } = &placed.what;
            let time = phenomenon_time.map_or_else(|| "arrival".to_owned(), |time| time.to_string());
            (channel.to_string(), *value, unit.map_or("", Unit::symbol), time)
        })
        .collect();
    let expected: Vec<_> =
        readings.iter().map(|(channel, value, unit, time)| ((*channel).to_owned(), *value, *unit, (*time).to_owned())).collect();
    assert_eq!(found, expected, "{pack}");
    let details = decoded.rejects.iter().map(|placed| &placed.what.detail).chain(decoded.left_out.iter().map(|left| &left.detail));
    let details: Vec<&String> = details.collect();
    assert_eq!(details.len(), refusals.len(), "{pack}: {details:?}");
    for (detail, words) in details.into_iter().zip(refusals) {
        assert!(detail.contains(words), "{detail:?} does not say {words:?}");
    }
}

#[test]
fn the_examples_of_the_standard_are_read_as_it_says() {
    // RFC 8428, 5.1.1.
    check(r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#, &[("urn:dev:ow:10e2073a01080063", 23.1, "Cel", "arrival")], &[]);
    // 5.1.2: base name, base time and base unit; times before the base.
    check(
        r#"[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,"n":"voltage","u":"V","v":120.1},
            {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3}]"#,
        &[
            ("urn:dev:ow:10e2073a0108006:voltage", 120.1, "V", "2010-06-08T18:01:16.001Z"),
            ("urn:dev:ow:10e2073a0108006:current", 1.2, "A", "2010-06-08T18:01:11.001Z"),
            ("urn:dev:ow:10e2073a0108006:current", 1.3, "A", "2010-06-08T18:01:12.001Z"),
        ],
        &[],
    );
    // 5.1.3: a base value is added to each.
    check(
        r#"[{"bn":"t:","bt":1320067464,"bu":"Cel","bv":20,"n":"a","v":0.1},{"n":"a","t":60,"v":-0.5}]"#,
        &[("t:a", 20.1, "Cel", "2011-10-31T13:24:24Z"), ("t:a", 19.5, "Cel", "2011-10-31T13:25:24Z")],
        &[],
    );
    // 5.1.2: without a base time, times are relative to now.
    check(
        r#"[{"n":"level","u":"m","v":1.42,"t":-60},{"n":"run","vb":true}]"#,
        &[("level", 1.42, "m", "2026-11-23T06:19:00Z"), ("run", 1.0, "", "arrival")],
        &[],
    );
}

#[test]
fn a_pack_of_bases_alone_holds_no_reading_and_units_are_turned() {
    check(r#"[{"bn":"x:","bu":"mV"},{"n":"battery","v":3600}]"#, &[("x:battery", 3.6, "V", "arrival")], &[]);
    check(
        r#"[{"n":"flow","u":"m3/h","v":7200},{"n":"open","u":"/","v":0.5}]"#,
        &[("flow", 2.0, "m3/s", "arrival"), ("open", 50.0, "%", "arrival")],
        &[],
    );
}

#[test]
fn what_is_no_reading_is_refused_with_its_cure_and_the_rest_is_taken() {
    check("{}", &[], &["no SenML"]);
    check("[]", &[], &["the pack is empty"]);
    check(
        r#"[{"n":"a","vs":"hello"},{"n":"b","v":1},{"n":"c","u":"furlong","v":1},{"n":"d"},{"n":"e","s":3},{"n":"f","v":1,"x_":2},{"n":"-g","v":1},{"n":"h","v":1,"x":2}]"#,
        &[("b", 1.0, "", "arrival"), ("h", 1.0, "", "arrival")],
        &["a text or bytes", "\"furlong\" is no unit", "\"d\" has no value", "only a sum", "\"x_\" must be understood", "no SenML name"],
    );
    check(r#"[{"n":"a","v":1,"bver":11},{"n":"b","v":1}]"#, &[], &["version 11 is later than 10"]);
    check(r#"[{"n":"a","v":1e308,"bv":1e308}]"#, &[], &["too large"]);
    check(r#"[{"n":"a","v":1,"t":1e300}]"#, &[], &["outside the years"]);
}

#[test]
fn after_a_record_that_cannot_be_read_nothing_is_inherited_by_guess() {
    check(r#"[{"n":"a","v":1},{"n":"b","t":"x"},{"n":"c","v":3}]"#, &[("a", 1.0, "", "arrival")], &["record 1 is no SenML"]);
    check(r#"[{"n":"a","v":1,"v":2}]"#, &[], &["\"v\" stands twice"]);
}

#[test]
fn a_pack_in_cbor_says_what_it_says_in_json() {
    // RFC 8428, section 6: the pack of 5.1.2, its first three records.
    check_cbor(
        "83 a7 21 781b 75726e3a6465763a6f773a313065323037336130313038303036 3a 22 fb41d303a15b001062 23 6141 20 05
            00 67 766f6c74616765 01 6156 02 fb405e066666666666
         a3 00 67 63757272656e74 06 24 02 fb3ff3333333333333
         a3 00 67 63757272656e74 06 23 02 fb3ff4cccccccccccd",
        &[
            ("urn:dev:ow:10e2073a0108006:voltage", 120.1, "V", "2010-06-08T18:01:16.001Z"),
            ("urn:dev:ow:10e2073a0108006:current", 1.2, "A", "2010-06-08T18:01:11.001Z"),
            ("urn:dev:ow:10e2073a0108006:current", 1.3, "A", "2010-06-08T18:01:12.001Z"),
        ],
        &[],
    );
    // A half float, a whole number, a decimal fraction of 142 × 10⁻², a boolean.
    check_cbor(
        "84 a2 00 6161 02 f93e00 a2 00 6162 02 1903e8 a2 00 6163 02 c4 82 21 188e a2 00 6164 04 f5",
        &[("a", 1.5, "", "arrival"), ("b", 1000.0, "", "arrival"), ("c", 1.42, "", "arrival"), ("d", 1.0, "", "arrival")],
        &[],
    );
}

#[test]
fn bad_cbor_is_refused_and_costs_no_memory() {
    check_cbor("80", &[], &["the pack is empty"]);
    check_cbor("81 a2 00 6161 02 f93e00 00", &[], &["1 bytes follow"]);
    check_cbor("82 a2 00 6161 02 f93e00", &[], &["no SenML"]);
    check_cbor("81 a3 00 6161 02 01 02 02", &[], &["\"v\" stands twice"]);
    check_cbor("81 a2 00 6161 02 6131", &[("a", 1.0, "", "arrival")], &[]);
    check_cbor("81 a2 00 6161 02 6178", &[], &["\"a\" is the text \"x\""]);
    check_cbor("82 a2 00 6161 02 f97e00 a2 00 6162 02 01", &[("b", 1.0, "", "arrival")], &["\"a\" is NaN"]);
    // Four thousand million elements that never come; arrays in arrays.
    check_cbor("9a ffffffff", &[], &["no SenML"]);
    check_cbor(&"81".repeat(10_000), &[], &["no SenML"]);
}

#[test]
fn a_long_base_name_is_not_copied_for_each_record() {
    let pack = format!(r#"[{{"bn":"{}"}}{}]"#, "b".repeat(100_000), r#",{"n":"a","v":1}"#.repeat(4000));
    let decoded = Senml.decode(&frame(&pack));
    assert_eq!((decoded.readings.len(), decoded.rejects.len()), (0, 4000));
    assert!(decoded.rejects.iter().all(|placed| placed.what.detail.len() < 400));
}

#[test]
fn records_beyond_the_most_are_counted_and_not_read() {
    let decoded = Senml.decode(&frame(&format!("[{}1]", "1,".repeat(100_000))));
    assert_eq!(decoded.left_out.iter().map(|left| left.count).collect::<Vec<_>>(), [95_001]);
}

#[test]
fn one_record_of_very_many_labels_is_read_in_a_moment() {
    // A map of 65,535 pairs, the labels 1000, 1001, …: compared each with all before they would take seconds.
    let mut bytes = vec![0x81, 0xB9, 0xFF, 0xFF];
    for label in 1000..66_535_u32 {
        bytes.push(0x1A);
        bytes.extend(label.to_be_bytes());
        bytes.push(0);
    }
    let begun = std::time::Instant::now();
    let decoded = Senml.decode(&Frame { bytes: bytes.into(), ..frame("") });
    assert_eq!((decoded.readings.len(), decoded.rejects.len()), (0, 0));
    eprintln!("65,535 labels took {:?}", begun.elapsed());
}

#[test]
fn tags_around_a_pack_its_records_and_its_numbers_are_read_through() {
    let (one, two) = ([("a", 1.5, "", "arrival")], [("a", 9_007_199_254_740_992.0, "", "arrival")]);
    // Self-described CBOR (55799), an unknown tag around the record, a big number of one byte more than 2⁵³ needs.
    check_cbor("d9d9f7 81 a2 00 6161 02 f93e00", &one, &[]);
    check_cbor("d9d9f7 c8 81 d86f a2 00 6161 02 c9 f93e00", &one, &[]);
    check_cbor("81 a2 00 6161 02 c2 47 20000000000000", &two, &[]);
    check_cbor("81 a2 00 6161 02 c2 47 20000000000001", &[], &["can't be kept to its last digit"]);
    check_cbor("81 a2 00 6161 02 1b 0020000000000001", &[], &["can't be kept to its last digit"]);
    check_cbor("81 a2 00 6161 02 3b 001fffffffffffff", &[("a", -9_007_199_254_740_992.0, "", "arrival")], &[]);
}

#[test]
fn what_is_no_number_is_named_and_the_records_beside_it_are_taken() {
    check(r#"[{"n":"a","v":NaN},{"n":"b","v":1}]"#, &[("b", 1.0, "", "arrival")], &["\"a\" is NaN"]);
    check(r#"[{"n":"a","v":null},{"n":"b","v":"21.50"}]"#, &[("b", 21.5, "", "arrival")], &["\"a\" is null"]);
    check(r#"[{"n":"a","v":9007199254740993},{"n":"b","v":1}]"#, &[("b", 1.0, "", "arrival")], &["9007199254740993"]);
    check("\u{feff}[{\"n\":\"a\",\"v\":1}]\r\n\0\0", &[("a", 1.0, "", "arrival")], &[]);
}
