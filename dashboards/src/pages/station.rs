//! `/stazioni/{id}`: one place, from the sentence down to the register.

mod drawn;

use self::drawn::{Hour, chart, hours};
use super::home::comune_name;
use super::{Age, Frame, Shown, Sum, discharge_text, rain_sums, trend_text, unit_text, value_text};
use crate::chart::capital;
use crate::look::{ENDED_S, Look, quality_word};
use askama::Template;
use model::{
    Comune, Interval, Lang, Station, Threshold, Timestamp, Visibility, age_and_time, local_time_seen_from, number, rain_sentence, sentence,
    stale_after,
};
use store::{Error, Latest, RainBar, StationSummary, View};

/// How far back a chart goes: word of the address, seconds, as an ISO 8601 duration, title in both languages.
const RANGES: [(&str, i64, &str, &str, &str); 5] = [
    ("6h", 6 * 3600, "PT6H", "6 ore", "6 hours"),
    ("24h", 24 * 3600, "PT24H", "24 ore", "24 hours"),
    ("7g", 7 * 86_400, "P7D", "7 giorni", "7 days"),
    ("30g", 30 * 86_400, "P30D", "30 giorni", "30 days"),
    ("1a", 365 * 86_400, "P365D", "1 anno", "1 year"),
];
/// Rows of the table of values.
const ROWS: usize = 24;

/// What the chart that can be zoomed needs to know: seconds since 1970, seconds, and `[[value, label], …]`.
struct Zoom {
    from: i64,
    to: i64,
    period: u32,
    gap: i64,
    thresholds: String,
    /// What fell nearby: `[[start, end, millimetres], …]`; `[]` without a gauge.
    rain: String,
}

struct Range {
    href: String,
    title: &'static str,
    current: bool,
}

/// The next gauge up or down the river, and how the water stands there.
struct Neighbour {
    href: String,
    name: String,
    look: Look,
    value: String,
    trend: String,
    /// Seconds since 1970 at which it becomes stale; 0 where nothing is current.
    stale_at_s: i64,
}

/// One level in words.
struct Step {
    label: String,
    value: String,
    meaning: String,
    since: String,
    current: bool,
}

struct Row {
    time: String,
    iso: String,
    value: String,
    quality: &'static str,
}

/// Another datastream of the station.
struct Also {
    title: String,
    value: String,
    look: Look,
    age: Age,
}

/// Where the measurements of the period shown can be taken from.
struct Download {
    href: String,
    word: &'static str,
    /// Opened in the browser, not saved.
    is_open: bool,
}

#[derive(Template)]
#[template(path = "station.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    title: String,
    name: String,
    river: String,
    look: Look,
    shown: Shown,
    unit: &'static str,
    /// Of a rain gauge, all its windows.
    sums: Vec<Sum>,
    said: String,
    discharge: Option<String>,
    age: Age,
    owner: String,
    note: Option<String>,
    upstream: Vec<Neighbour>,
    downstream: Option<Neighbour>,
    ranges: Vec<Range>,
    id: String,
    zoom: Option<Zoom>,
    chart: String,
    legend: String,
    chart_title: &'static str,
    downloads: Vec<Download>,
    flows: Vec<Download>,
    cite: String,
    steps: Vec<Step>,
    rows: Vec<Row>,
    hours: Vec<Hour>,
    also: Vec<Also>,
    key: String,
    facts: Vec<(&'static str, String)>,
}

