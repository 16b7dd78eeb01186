use super::*;
use crate::fixture::{self, Fixed, HTTP_DEVICE};
use model::{Clock, Unit};
use std::sync::Arc;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

fn registry() -> Arc<Registry> {
    fixture::store(HTTP_DEVICE).registry()
}

fn reading(device: &str, channel: &str, time: &str, value: f64, unit: Option<Unit>) -> Reading {
    Reading {
        owner: "demo".into(),
        device: device.into(),
        channel: channel.into(),
        phenomenon_time: Some(at(time)),
        value,
        unit,
        flag: None,
    }
}

/// `value@time`, or the code of the refusal.
fn check(reading: &Reading, expected: &str) {
    let registry = registry();
    let bound = device(&reading.owner, &reading.device, &registry)
        .and_then(|device| bind(reading, device, &registry, Fixed.now(), &Limits::default(), &ArrivalTimes::default()));
    let said = bound.map_or_else(|refusal| refusal.reason.code().to_owned(), |one| format!("{}@{}", one.result, one.phenomenon_time));
    assert_eq!(said, expected, "{reading:?}");
}

#[test]
fn a_reading_becomes_an_observation_in_the_canonical_unit() {
    let now = "2026-11-23T06:20:00Z";
    check(&reading("prova", "level", now, 142.0, None), "1.42@2026-11-23T06:20:00Z");
    check(&reading("prova", "level", now, 1420.0, Some(Unit::Millimetre)), "1.42@2026-11-23T06:20:00Z");
    check(&reading("prova", "level", now, 1.42, Some(Unit::Metre)), "1.42@2026-11-23T06:20:00Z");
    check(&reading("prova", "level", now, -0.0, None), "0@2026-11-23T06:20:00Z");
    check(&reading("prova", "level", now, 1.0, Some(Unit::Bar)), "wrong-unit");
    check(&reading("prova", "depth", now, 1.0, None), "unknown-channel");
    check(&reading("altra", "level", now, 1.0, None), "unknown-device");
}

#[test]
fn a_time_is_believed_from_2000_to_ten_minutes_ahead() {
    for (time, expected) in [
        ("2026-11-23T06:40:00Z", "1@2026-11-23T06:40:00Z"),
        ("2026-11-23T06:40:00.000001Z", "future-time"),
        ("2036-01-01T00:00:00Z", "future-time"),
        ("2000-01-01T00:00:00Z", "1@2000-01-01T00:00:00Z"),
        ("1999-12-31T23:59:59.999999Z", "ancient-time"),
        ("1970-01-01T00:00:00Z", "ancient-time"),
    ] {
        check(&reading("prova", "level", time, 100.0, None), expected);
    }
}

#[test]
fn bare_numbers_never_share_a_time_even_when_the_clock_goes_back() {
    let (arrivals, registry) = (ArrivalTimes::default(), registry());
    let bare = Reading { phenomenon_time: None, ..reading("prova", "level", "2026-11-23T06:20:00Z", 1.0, None) };
    // Less than ten minutes is as far as clocks may differ; beyond that the clock was wrong, and an hour or ten years later is right again.
    let (hour, ten_years) = (3_600_000_000, 315_576_000_000_000);
    let given = [0, 0, 5, -599_000_000, 6, ten_years, ten_years, 7, 7, -hour, 8].map(|off| {
        let arrival = Fixed.now().plus_micros(off);
        let prova = registry.device("demo", "prova").expect("there");
        let bound = bind(&bare, prova, &registry, arrival, &Limits::default(), &arrivals).expect("bound");
        bound.phenomenon_time.micros() - Fixed.now().micros()
    });
    assert_eq!(given, [0, 1, 5, 6, 7, ten_years, ten_years + 1, 7, 8, -hour, 8]);
}

#[test]
fn a_refusal_names_the_word_that_was_meant_and_cuts_what_is_long() {
    let said = |channel: &str| {
        let (registry, reading) = (registry(), reading("prova", channel, "2026-11-23T06:20:00Z", 1.0, None));
        let prova = registry.device("demo", "prova").expect("there");
        bind(&reading, prova, &registry, Fixed.now(), &Limits::default(), &ArrivalTimes::default()).expect_err("refused").detail
    };
    assert_eq!(said("levle"), "device prova has no channel \"levle\"; did you mean \"level\"?; add a feed to its network file to take it");
    assert!(said(&"x".repeat(100_000)).len() < 300);
}
