//! One file a page.

pub(crate) mod datasets;
pub(crate) mod home;
pub(crate) mod levels;
pub(crate) mod notice;
pub(crate) mod station;

use crate::assets::Assets;
use crate::words::Words;
use model::{Lang, RAIN_WINDOWS_H, Text, Timestamp, Trend, age_and_time, rain_sum_words};
use store::Latest;

/// What the frame around every page needs.
pub(crate) struct Frame<'a> {
    pub(crate) words: &'static Words,
    pub(crate) assets: &'a Assets,
    /// Who publishes: the name that stands above every page.
    pub(crate) site: &'a Text,
    /// Whose data these are, by name.
    pub(crate) owners: String,
    /// When this page was made, by this machine's clock: ages in the page are counted from here.
    pub(crate) made: Timestamp,
    /// Stations over a threshold now: in an event every page says so.
    pub(crate) over: usize,
    /// Path and query without the language.
    pub(crate) here: String,
    /// The page is as it was at this moment.
    pub(crate) then: Option<Timestamp>,
}

impl Frame<'_> {
    pub(crate) fn site(&self) -> &str {
        self.site.get(self.words.lang)
    }
    /// Milliseconds since 1970.
    pub(crate) fn made_ms(&self) -> i64 {
        self.made.micros() / 1000
    }
    /// «30/11/2026 alle 06:21:33», of Italy.
    pub(crate) fn made_words(&self) -> String {
        let local = self.made.in_rome();
        let time = format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second());
        match self.words.lang {
            Lang::It => format!("{:02}/{:02}/{} alle {time}", local.day(), local.month(), local.year()),
            Lang::En => format!("{}-{:02}-{:02} {time}", local.year(), local.month(), local.day()),
        }
    }
    /// The licence, with whose data they are.
    pub(crate) fn licence(&self) -> String {
        if self.owners.is_empty() {
            self.words.licence.to_owned()
        } else {
            format!("{} {}. {}", self.words.data_by, self.owners, self.words.licence)
        }
    }
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
    /// What stands above a page that looks back: of when it is.
    pub(crate) fn then_words(&self, then: &Timestamp) -> String {
        let local = then.in_rome();
        let (time, date) = (format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second()), local.date());
        let (day, month, year) = (date.day(), date.month(), date.year());
        match self.words.lang {
            Lang::It => format!("Come appariva il {day:02}/{month:02}/{year} alle {time} (ora italiana). Non è la situazione di adesso."),
            Lang::En => format!("As it appeared on {year}-{month:02}-{day:02} at {time} (Italian time). This is not the situation now."),
        }
    }
    /// This page, as it is now.
    pub(crate) fn now_here(&self) -> String {
        let path = self.here.split('?').next().unwrap_or("/");
        Frame { then: None, here: String::new(), owners: String::new(), ..*self }.to(path)
    }
    /// For addresses of the API on a page that looks back.
    pub(crate) fn as_of(&self) -> String {
        self.then.map_or_else(String::new, |then| format!("&as_of={then}"))
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
    /// Another page in this one's language, and of the same moment.
    pub(crate) fn to(&self, path: &str) -> String {
        let mut address = path.to_owned();
        let mut add = |more: String| {
            address.push(if address.contains('?') { '&' } else { '?' });
            address.push_str(&more);
        };
        if let Some(then) = self.then {
            add(format!("as_of={then}"));
        }
        if self.words.lang == Lang::En {
            add("lang=en".into());
        }
        address
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

/// Which way a level goes and how fast, by the one rate of rise; empty where that is not known.
pub(crate) fn trend_text(latest: &Latest, words: &Words) -> String {
    let Some(rise) = latest.state.rise_per_hour.filter(|_| latest.datastream.property.is_level() && !latest.state.stale) else {
        return String::new();
    };
    let arrow = match Trend::of(rise) {
        Trend::Stable => return words.stable.to_owned(),
        Trend::Rising => "↑",
        Trend::Falling => "↓",
    };
    format!("{arrow} {} {}", model::number((rise * 100.0).abs(), 0, words.lang), words.per_hour)
}

/// One sum of rain, and over how long.
pub(crate) struct Sum {
    pub(crate) value: String,
    pub(crate) window: String,
}

/// The sums of a rain gauge, the shortest window first; empty for everything else.
pub(crate) fn rain_sums(latest: &Latest, words: &Words) -> Vec<Sum> {
    let Some(rain) = &latest.rain else { return Vec::new() };
    let known = RAIN_WINDOWS_H.into_iter().filter_map(|hours| Some((hours, rain.over(hours)?)));
    known.map(|(hours, sum)| Sum { value: rain_sum_words(sum, words.lang), window: format!("{} {hours} h", words.within) }).collect()
}

/// What a list shows of a datastream, with its unit: a level, a state, or for rain the sum of the shortest window.
pub(crate) struct Shown {
    pub(crate) value: String,
    pub(crate) unit: String,
    /// The rate of a level, or the longer sums of rain.
    pub(crate) more: String,
}

impl Shown {
    pub(crate) fn of(latest: &Latest, words: &Words) -> Self {
        let Some(last) = latest.observation else { return Self { value: "—".into(), unit: String::new(), more: String::new() } };
        if latest.datastream.property.is_rain() {
            let mut sums = rain_sums(latest, words).into_iter();
            let Some(first) = sums.next() else { return Self { value: "—".into(), unit: String::new(), more: String::new() } };
            let more: Vec<String> = sums.map(|sum| format!("{} {}", sum.value, sum.window)).collect();
            return Self { value: first.value, unit: first.window, more: more.join(" · ") };
        }
        let unit = unit_text(&latest.datastream).to_owned();
        Self { value: value_text(last.result, &latest.datastream, words), unit, more: trend_text(latest, words) }
    }

    /// Both in one text.
    pub(crate) fn whole(&self) -> String {
        format!("{} {}", self.value, self.unit).trim_end().to_owned()
    }
}

/// How old a value is, with its clock time, and when it becomes too old; what the page's script counts on.
pub(crate) struct Age {
    pub(crate) words: String,
    /// Seconds since 1970; 0 where nothing was measured.
    pub(crate) at_s: i64,
    pub(crate) stale_at_s: i64,
    pub(crate) iso: String,
}

impl Age {
    pub(crate) fn of(latest: &Latest, words: &Words) -> Self {
        let at = latest.observation.map(|last| last.phenomenon_time);
        Self {
            words: at.map_or_else(String::new, |at| age_and_time(at, latest.now, words.lang)),
            at_s: at.map_or(0, Timestamp::seconds),
            stale_at_s: latest.stale_at().map_or(0, Timestamp::seconds),
            iso: at.map_or_else(String::new, |at| at.to_string()),
        }
    }
    pub(crate) fn is_some(&self) -> bool {
        self.at_s != 0
    }
}

/// What flows now, in a sentence; nothing where no rating holds, and of a level that is old or can't be trusted.
pub(crate) fn discharge_text(latest: &Latest, words: &Words) -> Option<String> {
    use model::{NoDischarge, number};
    let last = latest.observation.filter(|_| !latest.state.stale)?;
    match latest.datastream.discharge(&last) {
        Ok(found) => {
            let value = found.cubic_metres_per_second;
            let decimals = if value < 10.0 { 2 } else { 1 };
            let beyond = if found.is_extrapolated { format!(" ({})", words.extrapolated) } else { String::new() };
            Some(format!("{}: {} m³/s{beyond}.", words.discharge, number(value, decimals, words.lang)))
        }
        Err(NoDischarge::OutsideRating) => Some(words.outside_rating.to_owned()),
        Err(NoDischarge::NoRating | NoDischarge::UnusableStage) => None,
    }
}

/// The unit behind a value; states have none.
pub(crate) fn unit_text(datastream: &model::Datastream) -> &'static str {
    match datastream.unit() {
        model::Unit::One => "",
        model::Unit::Celsius => "°C",
        model::Unit::WattPerSquareMetre => "W/m²",
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
