//! What one frame held on its way through the steps: observations device by device, refusals listed or counted, what the ledger adds.

use crate::bounds::MOST_REFUSALS;
use crate::decode::{LeftOut, Matters, Placed, Refusal, Unread};
use crate::frame::Frame;
use crate::recurring::Recurring;
use model::{DeviceId, Observation, OwnerId, RejectReason, Said, Timestamp};
use std::collections::BTreeMap;
use store::{Payload, Registry, Tally};

/// Stands in the ledger for devices that nobody knows.
const UNKNOWN: &str = "?";

/// What one frame held, once it is bound and qualified; the observations device by device.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) observations: Vec<Observation>,
    /// Of each observation: its place in the message.
    pub(crate) indexes: Vec<usize>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) payloads: Vec<Payload>,
    /// Refusals beyond those that are listed, by line of the ledger and reason.
    pub(super) unlisted: BTreeMap<(DeviceId, RejectReason), Unlisted>,
    /// Words and nulls of channels that feed nothing.
    pub(crate) passed_over: u64,
    /// The devices of the tallies, in their order.
    pub(super) tallied: Recurring<DeviceId>,
    /// Of each observation, whose tally counts it; empty as long as there is but one.
    pub(super) counted_in: Vec<usize>,
}

/// A refusal with what was said, where it could be read, and the device that is held to account for it.
pub(crate) struct Refused {
    pub(crate) placed: Placed<Refusal>,
    pub(super) said: Option<Said>,
    pub(super) line: DeviceId,
    /// Readings that it stands for.
    pub(crate) count: u32,
}

/// How many refusals are not listed, and where the first of them stands.
pub(super) struct Unlisted {
    index: usize,
    count: u32,
}

