//! What a page says must be so: of rain, of what is near or old, of whose data these are.

use crate::support::{Dir, World, eventually, now_s, one_gauge, token};
use serde_json::Value;

/// One level with two thresholds, one rain gauge in the comune of Vaiano, and a dead level.
fn network() -> String {
    let more = "[[datastream.threshold]]\nvalue = 2.0\nlabel = \"soglia 1\"\n[[datastream.threshold]]\nvalue = 3.0\nlabel = \"soglia 2\"\n\
                [[station]]\nid = \"pluvio\"\nowner = \"demo\"\nname = \"Sofignano\"\nwhere = [43.95, 11.12]\ncomune = \"100006\"\n\
                [[datastream]]\nid = \"pioggia\"\nstation = \"pluvio\"\nproperty = \"rain_increment\"\nperiod_s = 300\nvisibility = \"public\"\n\
                [[station]]\nid = \"muta\"\nowner = \"demo\"\nname = \"Muta\"\nwhere = [43.9, 11.1]\n\
                [[datastream]]\nid = \"muta-level\"\nstation = \"muta\"\nproperty = \"water_level\"\nperiod_s = 60\nvisibility = \"public\"\n[[device]]";
    one_gauge()
        .replacen("name = \"demo\"", "name = { it = \"Consorzio di prova\", en = \"Test board\" }", 1)
        .replacen("where = [43.9, 11.1]\n", "where = [43.9, 11.1]\nriver = \"Torrente Agna\"\n", 1)
        .replacen("period_s = 10\n", "period_s = 60\n", 1)
        .replacen("[[device]]", more, 1)
        .replacen(
            "feeds = [{ channel = \"level\", datastream = \"prova-level\" }]",
            "feeds = [{ channel = \"level\", datastream = \"prova-level\" }, { channel = \"rain\", datastream = \"pioggia\" }, { channel = \"dead\", datastream = \"muta-level\" }]",
            1,
        )
}

