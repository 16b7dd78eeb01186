//! A day in a line as wide as a word. Decoration beside the numbers: hidden from assistive tools.

use std::fmt::Write;

const WIDTH: f64 = 72.0;
const HEIGHT: f64 = 20.0;

/// Steps of the same length, oldest first; the line is broken where nothing was measured.
pub(crate) fn svg(steps: &[Option<f64>]) -> String {
    let known = || steps.iter().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    if !low.is_finite() {
        return String::new();
    }
    // Ten centimetres at least: the ripple of a calm river is no flood.
    let span = (high - low).max(0.1);
    #[expect(clippy::cast_precision_loss, reason = "two dozen steps")]
    let width = WIDTH / (steps.len().max(2) - 1) as f64;
    let mut path = String::new();
    let mut joined = false;
    let mut x = 0.0;
    for step in steps {
        match step {
            Some(value) => {
                let _ =
                    write!(path, "{}{x:.0} {:.0}", if joined { 'L' } else { 'M' }, HEIGHT - 2.0 - (value - low) / span * (HEIGHT - 4.0));
                // A step alone is a dot.
                if !joined {
                    path.push_str("h1");
                }
                joined = true;
            }
            None => joined = false,
        }
        x += width;
    }
    format!("<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_breaks_the_line_and_nothing_is_nothing() {
        assert_eq!(svg(&[None, None]), "");
        assert_eq!(svg(&[Some(1.0), Some(2.0), None, Some(1.5)]).matches('M').count(), 2);
    }
}
