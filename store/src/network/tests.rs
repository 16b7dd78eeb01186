use super::plan::{self, OriginMap, Plan, Restored, restore};
use super::{Network, load_embedded, parse_profile};

const PROFILE: &str = r#"
name = "radar"
title = "a radar"
[[register]]
channel = "level"
space = "input"
address = 106
type = "float32"
order = "CDAB"
unit = "cm"
"#;

const GOOD: &str = r#"
[[owner]]
id = "medio"
name = { it = "Consorzio", en = "Consortium" }

[[station]]
id = "ponte"
owner = "medio"
name = "Ponte"
where = [43.95, 11.12]
comune = "100006"
[[station.zero]]
metres_above_sea = 80.0
datum = "made up"
from = "2010-01-01"

[[datastream]]
id = "ponte-level"
station = "ponte"
property = "water_level"
unit = "m"
period_s = 300
visibility = "public"
[[datastream.threshold]]
value = 1.8
label = "soglia 1"

[[device]]
id = "radar"
owner = "medio"
modbus = { tcp = "127.0.0.1:502", unit = 1, poll_s = 10, profile = "radar.toml" }
feeds = [{ channel = "level", datastream = "ponte-level" }]
"#;

fn load(text: &str) -> Result<Network, Vec<String>> {
    let complaints = |found: Vec<crate::Complaint>| found.iter().map(ToString::to_string).collect();
    load_embedded("net.toml", text, &[("radar.toml", PROFILE)]).map_err(complaints)
}

fn plan(origins: &OriginMap, network: &Network) -> Result<Plan, Vec<crate::Complaint>> {
    plan::plan(origins, network, |_| true)
}

fn planned(origins: &OriginMap, network: &Network) -> Plan {
    plan(origins, network).unwrap_or_else(|said| panic!("{said:?}"))
}

/// What is said of [`GOOD`] with one text replaced by another.
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "{from} is not in the example");
    let said = match load(&GOOD.replacen(from, to, 1)) {
        Err(said) => said,
        Ok(network) => match plan(&OriginMap::default(), &network) {
            Ok(_) => Vec::new(),
            Err(said) => said.iter().map(ToString::to_string).collect(),
        },
    };
    assert_eq!(said, expected, "{from} → {to}");
}

#[test]
fn two_devices_can_t_have_one_certificate() {
    let device = |id: &str| format!("[[device]]\nid = \"{id}\"\nowner = \"medio\"\nmqtt = {{ certificate_name = \"gauge-7\" }}\n");
    let said = plan(&OriginMap::default(), &load(&format!("{GOOD}{}{}", device("one"), device("two"))).expect("read")).err();
    let said: Vec<_> = said.unwrap_or_default().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["net.toml:40:1  the certificate is another device's; each device has its own"]);
}

#[test]
fn each_mistake_is_named_with_its_place_and_cure() {
    check("period_s = 300", "perid_s = 300", &["net.toml:22:1  unknown key \"perid_s\", did you mean \"period_s\"?"]);
    check("period_s = 300\n", "", &["net.toml:17:1  the key \"period_s\" is missing here; add it"]);
    check("\"water_level\"", "\"water_levl\"", &["net.toml:20:1  unknown property \"water_levl\", did you mean \"water_level\"?"]);
    check(
        "unit = \"m\"\n",
        "unit = \"cm\"\n",
        &["net.toml:21:1  water_level is kept in \"m\", not \"cm\"; write \"m\" here and the device's unit in its feed"],
    );
    check(
        "station = \"ponte\"",
        "station = \"pont\"",
        &["net.toml:19:1  there is no station \"pont\"; add a [[station]] with this id or correct it"],
    );
    check(
        "[43.95, 11.12]",
        "[11.12, 43.95]",
        &["net.toml:10:1  [11.12, 43.95] looks like longitude first; write [latitude, longitude]: [43.95, 11.12]"],
    );
    check("\"100006\"", "\"Prato\"", &["net.toml:11:1  \"Prato\" is no ISTAT code; write its six digits as a text, e.g. \"048006\""]);
    check(
        "channel = \"level\",",
        "channel = \"levl\",",
        &["net.toml:32:1  unknown channel of the profile \"levl\", did you mean \"level\"?"],
    );
    check("radar.toml", "radr.toml", &["net.toml:31:1  the profile \"radr.toml\" can't be read: not part of this pescaia"]);
    check(
        "id = \"ponte\"",
        "id = \"Il Ponte\"",
        &[
            "net.toml:7:1  \"Il Ponte\" can't be an id; use a-z, 0-9 and -, 1 to 64 long, no - at the ends",
            "net.toml:19:1  there is no station \"ponte\"; add a [[station]] with this id or correct it",
        ],
    );
}

