//! A recorder that publishes a real year with its own times: the weather station and the well at the Schwingbach
//! (University of Gießen, 2014; see `data/LICENCE.md`).
//!
//! The file writes hourly times without an offset. All 8,760 hours are there, 2 o'clock of 30 March among them, and none twice in
//! October, so the station's clock does not change: it is read as the zone's standard time, UTC+1 all year. The sun agrees: the
//! light of 20 June is centred on 12:30 of the file, and noon stands over 8.5° E at 12:27 of that time.
//!
//! Its dates have suffered: up to the 12th of each month, day and month are exchanged in what belongs to the weather (after
//! 2014-01-01 comes 2014-02-01, and so to 2014-12-01, 2014-01-13; the "6 November" has 19 °C). The head of the groundwater was
//! joined by the dates as they are written and is right by them. Read so, air pressure never steps more than 6 hPa in an hour
//! (as written, 94 times), and the well is as smooth as it can be: a test holds both. A blank was not measured: it is left out.

use crate::memory::Reading;
use model::Timestamp;
use std::collections::BTreeMap;

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

/// The whole year, in order.
#[must_use]
pub fn readings() -> Vec<Reading> {
    let mut year: BTreeMap<Timestamp, Vec<(&'static str, f64)>> = BTreeMap::new();
    for line in FILE.lines() {
        let mut fields = line.split(',');
        let Some(text) = fields.next() else { continue };
        // The heading and the comments hold no times.
        let (Some(written), Some(meant)) = (instant(text), exchanged(text)) else { continue };
        let weather = WEATHER.iter().zip(fields.by_ref());
        let weather = weather.filter_map(|((channel, divisor), text)| Some((*channel, number(text)? / divisor)));
        year.entry(meant).or_default().extend(weather);
        if let Some(head) = fields.next().and_then(number) {
            year.entry(written).or_default().push((GROUNDWATER, head));
        }
    }
    year.into_iter().map(|(time, values)| Reading { time, values }).collect()
}

fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::parse(&format!("{}+01:00", text.replace(' ', "T"))).ok()
}

/// The time with day and month put right: `2014-02-01 …` is the 2nd of January.
fn exchanged(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(' ')?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if day.parse::<u8>().ok()? > 12 {
        return instant(text);
    }
    instant(&format!("{year}-{day}-{month} {time}"))
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
    fn steps_over(limit: f64, series: &[(Timestamp, f64)]) -> usize {
        let hourly = |pair: &&[(Timestamp, f64)]| pair[1].0 == pair[0].0.plus_seconds(3600);
        series.windows(2).filter(hourly).filter(|pair| (pair[1].1 - pair[0].1).abs() > limit).count()
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

    #[test]
    fn every_column_stands_at_the_time_where_it_makes_sense() {
        assert_eq!(steps_over(6.0, &series("air-pressure")), 0);
        assert_eq!(steps_over(8.0, &series("air-temperature")), 0);
        assert_eq!(steps_over(0.15, &series(GROUNDWATER)), 6, "the well rises fast in a few storms");
    }
}
