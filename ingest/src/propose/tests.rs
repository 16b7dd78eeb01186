use super::*;
use crate::bind::Limits;
use crate::fixture::{self, HTTP_DEVICE};
use crate::frame::Frame;
use crate::meters::Meters;
use model::{Clock, Interval};

fn intake() -> Intake {
    Intake::new(fixture::store(HTTP_DEVICE), Limits::default(), Meters::default())
}

fn says(intake: &Intake, text: &str) {
    let frame = Frame {
        source: "http",
        format: "native",
        route: "/api/v1/observations".into(),
        owner: "demo".into(),
        device: None,
        channel: None,
        received_at: fixture::Fixed.now(),
        bytes: text.to_owned().into(),
    };
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(intake.take(frame)).expect("on disk");
}

fn view(intake: &Intake) -> View {
    intake.store().seen_by(&Viewer::Token { owner: "demo".into(), scopes: vec![Scope::Read, Scope::Manage] })
}

#[test]
fn an_unknown_channel_is_proposed_adopted_and_what_waited_is_taken() {
    let intake = intake();
    for minute in 0..5 {
        says(
            &intake,
            &format!(r#"{{"device": "prova", "time": "2026-11-23T06:{:02}:00Z", "values": {{"pioggia": 0.2, "level": 100}}}}"#, minute * 5),
        );
        says(
            &intake,
            &format!(r#"{{"device": "Sensore 7", "time": "2026-11-23T06:{minute:02}:00Z", "values": {{"livello": {}}}}}"#, 140 + minute),
        );
    }
    let found = proposals(&view(&intake), &intake).expect("read");
    let short: Vec<_> = found
        .iter()
        .map(|one| {
            (
                one.device.as_str(),
                one.channel.as_str(),
                one.count,
                one.value,
                one.property.map(ObservedProperty::word),
                one.unit,
                one.period_s,
            )
        })
        .collect();
    let expected = [
        ("Sensore 7", "livello", 5, 144.0, Some("water_level"), Some(Unit::Centimetre), 60),
        ("prova", "pioggia", 5, 0.2, Some("rain_increment"), Some(Unit::Millimetre), 300),
    ];
    assert_eq!(short, expected);
    let of = |device: &str, channel: &str| Adoption {
        device: device.into(),
        channel: channel.into(),
        station: "prova".into(),
        ..Adoption::default()
    };
    let adopted = intake.adopt(&"demo".into(), &of("prova", "pioggia")).expect("adopted");
    assert_eq!((adopted.datastream.as_str(), adopted.accepted, adopted.left), ("prova-pioggia", 5, 0));
    let other = Adoption { datastream: Some("sette-livello".into()), is_public: Publicity::Public, ..of("Sensore 7", "livello") };
    let adopted = intake.adopt(&"demo".into(), &other).expect("adopted");
    assert_eq!((adopted.accepted, adopted.changes.len()), (5, 3), "{:?}", adopted.changes);
    let view = view(&intake);
    let last = view.observations(&view.datastream("sette-livello").expect("there"), Interval::ALL, 99).expect("read").pop().expect("five");
    assert_eq!(last.result, 1.44);
    assert!(proposals(&view, &intake).expect("read").is_empty());
    // From now on it goes straight in, and the owner's own file may take over what was adopted.
    says(&intake, r#"{"device": "Sensore 7", "time": "2026-11-23T06:29:00Z", "values": {"livello": 150}}"#);
    assert!(view.quarantine(&Wanted::default(), 9).expect("read").is_empty());
    let text = intake.store().adopted().expect("read");
    assert!(text.contains("id = \"sensore-7\"") && text.contains("address = \"Sensore 7\""), "{text}");
    fixture::apply(intake.store(), &format!("{HTTP_DEVICE}{text}"));
    assert!(matches!(intake.adopt(&"demo".into(), &of("prova", "pioggia")), Err(Unadopted::Wrong(_))));
}

#[test]
fn what_an_adoption_lacks_is_said_and_changes_nothing() {
    let intake = intake();
    says(&intake, r#"{"device": "prova", "time": "2026-11-23T06:00:00Z", "values": {"ch7": 1}}"#);
    let adoption = Adoption { device: "prova".into(), channel: "ch7".into(), station: "nowhere".into(), ..Adoption::default() };
    assert!(matches!(intake.adopt(&"demo".into(), &adoption), Err(Unadopted::Wrong(cause)) if cause.contains("--property")));
    let adoption = Adoption { property: Some(ObservedProperty::Flow), ..adoption };
    assert!(
        matches!(intake.adopt(&"demo".into(), &adoption), Err(Unadopted::Network(complaints)) if complaints[0].message.contains("no station"))
    );
    assert_eq!(intake.store().adopted().expect("read"), "");
}

#[test]
fn nothing_is_proposed_whose_name_hides_something() {
    let intake = intake();
    for name in ["pump\\u0000", "\\ufeffpump", "pu\\u200bmp", "pump\\n"] {
        says(&intake, &format!(r#"{{"device": "{name}", "time": "2026-11-23T06:00:00Z", "values": {{"level": 1}}}}"#));
        says(&intake, &format!(r#"{{"device": "prova", "time": "2026-11-23T06:00:00Z", "values": {{"{name}": 1}}}}"#));
    }
    assert_eq!(proposals(&view(&intake), &intake).expect("read"), []);
}
