//! The way of a reading, in order: decode, bind, qualify, commit, settle. The only file that knows the order.

use crate::bind::{ArrivalTimes, Limits, bind, device};
use crate::clocks::WrongClocks;
use crate::commit::Settling;
use crate::decode::logger;
use crate::decode::sparkplug::Nodes;
use crate::decode::{Decoded, Decoder, Matters, Placed, RawPayload, Refusal, Unread};
use crate::echo::Echoes;
use crate::frame::Frame;
use crate::meters::Meters;
use crate::qualify::qualify;
use crate::recurring::Recurring;
use model::{DatastreamId, Device, DeviceId, Message, Observation, OwnerId, Reading, Reject, RejectReason, Said, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use store::{Batch, Payload, Registry, Store, Tally};

/// Stands in the ledger for devices that nobody knows.
const UNKNOWN: &str = "?";

/// The way in, for every door. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    store: Store,
    decoders: Arc<[Box<dyn Decoder>]>,
    limits: Arc<Limits>,
    arrivals: Arc<ArrivalTimes>,
    /// What Sparkplug's edge nodes said before.
    nodes: Arc<Mutex<Nodes>>,
    /// Uplinks that may be told again.
    echoes: Arc<Mutex<Echoes>>,
    clocks: Arc<WrongClocks>,
    meters: Meters,
}

/// What one frame held, once it is bound and qualified; the observations device by device.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) observations: Vec<Observation>,
    /// Of each observation: its place in the message.
    pub(crate) indexes: Vec<usize>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) payloads: Vec<Payload>,
    /// Words and nulls of channels that feed nothing.
    pub(crate) passed_over: u64,
    /// The devices of the tallies, in their order.
    tallied: Recurring<DeviceId>,
    /// Of each observation, whose tally counts it; empty as long as there is but one.
    counted_in: Vec<usize>,
}

/// Whether a message speaks of now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Now,
    Again,
}

