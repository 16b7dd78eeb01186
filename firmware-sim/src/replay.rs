//! A recorder that publishes a real year with its own times: the weather station and the well at the Schwingbach
//! (University of Gießen, 2014; see `data/LICENCE.md`).
//!
//! The file writes hourly times without an offset. All 8,760 hours are there, 2 o'clock of 30 March among them, and none twice in
//! October, so the station's clock does not change: it is read as the zone's standard time, UTC+1 all year. The sun agrees: the
//! light of 20 June is centred on 12:30 of the file, and noon stands over 8.5° E at 12:27 of that time.
//!
//! The times are sent as the file writes them. In its weather columns day and month look exchanged up to the 12th of each month
//! (`docs/decisions/0006-replayed-year.md`): a device repeats what it recorded, it does not correct it. A blank was not
//! measured: it is left out.

use crate::memory::Reading;
use model::Timestamp;

const FILE: &str = include_str!("../data/hourly_rain_groundwater_2014.csv");

/// Channels of the weather in the order of the file's columns, and what a value is divided by.
const WEATHER: [(&str, f64); 6] = [
    ("rain", 24.0), // mm/day over one hour: mm in the hour.
    ("air-pressure", 1.0),
    ("solar-radiation", 1.0),
    ("humidity", 1.0),
    ("air-temperature", 1.0),
    ("wind-speed", 1.0),
];
const GROUNDWATER: &str = "groundwater";

/// The whole year, in the order of time; the file's own order shows where its dates were exchanged.
#[must_use]
pub fn readings() -> Vec<Reading> {
    let mut year: Vec<Reading> = FILE.lines().filter_map(reading).collect();
    year.sort_by_key(|reading| reading.time);
    year
}

/// One line of the file; the heading and the comments hold no time.
fn reading(line: &str) -> Option<Reading> {
    let mut fields = line.split(',');
    let time = instant(fields.next()?)?;
    let columns = WEATHER.iter().copied().chain([(GROUNDWATER, 1.0)]).zip(fields);
    let values = columns.filter_map(|((channel, divisor), text)| Some((channel, number(text)? / divisor)));
    Some(Reading { time, values: values.collect() })
}

fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::parse(&format!("{}+01:00", text.replace(' ', "T"))).ok()
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(channel: &str) -> Vec<(Timestamp, f64)> {
        let of = |reading: Reading| Some((reading.time, reading.values.iter().find(|(name, _)| *name == channel)?.1));
        readings().into_iter().filter_map(of).collect()
    }
    #[test]
    fn the_year_is_whole_and_its_blanks_stay_blank() {
        let year = readings();
        assert_eq!(year.len(), 8760);
        assert!(year.windows(2).all(|pair| pair[1].time == pair[0].time.plus_seconds(3600)), "every hour once");
        assert_eq!(year[0].time, Timestamp::parse("2013-12-31T23:00:00Z").expect("a time"));
        let channels = year[0].values.iter().map(|(channel, _)| *channel);
        assert!(channels.eq(WEATHER.iter().map(|(channel, _)| *channel).chain([GROUNDWATER])));
        assert_eq!(series(GROUNDWATER).len(), 8760 - 1232);
        assert_eq!(series("air-pressure").len(), 8760);
    }
}
