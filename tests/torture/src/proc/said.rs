//! Times, for people.

use std::time::Duration;

pub(crate) fn times(all: &[Duration]) -> String {
    let mut all = all.to_vec();
    all.sort();
    let at = |part: usize| all.get((all.len() * part / 100).min(all.len().saturating_sub(1))).copied().unwrap_or_default().as_millis();
    format!("{} restarts to ready: median {} ms, p99 {} ms, longest {} ms", all.len(), at(50), at(99), at(100))
}
