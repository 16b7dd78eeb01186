//! A recorder that publishes a real year with its own times: the weather station and the well at the Schwingbach
//! (University of Gießen, 2014; see `data/LICENCE.md`).
//!
//! The file writes hourly times without an offset. All 8,760 hours are there, 2 o'clock of 30 March among them, and none twice in
//! October, so the station's clock does not change: it is read as the zone's standard time, UTC+1 all year. The sun agrees: the
//! light of 20 June is centred on 12:30 of the file, and noon stands over 8.5° E at 12:27 of that time.
//! A blank is a value that was not measured: it is left out.

use crate::memory::Reading;
use model::Timestamp;

const FILE: &str = include_str!("../data/hourly_rain_groundwater_2014.csv");

/// Channels in the order of the file's columns, and what a value is divided by.
const COLUMNS: [(&str, f64); 7] = [
    ("rain", 24.0), // mm/day over one hour: mm in the hour.
    ("air-pressure", 1.0),
    ("solar-radiation", 1.0),
    ("humidity", 1.0),
    ("air-temperature", 1.0),
    ("wind-speed", 1.0),
    ("groundwater", 1.0),
];

/// The whole year, in order.
#[must_use]
pub fn readings() -> Vec<Reading> {
    FILE.lines().filter_map(reading).collect()
}

/// `None` for the heading and the comments.
fn reading(line: &str) -> Option<Reading> {
    let mut fields = line.split(',');
    let time = Timestamp::parse(&format!("{}+01:00", fields.next()?.replace(' ', "T"))).ok()?;
    let value = |((channel, divisor), text): (&(&'static str, f64), &str)| Some((*channel, text.trim().parse::<f64>().ok()? / divisor));
    let values = COLUMNS.iter().zip(fields).filter_map(value).filter(|(_, value)| value.is_finite()).collect();
    Some(Reading { time, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_is_whole_and_its_blanks_stay_blank() {
        let year = readings();
        assert_eq!(year.len(), 8760);
        assert!(year.windows(2).all(|pair| pair[1].time == pair[0].time.plus_seconds(3600)), "every hour once");
        let first = &year[0];
        assert_eq!(first.time, Timestamp::parse("2013-12-31T23:00:00Z").expect("a time"));
        assert_eq!(first.values.len(), 7);
        assert_eq!(first.values[6], ("groundwater", 238.033_129));
        let blank = year.iter().filter(|reading| !reading.values.iter().any(|(channel, _)| *channel == "groundwater")).count();
        assert_eq!(blank, 1234);
    }
}
