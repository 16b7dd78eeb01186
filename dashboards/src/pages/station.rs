//! `/stazioni/{id}`: one place, from the sentence down to the register.

use super::{Frame, discharge_text, trend_text, unit_text, value_text};
use crate::chart::{COLUMNS, Chart, Rain, Screen, capital};
use crate::look::{Look, quality_word};
use askama::Template;
use model::{Interval, Lang, Station, Threshold, Timestamp, Visibility, age_words, local_time_seen_from, number, sentence, stale_after};
use store::{Bucket, BucketRow, Error, Latest, StationSummary, View};

/// How far back a chart goes: word of the address, seconds, title in both languages.
const RANGES: [(&str, i64, &str, &str); 5] = [
    ("6h", 6 * 3600, "6 ore", "6 hours"),
    ("24h", 24 * 3600, "24 ore", "24 hours"),
    ("7g", 7 * 86_400, "7 giorni", "7 days"),
    ("30g", 30 * 86_400, "30 giorni", "30 days"),
    ("1a", 365 * 86_400, "1 anno", "1 year"),
];
/// Rain gauges further away say little about a river.
const RAIN_WITHIN_KM: f64 = 25.0;
const RAIN_BARS: i64 = 96;
/// Bars of a rain gauge's own chart.
const BARS: i64 = 120;
const RAIN_STEPS_S: [i64; 8] = [300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400];
/// What ended longer ago is a series of the past.
const ENDED_S: i64 = 30 * 86_400;
/// Rows of the table of values.
const ROWS: usize = 24;

/// What the chart that can be zoomed needs to know: seconds since 1970, seconds, and `[[value, label], …]`.
struct Zoom {
    from: i64,
    to: i64,
    period: u32,
    gap: i64,
    thresholds: String,
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
    unit: &'static str,
    look: Look,
    age: String,
}

#[derive(Template)]
#[template(path = "station.html")]
struct Page<'a> {
    frame: &'a Frame<'a>,
    title: String,
    name: String,
    river: String,
    look: Look,
    value: String,
    unit: &'static str,
    said: String,
    discharge: Option<String>,
    is_rated: bool,
    measured: String,
    iso: String,
    age: String,
    age_s: i64,
    limit_s: i64,
    note: Option<String>,
    upstream: Vec<Neighbour>,
    downstream: Option<Neighbour>,
    ranges: Vec<Range>,
    id: String,
    zoom: Option<Zoom>,
    chart: String,
    rain: Option<String>,
    chart_title: &'static str,
    steps: Vec<Step>,
    rows: Vec<Row>,
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
    let (range, seconds, ..) = RANGES.into_iter().find(|(word, ..)| *word == asked_range).unwrap_or(RANGES[1]);
    let title = match &summary.station.river {
        Some(river) => format!("{} {river} {} {}", words.river, words.at, summary.station.name),
        None => summary.station.name.clone(),
    };
    let interval = shown(primary, now, seconds);
    let (chart, rain) = chart(view, primary, &thresholds, interval, &title, frame)?;
    let page = Page {
        frame,
        name: summary.station.name.clone(),
        river: summary.station.river.clone().unwrap_or_default(),
        look: Look::of(primary, words),
        value: primary.observation.map_or_else(|| "—".into(), |last| value_text(last.result, datastream, words)),
        unit: if primary.observation.is_some() { unit_text(datastream) } else { "" },
        said: said(primary, &thresholds, now, frame),
        discharge: discharge_text(primary, words),
        is_rated: !datastream.ratings.is_empty(),
        measured: primary.observation.map_or_else(String::new, |last| local_time_seen_from(last.phenomenon_time, now, lang)),
        iso: primary.observation.map_or_else(String::new, |last| last.phenomenon_time.to_string()),
        age: primary.age_s.map_or_else(String::new, |age| age_words(age, lang)),
        age_s: primary.age_s.unwrap_or(-1),
        limit_s: stale_after(datastream.period_s),
        note: summary.station.note.as_ref().map(|note| note.get(lang).to_owned()),
        upstream: summary.upstream.iter().map(|station| neighbour(view, station, frame)).collect::<Result<_, _>>()?,
        downstream: summary.downstream.as_ref().map(|station| neighbour(view, station, frame)).transpose()?,
        ranges: ranges(frame, id, range),
        id: id.to_owned(),
        zoom: zoom(primary, &thresholds, interval, frame),
        chart,
        rain,
        chart_title: if datastream.property.is_level() { words.hydrograph } else { words.series_title },
        steps: steps(primary, &thresholds, &summary, frame),
        rows: rows(view, primary, frame)?,
        also: summary.datastreams.iter().skip(1).map(|other| also(other, frame)).collect(),
        key: datastream.key.to_string(),
        facts: facts(&summary, primary, now, frame),
        title,
    };
    Ok(Some(page.render().unwrap_or_default()))
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
    let what = latest.datastream.property.title();
    let shown = format!("{} {}", value_text(value, &latest.datastream, frame.words), unit_text(&latest.datastream));
    let age = age_words(now.seconds() - at.seconds(), lang);
    match (latest.state.stale, lang) {
        (false, Lang::It) => format!("{}: {} ({age}).", capital(&what.it), shown.trim()),
        (false, Lang::En) => format!("{}: {} ({age}).", capital(&what.en), shown.trim()),
        (true, Lang::It) => format!("Dato non aggiornato: l'ultimo valore noto di {} è {}, {age}.", what.it, shown.trim()),
        (true, Lang::En) => format!("Not up to date: the last known {} is {}, {age}.", what.en, shown.trim()),
    }
}

