//! One uplink that was heard twice: by the gateways of two network servers, or by one that forgot. It is the same measurement, though
//! each says its own time of hearing; told apart by them, rain would fall twice.

use crate::decode::Decoded;
use model::{DeviceId, OwnerId, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Two tellings of one uplink are at most so far apart, s: gateways' clocks, not the messages' ways.
const APART_S: f64 = 120.0;
/// Uplinks that are remembered of a device, and devices.
const UPLINKS: usize = 32;
const DEVICES: usize = 50_000;

/// The latest uplinks of each device. Only in memory: after a restart one more telling is another row at worst.
#[derive(Default)]
pub(crate) struct Echoes {
    of: HashMap<(OwnerId, DeviceId), VecDeque<Uplink>>,
}

struct Uplink {
    counter: u32,
    /// Of port and bytes.
    said: u64,
    heard_at: Timestamp,
}

impl Echoes {
    /// Gives an uplink that was told before the time that it was told with first, so that it is a duplicate to the store.
    pub(crate) fn settle(&mut self, owner: &OwnerId, decoded: &mut Decoded) {
        for payload in decoded.payloads.iter_mut().map(|placed| &mut placed.what) {
            let (Some(counter), Some(heard_at)) = (payload.counter, payload.time) else { continue };
            let mut hasher = DefaultHasher::new();
            (payload.port, &payload.bytes).hash(&mut hasher);
            let said = hasher.finish();
            let key = (owner.clone(), payload.device.clone());
            if !self.of.contains_key(&key) && self.of.len() >= DEVICES {
                continue;
            }
            let known = self.of.entry(key).or_default();
            let is_same =
                |one: &&Uplink| (one.counter, one.said) == (counter, said) && heard_at.seconds_since(one.heard_at).abs() <= APART_S;
            let Some(first) = known.iter().find(is_same).map(|one| one.heard_at) else {
                if known.len() == UPLINKS {
                    known.pop_front();
                }
                known.push_back(Uplink { counter, said, heard_at });
                continue;
            };
            payload.time = Some(first);
            let told = decoded.readings.iter_mut().map(|placed| &mut placed.what);
            told.filter(|reading| reading.device == payload.device && reading.phenomenon_time == Some(heard_at))
                .for_each(|reading| reading.phenomenon_time = Some(first));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Placed, RawPayload};

    #[test]
    fn one_uplink_has_one_time_and_two_uplinks_have_two() {
        let mut echoes = Echoes::default();
        let mut told = |device: &str, counter, second, byte| {
            let time = Some(Timestamp::from_seconds(second));
            let raw = RawPayload { device: device.into(), port: Some(2), time, counter: Some(counter), bytes: vec![byte] };
            let mut decoded = Decoded { payloads: vec![Placed { index: 0, what: raw }], ..Decoded::default() };
            echoes.settle(&OwnerId::from("acque"), &mut decoded);
            decoded.payloads[0].what.time.map(Timestamp::seconds)
        };
        assert_eq!(told("a", 7, 1000, 1), Some(1000));
        assert_eq!(told("a", 7, 1001, 1), Some(1000), "told again");
        assert_eq!(told("a", 7, 999, 1), Some(1000), "by a clock that is behind");
        assert_eq!(told("b", 7, 1001, 1), Some(1001), "another device");
        assert_eq!(told("a", 7, 1001, 2), Some(1001), "other bytes: it joined again");
        assert_eq!(told("a", 8, 1060, 1), Some(1060), "the same level a minute later is another measurement");
        assert_eq!(told("a", 7, 5000, 1), Some(5000), "the same counter in another session");
        for counter in 100..140 {
            told("a", counter, 6000, 1);
        }
        assert_eq!(told("a", 139, 6001, 1), Some(6000));
    }
}
