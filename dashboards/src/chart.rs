//! The hydrograph as SVG: threshold bands, a line that never crosses a gap, gaps hatched, an accessible name. A crest survives
//! every width, for each column of pixels keeps the least and the greatest value ([`View::thinned`](store::View::thinned)).

mod rain;
mod scale;

pub(crate) use rain::Rain;

use crate::words::Words;
use model::{Interval, Threshold, Timestamp, number};
use scale::{Scale, hours_between_ticks, tick_label, time_ticks, value_ticks};
use std::fmt::Write;
use store::{RainBar, Thinned};

const HEIGHT: f64 = 400.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
/// Room for the millimetres of the rain.
const RIGHT_OF_RAIN: f64 = 44.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 34.0;

/// Columns of pixels that a chart has for values: into so many parts is thinned what it draws.
pub(crate) const COLUMNS: u32 = 720;
/// A gap that is narrower than a column can't be seen: there the line goes on, and nothing is hatched.
const NARROW: f64 = 1.3;

/// For which screen: the same chart is made for both, and the style sheet shows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Wide,
    Phone,
}

impl Screen {
    const fn width(self) -> f64 {
        match self {
            Self::Wide => 960.0,
            Self::Phone => 440.0,
        }
    }
    /// Class, and what ids on the page begin with.
    const fn word(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Phone => "phone",
        }
    }
    /// Ticks on the axis of time, about.
    const fn ticks(self) -> f64 {
        match self {
            Self::Wide => 8.0,
            Self::Phone => 4.0,
        }
    }
}

/// What is drawn.
pub(crate) struct Chart<'a> {
    /// Of a line.
    pub(crate) points: &'a [Thinned],
    /// Of bars.
    pub(crate) bars: &'a [RainBar],
    pub(crate) interval: Interval,
    pub(crate) now: Timestamp,
    /// Longer without a value is a gap, seconds.
    pub(crate) gap_s: i64,
    pub(crate) thresholds: &'a [&'a Threshold],
    /// What fell near a level, hung from the top of its chart.
    pub(crate) rain: Option<Rain<'a>>,
    /// A rain gauge's own chart: bars stand on the axis.
    pub(crate) is_rain: bool,
    pub(crate) unit: &'a str,
    pub(crate) title: &'a str,
    pub(crate) words: &'a Words,
}

