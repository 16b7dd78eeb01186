//! Reading the quarantine again, once a person has mended what it was refused for.

use crate::decode::Refusal;
use crate::frame::Frame;
use crate::pipeline::{Arrival, Held, Intake, quarantined, tally};
use model::{DeviceId, Interval, OwnerId, Reading, RejectReason, Said, Scope, Uptime, Viewer};
use store::{Batch, Error, Outcome, QuarantineEntry, Refused, Replayed, View};

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
        let later_s = (heard.at.micros() - entry.first.micros()).div_euclid(1_000_000);
        let owner = Viewer::Token { owner: frame.owner.clone(), scopes: vec![Scope::Read] };
        let view = self.store().seen_by(&owner);
        let waiting =
            Waiting { entry, is_as_before: frame.format == entry.format, is_relayed: matches!(frame.format, "chirpstack" | "tts") };
        let mut taken = self.read(&frame, &arrival, &mut |place, held| match held {
            Held::Reading(reading) => {
                let is_wanted = waiting.holds(place, reading, &|reading| self.is_taken(&view, reading));
                // The time of a poll is the time at which our own clock said it was asked, cut to the second.
                if entry.uptime.is_some() && frame.source == "modbus" {
                    reading.phenomenon_time = reading.phenomenon_time.map(|time| time.plus_seconds(later_s));
                }
                retime(reading, &frame, mending.times, heard.lost.is_none());
                is_wanted
            }
            Held::Unread(unread) => waiting.holds_channel(place, &unread.device, unread.channel.as_str()),
            Held::Refusal => waiting.holds_place(place),
        });
        let deleted = taken.without(self.store().is_deleted()?, &self.store().registry());
        let rejects = quarantined(&frame, &taken.refused, entry.uptime.clone());
        let left: Vec<Refusal> = taken.refused.iter().map(|refused| refused.placed.what.clone()).collect();
        let is_taken = !taken.observations.is_empty() || deleted > 0;
        // What now says nothing at all is left as it is: it must not go without a trace. So is what stays refused, but is told in more
        // or fewer refusals: nothing came in or went that the ledger could count.
        if !is_taken && left.len() != entry.refusals.len() {
            return Ok(if left.is_empty() { as_it_is(entry) } else { Outcomes { left, ..Outcomes::default() } });
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
    let line = |refused: &Refused| {
        let readings = times.saturating_mul(i32::try_from(refused.count).unwrap_or(i32::MAX));
        store::Tally { received: -readings, quarantined: -readings, ..tally(owner, &refused.line, received_at) }
    };
    // What is of no line of the ledger was not counted.
    entry.refusals.iter().filter(|refused| !refused.line.as_str().is_empty()).map(line).collect()
}

impl Intake {
    /// Whether the store has a value of this reading's channel at its time.
    fn is_taken(&self, view: &View, reading: &Reading) -> bool {
        let registry = self.store().registry();
        let device = registry.device_called(reading.owner.as_str(), reading.device.as_str());
        let feed = device.and_then(|device| device.feeds.iter().find(|feed| feed.channel == reading.channel.as_str()));
        let datastream = feed.and_then(|feed| registry.datastream(feed.datastream));
        let (Some(datastream), Some(time)) = (datastream, reading.phenomenon_time) else { return false };
        let found = view.observations(datastream, Interval::new(time, time.plus_micros(1)), 1);
        found.is_ok_and(|found| !found.is_empty())
    }
}

/// What of a message was refused: what was taken when it came first is not acted on again.
struct Waiting<'a> {
    entry: &'a QuarantineEntry,
    /// It is read by the same decoder: what it holds stands at the same places.
    is_as_before: bool,
    /// A network server sent it, and may have told of it before at another time.
    is_relayed: bool,
}

impl Waiting<'_> {
    fn holds(&self, place: usize, reading: &mut Reading, is_taken: &dyn Fn(&Reading) -> bool) -> bool {
        for refused in self.entry.refusals.iter().filter(|refused| self.is_at(refused, place)) {
            match &refused.said {
                None if !stands_for_more(refused) || !is_taken(reading) => return true,
                None => {}
                Some(said) if said.device != reading.device || said.channel != reading.channel.as_str() => {}
                // While this machine's clock can't be right, what a message says may hang on when it came.
                Some(_) if refused.reason == RejectReason::UntrustedClock => return true,
                Some(said) if said.time == reading.phenomenon_time => return true,
                Some(said) => {
                    let apart_s = said.time.zip(reading.phenomenon_time).map(|(one, other)| one.seconds_since(other).abs());
                    // Told before, it had the time of its first telling.
                    if self.is_relayed && apart_s.is_some_and(|apart_s| apart_s < 120.0) {
                        reading.phenomenon_time = said.time;
                        return true;
                    }
                }
            }
        }
        false
    }

    fn holds_channel(&self, place: usize, device: &DeviceId, channel: &str) -> bool {
        let of_channel = |said: &Said| said.device == *device && said.channel == channel;
        let mut there = self.entry.refusals.iter().filter(|refused| self.is_at(refused, place));
        there.any(|refused| refused.said.as_ref().is_none_or(of_channel))
    }

    fn holds_place(&self, place: usize) -> bool {
        self.entry.refusals.iter().any(|refused| self.is_at(refused, place))
    }

    /// What was too much for one message, or too much to be listed, was refused from its place on.
    fn is_at(&self, refused: &Refused, place: usize) -> bool {
        !self.is_as_before || refused.place == place || (stands_for_more(refused) && place > refused.place)
    }
}

/// Whether it speaks of readings that are only counted, from its place on.
fn stands_for_more(refused: &Refused) -> bool {
    refused.reason == RejectReason::TooMany || refused.count > 1
}

#[cfg(test)]
mod tests;
