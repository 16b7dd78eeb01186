//! History in from real files and out again, by the commands that a technician types.

use crate::support::{Dir, World, configure, pescaia, root};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const HOURLY: &str = "firmware-sim/data/hourly_rain_groundwater_2014.csv";

/// A station for each real file, with the names that the patterns in `demo/patterns` use.
pub(crate) fn network() -> String {
    let mut text = String::from("[[owner]]\nid = \"o\"\nname = \"O\"\n");
    for (station, streams) in [
        (
            "schwingbach",
            vec![
                ("groundwater", "groundwater_level", 3600),
                ("air-temperature", "air_temperature", 3600),
                ("rain", "rain_increment", 3600),
            ],
        ),
        ("hymod", vec![("rain", "rain_increment", 86_400), ("flow", "flow", 86_400)]),
        ("fulda", vec![("temperature", "air_temperature", 86_400), ("rain", "rain_increment", 86_400), ("flow", "flow", 86_400)]),
        ("prova", vec![("level", "water_level", 3600)]),
    ] {
        text += &format!("[[station]]\nid = \"{station}\"\nowner = \"o\"\nname = \"{station}\"\nwhere = [43.9, 11.1]\n");
        for (name, property, period) in streams {
            text += &format!(
                "[[datastream]]\nid = \"{station}-{name}\"\nstation = \"{station}\"\nproperty = \"{property}\"\nperiod_s = {period}\nvisibility = \"public\"\n"
            );
        }
    }
    text
}

pub(crate) fn import(dir: &Dir, file: &Path, pattern: &Path, more: &[&str]) -> Output {
    let refused = dir.path().join("refused.csv");
    let mut command: Command = pescaia();
    command.arg("import").arg(file).arg("--pattern").arg(pattern).arg("--refused").arg(refused).args(more).arg("--config");
    command.arg(dir.path().join("pescaia.toml")).output().expect("pescaia")
}

fn pattern(name: &str) -> PathBuf {
    root().join("demo/patterns").join(name)
}

fn said(done: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr))
}

#[test]
fn the_real_series_come_in_beside_a_running_instance_and_twice_changes_nothing() {
    let dir = Dir::new("history");
    let world = World::run(&dir, &network());
    let hourly = root().join(HOURLY);
    let dry = import(&dir, &hourly, &pattern("schwingbach.toml"), &["--dry-run"]);
    assert!(said(&dry).contains("8760 rows understood, 0 refused; nothing was written"), "{}", said(&dry));
    assert!(said(&dry).contains("gwhead_m → schwingbach-groundwater (m): 7528 values, 1232 without"), "{}", said(&dry));
    let count = |key: &str| world.get(&format!("/api/v1/datastreams/{key}"))["count"].as_u64().expect("a count");
    assert_eq!(count("schwingbach-groundwater"), 0);
    for (expected, all) in
        [("25048 observations accepted, 0 there already", 25_048), ("0 observations accepted, 25048 there already", 25_048)]
    {
        let done = import(&dir, &hourly, &pattern("schwingbach.toml"), &[]);
        assert!(done.status.success() && said(&done).contains(expected), "{}", said(&done));
        let kept: u64 = ["groundwater", "air-temperature", "rain"].iter().map(|name| count(&format!("schwingbach-{name}"))).sum();
        assert_eq!(kept, all);
    }
    let daily = root().join("tests/vectors/hydro/daily_rain_discharge_hymod.csv");
    let done = import(&dir, &daily, &pattern("hymod-daily.toml"), &[]);
    assert!(said(&done).contains("hymod-flow (L/s): 1461 values, 366 without"), "{}", said(&done));
    // Litres became cubic metres a second, and a summer day begins at 22:00 UTC.
    let first = world.observations("hymod-flow", "from=2012-12-31T00:00:00Z&to=2013-01-01T12:00:00Z");
    assert_eq!(first, [("2012-12-31T23:00:00Z".to_owned(), 0.024_418_331)]);
    // The rain of a day has fallen when the day ends.
    assert_eq!(world.observations("hymod-rain", "from=2014-07-01T20:00:00Z&to=2014-07-02T00:00:00Z")[0].0, "2014-07-01T22:00:00Z");
    let days = world.get("/api/v1/datastreams/hymod-rain/observations?agg=P1D&from=2014-06-30T22:00:00Z&to=2014-07-01T22:00:00Z");
    let (day, rain) = (&days["items"][0], world.observations("hymod-rain", "from=2014-07-01T20:00:00Z&to=2014-07-02T00:00:00Z")[0].1);
    assert_eq!((day["start"].as_str(), day["sum"].as_f64(), day["count"].as_u64()), (Some("2014-06-30T22:00:00Z"), Some(rain), Some(1)));
    let done = import(&dir, &root().join("tests/vectors/hydro/fulda_climate.csv"), &pattern("fulda-daily.toml"), &[]);
    assert!(said(&done).contains("3653 rows: 10959 observations accepted"), "{}", said(&done));
}