impl Taken {
    /// Counts one reading more of a device, `also` in its own way; where its tally is, if that is not known yet.
    pub(super) fn tally(&mut self, frame: &Frame, device: &DeviceId, known: Option<usize>, also: impl FnOnce(&mut Tally)) -> usize {
        let place = known.unwrap_or_else(|| {
            self.tallied.number(device).unwrap_or_else(|| {
                self.tallies.push(tally(&frame.owner, device, frame.received_at));
                self.tallied.add(device.clone())
            })
        });
        if let Some(tally) = self.tallies.get_mut(place) {
            tally.received += 1;
            also(tally);
        }
        place
    }
    /// The next observation is counted in this tally.
    pub(super) fn counted(&mut self, place: usize) {
        if place > 0 && self.counted_in.is_empty() {
            self.counted_in = vec![0; self.observations.len()];
        }
        if place > 0 || !self.counted_in.is_empty() {
            self.counted_in.push(place);
        }
    }
    /// Lists a refusal, or only counts it when there are so many that nobody would read them.
    pub(super) fn refuse(
        &mut self,
        frame: &Frame,
        device: Option<&DeviceId>,
        placed: Placed<Refusal>,
        said: impl FnOnce() -> Option<Said>,
    ) {
        let line = device.cloned().unwrap_or_else(|| UNKNOWN.into());
        self.tally(frame, &line, None, |tally| tally.quarantined += 1);
        if self.refused.len() < MOST_REFUSALS {
            self.refused.push(Refused { placed, said: said(), line, count: 1 });
        } else {
            let unlisted = Unlisted { index: placed.index, count: 0 };
            self.unlisted.entry((line, placed.what.reason)).or_insert(unlisted).count += 1;
        }
    }
    /// Lists what a decoder only counted.
    pub(super) fn leave_out(&mut self, frame: &Frame, device: Option<&DeviceId>, left: LeftOut) {
        let line = device.cloned().unwrap_or_else(|| UNKNOWN.into());
        let LeftOut { index, reason, detail, count } = left;
        let more = i32::try_from(count).unwrap_or(i32::MAX);
        self.tally(frame, &line, None, |tally| {
            // One is counted already.
            tally.received = tally.received.saturating_add(more.saturating_sub(1));
            tally.quarantined = tally.quarantined.saturating_add(more);
        });
        self.refused.push(Refused { placed: Placed { index, what: Refusal { reason, detail } }, said: None, line, count });
    }
    /// Refuses what is no number, where somebody waits for one.
    pub(super) fn unread(&mut self, frame: &Frame, Placed { index, what }: Placed<Unread>, registry: &Registry) {
        let Unread { device, channel, time, refusal, matters } = what;
        let known = registry.device_called(frame.owner.as_str(), device.as_str());
        let is_fed = || known.is_some_and(|device| device.feeds.iter().any(|feed| feed.channel == channel.as_str()));
        if matters == Matters::WhereFed && !is_fed() {
            self.passed_over += 1;
            return;
        }
        let said = || Some(Said { device: device.clone(), channel: channel.to_string(), value: f64::NAN, time, unit: None });
        self.refuse(frame, known.map(|device| &device.id), Placed { index, what: refusal }, said);
    }
    /// One refusal for all of a device that are refused for the same reason and not listed.
    pub(super) fn list_unlisted(&mut self) {
        for ((line, reason), Unlisted { index, count }) in std::mem::take(&mut self.unlisted) {
            let detail = format!(
                "{count} readings more are refused as {}; only the first {MOST_REFUSALS} refusals of a message are listed; what cures those, and replaying it, takes these too",
                reason.code()
            );
            self.refused.push(Refused { placed: Placed { index, what: Refusal { reason, detail } }, said: None, line, count });
        }
    }
    /// Leaves out what was deleted for good: it counts as never said. How many.
    pub(crate) fn without(&mut self, is_deleted: impl Fn(&str, &Observation) -> bool, registry: &Registry) -> u64 {
        let stays =
            |one: &Observation| registry.datastream(one.datastream).is_none_or(|datastream| !is_deleted(datastream.key.as_str(), one));
        let before = self.observations.len();
        let mut of_tally = self.tallies.iter_mut();
        let (mut tally, mut left) = (None, 0);
        let mut kept = (Vec::with_capacity(before), Vec::with_capacity(before));
        for (observation, index) in self.observations.iter().zip(&self.indexes) {
            while left == 0 {
                tally = of_tally.next();
                let Some(tally) = &tally else { break };
                left = tally.observations;
            }
            left = left.saturating_sub(1);
            if stays(observation) {
                kept.0.push(*observation);
                kept.1.push(*index);
            } else if let Some(tally) = &mut tally {
                tally.observations -= 1;
                tally.received -= 1;
            }
        }
        (self.observations, self.indexes) = kept;
        (before - self.observations.len()) as u64
    }
    /// Puts the observations in the order of their tallies; those of one device stay in the order in which they were said.
    pub(super) fn by_device(&mut self) {
        if self.counted_in.is_sorted() {
            return;
        }
        let mut next: Vec<usize> = Vec::with_capacity(self.tallies.len());
        self.tallies.iter().fold(0, |start, tally| {
            next.push(start);
            start + tally.observations as usize
        });
        let (mut observations, mut indexes) = (self.observations.clone(), self.indexes.clone());
        for ((place, observation), index) in self.counted_in.iter().zip(&self.observations).zip(&self.indexes) {
            let Some(at) = next.get_mut(*place) else { continue };
            if let (Some(to), Some(of)) = (observations.get_mut(*at), indexes.get_mut(*at)) {
                (*to, *of) = (*observation, *index);
            }
            *at += 1;
        }
        (self.observations, self.indexes) = (observations, indexes);
        self.counted_in.clear();
    }
}

pub(crate) fn tally(owner: &OwnerId, device: &DeviceId, received_at: Timestamp) -> Tally {
    Tally { owner: owner.clone(), device: device.clone(), received_at, received: 0, observations: 0, repeated: 0, quarantined: 0 }
}
