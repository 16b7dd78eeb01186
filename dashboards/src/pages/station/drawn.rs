//! What a station's page draws: its chart, the rain over it, and a rain gauge's hours.

use super::super::{Frame, unit_text};
use crate::chart::{COLUMNS, Chart, Rain, Screen};
use model::{Interval, Threshold, Timestamp, local_time_seen_from, number, stale_after};
use store::{Error, Latest, RainBar, View};

/// Rain gauges further away say little about a river.
const RAIN_WITHIN_KM: f64 = 25.0;
const RAIN_BARS: i64 = 96;
/// Bars of a rain gauge's own chart.
const BARS: i64 = 120;
const RAIN_STEPS_S: [i64; 8] = [300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400];

/// One hour of rain.
pub(super) struct Hour {
    pub(super) hour: String,
    pub(super) sum: String,
}

/// The chart for both screens, what its marks mean, and the rain that hangs over a level.
pub(super) struct Drawn {
    pub(super) svg: String,
    pub(super) legend: String,
    pub(super) rain: Vec<RainBar>,
}

pub(super) fn chart(
    view: &View,
    latest: &Latest,
    thresholds: &[&Threshold],
    interval: Interval,
    title: &str,
    frame: &Frame<'_>,
) -> Result<Drawn, Error> {
    let (datastream, words) = (&latest.datastream, frame.words);
    let is_rain = datastream.property.is_rain();
    let seconds = interval.to.seconds() - interval.from.seconds();
    let width = bar_width(seconds / BARS, datastream.period_s);
    let (bars, points) = if is_rain {
        (view.rain_bars(datastream, interval, width)?, Vec::new())
    } else {
        (Vec::new(), view.thinned(datastream, interval, COLUMNS)?)
    };
    let rain = rain(view, latest, interval, frame)?;
    let gap_s = stale_after(datastream.period_s);
    let chart = Chart {
        points: &points,
        bars: &bars,
        interval,
        now: interval.to,
        gap_s: if is_rain { gap_s.max(width) } else { gap_s },
        thresholds,
        rain: rain.as_ref().map(|(bars, title)| Rain { bars, title }),
        is_rain,
        unit: unit_text(datastream),
        title,
        words,
    };
    let legend = match &rain {
        _ if is_rain => format!("{} {}. {}", words.bars, width_words(width), words.bars_legend),
        Some((_, title)) => format!("{} {}{title}.", words.legend, words.rain_of),
        None => words.legend.to_owned(),
    };
    Ok(Drawn { svg: chart.svg(Screen::Wide) + &chart.svg(Screen::Phone), legend, rain: rain.map_or_else(Vec::new, |(bars, _)| bars) })
}

/// A round width for bars of rain, at least `wanted_s` and the gauge's own interval.
fn bar_width(wanted_s: i64, period_s: u32) -> i64 {
    let wanted = wanted_s.max(i64::from(period_s));
    RAIN_STEPS_S.into_iter().find(|step| *step >= wanted).unwrap_or(7 * 86_400)
}

fn width_words(width_s: i64) -> String {
    match (width_s / 3600, width_s % 3600 / 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, _) => format!("{hours} h"),
    }
}

/// What fell near a level: sums of the nearest gauge, and its name with the distance.
fn rain(view: &View, latest: &Latest, interval: Interval, frame: &Frame<'_>) -> Result<Option<(Vec<RainBar>, String)>, Error> {
    if !latest.datastream.property.is_level() {
        return Ok(None);
    }
    let Some((gauge, km)) = view.rain_near(latest.station.place, RAIN_WITHIN_KM) else { return Ok(None) };
    let seconds = interval.to.seconds() - interval.from.seconds();
    let width = bar_width(seconds / RAIN_BARS, gauge.period_s);
    let bars = view.rain_bars(&gauge, interval, width)?;
    let name = view.station(gauge.station.as_str()).map_or_else(String::new, |station| station.name.clone());
    Ok((!bars.is_empty()).then(|| (bars, format!("{name} ({} km, mm/{})", number(km, 0, frame.words.lang), width_words(width)))))
}

/// What fell in each hour of the last day, newest first: single values of a rain gauge tell nobody anything.
pub(super) fn hours(view: &View, latest: &Latest, frame: &Frame<'_>) -> Result<Vec<Hour>, Error> {
    let Some(last) = latest.observation else { return Ok(Vec::new()) };
    let end = last.phenomenon_time;
    let bars = view.rain_bars(&latest.datastream, Interval::new(end.plus_seconds(-24 * 3600), end), 3600)?;
    let clock = |at: Timestamp| format!("{:02}:00", at.in_rome().hour());
    let hour = |bar: &RainBar| {
        let so_far = if bar.end > end { format!(" ({})", frame.words.so_far) } else { String::new() };
        let from = local_time_seen_from(bar.start, latest.now, frame.words.lang);
        Hour { hour: format!("{from}–{}{so_far}", clock(bar.end)), sum: format!("{} mm", number(bar.sum, 1, frame.words.lang)) }
    };
    // The first is cut by the window.
    Ok(bars.iter().rev().filter(|bar| bar.start >= end.plus_seconds(-24 * 3600)).map(hour).collect())
}
