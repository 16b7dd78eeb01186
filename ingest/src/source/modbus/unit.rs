//! One device behind a line: what is asked of it, when, and what its answers and silences mean.

use super::line::{Failure, Line, Manners};
use super::plan::{Block, PlanError, Rules, blocks};
use crate::decode::registers::{self, Empty, Meaning, Poll, Words};
use crate::frame::Frame;
use bytes::Bytes;
use model::{DatastreamId, Device, Flag, Gap, GapReason, Link, Profile, Register, Role, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// A dead unit is asked again after this long at the latest, or after its own interval where that is longer. Seconds.
const LONGEST_BACK_OFF_S: f64 = 60.0;
/// How often a heartbeat that looks the same is read again, and after how long.
const LOOKS: u32 = 4;
const BETWEEN_LOOKS: Duration = Duration::from_millis(370);

/// A device and how it fares.
pub(super) struct Unit {
    device: Arc<Device>,
    address: u8,
    pub(super) interval: Duration,
    manners: Manners,
    groups: Vec<Group>,
    /// Of the polls so far; says whose turn it is.
    polls: u64,
    heartbeat: Option<Heartbeat>,
    /// Failed attempts in a row.
    failures: u32,
    /// Polls still to be left out before the next attempt.
    rests: u32,
    missed: Option<Missed>,
    /// Requests that fail while others of the device are answered: each rests on its own.
    sick: Vec<Sick>,
    /// What was last said of it in the log.
    ailing: Option<GapReason>,
}

/// A request that is not answered well.
struct Sick {
    block: Block,
    failure: Failure,
    /// In a row, while others were answered.
    failures: u32,
    /// Polls still to be left out before it is asked again.
    rests: u32,
}

/// Registers that are read at one rhythm, and how.
struct Group {
    /// Every so many polls, beginning with this one.
    every: u64,
    phase: u64,
    blocks: Vec<Block>,
    /// What feeds a datastream, or says how far the others can be trusted; the rest of the map is not read.
    registers: Vec<Fed>,
}

/// A register and the datastreams that it feeds.
type Fed = (Register, Vec<DatastreamId>);

/// What the device showed last to say that it lives.
struct Heartbeat {
    shown: i64,
    /// Polls since it changed.
    same_for: u32,
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
        let Link::Modbus { unit, poll_interval_s, timeout_s, profile, .. } = &device.link else { return None };
        let interval = seconds(*poll_interval_s, 0.1);
        let groups = match groups(device, profile, interval) {
            Ok(groups) => groups,
            Err(cause) => return Some(Err(cause)),
        };
        let pause = |pause: f64| Duration::try_from_secs_f64(pause).unwrap_or_default();
        let manners = Manners {
            patience: seconds(*timeout_s, 0.01),
            after_connect: pause(profile.pause_after_connect_s),
            between: pause(profile.pause_between_s),
        };
        Some(Ok(Self {
            device: device.clone(),
            address: *unit,
            interval,
            manners,
            groups,
            polls: 0,
            heartbeat: None,
            failures: 0,
            rests: 0,
            missed: None,
            sick: Vec::new(),
            ailing: None,
        }))
    }

    pub(super) fn device(&self) -> &str {
        self.device.id.as_str()
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
        let poll = self.polls;
        self.polls += 1;
        let due: Vec<usize> =
            (0..self.groups.len()).filter(|place| self.groups.get(*place).is_some_and(|group| group.is_due(poll))).collect();
        let mut answers = Vec::new();
        let mut refused: Vec<(Block, GapReason)> = Vec::new();
        let mut failed: Option<Failure> = None;
        let (mut is_alive, mut unanswered) = (false, None);
        for block in self.in_order(&due) {
            // After a silence or a broken answer the rest is not asked: one timeout is all that a dead unit may cost.
            if let Some(failure) = failed.as_ref().filter(|failure| !is_answer(&failure.reason)) {
                refused.push((block, failure.reason.clone()));
                continue;
            }
            if let Some(sick) = self.sick.iter_mut().find(|sick| sick.block == block && sick.rests > 0) {
                sick.rests -= 1;
                refused.push((block, sick.failure.reason.clone()));
                continue;
            }
            match line.read(self.address, block, self.manners).await {
                Ok(words) => {
                    answers.push(Words::new(block.space, block.start, words));
                    self.sick.retain(|sick| sick.block != block);
                    is_alive = true;
                }
                Err(failure) => {
                    refused.push((block, failure.reason.clone()));
                    if is_answer(&failure.reason) {
                        is_alive = true;
                    } else {
                        unanswered = Some(block);
                    }
                    failed = Some(failure);
                }
            }
        }
        if let (Some(block), Some(failure)) = (unanswered, &failed) {
            self.falls_sick(block, failure, is_alive);
        }
        let mut gaps = self.gaps_while_resting();
        gaps.extend(self.gaps_of(&due, &refused, at));
        self.look_again(&mut answers, line).await;
        if self.is_frozen(&answers) {
            let cause = "its heartbeat stands still: it answers, and nothing it says is of now".to_owned();
            failed = failed.or(Some(Failure { reason: GapReason::Frozen, cause }));
            gaps.extend(self.fed(&due).into_iter().map(|datastream| gap(datastream, at, GapReason::Frozen)));
            answers.clear();
        }
        let (frame, empty) = self.frame(&due, answers, endpoint, at, now);
        gaps.extend(empty);
        self.back_off(failed.as_ref().filter(|_| !is_alive), at);
        let ails = failed.clone().or_else(|| self.sick.first().map(|sick| sick.failure.clone()));
        self.log(ails.as_ref(), endpoint);
        Said { frame, gaps, outcome: Some(failed.map_or(Ok(()), Err)) }
    }

    /// The requests of these groups; those that failed last come last, so that they keep no other from being asked.
    fn in_order(&self, due: &[usize]) -> Vec<Block> {
        let mut blocks: Vec<Block> =
            due.iter().filter_map(|place| self.groups.get(*place)).flat_map(|group| &group.blocks).copied().collect();
        blocks.sort_by_key(|block| self.sick.iter().any(|sick| sick.block == *block));
        blocks
    }

    /// A request was not answered well. Where others were, it is asked after 1, 2, 4 … polls, and only it.
    fn falls_sick(&mut self, block: Block, failure: &Failure, is_alive: bool) {
        let before = self.sick.iter().position(|sick| sick.block == block).map(|place| self.sick.remove(place).failures);
        let failures = before.unwrap_or(0).saturating_add(u32::from(is_alive));
        let rests = if is_alive { rests(failures, self.interval, spread()) } else { 0 };
        self.sick.push(Sick { block, failure: failure.clone(), failures, rests });
    }

    /// A heartbeat that toggles in step with the polls looks the same at each: before it counts as standing still it is read a few
    /// times more, at moments that no toggling of a second or so can hide from.
    async fn look_again(&self, answers: &mut [Words], line: &mut Line) {
        let Some(before) = self.heartbeat.as_ref().map(|heartbeat| heartbeat.shown) else { return };
        let beats = || {
            self.groups.iter().flat_map(|group| &group.registers).filter(|(register, _)| matches!(register.role, Role::Heartbeat { .. }))
        };
        let Some((register, _)) = beats().next() else { return };
        let shown =
            |answers: &[Words]| answers.iter().find_map(|block| block.of(register)).and_then(|words| registers::raw(words, register));
        for _ in 0..LOOKS {
            if shown(answers) != Some(before) {
                return;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let block = Block { space: register.space, start: register.address, count: register.number.width() };
            let Ok(words) = line.read(self.address, block, self.manners).await else { return };
            if let Some(answer) = answers.iter_mut().find(|answer| answer.of(register).is_some()) {
                answer.put(register, &words);
            }
        }
    }

    /// Whether a heartbeat has been the same for longer than it may.
    fn is_frozen(&mut self, answers: &[Words]) -> bool {
        let beats = self.groups.iter().flat_map(|group| &group.registers).filter_map(|(register, _)| match register.role {
            Role::Heartbeat { polls } => Some((register, polls)),
            _ => None,
        });
        let mut is_frozen = false;
        for (register, polls) in beats {
            let shown = answers.iter().find_map(|block| block.of(register)).and_then(|words| registers::raw(words, register));
            let Some(shown) = shown else { continue };
            let same_for =
                self.heartbeat.as_ref().filter(|before| before.shown == shown).map_or(0, |before| before.same_for.saturating_add(1));
            self.heartbeat = Some(Heartbeat { shown, same_for });
            is_frozen = is_frozen || same_for >= polls;
        }
        is_frozen
    }

    /// The datastreams that these groups feed.
    fn fed(&self, due: &[usize]) -> BTreeSet<DatastreamId> {
        let groups = due.iter().filter_map(|place| self.groups.get(*place));
        groups.flat_map(|group| &group.registers).flat_map(|(_, datastreams)| datastreams).copied().collect()
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
        let all = self.fed(&(0..self.groups.len()).collect::<Vec<_>>());
        let gap = |datastream| Gap { datastream, from: missed.from, to: missed.to, reason: missed.reason.clone(), count: missed.count };
        all.into_iter().map(gap).collect()
    }

    fn gaps_of(&self, due: &[usize], refused: &[(Block, GapReason)], at: Timestamp) -> Vec<Gap> {
        let mut reasons: BTreeMap<DatastreamId, &GapReason> = BTreeMap::new();
        for (register, datastreams) in due.iter().filter_map(|place| self.groups.get(*place)).flat_map(|group| &group.registers) {
            if let Some((_, reason)) = refused.iter().find(|(block, _)| block.holds(register)) {
                reasons.extend(datastreams.iter().map(|datastream| (*datastream, reason)));
            }
        }
        reasons.into_iter().map(|(datastream, reason)| gap(datastream, at, reason.clone())).collect()
    }

    /// The frame of what was read, and a gap for each register that holds no number.
    fn frame(&self, due: &[usize], answers: Vec<Words>, endpoint: &str, at: Timestamp, now: Timestamp) -> (Option<Frame>, Vec<Gap>) {
        let mut gaps = Vec::new();
        let mut meanings = Vec::new();
        let mut flag = None;
        for (register, datastreams) in due.iter().filter_map(|place| self.groups.get(*place)).flat_map(|group| &group.registers) {
            let Some(words) = answers.iter().find_map(|block| block.of(register)) else { continue };
            if let Role::Status { suspect, fail } = &register.role {
                let raw = registers::raw(words, register);
                let said = match raw {
                    Some(raw) if fail.contains(&raw) => Some(Flag::Fail),
                    Some(raw) if suspect.contains(&raw) => Some(Flag::Suspect),
                    _ => None,
                };
                flag = flag.max(said);
            }
            if datastreams.is_empty() {
                continue;
            }
            match registers::held(words, register) {
                // The decoder refuses by name what can't be kept to its last digit.
                Ok(_) | Err(Empty::NotExact(_)) => meanings.push(Meaning::of(register)),
                Err(empty) => {
                    let reason = if empty == Empty::BrokenWire { GapReason::BrokenWire } else { GapReason::NoNumber };
                    gaps.extend(datastreams.iter().map(|datastream| gap(*datastream, at, reason.clone())));
                }
            }
        }
        if meanings.is_empty() {
            return (None, gaps);
        }
        let poll = Poll { time_us: at.micros(), blocks: answers, registers: meanings, flag: flag.map(|flag| flag as u16) };
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

/// The device is there and spoke Modbus, though it would not give this. Exceptions 10 and 11 are a gateway's: no way to the device
/// behind it, or no answer from there.
fn is_answer(reason: &GapReason) -> bool {
    match reason {
        GapReason::Exception(code) => !matches!(code, 10 | 11),
        GapReason::Frozen => true,
        _ => false,
    }
}

impl Group {
    fn is_due(&self, poll: u64) -> bool {
        poll % self.every == self.phase
    }
}

/// What is read of a device, by rhythm.
fn groups(device: &Device, profile: &Profile, interval: Duration) -> Result<Vec<Group>, PlanError> {
    let fed = |register: &Register| -> Vec<DatastreamId> {
        let feeds = device.feeds.iter().filter(|feed| feed.channel == register.channel);
        feeds.map(|feed| feed.datastream).collect()
    };
    // In whole polls, at least one.
    let polls = |seconds: f64| {
        let polls = (seconds / interval.as_secs_f64()).round().clamp(0.0, 1e6);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just before")]
        let polls = polls as u64;
        polls
    };
    let mut by_rhythm: BTreeMap<(u64, u64), Vec<Fed>> = BTreeMap::new();
    for register in &profile.registers {
        let datastreams = fed(register);
        if datastreams.is_empty() && register.role == Role::Value {
            continue;
        }
        let every = register.every_s.map_or(1, |every| polls(every).max(1));
        by_rhythm.entry((every, polls(register.phase_s) % every)).or_default().push((register.clone(), datastreams));
    }
    let group = |((every, phase), registers): ((u64, u64), Vec<Fed>)| {
        let blocks = blocks(registers.iter().map(|(register, _)| register), &Rules::of(profile))?;
        Ok(Group { every, phase, blocks, registers })
    };
    by_rhythm.into_iter().map(group).collect()
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
