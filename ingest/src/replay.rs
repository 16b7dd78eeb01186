//! Reading the quarantine again, once a person has mended what it was refused for.

use crate::decode::Refusal;
use crate::frame::Frame;
use crate::pipeline::{Arrival, Intake, quarantined, tally};
use model::{DeviceId, OwnerId, Reading, RejectReason, Said, Uptime};
use store::{Batch, Error, Outcome, QuarantineEntry, Refused, Replayed};

/// The doors that a message may have come by.
const SOURCES: [&str; 5] = ["mqtt", "http", "modbus", "broker", "edge"];

/// What to do about the times that messages say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    #[default]
    AsSaid,
    /// The device's clock was wrong by as many microseconds: they are added.
    Shifted(i64),
    /// The device's clock says nothing: what it measured is of the time at which it came in.
    Arrival,
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Write,
    DryRun,
}

/// What became of one entry.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    /// Observations that it holds now, by what they turned out to be; in a dry run all count as accepted.
    pub accepted: u64,
    pub duplicates: u64,
    pub revised: u64,
    /// What it held was deleted for good, and stays so.
    pub deleted: u64,
    /// What is still wrong with it: then it stays.
    pub left: Vec<Refusal>,
}

/// How entries are read again.
#[derive(Debug, Clone, Default)]
pub struct Mending {
    pub times: Times,
    /// Another decoder than the one that refused them, by its name.
    pub format: Option<String>,
}

impl Intake {
    /// Reads an entry again as the network stands now. What can be taken is committed together with the entry's going, or its
    /// staying with what is still refused. For threads that may block.
    ///
    /// # Errors
    /// As [`store::Store::commit`]; then nothing changed.
    pub fn replay(&self, entry: &QuarantineEntry, mending: &Mending, mode: Mode) -> Result<Outcomes, Error> {
        let Some(heard) = self.heard(entry) else { return Ok(as_it_is(entry)) };
        let frame = self.frame_of(entry, mending, heard.at);
        let arrival = heard.lost.as_ref().map_or(Arrival::Known, Arrival::Lost);
        let later_us = heard.at.micros() - entry.first.micros();
        let mend = |reading: &mut Reading| {
            // The time of a poll is the time at which our own clock said it was asked, cut to the second.
            if entry.uptime.is_some() && frame.source == "modbus" {
                reading.phenomenon_time = reading.phenomenon_time.map(|time| time.plus_seconds(later_us.div_euclid(1_000_000)));
            }
            retime(reading, &frame, mending.times, heard.lost.is_none());
        };
        let mut taken = self.read(&frame, &arrival, &|reading| is_wanted(reading, entry), &mend);
        let deleted = taken.without(self.store().is_deleted()?, &self.store().registry());
        let rejects = quarantined(&frame, &taken.refused, entry.uptime.clone());
        let left: Vec<Refusal> = taken.refused.iter().map(|refused| refused.placed.what.clone()).collect();
        // What now says nothing at all is left as it is: it must not go without a trace.
        if taken.observations.is_empty() && taken.refused.is_empty() && deleted == 0 {
            return Ok(as_it_is(entry));
        }
        if mode == Mode::DryRun {
            return Ok(Outcomes { accepted: taken.observations.len() as u64, deleted, left, ..Outcomes::default() });
        }
        let mut tallies = taken.tallies;
        // What came several times and waited as one: the others are repetitions of what is stored now, or wait on.
        let more = u32::try_from(entry.count.saturating_sub(1)).unwrap_or(u32::MAX);
        for tally in &mut tallies {
            tally.repeated = tally.observations.saturating_mul(more);
            tally.received = tally.received.saturating_add(tally.received.saturating_mul(more.cast_signed()));
            tally.quarantined = tally.quarantined.saturating_add(tally.quarantined.saturating_mul(more.cast_signed()));
        }
        if heard.at != entry.first {
            tallies = by_day(tallies, entry.first);
        }
        tallies.extend(struck_off(entry, &frame.owner, entry.first));
        let replayed = vec![Replayed { number: entry.number, left: rejects }];
        let receipt = self.store().commit_blocking(Batch { observations: taken.observations, tallies, replayed, ..Batch::default() })?;
        let of = |wanted| receipt.outcomes.iter().filter(|outcome| **outcome == wanted).count() as u64;
        Ok(Outcomes { accepted: of(Outcome::Accepted), duplicates: of(Outcome::Duplicate), revised: of(Outcome::Revised), deleted, left })
    }

