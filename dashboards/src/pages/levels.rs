//! `/livelli`: every level in one table, in the order that engineers know.

use super::{Frame, value_text};
use crate::look::Look;
use crate::spark;
use askama::Template;
use model::{Lang, age_words, number, stale_after};
use std::cmp::Ordering;
use store::{Error, LevelRow, View};

/// By what the table may be ordered: word of the address, title in both languages.
const ORDERS: [(&str, &str, &str); 5] = [
    ("stato", "gravità", "severity"),
    ("fiume", "corso d'acqua", "river"),
    ("stazione", "stazione", "station"),
    ("livello", "livello", "level"),
    ("crescita", "crescita in 1 h", "rise in 1 h"),
];

/// One level.
struct Line {
    station: String,
    key: String,
    name: String,
    /// What is measured, where the station has more levels than one.
    what: String,
    river: String,
    look: Look,
    level: String,
    value: String,
    changes: [String; 3],
    thresholds: [String; 2],
    time: String,
    age: String,
    age_s: i64,
    limit_s: i64,
    spark: String,
}

struct Order {
    href: String,
    title: &'static str,
    current: bool,
}

#[derive(Template)]
#[template(path = "levels.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    said: String,
    orders: Vec<Order>,
    order: &'static str,
    rivers: Vec<(String, bool)>,
    lines: Vec<Line>,
}

/// What is asked of the table.
pub(crate) struct Asked {
    pub(crate) order: String,
    pub(crate) river: String,
}

/// # Errors
/// The store's.
pub(crate) fn render(view: &View, frame: &Frame<'_>, asked: &Asked) -> Result<String, Error> {
    let mut rows = view.levels()?;
    let mut rivers: Vec<String> = rows.iter().filter_map(|row| row.latest.station.river.clone()).collect();
    rivers.sort();
    rivers.dedup();
    let is_over = |row: &LevelRow| Look::of(&row.latest, frame.words).is_alarming();
    let (over, old) = (rows.iter().filter(|row| is_over(row)).count(), rows.iter().filter(|row| row.latest.state.stale).count());
    let said = said(rows.len(), over, old, frame.words.lang);
    let (order, ..) = ORDERS.into_iter().find(|(word, ..)| *word == asked.order).unwrap_or(ORDERS[0]);
    rows.retain(|row| asked.river.is_empty() || row.latest.station.river.as_deref() == Some(asked.river.as_str()));
    rows.sort_by(|one, other| compare(order, one, other, frame).then_with(|| names(one).cmp(&names(other))));
    let lines = rows.iter().map(|row| line(row, &rows, frame)).collect();
    let orders = ORDERS.into_iter().map(|(word, it, en)| Order {
        href: frame.to(&format!("/livelli?ordina={word}{}", river_query(&asked.river))),
        title: if frame.words.lang == Lang::It { it } else { en },
        current: word == order,
    });
    let orders = orders.collect();
    let rivers = rivers.into_iter().map(|river| (river.clone(), river == asked.river)).collect();
    Ok(Page { frame, said, orders, order, rivers, lines }.render().unwrap_or_default())
}

fn river_query(river: &str) -> String {
    if river.is_empty() { String::new() } else { format!("&fiume={}", super::in_query(river)) }
}

fn names(row: &LevelRow) -> (&str, &str, &str) {
    let station = &row.latest.station;
    (station.river.as_deref().unwrap_or("~"), station.name.as_str(), row.latest.datastream.key.as_str())
}

/// What has no number comes last.
fn descending(one: Option<f64>, other: Option<f64>) -> Ordering {
    other.unwrap_or(f64::NEG_INFINITY).total_cmp(&one.unwrap_or(f64::NEG_INFINITY))
}

fn compare(order: &str, one: &LevelRow, other: &LevelRow, frame: &Frame<'_>) -> Ordering {
    let current = |row: &LevelRow| row.latest.observation.filter(|_| !row.latest.state.stale).map(|last| last.result);
    let severity = |row: &LevelRow| Look::of(&row.latest, frame.words).severity;
    match order {
        "fiume" => Ordering::Equal,
        "stazione" => one.latest.station.name.cmp(&other.latest.station.name),
        "livello" => descending(current(one), current(other)),
        "crescita" => {
            descending(one.changes[0].filter(|_| !one.latest.state.stale), other.changes[0].filter(|_| !other.latest.state.stale))
        }
        _ => severity(one).cmp(&severity(other)),
    }
}

fn line(row: &LevelRow, rows: &[LevelRow], frame: &Frame<'_>) -> Line {
    let (latest, words) = (&row.latest, frame.words);
    let lang = words.lang;
    let shares_station = rows.iter().filter(|other| other.latest.station.id == latest.station.id).count() > 1;
    let thresholds = latest.datastream.thresholds_at(latest.observation.map_or(model::Timestamp::MAX, |last| last.phenomenon_time));
    let threshold = |place: usize| thresholds.get(place).map_or_else(String::new, |threshold| number(threshold.value, 2, lang));
    let change = |change: Option<f64>| match change.filter(|_| !latest.state.stale) {
        Some(metres) if metres.abs() < 0.005 => "0".to_owned(),
        Some(metres) if metres > 0.0 => format!("+{}", number(metres * 100.0, 0, lang)),
        Some(metres) => number(metres * 100.0, 0, lang),
        None => String::new(),
    };
    let time = latest.observation.map_or_else(String::new, |last| {
        let local = last.phenomenon_time.in_rome();
        format!("{:02}:{:02}", local.hour(), local.minute())
    });
    Line {
        station: latest.station.id.to_string(),
        key: latest.datastream.key.to_string(),
        name: latest.station.name.clone(),
        what: if shares_station { latest.datastream.property.title().get(lang).to_owned() } else { String::new() },
        river: latest.station.river.clone().unwrap_or_default(),
        look: Look::of(latest, words),
        level: latest.state.level.word(),
        value: latest.observation.map_or_else(|| "—".to_owned(), |last| value_text(last.result, &latest.datastream, words)),
        changes: row.changes.map(change),
        thresholds: [threshold(0), threshold(1)],
        time,
        age: latest.age_s.map_or_else(String::new, |age| age_words(age, lang)),
        age_s: latest.age_s.unwrap_or(-1),
        limit_s: stale_after(latest.datastream.period_s),
        spark: spark::svg(&row.day),
    }
}

fn said(all: usize, over: usize, old: usize, lang: Lang) -> String {
    match lang {
        Lang::It => format!("{all} livelli: {over} oltre una soglia, {old} senza dati aggiornati."),
        Lang::En => format!("{all} levels: {over} over a threshold, {old} without current data."),
    }
}