#[test]
fn a_network_applied_twice_changes_nothing_and_what_disappears_is_retired() {
    let network = load(GOOD).expect("good");
    let first = plan(&OriginMap::default(), &network).map_err(|said| said[0].to_string()).expect("good");
    assert_eq!(first.changes.len(), 4);
    let again = planned(&first.origins, &network);
    assert!(again.changes.is_empty() && again.documents.is_empty());
    let device = GOOD.find("[[device]]").expect("there");
    let without = planned(&first.origins, &load(&GOOD[..device]).expect("good"));
    assert_eq!(
        without.changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["- device medio/radar (retired; what it measured stays)"]
    );
    let back = planned(&without.origins, &network);
    assert_eq!(back.changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["+ device medio/radar (back in service)"]);
    let Restored { registry, origins, .. } = restore(first.documents);
    assert!(registry.device("medio", "radar").is_some());
    assert!(planned(&origins, &network).changes.is_empty());
}

#[test]
fn entries_follow_a_file_that_went_to_another_directory() {
    let named = |name: &str, text: &str| load_embedded(name, text, &[("radar.toml", PROFILE)]).expect("good");
    let first = planned(&OriginMap::default(), &named("/old/net.toml", GOOD));
    let elsewhere = named("/new/net.toml", GOOD);
    let said = plan(&first.origins, &elsewhere).err().expect("two files claim the same");
    assert!(said[0].message.contains("already come from /old/net.toml"), "{said:?}");
    let gone = plan::plan(&first.origins, &elsewhere, |_| false).unwrap_or_else(|said| panic!("{said:?}"));
    assert!(gone.documents.len() == first.documents.len() && gone.documents.iter().all(|one| one.file == "/new/net.toml"));
    let device = GOOD.find("[[device]]").expect("there");
    let without = planned(&gone.origins, &named("/new/net.toml", &GOOD[..device]));
    assert_eq!(without.changes.len(), 1, "what is no longer in it is retired");
}

/// [`GOOD`] with these ratings.
fn rated(ratings: &str) -> String {
    let (before, after) = GOOD.split_once("[[device]]").expect("there");
    format!("{before}{ratings}\n[[device]]{after}")
}

const RATING: &str = r#"
[[datastream.rating]]
to = "2024-03-01"
segment = [{ from_m = 0.2, to_m = 3.5, a = 14, h0_m = 0.2, b = 1.72 }]
[[datastream.rating]]
from = "2024-03-01"
source = "14 misure, 2024"
extrapolate = true
segment = [
  { from_m = 0.2, to_m = 1.8, a = 14, h0_m = 0.2, b = 1.72 },
  { from_m = 1.8, to_m = 3.5, a = 13.95, h0_m = 0.2, b = 1.72 },
]
"#;

