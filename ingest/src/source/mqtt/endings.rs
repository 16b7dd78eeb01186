//! Connections that ended for a reason, told in the log: one line for a client and cause, and not at each time.

use super::ended::Ended;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Clients and causes that are remembered.
const MOST: usize = 10_000;

/// How often each client's connections ended for each cause.
#[derive(Debug, Default)]
pub(super) struct Endings {
    counts: Mutex<HashMap<(String, &'static str), u64>>,
}

impl Endings {
    /// One line at the 1st, 2nd, 4th, 8th … end of a client for one cause.
    pub(super) fn tell(&self, client: &str, device: &str, ended: Ended) {
        let Some(cure) = ended.cure() else { return };
        let Some(count) = self.count(client, ended.word()).filter(|count| count.is_power_of_two()) else { return };
        let client: String = client.chars().take(128).collect();
        tracing::warn!(event = "mqtt_ended", client = ?client, device, reason = ended.word(), count, cure, "a connection ended for a reason");
    }

    /// `None` once there is no room for another.
    fn count(&self, client: &str, word: &'static str) -> Option<u64> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (client.to_owned(), word);
        if counts.len() >= MOST && !counts.contains_key(&key) {
            return None;
        }
        let count = counts.entry(key).or_default();
        *count += 1;
        Some(*count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_and_cause_is_counted_apart() {
        let endings = Endings::default();
        let count = |client: &str, ended: Ended| endings.count(client, ended.word());
        assert_eq!([count("a", Ended::Malformed), count("a", Ended::Malformed)], [Some(1), Some(2)]);
        assert_eq!([count("a", Ended::TakenOver), count("b", Ended::Malformed)], [Some(1), Some(1)]);
        for number in 0..MOST {
            count(&number.to_string(), Ended::Topic);
        }
        assert_eq!([count("one more", Ended::Topic), count("a", Ended::Malformed)], [None, Some(3)]);
    }
}
