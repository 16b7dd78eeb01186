//! One file a page.

pub(crate) mod datasets;
pub(crate) mod home;
pub(crate) mod levels;
pub(crate) mod missing;
pub(crate) mod station;

use crate::assets::Assets;
use crate::words::Words;
use model::Lang;

/// What the frame around every page needs.
pub(crate) struct Frame<'a> {
    pub(crate) words: &'static Words,
    pub(crate) assets: &'a Assets,
    /// Stations over a threshold now: in an event every page says so.
    pub(crate) over: usize,
    /// Path and query without the language.
    pub(crate) here: String,
}

impl Frame<'_> {
    /// The strip of an event; empty in quiet times.
    pub(crate) fn event(&self) -> String {
        match (self.over, self.words.lang) {
            (0, _) => String::new(),
            (1, Lang::It) => "1 stazione oltre una soglia".to_owned(),
            (over, Lang::It) => format!("{over} stazioni oltre una soglia"),
            (1, Lang::En) => "1 station over a threshold".to_owned(),
            (over, Lang::En) => format!("{over} stations over a threshold"),
        }
    }
    pub(crate) fn lang(&self) -> &'static str {
        self.words.lang.code()
    }
    /// The same page in a language.
    pub(crate) fn in_language(&self, code: &str) -> String {
        let mark = if self.here.contains('?') { '&' } else { '?' };
        format!("{}{mark}lang={code}", self.here)
    }
    /// Whether this page lies under a path.
    pub(crate) fn is_in(&self, path: &str) -> bool {
        self.here.split('?').next().is_some_and(|here| here == path || here.starts_with(&format!("{path}/")))
    }
    pub(crate) fn station(&self, id: &str) -> String {
        self.to(&format!("/stazioni/{id}"))
    }
    pub(crate) fn dataset(&self, id: &str) -> String {
        self.to(&format!("/dati/{id}"))
    }
    pub(crate) fn search(&self, text: &str) -> String {
        self.to(&format!("/?q={}", in_query(text)))
    }
    /// Another page in this one's language.
    pub(crate) fn to(&self, path: &str) -> String {
        if self.words.lang == Lang::It { path.to_owned() } else { format!("{path}{}lang=en", if path.contains('?') { '&' } else { '?' }) }
    }
}

/// A text as a value in an address.
pub(crate) fn in_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
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

/// Which way a level goes and how fast; empty where that is not known.
pub(crate) fn trend_text(latest: &store::Latest, words: &Words) -> String {
    match latest.state.rise_per_hour.filter(|_| latest.datastream.property.is_level() && !latest.state.stale) {
        Some(rise) if rise.abs() <= 0.01 => words.stable.to_owned(),
        Some(rise) => {
            let arrow = if rise > 0.0 { "↑" } else { "↓" };
            format!("{arrow} {} {}", model::number((rise * 100.0).abs(), 0, words.lang), words.per_hour)
        }
        None => String::new(),
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
