//! Gateways whose clocks are wrong, each named once a day: its uplinks are taken at the network server's time meanwhile.

use crate::decode::WrongClock;
use crate::frame::Frame;
use crate::shown::shown;
use model::{OwnerId, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A gateway is named again after so long, s.
const AGAIN_AFTER_S: f64 = 86_400.0;
/// Gateways that are remembered.
const MOST: usize = 10_000;

/// When each gateway was named last.
#[derive(Debug, Default)]
pub(crate) struct WrongClocks {
    named: Mutex<HashMap<(OwnerId, String), Timestamp>>,
}

impl WrongClocks {
    pub(crate) fn name(&self, frame: &Frame, wrong: &[WrongClock]) {
        for WrongClock { gateway, ahead_s } in wrong {
            if self.is_due(&frame.owner, gateway, frame.received_at) {
                tracing::warn!(
                    event = "gateway_clock",
                    owner = frame.owner.as_str(),
                    gateway = %shown(gateway),
                    ahead_s,
                    "a gateway's clock is far from that of its network server, whose time is taken; set the gateway's clock (NTP)"
                );
            }
        }
    }

    fn is_due(&self, owner: &OwnerId, gateway: &str, now: Timestamp) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner.clone(), gateway.to_owned());
        let is_due = named.get(&key).is_none_or(|last| now.seconds_since(*last) >= AGAIN_AFTER_S);
        if is_due && (named.len() < MOST || named.contains_key(&key)) {
            named.insert(key, now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_named_once_a_day() {
        let clocks = WrongClocks::default();
        let at = |hour: i64| Timestamp::from_seconds(1_700_000_000 + hour * 3600);
        let due = |gateway: &str, hour| clocks.is_due(&"acque".into(), gateway, at(hour));
        assert_eq!(
            [due("g", 0), due("g", 1), due("h", 1), due("g", 23), due("g", 24), due("g", 25)],
            [true, false, true, false, true, false]
        );
    }
}
