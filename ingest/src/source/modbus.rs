//! Modbus TCP: we ask, at fixed times, and keep either a value or a gap with its reason. A value is never carried forward.

mod plan;
mod wire;

use crate::decode::registers::{Answer, Number, value};
use crate::frame::Frame;
use crate::meters::Meters;
use crate::pipeline::Intake;
use crate::source::{Source, Stop, stopped};
use model::{Device, Gap, GapReason, Link, Profile, Timestamp};
use plan::{Block, plan};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::Batch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use wire::Wire;

/// The longest pause before a dead unit is asked again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Polls every Modbus device of the registry and follows its changes.
pub struct Poller {
    meters: Meters,
}

impl Poller {
    #[must_use]
    pub fn new(meters: Meters) -> Self {
        Self { meters }
    }
}

impl Source for Poller {
    async fn run(self, intake: Intake, mut stop: Stop) {
        let mut changes = intake.store().registry_changes();
        loop {
            let registry = changes.borrow_and_update().clone();
            let mut buses: BTreeMap<String, Vec<Arc<Device>>> = BTreeMap::new();
            for device in registry.devices() {
                if let Link::ModbusTcp { endpoint, .. } = &device.link {
                    buses.entry(endpoint.clone()).or_default().push(device.clone());
                }
            }
            // One task for each endpoint: its units share one connection, in turn.
            let mut polling = JoinSet::new();
            for (endpoint, devices) in buses {
                polling.spawn(bus(endpoint, devices, intake.clone(), self.meters.clone()));
            }
            tokio::select! {
                () = stopped(&mut stop) => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// A unit on a bus and when it is due.
struct Unit {
    device: Arc<Device>,
    number: u8,
    every: Duration,
    patience: Duration,
    profile: Arc<Profile>,
    blocks: Vec<Block>,
    due: Instant,
    /// Polls in a row that failed as a whole.
    failures: u32,
}

impl Unit {
    fn of(device: &Arc<Device>, first: Instant) -> Option<Self> {
        let Link::ModbusTcp { unit, poll_interval_s, timeout_s, profile, .. } = &device.link else { return None };
        Some(Self {
            device: device.clone(),
            number: *unit,
            every: Duration::from_secs_f64(*poll_interval_s),
            patience: Duration::from_secs_f64(*timeout_s),
            profile: profile.clone(),
            blocks: plan(profile),
            due: first,
            failures: 0,
        })
    }
    /// A dead unit is asked less and less often, up to a minute apart; the others on its bus are not.
    fn pause(&self) -> Duration {
        let factor = 1_u32 << self.failures.saturating_sub(1).min(10);
        self.every.saturating_mul(factor).min(LONGEST_PAUSE.max(self.every))
    }
}

async fn bus(endpoint: String, devices: Vec<Arc<Device>>, intake: Intake, meters: Meters) {
    let start = Instant::now();
    let mut units: Vec<Unit> = devices.iter().filter_map(|device| Unit::of(device, start)).collect();
    let mut wire = Wire::new(&endpoint);
    loop {
        let Some(unit) = units.iter_mut().min_by_key(|unit| unit.due) else { return };
        sleep_until(unit.due).await;
        let outcome = poll(unit, &mut wire, &intake, &meters).await;
        let now = Instant::now();
        unit.failures = if outcome { 0 } else { unit.failures + 1 };
        let step = if outcome { unit.every } else { unit.pause() };
        // Kept in phase: the next due time after now.
        let late = now.saturating_duration_since(unit.due).as_secs_f64();
        let steps = (late / unit.every.as_secs_f64()).floor() + 1.0;
        let in_phase = unit.due + unit.every.mul_f64(steps.max((step.as_secs_f64() / unit.every.as_secs_f64()).round()));
        unit.due = in_phase.max(now);
    }
}

/// Asks one unit for everything; true when it answered at all, be it with an exception.
async fn poll(unit: &Unit, wire: &mut Wire, intake: &Intake, meters: &Meters) -> bool {
    // To the millisecond: when the question was asked.
    let clock = intake.store().clock().clone();
    let at = Timestamp::from_micros(clock.now().micros().div_euclid(1000) * 1000);
    let mut numbers = Vec::new();
    let mut failed: Vec<(&str, GapReason)> = Vec::new();
    let mut alive = false;
    let mut dead: Option<GapReason> = None;
    for block in &unit.blocks {
        let answer = match &dead {
            // The unit is silent: its other blocks would only make the bus wait.
            Some(reason) => Err(reason.clone()),
            None => wire.read(unit.number, *block, unit.patience).await,
        };
        meters.polled(if answer.is_ok() { "ok" } else { "failed" });
        alive |= matches!(answer, Ok(_) | Err(GapReason::Exception(_)));
        if let Err(reason @ (GapReason::Timeout | GapReason::Unreachable)) = &answer {
            dead = Some(reason.clone());
        }
        for register in unit.profile.registers.iter().filter(|register| block.holds(register.space, register.address)) {
            let words = answer.as_ref().map_err(Clone::clone).and_then(|words| {
                block.slice(words, register.address, register.number.width()).ok_or(GapReason::BadAnswer)
            });
            let number = words.and_then(|words| {
                let value = value(words, register).ok_or(GapReason::NoNumber)?;
                Ok(Number { channel: register.channel.clone(), words: words.to_vec(), value, unit: register.unit.symbol().to_owned() })
            });
            match number {
                Ok(number) => numbers.push(number),
                Err(reason) => failed.push((&register.channel, reason)),
            }
        }
    }
    if !numbers.is_empty() {
        settle(unit, at, numbers, intake).await;
    }
    keep_gaps(unit, at, &failed, intake, meters);
    alive
}

async fn settle(unit: &Unit, at: Timestamp, numbers: Vec<Number>, intake: &Intake) {
    // What no datastream wants is not an error: a profile describes the device, a network what is kept of it.
    let fed = |number: &Number| unit.device.feeds.iter().any(|feed| feed.channel == number.channel);
    let numbers: Vec<Number> = numbers.into_iter().filter(fed).collect();
    let Ok(bytes) = serde_json::to_vec(&Answer { time_us: at.micros(), numbers }) else { return };
    let frame = Frame {
        source: "modbus",
        format: "registers",
        route: match &unit.device.link {
            Link::ModbusTcp { endpoint, unit, .. } => format!("{endpoint}/{unit}"),
            _ => String::new(),
        },
        owner: unit.device.owner.clone(),
        device: Some(unit.device.id.clone()),
        channel: None,
        received_at: intake.store().clock().now(),
        bytes: bytes.into(),
    };
    if let Err(cause) = intake.take(frame).await {
        tracing::error!(event = "modbus_not_stored", device = %unit.device.id, %cause, "a poll was answered but could not be stored");
    }
}

fn keep_gaps(unit: &Unit, at: Timestamp, failed: &[(&str, GapReason)], intake: &Intake, meters: &Meters) {
    let mut gaps = Vec::new();
    for (channel, reason) in failed {
        meters.gap(reason, 1);
        for feed in unit.device.feeds.iter().filter(|feed| feed.channel == *channel) {
            gaps.push(Gap { datastream: feed.datastream, from: at, to: at, reason: reason.clone(), count: 1 });
        }
    }
    if !gaps.is_empty() {
        if unit.failures == 0 {
            tracing::warn!(event = "modbus_failed", device = %unit.device.id, reason = gaps.first().map(|gap| gap.reason.code()), "a Modbus device gives no values; the gap is recorded");
        }
        drop(intake.store().submit(Batch { gaps, ..Batch::default() }));
    }
}
