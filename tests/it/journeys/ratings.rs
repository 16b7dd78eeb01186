//! From a level to a discharge: declared, derived, corrected with who and why, and shown later as it was.

use crate::support::{Dir, World, configure, eventually, now_s, one_gauge, pescaia, said, token};
use model::Timestamp;
use serde_json::Value;
use std::time::Duration;

const CHECK: &str =
    "{ from_m = 0.2, to_m = 1.8, a = 14, h0_m = 0.2, b = 1.72 }, { from_m = 1.8, to_m = 3.5, a = 14, h0_m = 0.2, b = 1.72 }";
/// Where nobody has listened for an hour.
const SILENT: &str = r#"
[[station]]
id = "muta"
owner = "demo"
name = "Muta"
where = [43.9, 11.2]
[[datastream]]
id = "muta-level"
station = "muta"
property = "water_level"
period_s = 10
visibility = "public"
[[datastream.rating]]
segment = [{ from_m = 0.2, to_m = 3.5, a = 14, h0_m = 0.2, b = 1.72 }]
[[device]]
id = "muta"
owner = "demo"
http = true
feeds = [{ channel = "level", datastream = "muta-level" }]
"#;

fn network(ratings: &str) -> String {
    let gauge = one_gauge().replacen("property = \"water_level\"", "property = \"water_level\"\nspan = [-2, 15]", 1);
    let (before, after) = gauge.split_once("[[device]]").expect("a device");
    format!("{before}{ratings}[[device]]{after}{SILENT}")
}

fn rating(keys: &str, segments: &str) -> String {
    format!("[[datastream.rating]]\n{keys}\nsegment = [{segments}]\n")
}

fn at(seconds: i64) -> String {
    Timestamp::from_seconds(seconds).to_string()
}

/// Stage, discharge to one decimal, quality, and why there is none, of each observation of the last hour.
fn flows(world: &World, as_of: &str) -> Vec<(f64, Option<f64>, u64, Option<String>)> {
    let answer = world.get(&format!("/api/v1/datastreams/prova-level/discharge?period=PT1H{as_of}"));
    let flow = |item: &Value| {
        let discharge = item["discharge"].as_f64().map(|found| (found * 10.0).round() / 10.0);
        assert_eq!(item["extrapolated"], item["quality"] == 3, "{item}");
        (
            item["stage"].as_f64().expect("a stage"),
            discharge,
            item["quality"].as_u64().expect("a flag"),
            item["why"].as_str().map(str::to_owned),
        )
    };
    answer["items"].as_array().expect("items").iter().map(flow).collect()
}

/// The moment that ends now, and no other change falls into its second.
fn moment() -> String {
    std::thread::sleep(Duration::from_millis(1100));
    let then = at(now_s() - 1);
    std::thread::sleep(Duration::from_millis(1100));
    then
}

fn why(word: &str) -> Option<String> {
    Some(word.to_owned())
}

