//! One uplink that is told again: resent by its network server, or told by two integrations. It is the same measurement, though each
//! telling may say another time of hearing; told apart by them, rain would fall twice. Only what the network server names alike is the
//! same: a node that starts anew at each waking sends the same counter and the same bytes each time.

use crate::decode::{Decoded, Heard};
use model::{DeviceId, OwnerId, Timestamp};
use std::collections::{HashMap, VecDeque};

/// Uplinks that are remembered of a device, and devices.
const UPLINKS: usize = 32;
const DEVICES: usize = 50_000;

/// The latest uplinks of each device. Only in memory: after a restart one more telling is another row at worst.
#[derive(Default)]
pub(crate) struct Echoes {
    of: HashMap<(OwnerId, DeviceId), VecDeque<(String, Timestamp)>>,
}

impl Echoes {
    /// Gives an uplink that was told before the time that it was told with first, so that it is a duplicate to the store.
    pub(crate) fn settle(&mut self, owner: &OwnerId, decoded: &mut Decoded) {
        let Some(Heard { device, id, heard_at, within_s }) = decoded.heard.clone() else { return };
        let key = (owner.clone(), device);
        if !self.of.contains_key(&key) && self.of.len() >= DEVICES {
            return;
        }
        let known = self.of.entry(key).or_default();
        let is_same = |(known, first): &&(String, Timestamp)| *known == id && heard_at.seconds_since(*first).abs() <= within_s;
        let Some(first) = known.iter().find(is_same).map(|(_, first)| *first) else {
            if known.len() == UPLINKS {
                known.pop_front();
            }
            known.push_back((id, heard_at));
            return;
        };
        let settle = |time: &mut Option<Timestamp>| {
            if *time == Some(heard_at) {
                *time = Some(first);
            }
        };
        decoded.payloads.iter_mut().for_each(|placed| settle(&mut placed.what.time));
        decoded.readings.iter_mut().for_each(|placed| settle(&mut placed.what.phenomenon_time));
        decoded.unread.iter_mut().for_each(|placed| settle(&mut placed.what.time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Placed, RawPayload};

    #[test]
    fn one_uplink_has_one_time_and_two_uplinks_have_two() {
        let mut echoes = Echoes::default();
        let mut told = |device: &str, id: Option<&str>, second| {
            let heard_at = Timestamp::from_seconds(second);
            let raw = RawPayload { device: device.into(), port: Some(2), time: Some(heard_at), bytes: vec![1] };
            let heard = id.map(|id| Heard { device: device.into(), id: id.into(), heard_at, within_s: 30.0 });
            let mut decoded = Decoded { payloads: vec![Placed { index: 1, what: raw }], heard, ..Decoded::default() };
            echoes.settle(&OwnerId::from("acque"), &mut decoded);
            decoded.payloads[0].what.time.map(Timestamp::seconds)
        };
        assert_eq!(told("a", Some("u1"), 1000), Some(1000));
        assert_eq!(told("a", Some("u1"), 1001), Some(1000), "told again");
        assert_eq!(told("a", Some("u1"), 999), Some(1000), "by a clock that is behind");
        assert_eq!(told("b", Some("u1"), 1001), Some(1001), "another device");
        assert_eq!(told("a", Some("u2"), 1001), Some(1001), "the same bytes, another uplink");
        assert_eq!(told("a", None, 1002), Some(1002), "nobody says what it is");
        assert_eq!(told("a", Some("u1"), 1060), Some(1060), "the same name long after: a counter that began anew");
        for uplink in 100..140 {
            told("a", Some(&uplink.to_string()), 6000);
        }
        assert_eq!(told("a", Some("139"), 6001), Some(6000));
    }
}
