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
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(async { intake.take(frame).await.await })
        .expect("on disk");
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
    let adopted = intake.adopt(&"demo".into(), &of("prova", "pioggia"), "anna").expect("adopted");
    assert_eq!((adopted.datastream.as_str(), adopted.accepted, adopted.left), ("prova-pioggia", 5, 0));
    let other = Adoption { datastream: Some("sette-livello".into()), is_public: Publicity::Public, ..of("Sensore 7", "livello") };
    let adopted = intake.adopt(&"demo".into(), &other, "anna").expect("adopted");
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
    assert!(matches!(intake.adopt(&"demo".into(), &of("prova", "pioggia"), "anna"), Err(Unadopted::Wrong(_))));
}

#[test]
fn what_an_adoption_lacks_is_said_and_changes_nothing() {
    let intake = intake();
    says(&intake, r#"{"device": "prova", "time": "2026-11-23T06:00:00Z", "values": {"ch7": 1}}"#);
    let adoption = Adoption { device: "prova".into(), channel: "ch7".into(), station: "nowhere".into(), ..Adoption::default() };
    assert!(matches!(intake.adopt(&"demo".into(), &adoption, "anna"), Err(Unadopted::Missing(cause)) if cause.contains("no station")));
    let adoption = Adoption { station: "prova".into(), ..adoption };
    assert!(matches!(intake.adopt(&"demo".into(), &adoption, "anna"), Err(Unadopted::Wrong(cause)) if cause.contains("--property")));
    let adoption = Adoption { property: Some(ObservedProperty::Flow), ..adoption };
    let fed = Adoption { datastream: Some("prova-level".into()), property: None, ..adoption.clone() };
    assert!(
        matches!(intake.adopt(&"demo".into(), &fed, "anna"), Err(Unadopted::Network(complaints)) if complaints[0].message.contains("demo/prova feeds the same"))
    );
    let other = Adoption { datastream: Some("prova-level".into()), ..adoption };
    assert!(
        matches!(intake.adopt(&"demo".into(), &other, "anna"), Err(Unadopted::Wrong(cause)) if cause.contains("water_level, not flow"))
    );
    assert_eq!(intake.store().adopted().expect("read"), "");
}

const OF_TWO: &str = r#"
    [[owner]]
    id = "beta"
    name = "beta"
    [[station]]
    id = "beta-pub"
    owner = "beta"
    name = "B"
    where = [43.9, 11.1]
    [[datastream]]
    id = "beta-pub-level"
    station = "beta-pub"
    property = "water_level"
    period_s = 10
    visibility = "public"
    [[station]]
    id = "beta-pri"
    owner = "beta"
    name = "B"
    where = [43.9, 11.1]
    [[datastream]]
    id = "beta-pri-level"
    station = "beta-pri"
    property = "water_level"
    period_s = 10
    [[datastream]]
    id = "prova-spare"
    station = "prova"
    property = "water_level"
    period_s = 10
"#;

#[test]
fn nothing_is_adopted_onto_what_belongs_to_another() {
    let intake = Intake::new(fixture::store(&format!("{HTTP_DEVICE}{OF_TWO}")), Limits::default(), Meters::default());
    says(&intake, r#"{"device": "prova", "time": "2026-11-23T06:00:00Z", "values": {"livello": 1}}"#);
    let adopt = |station: &str, datastream: Option<&str>| {
        let property = Some(ObservedProperty::WaterLevel);
        let adoption = Adoption {
            device: "prova".into(),
            channel: "livello".into(),
            station: station.into(),
            datastream: datastream.map(str::to_owned),
            property,
            ..Adoption::default()
        };
        match intake.adopt(&"demo".into(), &adoption, "anna") {
            Ok(adopted) => adopted.datastream,
            Err(Unadopted::Missing(cause)) => format!("missing: {cause}"),
            Err(Unadopted::Forbidden(cause)) => format!("forbidden: {cause}"),
            Err(other) => panic!("{other:?}"),
        }
    };
    let before = format!("{:?}", intake.store().registry().datastreams().collect::<Vec<_>>());
    // One that is private is as one that is not there.
    let missing =
        |id: &str| format!("missing: demo has no station \"{id}\"; add a [[station]] with this id to a network file or correct it");
    assert_eq!(adopt("beta-pri", None), missing("beta-pri"));
    assert_eq!(adopt("nowhere-at-all", None), missing("nowhere-at-all"));
    assert_eq!(adopt("beta-pub", None), "forbidden: the station \"beta-pub\" is another owner's; name one of demo");
    assert_eq!(adopt("prova", Some("beta-pub-level")), "forbidden: the datastream \"beta-pub-level\" is another owner's; name one of demo");
    assert!(adopt("prova", Some("beta-pri-level")).starts_with("missing: "));
    assert_eq!(format!("{:?}", intake.store().registry().datastreams().collect::<Vec<_>>()), before);
    assert_eq!(intake.store().adopted().expect("read"), "");
    // Its own, which nothing feeds.
    assert_eq!(adopt("prova", Some("prova-spare")), "prova-spare");
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