    /// When an entry came in, as far as that can be known; `None` while this machine's clock can't be right.
    fn heard(&self, entry: &QuarantineEntry) -> Option<Heard> {
        let Some(uptime) = &entry.uptime else { return Some(Heard { at: entry.first, lost: None }) };
        let (clock, store) = (self.store().clock(), self.store());
        store.clock_trust().ok()?;
        let now = clock.now();
        let of_this_boot = clock.uptime().filter(|current| current.boot == uptime.boot);
        Some(match of_this_boot {
            Some(current) => Heard { at: now.plus_micros(uptime.micros - current.micros), lost: None },
            None => Heard { at: now, lost: Some(uptime.clone()) },
        })
    }

    fn frame_of(&self, entry: &QuarantineEntry, mending: &Mending, received_at: model::Timestamp) -> Frame {
        let named = |name: &str| self.formats().find(|known| *known == name);
        let guess = if entry.source == "modbus" { "registers" } else { "native" };
        let format = mending.format.as_deref().and_then(named).or_else(|| named(&entry.format)).unwrap_or(guess);
        Frame {
            source: SOURCES.into_iter().find(|known| *known == entry.source).unwrap_or("http"),
            format,
            route: entry.route.clone(),
            owner: entry.owner.as_deref().unwrap_or_default().into(),
            device: entry.device.as_deref().map(DeviceId::from),
            channel: entry.channel.clone(),
            received_at,
            bytes: entry.bytes.clone().into(),
        }
    }
}

/// A number without a time is of when it came in, not of when it is read again, as far as that `is_known`.
fn retime(reading: &mut Reading, frame: &Frame, times: Times, is_known: bool) {
    let arrival = is_known.then_some(frame.received_at);
    reading.phenomenon_time = match times {
        Times::AsSaid => reading.phenomenon_time.or(arrival),
        Times::Shifted(micros) => reading.phenomenon_time.map(|time| time.plus_micros(micros)).or(arrival),
        Times::Arrival => arrival,
    };
}

/// When an entry came in.
struct Heard {
    at: model::Timestamp,
    /// Nobody knows; `at` is now.
    lost: Option<Uptime>,
}

fn as_it_is(entry: &QuarantineEntry) -> Outcomes {
    let refusal = |refused: &Refused| Refusal { reason: refused.reason, detail: refused.detail.clone() };
    Outcomes { left: entry.refusals.iter().map(refusal).collect(), ..Outcomes::default() }
}

/// What is stored counts on the day on which it came, what is left on the day on which it was counted first.
fn by_day(tallies: Vec<store::Tally>, counted: model::Timestamp) -> Vec<store::Tally> {
    let both = |tally: store::Tally| {
        let left = store::Tally { received: tally.quarantined, observations: 0, repeated: 0, received_at: counted, ..tally.clone() };
        [store::Tally { received: tally.received - tally.quarantined, quarantined: 0, ..tally }, left]
    };
    tallies.into_iter().flat_map(both).filter(|tally| tally.received != 0).collect()
}

/// The lines of the ledger that counted the entry no longer do.
fn struck_off(entry: &QuarantineEntry, owner: &OwnerId, received_at: model::Timestamp) -> Vec<store::Tally> {
    let times = i32::try_from(entry.count).unwrap_or(i32::MAX);
    let line = |refused: &Refused| store::Tally { received: -times, quarantined: -times, ..tally(owner, &refused.line, received_at) };
    // What an older pescaia kept was in no ledger.
    entry.refusals.iter().filter(|refused| !refused.line.as_str().is_empty()).map(line).collect()
}

/// What was taken when the message came first is not read again. Where something was refused that could not be read, all is.
fn is_wanted(reading: &Reading, entry: &QuarantineEntry) -> bool {
    let same =
        |said: &Said| said.device == reading.device && said.channel == reading.channel.as_str() && said.time == reading.phenomenon_time;
    // When this machine's clock can't be right nothing of a message is taken, and what it says may hang on when it came.
    let is_untrusted = |refused: &Refused| refused.reason == RejectReason::UntrustedClock;
    entry.refusals.iter().any(|refused| is_untrusted(refused) || refused.said.as_ref().is_none_or(same))
}

#[cfg(test)]
mod tests;