impl Chart<'_> {
    pub(crate) fn svg(&self, screen: Screen) -> String {
        let mut out = String::with_capacity(16 * 1024);
        let (low, high) = self.extent();
        let scale = Scale {
            interval: self.interval,
            low,
            high,
            left: LEFT,
            right: screen.width() - if self.rain.is_some() { RIGHT_OF_RAIN } else { RIGHT },
            top: TOP,
            bottom: HEIGHT - BOTTOM,
        };
        let id = screen.word();
        let _ = write!(
            out,
            "<svg class=\"chart {id}\" viewBox=\"0 0 {} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\
             <defs><pattern id=\"{id}-h\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"8\"/></pattern></defs>",
            screen.width(),
            escape(self.title),
            escape(&self.summary())
        );
        self.bands(&mut out, &scale);
        self.grid(&mut out, &scale, screen);
        self.gaps(&mut out, &scale);
        if let Some(rain) = &self.rain {
            rain.draw(&mut out, &scale, self.words.lang);
        }
        if self.is_rain {
            self.columns(&mut out, &scale)
        } else {
            self.line(&mut out, &scale)
        }
        self.labels(&mut out, &scale);
        out.push_str("</svg>");
        out
    }

    /// The chart in a sentence: what a reader who can't see it needs.
    fn summary(&self) -> String {
        let decimals = if self.unit == "m" { 2 } else { 1 };
        let lang = self.words.lang;
        let Some((least, greatest)) = self.ends() else { return self.words.no_chart.to_owned() };
        if self.is_rain {
            let sum = number(self.bars.iter().map(|bar| bar.sum).sum(), 1, lang);
            return format!("{}: {sum} mm.", self.words.rain);
        }
        let rain = self.rain.as_ref().map_or_else(String::new, |rain| format!(" {}", rain.summary(self.words)));
        let (least, greatest) = (number(least, decimals, lang), number(greatest, decimals, lang));
        format!("{} {least}, {} {greatest} {}.{rain}", capital(self.words.least), self.words.greatest, self.unit)
    }

    /// The least and the greatest that is drawn.
    fn ends(&self) -> Option<(f64, f64)> {
        let of_bars = self.bars.iter().map(|bar| (0.0, bar.sum));
        let of_line = self.points.iter().map(|point| (point.observation.result, point.observation.result));
        of_bars.chain(of_line).reduce(|(least, most), (low, high)| (least.min(low), most.max(high)))
    }

    fn extent(&self) -> (f64, f64) {
        let (lowest, highest) = self.ends().unwrap_or((0.0, 1.0));
        let highest = self.thresholds.iter().map(|threshold| threshold.value).fold(highest, f64::max);
        // From zero where that does not flatten the line.
        let low = if lowest >= 0.0 && lowest < 0.7 * highest { 0.0 } else { lowest - 0.1 * (highest - lowest).max(0.1) };
        // A drizzle does not fill the chart.
        let least = if self.is_rain { 5.0 } else { 0.1 };
        (low, low + (highest - low).max(least) * 1.08)
    }

    fn bands(&self, out: &mut String, scale: &Scale) {
        for (place, threshold) in self.thresholds.iter().enumerate() {
            let top = self.thresholds.get(place + 1).map_or(scale.top, |next| scale.y(next.value));
            let bottom = scale.y(threshold.value);
            let class = if place == 0 { "b1" } else { "b2" };
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                scale.right - scale.left,
                (bottom - top).max(0.0)
            );
        }
    }

    fn grid(&self, out: &mut String, scale: &Scale, screen: Screen) {
        for (value, decimals) in value_ticks(scale.low, scale.high) {
            let y = scale.y(value);
            let _ = write!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>", scale.right);
            let _ = write!(
                out,
                "<text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                number(value, decimals, self.words.lang)
            );
        }
        let step = hours_between_ticks(self.interval, screen.ticks());
        for at in time_ticks(self.interval, step) {
            let x = scale.x(at);
            let _ = write!(out, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>", scale.bottom);
            // A label at the edge would be cut.
            if x > LEFT + 20.0 && x < scale.right - 18.0 {
                let _ = write!(
                    out,
                    "<text class=\"dim\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    HEIGHT - 10.0,
                    tick_label(at, step, self.words.lang)
                );
            }
        }
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
            scale.right, scale.bottom, scale.bottom
        );
    }

    /// Everything longer than the limit without a value, from the start to now.
    fn gaps(&self, out: &mut String, scale: &Scale) {
        let end = self.now.min(self.interval.to);
        let is_long = |from: Timestamp, to: Timestamp| to.seconds() - from.seconds() > self.gap_s;
        let mut known_to = self.interval.from;
        let mut hatch = |from: Timestamp, to: Timestamp| {
            let (from, to) = (scale.x(from), scale.x(to));
            if to - from >= NARROW {
                let _ = write!(
                    out,
                    "<rect class=\"gap\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    to - from,
                    scale.bottom - TOP
                );
            }
        };
        for row in self.bars {
            if is_long(known_to, row.start) {
                hatch(known_to, row.start);
            }
            known_to = known_to.max(row.end);
        }
        for (place, point) in self.points.iter().enumerate() {
            let at = point.observation.phenomenon_time;
            if point.after_gap || place == 0 && is_long(known_to, at) {
                hatch(known_to, at);
            }
            known_to = at;
        }
        if is_long(known_to, end) {
            hatch(known_to, end);
        }
    }

    fn line(&self, out: &mut String, scale: &Scale) {
        let mut path = String::new();
        let x_of = |point: &Thinned| scale.x(point.observation.phenomenon_time);
        let parts = |before: &Thinned, next: &Thinned| next.after_gap && x_of(next) - x_of(before) >= NARROW;
        let mut before: Option<&Thinned> = None;
        for (place, point) in self.points.iter().enumerate() {
            let starts = before.replace(point).is_none_or(|before| parts(before, point));
            let _ = write!(path, "{}{:.1} {:.1}", if starts { "M" } else { "L" }, x_of(point), scale.y(point.observation.result));
            // One alone is a dot.
            if starts && self.points.get(place + 1).is_none_or(|next| parts(point, next)) {
                path.push_str("h0");
            }
        }
        let _ = write!(out, "<path class=\"level\" d=\"{path}\"/>");
    }

    fn columns(&self, out: &mut String, scale: &Scale) {
        for bar in self.bars.iter().filter(|bar| bar.sum > 0.0) {
            let (from, to, y) = (scale.x(bar.start), scale.x(bar.end), scale.y(bar.sum));
            let (width, height) = ((to - from - 0.5).max(1.0), scale.bottom - y);
            let _ = write!(out, "<rect class=\"rain\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>");
        }
    }

    fn labels(&self, out: &mut String, scale: &Scale) {
        for (place, threshold) in self.thresholds.iter().enumerate() {
            let (y, class) = (scale.y(threshold.value), (place + 1).min(3));
            let label = escape(&format!(
                "{} · {} {}",
                capital(threshold.label.get(self.words.lang)),
                number(threshold.value, 2, self.words.lang),
                self.unit
            ));
            let _ = write!(
                out,
                "<line class=\"l{class}\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"x{class}\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                scale.right,
                LEFT + 8.0,
                y - 6.0
            );
        }
        if self.interval.contains(self.now) {
            let x = scale.x(self.now);
            let _ = write!(out, "<line class=\"now\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>", scale.bottom);
        }
    }
}

