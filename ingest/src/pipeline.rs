//! The way of a reading, in order: decode, bind, qualify, commit, settle. The only file that knows the order.

mod taken;

pub(crate) use taken::{Refused, Taken, tally};

use crate::bind::{ArrivalTimes, Limits, bind, device};
use crate::body_room::BodyRoom;
use crate::bounds::LIGHT_BYTES;
use crate::clocks::WrongClocks;
use crate::commit::Settling;
use crate::decode::logger;
use crate::decode::sparkplug::{Nodes, Rebirth};
use crate::decode::{Decoded, Decoder, Placed, RawPayload, Refusal, Unread};
use crate::echo::Echoes;
use crate::frame::Frame;
use crate::meters::Meters;
use crate::qualify::qualify;
use crate::recurring::Recurring;
use crate::turns::{Turn, Turns};
use model::{DatastreamId, Device, DeviceId, Message, Observation, OwnerId, Reading, Reject, RejectReason, Said, Timestamp, Uptime};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use store::{Batch, Distrust, Payload, Registry, Store};
use tokio::sync::oneshot;

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
    /// At reading large messages.
    turns: Turns,
    /// For the bodies of HTTP.
    body_room: BodyRoom,
}

/// More readings than one message may hold: nothing of it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

/// A frame that has been read, bound and qualified, ready for the writer.
struct Prepared {
    batch: Batch,
    indexes: Vec<usize>,
    rejected: Vec<Placed<Refusal>>,
    /// Readings that went to the quarantine, listed or not.
    quarantined: u64,
    rebirth: Option<Rebirth>,
}

/// What becomes of readings beyond the most that a message may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excess {
    /// The sender can't be told no: they are counted, and the message waits in the quarantine.
    Quarantined,
    /// The sender hears that nothing was kept.
    Refused,
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

/// What is known of the time at which a message came in.
pub(crate) enum Arrival<'a> {
    /// It is the frame's `received_at`.
    Known,
    /// Nothing: this machine's clock can't be right, so no time can be judged. Its uptime is kept.
    Untrusted(&'a Distrust),
    /// It came in an earlier boot whose clock never was right; `received_at` is now, so that times that devices said can be judged.
    Lost(&'a Uptime),
}

impl Arrival<'_> {
    fn refuses(&self, reading: &Reading, frame: &Frame) -> Option<Refusal> {
        let detail = match self {
            Self::Known => return None,
            Self::Untrusted(distrust) => format!("{distrust}; it is judged as soon as the clock is set"),
            // A poll's time is our own clock's; some formats take the arrival for a time that is not there.
            Self::Lost(uptime) => {
                let says_own = reading.phenomenon_time.is_some_and(|time| time != frame.received_at) && frame.source != "modbus";
                if says_own {
                    return None;
                }
                format!(
                    "it says no time, and came {} s after the beginning of boot {}, in which the clock of this machine was never right: nobody knows when that was",
                    uptime.micros / 1_000_000,
                    uptime.boot
                )
            }
        };
        Some(Refusal { reason: RejectReason::UntrustedClock, detail })
    }
}

