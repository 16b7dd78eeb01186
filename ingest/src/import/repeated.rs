//! Times for which a file has several values of one datastream: a table of two sensors, or one block after the other. Which of them is
//! meant nobody can guess.

use super::pattern::SameTime;
use super::rows::{Header, Row};
use crate::shown::shown;
use model::{Datastream, DatastreamId, Timestamp};
use std::collections::HashMap;

/// Values that are remembered of one file, 24 bytes each; of a longer file each is still compared with the one before it.
const MOST: usize = 4_000_000;
/// Cells of a column that are remembered: of more it is no key.
const MOST_WORDS: usize = 6;
const MOST_COLUMNS: usize = 16;

/// What a file said of one time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    at: i64,
    value: f64,
    line: u32,
}

/// Values that lie one after the other in time, whichever way.
#[derive(Default)]
struct Run {
    said: Vec<Said>,
    is_descending: bool,
}

impl Run {
    fn find(&self, at: i64) -> Option<Said> {
        let order = |one: &Said| if self.is_descending { at.cmp(&one.at) } else { one.at.cmp(&at) };
        let (first, last) = (self.said.first()?, self.said.last()?);
        if at < first.at.min(last.at) || at > first.at.max(last.at) {
            return None;
        }
        self.said.binary_search_by(order).ok().and_then(|place| self.said.get(place)).copied()
    }
    fn takes(&mut self, at: i64) -> bool {
        match self.said.as_slice() {
            [] => true,
            [only] => {
                self.is_descending = at < only.at;
                true
            }
            [.., last] => (at < last.at) == self.is_descending,
        }
    }
}

/// Runs of one datastream, the last of them growing; those before it are merged as they become as long as their neighbours.
#[derive(Default)]
struct Seen {
    runs: Vec<Run>,
}

impl Seen {
    fn find(&self, at: i64) -> Option<Said> {
        self.runs.iter().rev().find_map(|run| run.find(at))
    }
    fn push(&mut self, said: Said) {
        if let Some(run) = self.runs.last_mut()
            && run.takes(said.at)
        {
            return run.said.push(said);
        }
        self.merge();
        self.runs.push(Run { said: vec![said], is_descending: false });
    }
    fn merge(&mut self) {
        while let [.., before, last] = self.runs.as_slice()
            && before.said.len() <= 2 * last.said.len()
        {
            let (Some(last), Some(before)) = (self.runs.pop(), self.runs.pop()) else { return };
            let mut said = before.said;
            said.extend(last.said);
            said.sort_by_key(|one| one.at);
            self.runs.push(Run { said, is_descending: false });
        }
    }
}

/// One time with two values.
struct Example {
    datastream: String,
    at: Timestamp,
    one: Said,
    other: Said,
}

/// What of a file was said twice, and differently.
pub(super) struct Repeated {
    same_time: SameTime,
    seen: HashMap<DatastreamId, Seen>,
    kept: usize,
    example: Option<Example>,
    count: u64,
    /// Which value counts of several.
    winners: HashMap<(DatastreamId, i64), f64>,
    /// Cells of the columns that are neither time nor value.
    words: Vec<(usize, Option<Vec<String>>)>,
}

impl Repeated {
    pub(super) fn new(same_time: SameTime, other_places: Vec<usize>) -> Self {
        let words = other_places.into_iter().take(MOST_COLUMNS).map(|place| (place, Some(Vec::new()))).collect();
        Self { same_time, seen: HashMap::new(), kept: 0, example: None, count: 0, winners: HashMap::new(), words }
    }

    /// Remembers the cells that may tell rows apart.
    pub(super) fn row(&mut self, row: &Row) {
        for (place, words) in &mut self.words {
            let (Some(known), Some(cell)) = (words.as_mut(), row.cells.get(*place)) else { continue };
            if !known.iter().any(|word| word == cell.trim()) {
                known.push(cell.trim().to_owned());
            }
            if known.len() > MOST_WORDS {
                *words = None;
            }
        }
    }

