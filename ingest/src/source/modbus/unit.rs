//! One device behind a line: what is asked of it, when, and what its answers and silences mean.

use super::line::{Failure, Line};
use super::plan::{Block, PlanError, blocks};
use crate::decode::registers::{self, Meaning, Poll, Words};
use crate::frame::Frame;
use bytes::Bytes;
use model::{DatastreamId, Device, Gap, GapReason, Link, Register, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// A dead unit is asked again after this long at the latest, or after its own interval where that is longer. Seconds.
const LONGEST_BACK_OFF_S: f64 = 60.0;

/// A device and how it fares.
pub(super) struct Unit {
    device: Arc<Device>,
    address: u8,
    pub(super) interval: Duration,
    patience: Duration,
    blocks: Vec<Block>,
    /// What feeds a datastream; the rest of the map is not read.
    registers: Vec<(Register, Vec<DatastreamId>)>,
    /// Failed attempts in a row.
    failures: u32,
    /// Polls still to be left out before the next attempt.
    rests: u32,
    missed: Option<Missed>,
    /// What was last said of it in the log.
    ailing: Option<GapReason>,
}

/// Polls that were left out since the last attempt.
struct Missed {
    from: Timestamp,
    to: Timestamp,
    count: u64,
    reason: GapReason,
}

/// What one turn of a unit gave.
#[derive(Default)]
pub(super) struct Said {
    pub(super) frame: Option<Frame>,
    pub(super) gaps: Vec<Gap>,
    /// `None` for a poll that was left out.
    pub(super) outcome: Option<Result<(), Failure>>,
}

impl Unit {
    /// `None` for a device that is not polled; an error for one whose register map can't be.
    pub(super) fn new(device: &Arc<Device>) -> Option<Result<Self, PlanError>> {
        let Link::ModbusTcp { unit, poll_interval_s, timeout_s, profile, .. } = &device.link else { return None };
        let fed = |register: &Register| -> Vec<DatastreamId> {
            let feeds = device.feeds.iter().filter(|feed| feed.channel == register.channel);
            feeds.map(|feed| feed.datastream).collect()
        };
        let registers: Vec<_> = profile.registers.iter().map(|register| (register.clone(), fed(register))).collect();
        let registers: Vec<_> = registers.into_iter().filter(|(_, datastreams)| !datastreams.is_empty()).collect();
        let blocks = match blocks(registers.iter().map(|(register, _)| register), profile.max_batch, profile.max_hole) {
            Ok(blocks) => blocks,
            Err(cause) => return Some(Err(cause)),
        };
        Some(Ok(Self {
            device: device.clone(),
            address: *unit,
            interval: seconds(*poll_interval_s, 0.1),
            patience: seconds(*timeout_s, 0.01),
            blocks,
            registers,
            failures: 0,
            rests: 0,
            missed: None,
            ailing: None,
        }))
    }

    /// The turn of this unit has come, at `now`: asks it, or leaves the poll out while the unit rests.
    ///
    /// The phenomenon time of everything in one poll is `now`, the time of asking, cut to the whole second (to the
    /// millisecond for intervals under one second): the water stood so within the timeout after it.
    pub(super) async fn turn(&mut self, line: &mut Line, endpoint: &str, now: Timestamp) -> Said {
        let at = self.floor(now);
        if self.rests > 0 {
            self.rests -= 1;
            if let Some(missed) = &mut self.missed {
                missed.to = at;
                missed.count += 1;
            }
            return Said::default();
        }
        let mut answers = Vec::new();
        let mut refused: Vec<(Block, GapReason)> = Vec::new();
        let mut failed: Option<Failure> = None;
        for block in &self.blocks {
            // After a silence or a broken answer the rest is not asked: one timeout is all that a dead unit may cost.
            if let Some(failure) = failed.as_ref().filter(|failure| !is_answer(&failure.reason)) {
                refused.push((*block, failure.reason.clone()));
                continue;
            }
            match line.read(self.address, *block, self.patience).await {
                Ok(words) => answers.push(Words::new(block.space, block.start, words)),
                Err(failure) => {
                    refused.push((*block, failure.reason.clone()));
                    failed = Some(failure);
                }
            }
        }
        let mut gaps = self.gaps_while_resting();
        gaps.extend(self.gaps_of(&refused, at));
        let (frame, empty) = self.frame(answers, endpoint, at, now);
        gaps.extend(empty);
        self.back_off(failed.as_ref(), at);
        self.log(failed.as_ref(), endpoint);
        Said { frame, gaps, outcome: Some(failed.map_or(Ok(()), Err)) }
    }

    /// Once when it falls ill and once when it is well again, not at every poll.
    fn log(&mut self, failed: Option<&Failure>, endpoint: &str) {
        let reason = failed.map(|failure| failure.reason.clone());
        if reason == self.ailing {
            return;
        }
        let (device, unit) = (self.device.id.as_str(), self.address);
        match failed {
            Some(Failure { reason, cause }) => {
                tracing::warn!(
                    event = "poll_failed",
                    device,
                    endpoint,
                    unit,
                    reason = reason.code(),
                    cause,
                    "a device can't be read; its polls are gaps until it answers"
                );
            }
            None => tracing::info!(event = "poll_recovered", device, endpoint, unit, "the device answers again"),
        }
        self.ailing = reason;
    }

    /// What was left out after the last failure, with its reason.
    pub(super) fn gaps_while_resting(&mut self) -> Vec<Gap> {
        let Some(missed) = self.missed.take().filter(|missed| missed.count > 0) else { return Vec::new() };
        let all: BTreeSet<DatastreamId> = self.registers.iter().flat_map(|(_, datastreams)| datastreams).copied().collect();
        let gap = |datastream| Gap { datastream, from: missed.from, to: missed.to, reason: missed.reason.clone(), count: missed.count };
        all.into_iter().map(gap).collect()
    }

    fn gaps_of(&self, refused: &[(Block, GapReason)], at: Timestamp) -> Vec<Gap> {
        let mut reasons: BTreeMap<DatastreamId, &GapReason> = BTreeMap::new();
        for (register, datastreams) in &self.registers {
            if let Some((_, reason)) = refused.iter().find(|(block, _)| block.holds(register)) {
                reasons.extend(datastreams.iter().map(|datastream| (*datastream, reason)));
            }
        }
        reasons.into_iter().map(|(datastream, reason)| gap(datastream, at, reason.clone())).collect()
    }

    /// The frame of what was read, and a gap for each register that holds no number.
    fn frame(&self, answers: Vec<Words>, endpoint: &str, at: Timestamp, now: Timestamp) -> (Option<Frame>, Vec<Gap>) {
        let mut gaps = Vec::new();
        let mut meanings = Vec::new();
        for (register, datastreams) in &self.registers {
            let Some(words) = answers.iter().find_map(|block| block.of(register)) else { continue };
            if registers::value(words, register).is_some() {
                meanings.push(Meaning::of(register));
            } else {
                gaps.extend(datastreams.iter().map(|datastream| gap(*datastream, at, GapReason::NoNumber)));
            }
        }
        if meanings.is_empty() {
            return (None, gaps);
        }
        let poll = Poll { time_us: at.micros(), blocks: answers, registers: meanings };
        let frame = Frame {
            source: "modbus",
            format: "registers",
            route: format!("{endpoint}/{}", self.address),
            owner: self.device.owner.clone(),
            device: Some(self.device.id.clone()),
            channel: None,
            received_at: now,
            // A struct of numbers and texts is always JSON; were it not, the decoder would refuse the empty bytes aloud.
            bytes: Bytes::from(serde_json::to_vec(&poll).unwrap_or_default()),
        };
        (Some(frame), gaps)
    }

    /// A unit that does not answer is asked after 1, 2, 4 … intervals, at most a minute, so that many dead ones do not
    /// hold up a bus; spread by a quarter each way so that they don't come back in step. A unit that says no does answer.
    fn back_off(&mut self, failed: Option<&Failure>, at: Timestamp) {
        let Some(failure) = failed.filter(|failure| !is_answer(&failure.reason)) else {
            self.failures = 0;
            return;
        };
        self.failures = self.failures.saturating_add(1);
        self.rests = rests(self.failures, self.interval, spread());
        let next = at.plus_micros(i64::try_from(self.interval.as_micros()).unwrap_or(i64::MAX));
        self.missed = Some(Missed { from: next, to: next, count: 0, reason: failure.reason.clone() });
    }

    fn floor(&self, now: Timestamp) -> Timestamp {
        let grain = if self.interval < Duration::from_secs(1) { 1_000 } else { 1_000_000 };
        Timestamp::from_micros(now.micros() - now.micros().rem_euclid(grain))
    }
}

/// The device is there and spoke Modbus, though it would not give this.
fn is_answer(reason: &GapReason) -> bool {
    matches!(reason, GapReason::Exception(_))
}

fn gap(datastream: DatastreamId, at: Timestamp, reason: GapReason) -> Gap {
    Gap { datastream, from: at, to: at, reason, count: 1 }
}

/// Polls to leave out after so many failures in a row; `spread` is from 0.75 to 1.25.
fn rests(failures: u32, interval: Duration, spread: f64) -> u32 {
    let interval = interval.as_secs_f64();
    let wait = (interval * 2_f64.powi(i32::try_from(failures.min(31)).unwrap_or(31) - 1)).min(LONGEST_BACK_OFF_S).max(interval);
    let polls = (wait * spread / interval).round().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to a minute of polls")]
    let polls = polls as u32;
    polls - 1
}

fn spread() -> f64 {
    let random = RandomState::new().hash_one(0);
    #[expect(clippy::cast_precision_loss, reason = "a random share")]
    let share = random as f64 / u64::MAX as f64;
    0.75 + share / 2.0
}

/// `value` seconds, at least `least`; a network file that says nonsense must not stop the others.
fn seconds(value: f64, least: f64) -> Duration {
    Duration::try_from_secs_f64(value.max(least)).unwrap_or(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_unit_is_asked_less_and_less_but_every_minute() {
        let after = |failures, interval| rests(failures, Duration::from_secs(interval), 1.0);
        assert_eq!([1, 2, 3, 4, 5, 60].map(|failures| after(failures, 10)), [0, 1, 3, 5, 5, 5]);
        assert_eq!([1, 2, 9].map(|failures| after(failures, 300)), [0, 0, 0]);
        assert_eq!([1, 4, 9].map(|failures| after(failures, 1)), [0, 7, 59]);
    }
}