impl Intake {
    #[must_use]
    pub fn new(store: Store, limits: Limits, meters: Meters) -> Self {
        let nodes = Arc::new(Mutex::new(Nodes::restore(store.births().into_iter())));
        let (decoders, limits) = (crate::decode::all().into(), Arc::new(limits));
        let (arrivals, echoes, clocks) = (Arc::default(), Arc::default(), Arc::default());
        let (turns, body_room) = (Turns::default(), BodyRoom::default());
        Self { store, decoders, limits, arrivals, nodes, echoes, clocks, meters, turns, body_room }
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    #[must_use]
    pub(crate) fn body_room(&self) -> &BodyRoom {
        &self.body_room
    }

    /// Decodes, binds, qualifies and hands the frame to the store's writer: in the order of the calls, where each is awaited before the
    /// next. Large messages are read on a thread that may take its time, in turns by owner. The answer resolves when all of it is on
    /// disk, or can't be.
    pub async fn take(&self, frame: Frame) -> Settling {
        self.take_told(frame, Told::Now).await
    }

    /// As [`Intake::take`], of what a broker kept and tells again to whoever subscribes: what in it has no time of its own was measured
    /// nobody knows when, and is only counted.
    pub async fn take_retained(&self, frame: Frame) -> Settling {
        self.take_told(frame, Told::Again).await
    }

    async fn take_told(&self, frame: Frame, told: Told) -> Settling {
        let (source, owner, since) = (frame.source, frame.owner.clone(), Instant::now());
        let prepared = self.in_turn(&owner, frame.bytes.len(), move |intake| intake.prepare(&frame, told, Excess::Quarantined)).await;
        // Without an excess that is refused, everything is prepared.
        self.submit(prepared.and_then(Result::ok), source, owner, since)
    }

    /// As [`Intake::take`], for doors that can say no to a message as a whole.
    ///
    /// # Errors
    /// [`TooMany`] when it holds more readings than a message may; nothing of it is kept then.
    pub async fn take_whole(&self, frame: Frame) -> Result<Settling, TooMany> {
        let (source, owner, since) = (frame.source, frame.owner.clone(), Instant::now());
        let prepared = self.in_turn(&owner, frame.bytes.len(), move |intake| intake.prepare(&frame, Told::Now, Excess::Refused)).await;
        Ok(self.submit(prepared.transpose()?, source, owner, since))
    }

    /// Does the work that `bytes` from `owner` are: at once when they are few. `None` when the process is about to end.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        owner: &OwnerId,
        bytes: usize,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Option<T> {
        if bytes <= LIGHT_BYTES {
            return Some(work(self));
        }
        let (intake, turn) = (self.clone(), self.turns.take(owner).await);
        let working = tokio::task::spawn_blocking(move || {
            let _turn: Turn = turn;
            work(&intake)
        });
        match working.await {
            Ok(done) => Some(done),
            Err(cause) if cause.is_panic() => std::panic::resume_unwind(cause.into_panic()),
            Err(_) => None,
        }
    }

    /// Hands what was prepared to the writer. What could not be prepared settles as a closed store does: it is not acknowledged.
    fn submit(&self, prepared: Option<Prepared>, source: &'static str, owner: OwnerId, since: Instant) -> Settling {
        self.meters.inflight.inc();
        let (receipt, indexes, rejected, quarantined, rebirth) = match prepared {
            Some(Prepared { batch, indexes, rejected, quarantined, rebirth }) => {
                (self.store.submit(batch), indexes, rejected, quarantined, rebirth)
            }
            None => (oneshot::channel().1, Vec::new(), Vec::new(), 0, None),
        };
        Settling { receipt, indexes, rejected, quarantined, rebirth, protocol: source, owner, since, meters: self.meters.clone() }
    }

    fn prepare(&self, frame: &Frame, told: Told, excess: Excess) -> Result<Prepared, TooMany> {
        let mut batch = Batch::default();
        let mut rebirth = None;
        let distrust = self.store.clock_trust().err();
        let arrival = distrust.as_ref().map_or(Arrival::Known, Arrival::Untrusted);
        let uptime = distrust.as_ref().and_then(|_| self.store.clock().uptime());
        let decoded = if frame.format == "sparkplug" {
            let heard = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).hear(frame);
            batch.births = heard.birth.into_iter().map(|birth| (birth.id, birth.text)).collect();
            batch.silenced = self.silenced(frame, &heard.silenced);
            rebirth = heard.rebirth;
            let mut decoded = heard.decoded;
            if told == Told::Again {
                decoded.readings.retain(|placed| placed.what.phenomenon_time.is_some());
            }
            decoded
        } else {
            let mut decoded = self.decode(frame);
            if excess == Excess::Refused && decoded.left_out.iter().any(|left| left.reason == RejectReason::TooMany) {
                return Err(TooMany);
            }
            if told == Told::Again {
                let undated = self.without_undated(frame, &mut decoded);
                self.meters.passed_over("retained", undated);
            }
            self.clocks.name(frame, &decoded.wrong_clocks);
            self.echoes.lock().unwrap_or_else(PoisonError::into_inner).settle(&frame.owner, &mut decoded);
            decoded
        };
        let Taken { observations, indexes, refused, tallies, payloads, passed_over, .. } =
            self.bound(frame, decoded, &arrival, &mut |_, _| true);
        self.meters.passed_over(frame.format, passed_over);
        let rejects = quarantined(frame, &refused, uptime);
        let quarantined = refused.iter().map(|refused| u64::from(refused.count)).sum();
        let rejected = refused.into_iter().map(|refused| refused.placed).collect();
        let batch = Batch { observations, rejects, tallies, payloads, ..batch };
        Ok(Prepared { batch, indexes, rejected, quarantined, rebirth })
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
    pub(crate) fn read(&self, frame: &Frame, arrival: &Arrival<'_>, wanted: &mut dyn FnMut(usize, Held<'_>) -> bool) -> Taken {
        let decoded = match frame.format {
            "sparkplug" => self.nodes.lock().unwrap_or_else(PoisonError::into_inner).read_again(frame),
            _ => self.decode(frame),
        };
        self.bound(frame, decoded, arrival, wanted)
    }