/// The page, or `None` where there is no such station for this reader.
///
/// # Errors
/// The store's.
pub(crate) fn render(view: &View, frame: &Frame<'_>, id: &str, asked_range: &str) -> Result<Option<String>, Error> {
    let Some(summary) = view.summary(id)? else { return Ok(None) };
    let Some(primary) = summary.datastreams.first() else { return Ok(None) };
    let (words, now) = (frame.words, view.now());
    let lang = words.lang;
    let datastream = &primary.datastream;
    let thresholds = datastream.thresholds_at(now);
    let (range, seconds, period, ..) = RANGES.into_iter().find(|(word, ..)| *word == asked_range).unwrap_or(RANGES[1]);
    let title = title(&summary.station, lang);
    let interval = shown(primary, now, seconds);
    let drawn = chart(view, primary, &thresholds, interval, &title, frame)?;
    let owner = view.owner(datastream).map_or_else(|| datastream.owner.to_string(), |owner| owner.name.get(lang).to_owned());
    let is_rain = datastream.property.is_rain();
    let span = span(interval, now, period, frame);
    let page = Page {
        frame,
        name: summary.station.name.clone(),
        river: summary.station.river.clone().unwrap_or_default(),
        look: Look::of(primary, words),
        shown: Shown::of(primary, words),
        unit: if primary.observation.is_some() { unit_text(datastream) } else { "" },
        sums: rain_sums(primary, words),
        said: said(primary, &thresholds, now, frame),
        discharge: discharge_text(primary, words),
        age: Age::of(primary, words),
        note: summary.station.note.as_ref().map(|note| note.get(lang).to_owned()),
        upstream: summary.upstream.iter().map(|station| neighbour(view, station, frame)).collect::<Result<_, _>>()?,
        downstream: summary.downstream.as_ref().map(|station| neighbour(view, station, frame)).transpose()?,
        ranges: ranges(frame, id, range),
        id: id.to_owned(),
        zoom: zoom(primary, &thresholds, interval, &drawn.rain, frame),
        chart: drawn.svg,
        legend: drawn.legend,
        chart_title: match datastream.property {
            level if level.is_level() => words.hydrograph,
            rain if rain.is_rain() => words.rain,
            _ => words.series_title,
        },
        downloads: downloads(datastream.key.as_str(), "observations", &span, true),
        flows: if datastream.ratings.is_empty() { Vec::new() } else { downloads(datastream.key.as_str(), "discharge", &span, false) },
        cite: cite(&owner, &title, frame),
        steps: steps(primary, &thresholds, &summary, frame),
        rows: if is_rain { Vec::new() } else { rows(view, primary, frame)? },
        hours: if is_rain { hours(view, primary, frame)? } else { Vec::new() },
        also: summary.datastreams.iter().skip(1).map(|other| also(other, frame)).collect(),
        key: datastream.key.to_string(),
        facts: facts(&summary, primary, &owner, now, frame),
        owner,
        title,
    };
    Ok(Some(page.render().unwrap_or_default()))
}

/// «Bisenzio a Prato»: whether it is a river, a stream or a canal only the network file can say.
fn title(station: &Station, lang: Lang) -> String {
    let Some(river) = station.river.as_ref().filter(|river| !station.name.starts_with(river.as_str())) else { return station.name.clone() };
    let at = match lang {
        Lang::It if station.name.starts_with(['A', 'a']) => "ad",
        Lang::It => "a",
        Lang::En => "at",
    };
    format!("{river} {at} {}", station.name)
}

/// The period shown as a query of the API: up to now whenever the link is followed, or as it was for a series that has ended.
fn span(interval: Interval, now: Timestamp, period: &str, frame: &Frame<'_>) -> String {
    let as_of = frame.as_of();
    if interval.to < now { format!("from={}&to={}{as_of}", interval.from, interval.to) } else { format!("period={period}{as_of}") }
}

fn downloads(key: &str, what: &str, span: &str, with_json: bool) -> Vec<Download> {
    let download =
        |format: &str, word, is_open| Download { href: format!("/api/v1/datastreams/{key}/{what}?{format}{span}"), word, is_open };
    let mut found = vec![download("f=csv&", "CSV", false), download("f=csv&csv=it&", "CSV (;)", false)];
    if with_json {
        found.push(download("", "JSON", true));
    }
    found
}

/// Whose these data are, as whoever uses them names them.
fn cite(owner: &str, title: &str, frame: &Frame<'_>) -> String {
    let (words, made) = (frame.words, frame.made_words());
    let day = made.split(' ').next().unwrap_or_default();
    format!("{owner}, {title}, {}. {}. {}, {} {day}.", frame.site(), words.raw, "CC BY 4.0", words.consulted)
}