#[test]
fn a_rating_is_kept_with_its_datastream_and_each_holds_in_its_time() {
    let first = planned(&OriginMap::default(), &load(GOOD).expect("good"));
    let with = planned(&first.origins, &load(&rated(RATING)).expect("good"));
    assert_eq!(with.changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["~ datastream ponte-level"]);
    assert!(planned(&with.origins, &load(&rated(RATING)).expect("good")).documents.is_empty(), "twice the same is no change");
    // What was written before there were ratings says nothing of them.
    assert!(first.documents.iter().all(|one| !one.body.contains("rating")));
    let kept = restore(
        with.documents.into_iter().chain(first.documents.into_iter().filter(|one| one.kind == "station" || one.kind == "owner")).collect(),
    )
    .registry;
    let gauge = kept.datastream_by_key("ponte-level").expect("there");
    let at = |text: &str, stage: f64| {
        let rating = gauge.rating_at(model::Timestamp::parse(text).expect("a time")).expect("one holds");
        rating.discharge(stage).map(|found| (model::significant(found.cubic_metres_per_second, 3), found.is_extrapolated))
    };
    assert_eq!(at("2024-02-29T22:59:59Z", 3.6), None);
    assert_eq!(at("2024-02-29T23:00:00Z", 3.6), Some((114.0, true)));
    assert_eq!((at("2020-01-01T00:00:00Z", 1.8), at("2026-01-01T00:00:00Z", 1.8)), (Some((31.4, false)), Some((31.3, false))));
}

/// What is said of [`RATING`] with one text replaced by another.
fn check_rating(from: &str, to: &str, expected: &[&str]) {
    assert!(RATING.contains(from), "{from} is not in the example");
    let said = match load(&rated(&RATING.replacen(from, to, 1))) {
        Err(said) => said,
        Ok(network) => plan(&OriginMap::default(), &network).err().unwrap_or_default().iter().map(ToString::to_string).collect(),
    };
    assert_eq!(said, expected, "{from} → {to}");
}

#[test]
fn what_is_wrong_with_a_rating_is_told_with_its_place_and_the_cure() {
    check_rating(
        "13.95",
        "15",
        &[
            "net.toml:36:1  segments 1 and 2 do not meet at 1.8 m: 31.421 and 33.665 m³/s, 7.1 % apart, and at most 1 % may be; with a = 14 segment 2 would meet",
        ],
    );
    check_rating(
        "b = 1.72 }]",
        "b = 0 }]",
        &[
            "net.toml:31:1  segment 1: b = 0 can't be; write a number above 0 and up to 10: about 1.5 for a weir, 1.67 for a wide channel, 2.5 for a V-notch",
        ],
    );
    check_rating(
        "to = \"2024-03-01\"",
        "to = \"2025-03-01\"",
        &[
            "net.toml:32:1  it holds at the same time as rating 1 of this datastream; end that one with to = \"2024-02-29T23:00:00Z\", or begin this one later",
        ],
    );
    check_rating(
        "from = \"2024-03-01\"\n",
        "",
        &["net.toml:32:1  it holds at the same time as rating 1 of this datastream; say from when it holds, and end the other one there"],
    );
    check_rating(
        "to = \"2024-03-01\"",
        "to = \"1 March\"",
        &[
            "net.toml:30:1  \"1 March\" is no time; write \"2013-01-01\" (a day in Italy) or \"2013-01-01T00:00:00Z\"",
            "net.toml:32:1  it holds at the same time as rating 1 of this datastream; end that one with to = \"2024-02-29T23:00:00Z\", or begin this one later",
        ],
    );
    check_rating("h0_m = 0.2", "h0 = 0.2", &["net.toml:31:48  unknown key \"h0\", did you mean \"h0_m\"?"]);
    check_rating(
        "[{ from_m = 0.2, to_m = 3.5, a = 14, h0_m = 0.2, b = 1.72 }]",
        "[]",
        &["net.toml:31:1  a rating needs at least one segment, from the lowest gauged stage to the highest"],
    );
    let rain = rated(RATING).replace("\"water_level\"", "\"rain_increment\"").replace("unit = \"m\"\n", "");
    let said = plan(&OriginMap::default(), &load(&rain).expect("read")).err().unwrap_or_default();
    assert_eq!(said[0].message, "rain_increment has no rating; give one to a water_level, level_up or level_down");
    // A datastream may say it in one line, where no header tells the place.
    let inline = GOOD.replacen("visibility = \"public\"\n", "visibility = \"public\"\nrating = [{ segment = [] }]\n", 1);
    let said = plan(&OriginMap::default(), &load(&inline).expect("read")).err().unwrap_or_default();
    assert_eq!((said[0].line, said.len()), (24, 1), "{said:?}");
}

