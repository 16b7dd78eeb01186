//! The hydrograph as SVG: threshold bands, a line that never crosses a gap, gaps hatched, an accessible name. A crest survives
//! every width, for each column of pixels keeps the least and the greatest value.

mod rain;
mod scale;

pub(crate) use rain::Rain;

use crate::words::Words;
use model::{Interval, Lang, Threshold, Timestamp, number};
use scale::{Scale, hours_between_ticks, tick_label, time_ticks, value_ticks};
use std::fmt::Write;
use store::BucketRow;

const HEIGHT: f64 = 400.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
/// Room for the millimetres of the rain.
const RIGHT_OF_RAIN: f64 = 44.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 34.0;

/// Columns of pixels that a chart has for values: ask for no more buckets than this.
pub(crate) const COLUMNS: i64 = 720;

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
    pub(crate) rows: &'a [BucketRow],
    pub(crate) interval: Interval,
    pub(crate) now: Timestamp,
    /// Longer without a value is a gap, seconds.
    pub(crate) gap_s: i64,
    pub(crate) thresholds: &'a [&'a Threshold],
    /// What fell near a level, hung from the top of its chart.
    pub(crate) rain: Option<Rain<'a>>,
    /// Sums hang from the top, as rain does.
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
            self.bars(&mut out, &scale)
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
        let values = self.rows.iter().map(|row| if self.is_rain { row.sum } else { row.max });
        let Some(greatest) = values.fold(None, |most: Option<f64>, value| Some(most.map_or(value, |most| most.max(value)))) else {
            return self.words.no_chart.to_owned();
        };
        let least = self.rows.iter().map(|row| row.min).fold(f64::INFINITY, f64::min);
        let rain = self.rain.as_ref().map_or_else(String::new, |rain| format!(" {}", rain.summary(self.words)));
        let (least, greatest) = (number(least, decimals, lang), number(greatest, decimals, lang));
        match lang {
            Lang::It => format!("Minimo {least}, massimo {greatest} {}.{rain}", self.unit),
            Lang::En => format!("Minimum {least}, maximum {greatest} {}.{rain}", self.unit),
        }
    }

    fn extent(&self) -> (f64, f64) {
        let lowest = self.rows.iter().map(|row| row.min).fold(f64::INFINITY, f64::min);
        let highest = self.rows.iter().map(|row| if self.is_rain { row.sum } else { row.max }).fold(f64::NEG_INFINITY, f64::max);
        let (lowest, highest) = if lowest.is_finite() { (lowest, highest) } else { (0.0, 1.0) };
        let highest = self.thresholds.iter().map(|threshold| threshold.value).fold(highest, f64::max);
        // From zero where that does not flatten the line.
        let low = if lowest >= 0.0 && lowest < 0.7 * highest { 0.0 } else { lowest - 0.1 * (highest - lowest).max(0.1) };
        let room = if self.is_rain { 4.0 } else { 1.08 };
        (low, low + (highest - low).max(0.1) * room)
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
            let y = if self.is_rain { scale.y_hanging(value) } else { scale.y(value) };
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
        let mut known_to = self.interval.from;
        let end = self.now.min(self.interval.to);
        let ends = self.rows.iter().map(|row| (row.start, row.end)).chain([(end, end)]);
        for (start, row_end) in ends {
            if start.seconds() - known_to.seconds() > self.gap_s {
                let (from, to) = (scale.x(known_to), scale.x(start));
                let _ = write!(
                    out,
                    "<rect class=\"gap\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                    to - from,
                    scale.bottom - TOP
                );
            }
            known_to = known_to.max(row_end);
        }
    }

    fn line(&self, out: &mut String, scale: &Scale) {
        let mut path = String::new();
        let mut before: Option<Timestamp> = None;
        for row in self.rows {
            // One measurement alone stands where it was made.
            let x = scale.x(if row.count == 1 { row.max_at } else { row.start });
            let joined = before.is_some_and(|before| row.start.seconds() - before.seconds() <= self.gap_s);
            let _ = write!(path, "{}{x:.1} {:.1}", if joined { "L" } else { "M" }, scale.y(row.first));
            // What lies beyond both ends of the column must not be lost; then where it ends.
            if row.min < row.first.min(row.last) {
                let _ = write!(path, "V{:.1}", scale.y(row.min));
            }
            if row.max > row.first.max(row.last) {
                let _ = write!(path, "L{:.1} {:.1}", scale.x(row.max_at), scale.y(row.max));
            }
            if row.count > 1 {
                let _ = write!(path, "L{:.1} {:.1}", scale.x(row.end.min(self.now)).max(x), scale.y(row.last));
            }
            before = Some(row.end);
        }
        let _ = write!(out, "<path class=\"level\" d=\"{path}\"/>");
    }

    fn bars(&self, out: &mut String, scale: &Scale) {
        for row in self.rows.iter().filter(|row| row.sum > 0.0) {
            let (from, to) = (scale.x(row.start), scale.x(row.end));
            let height = scale.y_hanging(row.sum) - TOP;
            let _ = write!(
                out,
                "<rect class=\"rain\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{height:.1}\"/>",
                (to - from).max(1.0)
            );
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
    use model::{Text, Validity};

    fn row(minute: i64, value: f64) -> BucketRow {
        let start = Timestamp::from_seconds(1_795_400_000 + minute * 60);
        BucketRow {
            start,
            end: start.plus_seconds(60),
            min: value - 0.01,
            mean: value,
            max: value + 0.01,
            max_at: start,
            first: value,
            last: value,
            sum: value,
            count: 6,
        }
    }

    fn svg(rows: &[BucketRow], title: &str) -> String {
        let from = Timestamp::from_seconds(1_795_400_000);
        let threshold = Threshold { value: 2.0, label: Text::new("soglia <1>", "threshold"), meaning: None, validity: Validity::default() };
        let thresholds = [&threshold];
        let interval = Interval::new(from, from.plus_seconds(7200));
        let chart = Chart {
            rows,
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

    #[test]
    fn the_line_is_broken_at_a_gap_and_the_gap_is_hatched() {
        let rows: Vec<BucketRow> = (0..30).chain(60..120).map(|minute| row(minute, 1.0)).collect();
        let drawn = svg(&rows, "x");
        let path = drawn.split("class=\"level\" d=\"").nth(1).expect("a line");
        assert_eq!(path.split('"').next().expect("its path").matches('M').count(), 2);
        assert_eq!(drawn.matches("class=\"gap\"").count(), 1);
    }

    #[test]
    fn a_crest_of_one_column_reaches_its_height() {
        let mut rows: Vec<BucketRow> = (0..120).map(|minute| row(minute, 1.0)).collect();
        rows[50].max = 1.9;
        let top_of = |drawn: &str| {
            let path = drawn.split("class=\"level\" d=\"").nth(1).expect("a line").split('"').next().expect("its path").to_owned();
            path.split(|letter: char| letter.is_alphabetic())
                .filter_map(|part| part.split(' ').next_back()?.parse::<f64>().ok())
                .fold(f64::INFINITY, f64::min)
        };
        let (crest, flat) = (top_of(&svg(&rows, "x")), top_of(&svg(&rows[..40], "x")));
        assert!(crest < flat - 100.0, "{crest} {flat}");
    }

    #[test]
    fn nothing_measured_is_hatched_all_over_and_names_are_inert() {
        let drawn = svg(&[], "<script>alert(1)</script>");
        assert!(drawn.contains("class=\"gap\"") && !drawn.contains("<script>"));
        assert!(!drawn.contains("soglia <1>"));
    }
}