fn said(latest: &Latest, thresholds: &[&Threshold], now: Timestamp, frame: &Frame<'_>) -> String {
    let lang = frame.words.lang;
    if latest.datastream.property.is_level() {
        let last = latest.observation.map(|last| (last.result, last.phenomenon_time, last.quality));
        return sentence(last, &latest.state, thresholds, now, lang);
    }
    let Some((value, at)) = latest.observation.map(|last| (last.result, last.phenomenon_time)) else {
        return frame.words.nothing_yet.to_owned();
    };
    if let Some(rain) = latest.rain.as_ref().and_then(|rain| rain_sentence(rain, latest.state.stale, now, lang)) {
        return rain;
    }
    let what = latest.datastream.property.title();
    let shown = format!("{} {}", value_text(value, &latest.datastream, frame.words), unit_text(&latest.datastream));
    let age = age_and_time(at, now, lang);
    match (latest.state.stale, lang) {
        (false, Lang::It) => format!("{}: {} ({age}).", capital(&what.it), shown.trim()),
        (false, Lang::En) => format!("{}: {} ({age}).", capital(&what.en), shown.trim()),
        (true, Lang::It) => format!("Dato non aggiornato: l'ultimo valore noto di {} è {}, {age}.", what.it, shown.trim()),
        (true, Lang::En) => format!("Not up to date: the last known {} is {}, {age}.", what.en, shown.trim()),
    }
}

fn neighbour(view: &View, station: &Station, frame: &Frame<'_>) -> Result<Neighbour, Error> {
    let words = frame.words;
    let primary = view.primary(station)?;
    let primary = primary.as_ref();
    let current = primary.filter(|primary| !primary.state.stale && primary.observation.is_some());
    Ok(Neighbour {
        href: frame.station(station.id.as_str()),
        name: station.name.clone(),
        look: primary.map_or_else(|| Look::no_data(words), |primary| Look::of(primary, words)),
        value: current.map_or_else(String::new, |primary| Shown::of(primary, words).whole()),
        trend: current.map_or_else(String::new, |primary| trend_text(primary, words)),
        stale_at_s: current.and_then(Latest::stale_at).map_or(0, Timestamp::seconds),
    })
}

fn ranges(frame: &Frame<'_>, id: &str, current: &str) -> Vec<Range> {
    let range = |(word, _, _, it, en): (&'static str, i64, &'static str, &'static str, &'static str)| Range {
        href: frame.to(&format!("/stazioni/{id}?periodo={word}")),
        title: if frame.words.lang == Lang::It { it } else { en },
        current: word == current,
    };
    RANGES.into_iter().map(range).collect()
}

/// A series that ended long ago is shown around its end.
fn shown(latest: &Latest, now: Timestamp, seconds: i64) -> Interval {
    let end = match latest.observation {
        Some(last) if last.phenomenon_time < now.plus_seconds(-ENDED_S) => last.phenomenon_time.plus_seconds(1),
        _ => now,
    };
    Interval::new(end.plus_seconds(-seconds), end)
}

fn zoom(latest: &Latest, thresholds: &[&Threshold], interval: Interval, rain: &[RainBar], frame: &Frame<'_>) -> Option<Zoom> {
    let datastream = &latest.datastream;
    if frame.assets.chart.is_empty() || latest.observation.is_none() || !datastream.property.is_level() {
        return None;
    }
    let lines: Vec<_> = thresholds.iter().map(|threshold| (threshold.value, capital(threshold.label.get(frame.words.lang)))).collect();
    Some(Zoom {
        from: interval.from.seconds(),
        to: interval.to.seconds(),
        period: datastream.period_s.max(1),
        gap: stale_after(datastream.period_s),
        thresholds: serde_json::to_string(&lines).unwrap_or_else(|_| "[]".to_owned()),
        rain: {
            let bars = rain.iter().filter(|bar| bar.sum > 0.0);
            let bars: Vec<_> = bars.map(|bar| (bar.start.seconds(), bar.end.seconds(), (bar.sum * 100.0).round() / 100.0)).collect();
            serde_json::to_string(&bars).unwrap_or_else(|_| "[]".to_owned())
        },
    })
}

