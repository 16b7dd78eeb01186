//! The one way in which a factor and an offset act on what a wire or a file says: in decimal, as datasheets mean them.

/// `value × factor + offset`: 41 × 0.1 is 4.1. `None` when the result is not finite.
pub(crate) fn scale(value: f64, factor: f64, offset: f64) -> Option<f64> {
    model::scale(value, factor, offset)
}