#[test]
fn what_is_exported_comes_in_again_bit_for_bit() {
    let dir = Dir::new("export");
    configure(&dir, &network());
    let config = dir.path().join("pescaia.toml");
    let apply = |what: &Dir| {
        let done = pescaia()
            .args(["network", "apply"])
            .arg(what.path().join("network.toml"))
            .arg("--config")
            .arg(what.path().join("pescaia.toml"))
            .output();
        assert!(done.expect("pescaia").status.success());
    };
    apply(&dir);
    // No instance runs: the commands open the store themselves.
    assert!(import(&dir, &root().join(HOURLY), &pattern("schwingbach.toml"), &[]).status.success());
    let export = |what: &Path, more: &[&str], to: &Path| {
        let mut command = pescaia();
        command.args(["export", "schwingbach-groundwater"]).args(more).arg("--out").arg(to).arg("--config").arg(what);
        let done = command.output().expect("pescaia");
        assert!(done.status.success(), "{}", said(&done));
        std::fs::read_to_string(to).expect("the export")
    };
    let all = export(&config, &[], &dir.path().join("all.csv"));
    assert_eq!(all.lines().count(), 1 + 7528);
    assert!(all.starts_with("phenomenon_time,result,quality,received_at\n2013-12-31T23:00:00Z,238.033129,1,"), "{}", &all[..200]);
    let march = export(
        &config,
        &["--from", "2014-03-01T00:00:00+01:00", "--to", "2014-04-01T00:00:00+02:00", "--italian"],
        &dir.path().join("march.csv"),
    );
    let italian = "\u{feff}data_ora;offset;result;quality;received_at;received_at_offset\n01/03/2014 00:00:00;+01:00;23";
    assert!(march.starts_with(italian), "{}", &march[..200]);
    let other = Dir::new("export-other");
    configure(&other, &network());
    apply(&other);
    let mut again = pescaia();
    again.arg("import").arg(dir.path().join("all.csv")).args(["--datastream", "schwingbach-groundwater", "--config"]);
    let done = again.arg(other.path().join("pescaia.toml")).output().expect("pescaia");
    assert!(said(&done).contains("7528 observations accepted"), "{}", said(&done));
    let back = export(&other.path().join("pescaia.toml"), &[], &other.path().join("all.csv"));
    let values = |text: &str| text.lines().map(|line| line.split(',').take(3).collect::<Vec<_>>().join(",")).collect::<Vec<_>>();
    assert_eq!(values(&back), values(&all));
    // What a spreadsheet was given comes in again, with the datastream alone or the pattern by its name.
    let of_march = |text: &str| text.lines().skip(1).filter(|line| line.starts_with("2014-03-")).count();
    for (more, expected) in [(&[][..], "observations accepted"), (&["--pattern", "italian"], "0 observations accepted")] {
        let third = Dir::new("export-italian");
        configure(&third, &network());
        apply(&third);
        let file = dir.path().join("march.csv");
        let run = |more: &[&str]| {
            let mut command = pescaia();
            command.arg("import").arg(&file).args(["--datastream", "schwingbach-groundwater"]).args(more).arg("--config");
            command.arg(third.path().join("pescaia.toml")).output().expect("pescaia")
        };
        assert!(run(&[]).status.success());
        let done = run(more);
        assert!(done.status.success() && said(&done).contains(expected), "{}", said(&done));
        let back = export(&third.path().join("pescaia.toml"), &[], &third.path().join("all.csv"));
        assert!(of_march(&back) > 300, "{}", of_march(&back));
        assert!(values(&back).iter().skip(1).all(|row| values(&all).contains(row)));
    }
    let missing = pescaia().args(["export", "schwingbach-grondwater", "--config"]).arg(&config).output().expect("pescaia");
    assert!(!missing.status.success() && said(&missing).contains("did you mean \"schwingbach-groundwater\"?"), "{}", said(&missing));
}