#[test]
fn a_discharge_is_derived_by_the_rating_of_its_time_and_shown_later_as_it_was_known() {
    let dir = Dir::new("ratings");
    let world = World::run(&dir, &network(""));
    let key = token(&dir, "demo", &["ingest", "read", "audit"]);
    let of = "/api/v1/datastreams/prova-level/discharge";
    let (status, none) = world.get_as(of, None);
    assert!(status == 404 && none.contains("has no rating") && none.contains("[[datastream.rating]]"), "{status} {none}");
    let bare = moment();

    let apply = |ratings: &str, why: &str| {
        let file = dir.write("network.toml", &network(ratings));
        said(&dir, &["network", "apply", file.to_str().unwrap(), "--why", why])
    };
    let applied = apply(&rating("source = \"12 misure, 2023\"", CHECK), "prima scala");
    assert!(applied.contains("~ datastream prova-level"), "{applied}");
    let start = now_s() - 50;
    let push = |device: &str, time: i64, level: f64| {
        let body = format!(r#"{{"device":"{device}","time":{time},"values":{{"level":{level}}}}}"#);
        let (status, answer) = world.post("/api/v1/observations", &key, "application/json", &body);
        assert_eq!(status, 200, "{answer}");
    };
    for (n, level) in [0.1, 0.55, 3.5, 4.0, 16.0, 1.8].into_iter().enumerate() {
        push("prova", start + 10 * i64::try_from(n).unwrap(), level);
    }
    push("muta", now_s() - 3600, 1.8);
    let first = vec![
        (0.1, Some(0.0), 1, None),
        (0.55, Some(2.3), 1, None),
        (3.5, Some(109.1), 1, None),
        (4.0, None, 9, why("outside-rating")),
        (16.0, None, 9, why("unusable-stage")),
        (1.8, Some(31.4), 1, None),
    ];
    assert_eq!(flows(&world, ""), first);
    let told = "Portata stimata con la scala di deflusso: 31,4 m³/s.";
    let page = |world: &World, address: &str| world.get_as(address, None).1;
    assert!(page(&world, "/stazioni/prova").contains(told), "{}", page(&world, "/stazioni/prova"));
    assert!(page(&world, "/stazioni/prova").contains("<dd>0,20–3,50 m · 12 misure, 2023</dd>"));
    assert!(page(&world, "/stazioni/prova?lang=en").contains("Discharge estimated from the rating curve: 31.4 m³/s."));
    let silent = page(&world, "/stazioni/muta");
    assert!(
        silent.contains("ultimo livello noto è 1,80 m") && !silent.contains("Portata stimata"),
        "an old level says no discharge: {silent}"
    );
    let csv = page(&world, &format!("{of}?period=PT1H&f=csv"));
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "phenomenon_time,discharge,quality,stage,extrapolated,why,received_at");
    assert!(lines[2].starts_with(&format!("{},2.301,1,0.55,false,,", at(start + 10))), "{csv}");
    assert!(lines[4].starts_with(&format!("{},,9,4,false,outside-rating,", at(start + 30))), "{csv}");
    assert!(page(&world, &format!("{of}?period=PT1H&f=csv&csv=it")).contains(";2,301;1;0,55;false;;"));
    let page_of_two = world.get(&format!("{of}?period=PT1H&limit=2"));
    let rest = world.get(&format!("{of}?period=PT1H&cursor={}", page_of_two["next_cursor"].as_str().expect("more")));
    assert_eq!((page_of_two["items"].as_array().map(Vec::len), rest["items"].as_array().map(Vec::len)), (Some(2), Some(4)));
    let night = moment();

    // Segments that do not meet are no rating: where, and with which number they would.
    let refused = apply(&rating("", &CHECK.replacen("a = 14", "a = 12", 1)), "refused");
    assert!(refused.contains("network.toml:19:1  segments 1 and 2 do not meet at 1.8 m"), "{refused}");
    assert!(refused.contains("with a = 12 segment 2 would meet"), "{refused}");
    assert_eq!(flows(&world, ""), first, "nothing was changed");

    // A flood moved the bed: another rating from then on. A value of that night is revised too.
    let bed = at(start + 30);
    let (old, new) = (
        rating(&format!("to = \"{bed}\""), CHECK),
        rating(&format!("from = \"{bed}\"\nextrapolate = true"), &CHECK.replace("a = 14", "a = 12")),
    );
    let applied = apply(&(old + &new), "alveo spostato dalla piena");
    assert!(applied.contains("~ datastream prova-level"), "{applied}");
    push("prova", start + 10, 0.60);
    let second = vec![
        (0.1, Some(0.0), 1, None),
        (0.6, Some(2.9), 1, None),
        (3.5, Some(109.1), 1, None),
        (4.0, Some(119.2), 3, None),
        (16.0, None, 9, why("unusable-stage")),
        (1.8, Some(26.9), 1, None),
    ];
    let check = |world: &World| {
        assert_eq!(flows(world, ""), second);
        assert_eq!(flows(world, &format!("&as_of={night}")), first);
        assert_eq!(world.get_as(&format!("{of}?as_of={bare}"), None).0, 404, "there was none then");
        assert!(page(world, &format!("/stazioni/prova?as_of={night}")).contains(told));
        let held = |as_of: &str| world.get(&format!("/api/v1/datastreams/prova-level?{as_of}"))["ratings"].clone();
        assert_eq!((&held("")[0]["to"], &held("")[1]["from"]), (&bed.as_str().into(), &bed.as_str().into()));
        assert_eq!(held(&format!("as_of={night}"))[0]["source"], "12 misure, 2023");
    };
    check(&world);
    // A page is kept for a moment.
    let shows = |what: &str, holds: &dyn Fn(&str) -> bool| eventually(what, 10, || holds(&page(&world, "/stazioni/prova")));
    push("prova", now_s(), 4.0);
    let told = "119,2 m³/s (estrapolata oltre il campo di validità, solo indicativa).";
    shows("extrapolated, and told so", &|page| page.contains(told));
    push("prova", now_s() + 1, 5.0);
    shows("outside the rating", &|page| page.contains("Portata non stimabile: il livello è fuori dal campo di validità"));
    push("prova", now_s() + 2, 16.0);
    shows("a wrong level says no discharge", &|page| page.contains("Misura errata") && !page.contains("Portata stimata"));

    let (status, revisions) = world.get_as("/api/v1/datastreams/prova-level/revisions", Some(&key));
    let revisions: Value = serde_json::from_str(&revisions).expect("JSON");
    let one = &revisions["items"][0];
    assert_eq!((status, one["why"].as_str()), (200, Some("alveo spostato dalla piena")), "{revisions}");
    assert!(one["who"].as_str().is_some_and(|who| !who.is_empty()) && one["at"].as_str() > Some(night.as_str()), "{revisions}");
    assert_eq!(
        (&one["before"]["rating"][0]["segment"][1]["a"], &one["after"]["rating"][1]["segment"][1]["a"]),
        (&14.0.into(), &12.0.into())
    );
    assert_eq!(revisions["items"][1]["why"], "prima scala");
    assert!(said(&dir, &["audit"]).contains("network: datastream prova-level; alveo spostato dalla piena"));

    // Everything in open formats, and in another store.
    let everything = dir.path().join("all");
    said(&dir, &["export", "--all", everything.to_str().unwrap()]);
    let other = Dir::new("ratings-other");
    configure(&other, "");
    said(&other, &["import", everything.to_str().unwrap()]);
    let there = World::start(pescaia().arg("run").arg("--config").arg(other.path().join("pescaia.toml")));
    assert_eq!(flows(&there, "")[..6], second);
    drop(there);

    // What is private has no discharge for others, of then neither.
    let file = dir.write("network.toml", &network(&rating("", CHECK)).replacen("visibility = \"public\"", "visibility = \"private\"", 1));
    said(&dir, &["network", "apply", file.to_str().unwrap()]);
    for as_of in ["", &format!("?as_of={night}")] {
        assert_eq!(world.get_as(&format!("{of}{as_of}"), None).0, 404);
        assert_eq!(world.get_as(&format!("{of}{as_of}"), Some(&key)).0, 200);
    }
    assert_eq!(world.terminate(), Some(0));
    let world = World::start(pescaia().arg("run").arg("--config").arg(dir.path().join("pescaia.toml")));
    let then = world.get_as(&format!("{of}?period=PT1H&as_of={night}"), Some(&key)).1;
    assert!(then.contains("\"discharge\":31.421") && !then.contains("26.9"), "after a restart too: {then}");
}
