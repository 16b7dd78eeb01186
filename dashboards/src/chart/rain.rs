//! Rain over a level: bars hung from the top, at most a quarter high, so that they never hide the water.

use super::scale::Scale;
use crate::words::Words;
use model::{Lang, number};
use std::fmt::Write;
use store::RainBar;

/// Sums of millimetres, and whose they are.
pub(crate) struct Rain<'a> {
    pub(crate) bars: &'a [RainBar],
    /// The gauge, in words.
    pub(crate) title: &'a str,
}

impl Rain<'_> {
    fn most(&self) -> f64 {
        self.bars.iter().map(|bar| bar.sum).fold(0.0, f64::max)
    }

    /// The rain in a sentence.
    pub(super) fn summary(&self, words: &Words) -> String {
        let sum = number(self.bars.iter().map(|bar| bar.sum).sum(), 1, words.lang);
        format!("{}{}, {sum} mm.", words.rain_of, self.title)
    }

    pub(super) fn draw(&self, out: &mut String, scale: &Scale, lang: Lang) {
        let most = self.most();
        let range = (4.0 * most).max(10.0);
        let height = |sum: f64| sum / range * (scale.bottom - scale.top);
        for bar in self.bars.iter().filter(|bar| bar.sum > 0.0) {
            let (from, to) = (scale.x(bar.start), scale.x(bar.end));
            let (top, width, height) = (scale.top, (to - from - 0.5).max(1.0), height(bar.sum));
            let _ = write!(out, "<rect class=\"rain\" x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height:.1}\"/>");
        }
        for value in [0.0, most].into_iter().filter(|value| *value == 0.0 || *value >= range / 40.0) {
            let (x, y) = (scale.right + 5.0, scale.top + height(value) + 4.0);
            let _ = write!(
                out,
                "<text class=\"xr\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                number(value, usize::from(value < 10.0 && value > 0.0), lang)
            );
        }
        let (x, y) = (scale.right + 5.0, scale.top + height(most.max(range / 10.0)) + 20.0);
        let _ = write!(out, "<text class=\"xr\" x=\"{x:.1}\" y=\"{y:.1}\">mm</text>");
    }
}
