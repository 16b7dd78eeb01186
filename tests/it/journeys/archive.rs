//! Old months as files that any program reads; what is not kept longer lies only in them, says so, and comes back.

use super::history::{HOURLY, import, network};
use crate::support::{Dir, World, pescaia, python, root, said};

const WELL: &str = "schwingbach-groundwater";
const YEAR: &str = "from=2013-12-01T00:00:00Z&to=2015-01-01T00:00:00Z";

fn well(world: &World, part: &str) -> serde_json::Value {
    world.get(&format!("/api/v1/datastreams/{WELL}{part}"))
}

#[test]
fn months_are_put_away_and_what_is_old_goes_and_comes_back() {
    let dir = Dir::new("archive");
    let world = World::run(&dir, &network());
    assert!(import(&dir, &root().join(HOURLY), &root().join("demo/patterns/schwingbach.toml"), &[]).status.success());
    let before = world.observations(WELL, YEAR);
    let told = said(&dir, &["archive", "--now"]);
    assert!(told.contains("13 months written, read back and compared"), "{told}");
    let months = dir.path().join("data/parquet");
    let march = months.join("month=2014-03/observations.parquet");
    let script = root().join("tests/python/month_rows.py");
    let read = std::process::Command::new(python()).arg(script).arg(&march).arg(WELL).output().expect("python");
    let read = String::from_utf8_lossy(&read.stdout);
    let lines: Vec<&str> = read.lines().collect();
    assert_eq!(
        lines[0], "datastream,station,property,unit,phenomenon_time,result,quality,tests,received_at,month",
        "the last is the directory"
    );
    let of_march: Vec<_> = before.iter().filter(|(time, _)| time.starts_with("2014-03")).collect();
    assert_eq!(lines[1], of_march.len().to_string());
    let (time, value) = of_march[0];
    assert_eq!(lines[2], format!("{} {value} m 1", time.replace('Z', "+00:00")), "as another program reads it: an instant");
    assert_eq!(said(&dir, &["archive", "--now"]).lines().next(), Some("0 months written, read back and compared"));

    // The owner keeps two years: 2014 lies only in the files, and whoever asks for it is told.
    let files = dir.path().join("network.toml");
    std::fs::write(&files, network().replace("name = \"O\"\n", "name = \"O\"\nkeep_months = 24\n")).unwrap();
    let applied = said(&dir, &["network", "apply", files.to_str().unwrap()]);
    assert!(applied.contains("owner o"), "{applied}");
    let told = said(&dir, &["archive", "--now"]);
    assert!(told.contains("now lie only in its file"), "{told}");
    assert_eq!(world.observations(WELL, YEAR).len(), 0);
    let gaps = well(&world, &format!("/gaps?{YEAR}"));
    let gap = &gaps["items"][0];
    assert_eq!((gap["reason"].as_str(), gap["count"].as_u64()), (Some("archived"), Some(before.len() as u64)), "{gaps}");

    // A backup takes the months along, and a restore brings them back.
    let backup = dir.path().join("b/backup.db");
    std::fs::create_dir(dir.path().join("b")).unwrap();
    let made = said(&dir, &["backup", backup.to_str().unwrap()]);
    assert!(made.contains("13 months that were put away lie in") && made.contains("13 of them copied now"), "{made}");
    let other = Dir::new("archive-other");
    let restored = pescaia().arg("restore").arg(&backup).arg("--data").arg(other.path()).output().unwrap();
    let words = String::from_utf8_lossy(&restored.stdout).into_owned();
    assert!(restored.status.success() && words.contains("13 months that were put away are back"), "{words}");
    assert_eq!(std::fs::read(other.path().join("parquet/month=2014-03/observations.parquet")).unwrap(), std::fs::read(&march).unwrap());

    // Everything in open formats, into another store, to the same checksums.
    let all = dir.path().join("tutto");
    let told = said(&dir, &["export", "--all", all.to_str().unwrap()]);
    assert!(told.contains("of 13 months, each file read back and compared"), "{told}");
    let third = Dir::new("archive-third");
    let told = said(&third, &["import", all.to_str().unwrap()]);
    assert!(told.contains("13 months have the checksum that was written") && told.contains("+ station schwingbach"), "{told}");

    // Back, month by month, beside the running instance.
    for month in std::fs::read_dir(&months).unwrap().filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
        let file = month.path().join("observations.parquet");
        let told = said(&dir, &["import", file.to_str().unwrap()]);
        assert!(told.contains("they stay for 30 days"), "{told}");
    }
    assert_eq!(world.observations(WELL, YEAR), before, "every value as it was");
    assert_eq!(well(&world, &format!("/gaps?{YEAR}"))["items"].as_array().map(Vec::len), Some(0));
    assert!(said(&dir, &["verify"]).contains("it is sound"));
    assert_eq!(world.terminate(), Some(0));
}
