//! What can be known of a sensor before it says anything: its span, and whether what it speaks can become what is kept.

use super::super::wire::{DatastreamEntry, FeedEntry};
use super::Wrong;
use model::{Layout, Meaning, Unit};

/// What the sensor can mean, where the entry says so.
pub(super) fn span(entry: &DatastreamEntry, wrong: &mut Vec<Wrong>) -> Option<(f64, f64)> {
    let [low, high] = entry.span?;
    if low.is_finite() && high.is_finite() && low < high {
        return Some((low, high));
    }
    wrong.push(("span", format!("span = [{low}, {high}] can't be; write the sensor's lowest and highest value, e.g. span = [0, 10]")));
    None
}

/// The unit that a register or a layout names is that of its readings, whatever the feed says: it must fit the datastream too.
pub(super) fn spoken_unit_fits(feed: &FeedEntry, register: Option<Unit>, layout: Option<&Layout>, canonical: Unit, wrong: &mut Vec<Wrong>) {
    let of_layout = layout.into_iter().flat_map(|layout| &layout.fields).filter_map(|field| match &field.meaning {
        Meaning::Channel { channel, unit } if *channel == feed.channel => *unit,
        _ => None,
    });
    let spoken = register.map(|unit| (unit, "profile")).into_iter().chain(of_layout.map(|unit| (unit, "layout")));
    for (unit, whose) in spoken {
        if unit.convert(1.0, canonical).is_none() {
            let message = format!(
                "the {whose} gives \"{}\" in \"{unit}\", which can't be turned into \"{canonical}\", the unit of {}; mend the unit in the {whose}, or feed another datastream",
                feed.channel, feed.datastream
            );
            wrong.push(("feeds", message));
        }
    }
}