fn neighbour(view: &View, station: &Station, frame: &Frame<'_>) -> Result<Neighbour, Error> {
    let words = frame.words;
    let look = |class, shape, word: &str| Look { class, shape, word: word.to_owned(), severity: 0 };
    let primary = view.primary(station)?;
    let primary = primary.as_ref();
    let current = primary.filter(|primary| !primary.state.stale && primary.observation.is_some());
    let value = current.and_then(|primary| Some((primary, primary.observation?)));
    Ok(Neighbour {
        href: frame.station(station.id.as_str()),
        name: station.name.clone(),
        look: primary.map_or_else(|| look("old", "◌", words.no_data), |primary| Look::of(primary, words)),
        value: value.map_or_else(String::new, |(primary, last)| {
            format!("{} {}", value_text(last.result, &primary.datastream, words), unit_text(&primary.datastream))
        }),
        trend: current.map_or_else(String::new, |primary| trend_text(primary, words)),
    })
}

fn ranges(frame: &Frame<'_>, id: &str, current: &str) -> Vec<Range> {
    let range = |(word, _, it, en): (&'static str, i64, &'static str, &'static str)| Range {
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

fn zoom(latest: &Latest, thresholds: &[&Threshold], interval: Interval, frame: &Frame<'_>) -> Option<Zoom> {
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
    })
}

fn chart(
    view: &View,
    latest: &Latest,
    thresholds: &[&Threshold],
    interval: Interval,
    title: &str,
    frame: &Frame<'_>,
) -> Result<(String, Option<String>), Error> {
    let datastream = &latest.datastream;
    let is_rain = datastream.property.is_rain();
    let seconds = interval.to.seconds() - interval.from.seconds();
    let width = (seconds / BARS).max(i64::from(datastream.period_s)).max(1);
    let (rows, points) = if is_rain {
        (view.buckets(datastream, interval, Bucket::Seconds(width), usize::MAX)?, Vec::new())
    } else {
        (Vec::new(), view.thinned(datastream, interval, COLUMNS)?)
    };
    let rain = rain(view, latest, interval, frame)?;
    let chart = Chart {
        points: &points,
        rows: &rows,
        interval,
        now: interval.to,
        gap_s: if is_rain { stale_after(datastream.period_s).max(width) } else { stale_after(datastream.period_s) },
        thresholds,
        rain: rain.as_ref().map(|(rows, title)| Rain { rows, title }),
        is_rain,
        unit: unit_text(datastream),
        title,
        words: frame.words,
    };
    Ok((chart.svg(Screen::Wide) + &chart.svg(Screen::Phone), rain.as_ref().map(|(_, title)| format!("{}{title}.", frame.words.rain_of))))
}

/// What fell near a level: sums of the nearest gauge, and its name with the distance.
fn rain(view: &View, latest: &Latest, interval: Interval, frame: &Frame<'_>) -> Result<Option<(Vec<BucketRow>, String)>, Error> {
    if !latest.datastream.property.is_level() {
        return Ok(None);
    }
    let Some((gauge, km)) = view.rain_near(latest.station.place, RAIN_WITHIN_KM) else { return Ok(None) };
    let seconds = interval.to.seconds() - interval.from.seconds();
    let wanted = (seconds / RAIN_BARS).max(i64::from(gauge.period_s));
    let width = RAIN_STEPS_S.into_iter().find(|step| *step >= wanted).unwrap_or(7 * 86_400);
    let rows = view.buckets(&gauge, interval, Bucket::Seconds(width), usize::MAX)?;
    let name = view.station(gauge.station.as_str()).map_or_else(String::new, |station| station.name.clone());
    let each = match (width / 3600, width % 3600 / 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, _) => format!("{hours} h"),
    };
    Ok((!rows.is_empty()).then(|| (rows, format!("{name} ({} km, mm/{each})", number(km, 0, frame.words.lang)))))
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
    Also {
        title: number_of.map_or_else(|| title.clone(), |number| format!("{title} {number}")),
        value: latest.observation.map_or_else(|| "—".into(), |last| value_text(last.result, &latest.datastream, frame.words)),
        unit: if latest.observation.is_some() { unit_text(&latest.datastream) } else { "" },
        look: Look::of(latest, frame.words),
        age: latest.age_s.map_or_else(String::new, |age| age_words(age, frame.words.lang)),
    }
}

fn facts(summary: &StationSummary, primary: &Latest, now: Timestamp, frame: &Frame<'_>) -> Vec<(&'static str, String)> {
    let (words, station) = (frame.words, &summary.station);
    let lang = words.lang;
    let mut facts = vec![(words.station_id, station.id.to_string()), (words.owner, station.owner.to_string())];
    if let Some(comune) = &station.comune {
        facts.push((words.comune, comune.clone()));
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
