//! The real year of the Schwingbach, replayed by the simulated recorder: every value comes back, and the gaps are gaps.

use crate::support::{Dir, World, eventually, root};
use std::collections::BTreeMap;

/// Columns of the file and the datastreams that they end in.
const COLUMNS: [(usize, &str); 4] =
    [(2, "schwingbach-air-pressure"), (5, "schwingbach-air-temperature"), (6, "schwingbach-wind-speed"), (7, "schwingbach-groundwater")];

#[test]
fn every_value_of_the_recorded_year_comes_back_and_the_gaps_are_gaps() {
    let dir = Dir::new("replay");
    let world = World::demo(&dir, &[]);
    let file = std::fs::read_to_string(root().join("firmware-sim/data/hourly_rain_groundwater_2014.csv")).unwrap();
    let year = "from=2013-12-01T00:00:00Z&to=2015-02-01T00:00:00Z";
    eventually("the whole year has arrived", 240, || world.observations("schwingbach-air-pressure", year).len() == 8760);
    for (column, datastream) in COLUMNS {
        let lines = file.lines().filter(|line| line.starts_with("2014"));
        let recorded: BTreeMap<String, f64> = lines
            .filter_map(|line| {
                let fields: Vec<&str> = line.split(',').collect();
                let time = model::Timestamp::parse(&format!("{}+01:00", fields[0].replace(' ', "T"))).unwrap();
                Some((time.to_string(), fields[column].trim().parse().ok()?))
            })
            .collect();
        let kept: BTreeMap<String, f64> = world.observations(datastream, year).into_iter().collect();
        assert_eq!(kept.len(), recorded.len(), "{datastream}: what was not recorded is not made up");
        assert!(kept == recorded, "{datastream}: every value as it was recorded");
    }
}
