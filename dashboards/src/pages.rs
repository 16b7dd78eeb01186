//! One file a page.

pub(crate) mod home;
pub(crate) mod missing;
pub(crate) mod station;

use crate::assets::Assets;
use crate::words::Words;
use model::Lang;

/// What the frame around every page needs.
pub(crate) struct Frame<'a> {
    pub(crate) words: &'static Words,
    pub(crate) assets: &'a Assets,
    /// Path and query without the language.
    pub(crate) here: String,
}

impl Frame<'_> {
    pub(crate) fn lang(&self) -> &'static str {
        self.words.lang.code()
    }
    /// The same page in a language.
    pub(crate) fn in_language(&self, code: &str) -> String {
        let mark = if self.here.contains('?') { '&' } else { '?' };
        format!("{}{mark}lang={code}", self.here)
    }
    pub(crate) fn station(&self, id: &str) -> String {
        self.to(&format!("/stazioni/{id}"))
    }
    pub(crate) fn search(&self, text: &str) -> String {
        self.to(&format!("/?q={}", text.replace('%', "%25").replace('&', "%26").replace('#', "%23").replace(' ', "+")))
    }
    /// Another page in this one's language.
    pub(crate) fn to(&self, path: &str) -> String {
        if self.words.lang == Lang::It { path.to_owned() } else { format!("{path}{}lang=en", if path.contains('?') { '&' } else { '?' }) }
    }
}

/// A value in its unit, as people write it.
pub(crate) fn value_text(value: f64, datastream: &model::Datastream, words: &Words) -> String {
    use model::{ObservedProperty as P, number};
    match datastream.property {
        P::PumpRun => (if value >= 0.5 { words.running } else { words.stopped }).to_owned(),
        P::MainsOk => (if value >= 0.5 { words.yes } else { words.no }).to_owned(),
        _ => number(value, decimals(datastream), words.lang),
    }
}

/// The unit behind a value; states have none.
pub(crate) fn unit_text(datastream: &model::Datastream) -> &'static str {
    match datastream.unit() {
        model::Unit::One => "",
        model::Unit::Celsius => "°C",
        unit => unit.symbol(),
    }
}

pub(crate) fn decimals(datastream: &model::Datastream) -> usize {
    match datastream.unit() {
        model::Unit::Metre => 2,
        model::Unit::KilowattHour | model::Unit::Hour => 0,
        _ => 1,
    }
}