#[test]
fn a_bad_file_is_told_with_line_and_cure_and_its_refused_rows_are_kept() {
    let dir = Dir::new("bad-history");
    let _world = World::run(&dir, &network());
    let file =
        dir.write("bad.csv", "Data;Ora;Livello (m)\n01/02/2014;00:00;1,25\n30/03/2014;02:30;1,3\n01/02/2014;01:00\n01/02/2014;02:00;1.5\n");
    let name = file.display();
    let done = import(&dir, &file, &pattern("italian.toml"), &[]);
    assert_eq!(done.status.code(), Some(3), "what is good goes in: {}", said(&done));
    for expected in [
        "4 rows: 1 observations accepted, 0 there already, 0 revised; 3 rows refused".to_owned(),
        format!("{name}:3:1  2014-03-30T02:30:00 did not happen in Europe/Rome"),
        format!("{name}:4:1  2 cells where the header has 3; is the row cut off?"),
        format!("{name}:5:3  \"1.5\" has a \".\" where the pattern's decimal sign is \",\""),
    ] {
        assert!(said(&done).contains(&expected), "{expected:?} is not in {}", said(&done));
    }
    let refused = std::fs::read_to_string(dir.path().join("refused.csv")).expect("refused rows");
    assert_eq!((refused.lines().count(), refused.lines().next()), (4, Some("Data;Ora;Livello (m);refused because")));
    // Some of it mended, and imported with the same pattern; what is there already is left as it is.
    let mended = dir.write("mended.csv", &refused.replace(";1.5;", ";1,5;").replace("01:00;", "01:00;1,4;"));
    let done = import(&dir, &mended, &pattern("italian.toml"), &[]);
    assert!(done.status.code() == Some(3) && said(&done).contains("3 rows: 2 observations accepted"), "{}", said(&done));
    assert!(said(&done).lines().any(|line| line.ends_with("1 rows refused; the rest was taken")), "{}", said(&done));
    assert_eq!(std::fs::read_to_string(dir.path().join("refused.csv")).expect("refused rows"), refused);
    assert_eq!(std::fs::read_to_string(dir.path().join("refused.2.csv")).expect("refused rows").lines().count(), 2);
    let none = dir.write("none.csv", "Data;Ora;Livello (m)\n01/02/2014;00:00;x\n");
    for more in [&["--dry-run"][..], &[]] {
        let done = import(&dir, &none, &pattern("italian.toml"), more);
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    }
    let twice = dir.write("twice.csv", "Data;Ora;Livello (m)\n02/02/2014;00:00;1\n02/02/2014;00:00;2\n");
    for more in [&["--dry-run"][..], &[]] {
        let done = import(&dir, &twice, &pattern("italian.toml"), more);
        assert!(done.status.code() == Some(78) && said(&done).contains("has two values for 2014-02-01T23:00:00Z"), "{}", said(&done));
    }
    let commas = dir.write("commas.csv", "Data,Ora,Livello (m)\n01/02/2014,00:00,1\n");
    let done = import(&dir, &commas, &pattern("italian.toml"), &[]);
    assert!(!done.status.success() && said(&done).contains("write separator = ','"), "{}", said(&done));
    let unknown = dir.write("p.toml", &std::fs::read_to_string(pattern("italian.toml")).unwrap().replace("prova-level", "prova-livel"));
    let done = import(&dir, &file, &unknown, &[]);
    assert_eq!(done.status.code(), Some(78));
    assert!(said(&done).contains("p.toml:15:14  there is no datastream \"prova-livel\"; did you mean \"prova-level\"?"), "{}", said(&done));
}