/// One thing that a message holds.
pub(crate) enum Held<'a> {
    Reading(&'a mut Reading),
    Unread(&'a Unread),
    Refusal,
}

/// A refusal with what was said, where it could be read, and the device that is held to account for it.
pub(crate) struct Refused {
    pub(crate) placed: Placed<Refusal>,
    said: Option<Said>,
    line: DeviceId,
}

impl Intake {
    #[must_use]
    pub fn new(store: Store, limits: Limits, meters: Meters) -> Self {
        let nodes = Arc::new(Mutex::new(Nodes::restore(store.births().into_iter())));
        let (decoders, limits) = (crate::decode::all().into(), Arc::new(limits));
        let (arrivals, echoes, clocks) = (Arc::default(), Arc::default(), Arc::default());
        Self { store, decoders, limits, arrivals, nodes, echoes, clocks, meters }
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Decodes, binds, qualifies and hands the frame to the store's writer, in the order of the calls.
    /// The answer resolves when all of it is on disk, or can't be.
    #[must_use]
    pub fn take(&self, frame: Frame) -> Settling {
        self.take_told(frame, Told::Now)
    }

    /// As [`Intake::take`], of what a broker kept and tells again to whoever subscribes: what in it has no time of its own was measured
    /// nobody knows when, and is only counted.
    #[must_use]
    pub fn take_retained(&self, frame: Frame) -> Settling {
        self.take_told(frame, Told::Again)
    }

    fn take_told(&self, frame: Frame, told: Told) -> Settling {
        let since = Instant::now();
        let mut batch = Batch::default();
        let mut rebirth = None;
        let taken = if frame.format == "sparkplug" {
            let heard = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).hear(&frame);
            batch.births = heard.birth.into_iter().map(|birth| (birth.id, birth.text)).collect();
            batch.silenced = self.silenced(&frame, &heard.silenced);
            rebirth = heard.rebirth;
            let is_dated = |held: Held<'_>| !matches!(held, Held::Reading(reading) if reading.phenomenon_time.is_none());
            self.bound(&frame, heard.decoded, &mut |_, held| told == Told::Now || is_dated(held))
        } else {
            let mut decoded = self.decode(&frame);
            if told == Told::Again {
                let undated = self.without_undated(&frame, &mut decoded);
                self.meters.passed_over("retained", undated);
            }
            self.clocks.name(&frame, &decoded.wrong_clocks);
            self.echoes.lock().unwrap_or_else(PoisonError::into_inner).settle(&frame.owner, &mut decoded);
            self.bound(&frame, decoded, &mut |_, _| true)
        };
        self.meters.passed_over(frame.format, taken.passed_over);
        let Taken { observations, indexes, refused, tallies, payloads, .. } = taken;
        let rejects = quarantined(&frame, &refused);
        let receipt = self.store.submit(Batch { observations, rejects, tallies, payloads, ..batch });
        self.meters.inflight.inc();
        let rejected = refused.into_iter().map(|refused| refused.placed).collect();
        Settling { receipt, indexes, rejected, rebirth, protocol: frame.source, owner: frame.owner, since, meters: self.meters.clone() }
    }

    /// Leaves out what takes its time, or part of it, from when it is heard. How much.
    fn without_undated(&self, frame: &Frame, decoded: &mut Decoded) -> u64 {
        // Read as if it had come a day before: what then has another time counts from its arrival.
        let before = Frame { received_at: frame.received_at.plus_seconds(-86_400), ..frame.clone() };
        let read_before = self.decode(&before);
        let all = decoded.readings.len() + decoded.payloads.len();
        let mut times = read_before.readings.iter().map(|placed| placed.what.phenomenon_time);
        decoded.readings.retain(|placed| {
            let same = times.next().flatten() == placed.what.phenomenon_time;
            same && placed.what.phenomenon_time.is_some()
        });
        decoded.payloads.retain(|placed| placed.what.time.is_some());
        (all - decoded.readings.len() - decoded.payloads.len()) as u64
    }

    /// Steps 2 to 4 for a message that is read again from the quarantine. `wanted` says of all that it holds whether it is meant, and
    /// may mend a reading before it is bound.
    pub(crate) fn read(&self, frame: &Frame, wanted: &mut dyn FnMut(usize, Held<'_>) -> bool) -> Taken {
        let decoded = match frame.format {
            "sparkplug" => self.nodes.lock().unwrap_or_else(PoisonError::into_inner).read_again(frame),
            _ => self.decode(frame),
        };
        self.bound(frame, decoded, wanted)
    }

    /// As [`Intake::read`], of raw bytes that were kept.
    pub(crate) fn read_payload(&self, frame: &Frame, raw: RawPayload) -> Taken {
        let decoded = Decoded { payloads: vec![Placed { index: 0, what: raw }], ..Decoded::default() };
        self.bound(frame, decoded, &mut |_, _| true)
    }

    fn bound(&self, frame: &Frame, decoded: Decoded, wanted: &mut dyn FnMut(usize, Held<'_>) -> bool) -> Taken {
        let registry = self.store.registry();
        let (Decoded { readings, rejects, unread, .. }, payloads) = self.laid_out(decoded, frame, &registry);
        let mut taken = Taken {
            observations: Vec::with_capacity(readings.len()),
            indexes: Vec::with_capacity(readings.len()),
            payloads,
            ..Taken::default()
        };
        for refusal in rejects {
            if !wanted(refusal.index, Held::Refusal) {
                continue;
            }
            let known = frame.device.as_ref().filter(|id| registry.device(frame.owner.as_str(), id.as_str()).is_some());
            taken.refuse(frame, known, refusal, None);
        }
        for unread in unread {
            if wanted(unread.index, Held::Unread(&unread.what)) {
                taken.unread(frame, unread, &registry);
            }
        }
        let mut callers = Callers::default();
        for Placed { index, what: mut reading } in readings {
            let time = reading.phenomenon_time;
            if !wanted(index, Held::Reading(&mut reading)) {
                continue;
            }
            let called = callers.find(&reading, &registry);
            let caller = match called {
                Ok(caller) => caller,
                Err(refusal) => {
                    taken.refuse(frame, None, Placed { index, what: refusal }, Some(said(&reading, time)));
                    continue;
                }
            };
            let device = caller.device;
            match bind(&reading, device, &registry, frame.received_at, &self.limits, &self.arrivals) {
                Ok(observation) => {
                    let place = taken.tally(frame, &device.id, caller.tally, |tally| tally.observations += 1);
                    caller.tally = Some(place);
                    taken.counted(place);
                    taken.observations.push(qualified(observation, &registry));
                    taken.indexes.push(index);
                }
                Err(refusal) => {
                    taken.refuse(frame, Some(&device.id), Placed { index, what: refusal }, Some(said(&reading, time)));
                }
            }
        }
        taken.by_device();
        taken
    }

    /// The datastreams of devices that fell silent, as of now; a node's name stands for all of its devices.
    fn silenced(&self, frame: &Frame, names: &[String]) -> Vec<(DatastreamId, Timestamp)> {
        let registry = self.store.registry();
        let of_owner = || registry.devices().filter(|device| device.owner == frame.owner);
        let is_meant = |device: &Device, name: &String| {
            let called = device.address.as_deref().unwrap_or(device.id.as_str());
            called == name || called.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let silent = of_owner().filter(|device| names.iter().any(|name| is_meant(device, name)));
        silent.flat_map(|device| &device.feeds).map(|feed| (feed.datastream, frame.received_at)).collect()
    }

    /// The formats that are read here, by name.
    pub fn formats(&self) -> impl Iterator<Item = &'static str> {
        self.decoders.iter().map(|decoder| decoder.name())
    }

    fn decode(&self, frame: &Frame) -> Decoded {
        if frame.format == "logger" {
            let registry = self.store.registry();
            let device = frame.device.as_ref().and_then(|device| registry.device_called(frame.owner.as_str(), device.as_str()));
            if let Some((device, pattern)) = device.and_then(|device| Some((device, device.lines.as_ref()?))) {
                return logger::read(frame, device, pattern);
            }
        }
        if let Some(decoder) = self.decoders.iter().find(|decoder| decoder.name() == frame.format) {
            return decoder.decode(frame);
        }
        let detail = format!("no decoder {:?} in this pescaia", frame.format);
        let rejects = vec![Placed { index: 0, what: Refusal { reason: RejectReason::Unreadable, detail } }];
        Decoded { rejects, ..Decoded::default() }
    }

    /// Reads raw bytes by the layouts of their devices. What a layout says goes before what a network server's codec made of them;
    /// the bytes are kept either way.
    fn laid_out(&self, mut decoded: Decoded, frame: &Frame, registry: &Registry) -> (Decoded, Vec<Payload>) {
        let mut kept = Vec::with_capacity(decoded.payloads.len());
        for Placed { index, what: raw } in std::mem::take(&mut decoded.payloads) {
            let device = registry.device_called(frame.owner.as_str(), raw.device.as_str());
            let Some(layout) = device.and_then(|device| device.layout.as_ref()) else {
                if decoded.readings.is_empty() {
                    let port = raw.port.map_or_else(String::new, |port| format!(" on port {port}"));
                    let detail = format!(
                        "{} sends raw bytes{port}, and nothing says what they mean; give its device a layout = \"…\", or decode them at the network server",
                        raw.device
                    );
                    decoded.rejects.push(Placed { index, what: Refusal { reason: RejectReason::NoLayout, detail } });
                }
                kept.extend(device.map(|device| payload(frame, device, raw)));
                continue;
            };
            decoded.readings.retain(|reading| reading.what.device != raw.device);
            decoded.unread.retain(|unread| unread.what.device != raw.device);
            let read = crate::decode::layout::read(Placed { index, what: &raw }, layout, &frame.owner, frame.received_at);
            decoded.readings.extend(read.readings);
            decoded.rejects.extend(read.rejects);
            decoded.unread.extend(read.unread);
            kept.extend(device.map(|device| payload(frame, device, raw)));
        }
        (decoded, kept)
    }
}

fn payload(frame: &Frame, device: &Device, raw: RawPayload) -> Payload {
    Payload {
        owner: frame.owner.clone(),
        device: device.id.clone(),
        received_at: frame.received_at,
        port: raw.port,
        heard_at: raw.time,
        bytes: raw.bytes,
    }
}

/// The devices that one message speaks of, by what it calls them.
#[derive(Default)]
struct Callers<'a> {
    names: Recurring<DeviceId>,
    known: Vec<Caller<'a>>,
}

struct Caller<'a> {
    device: &'a Arc<Device>,
    /// Where its tally is, once it has one.
    tally: Option<usize>,
}

impl<'a> Callers<'a> {
    fn find(&mut self, reading: &Reading, registry: &'a Registry) -> Result<&mut Caller<'a>, Refusal> {
        let number = match self.names.number(&reading.device) {
            Some(number) => number,
            None => {
                let device = device(&reading.owner, &reading.device, registry)?;
                self.known.push(Caller { device, tally: None });
                self.names.add(reading.device.clone())
            }
        };
        #[expect(clippy::indexing_slicing, reason = "one is pushed for each number")]
        Ok(&mut self.known[number])
    }
}

impl Taken {
    /// Counts one reading more of a device, `also` in its own way; where its tally is, if that is not known yet.
    fn tally(&mut self, frame: &Frame, device: &DeviceId, known: Option<usize>, also: impl FnOnce(&mut Tally)) -> usize {
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
    fn counted(&mut self, place: usize) {
        if place > 0 && self.counted_in.is_empty() {
            self.counted_in = vec![0; self.observations.len()];
        }
        if place > 0 || !self.counted_in.is_empty() {
            self.counted_in.push(place);
        }
    }
    fn refuse(&mut self, frame: &Frame, device: Option<&DeviceId>, placed: Placed<Refusal>, said: Option<Said>) {
        let line = device.cloned().unwrap_or_else(|| UNKNOWN.into());
        self.tally(frame, &line, None, |tally| tally.quarantined += 1);
        self.refused.push(Refused { placed, said, line });
    }
    /// Refuses what is no number, where somebody waits for one.
    fn unread(&mut self, frame: &Frame, Placed { index, what }: Placed<Unread>, registry: &Registry) {
        let Unread { device, channel, time, refusal, matters } = what;
        let known = registry.device_called(frame.owner.as_str(), device.as_str());
        let is_fed = || known.is_some_and(|device| device.feeds.iter().any(|feed| feed.channel == channel.as_str()));
        if matters == Matters::WhereFed && !is_fed() {
            self.passed_over += 1;
            return;
        }
        let said = Said { device, channel: channel.to_string(), value: f64::NAN, time, unit: None };
        self.refuse(frame, known.map(|device| &device.id), Placed { index, what: refusal }, Some(said));
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
    fn by_device(&mut self) {
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

fn qualified(observation: Observation, registry: &Registry) -> Observation {
    registry.datastream(observation.datastream).map_or(observation, |datastream| qualify(observation, datastream))
}

/// `time` is as it was said, before anybody mended it.
fn said(reading: &Reading, time: Option<Timestamp>) -> Said {
    Said { device: reading.device.clone(), channel: reading.channel.to_string(), value: reading.value, time, unit: reading.unit }
}

/// What is refused, each with the whole message, which they share.
pub(crate) fn quarantined(frame: &Frame, refused: &[Refused]) -> Vec<Reject> {
    if refused.is_empty() {
        return Vec::new();
    }
    let message = Arc::new(Message {
        source: frame.source,
        format: frame.format,
        route: frame.route.clone(),
        owner: Some(frame.owner.clone()),
        device: frame.device.clone(),
        channel: frame.channel.clone(),
        received_at: frame.received_at,
        bytes: frame.bytes.as_ref().into(),
    });
    let reject = |refused: &Refused| Reject {
        reason: refused.placed.what.reason,
        detail: refused.placed.what.detail.clone(),
        place: refused.placed.index,
        said: refused.said.clone(),
        line: refused.line.clone(),
        message: message.clone(),
    };
    refused.iter().map(reject).collect()
}
