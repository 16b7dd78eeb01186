//! Parameters, strictly: one that nobody knows is an error that names the nearest, never silence.

use crate::csv::Dialect;
use crate::page::{DEFAULT, MOST, start_of};
use crate::problem::Problem;
use axum::extract::{FromRequestParts, OriginalUri, Query};
use axum::http::request::Parts;
use model::{Interval, Timestamp, parse_civil_day};

/// The parameters of a request with its path, for problems.
pub(crate) struct Params {
    pub(crate) path: String,
    pairs: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = OriginalUri::from_request_parts(parts, state).await.map_or_else(|_| String::new(), |uri| uri.path().to_owned());
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|cause| Problem::bad(format!("the query can't be read: {cause}")).at(&path))?;
        Ok(Self { path, pairs: pairs.0 })
    }
}

impl Params {
    /// Refuses what is not in `known`, and what stands twice.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        for (place, (name, _)) in self.pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let cure = match store::nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None if known.is_empty() => "this address takes none".into(),
                    None => format!("the parameters are {}", known.join(", ")),
                };
                return Err(self.bad(format!("unknown parameter {name:?}, {cure}")));
            }
            if self.pairs.iter().skip(place + 1).any(|(other, _)| other == name) {
                return Err(self.bad(format!("the parameter {name:?} stands twice; send it once")));
            }
        }
        Ok(())
    }
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
    pub(crate) fn bad(&self, detail: impl Into<String>) -> Problem {
        Problem::bad(detail).at(&self.path)
    }
    /// One of `known`, the first when it is not given.
    pub(crate) fn choice<'a>(&self, name: &str, known: &[&'a str]) -> Result<&'a str, Problem> {
        let Some(given) = self.get(name) else { return Ok(known.first().copied().unwrap_or("")) };
        known
            .iter()
            .find(|word| **word == given)
            .copied()
            .ok_or_else(|| self.bad(format!("{name}={given} is not known; it may be {}", known.join(", "))))
    }
    /// `csv`: how a spreadsheet wants its numbers.
    pub(crate) fn dialect(&self) -> Result<Dialect, Problem> {
        Ok(if self.choice("csv", &["", "it"])? == "it" { Dialect::Italian } else { Dialect::Plain })
    }
    /// `limit`, 1 to `most`.
    pub(crate) fn limit(&self, default: usize, most: usize) -> Result<usize, Problem> {
        let Some(given) = self.get("limit") else { return Ok(default) };
        given
            .parse()
            .ok()
            .filter(|limit| (1..=most).contains(limit))
            .ok_or_else(|| self.bad(format!("limit={given} can't be; it may be 1 to {most}")))
    }
    /// How many rows of a page are asked for; `None` is all of them, which is right for a file that nobody asked a page of.
    pub(crate) fn page(&self, is_always_paged: bool) -> Result<Option<usize>, Problem> {
        let is_paged = is_always_paged || self.get("limit").or(self.get("cursor")).is_some();
        is_paged.then(|| self.limit(if is_always_paged { DEFAULT } else { MOST }, MOST)).transpose()
    }
    /// Where reading starts: the cursor's instant, or `from`.
    pub(crate) fn resume(&self, from: Timestamp) -> Result<Timestamp, Problem> {
        match self.get("cursor") {
            None => Ok(from),
            Some(text) => start_of(text).ok_or_else(|| self.bad("this cursor is not one of ours; take next_cursor from the page before")),
        }
    }
    /// A civil day.
    pub(crate) fn day(&self, name: &str) -> Result<Option<Interval>, Problem> {
        let parse = |text: &str| parse_civil_day(text).ok_or_else(|| self.bad(format!("{name}={text} is no day; write 2026-11-23")));
        self.get(name).map(parse).transpose()
    }
    pub(crate) fn instant(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let parse = |text: &str| {
            // A + that nobody encoded comes as a blank.
            let offset = text
                .trim_end()
                .rsplit_once(' ')
                .filter(|(time, offset)| time.contains(['T', 't']) && offset.starts_with(|sign: char| sign.is_ascii_digit()));
            let text = offset.map_or_else(|| text.to_owned(), |(time, offset)| format!("{}+{offset}", time.trim_end()));
            // A date alone is where that day begins in Italy.
            Some(&text)
                .filter(|text| text.len() == 10)
                .and_then(|text| parse_civil_day(text))
                .map(|day| day.from)
                .map_or_else(|| Timestamp::parse(&text), Ok)
                .map_err(|cause| self.bad(format!("{name}: {cause}")))
        };
        self.get(name).map(parse).transpose()
    }
    /// `from` and `to`, or `period` back from now; a day when nothing is said.
    pub(crate) fn interval(&self, now: Timestamp) -> Result<Interval, Problem> {
        let (from, to) = (self.instant("from")?, self.instant("to")?);
        let period = match self.get("period") {
            None => None,
            Some(_) if from.is_some() || to.is_some() => return Err(self.bad("give either period, or from and to")),
            Some(text) => {
                Some(now.before(text).ok_or_else(|| self.bad(format!("period={text} is no ISO 8601 duration; write PT36H, P7D or P1M")))?)
            }
        };
        // Readings may lie a little ahead of our clock: now is not the end.
        let end = to.unwrap_or(now.plus_seconds(3600));
        let from = from.or(period).unwrap_or_else(|| to.unwrap_or(now).plus_seconds(-86_400));
        if from >= end {
            return Err(self.bad(format!("from {from} does not lie before to {end}")));
        }
        Ok(Interval::new(from, end))
    }
}
