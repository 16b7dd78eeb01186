//! Ratings of a water level, as the network file writes them.

use super::NetworkFile;
use super::check::{Wrong, validity};
use super::wire::DatastreamEntry;
use crate::Complaint;
use model::{Beyond, ObservedProperty, Rating, RatingFault, Segment, Timestamp, Validity};
use serde::{Deserialize, Serialize};

const HEADER: &str = "[[datastream.rating]]";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RatingEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    extrapolate: bool,
    segment: Vec<SegmentEntry>,
}

/// `Q = a · (h − h0)^b`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentEntry {
    from_m: f64,
    to_m: f64,
    a: f64,
    h0_m: f64,
    b: f64,
}

/// Which of a datastream's ratings, from 0, and what is wrong with it.
pub(super) type WrongRating = (usize, Wrong);

/// The ratings of a datastream.
pub(super) fn ratings(entry: &DatastreamEntry, property: ObservedProperty, wrong: &mut Vec<WrongRating>) -> Vec<Rating> {
    use ObservedProperty::{LevelDown, LevelUp, WaterLevel};
    if !entry.rating.is_empty() && !matches!(property, WaterLevel | LevelUp | LevelDown) {
        let message = format!("{} has no rating; give one to a water_level, level_up or level_down", property.word());
        wrong.push((0, ("rating", message)));
    }
    let mut found = Vec::with_capacity(entry.rating.len());
    let mut held: Vec<Validity> = Vec::with_capacity(entry.rating.len());
    for (place, one) in entry.rating.iter().enumerate() {
        let mut mistakes = Vec::new();
        let validity = validity(one.from.as_ref(), one.to.as_ref(), &mut mistakes);
        if let Some(other) = held.iter().position(|other| meet(other, &validity)) {
            mistakes.push(("rating", together(other + 1, validity.from)));
        }
        held.push(validity);
        let segment = |one: &SegmentEntry| Segment { from_m: one.from_m, to_m: one.to_m, a: one.a, h0_m: one.h0_m, b: one.b };
        let beyond = if one.extrapolate { Beyond::Extrapolated } else { Beyond::Nothing };
        match Rating::new(one.segment.iter().map(segment).collect(), beyond, validity, one.source.clone()) {
            Ok(rating) => found.push(rating),
            Err(faults) => mistakes.extend(faults.iter().map(|fault: &RatingFault| ("segment", fault.to_string()))),
        }
        wrong.extend(mistakes.into_iter().map(|mistake| (place, mistake)));
    }
    found
}

/// Whether two hold at once.
fn meet(one: &Validity, other: &Validity) -> bool {
    let begins_before_the_end = |from: Option<Timestamp>, to: Option<Timestamp>| from.zip(to).is_none_or(|(from, to)| from < to);
    begins_before_the_end(one.from, other.to) && begins_before_the_end(other.from, one.to)
}

fn together(other: usize, from: Option<Timestamp>) -> String {
    match from {
        Some(from) => format!(
            "it holds at the same time as rating {other} of this datastream; end that one with to = \"{from}\", or begin this one later"
        ),
        None => {
            format!("it holds at the same time as rating {other} of this datastream; say from when it holds, and end the other one there")
        }
    }
}

impl NetworkFile {
    /// A complaint about one of the ratings of the datastream that begins at byte `at`.
    pub(super) fn complain_of_rating(&self, at: usize, (place, (key, message)): WrongRating) -> Complaint {
        let mut offset = at;
        let mut headers = Vec::new();
        for (number, line) in self.text.get(at..).unwrap_or_default().split_inclusive('\n').enumerate() {
            let trimmed = line.trim_start();
            if number > 0 && trimmed.starts_with("[[") && !trimmed.starts_with("[[datastream.") {
                break;
            }
            if trimmed.starts_with(HEADER) {
                headers.push(offset + (line.len() - trimmed.len()));
            }
            offset += line.len();
        }
        match headers.get(place) {
            Some(header) => self.complain(*header, key, message),
            // Written in one line: `rating = [{ … }]`.
            None => self.complain(at, "rating", message),
        }
    }
}