/// The levels in words, highest first, with the one where the water stands now marked.
fn steps(latest: &Latest, thresholds: &[&Threshold], summary: &StationSummary, frame: &Frame<'_>) -> Vec<Step> {
    let words = frame.words;
    let lang = words.lang;
    let zero = latest.observation.and_then(|last| summary.station.zero_at(last.phenomenon_time));
    let over = match latest.state.level {
        model::Level::Over(k) => Some(usize::from(k)),
        model::Level::Below => Some(0),
        model::Level::Unknown => None,
    };
    let step = |(place, threshold): (usize, &&Threshold)| {
        let sea = zero.map_or_else(String::new, |zero| {
            format!(" ({} {})", number(zero.metres_above_sea + threshold.value, 2, lang), words.above_sea)
        });
        Step {
            label: capital(threshold.label.get(lang)),
            value: format!("{} {} {}{sea}", words.from_up, number(threshold.value, 2, lang), unit_text(&latest.datastream)),
            meaning: threshold.meaning.as_ref().map_or_else(String::new, |meaning| meaning.get(lang).to_owned()),
            since: threshold.validity.from.map_or_else(String::new, |from| {
                let day = model::civil_day(from);
                format!("{} {:02}/{:02}/{}", words.in_force_since, day.day(), day.month(), day.year())
            }),
            current: over == Some(place + 1),
        }
    };
    let mut steps: Vec<Step> = thresholds.iter().enumerate().map(step).collect();
    if !steps.is_empty() {
        steps.insert(
            0,
            Step {
                label: words.normal.to_owned(),
                value: String::new(),
                meaning: String::new(),
                since: String::new(),
                current: over == Some(0),
            },
        );
    }
    steps.reverse();
    steps
}

fn rows(view: &View, latest: &Latest, frame: &Frame<'_>) -> Result<Vec<Row>, Error> {
    let found = view.observations_before(&latest.datastream, Timestamp::MAX, ROWS)?;
    let row = |observation: &model::Observation| {
        let local = observation.phenomenon_time.in_rome();
        Row {
            time: format!("{}:{:02}", local_time_seen_from(observation.phenomenon_time, view.now(), frame.words.lang), local.second()),
            iso: observation.phenomenon_time.to_string(),
            value: format!("{} {}", value_text(observation.result, &latest.datastream, frame.words), unit_text(&latest.datastream)),
            quality: quality_word(observation.quality.flag(), frame.words.lang),
        }
    };
    Ok(found.iter().rev().map(row).collect())
}

fn also(latest: &Latest, frame: &Frame<'_>) -> Also {
    let title = latest.datastream.property.title();
    let number_of = latest.datastream.key.as_str().rsplit('-').next().filter(|part| part.parse::<u8>().is_ok());
    let title = capital(title.get(frame.words.lang));
    let shown = Shown::of(latest, frame.words);
    let more = if latest.datastream.property.is_rain() && !shown.more.is_empty() { format!(" · {}", shown.more) } else { String::new() };
    Also {
        title: number_of.map_or_else(|| title.clone(), |number| format!("{title} {number}")),
        value: shown.whole() + &more,
        look: Look::of(latest, frame.words),
        age: Age::of(latest, frame.words),
    }
}

fn facts(summary: &StationSummary, primary: &Latest, owner: &str, now: Timestamp, frame: &Frame<'_>) -> Vec<(&'static str, String)> {
    let (words, station) = (frame.words, &summary.station);
    let lang = words.lang;
    let mut facts = vec![(words.station_id, station.id.to_string()), (words.owner, owner.to_owned())];
    if let Some(code) = &station.comune {
        let name = comune_name(Some(code));
        let province = Comune::of_code(code).map_or("", |comune| comune.province);
        facts.push((words.comune, if name.is_empty() { format!("ISTAT {code}") } else { format!("{name} ({province}) · ISTAT {code}") }));
    }
    facts.push((words.place, format!("{}, {}", number(station.place.latitude, 4, lang), number(station.place.longitude, 4, lang))));
    if let Some(zero) = station.zero_at(now) {
        facts.push((words.zero, format!("{} {} · {}", number(zero.metres_above_sea, 2, lang), words.above_sea, zero.datum)));
    }
    if let Some(rating) = primary.datastream.rating_at(now)
        && let (Some(lowest), Some(highest)) = (rating.segments().first(), rating.segments().last())
    {
        let source = rating.source.as_ref().map_or_else(String::new, |source| format!(" · {source}"));
        let stages = format!("{}–{} m", number(lowest.from_m, 2, lang), number(highest.to_m, 2, lang));
        facts.push((words.rating, stages + &source));
    }
    let seconds = primary.datastream.period_s;
    facts.push((words.period, if seconds.is_multiple_of(60) { format!("{} min", seconds / 60) } else { format!("{seconds} s") }));
    let visibility = match (&primary.datastream.visibility, lang) {
        (Visibility::Public, Lang::It) => "pubblica",
        (Visibility::Public, Lang::En) => "public",
        (_, Lang::It) => "riservata",
        (_, Lang::En) => "restricted",
    };
    facts.push((if lang == Lang::It { "Visibilità" } else { "Visibility" }, visibility.to_owned()));
    facts
}
