//! Who tries what it may not has to stay outside, each time longer: MQTT 3.x has no other no, and a client that only sees its
//! connection close would come back at once with the same message.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Who behaves so long is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// By the holder of a pass, so that neither another client id nor a new connection helps, and there are never more than devices.
#[derive(Default)]
pub(super) struct Penalties {
    of: Mutex<HashMap<String, Penalty>>,
}

#[derive(Clone, Copy)]
struct Penalty {
    length: Duration,
    until: Instant,
}

impl Penalties {
    /// Sends a user away from `now` on; returns for how long.
    pub(super) fn send_away(&self, user: &str, now: Instant) -> Duration {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.retain(|_, penalty| now < penalty.until + FORGIVEN_AFTER);
        let length = of.get(user).map_or(SHORTEST, |before| (before.length * 2).min(LONGEST));
        of.insert(user.to_owned(), Penalty { length, until: now + length });
        length
    }

    /// Whether a user must still stay outside.
    pub(super) fn holds(&self, user: &str, now: Instant) -> bool {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).get(user).is_some_and(|penalty| now < penalty.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_longer_until_it_is_forgiven() {
        let penalties = Penalties::default();
        let mut now = Instant::now();
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(!penalties.holds("u", now));
            assert_eq!(penalties.send_away("u", now), Duration::from_secs(expected));
            assert!(penalties.holds("u", now) && !penalties.holds("other", now));
            now += Duration::from_secs(expected);
        }
        now += FORGIVEN_AFTER;
        assert_eq!(penalties.send_away("u", now), SHORTEST);
    }
}