#[test]
fn what_a_datastream_measures_never_changes() {
    let first = planned(&OriginMap::default(), &load(GOOD).expect("good"));
    let other = GOOD.replacen("\"water_level\"", "\"level_up\"", 1);
    let said = plan(&first.origins, &load(&other).expect("good")).err().expect("refused");
    assert_eq!(said[0].message, "ponte-level was water_level and can't become level_up; make a new datastream with another id");
}

#[test]
fn a_profile_is_checked_register_by_register() {
    let said = parse_profile("p.toml", &PROFILE.replace("\"CDAB\"", "\"CADB\"").replace("\"cm\"", "\"centimetre\"")).expect_err("wrong");
    assert_eq!(
        said.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["p.toml  unknown order \"CADB\", did you mean \"CDAB\"?", "p.toml  unknown unit \"centimetre\", did you mean \"cm\"?",]
    );
}

/// What is said of [`GOOD`] with `more`, in service before or not.
fn check_more(before: &OriginMap, name: &str, more: &str, expected: &[&str]) {
    let network = load_embedded(name, more, &[("radar.toml", PROFILE)]).unwrap_or_else(|said| panic!("{said:?}"));
    let said: Vec<String> = plan(before, &network).err().unwrap_or_default().iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{more}");
}

#[test]
fn a_second_file_is_checked_against_all_that_stands() {
    let first = planned(&OriginMap::default(), &load(GOOD).expect("good")).origins;
    let device = "[[device]]\nid = \"two\"\nowner = \"medio\"\nhttp = true\n";
    check_more(
        &first,
        "more.toml",
        &format!("{device}feeds = [{{ channel = \"a\", datastream = \"ponte-level\" }}]\n"),
        &[
            "more.toml:5:1  medio/radar feeds the same datastream, ponte-level, as net.toml says; two devices can't measure one: take that feed out, or name another datastream here",
        ],
    );
    check_more(
        &first,
        "more.toml",
        &format!("{device}[[feed]]\nowner = \"medio\"\ndevice = \"two\"\nchannel = \"a\"\ndatastream = \"ponte-level\"\n"),
        &[
            "more.toml:5:1  medio/radar feeds the same datastream, ponte-level, as net.toml says; two devices can't measure one: take that feed out, or name another datastream here",
        ],
    );
    let feed = "[[feed]]\nowner = \"medio\"\ndevice = \"there-is-none\"\nchannel = \"a\"\ndatastream = \"ponte-level\"\n";
    check_more(
        &first,
        "more.toml",
        feed,
        &["more.toml:3:1  medio has no device \"there-is-none\"; add a [[device]] with this id or correct it"],
    );
}

#[test]
fn another_owner_s_datastream_is_fed_only_where_the_file_names_that_owner() {
    let first = planned(&OriginMap::default(), &load(GOOD).expect("good")).origins;
    let theirs = "[[owner]]\nid = \"alto\"\nname = \"alto\"\n[[station]]\nid = \"monte\"\nowner = \"alto\"\nname = \"Monte\"\nwhere = [43.9, 11.1]\n\
                  [[datastream]]\nid = \"monte-level\"\nstation = \"monte\"\nproperty = \"water_level\"\nperiod_s = 60\n\
                  [[device]]\nid = \"two\"\nowner = \"medio\"\nhttp = true\n";
    let own = |more: &str| format!("{theirs}feeds = [{{ channel = \"a\", datastream = \"monte-level\"{more} }}]\n");
    let link = |more: &str| {
        format!("{theirs}[[feed]]\nowner = \"medio\"\ndevice = \"two\"\nchannel = \"a\"\ndatastream = \"monte-level\"\n{more}")
    };
    let refused = "monte-level belongs to alto, and the device to medio; name a datastream of medio, or, where it is agreed that the device measures for alto, add datastream_owner = \"alto\" to the feed";
    check_more(&first, "m.toml", &own(""), &[&format!("m.toml:18:1  {refused}")]);
    check_more(&first, "m.toml", &link(""), &[&format!("m.toml:18:1  {refused}")]);
    check_more(&first, "m.toml", &own(", datastream_owner = \"alto\""), &[]);
    check_more(&first, "m.toml", &link("datastream_owner = \"alto\"\n"), &[]);
    check_more(
        &first,
        "m.toml",
        &link("datastream_owner = \"medio\"\n"),
        &["m.toml:18:1  monte-level belongs to alto, not to medio; correct datastream_owner"],
    );
}