fn push(world: &World, key: &str, channel: &str, values: impl Iterator<Item = (i64, f64)>) {
    let readings: Vec<String> =
        values.map(|(time, value)| format!(r#"{{"device":"prova","time":{time},"values":{{"{channel}":{value}}}}}"#)).collect();
    let (status, answer) = world.post("/api/v1/observations", key, "application/json", &format!("[{}]", readings.join(",")));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["rejected"].as_array().map(Vec::len), Some(0), "{answer}");
}

fn page(world: &World, path: &str) -> String {
    world.get_as(path, None).1
}

/// Status, content type and body for what somebody accepts.
fn ask(world: &World, path: &str, accept: &str, language: &str) -> (u16, String, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.get(world.url(path)).header("accept", accept).header("accept-language", language);
    let mut response = request.call().expect("an answer");
    let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    (response.status().as_u16(), kind, response.body_mut().read_to_string().expect("a body"))
}

#[test]
fn rain_is_its_sums_on_every_page_and_for_programs_while_the_last_value_is_zero() {
    let dir = Dir::new("rain-sums");
    let world = World::run(&dir, &network());
    let key = token(&dir, "demo", &["ingest"]);
    let end = now_s() / 300 * 300;
    // A day of values each five minutes: dry, but for 3.9 mm three times two hours ago and 0.4 mm half an hour ago; the last is dry.
    let fell = |back: i64| {
        if (24..27).contains(&back) {
            3.9
        } else if back == 6 {
            0.4
        } else {
            0.0
        }
    };
    push(&world, &key, "rain", (0..288).rev().map(|back| (end - back * 300, fell(back))));
    let told = "Nell&#39;ultima ora 0,4 mm di pioggia; 12,1 mm in 3 ore, 12,1 mm in 24 ore.";
    eventually("the sums are on the station's page", 10, || page(&world, "/stazioni/pluvio").contains(told));
    let station = page(&world, "/stazioni/pluvio");
    assert!(station.contains("Pioggia in corso") && !station.contains("0,0 mm</span>"), "{station}");
    let home = page(&world, "/");
    assert!(home.contains("0,4 mm in 1 h") && home.contains("12,1 mm in 3 h · 12,1 mm in 24 h"), "{home}");
    assert!(!home.contains("data-now=\"1\""), "the newest value may not take the place of a sum: {home}");
    let latest = world.latest("pioggia");
    let sums: Vec<_> = latest["rain"].as_array().expect("sums").iter().map(|sum| (&sum["period"], &sum["sum"], &sum["is_whole"])).collect();
    let sum = |period: &str, sum: f64| (Value::from(period), Value::from(sum), Value::from(true));
    let (hour, three, day) = (sum("PT1H", 0.4), sum("PT3H", 12.1), sum("PT24H", 12.1));
    assert_eq!(sums, [(&hour.0, &hour.1, &hour.2), (&three.0, &three.1, &three.2), (&day.0, &day.1, &day.2)]);
    assert_eq!(world.latest("prova-level")["rain"], Value::Null);
}

#[test]
fn a_river_near_its_threshold_stands_above_a_dead_sensor_and_has_one_rate_everywhere() {
    let dir = Dir::new("near");
    let world = World::run(&dir, &network());
    let key = token(&dir, "demo", &["ingest"]);
    let now = now_s() / 60 * 60;
    // Two hours calm, then half an hour at 60 cm/h: the change of one hour is another number than the rate.
    push(
        &world,
        &key,
        "level",
        (0..150).rev().map(|back| (now - back * 60, 1.85 - 0.01 * f64::from(u16::try_from(back.min(30)).expect("small")))),
    );
    push(&world, &key, "dead", (0..3).map(|n| (now - 3600 + n * 60, 1.0)));
    eventually("it is near", 10, || world.latest("prova-level")["near_threshold"] == 1);
    let rate = world.latest("prova-level")["rise_per_hour"].as_f64().expect("a rate");
    assert!((rate - 0.6).abs() < 0.02, "{rate}");
    let shown = format!("{} cm/h", (rate * 100.0).round());
    let (home, levels, station) = (page(&world, "/"), page(&world, "/livelli"), page(&world, "/stazioni/prova"));
    for page in [&home, &levels] {
        assert!(page.contains(&format!("↑ {shown}")), "{shown}: {page}");
    }
    assert!(station.contains(&format!("in crescita di {} cm all&#39;ora", (rate * 100.0).round())), "{station}");
    assert!(levels.contains("<span data-fresh>+30</span>") && !levels.contains("+30 cm/h"), "{levels}");
    for page in [&home, &levels, &station] {
        assert!(page.contains("In avvicinamento alla soglia 1"), "{page}");
        // What is said only of what is old is hidden where there is no style sheet, too.
        assert!(
            page.contains("role=\"status\" hidden>Connessione interrotta")
                && page.matches("data-grey").count() == page.matches("data-grey hidden").count()
        );
    }
    assert!(station.contains("se continua così la raggiunge fra"), "{station}");
    let place = |page: &str, id: &str| page.find(&format!("/stazioni/{id}\"")).expect("it is listed");
    for page in [&home, &levels] {
        assert!(place(page, "prova") < place(page, "muta"), "{page}");
    }
    assert!(home.contains("1 vicina a una soglia"), "{home}");
    let dead = page(&world, "/stazioni/muta");
    assert!(dead.contains(" fa, ") && dead.contains("l&#39;ultimo livello noto è 1,00 m, 58 min fa, alle "), "{dead}");
}

#[test]
fn an_unknown_address_is_a_page_for_people_in_their_language_and_a_problem_for_programs() {
    let dir = Dir::new("unknown");
    let world = World::run(&dir, &network());
    for path in ["/nessuna/pagina", "/stazioni/nessuna", "/dati/nessuno", "/stazioni/%FF", "/livelli/altri"] {
        let (status, kind, body) = ask(&world, path, "text/html,*/*;q=0.8", "it-IT");
        assert_eq!((status, kind.as_str()), (404, "text/html; charset=utf-8"), "{path}: {body}");
        assert!(body.contains("<html lang=\"it\">") && body.contains("Pagina non trovata") && body.contains("Cerca"), "{path}: {body}");
        let (_, _, english) = ask(&world, path, "text/html,*/*;q=0.8", "en-GB");
        assert!(english.contains("<html lang=\"en\">") && english.contains("Page not found"), "{path}: {english}");
    }
    let (status, kind, body) = ask(&world, "/nessuna/pagina", "application/json", "it");
    assert_eq!((status, kind.as_str()), (404, "application/problem+json"), "{body}");
    let (status, kind, body) = ask(&world, "/stazioni/prova?as_of=ieri", "text/html", "it");
    assert_eq!((status, kind.as_str()), (400, "text/html; charset=utf-8"), "{body}");
    assert!(body.contains("as_of=ieri") && body.contains("2026-10-24T03:10"), "{body}");
}

#[test]
fn a_page_says_whose_data_these_are_and_links_to_what_its_chart_shows() {
    let dir = Dir::new("whose");
    let config = crate::support::configure(&dir, &network());
    let with_site = std::fs::read_to_string(&config).unwrap() + "[site]\nname = \"Acque di prova\"\n";
    std::fs::write(&config, with_site).unwrap();
    let world = World::start(crate::support::pescaia().arg("run").arg("--config").arg(&config));
    let key = token(&dir, "demo", &["ingest"]);
    push(&world, &key, "level", [(now_s() - 30, 1.0)].into_iter());
    eventually("it is there", 10, || page(&world, "/stazioni/prova").contains("1,00"));
    let station = page(&world, "/stazioni/prova?periodo=30g");
    assert!(station.contains("<title>Torrente Agna a Prova · Acque di prova</title>") && !station.contains("Fiume"), "{station}");
    assert!(station.matches("Consorzio di prova").count() >= 4, "card, citation, details and foot: {station}");
    assert!(station.contains("observations?f=csv&#38;period=P30D") || station.contains("observations?f=csv&amp;period=P30D"), "{station}");
    assert!(page(&world, "/?lang=en").contains("Data by: Test board"), "{}", page(&world, "/?lang=en"));
    for (sought, found) in [("vaiano", true), ("Vaiàno", true), ("100006", true), ("sofi", true), ("carmignano", false)] {
        let list = page(&world, &format!("/?q={sought}"));
        assert_eq!(list.contains("/stazioni/pluvio\""), found, "{sought}: {list}");
    }
}