    /// As [`Intake::read`], of raw bytes that were kept.
    pub(crate) fn read_payload(&self, frame: &Frame, raw: RawPayload) -> Taken {
        let decoded = Decoded { payloads: vec![Placed { index: 0, what: raw }], ..Decoded::default() };
        self.bound(frame, decoded, &Arrival::Known, &mut |_, _| true)
    }

    fn bound(&self, frame: &Frame, decoded: Decoded, arrival: &Arrival<'_>, wanted: &mut dyn FnMut(usize, Held<'_>) -> bool) -> Taken {
        let registry = self.store.registry();
        let (Decoded { readings, rejects, unread, left_out, .. }, payloads) = self.laid_out(decoded, frame, &registry);
        let mut taken = Taken {
            observations: Vec::with_capacity(readings.len()),
            indexes: Vec::with_capacity(readings.len()),
            payloads,
            ..Taken::default()
        };
        let known = frame.device.as_ref().filter(|id| registry.device(frame.owner.as_str(), id.as_str()).is_some());
        for refusal in rejects {
            if wanted(refusal.index, Held::Refusal) {
                taken.refuse(frame, known, refusal, || None);
            }
        }
        for left in left_out {
            if wanted(left.index, Held::Refusal) {
                taken.leave_out(frame, known, left);
            }
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
                    taken.refuse(frame, None, Placed { index, what: refusal }, || Some(said(&reading, time)));
                    continue;
                }
            };
            let device = caller.device;
            if let Some(refusal) = arrival.refuses(&reading, frame) {
                taken.refuse(frame, Some(&device.id), Placed { index, what: refusal }, || Some(said(&reading, time)));
                continue;
            }
            match bind(&reading, device, &registry, frame.received_at, &self.limits, &self.arrivals) {
                Ok(observation) => {
                    let place = taken.tally(frame, &device.id, caller.tally, |tally| tally.observations += 1);
                    caller.tally = Some(place);
                    taken.counted(place);
                    taken.observations.push(qualified(observation, &registry));
                    taken.indexes.push(index);
                }
                Err(refusal) => {
                    taken.refuse(frame, Some(&device.id), Placed { index, what: refusal }, || Some(said(&reading, time)));
                }
            }
        }
        taken.list_unlisted();
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

    /// What a decoder breaks on waits in the quarantine: a device that sends it again and again would get nothing else through.
    fn decode(&self, frame: &Frame) -> Decoded {
        catch_unwind(AssertUnwindSafe(|| self.decode_unguarded(frame))).unwrap_or_else(|_| {
            let detail = "pescaia made a mistake in reading it, which the line panic of the log names; please report it: once it is mended, replay this".into();
            let rejects = vec![Placed { index: 0, what: Refusal { reason: RejectReason::Unreadable, detail } }];
            Decoded { rejects, ..Decoded::default() }
        })
    }

    fn decode_unguarded(&self, frame: &Frame) -> Decoded {
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
            let laid_out = crate::decode::layout::read(Placed { index, what: &raw }, layout, &frame.owner, frame.received_at);
            decoded.readings.extend(laid_out.readings);
            decoded.rejects.extend(laid_out.rejects);
            decoded.unread.extend(laid_out.unread);
            decoded.left_out.extend(laid_out.left_out);
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

fn qualified(observation: Observation, registry: &Registry) -> Observation {
    registry.datastream(observation.datastream).map_or(observation, |datastream| qualify(observation, datastream))
}

/// `time` is as it was said, before anybody mended it.
fn said(reading: &Reading, time: Option<Timestamp>) -> Said {
    Said { device: reading.device.clone(), channel: reading.channel.to_string(), value: reading.value, time, unit: reading.unit }
}

/// What is refused, each with the whole message, which they share.
/// `uptime` stands beside an arrival that can't be believed.
pub(crate) fn quarantined(frame: &Frame, refused: &[Refused], uptime: Option<Uptime>) -> Vec<Reject> {
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
        uptime,
        bytes: frame.bytes.as_ref().into(),
    });
    let reject = |refused: &Refused| Reject {
        reason: refused.placed.what.reason,
        detail: refused.placed.what.detail.clone(),
        place: refused.placed.index,
        said: refused.said.clone(),
        line: refused.line.clone(),
        count: refused.count,
        message: message.clone(),
    };
    refused.iter().map(reject).collect()
}