#[test]
fn a_start_keeps_what_stood_and_takes_all_else() {
    let first = planned(&OriginMap::default(), &load(GOOD).expect("good"));
    let two = "[[datastream]]\nid = \"other-level\"\nstation = \"ponte\"\nproperty = \"water_level\"\nperiod_s = 60\n\
               [[device]]\nid = \"a-two\"\nowner = \"medio\"\nhttp = true\n\
               feeds = [{ channel = \"a\", datastream = \"ponte-level\" }, { channel = \"b\", datastream = \"other-level\" }]\n";
    let start = |origins: &OriginMap, text: &str| plan::plan_start(origins, &load(text).expect("read"), |_| true);
    let fed = |plan: &Plan, device: &str| -> Vec<String> {
        let device = plan.registry.device("medio", device).expect("in service");
        device.feeds.iter().map(|feed| feed.channel.clone()).collect()
    };
    let edited = format!("{GOOD}{two}");
    let mut origins = first.origins;
    for _ in 0..3 {
        let plan = start(&origins, &edited);
        assert_eq!((fed(&plan, "radar"), fed(&plan, "a-two")), (vec!["level".to_owned()], vec!["b".to_owned()]), "the first keeps it");
        let said: Vec<String> = plan.left_out.iter().map(|fault| format!("{} {}", fault.kind, fault.id)).collect();
        assert_eq!((said, plan.faults.len()), (vec!["device medio/a-two".to_owned()], 0));
        origins = plan.origins;
    }
    // What is wrong by itself stays as it was, and the rest of the file is taken.
    let wrong = GOOD.replacen("\"water_level\"", "\"water_levl\"", 1).replacen("name = \"Ponte\"", "name = \"Nuovo\"", 1);
    let plan = start(&origins, &wrong);
    let level = plan.registry.datastream_by_key("ponte-level").expect("as it was");
    assert_eq!((level.property.word(), plan.registry.station("ponte").expect("there").name.as_str()), ("water_level", "Nuovo"));
    assert!(plan.left_out[0].message.contains("did you mean \"water_level\""), "{:?}", plan.left_out);
    // New and wrong: left out, with what hangs on it.
    let new = "[[station]]\nid = \"x\"\nowner = \"nobody\"\nname = \"X\"\nwhere = [43.9, 11.1]\n\
               [[datastream]]\nid = \"x-level\"\nstation = \"x\"\nproperty = \"water_level\"\nperiod_s = 60\n";
    let plan = start(&origins, &format!("{GOOD}{new}"));
    assert!(plan.registry.station("x").is_none() && plan.registry.datastream_by_key("x-level").is_none());
    assert_eq!((plan.left_out.len(), plan.documents.iter().any(|one| one.id == "x")), (2, false));
}

#[test]
fn what_can_t_be_understood_is_left_out_and_nothing_takes_its_number() {
    let three = "[[datastream]]\nid = \"b\"\nstation = \"ponte\"\nproperty = \"flow\"\nperiod_s = 60\n\
                 [[datastream]]\nid = \"c\"\nstation = \"ponte\"\nproperty = \"rain_increment\"\nperiod_s = 60\n";
    let mut documents =
        planned(&OriginMap::default(), &load(&GOOD.replacen("[[device]]", &format!("{three}[[device]]"), 1)).expect("good")).documents;
    let broken = documents.iter_mut().find(|one| one.kind == "datastream" && one.number == Some(0)).expect("there");
    broken.body = "{\"Datastream\": {\"from_the_future\": 1}}".into();
    let Restored { registry, unread, .. } = restore(documents);
    assert_eq!(unread.len(), 1);
    for key in ["c", "ponte-level"] {
        let by_key = registry.datastream_by_key(key).expect("there");
        assert_eq!(by_key.key.as_str(), key, "each stands under its own number");
    }
}
