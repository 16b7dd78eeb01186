//! Reading the quarantine again, once a person has mended what it was refused for.

use crate::decode::Refusal;
use crate::frame::Frame;
use crate::pipeline::{Intake, quarantined, tally};
use model::{DeviceId, OwnerId, Reading, Said};
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
        let frame = self.frame_of(entry, mending);
        let mut taken = self.read(&frame, &|reading| is_wanted(reading, entry), &|reading| retime(reading, &frame, mending.times));
        let deleted = taken.without(self.store().is_deleted()?, &self.store().registry());
        let rejects = quarantined(&frame, &taken.refused);
        let left: Vec<Refusal> = taken.refused.iter().map(|refused| refused.placed.what.clone()).collect();
        // What now says nothing at all is left as it is: it must not go without a trace.
        if taken.observations.is_empty() && taken.refused.is_empty() && deleted == 0 {
            let refusal = |refused: &Refused| Refusal { reason: refused.reason, detail: refused.detail.clone() };
            return Ok(Outcomes { left: entry.refusals.iter().map(refusal).collect(), ..Outcomes::default() });
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
        tallies.extend(struck_off(entry, &frame.owner, frame.received_at));
        let replayed = vec![Replayed { number: entry.number, left: rejects }];
        let receipt = self.store().commit_blocking(Batch { observations: taken.observations, tallies, replayed, ..Batch::default() })?;
        let of = |wanted| receipt.outcomes.iter().filter(|outcome| **outcome == wanted).count() as u64;
        Ok(Outcomes { accepted: of(Outcome::Accepted), duplicates: of(Outcome::Duplicate), revised: of(Outcome::Revised), deleted, left })
    }

    fn frame_of(&self, entry: &QuarantineEntry, mending: &Mending) -> Frame {
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
            received_at: entry.first,
            bytes: entry.bytes.clone().into(),
        }
    }
}

fn retime(reading: &mut Reading, frame: &Frame, times: Times) {
    reading.phenomenon_time = match times {
        Times::AsSaid => reading.phenomenon_time,
        Times::Shifted(micros) => reading.phenomenon_time.map(|time| time.plus_micros(micros)),
        Times::Arrival => Some(frame.received_at),
    };
}

/// The lines of the ledger that counted the entry no longer do.
fn struck_off(entry: &QuarantineEntry, owner: &OwnerId, received_at: model::Timestamp) -> Vec<store::Tally> {
    let times = i32::try_from(entry.count).unwrap_or(i32::MAX);
    let line = |refused: &Refused| store::Tally { received: -times, quarantined: -times, ..tally(owner, &refused.line, received_at) };
    // What is of no line of the ledger was not counted.
    entry.refusals.iter().filter(|refused| !refused.line.as_str().is_empty()).map(line).collect()
}

/// What was taken when the message came first is not read again. Where something was refused that could not be read, all is.
fn is_wanted(reading: &Reading, entry: &QuarantineEntry) -> bool {
    let same =
        |said: &Said| said.device == reading.device && said.channel == reading.channel.as_str() && said.time == reading.phenomenon_time;
    entry.refusals.iter().any(|refused| refused.said.as_ref().is_none_or(same))
}

#[cfg(test)]
mod tests;