    pub(super) fn value(&mut self, datastream: &Datastream, at: Timestamp, value: f64, line: usize) {
        let seen = self.seen.entry(datastream.id).or_default();
        let said = Said { at: at.micros(), value, line: u32::try_from(line).unwrap_or(u32::MAX) };
        match seen.find(said.at) {
            None if self.kept < MOST => {
                self.kept += 1;
                seen.push(said);
            }
            None => seen.runs = vec![Run { said: vec![said], is_descending: false }],
            Some(one) if one.value.to_bits() == value.to_bits() => {}
            Some(one) => {
                self.count += 1;
                let key = datastream.key.to_string();
                self.example.get_or_insert(Example { datastream: key, at, one, other: said });
                match self.same_time {
                    SameTime::Refuse => {}
                    SameTime::First => drop(self.winners.insert((datastream.id, said.at), one.value)),
                    SameTime::Last => drop(self.winners.insert((datastream.id, said.at), value)),
                }
            }
        }
    }

    /// Why the file can't be taken: its line, and what to choose by; `None` where each time has one value, or the pattern chooses.
    pub(super) fn complaint(&self, header: &Header) -> Option<(usize, String)> {
        let Example { datastream, at, one, other } = self.example.as_ref().filter(|_| self.same_time == SameTime::Refuse)?;
        let telling: Vec<String> =
            self.words.iter().filter_map(|(place, words)| telling(header.names.get(*place)?, words.as_deref()?)).collect();
        let by = match telling.as_slice() {
            [] => "part the sensors with where = { COLUMN = \"…\" }".to_owned(),
            some => format!("part the sensors with {}", some.join(", or with ")),
        };
        let more = if self.count > 1 { format!(", and so {} times", self.count) } else { String::new() };
        let (first, second) = (one.value, other.value);
        Some((
            other.line as usize,
            format!(
                "{datastream} has two values for {at}: {first} in line {} and {second} in line {}{more}; nothing was written. Is it a table of several sensors? \
                 Then {by}; one block after the other? Then say with heading = \"…\" what the line begins with that heads a block. If one of the two is meant, write same_time = \
                 \"first\" or \"last\"",
                one.line, other.line
            ),
        ))
    }

    /// Values that gave way to another one for the same time.
    pub(super) fn count(&self) -> u64 {
        if self.same_time == SameTime::Refuse { 0 } else { self.count }
    }
    /// Whether the file was too long to remember all of it.
    pub(super) fn is_partial(&self) -> bool {
        self.kept >= MOST
    }
    /// Which value counts, by datastream and microsecond, where the file has several.
    pub(super) fn into_winners(self) -> HashMap<(DatastreamId, i64), f64> {
        self.winners
    }
}

/// A condition that would choose, of a column that has a few different cells.
fn telling(name: &str, words: &[String]) -> Option<String> {
    let first = words.iter().find(|word| !word.is_empty())?;
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let key = if is_bare { name.to_owned() } else { format!("{name:?}") };
    let all: Vec<String> = words.iter().map(|word| shown(word).to_string()).collect();
    (words.len() > 1).then(|| format!("where = {{ {key} = {} }} (it has {})", shown(first), all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_again_in_whatever_order_a_file_has() {
        let orders: [Vec<i64>; 4] = [
            (0..500).collect(),
            (0..500).rev().collect(),
            (0..500).map(|n| n * 211 % 500).collect(),
            (0..250).chain((250..500).rev()).collect(),
        ];
        for order in orders {
            let mut seen = Seen::default();
            for at in &order {
                assert_eq!(seen.find(*at), None);
                seen.push(Said { at: *at, value: *at as f64, line: 0 });
            }
            assert!(order.iter().all(|at| seen.find(*at).is_some_and(|said| said.value == *at as f64)));
            assert!(seen.runs.len() < 16, "{}", seen.runs.len());
        }
    }
}