/// The first letter large.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DatastreamId, Lang, Observation, Quality, Text, Validity};

    const FROM_S: i64 = 1_795_400_000;

    fn point(minute: i64, value: f64) -> Thinned {
        let at = Timestamp::from_seconds(FROM_S + minute * 60);
        let observation =
            Observation { datastream: DatastreamId(0), phenomenon_time: at, received_at: at, result: value, quality: Quality::GOOD };
        Thinned { observation, after_gap: false }
    }

    fn svg(points: &[Thinned], title: &str) -> String {
        let from = Timestamp::from_seconds(FROM_S);
        let threshold = Threshold { value: 2.0, label: Text::new("soglia <1>", "threshold"), meaning: None, validity: Validity::default() };
        let thresholds = [&threshold];
        let interval = Interval::new(from, from.plus_seconds(7200));
        let chart = Chart {
            points,
            bars: &[],
            interval,
            now: interval.to,
            gap_s: 180,
            thresholds: &thresholds,
            rain: None,
            is_rain: false,
            unit: "m",
            title,
            words: Words::of(Lang::It),
        };
        chart.svg(Screen::Wide)
    }

    fn path(drawn: &str) -> &str {
        let path = drawn.split("class=\"level\" d=\"").nth(1).expect("a line");
        path.split('"').next().expect("its path")
    }

    #[test]
    fn the_line_is_broken_at_a_gap_and_the_gap_is_hatched() {
        let mut points: Vec<Thinned> = (0..30).chain(60..120).map(|minute| point(minute, 1.0)).collect();
        points[30].after_gap = true;
        let drawn = svg(&points, "x");
        assert_eq!(path(&drawn).matches('M').count(), 2);
        assert_eq!(drawn.matches("class=\"gap\"").count(), 1);
    }

    #[test]
    fn one_alone_between_gaps_is_still_drawn() {
        let mut points: Vec<Thinned> = [0, 1, 60, 118, 119].map(|minute| point(minute, 1.0)).into();
        (points[2].after_gap, points[3].after_gap) = (true, true);
        let drawn = svg(&points, "x");
        assert_eq!((path(&drawn).matches('M').count(), path(&drawn).matches("h0").count()), (3, 1));
        assert_eq!(drawn.matches("class=\"gap\"").count(), 2);
    }

    #[test]
    fn a_gap_that_is_narrower_than_a_column_does_not_tear_the_line() {
        let mut points: Vec<Thinned> = (0..4).map(|minute| point(minute, 1.0)).collect();
        points[2].observation.phenomenon_time = points[1].observation.phenomenon_time.plus_seconds(5);
        points[2].after_gap = true;
        let drawn = svg(&points, "x");
        assert_eq!(path(&drawn).matches('M').count(), 1);
        assert_eq!(drawn.matches("class=\"gap\"").count(), 1, "only what is after the last");
    }

    #[test]
    fn a_crest_of_one_column_reaches_its_height() {
        let mut points: Vec<Thinned> = (0..120).map(|minute| point(minute, 1.0)).collect();
        points[50].observation.result = 1.9;
        let top_of = |drawn: &str| {
            path(drawn)
                .split(|letter: char| letter.is_alphabetic())
                .filter_map(|part| part.split(' ').next_back()?.parse::<f64>().ok())
                .fold(f64::INFINITY, f64::min)
        };
        let (crest, flat) = (top_of(&svg(&points, "x")), top_of(&svg(&points[..40], "x")));
        assert!(crest < flat - 100.0, "{crest} {flat}");
    }

    #[test]
    fn nothing_measured_is_hatched_all_over_and_names_are_inert() {
        let drawn = svg(&[], "<script>alert(1)</script>");
        assert!(drawn.contains("class=\"gap\"") && !drawn.contains("<script>"));
        assert!(!drawn.contains("soglia <1>"));
    }
}
