//! `/livelli`: every level in one table, in the order that engineers know.

use super::{Age, Frame, trend_text, value_text};
use crate::look::Look;
use crate::spark;
use askama::Template;
use model::{Lang, number};
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use store::{Error, LevelRow, View};

/// By what the table may be ordered: word of the address, title in both languages.
const ORDERS: [(&str, &str, &str); 5] = [
    ("stato", "gravità", "severity"),
    ("fiume", "corso d'acqua", "river"),
    ("stazione", "stazione", "station"),
    ("livello", "livello", "level"),
    ("crescita", "velocità di crescita", "rate of rise"),
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
    /// The one rate of rise, with its unit.
    rate: String,
    changes: [String; 3],
    thresholds: [String; 2],
    /// The threshold that it is near, from 1; 0 without one.
    near: u8,
    age: Age,
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

/// A level and how it looks.
struct Shown<'a> {
    row: &'a LevelRow,
    look: Look,
}

/// # Errors
/// The store's.
pub(crate) fn render(view: &View, frame: &Frame<'_>, asked: &Asked) -> Result<String, Error> {
    let rows = view.levels()?;
    let (mut rivers, mut of_station) = (BTreeSet::new(), HashMap::new());
    for row in &rows {
        rivers.extend(row.latest.station.river.as_deref());
        *of_station.entry(&row.latest.station.id).or_insert(0_usize) += 1;
    }
    let mut shown: Vec<Shown<'_>> = rows.iter().map(|row| Shown { row, look: Look::of(&row.latest, frame.words) }).collect();
    let count = |is: fn(&Look) -> bool| shown.iter().filter(|shown| is(&shown.look)).count();
    let said = said(rows.len(), count(Look::is_alarming), count(Look::is_near), count(Look::is_unknown), frame.words.lang);
    let (order, ..) = ORDERS.into_iter().find(|(word, ..)| *word == asked.order).unwrap_or(ORDERS[0]);
    shown.retain(|shown| asked.river.is_empty() || shown.row.latest.station.river.as_deref() == Some(asked.river.as_str()));
    shown.sort_by(|one, other| compare(order, one, other).then_with(|| names(one.row).cmp(&names(other.row))));
    let shares_station = |row: &LevelRow| of_station.get(&row.latest.station.id).is_some_and(|levels| *levels > 1);
    let lines = shown.into_iter().map(|shown| line(shown.row, shown.look, shares_station(shown.row), frame)).collect();
    let orders = ORDERS.into_iter().map(|(word, it, en)| Order {
        href: frame.to(&format!("/livelli?ordina={word}{}", river_query(&asked.river))),
        title: if frame.words.lang == Lang::It { it } else { en },
        current: word == order,
    });
    let orders = orders.collect();
    let rivers = rivers.into_iter().map(|river| (river.to_owned(), river == asked.river)).collect();
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

fn compare(order: &str, one: &Shown<'_>, other: &Shown<'_>) -> Ordering {
    let current = |shown: &Shown<'_>| shown.row.latest.observation.filter(|_| !shown.row.latest.state.stale).map(|last| last.result);
    let rise = |shown: &Shown<'_>| shown.row.latest.state.rise_per_hour.filter(|_| !shown.row.latest.state.stale);
    match order {
        "fiume" => Ordering::Equal,
        "stazione" => one.row.latest.station.name.cmp(&other.row.latest.station.name),
        "livello" => descending(current(one), current(other)),
        "crescita" => descending(rise(one), rise(other)),
        _ => one.look.severity.cmp(&other.look.severity),
    }
}

fn line(row: &LevelRow, look: Look, shares_station: bool, frame: &Frame<'_>) -> Line {
    let (latest, words) = (&row.latest, frame.words);
    let lang = words.lang;
    let thresholds = latest.datastream.thresholds_at(latest.now);
    let threshold = |place: usize| thresholds.get(place).map_or_else(String::new, |threshold| number(threshold.value, 2, lang));
    let change = |change: Option<f64>| match change.filter(|_| !latest.state.stale) {
        Some(metres) if metres.abs() < 0.005 => "0".to_owned(),
        Some(metres) if metres > 0.0 => format!("+{}", number(metres * 100.0, 0, lang)),
        Some(metres) => number(metres * 100.0, 0, lang),
        None => String::new(),
    };
    Line {
        station: latest.station.id.to_string(),
        key: latest.datastream.key.to_string(),
        name: latest.station.name.clone(),
        what: if shares_station { latest.datastream.property.title().get(lang).to_owned() } else { String::new() },
        river: latest.station.river.clone().unwrap_or_default(),
        look,
        level: latest.state.level.word(),
        value: latest.observation.map_or_else(|| "—".to_owned(), |last| value_text(last.result, &latest.datastream, words)),
        rate: trend_text(latest, words),
        changes: row.changes.map(change),
        thresholds: [threshold(0), threshold(1)],
        near: latest.approach().map_or(0, |near| near.threshold),
        age: Age::of(latest, words),
        spark: spark::svg(&row.day),
    }
}

fn said(all: usize, over: usize, near: usize, old: usize, lang: Lang) -> String {
    match lang {
        Lang::It => {
            let near_word = if near == 1 { "vicino" } else { "vicini" };
            format!("{all} livelli: {over} oltre una soglia, {near} {near_word} a una soglia, {old} senza dati aggiornati.")
        }
        Lang::En => format!("{all} levels: {over} over a threshold, {near} near a threshold, {old} without current data."),
    }
}
